//! The journal in a PostgreSQL database of its own, for more than one machine.
//!
//! One owner writes, over one connection; reads have connections of their own. An append that was
//! answered is as durable as the server's `fsync` and `synchronous_commit` make it.

mod error;
mod schema;
mod writer;

use std::{fmt, str::FromStr};

use alloy_primitives::B256;
use cofferdam_core::{
    Record, Timestamp,
    ports::{Boxed, Journal, JournalError},
    record::Entry,
};
use sqlx::{
    Acquire, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{sync::mpsc, task::JoinHandle};

use self::{
    error::{Told, failed},
    schema::Head,
    writer::Writer,
};
use crate::{
    group::{self, Append},
    limits::{APPENDS_QUEUED_MAX, READERS_MAX},
    rows,
};

/// The journal in a PostgreSQL database.
pub struct PostgresJournal {
    epoch: i64,
    readers: PgPool,
    appends: Option<mpsc::Sender<Append<Told>>>,
    writer: Option<JoinHandle<()>>,
}

impl PostgresJournal {
    /// Opens the journal in the database at `url` as its only writer; creates the tables if there are
    /// none.
    ///
    /// # Errors
    /// [`JournalError::Fenced`] if another connection writes to it, [`JournalError::Corrupt`] if its end
    /// is not what was written, [`JournalError::Unavailable`] if the server cannot be reached.
    pub async fn open(url: &str) -> Result<Self, JournalError> {
        Self::open_as(url, false).await
    }

    /// As [`PostgresJournal::open`], but takes the journal from a live owner, which from then on gets
    /// [`JournalError::Fenced`] for every append.
    ///
    /// # Errors
    /// As [`PostgresJournal::open`].
    pub async fn take_over(url: &str) -> Result<Self, JournalError> {
        Self::open_as(url, true).await
    }

    /// Opens the journal for reading, beside a writer or without one. Appends fail with
    /// [`JournalError::Unavailable`].
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] if the server cannot be reached or holds no journal.
    pub async fn open_read_only(url: &str) -> Result<Self, JournalError> {
        let readers = pool(options(url)?);
        let mut connection = readers.acquire().await.map_err(failed(0))?;
        let Head { epoch, .. } = schema::head(&mut connection).await?;
        drop(connection);
        Ok(Self { epoch, readers, appends: None, writer: None })
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
    /// the head; see [`crate::export`]. Returns how many entries were written.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] if a record is not even JSON, [`JournalError::Unavailable`] if
    /// reading or writing fails.
    pub async fn export(
        &self,
        from_seq: u64,
        out: &mut (dyn std::io::Write + Send),
    ) -> Result<u64, JournalError> {
        let mut moment = self.moment().await?;
        let head = schema::head(&mut moment).await?.last;
        rows::export(&mut *moment, head, from_seq, out).await
    }

    /// How often the journal changed its owner; the fencing token of this one.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Ends the writer after the appends it has, and gives the journal free for the next owner.
    /// Dropping the journal does the same, some time later.
    pub async fn close(mut self) {
        self.readers.close().await;
        self.appends = None;
        if let Some(writer) = self.writer.take()
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "journal writer ended abnormally");
        }
    }

    async fn open_as(url: &str, take_over: bool) -> Result<Self, JournalError> {
        let options = options(url)?;
        let mut connection = schema::writing(&options).await.map_err(failed(0))?;
        let Head { epoch, last } = schema::own(&mut connection, take_over).await?;
        let (appends, waiting) = mpsc::channel(APPENDS_QUEUED_MAX);
        let readers = pool(options.clone());
        let connection = Some(connection);
        let writer = Writer { options, connection, epoch, head: last, fenced: false };
        let writer = Some(tokio::spawn(writer::run(writer, waiting)));
        Ok(Self { epoch, readers, appends: Some(appends), writer })
    }

    /// A transaction in which all of the journal is seen as of one moment.
    async fn moment(&self) -> Result<Transaction<'_, Postgres>, JournalError> {
        let mut transaction = self.readers.begin().await.map_err(failed(0))?;
        let connection = transaction.acquire().await.map_err(failed(0))?;
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .execute(connection)
            .await
            .map_err(failed(0))?;
        Ok(transaction)
    }

    async fn verify_with(&self, anchor: rows::Last) -> Result<u64, JournalError> {
        let mut moment = self.moment().await?;
        let head = schema::head(&mut moment).await?.last;
        Ok(rows::verify(&mut *moment, head, anchor).await?.entries)
    }
}

impl Journal for PostgresJournal {
    fn append<'a>(
        &'a self,
        now: Timestamp,
        records: &'a [Record],
    ) -> Boxed<'a, Result<Vec<Entry>, JournalError>> {
        Box::pin(group::append(self.appends.as_ref(), now, records))
    }

    fn read(&self, from_seq: u64, limit: usize) -> Boxed<'_, Result<Vec<Entry>, JournalError>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await.map_err(failed(from_seq))?;
            rows::read(&mut *reader, from_seq, limit).await
        })
    }

    fn head(&self) -> Boxed<'_, Result<rows::Last, JournalError>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await.map_err(failed(0))?;
            Ok(schema::head(&mut reader).await?.last)
        })
    }

    fn last_snapshot(&self) -> Boxed<'_, Result<Option<u64>, JournalError>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await.map_err(failed(0))?;
            schema::last_snapshot(&mut reader).await
        })
    }

    fn verify(&self) -> Boxed<'_, Result<u64, JournalError>> {
        Box::pin(self.verify_with(None))
    }
}

impl fmt::Debug for PostgresJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresJournal").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

fn options(url: &str) -> Result<PgConnectOptions, JournalError> {
    PgConnectOptions::from_str(url).map_err(failed(0))
}

fn pool(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new().max_connections(READERS_MAX).connect_lazy_with(options)
}
