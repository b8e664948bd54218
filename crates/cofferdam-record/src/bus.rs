//! The in-process bus: fan-out between the roles of one process.
//!
//! Nothing is stored and nothing waits: a publisher is never slowed down by a subscriber. A subscriber
//! that falls more than [`QUEUE_MESSAGES_MAX`] behind loses the oldest messages and is told how many.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use alloy_primitives::Bytes;
use cofferdam_core::ports::{Boxed, Bus, BusError, Subscription};
use tokio::sync::broadcast::{self, error::RecvError};

/// Messages that a subscriber may be behind before it loses some.
pub const QUEUE_MESSAGES_MAX: usize = 1_024;
/// Bytes of one message; the default limit of a NATS server, so that both buses refuse the same.
pub const MESSAGE_BYTES_MAX: usize = 1_048_576;
/// Bytes of a subject.
pub const SUBJECT_BYTES_MAX: usize = 255;

/// The in-process bus.
#[derive(Debug)]
pub struct LocalBus {
    queue: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    subjects: HashMap<String, broadcast::Sender<Bytes>>,
}

struct LocalSubscription(broadcast::Receiver<Bytes>);

impl Default for LocalBus {
    fn default() -> Self {
        Self::new()
    }
}

impl LocalBus {
    /// A bus without subscribers.
    pub fn new() -> Self {
        Self::with_queue(QUEUE_MESSAGES_MAX)
    }

    /// A bus whose subscribers may be `queue` messages behind, rounded up to a power of two.
    pub fn with_queue(queue: usize) -> Self {
        Self { queue: queue.clamp(1, QUEUE_MESSAGES_MAX), state: Mutex::default() }
    }

    /// Ends every subscription once it has delivered what was published before.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.subjects.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No section below can panic between two changes, so a poisoned lock guards a sound state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish_now(&self, subject: &str, message: Bytes) -> Result<(), BusError> {
        check_subject(subject)?;
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(refused(format!(
                "a message of {} bytes exceeds {MESSAGE_BYTES_MAX}",
                message.len()
            )));
        }
        let state = self.lock();
        if state.closed {
            return Err(BusError::Closed);
        }
        if let Some(sender) = state.subjects.get(subject) {
            // An error means that nobody listens, which is no concern of the publisher.
            let _ = sender.send(message);
        }
        Ok(())
    }

    fn subscribe_now(&self, subject: &str) -> Result<Box<dyn Subscription>, BusError> {
        check_subject(subject)?;
        let mut state = self.lock();
        if state.closed {
            return Err(BusError::Closed);
        }
        state.subjects.retain(|_, sender| sender.receiver_count() > 0);
        let sender = state
            .subjects
            .entry(subject.to_owned())
            .or_insert_with(|| broadcast::Sender::new(self.queue));
        Ok(Box::new(LocalSubscription(sender.subscribe())))
    }
}

impl Bus for LocalBus {
    fn publish<'a>(&'a self, subject: &'a str, message: Bytes) -> Boxed<'a, Result<(), BusError>> {
        Box::pin(async move { self.publish_now(subject, message) })
    }

    fn subscribe<'a>(
        &'a self,
        subject: &'a str,
    ) -> Boxed<'a, Result<Box<dyn Subscription>, BusError>> {
        Box::pin(async move { self.subscribe_now(subject) })
    }
}

impl Subscription for LocalSubscription {
    fn next(&mut self) -> Boxed<'_, Result<Bytes, BusError>> {
        Box::pin(async move {
            self.0.recv().await.map_err(|it| match it {
                RecvError::Lagged(count) => BusError::Lagged { count },
                RecvError::Closed => BusError::Closed,
            })
        })
    }
}

/// Subjects are dot-separated words of letters, digits, `-` and `_`: what NATS takes without
/// wildcards, so that no message means something else on the other bus.
fn check_subject(subject: &str) -> Result<(), BusError> {
    let plain = |it: u8| it.is_ascii_alphanumeric() || it == b'-' || it == b'_';
    let word = |it: &str| !it.is_empty() && it.bytes().all(plain);
    if subject.len() <= SUBJECT_BYTES_MAX && subject.split('.').all(word) {
        return Ok(());
    }
    let shown: String = subject.chars().take(80).collect();
    Err(refused(format!("`{shown}` is not a subject, such as `findings.eip155-1`")))
}

fn refused(what: String) -> BusError {
    BusError::Unavailable(what.into())
}
