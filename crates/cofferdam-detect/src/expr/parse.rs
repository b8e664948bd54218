//! From tokens to expressions, by precedence climbing.
//!
//! **Invariant:** total. Nesting is bounded by [`DEPTH_MAX`], so hostile text cannot exhaust the stack.

use alloy_primitives::{B256, U256, hex};
use cofferdam_core::chain::{CaipError, parse_address};

use super::{
    ast::{Call, Expr, Kind, List, Operator},
    error::{Span, Wrong},
    int::Int,
    lexer::{Spanned, Token, tokens},
};

/// The deepest nesting of an expression.
pub(crate) const DEPTH_MAX: u16 = 64;

/// The most arguments of a function and the most items of a list.
pub(crate) const ITEMS_MAX: usize = 256;

/// Words with a meaning of their own.
pub(crate) const RESERVED: &[&str] = &[
    "and", "or", "not", "in", "if", "then", "else", "by", "of", "true", "false", "self", "native",
];

/// Operators that compare bind as tightly as `in`.
const COMPARISON: u8 = 4;
const NOT: u8 = 3;
const UNARY: u8 = 7;

/// Parses `text` as one expression.
///
/// # Errors
/// The first thing that does not fit the grammar.
pub(crate) fn parse(text: &str) -> Result<Expr, Wrong> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0 };
    let expr = parser.expression(0)?;
    match parser.peek().token {
        Token::End => Ok(expr),
        token => Err(parser.unexpected(token)),
    }
}

struct Parser<'t, 's> {
    tokens: &'t [Spanned<'s>],
    at: usize,
    depth: u16,
}

const END: Spanned<'static> = Spanned { token: Token::End, span: Span { start: 0, end: 0 } };

fn leaf(kind: Kind, span: Span) -> Expr {
    Expr { kind, span, depth: 1 }
}

fn too_deep(span: Span) -> Wrong {
    let wrong = Wrong::new(span, format!("the expression is nested more than {DEPTH_MAX} deep"));
    wrong.hint("give a part of it a name in `let`")
}

