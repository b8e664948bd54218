//! Expressions as written, before names and types are known.

use alloy_primitives::{Address, B256};

use super::{error::Span, int::Int};

/// An expression as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expr {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
    /// Levels of expressions below this one, itself included.
    pub(crate) depth: u16,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Number(Int),
    /// Seconds.
    Duration(u64),
    Truth(bool),
    Address(Address),
    Hash(B256),
    Selector([u8; 4]),
    Text(String),
    Name(String),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// `numerator / denominator of operand`.
    Share {
        numerator: Int,
        denominator: Int,
        operand: Box<Expr>,
    },
    In(Box<Expr>, List),
    If(Box<[Expr; 3]>),
    Call(Call),
    /// `call(…)[1]`: another of the values returned.
    Index(Box<Expr>, u16),
}

/// `name(arguments) by key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) name_span: Span,
    pub(crate) args: Vec<Expr>,
    pub(crate) key: Option<Box<Expr>>,
}

/// What `in` looks into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// `[a, b]`
    Items(Vec<Expr>),
    /// `entity.accounts`
    Name(String, Span),
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

impl Operator {
    /// As it is written.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Rem => "%",
        }
    }

    /// How tightly it binds; a greater number binds tighter.
    pub(crate) fn strength(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge => 4,
            Self::Add | Self::Sub => 5,
            Self::Mul | Self::Div | Self::Rem => 6,
        }
    }
}
