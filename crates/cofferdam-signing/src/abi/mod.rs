//! The contract ABI, as far as a signer must read it: function signatures with their parameters' names, and values.
//!
//! **Invariant:** what is decoded is exactly what was given. Data that another encoding of the same values would replace
//! (dirty padding, odd offsets, bytes behind the end) does not decode, so nothing can hide beside what is shown.

mod parse;
mod value;

pub use parse::Function;
pub use value::{Value, decode, encode};

/// Longest text of a signature, in bytes.
pub const SIGNATURE_BYTES_MAX: usize = 4_096;
/// Deepest nesting of tuples and arrays.
pub const TYPE_DEPTH_MAX: usize = 16;
/// Most values in one decoding, counted through all arrays.
pub const VALUES_MAX: usize = 20_000;
/// Largest calldata decoded, in bytes.
pub const DATA_BYTES_MAX: usize = 1 << 20;

/// A type with its components' names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// `uint<bits>`.
    Uint(usize),
    /// `int<bits>`.
    Int(usize),
    /// `address`.
    Address,
    /// `bool`.
    Bool,
    /// `bytes<n>`.
    FixedBytes(usize),
    /// `bytes`.
    Bytes,
    /// `string`.
    String,
    /// `T[]`.
    Array(Box<Type>),
    /// `T[n]`.
    Fixed(Box<Type>, usize),
    /// `(T a, U b)`.
    Tuple(Vec<Param>),
}

/// A parameter or component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its type.
    pub ty: Type,
}

/// Why a signature or its data cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AbiError {
    /// The text is no function signature.
    #[error("`{text}` is no function signature: {what}")]
    Signature {
        /// The text, cut.
        text: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The data is not an encoding of the parameters.
    #[error("data is no encoding of the parameters: {0}")]
    Data(&'static str),
    /// The data holds the values, and something else as well or in another order.
    #[error(
        "data does not have its one canonical form: padding, offsets or bytes besides could hide something"
    )]
    NotCanonical,
}

impl Type {
    /// As in a selector's preimage, without names.
    pub fn canonical(&self) -> String {
        match self {
            Self::Uint(bits) => format!("uint{bits}"),
            Self::Int(bits) => format!("int{bits}"),
            Self::Address => "address".into(),
            Self::Bool => "bool".into(),
            Self::FixedBytes(bytes) => format!("bytes{bytes}"),
            Self::Bytes => "bytes".into(),
            Self::String => "string".into(),
            Self::Array(of) => format!("{}[]", of.canonical()),
            Self::Fixed(of, count) => format!("{}[{count}]", of.canonical()),
            Self::Tuple(params) => {
                let inner: Vec<String> = params.iter().map(|it| it.ty.canonical()).collect();
                format!("({})", inner.join(","))
            }
        }
    }

    /// Whether it is encoded behind an offset.
    fn is_dynamic(&self) -> bool {
        match self {
            Self::Bytes | Self::String | Self::Array(_) => true,
            Self::Fixed(of, _) => of.is_dynamic(),
            Self::Tuple(params) => params.iter().any(|it| it.ty.is_dynamic()),
            _ => false,
        }
    }

    /// Words in the head.
    fn head_words(&self) -> usize {
        match self {
            it if it.is_dynamic() => 1,
            Self::Fixed(of, count) => of.head_words().saturating_mul(*count),
            Self::Tuple(params) => params.iter().map(|it| it.ty.head_words()).sum(),
            _ => 1,
        }
    }
}
