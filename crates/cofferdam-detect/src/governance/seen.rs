//! What is remembered of proposals and of votes.
//!
//! **Invariant:** bounded, whatever an attacker does: proposals by number and age, delegates by number.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};

/// Proposals remembered; the oldest is forgotten first.
const PROPOSALS_MAX: usize = 64;
/// Delegates remembered; the one with the fewest votes is forgotten first.
const DELEGATES_MAX: usize = 256;
/// How long a proposal is remembered.
const PROPOSAL_AGE_SECS: u64 = 90 * 86_400;
/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen {
    /// Oldest first.
    pub(crate) open: Vec<Proposal>,
    pub(crate) power: BTreeMap<Address, Power>,
}

/// A proposal that may still be executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proposal {
    pub(crate) governor: Address,
    pub(crate) id: B256,
    /// In seconds.
    pub(crate) at: u64,
    /// Code hashes of what it calls, when it was proposed; zero: no code.
    pub(crate) codes: BTreeMap<Address, B256>,
}

/// How a delegate came by its votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Power {
    /// When the present rise began, in seconds.
    pub(crate) at: u64,
    pub(crate) before: U256,
    pub(crate) now: U256,
}

impl Seen {
    /// The proposal `id` of `governor`, if it is open.
    pub(crate) fn proposal(&self, governor: Address, id: B256) -> Option<&Proposal> {
        self.open.iter().find(|it| (it.governor, it.id) == (governor, id))
    }

    /// Forgets the proposal `id` of `governor`.
    pub(crate) fn close(&mut self, governor: Address, id: B256) {
        self.open.retain(|it| (it.governor, it.id) != (governor, id));
    }

    /// Remembers a proposal in place of an earlier one of the same id.
    pub(crate) fn remember(&mut self, it: Proposal) {
        let now = it.at;
        self.close(it.governor, it.id);
        self.open.retain(|known| known.at.saturating_add(PROPOSAL_AGE_SECS) > now);
        self.open.push(it);
        let over = self.open.len().saturating_sub(PROPOSALS_MAX);
        self.open.drain(..over);
    }

    /// The votes of `delegate` changed at `now`; a rise is remembered for `lately`, both in seconds.
    pub(crate) fn gained(
        &mut self,
        delegate: Address,
        (before, after): (U256, U256),
        (now, lately): (u64, u64),
    ) {
        let power = &mut self.power;
        power.retain(|_, it| it.at.saturating_add(lately) > now);
        let known = power.get(&delegate).copied();
        if after <= known.map_or(before, |it| it.before) {
            power.remove(&delegate);
            return;
        }
        let begun = known.map_or((now, before), |it| (it.at, it.before));
        if power.len() >= DELEGATES_MAX && known.is_none() {
            let least = power.iter().min_by_key(|it| it.1.now).map(|it| *it.0);
            least.and_then(|it| power.remove(&it));
        }
        power.insert(delegate, Power { at: begun.0, before: begun.1, now: after });
    }
}
