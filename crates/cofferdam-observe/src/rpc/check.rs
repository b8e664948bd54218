//! Whether an answer can be what it claims to be: header hash, logs bloom, receipts root.
//!
//! Together they bind every log, status and gas figure to the block hash, so that a node that
//! leaves out or invents a log is found out. Pure.

use alloy::consensus::{Header, proofs::ordered_trie_root_with_encoder};
use alloy_primitives::{B256, Bloom, Log};
use alloy_rlp::Encodable as _;

use super::wire::{RpcBlock, RpcReceipt};

/// OP Stack deposit transactions, whose receipts carry two more fields.
const DEPOSIT_TYPE: u8 = 0x7e;

/// Which commitments of a block are recomputed. All of them unless the chain departs from
/// Ethereum's formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// The block hash equals the hash of the header fields served.
    pub header_hash: bool,
    /// The logs bloom of the header equals that of the logs served.
    pub logs_bloom: bool,
    /// The receipts root of the header equals that of the receipts served.
    pub receipts_root: bool,
}

impl Default for Checks {
    fn default() -> Self {
        Self { header_hash: true, logs_bloom: true, receipts_root: true }
    }
}

/// Checks `json`, the block as served, against its `hash`.
pub(crate) fn header(json: &str, hash: B256) -> Result<(), String> {
    let header: Header = serde_json::from_str(json)
        .map_err(|error| format!("header cannot be hashed to check it: {error}"))?;
    let actual = header.hash_slow();
    if actual == hash {
        return Ok(());
    }
    Err(format!("header served for block {hash} hashes to {actual}"))
}

/// Checks that `receipts` are those of `block`, one by one and as a whole.
pub(crate) fn receipts(
    block: &RpcBlock,
    receipts: &[RpcReceipt],
    logs: &[Vec<Log>],
    checks: Checks,
) -> Result<(), String> {
    if receipts.len() != block.transactions.len() {
        let (have, want) = (receipts.len(), block.transactions.len());
        return Err(format!("block {} has {want} transactions but {have} receipts", block.number));
    }
    for (index, (tx, receipt)) in block.transactions.iter().zip(receipts).enumerate() {
        if receipt.transaction_hash != tx.hash {
            let (have, want) = (receipt.transaction_hash, tx.hash);
            return Err(format!("receipt {index} is for transaction {have}, not {want}"));
        }
        if receipt.transaction_index.try_into() != Ok(index) {
            let have = receipt.transaction_index;
            return Err(format!("receipt {index} says that its index is {have}"));
        }
        if receipt.block_hash != block.hash {
            let (have, want) = (receipt.block_hash, block.hash);
            return Err(format!("receipt {index} is of block {have}, not {want}"));
        }
    }
    let blooms: Vec<Bloom> = logs.iter().map(|it| it.iter().collect()).collect();
    if checks.logs_bloom {
        let all = blooms.iter().fold(Bloom::ZERO, |all, it| all | *it);
        if all != block.logs_bloom {
            return Err(format!("logs of block {} do not match its logs bloom", block.number));
        }
    }
    if checks.receipts_root {
        let root = receipts_root(receipts, logs, &blooms)?;
        if root != block.receipts_root {
            let (number, want) = (block.number, block.receipts_root);
            return Err(format!(
                "receipts of block {number} hash to {root}, its header says {want}"
            ));
        }
    }
    Ok(())
}

struct Encodable<'a> {
    receipt: &'a RpcReceipt,
    kind: u8,
    status: bool,
    logs: &'a Vec<Log>,
    bloom: &'a Bloom,
}

fn receipts_root(
    receipts: &[RpcReceipt],
    logs: &[Vec<Log>],
    blooms: &[Bloom],
) -> Result<B256, String> {
    let mut items = Vec::with_capacity(receipts.len());
    for ((receipt, logs), bloom) in receipts.iter().zip(logs).zip(blooms) {
        let kind = u8::try_from(receipt.kind.unwrap_or_default())
            .map_err(|_| "a receipt has no EIP-2718 type".to_owned())?;
        let status = status(receipt)?;
        items.push(Encodable { receipt, kind, status, logs, bloom });
    }
    Ok(ordered_trie_root_with_encoder(&items, |item, out| encode(item, out)))
}

/// Whether the transaction succeeded.
pub(crate) fn status(receipt: &RpcReceipt) -> Result<bool, String> {
    match receipt.status.map(|it| it.to::<u64>()) {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        _ => Err("a receipt has no status (EIP-658)".to_owned()),
    }
}

/// EIP-2718: the type, unless legacy, then RLP of status, cumulative gas, bloom and logs. Every
/// known rollup type encodes alike, but for the OP Stack's deposits.
fn encode(item: &Encodable<'_>, out: &mut Vec<u8>) {
    let gas = item.receipt.cumulative_gas_used.to::<u64>();
    let deposit = (item.kind == DEPOSIT_TYPE)
        .then_some([item.receipt.deposit_nonce, item.receipt.deposit_receipt_version])
        .into_iter()
        .flatten()
        .flatten()
        .map(|it| it.to::<u64>());
    let mut payload = Vec::new();
    item.status.encode(&mut payload);
    gas.encode(&mut payload);
    item.bloom.encode(&mut payload);
    item.logs.encode(&mut payload);
    for field in deposit {
        field.encode(&mut payload);
    }
    if item.kind != 0 {
        out.push(item.kind);
    }
    alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(out);
    out.extend_from_slice(&payload);
}
