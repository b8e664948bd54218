//! The journal in one SQLite file: the default.
//!
//! One task writes; reads have connections of their own. WAL with `synchronous = FULL`: an append
//! that was answered survives `kill -9` and a power cut, as far as the disk keeps its promises. Keep
//! the file on a local disk: advisory locks and WAL are not for network file systems.

mod error;
mod lease;
mod reads;
mod schema;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy_primitives::B256;
use cofferdam_core::{
    Record, Timestamp,
    ports::{Boxed, Journal, JournalError},
    record::Entry,
};
use sqlx::{
    ConnectOptions, Connection, Sqlite, SqliteConnection, SqlitePool, pool::PoolConnection,
    sqlite::SqlitePoolOptions,
};
use tokio::{
    sync::{Mutex, MutexGuard, mpsc},
    task::JoinHandle,
};

use self::{
    error::{Told, failed},
    lease::Lease,
    schema::Head,
    writer::Writer,
};
use crate::{
    chain,
    group::{self, Append},
    limits, rows,
};

/// The journal in one SQLite file.
pub struct SqliteJournal {
    path: Option<PathBuf>,
    epoch: i64,
    readers: Readers,
    appends: Option<mpsc::Sender<Append<Told>>>,
    writer: Option<JoinHandle<()>>,
}

/// Where reads go. A database in memory has one connection for everything.
enum Readers {
    Pool(SqlitePool),
    Shared(Arc<Mutex<SqliteConnection>>),
}

/// A connection to read from, for a while.
enum Reader<'a> {
    Pooled(PoolConnection<Sqlite>),
    Shared(MutexGuard<'a, SqliteConnection>),
}

/// How to open the file.
#[derive(Clone, Copy, Debug, Default)]
struct Opening {
    take_over: bool,
    pages_max: Option<u32>,
}

impl SqliteJournal {
    /// Opens the journal at `path` as its only writer; creates it if there is none.
    ///
    /// # Errors
    /// [`JournalError::Fenced`] if a live process (or another journal of this one) writes to it,
    /// [`JournalError::Corrupt`] if it is no journal or its end is not what was written,
    /// [`JournalError::Unavailable`] if the file cannot be opened.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        Self::open_as(path.as_ref(), Opening::default()).await
    }

    /// As [`SqliteJournal::open`], but takes the journal from a live owner, which from then on gets
    /// [`JournalError::Fenced`] for every append.
    ///
    /// # Errors
    /// As [`SqliteJournal::open`].
    pub async fn take_over(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let opening = Opening { take_over: true, ..Opening::default() };
        Self::open_as(path.as_ref(), opening).await
    }

    /// As [`SqliteJournal::open`], but the file may not outgrow `pages` of 4,096 bytes; beyond,
    /// appends fail as they do on a full disk.
    ///
    /// # Errors
    /// As [`SqliteJournal::open`].
    pub async fn open_limited(path: impl AsRef<Path>, pages: u32) -> Result<Self, JournalError> {
        let opening = Opening { pages_max: Some(pages), ..Opening::default() };
        Self::open_as(path.as_ref(), opening).await
    }

    /// Opens the journal at `path` for reading, beside a writer or without one. Appends fail with
    /// [`JournalError::Unavailable`].
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] if it is no journal, [`JournalError::Unavailable`] if there is none
    /// or it cannot be opened.
    pub async fn open_read_only(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref();
        let pool = reading_pool(path);
        let mut connection = pool.acquire().await.map_err(failed(0))?;
        schema::check_format(&mut connection).await?;
        let Head { epoch, .. } = schema::head(&mut connection).await?;
        drop(connection);
        let readers = Readers::Pool(pool);
        Ok(Self { path: Some(path.to_owned()), epoch, readers, appends: None, writer: None })
    }

    /// A journal that lives as long as this value.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] if there is no memory for it.
    pub async fn open_in_memory() -> Result<Self, JournalError> {
        let mut connection = schema::in_memory().connect().await.map_err(failed(0))?;
        schema::prepare(&mut connection).await?;
        let connection = Arc::new(Mutex::new(connection));
        let readers = Readers::Shared(Arc::clone(&connection));
        Ok(Self::start(None, readers, connection, Head { epoch: 0, last: None }, None))
    }

    /// Checks the whole chain, and that it holds `anchor`: an earlier head, kept outside of the
    /// journal. This is what detects a chain that was rewritten from some entry on.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] names the first entry that is wrong.
    pub async fn verify_against(&self, anchor: (u64, B256)) -> Result<u64, JournalError> {
        self.verify_with(Some(anchor)).await
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
        let mut reader = self.reader().await?;
        let mut transaction = reader.connection().begin().await.map_err(failed(0))?;
        let head = schema::head(&mut transaction).await?.last;
        rows::export(&mut *transaction, head, from_seq, out).await
    }

    /// How often the journal changed its owner; the fencing token of this one.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Ends the writer after the appends it has, and gives the journal free for the next owner.
    /// Dropping the journal does the same, some time later.
    pub async fn close(mut self) {
        // The writer's connection must be the last: it alone may fold the WAL into the main file.
        if let Readers::Pool(pool) = &self.readers {
            pool.close().await;
        }
        self.appends = None;
        if let Some(writer) = self.writer.take()
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "journal writer ended abnormally");
        }
    }

    async fn open_as(path: &Path, opening: Opening) -> Result<Self, JournalError> {
        let mut connection =
            schema::writing(path, opening.pages_max).connect().await.map_err(failed(0))?;
        let path = path.canonicalize().map_err(|it| chain::unavailable(it.into()))?;
        let (head, lease) = own(&mut connection, &path, opening.take_over).await?;
        let readers = Readers::Pool(reading_pool(&path));
        Ok(Self::start(Some(path), readers, Arc::new(Mutex::new(connection)), head, Some(lease)))
    }

    fn start(
        path: Option<PathBuf>,
        readers: Readers,
        connection: Arc<Mutex<SqliteConnection>>,
        head: Head,
        lease: Option<Lease>,
    ) -> Self {
        let (appends, waiting) = mpsc::channel(limits::APPENDS_QUEUED_MAX);
        let Head { epoch, last } = head;
        let writer = Writer { connection, epoch, head: last, fenced: false, lease };
        let writer = Some(tokio::spawn(writer::run(writer, waiting)));
        Self { path, epoch, readers, appends: Some(appends), writer }
    }

    async fn verify_with(&self, anchor: Option<(u64, B256)>) -> Result<u64, JournalError> {
        let mut reader = self.reader().await?;
        let mut transaction = reader.connection().begin().await.map_err(failed(0))?;
        let head = schema::head(&mut transaction).await?.last;
        let checked = rows::verify(&mut *transaction, head, anchor).await?;
        tracing::debug!(entries = checked.entries, head = ?checked.head, "journal verified");
        Ok(checked.entries)
    }

    async fn reader(&self) -> Result<Reader<'_>, JournalError> {
        match &self.readers {
            Readers::Pool(pool) => pool.acquire().await.map(Reader::Pooled).map_err(failed(0)),
            Readers::Shared(connection) => Ok(Reader::Shared(connection.lock().await)),
        }
    }
}

