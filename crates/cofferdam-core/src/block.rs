//! Blocks and observations: the unit in which the chain is looked at.

use alloy_primitives::{Address, B256, Bloom, U256};
use serde::{Deserialize, Serialize};

use crate::{ChainId, Timestamp, Tx, decode, read::Readings};

/// The identity of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlockRef {
    /// Which chain.
    pub chain: ChainId,
    /// Height.
    pub number: u64,
    /// Block hash.
    pub hash: B256,
    /// Hash of the parent.
    pub parent: B256,
    /// The block's own time.
    pub time: Timestamp,
}

/// How settled the thing is that a finding rests on.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Seen before inclusion in a block.
    Pending,
    /// In a block that may still be reorganised out.
    Provisional,
    /// In a block deeper than the chain's finality depth.
    Final,
}

/// What one look at the chain saw: a block, or one pending transaction simulated on the head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The block. For a pending transaction: the head it was simulated on.
    pub block: BlockRef,
    /// The header fields that execution depends on or can be checked against.
    pub env: BlockEnv,
    /// `Pending` or `Provisional`; finality is the engine's to tell.
    pub stage: Stage,
    /// How many independent endpoints agreed on the hash and the receipts root of this block when
    /// this was made, the one that served it included. Recorded data and the local chain count 1,
    /// and so does a pending transaction. More may be told of later; it never becomes fewer.
    #[serde(default = "one")]
    pub witnesses: u16,
    /// The transactions, in order. If pending, the last one is what it is about; before it stand those of
    /// its sender that must come first, or earlier attempts that failed like it.
    pub txs: Vec<Tx>,
    /// Answers to the state reads that the rules asked for.
    pub readings: Readings,
}

/// Header fields that execution depends on, and commitments it can be checked against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockEnv {
    /// Who builds the block (fee recipient).
    pub beneficiary: Address,
    /// Gas limit.
    pub gas_limit: u64,
    /// Base fee per gas in wei; 0 before EIP-1559.
    pub base_fee: u64,
    /// Proof-of-work difficulty; 0 after the Merge.
    pub difficulty: U256,
    /// PREVRANDAO; `None` before the Merge.
    pub prev_randao: Option<B256>,
    /// EIP-4844 excess blob gas; `None` before Cancun.
    pub excess_blob_gas: Option<u64>,
    /// EIP-4788 parent beacon block root; `None` before Cancun.
    pub parent_beacon_root: Option<B256>,
    /// Gas used according to the header; `None` if there is no header to check against.
    pub gas_used: Option<u64>,
    /// Logs bloom according to the header.
    pub logs_bloom: Option<Bloom>,
    /// Receipts root according to the header.
    pub receipts_root: Option<B256>,
}

/// Who serves a block is the first to vouch for it.
fn one() -> u16 {
    1
}

impl Observation {
    /// Decodes the facts of every transaction. This is the only place where that is done; a source
    /// calls it once, after frames and diffs are filled in.
    pub fn decode_facts(&mut self) {
        for tx in &mut self.txs {
            tx.facts = decode::facts(tx);
        }
    }
}
