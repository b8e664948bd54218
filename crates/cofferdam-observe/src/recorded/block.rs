//! Blocks as `eth_getBlockByNumber` answers them.

use std::path::Path;

use alloy_primitives::{Address, B256, Bloom, Bytes, U256};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Observation, Stage, Timestamp, Tx, read::Readings, tx::Envelope,
};
use serde::Deserialize;

use super::{
    RecordedError, file,
    number::{maybe, quantity},
};

/// Transactions of one recorded block that we take.
const TXS_MAX: usize = 50_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RpcHeader {
    hash: B256,
    parent_hash: B256,
    #[serde(deserialize_with = "quantity")]
    number: u64,
    #[serde(deserialize_with = "quantity")]
    timestamp: u64,
    miner: Address,
    #[serde(deserialize_with = "quantity")]
    gas_limit: u64,
    #[serde(deserialize_with = "quantity")]
    gas_used: u64,
    #[serde(default, deserialize_with = "maybe")]
    base_fee_per_gas: Option<u64>,
    difficulty: U256,
    #[serde(default)]
    mix_hash: Option<B256>,
    logs_bloom: Bloom,
    receipts_root: B256,
    #[serde(default, deserialize_with = "maybe")]
    excess_blob_gas: Option<u64>,
    #[serde(default)]
    parent_beacon_block_root: Option<B256>,
}

#[derive(Deserialize)]
pub(super) struct RpcBlock {
    #[serde(flatten)]
    header: RpcHeader,
    transactions: Vec<RpcTx>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RpcTx {
    #[serde(default)]
    hash: B256,
    from: Address,
    #[serde(default)]
    to: Option<Address>,
    #[serde(deserialize_with = "quantity")]
    nonce: u64,
    value: U256,
    input: Bytes,
    #[serde(deserialize_with = "quantity")]
    gas: u64,
    #[serde(default, deserialize_with = "maybe")]
    gas_price: Option<u128>,
    #[serde(default, deserialize_with = "maybe")]
    max_fee_per_gas: Option<u128>,
    #[serde(default, deserialize_with = "maybe")]
    max_priority_fee_per_gas: Option<u128>,
    #[serde(default, deserialize_with = "maybe")]
    max_fee_per_blob_gas: Option<u128>,
    #[serde(default)]
    blob_versioned_hashes: Vec<B256>,
    #[serde(default)]
    access_list: Option<Vec<RpcAccess>>,
    #[serde(default, rename = "type", deserialize_with = "maybe")]
    kind: Option<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RpcAccess {
    address: Address,
    storage_keys: Vec<B256>,
}

/// Loads the header of a block on `chain`, wrapped in a JSON-RPC answer or not. Its transactions are
/// left out: other chains have kinds that we do not execute.
///
/// # Errors
/// [`RecordedError`] if the file is unreadable, too large or malformed.
pub fn load_header(path: &Path, chain: ChainId) -> Result<(BlockRef, BlockEnv), RecordedError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum File {
        Answer { result: RpcHeader },
        Plain(RpcHeader),
    }
    let (File::Answer { result: header } | File::Plain(header)) = file::json(path)?;
    Ok((header.block(chain), header.env()))
}

impl RpcBlock {
    /// The block, not executed.
    pub(super) fn observation(
        self,
        path: &Path,
        chain: ChainId,
    ) -> Result<Observation, RecordedError> {
        if self.transactions.len() > TXS_MAX {
            let what = format!("{} transactions", self.transactions.len());
            return Err(RecordedError::malformed(path, what));
        }
        let txs = self.transactions.into_iter().zip(0..).map(|(tx, index)| tx.tx(path, index));
        Ok(Observation {
            block: self.header.block(chain),
            env: self.header.env(),
            stage: Stage::Provisional,
            witnesses: 1,
            txs: txs.collect::<Result<_, _>>()?,
            readings: Readings::default(),
        })
    }
}

impl RpcHeader {
    fn block(&self, chain: ChainId) -> BlockRef {
        let time = Timestamp::from_secs(self.timestamp);
        BlockRef { chain, number: self.number, hash: self.hash, parent: self.parent_hash, time }
    }

    fn env(&self) -> BlockEnv {
        BlockEnv {
            beneficiary: self.miner,
            gas_limit: self.gas_limit,
            base_fee: self.base_fee_per_gas.unwrap_or_default(),
            difficulty: self.difficulty,
            prev_randao: self.mix_hash.filter(|_| self.difficulty.is_zero()),
            excess_blob_gas: self.excess_blob_gas,
            parent_beacon_root: self.parent_beacon_block_root,
            gas_used: Some(self.gas_used),
            logs_bloom: Some(self.logs_bloom),
            receipts_root: Some(self.receipts_root),
        }
    }
}

impl RpcTx {
    /// The transaction, not executed.
    pub(super) fn tx(self, path: &Path, index: u32) -> Result<Tx, RecordedError> {
        let kind = self.kind.unwrap_or_default();
        if kind > 3 {
            let what = format!("transaction {index} has type {kind}, which recordings do not have");
            return Err(RecordedError::malformed(path, what));
        }
        let price = self.gas_price.unwrap_or_default();
        let list = self.access_list.unwrap_or_default();
        Ok(Tx {
            hash: self.hash,
            index,
            from: self.from,
            to: self.to,
            nonce: self.nonce,
            value: self.value,
            input: self.input,
            gas_limit: self.gas,
            envelope: Envelope {
                kind,
                access_list: list.into_iter().map(|it| (it.address, it.storage_keys)).collect(),
                authorizations: Vec::new(),
                blob_hashes: self.blob_versioned_hashes,
                max_fee_per_blob_gas: self.max_fee_per_blob_gas.unwrap_or_default(),
            },
            max_fee_per_gas: self.max_fee_per_gas.unwrap_or(price),
            max_priority_fee_per_gas: self.max_priority_fee_per_gas.unwrap_or(price),
            ..Tx::default()
        })
    }
}
