//! The in-process local chain: a pool, blocks on demand, state at every kept block, reorganisations.
//! Drills, tests and the first run need no node.
//!
//! **Invariant:** no clock, no thread, no network: time passes when [`LocalChain::mine`] says so. Its own
//! execution is the truth of this chain, so its transactions are `Reexecuted` (or `Incomplete`, on a fork
//! of recorded state that lacked something).

mod config;
mod mine;
mod pool;
mod ports;
mod setup;
mod source;
mod world;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Observation, Timestamp, Tx,
    ports::{BroadcastError, Cause, StateSource},
};

use self::pool::Pool;
pub use self::{
    config::{BaseFee, GENESIS_SECONDS, LocalConfig},
    pool::{POOL_SENDER_TXS_MAX, POOL_TXS_MAX, REPLACEMENT_PERCENT},
    setup::Unsigned,
    source::LocalSource,
    world::World,
};
use crate::{SimError, raw::decode_raw};

/// Blocks whose state is kept; older ones can no longer be read or reorganised.
pub const HISTORY_BLOCKS_MAX: usize = 8_192;

/// A local chain. Clones are handles to the same chain.
#[derive(Clone, Debug)]
pub struct LocalChain {
    shared: Arc<Mutex<Inner>>,
}

/// Why the local chain did not do something.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The EVM could not run.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// A block's time must be later than its parent's.
    #[error("block time {asked} is not after {parent}")]
    Time {
        /// The time asked for.
        asked: Timestamp,
        /// The parent's.
        parent: Timestamp,
    },
    /// Not that many blocks are kept.
    #[error("cannot drop {asked} blocks: {kept} are kept above the first")]
    Depth {
        /// Blocks to drop.
        asked: u64,
        /// Blocks that could be dropped.
        kept: u64,
    },
    /// The pool does not hold it.
    #[error("transaction {0} is not in the pool")]
    Unknown(B256),
    /// A setup call or deployment did not succeed.
    #[error("setup call failed: {what}")]
    Setup {
        /// Return data or reason.
        what: String,
    },
}

pub(crate) struct Inner {
    config: LocalConfig,
    /// Canonical, oldest first, never empty.
    blocks: VecDeque<Block>,
    included: HashMap<B256, (u64, usize)>,
    pool: Pool,
    /// Raised by every reorganisation, so that a new branch never repeats an old hash.
    branch: u64,
    closed: bool,
    blind: Option<(u64, String)>,
    wakers: Vec<Waker>,
}

#[derive(Clone, Debug)]
struct Block {
    seen: Arc<Observation>,
    gas_used: u64,
    world: World,
}

impl LocalChain {
    /// A chain with nothing but its first block.
    pub fn new(config: LocalConfig) -> Self {
        let first = config.first_block();
        let inner = Inner {
            config,
            blocks: VecDeque::from([first]),
            included: HashMap::new(),
            pool: Pool::default(),
            branch: 0,
            closed: false,
            blind: None,
            wakers: Vec::new(),
        };
        Self { shared: Arc::new(Mutex::new(inner)) }
    }

    /// The chain's id.
    pub fn chain(&self) -> ChainId {
        self.lock().config.chain
    }

    /// The last block.
    pub fn head(&self) -> BlockRef {
        self.lock().head().seen.block
    }

    /// The canonical block at `number` as it was mined; `None` if there is none or it is not kept.
    pub fn block(&self, number: u64) -> Option<Arc<Observation>> {
        self.lock().at(number).map(|it| Arc::clone(&it.seen))
    }

    /// What the next block will look like if it is mined `seconds` after the head.
    pub fn next(&self, seconds: u64) -> (BlockRef, BlockEnv) {
        let inner = self.lock();
        let time = inner.head().seen.block.time.plus_ms(seconds.saturating_mul(1_000));
        inner.next_block(time)
    }

    /// The state after the head.
    pub fn state(&self) -> World {
        self.lock().head().world.clone()
    }

    /// The state after the canonical block with `hash`.
    pub fn state_at(&self, hash: B256) -> Option<World> {
        self.lock().find(hash).map(|it| it.world.clone())
    }

    /// Accepts a signed EIP-2718 transaction into the pool, visible to subscribers.
    ///
    /// # Errors
    /// As a public node would.
    pub fn submit(&self, raw: &[u8]) -> Result<B256, BroadcastError> {
        self.accept_raw(raw, false)
    }

