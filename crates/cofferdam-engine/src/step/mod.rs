//! One step: an input changes the state through records and yields effects.

mod alert;
mod around;
mod block;
mod bridge;
mod deliver;
mod order;
mod respond;
mod resume;

use std::collections::{BTreeMap, BTreeSet};

use cofferdam_core::{ChainId, IncidentId, Record, Timestamp, Usd, order::Bid};

use crate::{Command, Effect, Engine, Input, apply::apply};

/// The effects of one step, collected in order.
pub(crate) struct Step<'a> {
    pub(crate) engine: &'a mut Engine,
    pub(crate) now: Timestamp,
    pub(crate) effects: Vec<Effect>,
    /// Incidents whose evidence changed: decided upon before the step ends.
    pub(crate) touched: BTreeSet<IncidentId>,
    /// Incidents that are looked at again because of a restart, and that nothing is new about.
    pub(crate) taken_up: BTreeSet<IncidentId>,
    /// What the pending transaction of this step bids.
    pub(crate) bid: Option<Bid>,
    /// The chain that this step took a block of.
    pub(crate) advanced: Option<ChainId>,
    /// What entities held just before the observation of this step, as far as it told.
    pub(crate) held: BTreeMap<String, Usd>,
}

pub(crate) fn step(engine: &mut Engine, now: Timestamp, input: Input) -> Vec<Effect> {
    let mut it = Step {
        engine,
        now,
        effects: Vec::new(),
        touched: BTreeSet::new(),
        taken_up: BTreeSet::new(),
        bid: None,
        advanced: None,
        held: BTreeMap::new(),
    };
    it.take_up();
    match input {
        Input::Block(observation) => it.on_block(observation),
        Input::Pending(observation) => it.on_pending(&observation, None),
        Input::PendingElsewhere { observation, context } => {
            it.on_pending(&observation, Some(&context));
        }
        Input::External(finding) => it.on_findings(vec![*finding]),
        Input::Blind { chain, from, because } => it.on_blind(chain, from, because),
        Input::Command(Command::Approve { key, by }) => it.on_approve(key, by),
        Input::Command(Command::Veto { key, by, reason }) => it.on_veto(key, by, reason),
        Input::Command(Command::Close { incident, by, false_alarm }) => {
            it.on_close(incident, by, false_alarm);
        }
        Input::Command(Command::AcceptFork { chain, by }) => it.on_accept_fork(chain, by),
        Input::Delivered { sink, alert } => it.on_delivered(sink, alert),
        Input::DeliveryFailed { sink, alert, because, permanent, after_ms } => {
            it.on_delivery_failed(sink, alert, because, (permanent, after_ms));
        }
        Input::Dispatched { key, prepared, sent } => it.on_dispatched(key, prepared, sent),
        Input::DispatchFailed { key, reason } => it.on_dispatch_failed(key, reason),
        Input::Settled { key, outcome } => it.on_settled(key, outcome),
        Input::Replaced { key, sent } => it.on_replaced(key, sent),
        Input::Witnessed { block, witnesses } => it.on_vouched(block, witnesses),
        Input::Readiness { action, because } => it.on_readiness(action, because),
        Input::Tick => it.expire_pending(),
    }
    it.follow_bid();
    it.decide_anew();
    it.decide_touched();
    it.release_orders();
    // An order that was given up calls for another decision. Orders may fail so often and no more.
    while !it.touched.is_empty() {
        it.decide_touched();
        it.release_orders();
    }
    it.page_blindness();
    it.release_deliveries();
    it.snapshot_if_due();
    it.effects
}

impl Step<'_> {
    /// Records and applies: the only way a step changes the state.
    pub(crate) fn record(&mut self, record: Record) {
        let engine = &mut *self.engine;
        apply(&mut engine.state, &engine.plan, &engine.limits, self.now, &record);
        self.effects.push(Effect::Record(record));
    }

    /// Whether `ms` have passed since `at`. A clock that went back behind `at` tells nothing: then
    /// what waits is due, because doing it again is harmless and waiting for the clock is not.
    pub(crate) fn passed(&self, at: Timestamp, ms: u64) -> bool {
        self.now < at || self.now.since_ms(at) >= ms
    }

    fn snapshot_if_due(&mut self) {
        let due = self.engine.state.records_since_snapshot >= self.engine.limits.snapshot_records;
        if !due {
            return;
        }
        // A memo that cannot be written as JSON keeps the journal replayable from zero; the next block
        // tries again.
        if let Ok(record) = self.engine.snapshot() {
            self.record(record);
        }
    }
}
