//! From text to tokens. Total: any text gives tokens or one error, in time linear in its length.

use alloy_primitives::U256;

use super::error::{Span, Wrong};

/// The longest text of one expression.
pub(crate) const SOURCE_BYTES_MAX: usize = 8_192;

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'s> {
    /// `digits` × 10^`exponent`, not yet known to be whole: a unit may follow.
    Number { digits: U256, exponent: i32 },
    /// `10m`, in seconds.
    Duration(u64),
    /// The digits after `0x`.
    Hex(&'s str),
    /// What stands between quotes.
    Text(&'s str),
    /// A name or a reserved word; dots belong to it.
    Word(&'s str),
    /// An operator or bracket.
    Mark(&'static str),
    /// The end of the text.
    End,
}

/// A token in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spanned<'s> {
    pub(crate) token: Token<'s>,
    pub(crate) span: Span,
}

/// The tokens of `text`, the last one being [`Token::End`].
///
/// # Errors
/// The first thing that is no token.
pub(crate) fn tokens(text: &str) -> Result<Vec<Spanned<'_>>, Wrong> {
    if text.len() > SOURCE_BYTES_MAX {
        let what = format!("an expression has at most {SOURCE_BYTES_MAX} bytes");
        return Err(Wrong::new(Span::new(0, 0), what));
    }
    let mut lexer = Lexer { text, at: 0 };
    let mut out = Vec::new();
    loop {
        lexer.skip(|it| it.is_ascii_whitespace());
        let start = lexer.at;
        let token = lexer.token()?;
        out.push(Spanned { token, span: Span::new(start, lexer.at) });
        if token == Token::End {
            return Ok(out);
        }
    }
}

struct Lexer<'s> {
    text: &'s str,
    at: usize,
}

/// Longest first.
const MARKS: &[&str] =
    &["==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "(", ")", "[", "]", ","];

/// What people write out of habit, and what it is called here.
const HABITS: &[(&str, &str)] = &[("&&", "and"), ("||", "or"), ("=", "=="), ("!", "not")];

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Advances over bytes that `accept`; all of them are ASCII, so characters stay whole.
    fn skip(&mut self, accept: impl Fn(u8) -> bool) -> &'s str {
        let start = self.at;
        while self.peek().is_some_and(&accept) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn token(&mut self) -> Result<Token<'s>, Wrong> {
        match self.peek() {
            None => Ok(Token::End),
            Some(b'0') if self.rest().starts_with("0x") => {
                self.at += 2;
                Ok(Token::Hex(self.skip(|it| it.is_ascii_alphanumeric())))
            }
            Some(b'0'..=b'9') => self.number(),
            Some(quote @ (b'"' | b'\'')) => self.quoted(quote),
            Some(it) if it.is_ascii_alphabetic() || it == b'_' => Ok(Token::Word(
                self.skip(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'.')),
            )),
            Some(_) => self.mark(),
        }
    }

    fn mark(&mut self) -> Result<Token<'s>, Wrong> {
        let rest = self.rest();
        if let Some(mark) = MARKS.iter().find(|it| rest.starts_with(**it)) {
            self.at += mark.len();
            return Ok(Token::Mark(mark));
        }
        if let Some((habit, word)) = HABITS.iter().find(|it| rest.starts_with(it.0)) {
            let span = Span::new(self.at, self.at + habit.len());
            let wrong = Wrong::new(span, format!("`{habit}` is not an operator"));
            return Err(wrong.hint(format!("write `{word}`")));
        }
        let letter = rest.chars().next().unwrap_or_default();
        let span = Span::new(self.at, self.at + letter.len_utf8());
        Err(Wrong::new(span, format!("unexpected character {letter:?}")))
    }

    fn quoted(&mut self, quote: u8) -> Result<Token<'s>, Wrong> {
        let start = self.at;
        let inside = self.rest().get(1..).unwrap_or_default();
        let Some(length) = inside.find(char::from(quote)) else {
            return Err(Wrong::new(
                Span::new(start, self.text.len()),
                "text without closing quote",
            ));
        };
        self.at = start + length + 2;
        Ok(Token::Text(inside.get(..length).unwrap_or_default()))
    }

    fn number(&mut self) -> Result<Token<'s>, Wrong> {
        let start = self.at;
        let digit = |it: u8| it.is_ascii_digit() || it == b'_';
        let mut digits = self.skip(digit).replace('_', "");
        let mut exponent = 0;
        let fraction = self.rest().as_bytes();
        if fraction.first() == Some(&b'.') && fraction.get(1).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
            let places = self.skip(digit).replace('_', "");
            exponent -= i32::try_from(places.len()).unwrap_or(i32::MAX);
            digits.push_str(&places);
        }
        if self.peek() == Some(b'e')
            && self.rest().as_bytes().get(1).is_some_and(u8::is_ascii_digit)
        {
            self.at += 1;
            let power = self.skip(|it| it.is_ascii_digit());
            // More than this is no 256-bit number however many places there are to fill.
            exponent += power.parse::<u16>().map_or(i32::from(u16::MAX), i32::from);
        }
        let suffix = self.skip(|it| it.is_ascii_alphanumeric() || it == b'_');
        let span = Span::new(start, self.at);
        let digits = digits.trim_start_matches('0');
        let digits = if digits.is_empty() { "0" } else { digits };
        let value = U256::from_str_radix(digits, 10).ok().filter(|_| digits.len() <= 78);
        let digits = value.ok_or_else(|| Wrong::new(span, "the number has more than 256 bits"))?;
        match suffix {
            "" => Ok(Token::Number { digits, exponent }),
            suffix => duration(digits, exponent, suffix, span),
        }
    }
}

