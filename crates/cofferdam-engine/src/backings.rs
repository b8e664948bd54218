//! Notes about what bridges locked and issued, kept as memos of the chain they tell of.
//!
//! **Invariant:** a note is written by a block of its chain and undone with it; the sums are compared anew with each
//! block of either chain, at a time that both have been seen up to.

use alloy_primitives::U256;
use cofferdam_core::{BlockRef, ChainId, Finding, Observation, Timestamp, record::Memo};
use cofferdam_detect::bridge::{Backing, Level, backing::Side};
use serde::Deserialize;

use crate::state::{ChainView, State};

/// Prefix of the notes.
const BACKING_KEY: &str = "engine/backing/";
/// Changes of one side that are remembered; the oldest is forgotten first.
const LEVELS_MAX: usize = 512;

fn prefix(backing: &Backing, side: Side) -> String {
    let side = if side == Side::Locked { "locked" } else { "issued" };
    format!("{BACKING_KEY}{}/{side}/", backing.id)
}

/// The levels of a side, oldest first, with their keys.
fn levels(view: &ChainView, prefix: &str) -> Vec<(String, Level)> {
    let from = view.memos.range(prefix.to_owned()..);
    let mine = from.take_while(|it| it.0.starts_with(prefix));
    mine.filter_map(|(key, memo)| Some((key.clone(), Level::deserialize(memo).ok()?))).collect()
}

/// What the block of `observation` adds to and takes from the notes of its chain.
pub(crate) fn notes(
    backings: &[Backing],
    view: Option<&ChainView>,
    observation: &Observation,
) -> Vec<(String, Memo)> {
    let (empty, block) = (ChainView::default(), observation.block);
    let view = view.unwrap_or(&empty);
    let mut memos = Vec::new();
    for backing in backings {
        for (side, before, after) in backing.told(observation) {
            let known = levels(view, &prefix(backing, side));
            let last = known.last().map(|it| it.1.amount);
            let mut note = |since: Timestamp, amount| {
                // Sorted by time, then height.
                let key =
                    format!("{}{:016x}/{:016x}", prefix(backing, side), since.0, block.number);
                if let Ok(memo) = serde_json::to_value(Level { amount, since, block }) {
                    memos.push((key, memo));
                }
            };
            if let (None, Some(before)) = (last, before) {
                // The parent's own time is not known; it is older than the block's.
                note(Timestamp(block.time.0.saturating_sub(1)), before);
            }
            if last != Some(after) {
                note(block.time, after);
            }
            let over = known.len().saturating_sub(LEVELS_MAX);
            memos.extend(known.into_iter().take(over).map(|it| (it.0, Memo::Null)));
        }
    }
    memos
}

/// What is not covered on the backings that `chain` is a side of.
pub(crate) fn uncovered(backings: &[Backing], state: &State, chain: ChainId) -> Vec<Finding> {
    let mine = backings.iter().filter(|it| it.vault == chain || it.issuer == chain);
    mine.filter_map(|it| judge(it, state)).collect()
}

fn judge(it: &Backing, state: &State) -> Option<Finding> {
    let heads = [it.vault, it.issuer].map(|chain| state.head(chain).map(|it| it.time));
    let [Some(vault), Some(issuer)] = heads else { return None };
    let until = vault.min(issuer);
    let since = Timestamp(until.0.saturating_sub(it.settle));
    let (locked, vault) = in_force(it, state, Side::Locked, since, until)?;
    let (issued, issuer) = in_force(it, state, Side::Issued, since, until)?;
    // What is found rests on the later change: if that is taken back, so is this.
    let changed = if vault.time > issuer.time { vault } else { issuer };
    it.judge(locked.into_iter().max()?, issued.into_iter().min()?, changed)
}

/// The amounts of a side at all times from `since` to `until`, and the last block that changed it; `None` if what it
/// was then is not known.
fn in_force(
    it: &Backing,
    state: &State,
    side: Side,
    since: Timestamp,
    until: Timestamp,
) -> Option<(Vec<U256>, BlockRef)> {
    let chain = if side == Side::Locked { it.vault } else { it.issuer };
    let levels = levels(state.chains.get(&chain.0)?, &prefix(it, side));
    let first = levels.iter().rposition(|it| it.1.since <= since)?;
    let during = levels.get(first..)?.iter().take_while(|it| it.1.since <= until);
    let during: Vec<&Level> = during.map(|it| &it.1).collect();
    let changed = during.last()?.block;
    Some((during.into_iter().map(|it| it.amount).collect(), changed))
}
