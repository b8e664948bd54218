//! What people say of a running program, on its way to the journal.
//!
//! **Invariant:** the loop never waits for who speaks here: it takes what is there, one at a time, and passes over what
//! nobody waits for any more. So many may wait and no more.

use std::{sync::Arc, time::Duration};

use cofferdam_core::Record;
use cofferdam_engine::Command;
use tokio::sync::{mpsc, oneshot, watch};

/// Messages that wait for the loop.
const WAITING_MAX: usize = 64;
/// How long who speaks waits for the journal, in milliseconds.
const ANSWER_TIMEOUT_MS: u64 = 10_000;

/// Something that a person does.
#[derive(Debug)]
pub struct Said {
    /// To be made durable first.
    pub records: Vec<Record>,
    /// Then for the engine.
    pub commands: Vec<Command>,
    pub(super) reply: oneshot::Sender<()>,
}

/// Why something is not known to be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSaid {
    /// Nothing was recorded: too much waits.
    #[error("{WAITING_MAX} messages wait for the journal already")]
    Full,
    /// The journal failed or takes too long. It may be recorded or not.
    #[error("the journal did not answer")]
    Unknown,
}

/// Both ends of the way. It outlives the loop, which is started anew when a journal failed.
#[derive(Clone, Debug)]
pub struct Door {
    into: mpsc::Sender<Said>,
    out: Arc<tokio::sync::Mutex<mpsc::Receiver<Said>>>,
    turns: watch::Sender<u64>,
}

impl Default for Door {
    fn default() -> Self {
        let (into, out) = mpsc::channel(WAITING_MAX);
        Self { into, out: Arc::new(tokio::sync::Mutex::new(out)), turns: watch::Sender::new(0) }
    }
}

impl Door {
    /// Has `records` written and then `commands` carried out. When this returns, both are done and durable.
    ///
    /// # Errors
    /// [`NotSaid`].
    pub async fn say(&self, records: Vec<Record>, commands: Vec<Command>) -> Result<(), NotSaid> {
        let (reply, done) = oneshot::channel();
        let said = Said { records, commands, reply };
        self.into.try_send(said).map_err(|_| NotSaid::Full)?;
        let limit = Duration::from_millis(ANSWER_TIMEOUT_MS);
        match tokio::time::timeout(limit, done).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(NotSaid::Unknown),
        }
    }

    /// Tells when the journal has grown.
    pub fn grown(&self) -> watch::Receiver<u64> {
        self.turns.subscribe()
    }

    /// The journal has grown. Waits for nobody.
    pub(crate) fn grew(&self) {
        self.turns.send_modify(|it| *it = it.wrapping_add(1));
    }

    /// Waits for what is said. Cancel-safe. What nobody waits for any more is not carried out late: whoever said it
    /// was told that it failed.
    pub(crate) async fn next(&self) -> Said {
        loop {
            match self.out.lock().await.recv().await {
                Some(it) if it.reply.is_closed() => {}
                Some(it) => return it,
                // We hold a sender ourselves.
                None => std::future::pending().await,
            }
        }
    }
}

impl Said {
    /// Tells who spoke that it is done.
    pub(crate) fn done(self) {
        // Whoever spoke may be gone.
        let _ = self.reply.send(());
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use tokio::sync::oneshot;

    use super::{Door, NotSaid, Said, WAITING_MAX};

    #[tokio::test]
    async fn what_is_not_taken_is_never_said_to_be_done() {
        let door = Door::default();
        let taken = async |done: bool| {
            let (said, next) = tokio::join!(door.say(Vec::new(), Vec::new()), async {
                let said = door.next().await;
                // The loop ends with a journal that fails, and answers nobody.
                if done { said.done() } else { drop(said) }
            });
            let () = next;
            said
        };
        assert_eq!(taken(true).await, Ok(()));
        assert_eq!(taken(false).await, Err(NotSaid::Unknown));
        for _ in 0..WAITING_MAX {
            let (reply, _) = oneshot::channel();
            let said = Said { records: Vec::new(), commands: Vec::new(), reply };
            door.into.try_send(said).unwrap();
        }
        assert_eq!(door.say(Vec::new(), Vec::new()).await, Err(NotSaid::Full));
        // Nobody waits for these any more: none is carried out, and there is room again.
        let none = tokio::time::timeout(std::time::Duration::from_millis(50), door.next()).await;
        assert!(none.is_err());
        assert_eq!(taken(true).await, Ok(()));
    }
}
