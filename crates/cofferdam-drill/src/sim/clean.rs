//! Liveness: once all faults are healed, whatever was begun ends.

use cofferdam_core::{AlertKind, incident::IncidentState};

use super::{chain::Block, world::World};

impl World<'_> {
    /// What has not ended yet, `None` if everything has.
    pub(crate) fn unfinished(&self) -> Option<String> {
        let Some(engine) = &self.engine else { return Some("the process is down".to_owned()) };
        let state = engine.state();
        if let Some((chain, it)) = state.blind().next() {
            return Some(format!("blind on {chain}: {}", it.because));
        }
        if let Some(it) = state.outbox.waiting.values().next() {
            return Some(format!("not delivered to {:?}: {}", it.to.keys(), it.alert.text));
        }
        self.chains_left().or_else(|| self.orders_left()).or_else(|| self.threads_left())
    }

    /// The cursor is at the head, and every attack is contained or said to be beyond us.
    fn chains_left(&self) -> Option<String> {
        let state = self.engine.as_ref()?.state();
        for (at, chain) in self.chains.iter().enumerate() {
            let head = chain.head()?;
            let ours = state.head(chain.id).map(|it| it.hash);
            if ours != Some(head.at.hash) && ours != Some(head.at.parent) {
                return Some(format!("{} stands still before block {}", chain.id, head.at.number));
            }
            let entity = format!("vault-{}", at + 1);
            let first = self.check.first.get(&chain.id).copied().unwrap_or(0);
            let blocks = chain.canonical_from(first);
            let taken = |it: &usize| chain.blocks.get(*it).is_some_and(Block::took);
            if blocks.iter().any(taken) && !head.paused && !self.check.said.contains(&entity) {
                return Some(format!("the attack on {entity} goes on, and nobody said so"));
            }
        }
        None
    }

    fn orders_left(&self) -> Option<String> {
        let state = self.engine.as_ref()?.state();
        let open = state.orders.values().find(|it| it.outcome.is_none())?;
        Some(format!("{} has no outcome: {:?}", open.order.action, open.held))
    }

    /// An incident that is over is over for whoever was told of it.
    fn threads_left(&self) -> Option<String> {
        let state = self.engine.as_ref()?.state();
        let over =
            |it: &IncidentState| matches!(it, IncidentState::Closed | IncidentState::FalseAlarm);
        for incident in state.incidents.values().filter(|it| over(&it.state)) {
            let dedup = incident.id.to_string();
            if state.outbox.open_thread(&dedup).is_some() {
                return Some(format!(
                    "incident {} is over, its thread is open",
                    incident.id.short()
                ));
            }
            for sink in &self.sinks {
                let opening = |kind| {
                    matches!(kind, AlertKind::Raised | AlertKind::Retracted | AlertKind::Resolved)
                };
                let mut mine = sink.shown.iter().filter(|it| it.dedup == dedup);
                let last = mine.rfind(|it| opening(it.kind));
                let given_up = state.outbox.sinks.get(sink.name).is_some_and(|it| it.given_up > 0);
                if last.is_some_and(|it| it.kind == AlertKind::Raised) && !given_up {
                    return Some(format!(
                        "{} still shows incident {}",
                        sink.name,
                        incident.id.short()
                    ));
                }
            }
        }
        None
    }
}
