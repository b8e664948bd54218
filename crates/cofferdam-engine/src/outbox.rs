//! The outbox: every alert that is not yet with everybody it is for, and the threads they belong to.
//!
//! **Invariant:** part of the lasting state, changed by records alone. An alert stays here, for each
//! receiver by itself, until that receiver took it or it was given up on record; a restart therefore
//! offers it again, under the same id.

use std::collections::{BTreeMap, BTreeSet};

use cofferdam_core::{Alert, AlertId, AlertKind, Severity, Timestamp};
use serde::{Deserialize, Serialize};

/// Alerts on their way to people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outbox {
    /// Alerts issued so far; the number of the next one.
    pub issued: u64,
    /// Alerts that somebody has not taken yet, by number.
    pub waiting: BTreeMap<u64, Outgoing>,
    /// What people were told about, by dedup key.
    pub threads: BTreeMap<String, Thread>,
    /// How each receiver does, by its id in the plan.
    pub sinks: BTreeMap<String, SinkState>,
}

/// An alert and who has not taken it yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    /// The alert.
    pub alert: Alert,
    /// Where each delivery stands, by receiver. Those that are done are removed.
    pub to: BTreeMap<String, Delivery>,
}

/// Where one delivery stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Attempts that failed.
    pub attempts: u32,
    /// When it may be tried again.
    pub not_before: Timestamp,
}

/// What people were told about one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thread {
    /// False once it was resolved or retracted.
    pub open: bool,
    /// The worst that was told since it was opened.
    pub severity: Severity,
    /// When something was last told.
    pub at: Timestamp,
    /// The last text.
    pub text: String,
    /// Who was told since it was opened.
    pub told: BTreeSet<String>,
    /// When the present window of the limit on repeats began.
    pub window_from: Timestamp,
    /// Alerts in this window.
    pub in_window: u32,
    /// Repeats not told since the last alert.
    pub swallowed: u32,
}

/// How a receiver does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SinkState {
    /// Messages it took.
    pub delivered: u64,
    /// Messages given up.
    pub given_up: u64,
    /// Since when it takes nothing; `None` if it took the last one.
    pub failing_since: Option<Timestamp>,
    /// Why, for people.
    pub because: Option<String>,
}

impl Outbox {
    /// Messages that the receiver has not taken yet.
    pub fn waiting_for(&self, sink: &str) -> usize {
        self.waiting.values().filter(|it| it.to.contains_key(sink)).count()
    }

    /// The thread of a dedup key while it is open.
    pub fn open_thread(&self, dedup: &str) -> Option<&Thread> {
        self.threads.get(dedup).filter(|it| it.open)
    }

    /// The number of an alert that somebody has not taken yet.
    pub(crate) fn number(&self, id: AlertId) -> Option<u64> {
        self.waiting.iter().find(|(_, it)| it.alert.id == id).map(|(number, _)| *number)
    }

    pub(crate) fn issue(&mut self, alert: &Alert, to: &[String], bounds: &Bounds) {
        if !to.is_empty() {
            let to = to.iter().map(|it| (it.clone(), Delivery::default())).collect();
            self.waiting.insert(self.issued, Outgoing { alert: alert.clone(), to });
        }
        self.issued += 1;
        let fresh = || Thread {
            open: false,
            severity: alert.severity,
            at: alert.at,
            text: String::new(),
            told: BTreeSet::new(),
            window_from: alert.at,
            in_window: 0,
            swallowed: 0,
        };
        let thread = self.threads.entry(alert.dedup.clone()).or_insert_with(fresh);
        match alert.kind {
            AlertKind::Raised if !thread.open => {
                thread.told.clear();
                thread.severity = alert.severity;
                thread.open = true;
            }
            AlertKind::Raised | AlertKind::Update => {}
            AlertKind::Resolved | AlertKind::Retracted => thread.open = false,
        }
        thread.severity = thread.severity.max(alert.severity);
        thread.told.extend(to.iter().cloned());
        if !bounds.in_window(thread, alert.at) {
            (thread.window_from, thread.in_window) = (alert.at, 0);
        }
        thread.in_window += 1;
        thread.at = alert.at;
        thread.text.clone_from(&alert.text);
        thread.swallowed = 0;
        self.forget_threads(bounds.threads_max, &alert.dedup);
    }

    pub(crate) fn throttled(&mut self, dedup: &str) {
        if let Some(it) = self.threads.get_mut(dedup) {
            it.swallowed = it.swallowed.saturating_add(1);
        }
    }

    pub(crate) fn delivered(&mut self, id: AlertId, sink: &str) {
        self.done(id, sink);
        let state = self.sinks.entry(sink.to_owned()).or_default();
        state.delivered += 1;
        (state.failing_since, state.because) = (None, None);
    }

    pub(crate) fn failed(
        &mut self,
        id: AlertId,
        sink: &str,
        (attempts, not_before): (u32, Timestamp),
        (at, because): (Timestamp, &str),
    ) {
        let number = self.number(id);
        let outgoing = number.and_then(|it| self.waiting.get_mut(&it));
        if let Some(it) = outgoing.and_then(|it| it.to.get_mut(sink)) {
            *it = Delivery { attempts, not_before };
        }
        let state = self.sinks.entry(sink.to_owned()).or_default();
        state.failing_since.get_or_insert(at);
        state.because = Some(because.to_owned());
    }

    pub(crate) fn given_up(&mut self, id: AlertId, sink: &str) {
        self.done(id, sink);
        self.sinks.entry(sink.to_owned()).or_default().given_up += 1;
    }

    fn done(&mut self, id: AlertId, sink: &str) {
        let Some(number) = self.number(id) else { return };
        let Some(it) = self.waiting.get_mut(&number) else { return };
        it.to.remove(sink);
        if it.to.is_empty() {
            self.waiting.remove(&number);
        }
    }

    /// Keeps the number of threads bounded: closed ones go first, then the oldest.
    fn forget_threads(&mut self, max: usize, kept: &str) {
        while self.threads.len() > max {
            let others = self.threads.iter().filter(|(dedup, _)| *dedup != kept);
            let oldest = others.min_by_key(|(_, it)| (it.open, it.at)).map(|(it, _)| it.clone());
            let Some(oldest) = oldest else { return };
            self.threads.remove(&oldest);
        }
    }
}

/// What bounds threads and repeats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) threads_max: usize,
    pub(crate) window_ms: u64,
}

impl Bounds {
    /// Whether the thread's window is still running. A clock that went back begins a new one.
    pub(crate) fn in_window(&self, thread: &Thread, now: Timestamp) -> bool {
        now >= thread.window_from && now.since_ms(thread.window_from) < self.window_ms
    }
}
