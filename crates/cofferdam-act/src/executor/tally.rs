//! How each endpoint has answered, for people and metrics.
//!
//! **Invariant:** an endpoint is named by its place in the list, or by the name it has in the plan,
//! never by its URL.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cofferdam_core::ports::BroadcastError;

/// How one endpoint answers what is sent to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointStatus {
    /// `network 0`, … in the order of the list, or the relay's name.
    pub name: String,
    /// Whether it is a private relay.
    pub private: bool,
    /// How often it took a transaction, or had it already.
    pub accepted: u64,
    /// How often it refused one.
    pub refused: u64,
    /// How often it did not answer.
    pub unavailable: u64,
    /// How often in a row it did not answer.
    pub failures_in_a_row: u64,
    /// How long its last answer took, in milliseconds.
    pub last_ms: Option<u64>,
    /// What it said last, if it was no yes.
    pub last_words: Option<String>,
}

/// The statuses of all endpoints: networks, then relays.
#[derive(Debug, Default)]
pub(super) struct Tallies(Mutex<Vec<EndpointStatus>>);

impl Tallies {
    pub(super) fn add(&self, name: String, private: bool) {
        self.lock().push(EndpointStatus { name, private, ..EndpointStatus::default() });
    }

    pub(super) fn note<T>(&self, index: usize, took_ms: u64, answer: &Result<T, BroadcastError>) {
        let mut all = self.lock();
        let Some(it) = all.get_mut(index) else { return };
        it.last_ms = Some(took_ms);
        match answer {
            Ok(_) | Err(BroadcastError::AlreadyKnown) => {
                it.accepted += 1;
                (it.failures_in_a_row, it.last_words) = (0, None);
            }
            Err(error @ BroadcastError::Unavailable(_)) => {
                it.unavailable += 1;
                it.failures_in_a_row += 1;
                it.last_words = Some(words(error));
            }
            Err(error) => {
                it.refused += 1;
                it.failures_in_a_row = 0;
                it.last_words = Some(error.to_string());
            }
        }
    }

    pub(super) fn all(&self) -> Vec<EndpointStatus> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<EndpointStatus>> {
        // Counters are whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error with its cause.
pub(super) fn words(error: &BroadcastError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    }
}