impl<'s> Parser<'_, 's> {
    fn peek(&self) -> Spanned<'s> {
        self.tokens.get(self.at).or(self.tokens.last()).copied().unwrap_or(END)
    }

    fn peek_second(&self) -> Token<'s> {
        self.tokens.get(self.at + 1).map_or(Token::End, |it| it.token)
    }

    fn next(&mut self) -> Spanned<'s> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn eat(&mut self, token: Token<'_>) -> Option<Span> {
        let found = self.peek();
        (found.token == token).then(|| {
            self.at += 1;
            found.span
        })
    }

    fn expect(&mut self, mark: &'static str) -> Result<Span, Wrong> {
        self.eat(Token::Mark(mark)).ok_or_else(|| self.missing(&format!("`{mark}`")))
    }

    fn expect_word(&mut self, word: &'static str) -> Result<Span, Wrong> {
        self.eat(Token::Word(word)).ok_or_else(|| self.missing(&format!("`{word}`")))
    }

    fn missing(&self, what: &str) -> Wrong {
        Wrong::new(self.peek().span, format!("expected {what}"))
    }

    fn unexpected(&self, token: Token<'_>) -> Wrong {
        let span = self.peek().span;
        match token {
            Token::Word("bps") => {
                Wrong::new(span, "a share needs what it is a share of").hint("write `50 bps of x`")
            }
            Token::Word(word) => Wrong::new(span, format!("unexpected `{word}`")),
            Token::Mark(mark) => Wrong::new(span, format!("unexpected `{mark}`")),
            _ => Wrong::new(span, "unexpected value").hint("an operator is missing before it"),
        }
    }

    fn expression(&mut self, least: u8) -> Result<Expr, Wrong> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_deep(self.peek().span));
        }
        let expr = self.operators(least);
        self.depth -= 1;
        expr
    }

    fn operators(&mut self, least: u8) -> Result<Expr, Wrong> {
        let mut left = self.prefix()?;
        let mut compared = false;
        loop {
            let found = self.peek();
            let operator = binary(found.token);
            let strength = match (operator, found.token) {
                (Some(operator), _) => operator.strength(),
                (None, Token::Word("in")) => COMPARISON,
                (None, _) => return Ok(left),
            };
            if strength <= least {
                return Ok(left);
            }
            if strength == COMPARISON && compared {
                let wrong = Wrong::new(found.span, "comparisons do not chain");
                return Err(wrong.hint("join two comparisons with `and`"));
            }
            compared |= strength == COMPARISON;
            self.at += 1;
            left = match operator {
                Some(operator) => {
                    let right = self.expression(strength)?;
                    let span = left.span.to(right.span);
                    let depth = left.depth.max(right.depth) + 1;
                    let kind = Kind::Binary(operator, Box::new(left), Box::new(right));
                    bounded(Expr { kind, span, depth })?
                }
                None => self.list_of(left)?,
            };
        }
    }

    fn prefix(&mut self) -> Result<Expr, Wrong> {
        let start = self.peek().span;
        if self.eat(Token::Word("not")).is_some() {
            let operand = self.expression(NOT)?;
            let (span, depth) = (start.to(operand.span), operand.depth + 1);
            return bounded(Expr { kind: Kind::Not(Box::new(operand)), span, depth });
        }
        if self.eat(Token::Mark("-")).is_some() {
            let operand = self.expression(UNARY)?;
            let (span, depth) = (start.to(operand.span), operand.depth + 1);
            return bounded(Expr { kind: Kind::Negate(Box::new(operand)), span, depth });
        }
        let mut expr = self.primary()?;
        while self.eat(Token::Mark("[")).is_some() {
            expr = self.index(expr)?;
        }
        Ok(expr)
    }

    fn index(&mut self, of: Expr) -> Result<Expr, Wrong> {
        let found = self.next();
        let Token::Number { digits, exponent: 0 } = found.token else {
            return Err(Wrong::new(found.span, "expected the position of a returned value"));
        };
        let wrong = || Wrong::new(found.span, "the position is too large");
        let index = u16::try_from(digits).map_err(|_| wrong())?;
        let span = of.span.to(self.expect("]")?);
        let depth = of.depth + 1;
        bounded(Expr { kind: Kind::Index(Box::new(of), index), span, depth })
    }

    fn primary(&mut self) -> Result<Expr, Wrong> {
        let found = self.next();
        let span = found.span;
        match found.token {
            Token::Number { digits, exponent } => self.number(digits, exponent, span),
            Token::Duration(seconds) => Ok(leaf(Kind::Duration(seconds), span)),
            Token::Hex(digits) => hexadecimal(digits, span),
            Token::Text(text) => Ok(leaf(Kind::Text(text.to_owned()), span)),
            Token::Word("true") => Ok(leaf(Kind::Truth(true), span)),
            Token::Word("false") => Ok(leaf(Kind::Truth(false), span)),
            Token::Word("if") => self.choice(span),
            Token::Word(word @ ("self" | "native")) => Ok(leaf(Kind::Name(word.to_owned()), span)),
            Token::Word(word) if RESERVED.contains(&word) => {
                Err(Wrong::new(span, format!("expected a value, found `{word}`")))
            }
            Token::Word(word) if self.peek().token == Token::Mark("(") => self.call(word, span),
            Token::Word(word) => Ok(leaf(Kind::Name(word.to_owned()), span)),
            Token::Mark("(") => {
                let inner = self.expression(0)?;
                let span = span.to(self.expect(")")?);
                Ok(Expr { span, ..inner })
            }
            Token::Mark(mark) => Err(Wrong::new(span, format!("expected a value, found `{mark}`"))),
            Token::End => Err(Wrong::new(span, "expected a value, found the end")),
        }
    }

    fn choice(&mut self, start: Span) -> Result<Expr, Wrong> {
        let condition = self.expression(0)?;
        self.expect_word("then")?;
        let then = self.expression(0)?;
        self.expect_word("else")?;
        let otherwise = self.expression(0)?;
        let span = start.to(otherwise.span);
        let depth = condition.depth.max(then.depth).max(otherwise.depth) + 1;
        bounded(Expr { kind: Kind::If(Box::new([condition, then, otherwise])), span, depth })
    }

    fn call(&mut self, name: &str, name_span: Span) -> Result<Expr, Wrong> {
        self.expect("(")?;
        let args = self.items(")")?;
        let mut span = name_span.to(self.expect(")")?);
        let key = match self.eat(Token::Word("by")) {
            Some(_) => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err(too_deep(self.peek().span));
                }
                let key = self.primary();
                self.depth -= 1;
                Some(Box::new(key?))
            }
            None => None,
        };
        let mut below: Vec<&Expr> = args.iter().collect();
        below.extend(key.as_deref());
        span = below.iter().fold(span, |span, it| span.to(it.span));
        let depth = below.iter().map(|it| it.depth).max().unwrap_or(0) + 1;
        let call = Call { name: name.to_owned(), name_span, args, key };
        bounded(Expr { kind: Kind::Call(call), span, depth })
    }

    fn items(&mut self, close: &'static str) -> Result<Vec<Expr>, Wrong> {
        let mut items = Vec::new();
        while self.peek().token != Token::Mark(close) {
            if items.len() == ITEMS_MAX {
                return Err(Wrong::new(self.peek().span, format!("more than {ITEMS_MAX} items")));
            }
            items.push(self.expression(0)?);
            if self.eat(Token::Mark(",")).is_none() {
                break;
            }
        }
        Ok(items)
    }

    fn list_of(&mut self, left: Expr) -> Result<Expr, Wrong> {
        let found = self.next();
        let (list, end) = match found.token {
            Token::Mark("[") => {
                let items = self.items("]")?;
                (List::Items(items), self.expect("]")?)
            }
            Token::Word(word) => (List::Name(word.to_owned(), found.span), found.span),
            _ => return Err(Wrong::new(found.span, "expected a list, such as `[a, b]`")),
        };
        let span = left.span.to(end);
        let below = match &list {
            List::Items(items) => items.iter().map(|it| it.depth).max().unwrap_or(0),
            List::Name(..) => 0,
        };
        let depth = left.depth.max(below) + 1;
        bounded(Expr { kind: Kind::In(Box::new(left), list), span, depth })
    }

    fn number(&mut self, digits: U256, exponent: i32, span: Span) -> Result<Expr, Wrong> {
        let share = match (self.peek().token, self.peek_second()) {
            (Token::Mark("%"), Token::Word("of")) => Some(2),
            (Token::Word("bps"), Token::Word("of")) => Some(4),
            _ => None,
        };
        if let Some(places) = share {
            self.at += 2;
            return self.share(digits, exponent - places, span);
        }
        let places = match self.peek().token {
            Token::Word("wei") => Some(0),
            Token::Word("gwei") => Some(9),
            Token::Word("eth") => Some(18),
            Token::Word("usd") => Some(6),
            _ => None,
        };
        let end = places.map_or(span, |_| self.next().span);
        let span = span.to(end);
        let value = whole(digits, exponent + places.unwrap_or(0), span)?;
        Ok(leaf(Kind::Number(Int::unsigned(value)), span))
    }

    fn share(&mut self, digits: U256, exponent: i32, start: Span) -> Result<Expr, Wrong> {
        let numerator = whole(digits, exponent.max(0), start)?;
        let denominator = whole(U256::ONE, exponent.saturating_neg().max(0), start)?;
        let operand = self.expression(UNARY)?;
        let (span, depth) = (start.to(operand.span), operand.depth + 1);
        let kind = Kind::Share {
            numerator: Int::unsigned(numerator),
            denominator: Int::unsigned(denominator),
            operand: Box::new(operand),
        };
        bounded(Expr { kind, span, depth })
    }
}

