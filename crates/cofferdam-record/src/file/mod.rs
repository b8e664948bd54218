//! The journal in files of its own: a folder of append-only segments.
//!
//! One thread writes; an append that was answered survives `kill -9` and a power cut, as far as the disk
//! keeps its promises. Each process writes segments of its own, so that a journal's past is never
//! written to again. Keep the folder on a local disk: locks are not for network file systems.
//!
//! **Invariant:** nothing here changes an entry. See [`format`] for the layout, [`folder`] for the owner,
//! [`open`] for what a crash may leave.

mod folder;
mod format;
mod open;
mod queue;
mod reads;
mod segments;
mod verify;
mod view;
mod walk;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use self::{
    format::Tail,
    queue::Queue,
    segments::Segments,
    verify::Checks,
    view::{Segment, View},
    writer::Writer,
};
use crate::chain::{self, unavailable};
use alloy_primitives::B256;
use cofferdam_core::{
    Record, Timestamp,
    ports::{Boxed, Journal, JournalError},
    record::Entry,
};

/// The journal in files of its own.
pub struct FileJournal {
    path: PathBuf,
    epoch: u64,
    torn: u64,
    shared: Arc<Shared>,
    /// Reads the end of the chain anew; `None` if we are its owner.
    follows: bool,
    /// `None` if it was opened for reading.
    queue: Option<Arc<Queue>>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer and the readers share.
#[derive(Debug)]
struct Shared {
    view: Mutex<View>,
}

impl FileJournal {
    /// Opens the journal in the folder `path` as its only writer; creates it if there is none.
    ///
    /// # Errors
    /// [`JournalError::Fenced`] if a live process (or another journal of this one) writes to it,
    /// [`JournalError::Corrupt`] if it is no journal or something acknowledged is not there,
    /// [`JournalError::Unavailable`] if it cannot be opened.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        Self::open_as(path.as_ref(), false, None).await
    }

    /// As [`FileJournal::open`], but takes the journal from a live owner, which from then on gets
    /// [`JournalError::Fenced`] for every append.
    ///
    /// # Errors
    /// As [`FileJournal::open`].
    pub async fn take_over(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        Self::open_as(path.as_ref(), true, None).await
    }

    /// As [`FileJournal::open`], but its segments may not outgrow `bytes`; beyond, appends fail as they
    /// do on a full disk.
    ///
    /// # Errors
    /// As [`FileJournal::open`].
    pub async fn open_limited(path: impl AsRef<Path>, bytes: u64) -> Result<Self, JournalError> {
        Self::open_as(path.as_ref(), false, Some(bytes)).await
    }

    /// Opens the journal in the folder `path` for reading, beside a writer or without one. Appends fail
    /// with [`JournalError::Unavailable`]; nothing in the folder is changed.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] if it is no journal or something acknowledged is not there,
    /// [`JournalError::Unavailable`] if there is none or it cannot be opened.
    pub async fn open_read_only(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref().to_owned();
        blocking(move || {
            let seen = open::read(&path)?;
            let shared = Arc::new(Shared { view: Mutex::new(seen.view) });
            let (epoch, torn) = (seen.epoch, seen.torn);
            Ok(Self { path, epoch, torn, shared, follows: true, queue: None, writer: None })
        })
        .await
    }

    /// Checks every hash, link and sequence number, the end of the chain, and besides that every record
    /// is one that this release reads; [`Journal::verify`] leaves that last check out.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] names the first entry that is wrong.
    pub async fn verify_records(&self) -> Result<u64, JournalError> {
        self.verify_with(Checks { records: true, ..Checks::default() }).await
    }

    /// Checks the whole chain, and that it holds `anchor`: an earlier head, kept outside of the
    /// journal. This is what detects a chain that was rewritten from some entry on.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] names the first entry that is wrong.
    pub async fn verify_against(&self, anchor: (u64, B256)) -> Result<u64, JournalError> {
        self.verify_with(Checks { anchor: Some(anchor), ..Checks::default() }).await
    }

    /// Writes the journal from entry `from_seq` on as NDJSON, one line per entry and a last line with
    /// the head; see [`crate::export`]. The lines hold what is stored, checked or not, so that a damaged
    /// journal can be handed over as evidence. Returns how many entries were written.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] if a record is not even JSON, [`JournalError::Unavailable`] if
    /// reading or writing fails.
    pub async fn export(
        &self,
        from_seq: u64,
        out: &mut (dyn std::io::Write + Send),
    ) -> Result<u64, JournalError> {
        self.refresh().await?;
        reads::export(&self.shared, from_seq, out)
    }

    /// How often the journal changed its owner; the fencing token of this one.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Bytes of a torn commit behind the acknowledged end that a crash left: cut by the owner who
    /// opened, only seen by a reader. Nothing acknowledged was in them.
    pub fn torn_bytes(&self) -> u64 {
        self.torn
    }

    /// Ends the writer after the appends it has, and gives the journal free for the next owner.
    /// Dropping the journal does the same, some time later.
    pub async fn close(mut self) {
        self.let_go();
        if let Some(writer) = self.writer.take() {
            let ended = tokio::task::spawn_blocking(|| writer.join()).await;
            if !matches!(ended, Ok(Ok(()))) {
                tracing::error!("journal writer ended abnormally");
            }
        }
    }

