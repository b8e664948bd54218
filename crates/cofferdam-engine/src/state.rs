//! The engine's lasting state: a fold over journal records, and nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cofferdam_core::{
    BlockRef, ChainId, Finding, FindingId, IncidentId, OrderKey, Probability, Timestamp, Usd,
    incident::Incident,
    order::{Order, Outcome, Prepared, Sent},
    record::Memo,
};
use serde::{Deserialize, Serialize};

use crate::{holdings::HOLDINGS_KEY, outbox::Outbox};

/// Version of the state's JSON in snapshots.
pub(crate) const STATE_VERSION: u32 = 1;

/// Everything the engine knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// By chain: cursor, recent blocks, rule state, blindness.
    pub chains: BTreeMap<u64, ChainView>,
    /// Findings that may still matter.
    pub findings: BTreeMap<FindingId, FindingState>,
    /// Incidents, open and recently closed.
    pub incidents: BTreeMap<IncidentId, Incident>,
    /// Orders of these incidents.
    pub orders: BTreeMap<OrderKey, OrderState>,
    /// Alerts on their way to people.
    #[serde(default)]
    pub outbox: Outbox,
    /// What is wrong with each action that was once not ready, by action; empty if it is ready again.
    #[serde(default)]
    pub readiness: BTreeMap<String, Vec<String>>,
    /// Records since the last snapshot.
    pub records_since_snapshot: u64,
}

/// One chain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChainView {
    /// Recent canonical blocks, oldest first; the last one is the cursor.
    pub trail: VecDeque<Trail>,
    /// State of the rules, and of the engine's own per-block notes (keys with `engine/`).
    pub memos: BTreeMap<String, Memo>,
    /// Set while we cannot look.
    pub blind: Option<Blindness>,
    /// Blocks below the trail, oldest first: they cannot be undone, but a deep branch that is accepted
    /// is found to begin among them.
    #[serde(default)]
    pub ancestors: VecDeque<BlockRef>,
    /// The first block to be evaluated when there is no cursor: nothing before the first start, and
    /// where our old branch began after another one was accepted.
    #[serde(default)]
    pub resume_at: Option<u64>,
}

/// One block of the trail, with what undoes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trail {
    /// The block.
    pub block: BlockRef,
    /// Memos before this block, for those that it changed.
    pub undo: Vec<(String, Option<Memo>)>,
    /// How many endpoints vouched for it.
    #[serde(default = "one")]
    pub witnesses: u16,
}

/// Since when and why we cannot look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blindness {
    /// First block that could not be evaluated.
    pub from: u64,
    /// Why, for people.
    pub because: String,
    /// When it began.
    pub since: Timestamp,
}

/// A finding and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingState {
    /// The finding; its stage is kept up to date.
    pub finding: Finding,
    /// When it was first made.
    pub at: Timestamp,
    /// The incident it belongs to.
    pub incident: Option<IncidentId>,
    /// How many endpoints vouched for its block.
    #[serde(default = "one")]
    pub witnesses: u16,
}

/// An order and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderState {
    /// The order.
    pub order: Order,
    /// Whether it may go out.
    pub release: Release,
    /// Probability, when it was decided, that it is for nothing.
    #[serde(default)]
    pub doubt: Probability,
    /// Who approved it so far.
    #[serde(default)]
    pub approvals: BTreeSet<String>,
    /// What it waits for though it is released, for people.
    #[serde(default)]
    pub held: Option<String>,
    /// Attempts so far, failed ones included.
    pub attempts: u32,
    /// When it was last tried.
    pub tried_at: Option<Timestamp>,
    /// What was simulated for the last attempt; `None` before the first.
    #[serde(default)]
    pub prepared: Option<Prepared>,
    /// Everything sent for it.
    pub sent: Vec<Sent>,
    /// What became of it.
    pub outcome: Option<Outcome>,
}

/// Whether an order may go out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Release {
    /// At once.
    Now,
    /// When the veto window is over.
    After(Timestamp),
    /// When a person approves.
    OnApproval,
    /// As many people as the plan asks for approved.
    Approved(String),
}

fn one() -> u16 {
    1
}

impl State {
    /// The cursor of `chain`: the last evaluated block.
    pub fn head(&self, chain: ChainId) -> Option<BlockRef> {
        self.chains.get(&chain.0).and_then(|it| it.trail.back()).map(|it| it.block)
    }

    /// Blindness by chain.
    pub fn blind(&self) -> impl Iterator<Item = (ChainId, &Blindness)> {
        self.chains.iter().filter_map(|(id, it)| Some((ChainId(*id), it.blind.as_ref()?)))
    }

    /// Orders that are neither settled nor waiting for a person.
    pub fn orders_under_way(&self) -> impl Iterator<Item = &OrderState> {
        self.orders.values().filter(|it| it.outcome.is_none() && it.attempts > 0)
    }

    /// What the entity was last seen to hold, over all chains.
    pub(crate) fn held(&self, entity: &str) -> Option<Usd> {
        let key = format!("{HOLDINGS_KEY}{entity}");
        let memos = self.chains.values().filter_map(|it| it.memos.get(&key));
        let values = memos.filter_map(|it| serde_json::from_value::<Usd>(it.clone()).ok());
        values.reduce(Usd::plus)
    }

    pub(crate) fn chain_mut(&mut self, chain: ChainId) -> &mut ChainView {
        self.chains.entry(chain.0).or_default()
    }
}

impl OrderState {
    /// Whether it ended without effect though nobody refused it.
    pub fn came_to_nothing(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Failed { .. } | Outcome::Expired))
    }

    /// Whether it was tried in vain. One that was withdrawn before it went out was not.
    pub fn failed(&self) -> bool {
        self.came_to_nothing() && !(self.outcome != Some(Outcome::Expired) && self.attempts == 0)
    }

    /// Whether it may go out at `now`.
    pub fn is_released(&self, now: Timestamp) -> bool {
        match &self.release {
            Release::Now | Release::Approved(_) => true,
            Release::After(at) => now >= *at,
            Release::OnApproval => false,
        }
    }
}
