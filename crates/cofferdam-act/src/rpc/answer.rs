//! Reads JSON-RPC answers. Pure; every byte is hostile.

use alloy::primitives::{B256, Bytes, U256};
use cofferdam_core::{BlockRef, ChainId, Timestamp, read::Answer};
use serde_json::Value;

/// Longest byte string believed, in bytes.
const BYTES_MAX: usize = 1 << 20;

/// An answer that cannot be what it claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed answer: {0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// One result of `eth_simulateV1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) succeeded: bool,
    pub(super) output: Bytes,
    pub(super) gas_used: u64,
}

/// The part of a receipt that is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) block: B256,
    pub(super) succeeded: bool,
    pub(super) gas_used: u64,
}

impl Ran {
    pub(super) fn answer(self) -> Answer {
        if self.succeeded { Answer::Bytes(self.output) } else { Answer::Reverted }
    }
}

/// A quantity that fits 64 bits.
pub(super) fn number(value: &Value) -> Result<u64, Malformed> {
    let number = word(value)?;
    u64::try_from(number).map_err(|_| Malformed("a number above 2^64"))
}

/// A quantity of up to 256 bits.
pub(super) fn word(value: &Value) -> Result<U256, Malformed> {
    let text = value.as_str().and_then(|it| it.strip_prefix("0x"));
    let text = text.filter(|it| (1..=64).contains(&it.len())).ok_or(Malformed("no quantity"))?;
    U256::from_str_radix(text, 16).map_err(|_| Malformed("no quantity"))
}

/// A byte string.
pub(super) fn bytes(value: &Value) -> Result<Bytes, Malformed> {
    let text = value.as_str().filter(|it| it.starts_with("0x")).ok_or(Malformed("no bytes"))?;
    if text.len() > 2 + 2 * BYTES_MAX {
        return Err(Malformed("more than 1 MiB of bytes"));
    }
    text.parse().map_err(|_| Malformed("no bytes"))
}

/// A block header with its base fee (0 before EIP-1559).
pub(super) fn block(value: &Value, chain: ChainId) -> Result<(BlockRef, u64), Malformed> {
    let base_fee = match value.get("baseFeePerGas") {
        None | Some(Value::Null) => 0,
        Some(it) => number(it)?,
    };
    let time = number(field(value, "timestamp")?)?;
    let block = BlockRef {
        chain,
        number: number(field(value, "number")?)?,
        hash: hash(field(value, "hash")?)?,
        parent: hash(field(value, "parentHash")?)?,
        time: Timestamp::from_secs(time),
    };
    Ok((block, base_fee))
}

/// A receipt; `None` for `null`.
pub(super) fn receipt(value: &Value) -> Result<Option<Receipt>, Malformed> {
    if value.is_null() {
        return Ok(None);
    }
    let block = hash(field(value, "blockHash")?)?;
    let succeeded = number(field(value, "status")?)? == 1;
    let gas_used = number(field(value, "gasUsed")?)?;
    Ok(Some(Receipt { block, succeeded, gas_used }))
}

/// The results of `eth_simulateV1` with one block of `count` calls.
pub(super) fn simulated(value: &Value, count: usize) -> Result<Vec<Ran>, Malformed> {
    let calls = value.get(0).and_then(|it| it.get("calls")).and_then(Value::as_array);
    let calls = calls.ok_or(Malformed("no simulated calls"))?;
    if calls.len() != count {
        return Err(Malformed("another number of results than calls"));
    }
    calls.iter().map(ran).collect()
}

fn ran(value: &Value) -> Result<Ran, Malformed> {
    let succeeded = number(field(value, "status")?)? == 1;
    let gas_used = number(field(value, "gasUsed")?)?;
    let returned = value.get("returnData").map(bytes).transpose()?.unwrap_or_default();
    // Nodes put revert data in either place.
    let reverted = value.get("error").and_then(|it| it.get("data")).and_then(|it| bytes(it).ok());
    let output = match reverted {
        Some(data) if !succeeded && returned.is_empty() => data,
        _ => returned,
    };
    Ok(Ran { succeeded, output, gas_used })
}

fn field<'a>(value: &'a Value, name: &'static str) -> Result<&'a Value, Malformed> {
    value.get(name).ok_or(Malformed(name))
}

fn hash(value: &Value) -> Result<B256, Malformed> {
    let text = value.as_str().filter(|it| it.len() == 66).ok_or(Malformed("no hash"))?;
    text.parse().map_err(|_| Malformed("no hash"))
}

#[cfg(test)]
mod tests {
    use cofferdam_core::ChainId;
    use serde_json::json;

    use super::{block, bytes, number, receipt, simulated, word};

    #[test]
    fn hostile_answers_are_errors() {
        for it in [json!(null), json!(1), json!("0x"), json!("zz"), json!("0xzz"), json!([])] {
            assert!(number(&it).is_err() && word(&it).is_err(), "{it}");
        }
        assert!(number(&json!("0x10000000000000000")).is_err());
        assert!(word(&json!(format!("0x{}", "f".repeat(65)))).is_err());
        assert!(bytes(&json!("0x0")).is_err());
        assert!(block(&json!({}), ChainId(1)).is_err());
        assert!(block(&json!(null), ChainId(1)).is_err());
        assert!(receipt(&json!({ "status": "0x1" })).is_err());
        assert_eq!(receipt(&json!(null)), Ok(None));
        assert!(simulated(&json!([{ "calls": [] }]), 1).is_err());
        assert!(simulated(&json!({}), 0).is_err());
    }

    #[test]
    fn revert_data_is_found_in_either_place() {
        let calls = json!([{ "calls": [
            { "status": "0x0", "gasUsed": "0x1", "returnData": "0x", "error": { "data": "0xd93c0665" } },
            { "status": "0x0", "gasUsed": "0x1", "returnData": "0xd93c0665" },
        ] }]);
        let ran = simulated(&calls, 2).unwrap();
        assert!(ran.iter().all(|it| !it.succeeded && it.output[..] == [0xd9, 0x3c, 0x06, 0x65]));
    }
}
