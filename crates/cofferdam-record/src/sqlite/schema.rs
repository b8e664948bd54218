//! The tables, and how connections to them are set up.

use std::path::Path;

use alloy_primitives::B256;
use cofferdam_core::ports::JournalError;
use sqlx::{
    ConnectOptions, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::error::failed;
use crate::{
    chain::{corrupt, unavailable},
    limits::BUSY_TIMEOUT,
    rows::head_of,
};

/// `Coff` in ASCII: what `file` and SQLite's header show.
const APPLICATION_ID: i64 = 0x436f_6666;
/// Version of the tables below.
const FORMAT: i64 = 1;

/// `head` holds the end of the chain in a row of its own, so that a truncated tail is missed. The
/// triggers stop accidents, not intruders: those are what the chain is for.
const TABLES: &str = "
CREATE TABLE entry (
    seq INTEGER PRIMARY KEY CHECK (seq >= 0),
    at INTEGER NOT NULL,
    prev BLOB NOT NULL CHECK (length(prev) = 32),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    snapshot INTEGER NOT NULL CHECK (snapshot IN (0, 1)),
    record TEXT NOT NULL
) STRICT;
CREATE INDEX entry_snapshot ON entry (seq) WHERE snapshot = 1;
CREATE TABLE head (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    epoch INTEGER NOT NULL,
    seq INTEGER,
    hash BLOB,
    CHECK ((seq IS NULL) = (hash IS NULL))
) STRICT;
INSERT INTO head (id, epoch) VALUES (0, 0);
CREATE TRIGGER entry_is_never_updated BEFORE UPDATE ON entry
BEGIN SELECT RAISE(ABORT, 'a journal entry is never changed'); END;
CREATE TRIGGER entry_is_never_deleted BEFORE DELETE ON entry
BEGIN SELECT RAISE(ABORT, 'a journal entry is never deleted'); END;
PRAGMA application_id = 1131374182;
PRAGMA user_version = 1;
";

/// The row that anchors the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// How often the journal changed its owner.
    pub(super) epoch: i64,
    /// Sequence number and hash of the last entry.
    pub(super) last: Option<(u64, B256)>,
}

/// A connection that may write: WAL, and a commit returns after the WAL is on the disk.
pub(super) fn writing(path: &Path, pages_max: Option<u32>) -> SqliteConnectOptions {
    let options = base()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // macOS needs it to reach the disk's platter; others ignore it.
        .pragma("fullfsync", "ON");
    match pages_max {
        Some(pages) => options.pragma("max_page_count", pages.to_string()),
        None => options,
    }
}

/// A connection that cannot write.
pub(super) fn reading(path: &Path) -> SqliteConnectOptions {
    base().filename(path).read_only(true)
}

/// A database that lives as long as its connection.
pub(super) fn in_memory() -> SqliteConnectOptions {
    base().filename(":memory:").in_memory(true).create_if_missing(true)
}

fn base() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .busy_timeout(BUSY_TIMEOUT)
        // The file may have been tampered with: its schema is not trusted to call functions, and a
        // damaged page is noticed when it is read.
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging()
}

/// Creates the tables in an empty database. Call it inside a write transaction.
pub(super) async fn prepare(connection: &mut SqliteConnection) -> Result<(), JournalError> {
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed(0))?;
    if tables == 0 {
        sqlx::raw_sql(TABLES).execute(&mut *connection).await.map_err(failed(0))?;
    }
    check_format(connection).await
}

/// Checks that the database is a journal of a format this release reads.
pub(super) async fn check_format(connection: &mut SqliteConnection) -> Result<(), JournalError> {
    let application: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed(0))?;
    let format: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed(0))?;
    if application != APPLICATION_ID {
        return Err(corrupt(0, "the file is not a cofferdam journal"));
    }
    if format != FORMAT {
        let what = format!("the journal has format {format}, this release reads format {FORMAT}");
        return Err(unavailable(what.into()));
    }
    Ok(())
}

/// Reads the head row.
pub(super) async fn head(connection: &mut SqliteConnection) -> Result<Head, JournalError> {
    let row = sqlx::query("SELECT epoch, seq, hash FROM head WHERE id = 0")
        .fetch_optional(connection)
        .await
        .map_err(failed(0))?
        .ok_or_else(|| corrupt(0, "the head of the journal is missing"))?;
    let epoch: i64 = row.try_get(0).map_err(failed(0))?;
    let seq: Option<i64> = row.try_get(1).map_err(failed(0))?;
    let hash: Option<Vec<u8>> = row.try_get(2).map_err(failed(0))?;
    let last = head_of(seq, hash)?;
    Ok(Head { epoch, last })
}
