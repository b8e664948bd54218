//! Expressions with names resolved, types known and constants folded.

use alloy_primitives::{Address, U256};
use cofferdam_core::{Usd, read::StateRead};

use super::{abi::AbiType, error::Span, event::Field, int::Int, window::Aggregate};

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ty {
    Int,
    Bool,
    Address,
    Bytes32,
    Bytes4,
}

/// Bytes of one of the sources of a module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Index into [`super::Module::sources`].
    pub(crate) source: u16,
    pub(crate) span: Span,
}

/// An expression that type-checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Typed {
    pub(crate) ty: Ty,
    pub(crate) node: Node,
    pub(crate) place: Place,
}

/// What it computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Const(Int),
    Field(Field),
    /// Index into [`Tables::slots`].
    Slot(u16),
    /// Index into [`Tables::windows`].
    Window(u16),
    Unary(Unary, Box<Typed>),
    Binary(Binary, Box<Typed>, Box<Typed>),
    And(Box<Typed>, Box<Typed>),
    Or(Box<Typed>, Box<Typed>),
    If(Box<[Typed; 3]>),
    MulDiv(Box<[Typed; 3]>),
    /// The items are sorted.
    In(Box<Typed>, Box<[Int]>),
    /// Micro-dollars of an amount of a token.
    Usd(Box<Typed>, Box<Typed>),
}

/// An operation on one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Not,
    Neg,
    Abs,
    Sqrt,
    /// `count` bits above the lowest `shift`.
    Bits {
        shift: u16,
        count: u16,
    },
    /// Faults unless it is a number of at most so many bits.
    Fits(u16),
}

/// An operation on two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Min,
    Max,
    AbsDiff,
}

/// What the expressions of a module share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    /// State wanted.
    pub(crate) reads: Vec<StateRead>,
    /// Values taken from the answers.
    pub(crate) slots: Vec<Slot>,
    /// Windows, in the order in which they are updated.
    pub(crate) windows: Vec<WindowNode>,
}

/// One value of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Index into [`Tables::reads`].
    pub(crate) read: u16,
    /// At the parent block instead of the block.
    pub(crate) before: bool,
    pub(crate) take: Take,
    /// Where it was first asked for.
    pub(crate) place: Place,
}

/// What is taken from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// The value at this word.
    Word(u16, AbiType),
    /// Whether the call reverted.
    Reverted,
}

/// A window as written.
#[derive(Clone, Debug)]
pub(crate) struct WindowNode {
    pub(crate) aggregate: Aggregate,
    pub(crate) millis: u64,
    /// `None`: counts every event.
    pub(crate) value: Option<Typed>,
    pub(crate) key: Option<Typed>,
    pub(crate) place: Place,
}

/// The price of an asset in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Price {
    /// The token as a number; zero for the native asset.
    pub(crate) token: Int,
    /// Micro-dollars of one whole token.
    pub(crate) micros: Int,
    /// Base units in one whole token.
    pub(crate) scale: Int,
}

impl Price {
    /// `None` if a whole token has more base units than 256 bits can tell.
    pub(crate) fn new(token: Int, decimals: u8, price: Usd) -> Option<Self> {
        let scale = U256::from(10).checked_pow(U256::from(decimals))?;
        Some(Self { token, micros: micros(price), scale: Int::unsigned(scale) })
    }
}

/// Dollars as an integer: micro-dollars.
pub(crate) fn micros(value: Usd) -> Int {
    Int::signed(U256::from(value.0.unsigned_abs()), value.0 < 0)
}

/// What names stand for besides the event's fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entity {
    pub(crate) accounts: Vec<Address>,
    /// Sorted by token.
    pub(crate) prices: Vec<Price>,
    pub(crate) value_at_risk: Option<Usd>,
    /// The contract called `self`.
    pub(crate) this: Option<Address>,
}

impl Ty {
    /// As written in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Int => "an integer",
            Self::Bool => "a truth value",
            Self::Address => "an address",
            Self::Bytes32 => "a bytes32",
            Self::Bytes4 => "a selector",
        }
    }
}

impl Typed {
    /// Its value, if it is known already.
    pub(crate) fn constant(&self) -> Option<Int> {
        match self.node {
            Node::Const(value) => Some(value),
            _ => None,
        }
    }
}

impl Unary {
    /// The operation on known values; the one used when folding and when evaluating.
    ///
    /// # Errors
    /// A fault of the operation.
    pub(crate) fn apply(self, a: Int) -> Result<Int, super::error::Fault> {
        use super::error::Fault;
        match self {
            Self::Not => Ok(Int::truth(!a.is_true())),
            Self::Neg => Ok(a.neg()),
            Self::Abs => Ok(Int::unsigned(a.magnitude())),
            Self::Sqrt => a.sqrt(),
            Self::Bits { shift, count } => {
                let word = a.twos_complement().or((!a.is_negative()).then_some(a.magnitude()));
                let word = word.ok_or(Fault::Range)? >> usize::from(shift);
                let unused = 256_usize.saturating_sub(usize::from(count));
                Ok(Int::unsigned((word << unused) >> unused))
            }
            Self::Fits(bits) => {
                let fits = !a.is_negative() && a.magnitude().bit_len() <= usize::from(bits);
                fits.then_some(a).ok_or(Fault::Range)
            }
        }
    }
}

impl Binary {
    /// The operation on known values; the one used when folding and when evaluating.
    ///
    /// # Errors
    /// A fault of the operation.
    #[inline]
    pub(crate) fn apply(self, a: &Int, b: &Int) -> Result<Int, super::error::Fault> {
        match self {
            Self::Add => a.add(*b),
            Self::Sub => a.sub(*b),
            Self::Mul => a.mul(*b),
            Self::Div => a.div(*b),
            Self::Rem => a.rem(*b),
            Self::Min => Ok(*a.min(b)),
            Self::Max => Ok(*a.max(b)),
            Self::AbsDiff => a.abs_diff(*b),
            _ => Ok(Int::truth(self.compare(a, b))),
        }
    }

    /// The comparison it is; false for an operation that is none.
    #[inline]
    pub(crate) fn compare(self, a: &Int, b: &Int) -> bool {
        match self {
            Self::Eq => a == b,
            Self::Ne => a != b,
            Self::Lt => a < b,
            Self::Le => a <= b,
            Self::Gt => a > b,
            Self::Ge => a >= b,
            _ => false,
        }
    }

    /// Whether it compares.
    pub(crate) fn is_comparison(self) -> bool {
        matches!(self, Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge)
    }
}
