//! How a local chain is set up.

use std::sync::Arc;

use alloy_eips::eip1559::BaseFeeParams;
use alloy_primitives::{Address, B256, keccak256};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Observation, Stage, Timestamp, ports::StateSource, read::Readings,
    snapshot::Snapshot,
};

use super::{Block, HISTORY_BLOCKS_MAX, world::World};
use crate::{SpecId, enact::Script, rules::Rules};

/// Gas limit of a block.
const GAS_LIMIT: u64 = 36_000_000;
/// Base fee of the first block: 1 gwei.
const BASE_FEE: u64 = 1_000_000_000;
/// Time of the first block unless told otherwise: 2026-01-01T00:00:00Z, in seconds.
pub const GENESIS_SECONDS: u64 = 1_767_225_600;

/// How a local chain is set up.
#[derive(Clone)]
pub struct LocalConfig {
    /// Chain id.
    pub chain: ChainId,
    /// Fork rules.
    pub rules: Rules,
    /// Height of the first block; of a fork: the forked block.
    pub first: u64,
    /// Time of the first block.
    pub time: Timestamp,
    /// State after the first block.
    pub state: Arc<dyn StateSource>,
    /// Gas limit of every block.
    pub gas_limit: u64,
    /// How the base fee moves.
    pub base_fee: BaseFee,
    /// Fee recipient.
    pub beneficiary: Address,
    /// Blocks whose state is kept, at least 2.
    pub history: usize,
    /// The scripts that a recorded attacker's contracts play in mined transactions.
    pub script: Option<Arc<Script>>,
}

/// How the base fee moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseFee {
    /// The same in every block, in wei per gas.
    Fixed(u64),
    /// As EIP-1559 says, starting here, in wei per gas.
    Eip1559(u64),
}

impl Default for LocalConfig {
    /// Chain 31337 under Prague rules, empty, with a moving base fee of 1 gwei.
    fn default() -> Self {
        Self {
            chain: ChainId(31_337),
            rules: Rules::fixed(SpecId::PRAGUE),
            first: 0,
            time: Timestamp::from_secs(GENESIS_SECONDS),
            state: Arc::new(Snapshot::empty()),
            gas_limit: GAS_LIMIT,
            base_fee: BaseFee::Eip1559(BASE_FEE),
            beneficiary: Address::from_word(keccak256("cofferdam/local/beneficiary")),
            history: HISTORY_BLOCKS_MAX,
            script: None,
        }
    }
}

impl LocalConfig {
    /// Base fee of a block whose parent has `base_fee` and used `gas_used`.
    pub(super) fn next_base_fee(&self, base_fee: u64, gas_used: u64) -> u64 {
        match self.base_fee {
            BaseFee::Fixed(fee) => fee,
            BaseFee::Eip1559(_) => {
                let params = BaseFeeParams::ethereum();
                params.next_block_base_fee(gas_used, self.gas_limit, base_fee)
            }
        }
    }

    pub(super) fn first_block(&self) -> Block {
        let (BaseFee::Fixed(base_fee) | BaseFee::Eip1559(base_fee)) = self.base_fee;
        let seed = [self.chain.0, self.first, self.time.0].map(u64::to_be_bytes).concat();
        let hash = self.state.block_hash(self.first).unwrap_or_else(|_| keccak256(seed));
        let block = BlockRef {
            chain: self.chain,
            number: self.first,
            hash,
            parent: B256::ZERO,
            time: self.time,
        };
        let env = BlockEnv {
            beneficiary: self.beneficiary,
            gas_limit: self.gas_limit,
            base_fee,
            ..BlockEnv::default()
        };
        let seen = Observation {
            block,
            env,
            stage: Stage::Provisional,
            witnesses: 1,
            txs: Vec::new(),
            readings: Readings::default(),
        };
        let world = World::new(Arc::clone(&self.state)).after(self.first, hash);
        // Half full, so that the base fee stays where it starts.
        Block { seen: Arc::new(seen), gas_used: self.gas_limit / 2, world }
    }
}

impl std::fmt::Debug for LocalConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalConfig").field("chain", &self.chain).finish_non_exhaustive()
    }
}
