//! What stands behind the API: the fold of the journal, who is signed in, and the one way to the journal.
//!
//! **Invariant:** the loop waits for nobody here. Reading follows the journal beside it; writing goes through
//! [`Door`], one command after another, each judged by everything that was written before it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cofferdam_core::{
    Record,
    plan::{Console, Plan},
    ports::{Journal, JournalError},
};
use cofferdam_engine::Command;
use cofferdam_signing::approval::{State, tally};
use tokio::{
    sync::{MutexGuard, Semaphore, broadcast, watch},
    task::JoinSet,
};

use super::{
    ApiError, Fault, ballot,
    book::{Book, Change},
    meter::Meter,
    session::{Entropy, Lasts, Sessions},
};
use crate::{
    people::Directory,
    runtime::{Door, chain_of, health::Board, now},
};

/// Entries read at once.
const PAGE: usize = 1_000;
/// Requests of one address in a minute.
const ADDRESS_PER_MINUTE: u32 = 1_200;
/// Sign-ins, and wrong tokens, of one address in a minute.
const SIGN_INS_PER_MINUTE: u32 = 30;
/// Changes of one person or machine in a minute.
const CHANGES_PER_MINUTE: u32 = 120;
/// Changes that those who listen may be behind; then they are told to look at everything.
const CHANGES_WAITING_MAX: usize = 256;
/// Streams of changes at a time: fewer than connections, so that others are served as well.
pub(crate) const STREAMS_MAX: usize = 32;
/// Changes of people that wait for their turn.
const TURNS_MAX: usize = 32;
/// Wait before a journal that cannot be read is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// The parts.
pub(crate) struct Desk {
    pub(crate) plan: Arc<Plan>,
    pub(crate) console: Console,
    pub(crate) people: Directory,
    pub(crate) board: Board,
    sessions: Mutex<Sessions>,
    pub(crate) by_address: Meter,
    pub(crate) sign_ins: Meter,
    pub(crate) changes_by: Meter,
    pub(crate) streams: Arc<Semaphore>,
    /// Open streams by person or machine.
    seats: Mutex<BTreeMap<String, usize>>,
    pub(crate) news: broadcast::Sender<Change>,
    door: Door,
    book: RwLock<Book>,
    complete: AtomicBool,
    journal: watch::Sender<Option<Arc<dyn Journal>>>,
    /// The next entry to be read.
    cursor: tokio::sync::Mutex<u64>,
    turns: Semaphore,
    turn: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("plan", &self.plan.name).finish_non_exhaustive()
    }
}

