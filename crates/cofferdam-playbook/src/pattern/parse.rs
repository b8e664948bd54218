//! From words to a condition.
//!
//! **Invariant:** length, depth, tests and sets are bounded before anything is compiled.

use super::{
    Condition, Expr, Literal, Op, Operand, PatternError,
    lex::{Token, tokens},
};
use crate::{number::Number, variable};

/// Longest condition, in bytes.
pub const CONDITION_BYTES_MAX: usize = 4_096;
/// Deepest nesting of parentheses.
const DEPTH_MAX: usize = 24;
/// Most literals in a set.
const SET_MAX: usize = 256;
/// Longest regular expression, in bytes, and what it may compile to.
const REGEX_BYTES_MAX: usize = 512;
const REGEX_SIZE_MAX: usize = 1 << 18;

/// Words that need observations over time.
const TEMPORAL: &[&str] = &["FOLLOWEDBY", "WITHIN", "REPEATS", "TIMES", "SECONDS", "START", "STOP"];

/// Reads a condition.
///
/// # Errors
///
/// What is no condition, is beyond a limit, or needs observations over time.
pub fn parse(text: &str) -> Result<Condition, PatternError> {
    if text.len() > CONDITION_BYTES_MAX {
        let message = format!("longer than {CONDITION_BYTES_MAX} bytes");
        return Err(PatternError { at: 1, message });
    }
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, end: text.chars().count() + 1 };
    let expr = parser.any(0)?;
    match parser.peek() {
        None => Ok(Condition { text: text.to_owned(), expr }),
        Some(Token::Word(it)) if TEMPORAL.contains(&it.to_uppercase().as_str()) => Err(parser
            .error(format!("`{it}` needs observations over time; a condition looks at values"))),
        Some(_) => Err(parser.error("AND, OR or the end was expected")),
    }
}

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    at: usize,
    end: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, message: impl Into<String>) -> PatternError {
        let at = self.tokens.get(self.at).map_or(self.end, |it| it.0);
        PatternError { at, message: message.into() }
    }

    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at).map(|it| &it.1)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let fits = matches!(self.peek(), Some(Token::Word(it)) if it.eq_ignore_ascii_case(word));
        self.at += usize::from(fits);
        fits
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let fits = matches!(self.peek(), Some(Token::Sign(it)) if *it == sign);
        self.at += usize::from(fits);
        fits
    }

    fn any(&mut self, depth: usize) -> Result<Expr, PatternError> {
        let mut items = vec![self.all(depth)?];
        while self.take_word("OR") {
            items.push(self.all(depth)?);
        }
        Ok(if items.len() == 1 { items.remove(0) } else { Expr::Or(items) })
    }

    fn all(&mut self, depth: usize) -> Result<Expr, PatternError> {
        let mut items = vec![self.one(depth)?];
        while self.take_word("AND") {
            items.push(self.one(depth)?);
        }
        Ok(if items.len() == 1 { items.remove(0) } else { Expr::And(items) })
    }

    fn one(&mut self, depth: usize) -> Result<Expr, PatternError> {
        if depth >= DEPTH_MAX {
            return Err(self.error(format!("nested deeper than {DEPTH_MAX}")));
        }
        for (open, close) in [("(", ")"), ("[", "]")] {
            if self.take_sign(open) {
                let inner = self.any(depth + 1)?;
                if !self.take_sign(close) {
                    return Err(self.error(format!("`{close}` was expected")));
                }
                return Ok(inner);
            }
        }
        if self.take_word("NOT") {
            return Ok(Expr::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.take_word("EXISTS") {
            return Ok(Expr::Exists(self.variable()?));
        }
        self.test()
    }

    fn variable(&mut self) -> Result<String, PatternError> {
        let Some(Token::Path(path)) = self.peek() else {
            return Err(self.error("a variable such as `__name__:value` was expected"));
        };
        let name = path.strip_suffix(":value").filter(|it| variable::is_name(it));
        let name =
            name.ok_or_else(|| self.error("only variables can be looked at, as `__name__:value`"))?;
        self.at += 1;
        Ok(name.to_owned())
    }

    fn test(&mut self) -> Result<Expr, PatternError> {
        let variable = self.variable()?;
        let negated = self.take_word("NOT");
        let op = self.op()?;
        let operand = match op {
            Op::In => Operand::Set(self.set()?),
            Op::Matches => self.regex()?,
            _ => Operand::One(self.literal()?),
        };
        let text_only = matches!(op, Op::Like | Op::Subset | Op::Superset);
        if text_only && !matches!(operand, Operand::One(Literal::Text(_))) {
            self.at -= 1;
            return Err(self.error("a text in quotes was expected"));
        }
        let test = Expr::Test { variable, op, operand };
        Ok(if negated { Expr::Not(Box::new(test)) } else { test })
    }

    fn op(&mut self) -> Result<Op, PatternError> {
        let op = match self.peek() {
            Some(Token::Sign("=")) => Op::Equal,
            Some(Token::Sign("!=")) => Op::Unequal,
            Some(Token::Sign("<")) => Op::Less,
            Some(Token::Sign("<=")) => Op::LessEqual,
            Some(Token::Sign(">")) => Op::Greater,
            Some(Token::Sign(">=")) => Op::GreaterEqual,
            Some(Token::Word(it)) => match it.to_uppercase().as_str() {
                "IN" => Op::In,
                "LIKE" => Op::Like,
                "MATCHES" => Op::Matches,
                "ISSUBSET" => Op::Subset,
                "ISSUPERSET" => Op::Superset,
                _ => return Err(self.error("a comparison such as `=` or `IN` was expected")),
            },
            _ => return Err(self.error("a comparison such as `=` or `IN` was expected")),
        };
        self.at += 1;
        Ok(op)
    }

    fn literal(&mut self) -> Result<Literal, PatternError> {
        let literal = match self.peek() {
            Some(Token::Quoted(_, text)) => Literal::Text(text.clone()),
            Some(Token::Word(it)) if it.eq_ignore_ascii_case("true") => Literal::Bool(true),
            Some(Token::Word(it)) if it.eq_ignore_ascii_case("false") => Literal::Bool(false),
            Some(Token::Number(text)) => Literal::Number(
                Number::parse(text)
                    .ok_or_else(|| self.error("this is no decimal number of 256 bits"))?,
            ),
            _ => return Err(self.error("a text in quotes, a number, true or false was expected")),
        };
        self.at += 1;
        Ok(literal)
    }

    fn set(&mut self) -> Result<Vec<Literal>, PatternError> {
        if !self.take_sign("(") {
            return Err(self.error("a set such as `('a', 'b')` was expected"));
        }
        let mut out = vec![self.literal()?];
        while self.take_sign(",") {
            out.push(self.literal()?);
            if out.len() > SET_MAX {
                return Err(self.error(format!("more than {SET_MAX} literals in a set")));
            }
        }
        if !self.take_sign(")") {
            return Err(self.error("`,` or `)` was expected"));
        }
        Ok(out)
    }

    fn regex(&mut self) -> Result<Operand, PatternError> {
        let Some(Token::Quoted(None, text)) = self.peek() else {
            return Err(self.error("a regular expression in quotes was expected"));
        };
        if text.len() > REGEX_BYTES_MAX {
            return Err(
                self.error(format!("a regular expression has at most {REGEX_BYTES_MAX} bytes"))
            );
        }
        let regex = regex_lite::RegexBuilder::new(text)
            .size_limit(REGEX_SIZE_MAX)
            .build()
            .map_err(|it| self.error(format!("this regular expression cannot be used: {it}")))?;
        self.at += 1;
        Ok(Operand::Regex(regex))
    }
}
