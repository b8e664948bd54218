//! The local chain as state reader and broadcaster.

use alloy_primitives::{Address, B256, Bytes, U256};
use cofferdam_core::{
    BlockRef, ChainId,
    ports::{
        Boxed, BroadcastError, Broadcaster, Call, Inclusion, Simulated, SourceError, StateReader,
    },
    read::{Answer, StateRead},
};

use super::{LocalChain, cause};
use crate::simulate::{On, answer_reads, simulate_call};

impl LocalChain {
    /// Answers `reads` in the state after the canonical block `block`.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] if that block is not canonical or no longer kept.
    pub fn read_at(
        &self,
        block: &BlockRef,
        reads: &[StateRead],
    ) -> Result<Vec<Answer>, SourceError> {
        let what = format!("state of block {} {}", block.number, block.hash);
        let found = {
            let inner = self.lock();
            let found = inner.find(block.hash);
            found.map(|it| (it.seen.clone(), it.world.clone(), inner.config.rules.clone()))
        };
        let Some((seen, world, rules)) = found else {
            let source = "block is not on the chain or no longer kept".into();
            return Err(SourceError::Unavailable { what, source });
        };
        let on = On { block: &seen.block, env: &seen.env, state: &world, rules: &rules };
        answer_reads(reads, on)
            .map_err(|error| SourceError::Unavailable { what, source: cause(error) })
    }

    /// Simulates `call` on the head, in the block to come.
    ///
    /// # Errors
    /// [`BroadcastError::Unavailable`] if the state behind a fork failed, [`BroadcastError::Refused`]
    /// if it cannot be executed at all.
    pub fn simulate_now(&self, call: &Call) -> Result<Simulated, BroadcastError> {
        let (on, (block, env), world, rules) = {
            let inner = self.lock();
            let head = inner.head();
            let next = inner.next_block(head.seen.block.time.plus_ms(1_000));
            (head.seen.block, next, head.world.clone(), inner.config.rules.clone())
        };
        let next = On { block: &block, env: &env, state: &world, rules: &rules };
        let called = simulate_call(call, next).map_err(|error| match error {
            crate::SimError::Unavailable(cause) => BroadcastError::Unavailable(cause),
            other => BroadcastError::Refused { reason: other.to_string() },
        })?;
        let (succeeded, output, gas_used) = (called.succeeded, called.output, called.gas_used);
        Ok(Simulated { succeeded, output, gas_used, on, then: called.then })
    }

    /// Where the transaction `hash` was included, `None` while it is not.
    pub fn inclusion_of(&self, hash: B256) -> Option<Inclusion> {
        let inner = self.lock();
        let (number, index) = inner.included.get(&hash)?;
        let block = inner.at(*number)?;
        let tx = block.seen.txs.get(*index)?;
        let (succeeded, gas_used) = (tx.succeeded, tx.gas_used);
        Some(Inclusion { block: block.seen.block, succeeded, gas_used })
    }
}

impl StateReader for LocalChain {
    fn read<'a>(
        &'a self,
        block: &'a BlockRef,
        reads: &'a [StateRead],
    ) -> Boxed<'a, Result<Vec<Answer>, SourceError>> {
        Box::pin(async move { self.read_at(block, reads) })
    }
}

impl Broadcaster for LocalChain {
    fn chain(&self) -> ChainId {
        self.lock().config.chain
    }

    fn send(&self, raw: Bytes) -> Boxed<'_, Result<B256, BroadcastError>> {
        Box::pin(async move { self.submit(&raw) })
    }

    fn simulate<'a>(&'a self, call: &'a Call) -> Boxed<'a, Result<Simulated, BroadcastError>> {
        Box::pin(async move { self.simulate_now(call) })
    }

    fn account(&self, address: Address) -> Boxed<'_, Result<(u64, U256), BroadcastError>> {
        Box::pin(async move { self.lock().account(address) })
    }

    fn head(&self) -> Boxed<'_, Result<(BlockRef, u64), BroadcastError>> {
        Box::pin(async move {
            let inner = self.lock();
            let head = &inner.head().seen;
            Ok((head.block, head.env.base_fee))
        })
    }

    fn inclusion(&self, tx: B256) -> Boxed<'_, Result<Option<Inclusion>, BroadcastError>> {
        Box::pin(async move { Ok(self.inclusion_of(tx)) })
    }
}
