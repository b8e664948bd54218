//! Deliveries on their way: due, answered, late, given up.

use std::collections::{BTreeMap, BTreeSet};

use cofferdam_core::{AlertId, AlertKind, Record, Severity, Timestamp};

use super::{
    Step,
    alert::{NOTIFIER, Note},
};
use crate::{Effect, Limits, Outgoing};

/// An alert that a receiver will not get.
struct Lost {
    alert: AlertId,
    sink: String,
    severity: Severity,
    dedup: String,
    text: String,
    because: String,
}

impl Step<'_> {
    /// Hands out every delivery that is due. Alerts of one thread reach a receiver in order, so that
    /// nothing is closed before it was opened; different threads do not wait for each other.
    pub(super) fn release_deliveries(&mut self) {
        if self.engine.state.outbox.waiting.is_empty() {
            return;
        }
        for it in self.overdue() {
            self.give_up(it);
        }
        self.tell_of_silent_receivers();
        let engine = &*self.engine;
        let mut busy = BTreeMap::<usize, usize>::new();
        let mut threads = BTreeSet::<(usize, &str)>::new();
        let mut due = Vec::new();
        for ((_, place), at) in &engine.offered {
            if !self.passed(*at, engine.limits.delivery_timeout_ms) {
                *busy.entry(*place).or_default() += 1;
            }
        }
        for (number, outgoing) in &engine.state.outbox.waiting {
            for (sink, delivery) in &outgoing.to {
                let Some(place) = self.place_of(sink) else { continue };
                if !threads.insert((place, &outgoing.alert.dedup)) {
                    continue;
                }
                let offered = engine.offered.get(&(*number, place));
                let waits =
                    offered.is_some_and(|at| !self.passed(*at, engine.limits.delivery_timeout_ms));
                let busy = busy.entry(place).or_default();
                if waits
                    || !self.rested(delivery.not_before)
                    || *busy >= engine.limits.deliveries_in_flight_max
                {
                    continue;
                }
                *busy += 1;
                due.push((*number, place, delivery.attempts + 1));
            }
        }
        for (number, place, attempt) in due {
            let sink = self.engine.plan.notifiers.get(place).map(|it| it.id.clone());
            let alert = self.engine.state.outbox.waiting.get(&number).map(|it| it.alert.clone());
            let (Some(sink), Some(alert)) = (sink, alert) else { continue };
            self.engine.offered.insert((number, place), self.now);
            self.effects.push(Effect::Deliver { sink, alert: Box::new(alert), attempt });
        }
    }

    pub(super) fn on_delivered(&mut self, sink: String, alert: AlertId) {
        let Some((_, attempts)) = self.answered(&sink, alert) else { return };
        let thread = format!("{NOTIFIER}{sink}");
        self.record(Record::Delivered { alert, sink: sink.clone(), attempt: attempts + 1 });
        if self.engine.state.outbox.open_thread(&thread).is_some() {
            let text = format!("{sink} takes messages again");
            self.tell(Note::of(Severity::High, AlertKind::Resolved, thread, text));
        }
    }

    pub(super) fn on_delivery_failed(
        &mut self,
        sink: String,
        alert: AlertId,
        because: String,
        (permanent, after_ms): (bool, Option<u64>),
    ) {
        let Some((number, attempts)) = self.answered(&sink, alert) else { return };
        let attempt = attempts + 1;
        let limits = &self.engine.limits;
        let wait = back_off_ms(limits, alert, &sink, attempt)
            .max(after_ms.unwrap_or(0).min(limits.delivery_retry_max_ms));
        let not_before = self.now.plus_ms(wait);
        let lost =
            self.engine.state.outbox.waiting.get(&number).map(|it| lost(it, &sink, &because));
        self.record(Record::DeliveryFailed { alert, sink, attempt, because, not_before });
        if let Some(it) = lost.filter(|_| permanent) {
            self.give_up(it);
        }
    }

    /// Ends a delivery under way: its number and the attempts that failed before. `None` if nobody
    /// waits for it, as when an answer comes twice.
    fn answered(&mut self, sink: &str, alert: AlertId) -> Option<(u64, u32)> {
        let number = self.engine.state.outbox.number(alert)?;
        if let Some(place) = self.place_of(sink) {
            self.engine.offered.remove(&(number, place));
        }
        let outgoing = self.engine.state.outbox.waiting.get(&number)?;
        outgoing.to.get(sink).map(|it| (number, it.attempts))
    }

    fn place_of(&self, sink: &str) -> Option<usize> {
        self.engine.plan.notifiers.iter().position(|it| it.id == sink)
    }

    /// Deliveries that are not worth another attempt.
    fn overdue(&self) -> Vec<Lost> {
        let limits = &self.engine.limits;
        let mut out = Vec::new();
        for it in self.engine.state.outbox.waiting.values() {
            let old = self.now.since_ms(it.alert.at) > limits.delivery_age_max_ms;
            for (sink, delivery) in &it.to {
                let because = if self.place_of(sink).is_none() {
                    "it is no longer in the plan".to_owned()
                } else if delivery.attempts >= limits.delivery_attempts_max {
                    format!("{} attempts failed", delivery.attempts)
                } else if old && delivery.attempts >= limits.delivery_attempts_min {
                    format!("it is older than {} h", limits.delivery_age_max_ms / 3_600_000)
                } else {
                    continue;
                };
                out.push(lost(it, sink, &because));
            }
        }
        out
    }

    /// Puts it on record that a receiver will not get an alert, and gives its text to the others.
    fn give_up(&mut self, it: Lost) {
        let (alert, sink) = (it.alert, it.sink.clone());
        self.record(Record::Undeliverable { alert, sink, because: it.because.clone() });
        // Otherwise two receivers that refuse everything would tell of each other for ever.
        if it.dedup.starts_with(NOTIFIER) {
            return;
        }
        let text = format!("{} did not get this, {}: {}", it.sink, it.because, it.text);
        let (severity, dedup) = (it.severity.max(Severity::High), format!("{NOTIFIER}{}", it.sink));
        let note = Note::of(severity, AlertKind::Raised, dedup, text);
        self.tell(Note { except: Some(it.sink), ..note });
    }

    /// Tells the others of a receiver that has not taken something urgent for a while.
    fn tell_of_silent_receivers(&mut self) {
        let outbox = &self.engine.state.outbox;
        let mut silent = BTreeMap::<String, String>::new();
        for it in outbox.waiting.values() {
            let late = it.alert.severity >= Severity::High
                && !it.alert.dedup.starts_with(NOTIFIER)
                && self.passed(it.alert.at, self.engine.limits.delivery_late_ms);
            for (sink, delivery) in it.to.iter().filter(|_| late) {
                let known = outbox.open_thread(&format!("{NOTIFIER}{sink}")).is_some();
                if delivery.attempts > 0 && !known && !silent.contains_key(sink) {
                    let because = outbox.sinks.get(sink).and_then(|it| it.because.clone());
                    let because = because.unwrap_or_default();
                    let text = format!("{sink} takes no messages, {because}: {}", it.alert.text);
                    silent.insert(sink.clone(), text);
                }
            }
        }
        for (sink, text) in silent {
            let (kind, dedup) = (AlertKind::Raised, format!("{NOTIFIER}{sink}"));
            let note = Note::of(Severity::Critical, kind, dedup, text);
            self.tell(Note { except: Some(sink), ..note });
        }
    }

    /// Whether `at` is reached. One that lies further ahead than any wait does, does so because the
    /// clock went back.
    fn rested(&self, at: Timestamp) -> bool {
        self.now >= at || at.since_ms(self.now) > self.engine.limits.delivery_retry_max_ms
    }
}

