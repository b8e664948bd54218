//! Losses within a sliding window of block time, per entity.
//!
//! **Invariant:** the state is bounded by the number of entities, whatever an attacker does: losses of
//! one sixtieth of the window are one sum.

use std::collections::BTreeMap;

use cofferdam_core::{Timestamp, Usd, record::Memo};
use serde::{Deserialize, Serialize};

use crate::{MemoError, loss::Loss};

/// Parts into which the window is cut.
const BUCKETS: u64 = 60;

/// The windows of all entities.
#[derive(Debug)]
pub(crate) struct Windows {
    /// In milliseconds.
    length: u64,
    by_entity: BTreeMap<String, Vec<Bucket>>,
}

/// Losses of one part of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Bucket {
    /// Start, in milliseconds.
    at: u64,
    #[serde(flatten)]
    sum: Sum,
}

/// Losses added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sum {
    /// All losses.
    pub(crate) all: Usd,
    /// Those with a sign of an attack.
    pub(crate) suspect: Usd,
    /// Those with a strong sign.
    pub(crate) strong: Usd,
    /// Those reported already.
    pub(crate) told: Usd,
    /// The most that was held before one of them.
    pub(crate) held: Usd,
}

impl Windows {
    /// Empty windows of `length` milliseconds.
    pub(crate) fn new(length: u64) -> Self {
        Self { length, by_entity: BTreeMap::new() }
    }

    /// Adds a loss to the window of `entity`, drops what is too old, and returns the rest added up.
    pub(crate) fn remember(&mut self, entity: &str, now: Timestamp, loss: &Loss) -> Sum {
        let width = (self.length / BUCKETS).max(1);
        let start = now.0 / width * width;
        let oldest = now.0.saturating_sub(self.length);
        let window = self.by_entity.entry(entity.to_owned()).or_default();
        window.retain(|it| it.at.saturating_add(width) > oldest);
        if window.last().is_none_or(|it| it.at != start) {
            window.push(Bucket { at: start, sum: Sum::default() });
        }
        if let Some(Bucket { sum, .. }) = window.last_mut() {
            sum.all = sum.all.plus(loss.value);
            if !loss.signs.is_empty() {
                sum.suspect = sum.suspect.plus(loss.value);
            }
            if loss.signs.iter().any(|it| it.is_strong()) {
                sum.strong = sum.strong.plus(loss.value);
            }
            sum.held = sum.held.max(loss.held.unwrap_or_default());
        }
        window.iter().fold(Sum::default(), |sum, it| Sum {
            all: sum.all.plus(it.sum.all),
            suspect: sum.suspect.plus(it.sum.suspect),
            strong: sum.strong.plus(it.sum.strong),
            told: sum.told.plus(it.sum.told),
            held: sum.held.max(it.sum.held),
        })
    }

    /// Marks every loss in the window of `entity` as reported and returns what was not yet.
    pub(crate) fn tell(&mut self, entity: &str) -> Usd {
        let mut untold = Usd::ZERO;
        for Bucket { sum, .. } in self.by_entity.get_mut(entity).into_iter().flatten() {
            untold = untold.plus(sum.all).minus(sum.told);
            sum.told = sum.all;
        }
        untold
    }

    /// The state, `None` if empty.
    pub(crate) fn memo(&self) -> Option<Memo> {
        if self.by_entity.is_empty() { None } else { serde_json::to_value(&self.by_entity).ok() }
    }

    /// Takes a state back.
    pub(crate) fn recall(&mut self, memo: Option<&Memo>) -> Result<(), MemoError> {
        self.by_entity.clear();
        if let Some(memo) = memo {
            self.by_entity = BTreeMap::deserialize(memo).map_err(MemoError)?;
        }
        Ok(())
    }
}
