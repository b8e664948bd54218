//! Building blocks.

use std::{collections::HashMap, sync::Arc};

use alloy_consensus::Header;
use alloy_primitives::{Address, B64, B256, Bytes, keccak256};
use cofferdam_core::{
    BlockEnv, BlockRef, Observation, Stage, Timestamp, Tx, evidence::Tracing, ports::StateSource,
    read::Readings,
};

use super::{Block, Inner, LocalError, pool::Waiting, world::Layer};
use crate::{
    enact::Actor,
    execute::step,
    machine::{Leniency, Machine, Watch},
    receipts,
};

/// The least gas of any transaction.
const TX_GAS_MIN: u64 = 21_000;
/// Impersonated senders may be contracts.
const LENIENCY: Leniency =
    Leniency { sender_code: true, nonce: false, base_fee: false, funds: false, gas_limit: false };

/// A block's transactions as executed, and those of the pool that turned out invalid.
#[derive(Default)]
struct Built {
    txs: Vec<Tx>,
    gas_used: u64,
    invalid: Vec<B256>,
    layer: Layer,
}

impl Inner {
    /// Mines `only`, or the best of the pool.
    pub(super) fn mine(
        &mut self,
        time: Timestamp,
        only: Option<&[B256]>,
    ) -> Result<Arc<Observation>, LocalError> {
        let parent = self.head().seen.block.time;
        if time.0 / 1_000 <= parent.0 / 1_000 {
            return Err(LocalError::Time { asked: time, parent });
        }
        let (mut block, mut env) = self.next_block(Timestamp::from_secs(time.0 / 1_000));
        let built = self.build(&block, &env, only)?;
        env.gas_used = Some(built.gas_used);
        env.logs_bloom = Some(receipts::bloom(&built.txs));
        env.receipts_root = receipts::root(&built.txs);
        block.hash = self.hash(&block, &env, &built.txs);
        for (tx, index) in built.txs.iter().zip(0..) {
            self.included.insert(tx.hash, (block.number, index));
        }
        for hash in built.invalid.iter().chain(built.txs.iter().map(|it| &it.hash)) {
            self.pool.remove(*hash);
        }
        for tx in &built.txs {
            self.pool.forget_below(tx.from, tx.nonce.saturating_add(1));
        }
        let world = self.head().world.with(built.layer).after(block.number, block.hash);
        let (txs, readings) = (built.txs, Readings::default());
        let stage = Stage::Provisional;
        let seen = Arc::new(Observation { block, env, stage, witnesses: 1, txs, readings });
        let gas_used = built.gas_used;
        self.blocks.push_back(Block { seen: Arc::clone(&seen), gas_used, world });
        while self.blocks.len() > self.config.history.max(2) {
            let old = self.blocks.pop_front();
            for tx in old.iter().flat_map(|it| &it.seen.txs) {
                self.included.remove(&tx.hash);
            }
        }
        Ok(seen)
    }

    fn build(
        &self,
        block: &BlockRef,
        env: &BlockEnv,
        only: Option<&[B256]>,
    ) -> Result<Built, LocalError> {
        let (world, rules) = (self.head().world.clone(), &self.config.rules);
        let Some(script) = &self.config.script else {
            let machine = Machine::new(&world, block, env, rules, LENIENCY)?;
            return self.fill(machine, block, env, only);
        };
        let actor = Actor::new(Arc::clone(script));
        let machine = Machine::with_inspector(actor, &world, block, env, rules, LENIENCY)?;
        self.fill(machine, block, env, only)
    }

    /// Fills a block with what the pool offers.
    fn fill<'a, I: Watch<'a>>(
        &self,
        mut machine: Machine<'a, I>,
        block: &BlockRef,
        env: &BlockEnv,
        only: Option<&[B256]>,
    ) -> Result<Built, LocalError> {
        machine.begin_block(block, env)?;
        let mut built = Built::default();
        let mut queue = only.unwrap_or_default().iter();
        let mut nonces = self.nonces();
        loop {
            let left = self.config.gas_limit.saturating_sub(built.gas_used);
            let waiting = match only {
                Some(_) => match queue.next() {
                    None => break,
                    Some(hash) => self.pool.get(hash).ok_or(LocalError::Unknown(*hash))?,
                },
                None => match self.best(env.base_fee, left, &nonces) {
                    None => break,
                    Some(waiting) => waiting,
                },
            };
            if waiting.tx.gas_limit > left {
                // Only a given list gets here; the pool offers what fits.
                continue;
            }
            let (mut tx, valid) = step(&mut machine, &waiting.tx, false)?;
            if tx.tracing == Tracing::Simulated {
                tx.tracing = Tracing::Reexecuted;
            }
            if valid {
                tx.index = u32::try_from(built.txs.len()).unwrap_or(u32::MAX);
                built.gas_used += tx.gas_used;
                nonces.insert(tx.from, tx.nonce.saturating_add(1));
                built.txs.push(tx);
            } else {
                built.invalid.push(tx.hash);
                // Nothing of this sender can follow.
                nonces.remove(&tx.from);
            }
        }
        built.layer = machine.into_changes();
        Ok(built)
    }

    fn best(&self, base_fee: u64, left: u64, nonces: &HashMap<Address, u64>) -> Option<&Waiting> {
        if left < TX_GAS_MIN {
            return None;
        }
        self.pool.best(base_fee, |it| nonces.get(&it).copied(), |tx| tx.gas_limit <= left)
    }

    /// The next nonce of each sender in the pool; none for an account that cannot be read.
    fn nonces(&self) -> HashMap<Address, u64> {
        let world = &self.head().world;
        let nonce = |it| world.account(it).ok().map(|found| found.map_or(0, |it| it.nonce));
        self.pool.senders().filter_map(|it| Some((it, nonce(it)?))).collect()
    }

    /// The hash of a header that commits to everything but the state, whose root nobody here checks.
    fn hash(&self, block: &BlockRef, env: &BlockEnv, txs: &[Tx]) -> B256 {
        let hashes: Vec<u8> = txs.iter().flat_map(|it| it.hash.0).collect();
        let header = Header {
            parent_hash: block.parent,
            beneficiary: env.beneficiary,
            transactions_root: keccak256(hashes),
            receipts_root: env.receipts_root.unwrap_or_default(),
            logs_bloom: env.logs_bloom.unwrap_or_default(),
            number: block.number,
            gas_limit: env.gas_limit,
            gas_used: env.gas_used.unwrap_or_default(),
            timestamp: block.time.0 / 1_000,
            extra_data: Bytes::copy_from_slice(&self.branch.to_be_bytes()),
            mix_hash: env.prev_randao.unwrap_or_default(),
            nonce: B64::ZERO,
            base_fee_per_gas: Some(env.base_fee),
            ..Header::default()
        };
        header.hash_slow()
    }
}