fn bounded(expr: Expr) -> Result<Expr, Wrong> {
    if expr.depth > DEPTH_MAX { Err(too_deep(expr.span)) } else { Ok(expr) }
}

fn binary(token: Token<'_>) -> Option<Operator> {
    Some(match token {
        Token::Word("or") => Operator::Or,
        Token::Word("and") => Operator::And,
        Token::Mark("==") => Operator::Eq,
        Token::Mark("!=") => Operator::Ne,
        Token::Mark("<") => Operator::Lt,
        Token::Mark("<=") => Operator::Le,
        Token::Mark(">") => Operator::Gt,
        Token::Mark(">=") => Operator::Ge,
        Token::Mark("+") => Operator::Add,
        Token::Mark("-") => Operator::Sub,
        Token::Mark("*") => Operator::Mul,
        Token::Mark("/") => Operator::Div,
        Token::Mark("%") => Operator::Rem,
        _ => return None,
    })
}

/// `digits` × 10^`exponent`, if that is a whole number of at most 256 bits.
fn whole(digits: U256, exponent: i32, span: Span) -> Result<U256, Wrong> {
    if digits.is_zero() {
        return Ok(digits);
    }
    let power = U256::from(10).checked_pow(U256::from(exponent.unsigned_abs()));
    if exponent >= 0 {
        let value = power.and_then(|it| digits.checked_mul(it));
        return value.ok_or_else(|| Wrong::new(span, "the number has more than 256 bits"));
    }
    let fraction = || Wrong::new(span, "the number is not whole").hint("all values are integers");
    let power = power.ok_or_else(fraction)?;
    let (quotient, rest) = digits.div_rem(power);
    if rest.is_zero() { Ok(quotient) } else { Err(fraction()) }
}

fn hexadecimal(digits: &str, span: Span) -> Result<Expr, Wrong> {
    let no_hex = |_| Wrong::new(span, "this is not hexadecimal");
    let kind = match digits.len() {
        8 => Kind::Selector(hex::decode_to_array(digits).map_err(no_hex)?),
        40 => Kind::Address(parse_address(&format!("0x{digits}")).map_err(|it| {
            match it {
                CaipError::Checksum { expected, .. } => {
                    Wrong::new(span, "the address has a wrong EIP-55 checksum")
                        .hint(format!("did you mean `{expected}`?"))
                }
                CaipError::Shape { .. } => Wrong::new(span, "this is not hexadecimal"),
            }
        })?),
        64 => Kind::Hash(B256::new(hex::decode_to_array(digits).map_err(no_hex)?)),
        count => {
            let what = format!("a hexadecimal value of {count} digits has no type");
            let hint = "8 digits are a selector, 40 an address, 64 a bytes32; integers are decimal";
            return Err(Wrong::new(span, what).hint(hint));
        }
    };
    Ok(leaf(kind, span))
}