fn duration<'s>(digits: U256, exponent: i32, suffix: &str, span: Span) -> Result<Token<'s>, Wrong> {
    let unit: u64 = match suffix {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "wei" | "gwei" | "eth" | "usd" | "bps" => {
            let wrong = Wrong::new(span, "a unit stands apart from its number");
            return Err(wrong.hint(format!("write a blank before `{suffix}`")));
        }
        _ => {
            let wrong = Wrong::new(span, format!("`{suffix}` is not a unit of time"));
            return Err(wrong.hint("durations end in `s`, `m`, `h` or `d`"));
        }
    };
    let count = u64::try_from(digits).ok().filter(|_| exponent == 0);
    let seconds = count.and_then(|it| it.checked_mul(unit));
    let wrong = || Wrong::new(span, "a duration is a whole number that fits 64 bits of seconds");
    seconds.map(Token::Duration).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;
    use proptest::prelude::*;

    use super::{SOURCE_BYTES_MAX, Token, tokens};

    #[test]
    fn tokens_are_what_they_look_like() {
        let text = "1_000e18 >= tx.value and 0xAb != 'f(x)' 1.25 10m";
        let found: Vec<Token<'_>> = tokens(text).unwrap().into_iter().map(|it| it.token).collect();
        let number = |digits: u64, exponent| Token::Number { digits: U256::from(digits), exponent };
        assert_eq!(
            found,
            [
                number(1_000, 18),
                Token::Mark(">="),
                Token::Word("tx.value"),
                Token::Word("and"),
                Token::Hex("Ab"),
                Token::Mark("!="),
                Token::Text("f(x)"),
                number(125, -2),
                Token::Duration(600),
                Token::End,
            ]
        );
    }

    #[test]
    fn too_long_a_text_is_refused_before_it_is_read() {
        assert!(tokens(&" ".repeat(SOURCE_BYTES_MAX)).is_ok());
        assert!(tokens(&" ".repeat(SOURCE_BYTES_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn spans_lie_within_any_text(text in "\\PC*") {
            match tokens(&text) {
                Ok(all) => for it in all {
                    prop_assert!(text.get(it.span.start..it.span.end).is_some());
                },
                Err(wrong) => prop_assert!(text.get(wrong.span.start..wrong.span.end).is_some()),
            }
        }
    }
}
