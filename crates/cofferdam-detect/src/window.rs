//! Losses within a sliding window of block time, per entity.
//!
//! **Invariant:** the state is bounded by the number of entities, whatever an attacker does: losses of
//! one sixtieth of the window are one sum.

use std::{collections::BTreeMap, fmt::Write as _};

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
    by_entity: BTreeMap<String, Window>,
}

/// The window of one entity, oldest part first. A memo is made, compared, kept and hashed with every
/// block, so it is one text and not a tree of named values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
struct Window(Vec<Bucket>);

/// Losses of one part of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Bucket {
    /// Start, in milliseconds.
    at: u64,
    sum: Sum,
}

/// Losses added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
        let window = &mut self.by_entity.entry(entity.to_owned()).or_default().0;
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
        for Bucket { sum, .. } in
            self.by_entity.get_mut(entity).into_iter().flat_map(|it| &mut it.0)
        {
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

impl From<Window> for String {
    /// `start,all,suspect,strong,told,held` in milliseconds and micro-dollars, parts apart by `;`.
    fn from(it: Window) -> Self {
        let mut out = Self::new();
        for Bucket { at, sum: Sum { all, suspect, strong, told, held } } in it.0 {
            let apart = if out.is_empty() { "" } else { ";" };
            let (all, suspect, strong, told, held) = (all.0, suspect.0, strong.0, told.0, held.0);
            // Writing to a string cannot fail.
            let _ = write!(out, "{apart}{at},{all},{suspect},{strong},{told},{held}");
        }
        out
    }
}

/// A window's text is not what we write.
#[derive(Debug, thiserror::Error)]
#[error("part {part} of a window of losses is malformed")]
struct Malformed {
    part: usize,
}

impl TryFrom<String> for Window {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        let parts = text.split(';').filter(|it| !it.is_empty()).enumerate();
        parts
            .map(|(part, it)| bucket(it).ok_or(Malformed { part }))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn bucket(text: &str) -> Option<Bucket> {
    let (at, sums) = text.split_once(',')?;
    let sums: Result<Vec<i128>, _> = sums.split(',').map(str::parse).collect();
    let [all, suspect, strong, told, held] = <[i128; 5]>::try_from(sums.ok()?).ok()?.map(Usd);
    Some(Bucket { at: at.parse().ok()?, sum: Sum { all, suspect, strong, told, held } })
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;
    use cofferdam_core::{Timestamp, Usd};
    use serde_json::json;

    use super::Windows;
    use crate::loss::Loss;

    #[test]
    fn a_window_is_the_same_after_its_memo() {
        let mut windows = Windows::new(300_000);
        for block in 0..40 {
            let loss = Loss {
                value: Usd::whole(block),
                held: Some(Usd::whole(9)),
                subject: Address::ZERO,
                signs: Vec::new(),
                evidence: Vec::new(),
            };
            let sum = windows.remember("a", Timestamp(1_000 + block as u64 * 12_000), &loss);
            assert!(sum.all >= Usd::whole(block));
        }
        assert!(windows.tell("a") > Usd::ZERO);
        let memo = windows.memo();
        let mut back = Windows::new(300_000);
        back.recall(memo.as_ref()).expect("a memo of ours");
        assert_eq!((back.memo(), back.tell("a")), (memo, Usd::ZERO));
    }

    #[test]
    fn a_memo_of_something_else_is_refused() {
        let mut windows = Windows::new(300_000);
        for text in ["1", "1,2,3", "x,1,1,1,1,1", "1,1,1,1,1,1,1", "1,1,1,1,1,1;;x", "-1,1,1,1,1,1"]
        {
            assert!(windows.recall(Some(&json!({ "a": text }))).is_err(), "{text}");
        }
        assert!(windows.recall(Some(&json!({ "a": "" }))).is_ok());
    }
}
