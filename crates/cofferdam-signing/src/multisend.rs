//! MultiSend: several calls in one transaction of a Safe.
//!
//! **Invariant:** a batch is read to its last byte or not at all.
//!
//! Source: `MultiSend.sol`: `multiSend(bytes)`, packed `operation ‖ to ‖ value ‖ length ‖ data`.

use alloy_primitives::{Address, Bytes, U256, hex};

use crate::{
    Operation,
    abi::{AbiError, Function, Value, decode, encode},
};

/// `multiSend(bytes)`.
pub const SELECTOR: [u8; 4] = hex!("8d80ff0a");
/// Most calls in one batch.
pub const CALLS_MAX: usize = 256;
/// Bytes before a call's data.
const HEAD: usize = 1 + 20 + 32 + 32;

/// One call of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inner {
    /// Call or delegatecall.
    pub operation: Operation,
    /// The target; zero means the Safe itself since 1.5.0.
    pub to: Address,
    /// Wei.
    pub value: U256,
    /// Calldata.
    pub data: Bytes,
}

/// Why a batch cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MultiSendError {
    /// The outer call is no canonical `multiSend(bytes)`.
    #[error("the call of multiSend cannot be read")]
    Call(#[source] AbiError),
    /// The packed batch is malformed.
    #[error("call {index} of the batch is malformed: {what}")]
    Malformed {
        /// Which call, from 0.
        index: usize,
        /// What is wrong.
        what: &'static str,
    },
}

/// The calls of `multiSend(bytes)`, given its whole calldata.
///
/// # Errors
/// [`MultiSendError`]; also for an empty batch, which only looks like one.
pub fn read(data: &[u8]) -> Result<Vec<Inner>, MultiSendError> {
    let function =
        Function::parse("multiSend(bytes transactions)").map_err(MultiSendError::Call)?;
    let arguments = data.strip_prefix(&SELECTOR).unwrap_or_default();
    let values = decode(&function.inputs, arguments).map_err(MultiSendError::Call)?;
    let [Value::Bytes(packed)] = values.as_slice() else {
        return Err(MultiSendError::Call(AbiError::Data("it holds no bytes")));
    };
    let mut rest = packed.as_slice();
    let mut out = Vec::new();
    while !rest.is_empty() {
        let malformed = |what| MultiSendError::Malformed { index: out.len(), what };
        if out.len() == CALLS_MAX {
            return Err(malformed("it is one too many"));
        }
        let (inner, after) = one(rest).map_err(malformed)?;
        rest = after;
        out.push(inner);
    }
    if out.is_empty() {
        return Err(MultiSendError::Malformed { index: 0, what: "the batch is empty" });
    }
    Ok(out)
}

fn one(rest: &[u8]) -> Result<(Inner, &[u8]), &'static str> {
    let (head, body) = rest.split_at_checked(HEAD).ok_or("it ends too early")?;
    let (operation, head) = head.split_at(1);
    let (to, head) = head.split_at(20);
    let (value, length) = head.split_at(32);
    let operation = operation.first().copied().and_then(Operation::from_u8);
    let operation = operation.ok_or("its operation is neither 0 nor 1")?;
    let length = usize::try_from(U256::from_be_slice(length)).map_err(|_| "it is too long")?;
    let (data, after) = body.split_at_checked(length).ok_or("it ends too early")?;
    let inner = Inner {
        operation,
        to: Address::from_slice(to),
        value: U256::from_be_slice(value),
        data: Bytes::copy_from_slice(data),
    };
    Ok((inner, after))
}

/// The calldata of `multiSend(bytes)`.
pub fn write(calls: &[Inner]) -> Bytes {
    let mut packed = Vec::new();
    for it in calls {
        packed.push(it.operation.as_u8());
        packed.extend_from_slice(it.to.as_slice());
        packed.extend_from_slice(&it.value.to_be_bytes::<32>());
        packed.extend_from_slice(&U256::from(it.data.len()).to_be_bytes::<32>());
        packed.extend_from_slice(&it.data);
    }
    let mut out = SELECTOR.to_vec();
    out.extend(encode(&[Value::Bytes(packed)]));
    out.into()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Bytes, U256};
    use proptest::prelude::*;

    use super::{Inner, read, write};
    use crate::Operation;

    prop_compose! {
        fn inner()(call in any::<bool>(), to in any::<[u8; 20]>(), value in any::<u64>(),
            data in proptest::collection::vec(any::<u8>(), 0..80)) -> Inner {
            let operation = if call { Operation::Call } else { Operation::DelegateCall };
            Inner { operation, to: Address::from(to), value: U256::from(value), data: data.into() }
        }
    }

    proptest! {
        #[test]
        fn a_batch_is_read_as_written_and_a_cut_one_is_not(calls in proptest::collection::vec(inner(), 1..6)) {
            let data = write(&calls);
            prop_assert_eq!(read(&data).unwrap(), calls);
            prop_assert!(read(&data[..data.len() - 32]).is_err());
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn batches_with_nothing_or_with_an_odd_operation_are_refused() {
        assert!(read(&write(&[])).is_err());
        let one = Inner {
            operation: Operation::Call,
            to: Address::ZERO,
            value: U256::ZERO,
            data: Bytes::new(),
        };
        let mut data = write(&[one]).to_vec();
        data[4 + 64] = 2;
        assert!(read(&data).is_err());
    }
}
