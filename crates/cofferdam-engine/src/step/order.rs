//! Orders on their way: release, dispatch, retry, outcome.

use cofferdam_core::{
    ChainId, OrderKey, Record, Severity, Timestamp,
    incident::IncidentState,
    order::{Outcome, Prepared, Sent},
};

use super::Step;
use crate::{Effect, OrderState, Release, apply::closed};

impl Step<'_> {
    /// Hands out every order that may go out and is due, and gives up those whose time is over.
    pub(super) fn release_orders(&mut self) {
        let limits = self.engine.limits;
        let now = self.now;
        let mut over = Vec::new();
        let mut due = Vec::new();
        for (key, it) in self.engine.state.orders.iter().filter(|(_, it)| it.outcome.is_none()) {
            let rested = |at: Option<Timestamp>| {
                at.is_none_or(|at| now.since_ms(at) >= limits.dispatch_retry_ms)
            };
            let waited = rested(it.tried_at) && rested(self.engine.in_flight.get(key).copied());
            if it.attempts == 0 && now > it.order.expires_at {
                over.push((*key, Outcome::Expired));
            } else if it.attempts >= limits.dispatch_attempts_max && waited {
                let reason = format!("no effect after {} attempts", it.attempts);
                over.push((*key, Outcome::Failed { reason }));
            } else if it.is_released(now) && waited {
                due.push(it.clone());
            }
        }
        for (key, outcome) in over {
            self.on_settled(key, outcome);
        }
        for it in due {
            self.engine.in_flight.insert(it.order.key, now);
            let attempt = it.attempts + 1;
            self.effects.push(Effect::Dispatch { order: Box::new(it.order), attempt });
        }
    }

    /// At each block: ask the chain about every order that is out.
    pub(super) fn ask_outcomes(&mut self, chain: ChainId) {
        let out = self.engine.state.orders_under_way().filter(|it| it.order.chain == chain);
        let asks: Vec<Effect> =
            out.map(|it| Effect::Settle { order: Box::new(it.order.clone()) }).collect();
        self.effects.extend(asks);
    }

    pub(super) fn on_approve(&mut self, key: OrderKey, by: String) {
        let waiting = |it: &OrderState| {
            it.outcome.is_none() && !matches!(it.release, Release::Now | Release::Approved(_))
        };
        if self.engine.state.orders.get(&key).is_some_and(waiting) {
            self.record(Record::Approved { key, by });
        }
    }

    pub(super) fn on_veto(&mut self, key: OrderKey, by: String, reason: String) {
        let open = |it: &OrderState| it.outcome.is_none() && it.attempts == 0;
        if self.engine.state.orders.get(&key).is_some_and(open) {
            self.record(Record::Vetoed { key, by, reason });
        }
    }

    pub(super) fn on_dispatched(&mut self, key: OrderKey, prepared: Prepared, sent: Vec<Sent>) {
        self.engine.in_flight.remove(&key);
        let Some(it) = self.engine.state.orders.get(&key) else { return };
        let attempt = it.attempts + 1;
        self.record(Record::Dispatched { key, attempt, prepared, sent });
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
        self.alert(Severity::Critical, Some(incident), text);
    }

    pub(super) fn on_settled(&mut self, key: OrderKey, outcome: Outcome) {
        self.engine.in_flight.remove(&key);
        let Some(it) = self.engine.state.orders.get(&key).filter(|it| it.outcome.is_none()) else {
            return;
        };
        let (incident, action) = (it.order.incident, it.order.action.clone());
        self.record(Record::Settled { key, outcome: outcome.clone() });
        let state = self.engine.state.incidents.get(&incident).map(|it| it.state);
        let open = state.is_some_and(|it| !closed(it));
        let text = match &outcome {
            Outcome::Effective { block, .. } => {
                if open {
                    let because = format!("{action} is effective since block {}", block.number);
                    self.record(Record::IncidentMoved {
                        incident,
                        state: IncidentState::Contained,
                        because,
                    });
                }
                format!(
                    "incident {}: {action} is effective since block {}",
                    incident.short(),
                    block.number
                )
            }
            Outcome::Failed { reason } => {
                format!("incident {}: {action} failed: {reason}", incident.short())
            }
            Outcome::Expired => {
                format!("incident {}: {action} was not released in time", incident.short())
            }
            Outcome::Vetoed { by } => {
                format!("incident {}: {action} was vetoed by {by}", incident.short())
            }
        };
        self.alert(Severity::Critical, Some(incident), text);
        if open && matches!(outcome, Outcome::Failed { .. }) {
            self.touched.insert(incident);
        }
    }
}