impl Reader<'_> {
    fn connection(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Pooled(connection) => connection,
            Self::Shared(connection) => connection,
        }
    }
}

impl Journal for SqliteJournal {
    fn append<'a>(
        &'a self,
        now: Timestamp,
        records: &'a [Record],
    ) -> Boxed<'a, Result<Vec<Entry>, JournalError>> {
        Box::pin(group::append(self.appends.as_ref(), now, records))
    }

    fn read(&self, from_seq: u64, limit: usize) -> Boxed<'_, Result<Vec<Entry>, JournalError>> {
        Box::pin(async move {
            let mut reader = self.reader().await?;
            rows::read(reader.connection(), from_seq, limit).await
        })
    }

    fn head(&self) -> Boxed<'_, Result<Option<(u64, B256)>, JournalError>> {
        Box::pin(async move {
            let mut reader = self.reader().await?;
            Ok(schema::head(reader.connection()).await?.last)
        })
    }

    fn last_snapshot(&self) -> Boxed<'_, Result<Option<u64>, JournalError>> {
        Box::pin(async move {
            let mut reader = self.reader().await?;
            reads::last_snapshot(reader.connection()).await
        })
    }

    fn verify(&self) -> Boxed<'_, Result<u64, JournalError>> {
        Box::pin(self.verify_with(None))
    }
}

impl fmt::Debug for SqliteJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteJournal")
            .field("path", &self.path)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// Becomes the owner, in one write transaction: tables, lease, next epoch.
async fn own(
    connection: &mut SqliteConnection,
    path: &Path,
    take_over: bool,
) -> Result<(Head, Lease), JournalError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed(0))?;
    schema::prepare(&mut transaction).await?;
    let Head { epoch: before, last } = schema::head(&mut transaction).await?;
    let lease = lease::claim(path, before, take_over)?;
    rows::check_end(reads::last_entry(&mut transaction).await?, last)?;
    let epoch = before + 1;
    sqlx::query("UPDATE head SET epoch = ?1 WHERE id = 0")
        .bind(epoch)
        .execute(&mut *transaction)
        .await
        .map_err(failed(0))?;
    transaction.commit().await.map_err(failed(0))?;
    lease::sync_folder_of(path)?;
    lease::forget(path, before);
    Ok((Head { epoch, last }, lease))
}

fn reading_pool(path: &Path) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(limits::READERS_MAX)
        .test_before_acquire(false)
        .connect_lazy_with(schema::reading(path))
}