    /// Accepts a signed transaction that is told to nobody before it is mined.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn submit_private(&self, raw: &[u8]) -> Result<B256, BroadcastError> {
        self.accept_raw(raw, true)
    }

    /// How many transactions wait.
    pub fn pool_len(&self) -> usize {
        self.lock().pool.len()
    }

    /// Takes a transaction out of the pool; true if it was there.
    pub fn drop_pending(&self, hash: B256) -> bool {
        self.lock().pool.remove(hash).is_some()
    }

    /// Mines the pool into one block at `time`: best tips first, nonces in order, as much as fits.
    ///
    /// # Errors
    /// [`LocalError::Time`] if `time` is not after the head's.
    pub fn mine(&self, time: Timestamp) -> Result<Arc<Observation>, LocalError> {
        self.change(|inner| inner.mine(time, None))
    }

    /// Mines exactly the pool's transactions `hashes`, in this order. One that turns out invalid is
    /// left out and dropped from the pool.
    ///
    /// # Errors
    /// [`LocalError::Unknown`] if one is not in the pool, [`LocalError::Time`] as [`Self::mine`].
    pub fn mine_only(
        &self,
        hashes: &[B256],
        time: Timestamp,
    ) -> Result<Arc<Observation>, LocalError> {
        self.change(|inner| inner.mine(time, Some(hashes)))
    }

    /// Drops the last `depth` blocks. Their transactions are gone; submit them again to see them
    /// mined. Returns the dropped blocks, oldest first.
    ///
    /// # Errors
    /// [`LocalError::Depth`] if not that many are kept.
    pub fn reorg(&self, depth: u64) -> Result<Vec<Arc<Observation>>, LocalError> {
        self.change(|inner| inner.reorg(depth))
    }

    /// A source that delivers every block after `from` (its height), then pending transactions as they
    /// come.
    pub fn source(&self, from: u64) -> LocalSource {
        LocalSource::new(self.clone(), from)
    }

    /// Ends every source once it has delivered what there is.
    pub fn close(&self) {
        let _: Result<(), LocalError> = self.change(|inner| {
            inner.closed = true;
            Ok(())
        });
    }

    /// From now on no source sees blocks from `from` on, `because` of this (a drill of blindness).
    /// `None` lifts it.
    pub fn set_blind(&self, blind: Option<(u64, String)>) {
        let _: Result<(), LocalError> = self.change(|inner| {
            inner.blind = blind;
            Ok(())
        });
    }

    fn accept_raw(&self, raw: &[u8], private: bool) -> Result<B256, BroadcastError> {
        let tx = decode_raw(raw, self.chain());
        let tx = tx.map_err(|it| BroadcastError::Refused { reason: it.to_string() })?;
        self.accept(tx, private)
    }

    pub(crate) fn accept(&self, tx: Tx, private: bool) -> Result<B256, BroadcastError> {
        let hash = tx.hash;
        self.change(|inner| inner.accept(tx, private))?;
        Ok(hash)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic cannot leave the chain half changed: blocks are pushed whole.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the chain and wakes whoever waits.
    fn change<T, E>(&self, change: impl FnOnce(&mut Inner) -> Result<T, E>) -> Result<T, E> {
        let mut inner = self.lock();
        let outcome = change(&mut inner);
        let wakers = std::mem::take(&mut inner.wakers);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        outcome
    }
}

impl Inner {
    fn head(&self) -> &Block {
        #[expect(clippy::expect_used, reason = "made with one block, and none removes the last")]
        self.blocks.back().expect("a chain has a first block")
    }

    /// Height of the oldest block that is kept.
    fn first(&self) -> u64 {
        self.blocks.front().map_or(0, |it| it.seen.block.number)
    }

    fn at(&self, number: u64) -> Option<&Block> {
        let index = number.checked_sub(self.first())?;
        self.blocks.get(usize::try_from(index).ok()?)
    }

    fn find(&self, hash: B256) -> Option<&Block> {
        self.blocks.iter().rev().find(|it| it.seen.block.hash == hash)
    }

    fn accept(&mut self, tx: Tx, private: bool) -> Result<(), BroadcastError> {
        if self.included.contains_key(&tx.hash) {
            return Err(BroadcastError::AlreadyKnown);
        }
        let refused = |reason: String| BroadcastError::Refused { reason };
        if tx.gas_limit > self.config.gas_limit {
            return Err(refused(format!("gas limit {} exceeds the block's", tx.gas_limit)));
        }
        if tx.envelope.kind == 3 {
            return Err(refused("blob transactions are not taken".to_owned()));
        }
        let (nonce, balance) = self.account(tx.from)?;
        self.pool.add(tx, private, nonce, balance)
    }

    fn account(&self, address: Address) -> Result<(u64, U256), BroadcastError> {
        let found = self.head().world.account(address);
        let found = found.map_err(|it| BroadcastError::Unavailable(Box::new(it)))?;
        Ok(found.map_or((0, U256::ZERO), |it| (it.nonce, it.balance)))
    }

    fn reorg(&mut self, depth: u64) -> Result<Vec<Arc<Observation>>, LocalError> {
        let kept = self.blocks.len() as u64 - 1;
        if depth > kept {
            return Err(LocalError::Depth { asked: depth, kept });
        }
        self.branch += 1;
        let keep = usize::try_from(kept + 1 - depth).unwrap_or(1);
        let dropped: Vec<_> = self.blocks.drain(keep..).map(|it| it.seen).collect();
        for tx in dropped.iter().flat_map(|it| &it.txs) {
            self.included.remove(&tx.hash);
        }
        Ok(dropped)
    }

    /// The block to come, its hash still zero.
    fn next_block(&self, time: Timestamp) -> (BlockRef, BlockEnv) {
        let head = self.head();
        let parent = &head.seen.block;
        let block = BlockRef {
            chain: self.config.chain,
            number: parent.number + 1,
            hash: B256::ZERO,
            parent: parent.hash,
            time,
        };
        let env = BlockEnv {
            beneficiary: self.config.beneficiary,
            gas_limit: self.config.gas_limit,
            base_fee: self.config.next_base_fee(head.seen.env.base_fee, head.gas_used),
            difficulty: U256::ZERO,
            prev_randao: Some(keccak256(parent.hash)),
            excess_blob_gas: Some(0),
            ..BlockEnv::default()
        };
        (block, env)
    }

    fn wait(&mut self, waker: &Waker) {
        if !self.wakers.iter().any(|it| it.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("head", &self.head().seen.block).finish_non_exhaustive()
    }
}

/// Data of a call as hex, cut for people.
fn shown(data: &Bytes) -> String {
    const SHOWN_BYTES_MAX: usize = 68;
    Bytes::copy_from_slice(data.get(..SHOWN_BYTES_MAX).unwrap_or(data)).to_string()
}

fn cause(error: SimError) -> Cause {
    Box::new(error)
}