impl Desk {
    /// `secret` proves the nonces that this run of the program gives out.
    pub(crate) fn new(
        plan: Arc<Plan>,
        console: Console,
        (board, door): (Board, Door),
        secret: &Entropy,
    ) -> Self {
        let lasts = Lasts { idle_ms: console.idle.0, whole_ms: console.lasts.0 };
        Self {
            people: Directory::of(&plan),
            console,
            plan,
            board,
            sessions: Mutex::new(Sessions::new(lasts, secret)),
            by_address: Meter::new(ADDRESS_PER_MINUTE),
            sign_ins: Meter::new(SIGN_INS_PER_MINUTE),
            changes_by: Meter::new(CHANGES_PER_MINUTE),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            seats: Mutex::default(),
            news: broadcast::Sender::new(CHANGES_WAITING_MAX),
            door,
            book: RwLock::default(),
            complete: AtomicBool::new(false),
            journal: watch::Sender::new(None),
            cursor: tokio::sync::Mutex::new(0),
            turns: Semaphore::new(TURNS_MAX),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Nonces and sessions.
    pub(crate) fn sessions(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Open streams by person or machine.
    pub(crate) fn seats(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, usize>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Name of the session's cookie. With TLS the browser itself keeps others from setting it.
    pub(crate) fn cookie_name(&self) -> &'static str {
        if self.console.is_https() { "__Host-cofferdam" } else { "cofferdam" }
    }

    /// Reads this journal from now on; `None` lets go of it.
    pub(crate) fn follow(&self, journal: Option<Arc<dyn Journal>>) {
        self.journal.send_replace(journal);
    }

    /// Follows the journal in `tasks`.
    pub(crate) fn tend(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        let (desk, mut grown, mut journal) =
            (self.clone(), self.door.grown(), self.journal.subscribe());
        tasks.spawn(async move {
            let mut counted = false;
            loop {
                let fresh = tokio::select! {
                    it = grown.changed() => it.map(|()| false),
                    it = journal.changed() => it.map(|()| true),
                };
                let Ok(fresh) = fresh else { return };
                counted &= !fresh;
                if desk.journal.borrow().is_none() {
                    continue;
                }
                match desk.catch_up().await {
                    Ok(()) if !counted => {
                        counted = true;
                        desk.count_again().await;
                    }
                    Ok(()) => {}
                    Err(error) => {
                        tracing::warn!(error = %chain_of(&error), "the API cannot read the journal");
                        tokio::time::sleep(RETRY).await;
                        desk.door.grew();
                    }
                }
            }
        });
    }

    /// Reads what is new in the journal.
    pub(crate) async fn catch_up(&self) -> Result<(), JournalError> {
        let mut next = self.cursor.lock().await;
        let journal = self.journal.borrow().clone();
        let Some(journal) = journal else {
            return Err(JournalError::Unavailable("it is not open".into()));
        };
        loop {
            let page = journal.read(*next, PAGE).await?;
            let Some(last) = page.last() else { break };
            *next = last.seq + 1;
            let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
            page.iter().for_each(|it| book.apply(it));
        }
        self.complete.store(true, Ordering::Release);
        let change = self.book.write().unwrap_or_else(PoisonError::into_inner).changed();
        if let Some(it) = change {
            // Nobody may listen.
            let _ = self.news.send(it);
        }
        Ok(())
    }

    /// What the journal says, once it was read to its end for the first time.
    pub(crate) fn book(&self) -> Result<RwLockReadGuard<'_, Book>, ApiError> {
        if !self.complete.load(Ordering::Acquire) {
            return Err(ApiError::new(Fault::NotReady, "the journal was not read to its end yet"));
        }
        Ok(self.book.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the turn of one change; while it is held, nobody else's is judged.
    pub(crate) async fn turn(&self) -> Result<Turn<'_>, ApiError> {
        let place = self.turns.try_acquire();
        let place = place.map_err(|_| ApiError::new(Fault::TooMany, "too many changes wait"))?;
        let turn = self.turn.lock().await;
        self.catch_up().await.map_err(|it| unread(&it))?;
        Ok(Turn { desk: self, _turn: turn, _place: place })
    }

    /// What was decided by people before a restart and not carried out is carried out now.
    async fn count_again(&self) {
        let commands = match self.book() {
            Ok(book) => self.owed(&book),
            Err(_) => return,
        };
        if !commands.is_empty()
            && let Err(error) = self.door.say(Vec::new(), commands).await
        {
            tracing::warn!(%error, "approvals of before the restart could not be counted");
        }
    }

    fn owed(&self, book: &Book) -> Vec<Command> {
        let at = now();
        let mut out = Vec::new();
        for (key, it) in &book.orders {
            let open = it.outcome.is_none() && it.attempts == 0 && !it.votes.is_empty();
            let Some(action) = self.plan.action(&it.order.action).filter(|_| open) else {
                continue;
            };
            let Ok(question) = ballot::question(self.console.chain, &it.order) else { continue };
            let count = tally(&question, &ballot::rules(&self.plan, action), &it.votes, at);
            if let State::Approved { .. } = count.state {
                let missing = count.approving.difference(&it.approved).cloned();
                out.extend(missing.map(|by| Command::Approve { key: *key, by }));
            }
        }
        out
    }
}

/// The turn of one change.
pub(crate) struct Turn<'a> {
    desk: &'a Desk,
    _turn: MutexGuard<'a, ()>,
    _place: tokio::sync::SemaphorePermit<'a>,
}

impl std::fmt::Debug for Turn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Turn")
    }
}

impl Turn<'_> {
    /// Has it written and carried out; when this returns, it is durable and in the book.
    pub(crate) async fn say(
        &self,
        records: Vec<Record>,
        commands: Vec<Command>,
    ) -> Result<(), ApiError> {
        self.desk.door.say(records, commands).await?;
        self.desk.catch_up().await.map_err(|it| unread(&it))
    }
}

fn unread(error: &JournalError) -> ApiError {
    ApiError::new(Fault::NotRecorded, error.to_string())
}