    async fn open_as(
        path: &Path,
        take_over: bool,
        limit: Option<u64>,
    ) -> Result<Self, JournalError> {
        let path = path.to_owned();
        blocking(move || Self::start(open::write(&path, take_over)?, path, limit)).await
    }

    fn start(
        opened: open::Opened,
        path: PathBuf,
        limit: Option<u64>,
    ) -> Result<Self, JournalError> {
        let open::Opened { owner, view, taken_over, cut } = opened;
        if cut > 0 {
            tracing::warn!(bytes = cut, "cut a torn commit that was never acknowledged");
        }
        let (epoch, tail) = (owner.epoch, view.tail);
        let used = view.segments.iter().map(|it| it.end).sum();
        let shared = Arc::new(Shared { view: Mutex::new(view) });
        let queue = Arc::new(Queue::new(tail));
        let writer = Writer {
            owner,
            shared: Arc::clone(&shared),
            queue: Arc::clone(&queue),
            segments: Segments::new(taken_over, limit, used),
            tail,
            ended: None,
        };
        let thread = std::thread::Builder::new().name("journal-writer".into());
        let writer = thread.spawn(|| writer::run(writer)).map_err(folder::failed)?;
        queue.taken_by(writer.thread().clone());
        let (queue, writer) = (Some(queue), Some(writer));
        Ok(Self { path, epoch, torn: cut, shared, follows: false, queue, writer })
    }

    /// Lets the writer end after what waits.
    fn let_go(&self) {
        if let Some(queue) = &self.queue {
            queue.close();
        }
    }

    async fn verify_with(&self, checks: Checks) -> Result<u64, JournalError> {
        if !self.follows {
            let view = self.shared.view();
            return blocking(move || verify::verify(&view, checks)).await;
        }
        let path = self.path.clone();
        let view = blocking(move || {
            let seen = open::read_strictly(&path)?;
            let checks = Checks { closed: seen.closed, ..checks };
            verify::verify(&seen.view, checks)
        });
        view.await
    }

    /// Looks where the chain ends now, unless we are the one who moves it.
    async fn refresh(&self) -> Result<(), JournalError> {
        if !self.follows {
            return Ok(());
        }
        let (path, shared) = (self.path.clone(), Arc::clone(&self.shared));
        blocking(move || {
            let seen = open::read(&path)?;
            shared.replace(seen.view);
            Ok(())
        })
        .await
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, View> {
        // Every section below leaves the view whole, so a poisoned lock guards a sound view.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The view as it is now.
    fn view(&self) -> View {
        self.lock().clone()
    }

    fn replace(&self, view: View) {
        let mut here = self.lock();
        let old = std::mem::replace(&mut *here, view);
        for (to, from) in here.segments.iter_mut().zip(&old.segments) {
            to.adopt(from);
        }
    }

    /// Keeps the marks that a reader found.
    fn marked(&self, segment: &Segment) {
        let mut view = self.lock();
        let at = usize::try_from(segment.header.number).unwrap_or(usize::MAX);
        if let Some(here) = view.segments.get_mut(at) {
            here.adopt(segment);
        }
    }

    /// Notes a commit: its segment if it is the first there, its first entry, the new end.
    fn moved(&self, begun: Option<Segment>, first: u64, tail: Tail) {
        let mut view = self.lock();
        if let Some(segment) = begun
            && let Err(error) = view.push(segment)
        {
            tracing::error!(%error, "journal segment does not fit; it will not be read before a restart");
        }
        if let Some(segment) = view.segments.last_mut() {
            segment.note(first, tail.commit, tail.end);
        }
        view.tail = tail;
    }
}

impl Journal for FileJournal {
    fn append<'a>(
        &'a self,
        now: Timestamp,
        records: &'a [Record],
    ) -> Boxed<'a, Result<Vec<Entry>, JournalError>> {
        Box::pin(async move {
            let reading = || unavailable("the journal was opened for reading only".into());
            let queue = self.queue.as_ref().ok_or_else(reading)?;
            let (placed, copies) = tokio::join!(queue.append(now, records), async {
                // Copied while the disk works.
                records.to_vec()
            });
            Ok(placed?.entries(now, copies))
        })
    }

    fn read(&self, from_seq: u64, limit: usize) -> Boxed<'_, Result<Vec<Entry>, JournalError>> {
        Box::pin(async move {
            self.refresh().await?;
            let shared = Arc::clone(&self.shared);
            blocking(move || reads::read(&shared, from_seq, limit)).await
        })
    }

    fn head(&self) -> Boxed<'_, Result<Option<(u64, B256)>, JournalError>> {
        Box::pin(async move {
            self.refresh().await?;
            Ok(self.shared.lock().tail.head())
        })
    }

    fn last_snapshot(&self) -> Boxed<'_, Result<Option<u64>, JournalError>> {
        Box::pin(async move {
            self.refresh().await?;
            Ok(self.shared.lock().tail.snapshot)
        })
    }

    fn verify(&self) -> Boxed<'_, Result<u64, JournalError>> {
        Box::pin(self.verify_with(Checks::default()))
    }
}

impl Drop for FileJournal {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl fmt::Debug for FileJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileJournal")
            .field("path", &self.path)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// Runs what waits for the disk where nobody else waits for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|it| Err(chain::unavailable(it.into())))
}
