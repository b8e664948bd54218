//! The journal on this machine, in whichever form it stands at a path.
//!
//! A folder is a journal in files of its own; a file is one in SQLite. Where nothing stands yet, a name
//! that ends in `.sqlite` or `.db` makes one in SQLite, any other one in files.

use std::path::Path;

use alloy_primitives::B256;
use cofferdam_core::{
    Record, Timestamp,
    ports::{Boxed, Journal, JournalError},
    record::Entry,
};

use crate::{FileJournal, SqliteJournal};

/// A journal on this machine.
#[derive(Debug)]
pub enum LocalJournal {
    /// In files of its own.
    Files(FileJournal),
    /// In one SQLite file.
    Sqlite(SqliteJournal),
}

impl LocalJournal {
    /// Opens the journal at `path` as its only writer; creates it if there is none.
    ///
    /// # Errors
    /// As [`FileJournal::open`] and [`SqliteJournal::open`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref();
        if is_sqlite(path) {
            return SqliteJournal::open(path).await.map(Self::Sqlite);
        }
        FileJournal::open(path).await.map(Self::Files)
    }

    /// Opens the journal at `path` for reading, beside a writer or without one.
    ///
    /// # Errors
    /// As [`FileJournal::open_read_only`] and [`SqliteJournal::open_read_only`].
    pub async fn open_read_only(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref();
        if is_sqlite(path) {
            return SqliteJournal::open_read_only(path).await.map(Self::Sqlite);
        }
        FileJournal::open_read_only(path).await.map(Self::Files)
    }

    /// Checks the whole chain, and that every record is one that this release reads.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] names the first entry that is wrong.
    pub async fn verify_records(&self) -> Result<u64, JournalError> {
        match self {
            Self::Files(it) => it.verify_records().await,
            Self::Sqlite(it) => it.verify().await,
        }
    }

    /// Checks the whole chain, and that it holds `anchor`: an earlier head kept elsewhere.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] names the first entry that is wrong.
    pub async fn verify_against(&self, anchor: (u64, B256)) -> Result<u64, JournalError> {
        match self {
            Self::Files(it) => it.verify_against(anchor).await,
            Self::Sqlite(it) => it.verify_against(anchor).await,
        }
    }

    /// Writes the journal from entry `from_seq` on as NDJSON; see [`crate::export`].
    ///
    /// # Errors
    /// As [`FileJournal::export`] and [`SqliteJournal::export`].
    pub async fn export(
        &self,
        from_seq: u64,
        out: &mut (dyn std::io::Write + Send),
    ) -> Result<u64, JournalError> {
        match self {
            Self::Files(it) => it.export(from_seq, out).await,
            Self::Sqlite(it) => it.export(from_seq, out).await,
        }
    }

    /// Ends the writer after the appends it has, and gives the journal free for the next owner.
    pub async fn close(self) {
        match self {
            Self::Files(it) => it.close().await,
            Self::Sqlite(it) => it.close().await,
        }
    }

    fn inner(&self) -> &dyn Journal {
        match self {
            Self::Files(it) => it,
            Self::Sqlite(it) => it,
        }
    }
}

fn is_sqlite(path: &Path) -> bool {
    let named = path.extension().is_some_and(|it| it == "sqlite" || it == "db");
    path.is_file() || (named && !path.is_dir())
}

impl Journal for LocalJournal {
    fn append<'a>(
        &'a self,
        now: Timestamp,
        records: &'a [Record],
    ) -> Boxed<'a, Result<Vec<Entry>, JournalError>> {
        self.inner().append(now, records)
    }

    fn read(&self, from_seq: u64, limit: usize) -> Boxed<'_, Result<Vec<Entry>, JournalError>> {
        self.inner().read(from_seq, limit)
    }

    fn head(&self) -> Boxed<'_, Result<Option<(u64, B256)>, JournalError>> {
        self.inner().head()
    }

    fn last_snapshot(&self) -> Boxed<'_, Result<Option<u64>, JournalError>> {
        self.inner().last_snapshot()
    }

    fn verify(&self) -> Boxed<'_, Result<u64, JournalError>> {
        self.inner().verify()
    }
}
