//! Decoded values with the names of their parts.

use alloy_primitives::{Address, U256};

use crate::abi::{Param, Type, Value};

/// A value with names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    Leaf(Value),
    List(Vec<Tree>),
    Struct(Vec<(String, Tree)>),
}

impl Tree {
    /// The parameters of a call.
    pub(super) fn of(params: &[Param], values: &[Value]) -> Self {
        let parts = params.iter().zip(values);
        Self::Struct(parts.map(|(param, it)| (param.name.clone(), one(&param.ty, it))).collect())
    }

    /// As an account: an address, or twenty bytes.
    pub(super) fn address(&self) -> Option<Address> {
        match self {
            Self::Leaf(Value::Address(it)) => Some(*it),
            Self::Leaf(Value::Bytes(it) | Value::FixedBytes(it)) => {
                Address::try_from(it.as_slice()).ok()
            }
            Self::Leaf(Value::Uint(it)) if it.bit_len() <= 160 => {
                Some(Address::from_word((*it).into()))
            }
            Self::Leaf(Value::String(it)) => it.parse().ok(),
            _ => None,
        }
    }

    /// As a number that is not negative.
    pub(super) fn number(&self) -> Option<U256> {
        match self {
            Self::Leaf(Value::Uint(it)) => Some(*it),
            Self::Leaf(Value::Int(it)) if !it.is_negative() => Some(it.into_raw()),
            Self::Leaf(Value::Bytes(it) | Value::FixedBytes(it)) => U256::try_from_be_slice(it),
            Self::Leaf(Value::String(it)) => crate::quantity::parse(it),
            _ => None,
        }
    }
}

fn one(ty: &Type, value: &Value) -> Tree {
    match (ty, value) {
        (Type::Tuple(params), Value::Tuple(values)) => Tree::of(params, values),
        (Type::Array(of), Value::List(values)) | (Type::Fixed(of, _), Value::Tuple(values)) => {
            Tree::List(values.iter().map(|it| one(of, it)).collect())
        }
        _ => Tree::Leaf(value.clone()),
    }
}
