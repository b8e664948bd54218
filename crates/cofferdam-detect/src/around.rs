//! What rules are told that is not in the observation: attacks going on elsewhere, and what the public
//! saw before it was mined.

use std::collections::VecDeque;

use alloy_primitives::{B256, map::B256Set};
use cofferdam_core::{Observation, Stage};

use crate::sketch::Shape;

/// Pending transactions remembered; the oldest is forgotten first.
const PENDING_MAX: usize = 65_536;
/// Blocks over which it is counted how much of what is mined was seen before.
const BLOCKS: usize = 64;
/// Mined transactions below which nothing is said about what was not seen.
const MINED_MIN: u32 = 200;
/// Share in percent of what is mined that must have been seen for the rest to be remarkable.
const COVERED_PERCENT: u32 = 60;

/// What the engine tells the rules of one chain.
#[derive(Debug, Default)]
pub struct Around {
    /// Shapes of the transactions of open incidents, on any chain.
    pub active: Vec<Shape>,
    /// Transactions seen while they were pending.
    pub public: Public,
}

/// Transactions seen while they were pending. Not lasting: after a restart nothing is said until enough is
/// mined again.
#[derive(Debug, Default)]
pub struct Public {
    seen: B256Set,
    order: VecDeque<B256>,
    /// Mined, and seen among them, by block.
    blocks: VecDeque<(u32, u32)>,
}

impl Public {
    /// Takes note of an observation: of a pending transaction, or of how much of a block was seen before.
    pub fn note(&mut self, observation: &Observation) {
        if observation.stage != Stage::Pending {
            let seen = observation.txs.iter().filter(|it| self.seen.contains(&it.hash)).count();
            let count = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
            self.blocks.push_back((count(observation.txs.len()), count(seen)));
            if self.blocks.len() > BLOCKS {
                self.blocks.pop_front();
            }
            return;
        }
        for tx in &observation.txs {
            if self.seen.insert(tx.hash) {
                self.order.push_back(tx.hash);
            }
        }
        while self.order.len() > PENDING_MAX {
            self.order.pop_front().map(|it| self.seen.remove(&it));
        }
    }

    /// Whether a mined transaction was kept from the public, as far as we see the public at all.
    pub(crate) fn missed(&self, tx: B256) -> bool {
        let sum = |sum: (u32, u32), it: &(u32, u32)| {
            (sum.0.saturating_add(it.0), sum.1.saturating_add(it.1))
        };
        let (mined, seen) = self.blocks.iter().fold((0, 0), sum);
        let sighted = u64::from(seen) * 100 >= u64::from(mined) * u64::from(COVERED_PERCENT);
        mined >= MINED_MIN && sighted && !self.seen.contains(&tx)
    }
}
