//! Conditions: the part of the STIX 2.1 patterning grammar that looks at values, over variables.
//!
//! Comparison expressions with `=`, `!=`, `<`, `>`, `<=`, `>=`, `IN`, `LIKE`, `MATCHES`, `ISSUBSET`,
//! `ISSUPERSET`, `EXISTS`, joined by `AND`, `OR`, negated by `NOT`, grouped by parentheses; observation
//! brackets are taken. What needs observations over time (`FOLLOWEDBY`, `WITHIN`, `REPEATS`, `START`)
//! is refused with a reason.
//!
//! **Invariant:** a condition that cannot be decided is a [`Fault`], never *false*. Nothing in it
//! backtracks without bound: conditions, values and regular expressions have limits.

mod eval;
mod lex;
mod parse;

use std::fmt;

use serde::Serialize;

pub use eval::Fault;
pub use parse::{CONDITION_BYTES_MAX, parse};

use crate::number::Number;

/// A condition that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    text: String,
    expr: Expr,
}

/// What a condition says.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// All of them.
    And(Vec<Expr>),
    /// One of them.
    Or(Vec<Expr>),
    /// Not this.
    Not(Box<Expr>),
    /// The variable has a value.
    Exists(String),
    /// The variable's value compared with something.
    Test {
        /// Name of the variable.
        variable: String,
        /// How.
        op: Op,
        /// With what.
        operand: Operand,
    },
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// One of a set.
    In,
    /// `%` for any text and `_` for any letter.
    Like,
    /// A regular expression somewhere in the text.
    Matches,
    /// An address within a network.
    Subset,
    /// A network around an address.
    Superset,
}

/// What a value is compared with.
#[derive(Clone, Debug)]
pub enum Operand {
    /// One literal.
    One(Literal),
    /// A set of them.
    Set(Vec<Literal>),
    /// A regular expression, compiled.
    Regex(regex_lite::Regex),
}

/// A literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// `'text'`, `h'…'`, `b'…'` or `t'…'`: its text.
    Text(String),
    /// A number.
    Number(Number),
    /// `true` or `false`.
    Bool(bool),
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}, at character {at} of the condition")]
pub struct PatternError {
    /// Where, in characters from 1.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

impl Condition {
    /// What it says.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Names of the variables it looks at, each once.
    pub fn variables(&self) -> Vec<&str> {
        fn walk<'a>(expr: &'a Expr, out: &mut Vec<&'a str>) {
            match expr {
                Expr::And(items) | Expr::Or(items) => items.iter().for_each(|it| walk(it, out)),
                Expr::Not(it) => walk(it, out),
                Expr::Exists(name) | Expr::Test { variable: name, .. } => out.push(name),
            }
        }
        let mut out = Vec::new();
        walk(&self.expr, &mut out);
        out.sort_unstable();
        out.dedup();
        out
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Condition {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl PartialEq for Operand {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One(a), Self::One(b)) => a == b,
            (Self::Set(a), Self::Set(b)) => a == b,
            (Self::Regex(a), Self::Regex(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}
