//! Orders on their way: release, dispatch, retry, outcome.

use cofferdam_core::{
    AlertKind, BlockRef, ChainId, IncidentId, OrderKey, Record, Severity, Timestamp,
    incident::IncidentState,
    order::{Outcome, Prepared, Sent},
};

use super::{Step, alert::Note};
use crate::{Effect, OrderState, Release, apply::closed, grounds};

impl Step<'_> {
    /// Hands out every order that may go out and is due, and gives up those whose time is over.
    pub(super) fn release_orders(&mut self) {
        let limits = self.engine.limits;
        let (mut over, mut held, mut due) = (Vec::new(), Vec::new(), Vec::new());
        let state = &self.engine.state;
        for (key, it) in state.orders.iter().filter(|(_, it)| it.outcome.is_none()) {
            let over_since = |at: Option<Timestamp>, ms| at.is_none_or(|at| self.passed(at, ms));
            let answered =
                over_since(self.engine.in_flight.get(key).copied(), limits.dispatch_timeout_ms);
            if !answered || !over_since(it.tried_at, limits.dispatch_retry_ms) {
                continue;
            }
            if it.attempts == 0 && self.now > it.order.expires_at {
                over.push((*key, Outcome::Expired));
            } else if it.attempts >= limits.dispatch_attempts_max {
                let reason = format!("no effect after {} attempts", it.attempts);
                over.push((*key, Outcome::Failed { reason }));
            } else if it.is_released(self.now) {
                match grounds::missing(state, &self.engine.plan, it) {
                    None => due.push((it.order.clone(), it.attempts + 1)),
                    Some(because) => held.push((*key, because)),
                }
            }
        }
        for (key, outcome) in over {
            self.on_settled(key, outcome);
        }
        for (key, because) in held {
            self.hold(key, because);
        }
        for (order, attempt) in due {
            self.engine.in_flight.insert(order.key, self.now);
            self.effects.push(Effect::Dispatch { order: Box::new(order), attempt });
        }
    }

    /// An order waits though it is released: kept, and told once for each reason. One that is out and
    /// lost its grounds for good is given up when it would have expired.
    fn hold(&mut self, key: OrderKey, because: String) {
        let Some(it) = self.engine.state.orders.get(&key) else { return };
        let (incident, action) = (it.order.incident, it.order.action.clone());
        if it.attempts > 0 && self.now > it.order.expires_at {
            return self.on_settled(key, Outcome::Failed { reason: because });
        }
        if it.held.as_ref() == Some(&because) {
            return;
        }
        let text = format!("incident {}: {action} waits: {because}", incident.short());
        self.record(Record::Held { key, because });
        self.tell_incident(incident, Severity::High, AlertKind::Update, text);
    }

    /// At each block: ask the chain about every order that is out.
    pub(super) fn ask_outcomes(&mut self, chain: ChainId) {
        let out = self.engine.state.orders_under_way().filter(|it| it.order.chain == chain);
        let asks: Vec<Effect> =
            out.map(|it| Effect::Settle { order: Box::new(it.order.clone()) }).collect();
        self.effects.extend(asks);
    }

    pub(super) fn on_approve(&mut self, key: OrderKey, by: String) {
        let Some(it) = self.engine.state.orders.get(&key) else { return };
        let waiting =
            it.outcome.is_none() && !matches!(it.release, Release::Now | Release::Approved(_));
        if waiting && !it.approvals.contains(&by) {
            self.record(Record::Approved { key, by });
        }
    }

    pub(super) fn on_veto(&mut self, key: OrderKey, by: String, reason: String) {
        let Some(it) = self.engine.state.orders.get(&key).filter(|it| it.outcome.is_none()) else {
            return;
        };
        let (incident, action) = (it.order.incident, it.order.action.clone());
        if it.attempts > 0 || self.engine.may_be_out(&key) {
            let text =
                format!("incident {}: {by} vetoed {action} too late, it is out", incident.short());
            return self.tell_incident(incident, Severity::High, AlertKind::Update, text);
        }
        let text = format!("incident {}: {by} vetoed {action}: {reason}", incident.short());
        self.record(Record::Vetoed { key, by, reason });
        self.tell_incident(incident, Severity::High, AlertKind::Update, text);
    }

    pub(super) fn on_dispatched(&mut self, key: OrderKey, prepared: Prepared, sent: Vec<Sent>) {
        self.engine.in_flight.remove(&key);
        let Some(it) = self.engine.state.orders.get(&key) else { return };
        let attempt = it.attempts + 1;
        self.record(Record::Dispatched { key, attempt, prepared, sent });
    }

    /// An attacker who bids again is outbid again by whatever is out for the incident. What was
    /// decided in this step carries the bid itself.
    pub(super) fn follow_bid(&mut self) {
        let Some(bid) = self.bid else { return };
        let raises = |it: &OrderState| {
            let known = it.order.outbid.map_or(0, |it| it.max_priority_fee_per_gas);
            self.touched.contains(&it.order.incident) && bid.max_priority_fee_per_gas > known
        };
        let out = self.engine.state.orders_under_way().filter(|it| raises(it));
        let raised: Vec<Effect> =
            out.map(|it| Effect::Outbid { order: Box::new(it.order.clone()), bid }).collect();
        self.effects.extend(raised);
    }

    /// What is out for an order is known to restore, so that a restart outbids it instead of queueing
    /// behind it.
    pub(super) fn on_replaced(&mut self, key: OrderKey, sent: Vec<Sent>) {
        let known = self.engine.state.orders.get(&key);
        let fresh = |it: &Sent| known.is_some_and(|order| !order.sent.contains(it));
        let sent: Vec<Sent> = sent.into_iter().filter(fresh).collect();
        if !sent.is_empty() {
            self.record(Record::Replaced { key, sent });
        }
    }

    /// Tells people when a standing authority is lost or back. What did not change is not recorded.
    pub(super) fn on_readiness(&mut self, action: String, because: Vec<String>) {
        let ready = because.is_empty();
        let known = self.engine.state.readiness.get(&action);
        if known.is_some_and(|it| *it == because) || (known.is_none() && ready) {
            return;
        }
        let (kind, text) = match ready {
            true => (AlertKind::Resolved, format!("{action} would work again")),
            false => {
                (AlertKind::Raised, format!("{action} would not work now: {}", because.join("; ")))
            }
        };
        let dedup = format!("readiness/{action}");
        self.record(Record::Readiness { action, ready, because });
        self.tell(Note::of(Severity::Critical, kind, dedup, text));
    }

    pub(super) fn on_dispatch_failed(&mut self, key: OrderKey, reason: String) {
        self.engine.in_flight.remove(&key);
        let Some(it) = self.engine.state.orders.get(&key).filter(|it| it.outcome.is_none()) else {
            return;
        };
        let (attempt, incident, action) =
            (it.attempts + 1, it.order.incident, it.order.action.clone());
        let text =
            format!("incident {}: {action} could not be dispatched: {reason}", incident.short());
        self.record(Record::DispatchFailed { key, attempt, reason });
        // The first failure wakes people; those that follow say the same.
        let severity = if attempt == 1 { Severity::Critical } else { Severity::High };
        self.tell_incident(incident, severity, AlertKind::Update, text);
    }

    pub(super) fn on_settled(&mut self, key: OrderKey, outcome: Outcome) {
        self.engine.in_flight.remove(&key);
        let Some(it) = self.engine.state.orders.get(&key).filter(|it| it.outcome.is_none()) else {
            return;
        };
        let (incident, action) = (it.order.incident, it.order.action.clone());
        if matches!(&outcome, Outcome::Effective { block, .. } if !self.is_ours(block)) {
            return;
        }
        self.record(Record::Settled { key, outcome: outcome.clone() });
        let state = self.engine.state.incidents.get(&incident).map(|it| it.state);
        let open = state.is_some_and(|it| !closed(it));
        if let (true, Outcome::Effective { block, .. }) = (open, &outcome) {
            let because = format!("{action} is effective since block {}", block.number);
            let state = IncidentState::Contained;
            self.record(Record::IncidentMoved { incident, state, because });
        }
        let (kind, what) = match &outcome {
            Outcome::Effective { block, .. } => {
                (AlertKind::Update, format!("is effective since block {}", block.number))
            }
            Outcome::Failed { reason } => (AlertKind::Raised, format!("failed: {reason}")),
            Outcome::Expired => (AlertKind::Raised, "was not released in time".to_owned()),
            Outcome::Vetoed { by } => (AlertKind::Update, format!("was vetoed by {by}")),
        };
        let text = format!("incident {}: {action} {what}", incident.short());
        // Nobody is woken for an incident that is over.
        let kind = if open { kind } else { AlertKind::Update };
        self.tell_incident(incident, Severity::Critical, kind, text);
        if open && matches!(outcome, Outcome::Failed { .. } | Outcome::Expired) {
            self.reconsider(incident, &action);
        }
    }

    /// Whether a block is one that we evaluated and that was not reorganised out since. An effect seen
    /// in another one is asked for again at the next block.
    fn is_ours(&self, block: &BlockRef) -> bool {
        let trail = self.engine.state.chains.get(&block.chain.0).map(|it| &it.trail);
        trail.is_some_and(|trail| {
            let oldest = trail.front().map_or(0, |it| it.block.number);
            block.number < oldest || trail.iter().any(|it| it.block.hash == block.hash)
        })
    }

    /// An order came to nothing: another one is decided, unless this action failed too often.
    fn reconsider(&mut self, incident: IncidentId, action: &str) {
        self.touched.insert(incident);
        self.tell_beyond(incident, action);
    }

    /// Says that an action failed too often, unless that was the last thing said.
    pub(super) fn tell_beyond(&mut self, incident: IncidentId, action: &str) {
        let failed = self.failed_orders(incident, action);
        if failed < self.engine.limits.orders_failed_max {
            return;
        }
        let text = format!(
            "incident {}: {action} does not contain it, {failed} orders came to nothing; it is not tried again",
            incident.short()
        );
        let thread = self.engine.state.outbox.open_thread(&incident.to_string());
        if thread.is_none_or(|it| it.text != text) {
            self.tell_incident(incident, Severity::Critical, AlertKind::Raised, text);
        }
    }

    /// Orders for the action in the incident that failed or expired.
    pub(super) fn failed_orders(&self, incident: IncidentId, action: &str) -> usize {
        let of = |it: &&OrderState| it.order.incident == incident && it.order.action == action;
        let orders = self.engine.state.orders.values().filter(of);
        orders.filter(|it| it.failed()).count()
    }
}
