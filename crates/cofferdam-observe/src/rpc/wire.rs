//! JSON-RPC answers as they come over the wire: blocks, transactions, receipts.
//!
//! **Invariant:** nothing here is checked beyond its syntax; every byte may be an attacker's.

use alloy::eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, B256, Bloom, Bytes, U64, U128, U256};
use serde::Deserialize;

use super::health::Head;

/// A block with full transactions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RpcBlock {
    pub(crate) hash: B256,
    pub(crate) parent_hash: B256,
    pub(crate) number: U64,
    pub(crate) timestamp: U64,
    pub(crate) miner: Address,
    pub(crate) gas_limit: U64,
    pub(crate) gas_used: U64,
    pub(crate) base_fee_per_gas: Option<U64>,
    pub(crate) difficulty: Option<U256>,
    pub(crate) mix_hash: Option<B256>,
    pub(crate) excess_blob_gas: Option<U64>,
    pub(crate) parent_beacon_block_root: Option<B256>,
    pub(crate) logs_bloom: Bloom,
    pub(crate) receipts_root: B256,
    pub(crate) transactions: Vec<RpcTx>,
}

/// What is needed of a header, as `newHeads` announces it or as it is asked for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RpcHead {
    pub(crate) hash: B256,
    pub(crate) parent_hash: B256,
    pub(crate) number: U64,
    pub(crate) receipts_root: Option<B256>,
}

impl From<RpcHead> for Head {
    fn from(it: RpcHead) -> Self {
        Self {
            number: it.number.to(),
            hash: it.hash,
            parent: it.parent_hash,
            receipts_root: it.receipts_root,
        }
    }
}

/// A transaction in a block or in the pool.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RpcTx {
    pub(crate) hash: B256,
    pub(crate) block_hash: Option<B256>,
    pub(crate) transaction_index: Option<U64>,
    pub(crate) from: Address,
    pub(crate) to: Option<Address>,
    pub(crate) nonce: U64,
    pub(crate) value: U256,
    pub(crate) input: Bytes,
    pub(crate) gas: U64,
    #[serde(rename = "type")]
    pub(crate) kind: Option<U64>,
    pub(crate) gas_price: Option<U128>,
    pub(crate) max_fee_per_gas: Option<U128>,
    pub(crate) max_priority_fee_per_gas: Option<U128>,
    pub(crate) max_fee_per_blob_gas: Option<U128>,
    pub(crate) access_list: Option<Vec<RpcAccess>>,
    pub(crate) authorization_list: Option<Vec<SignedAuthorization>>,
    pub(crate) blob_versioned_hashes: Option<Vec<B256>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RpcAccess {
    pub(crate) address: Address,
    pub(crate) storage_keys: Vec<B256>,
}

/// A transaction receipt.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RpcReceipt {
    pub(crate) transaction_hash: B256,
    pub(crate) transaction_index: U64,
    pub(crate) block_hash: B256,
    pub(crate) status: Option<U64>,
    pub(crate) cumulative_gas_used: U64,
    pub(crate) gas_used: U64,
    #[serde(rename = "type")]
    pub(crate) kind: Option<U64>,
    pub(crate) contract_address: Option<Address>,
    pub(crate) logs: Vec<RpcLog>,
    /// OP Stack deposit transactions only.
    pub(crate) deposit_nonce: Option<U64>,
    /// OP Stack deposit transactions only.
    pub(crate) deposit_receipt_version: Option<U64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RpcLog {
    pub(crate) address: Address,
    pub(crate) topics: Vec<B256>,
    pub(crate) data: Bytes,
    #[serde(default)]
    pub(crate) removed: bool,
}
