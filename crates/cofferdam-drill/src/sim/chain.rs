//! Simulated chains: a tree of blocks, a pool, a vault that can be paused, and branches that lose.

use alloy_primitives::B256;
use cofferdam_core::{BlockRef, ChainId, OrderKey, Timestamp};

use super::{
    plan::{HELD, TAKEN, chain_id},
    rng::Rng,
};

/// Number of the block below the first one.
const GENESIS: u64 = 100;

/// A chain.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) id: ChainId,
    /// Every block there ever was; parents before children.
    pub(crate) blocks: Vec<Block>,
    /// The canonical head.
    pub(crate) tip: usize,
    /// Transactions that wait for a block.
    pub(crate) pool: Vec<PoolTx>,
    pub(crate) block_ms: u64,
    /// Whether a pause has an effect on this vault.
    pub(crate) containable: bool,
    /// The source tells nothing before this time.
    pub(crate) hung_until: u64,
}

/// A block with the state after it.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) at: BlockRef,
    pub(crate) parent: Option<usize>,
    pub(crate) attacks: Vec<Attack>,
    pub(crate) pauses: Vec<OrderKey>,
    pub(crate) held: u64,
    pub(crate) paused: bool,
    /// The most endpoints that were said to vouch for it.
    pub(crate) witnesses: u16,
}

/// An attack in a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attack {
    pub(crate) hash: B256,
    /// What it took, 0 if it reverted.
    pub(crate) taken: u64,
}

/// A transaction in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolTx {
    Attack(B256),
    Pause(OrderKey),
}

impl Chain {
    pub(crate) fn new(at: usize, rng: &mut Rng) -> Self {
        let id = chain_id(at);
        let hash = word(rng);
        let block = BlockRef {
            chain: id,
            number: GENESIS,
            hash,
            parent: B256::ZERO,
            time: Timestamp(super::START_MS),
        };
        let genesis = Block {
            at: block,
            parent: None,
            attacks: Vec::new(),
            pauses: Vec::new(),
            held: HELD,
            paused: false,
            witnesses: 0,
        };
        Self {
            id,
            blocks: vec![genesis],
            tip: 0,
            pool: Vec::new(),
            block_ms: [5_000, 6_000, 8_000].get(rng.below(3) as usize).copied().unwrap_or(6_000),
            containable: !rng.chance(80),
            hung_until: 0,
        }
    }

    pub(crate) fn head(&self) -> Option<&Block> {
        self.blocks.get(self.tip)
    }

    pub(crate) fn find(&self, hash: B256) -> Option<usize> {
        self.blocks.iter().rposition(|it| it.at.hash == hash)
    }

    /// A child of `parent` with `txs`, executed in order. It is not canonical yet.
    pub(crate) fn child(&mut self, parent: usize, txs: &[PoolTx], rng: &mut Rng) -> Option<usize> {
        let above = self.blocks.get(parent)?;
        let (mut held, mut paused) = (above.held, above.paused);
        let (mut attacks, mut pauses) = (Vec::new(), Vec::new());
        for tx in txs {
            match tx {
                PoolTx::Attack(hash) => {
                    let taken = if paused || held < TAKEN { 0 } else { TAKEN };
                    held -= taken;
                    attacks.push(Attack { hash: *hash, taken });
                }
                PoolTx::Pause(key) => {
                    paused |= self.containable;
                    pauses.push(*key);
                }
            }
        }
        let at = BlockRef {
            chain: self.id,
            number: above.at.number + 1,
            hash: word(rng),
            parent: above.at.hash,
            time: above.at.time.plus_ms(self.block_ms),
        };
        let parent = Some(parent);
        self.blocks.push(Block { at, parent, attacks, pauses, held, paused, witnesses: 0 });
        Some(self.blocks.len() - 1)
    }

    /// Takes what the next block holds out of the pool.
    pub(crate) fn draw(&mut self, rng: &mut Rng, lazy: bool) -> Vec<PoolTx> {
        let mut txs = Vec::new();
        self.pool.retain(|it| {
            let left = lazy && rng.chance(250);
            if !left {
                txs.push(*it);
            }
            left
        });
        txs
    }

    /// Replaces the uppermost `depth` blocks; their transactions return to the pool.
    pub(crate) fn reorganise(&mut self, depth: u64, rng: &mut Rng) -> Option<Vec<usize>> {
        let mut at = self.tip;
        for _ in 0..depth {
            let block = self.blocks.get(at)?;
            at = block.parent?;
            let attacks = block.attacks.iter().map(|it| PoolTx::Attack(it.hash));
            let pauses = block.pauses.iter().map(|it| PoolTx::Pause(*it));
            for tx in attacks.chain(pauses) {
                if !self.pool.contains(&tx) {
                    self.pool.push(tx);
                }
            }
        }
        let mut branch = Vec::new();
        for _ in 0..=depth {
            let txs = if rng.chance(500) { self.draw(rng, true) } else { Vec::new() };
            at = self.child(at, &txs, rng)?;
            branch.push(at);
        }
        self.tip = at;
        Some(branch)
    }

    /// The canonical blocks from `from` on, in order.
    pub(crate) fn canonical_from(&self, from: u64) -> Vec<usize> {
        let mut out = Vec::new();
        let mut at = Some(self.tip);
        while let Some((index, block)) = at.and_then(|it| Some((it, self.blocks.get(it)?))) {
            if block.at.number < from || block.parent.is_none() {
                break;
            }
            out.push(index);
            at = block.parent;
        }
        out.reverse();
        out
    }

    /// Whether the block is `other` or below it.
    pub(crate) fn is_ancestor(&self, hash: B256, of: usize) -> bool {
        let mut at = Some(of);
        while let Some(block) = at.and_then(|it| self.blocks.get(it)) {
            if block.at.hash == hash {
                return true;
            }
            at = block.parent;
        }
        false
    }
}

impl Block {
    /// Whether an attack in it took something.
    pub(crate) fn took(&self) -> bool {
        self.attacks.iter().any(|it| it.taken > 0)
    }
}

/// A random word, for hashes.
pub(crate) fn word(rng: &mut Rng) -> B256 {
    let mut out = B256::ZERO;
    for chunk in out.0.chunks_mut(8) {
        chunk.copy_from_slice(&rng.next().to_be_bytes());
    }
    out
}
