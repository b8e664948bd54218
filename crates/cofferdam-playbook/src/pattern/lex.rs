//! Words of a condition.
//!
//! **Invariant:** every token knows its place; no text of it is lost.

use super::PatternError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword, or `true` and `false`.
    Word(String),
    /// An object path such as `__name__:value`.
    Path(String),
    /// A literal in quotes with its prefix letter, if it has one.
    Quoted(Option<char>, String),
    /// A number as written.
    Number(String),
    /// One of `= != < <= > >= ( ) [ ] ,`.
    Sign(&'static str),
}

/// Signs, the longer ones first.
const SIGNS: &[(&str, &str)] = &[
    ("==", "="),
    ("!=", "!="),
    ("<>", "!="),
    ("<=", "<="),
    (">=", ">="),
    ("=", "="),
    ("<", "<"),
    (">", ">"),
    ("(", "("),
    (")", ")"),
    ("[", "["),
    ("]", "]"),
    (",", ","),
];

pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, PatternError> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(first) = chars.get(at).copied() {
        if first.is_whitespace() {
            at += 1;
            continue;
        }
        let start = at;
        let token = if first == '\'' {
            Token::Quoted(None, quoted(&chars, &mut at)?)
        } else if matches!(first, 'h' | 'b' | 't') && chars.get(at + 1) == Some(&'\'') {
            at += 1;
            Token::Quoted(Some(first), quoted(&chars, &mut at)?)
        } else if let Some((written, sign)) = sign(&chars[at..]) {
            at += written;
            Token::Sign(sign)
        } else if first.is_ascii_digit() || matches!(first, '-' | '+') {
            at += 1;
            while chars.get(at).is_some_and(|it| it.is_ascii_digit() || *it == '.') {
                at += 1;
            }
            Token::Number(
                chars[start..at].iter().collect::<String>().trim_start_matches('+').to_owned(),
            )
        } else if first.is_alphanumeric() || matches!(first, '_' | '$') {
            while chars.get(at).is_some_and(|it| path_char(*it)) {
                at += 1;
            }
            let word: String = chars[start..at].iter().collect();
            if word.contains(':') || word.starts_with("__") {
                Token::Path(word)
            } else {
                Token::Word(word)
            }
        } else {
            let message = format!("`{}` means nothing here", first.escape_debug());
            return Err(PatternError { at: start + 1, message });
        };
        out.push((start + 1, token));
    }
    Ok(out)
}

fn path_char(it: char) -> bool {
    it.is_alphanumeric() || matches!(it, '_' | '-' | ':' | '.' | '$')
}

fn sign(rest: &[char]) -> Option<(usize, &'static str)> {
    SIGNS.iter().find_map(|(written, sign)| {
        let fits = written.chars().enumerate().all(|(index, it)| rest.get(index) == Some(&it));
        fits.then_some((written.len(), *sign))
    })
}

/// A literal in single quotes; `\'` and `\\` are its escapes.
fn quoted(chars: &[char], at: &mut usize) -> Result<String, PatternError> {
    let start = *at;
    *at += 1;
    let mut out = String::new();
    loop {
        match chars.get(*at) {
            None => {
                return Err(PatternError {
                    at: start + 1,
                    message: "the quote does not end".into(),
                });
            }
            Some('\'') => {
                *at += 1;
                return Ok(out);
            }
            Some('\\') if matches!(chars.get(*at + 1), Some('\'' | '\\')) => {
                out.extend(chars.get(*at + 1));
                *at += 2;
            }
            Some(it) => {
                out.push(*it);
                *at += 1;
            }
        }
    }
}
