//! The in-process chain as a drill world.

use std::sync::Arc;

use alloy_primitives::{Address, Bytes, U256};
use cofferdam_core::{
    ChainId, Observation, Timestamp, Tx,
    ports::{Boxed, Broadcaster, StateReader},
};
use cofferdam_sim::{LocalChain, LocalConfig, decode_raw};

use super::world::{BLOCK_SECONDS, Head, World, WorldError};

/// A drill on the in-process chain: no node, no network, no clock.
#[derive(Debug)]
pub struct LocalWorld {
    chain: LocalChain,
}

impl LocalWorld {
    /// A chain with nothing on it.
    pub fn new() -> Self {
        Self { chain: LocalChain::new(LocalConfig::default()) }
    }

    fn next_time(&self) -> Timestamp {
        self.chain.head().time.plus_ms(BLOCK_SECONDS * 1_000)
    }
}

impl Default for LocalWorld {
    fn default() -> Self {
        Self::new()
    }
}

impl World for LocalWorld {
    fn name(&self) -> &'static str {
        "the in-process chain"
    }

    fn chain(&self) -> ChainId {
        self.chain.chain()
    }

    fn broadcaster(&self) -> Arc<dyn Broadcaster> {
        Arc::new(self.chain.clone())
    }

    fn reader(&self) -> Arc<dyn StateReader> {
        Arc::new(self.chain.clone())
    }

    fn fund(&mut self, account: Address, wei: U256) -> Boxed<'_, Result<(), WorldError>> {
        let set = self.chain.set_balance(account, wei);
        Box::pin(std::future::ready(set.map_err(|it| WorldError::new("fund an account", it))))
    }

    fn mine(&mut self) -> Boxed<'_, Result<Observation, WorldError>> {
        let mined = self.chain.mine(self.next_time());
        let mined = mined.map(|it| (*it).clone()).map_err(|it| WorldError::new("mine", it));
        Box::pin(std::future::ready(mined))
    }

    fn head(&mut self) -> Boxed<'_, Result<Head, WorldError>> {
        let (_, next) = self.chain.next(BLOCK_SECONDS);
        let head = Head { block: self.chain.head(), next, state: Arc::new(self.chain.state()) };
        Box::pin(std::future::ready(Ok(head)))
    }

    fn decode(&self, raw: &Bytes) -> Result<Tx, WorldError> {
        decode_raw(raw, self.chain.chain())
            .map_err(|it| WorldError::new("decode a transaction", it))
    }
}
