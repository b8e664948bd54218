//! A chain to drill on: the in-process local chain, or anvil.

use std::sync::Arc;

use alloy_primitives::{Address, Bytes, U256};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Observation, Tx,
    ports::{Boxed, Broadcaster, Cause, StateReader, StateSource},
};

/// Seconds between two drill blocks.
pub const BLOCK_SECONDS: u64 = 12;

/// Why a world failed. A drill stops at it.
#[derive(Debug, thiserror::Error)]
#[error("drill chain failed: {what}")]
pub struct WorldError {
    /// What was tried.
    pub what: String,
    /// The cause.
    #[source]
    pub source: Cause,
}

impl WorldError {
    /// `what` failed because of `source`.
    pub fn new(what: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self { what: what.into(), source: source.into() }
    }
}

/// A chain that a drill controls.
pub trait World: Send {
    /// `local` or `anvil`.
    fn name(&self) -> &'static str;
    /// Its chain id.
    fn chain(&self) -> ChainId;
    /// Sends transactions to its pool.
    fn broadcaster(&self) -> Arc<dyn Broadcaster>;
    /// Reads its state at a block.
    fn reader(&self) -> Arc<dyn StateReader>;
    /// Sets a native balance.
    fn fund(&mut self, account: Address, wei: U256) -> Boxed<'_, Result<(), WorldError>>;
    /// Mines the pool into one block, [`BLOCK_SECONDS`] later; frames and diffs are filled in.
    fn mine(&mut self) -> Boxed<'_, Result<Observation, WorldError>>;
    /// The head, what the next block's execution will see, and its state.
    fn head(&mut self) -> Boxed<'_, Result<Head, WorldError>>;
    /// Reads a raw transaction, signer recovered.
    ///
    /// # Errors
    /// If it is none.
    fn decode(&self, raw: &Bytes) -> Result<Tx, WorldError>;
}

/// The head of a world.
#[derive(Clone)]
pub struct Head {
    /// The block.
    pub block: BlockRef,
    /// What the next block's execution will see.
    pub next: BlockEnv,
    /// State at the head.
    pub state: Arc<dyn StateSource>,
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Head").field("block", &self.block).finish_non_exhaustive()
    }
}