fn lost(outgoing: &Outgoing, sink: &str, because: &str) -> Lost {
    let alert = &outgoing.alert;
    Lost {
        alert: alert.id,
        sink: sink.to_owned(),
        severity: alert.severity,
        dedup: alert.dedup.clone(),
        text: alert.text.clone(),
        because: because.to_owned(),
    }
}

/// The wait after the `attempt`-th failure: doubled each time up to the largest, of which the upper
/// half is spread by a hash, so that what failed together is not tried again together.
fn back_off_ms(limits: &Limits, alert: AlertId, sink: &str, attempt: u32) -> u64 {
    let doubled = limits.delivery_retry_min_ms.checked_shl(attempt.saturating_sub(1).min(32));
    let wait = doubled.unwrap_or(u64::MAX).clamp(1, limits.delivery_retry_max_ms.max(1));
    let mut hash = u64::from(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in alert.0.iter().take(8).chain(sink.as_bytes()) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    wait / 2 + hash % (wait / 2 + 1)
}

#[cfg(test)]
mod tests {
    use cofferdam_core::AlertId;

    use super::back_off_ms;
    use crate::Limits;

    #[test]
    fn the_wait_doubles_up_to_the_largest_and_is_spread() {
        let limits = Limits::default();
        let wait =
            |part: &[u8], attempt| back_off_ms(&limits, AlertId::derive(&[part]), "p", attempt);
        for attempt in 1..100 {
            let full = (1_000_u64 << (attempt - 1).min(20)).min(300_000);
            assert!((full / 2..=full).contains(&wait(b"a", attempt)), "{attempt}");
        }
        assert_ne!(wait(b"a", 5), wait(b"b", 5));
        assert_eq!(wait(b"a", 5), wait(b"a", 5));
    }
}
