//! The first step after a restart: what a torn write left half done is done to its end.
//!
//! **Invariant:** looks at the state alone, not at what was lost. A journal that appends whole steps
//! leaves nothing to do here.

use cofferdam_core::{
    AlertKind, BlockRef, FindingId, IncidentId, Record, Severity,
    incident::{Incident, IncidentState},
    order::Outcome,
};

use super::Step;
use crate::apply::closed;

impl Step<'_> {
    /// Once after a restart.
    pub(super) fn take_up(&mut self) {
        if !std::mem::take(&mut self.engine.restored) {
            return;
        }
        let incidents: Vec<(IncidentId, IncidentState, bool)> = self
            .engine
            .state
            .incidents
            .values()
            .map(|it| (it.id, it.state, it.findings.is_empty()))
            .collect();
        for (id, state, empty) in incidents {
            if closed(state) {
                let text = format!("incident {} is over", id.short());
                self.tell_incident(id, Severity::High, AlertKind::Resolved, text);
            } else if empty {
                self.retract_from(id, "it was taken back before a restart");
            } else {
                self.taken_up.insert(id);
                self.take_up_orders(id);
            }
        }
    }

    fn take_up_orders(&mut self, id: IncidentId) {
        let state = &self.engine.state;
        let Some(incident) = state.incidents.get(&id) else { return };
        let block = effective(incident, state);
        if let Some(block) = block.filter(|_| incident.state < IncidentState::Contained) {
            let because = format!("contained since block {}", block.number);
            let state = IncidentState::Contained;
            self.record(Record::IncidentMoved { incident: id, state, because });
            return;
        }
        let orders = incident.orders.iter().filter_map(|it| state.orders.get(it));
        let actions: Vec<String> =
            orders.filter(|it| it.failed()).map(|it| it.order.action.clone()).collect();
        let last = actions.last().cloned();
        if let Some(action) = last.filter(|_| block.is_none()) {
            self.tell_beyond(id, &action);
        }
    }

    /// Whatever rests on another block at the place of this one is taken back: the block that it rests
    /// on is not on the chain.
    pub(super) fn displace(&mut self, block: BlockRef) {
        let displaced = |it: &BlockRef| {
            it.chain == block.chain && it.number == block.number && it.hash != block.hash
        };
        let ids: Vec<FindingId> = self.provisional(displaced);
        self.reopen_orders(displaced);
        for id in ids {
            self.retract(id, "another block took the place of its own".to_owned());
        }
    }
}

/// The block since which an order of the incident is effective.
fn effective(incident: &Incident, state: &crate::State) -> Option<BlockRef> {
    let orders = incident.orders.iter().filter_map(|it| state.orders.get(it));
    orders.filter_map(|it| it.outcome.as_ref()).find_map(|it| match it {
        Outcome::Effective { block, .. } => Some(*block),
        _ => None,
    })
}
