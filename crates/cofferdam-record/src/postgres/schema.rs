//! The tables, who owns them, and how connections to them are set up.
//!
//! Each epoch has an advisory lock of its own, held by the connection of its owner: the server drops it
//! when that connection ends, however it ends. The epoch in the head row is what makes it safe: every
//! commit checks it, so an owner that was taken over, or whose connection was lost without its noticing,
//! commits nothing more. Advisory locks need a session: no pooler in transaction mode in between.

use cofferdam_core::ports::{Boxed, JournalError};
use sqlx::{
    Connection, PgConnection, Row as _,
    postgres::{PgConnectOptions, PgRow},
};

use super::error::failed;
use crate::{
    chain::{RawEntry, corrupt, unavailable},
    rows::{Last, Row, Rows, check_end, head_of},
};

/// Version of the tables below.
const FORMAT: i32 = 1;
/// Key of the advisory lock that openers wait for, and first half of the owners' keys: `Coff` in ASCII.
const LOCKS: i32 = 0x436f_6666;

/// The record is `BYTEA`, because the hash covers its exact bytes. The triggers stop accidents, not
/// intruders: those are what the chain is for.
const TABLES: &str = "
CREATE TABLE entry (
    seq BIGINT PRIMARY KEY CHECK (seq >= 0),
    at BIGINT NOT NULL,
    prev BYTEA NOT NULL CHECK (octet_length(prev) = 32),
    hash BYTEA NOT NULL CHECK (octet_length(hash) = 32),
    snapshot BOOLEAN NOT NULL,
    record BYTEA NOT NULL
);
CREATE INDEX entry_snapshot ON entry (seq) WHERE snapshot;
CREATE TABLE head (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    format INTEGER NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT,
    hash BYTEA,
    CHECK ((seq IS NULL) = (hash IS NULL))
);
INSERT INTO head (id, format, epoch) VALUES (0, 1, 0);
CREATE FUNCTION entry_is_never_changed() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'a journal entry is never changed or deleted'; END $$;
CREATE TRIGGER entry_is_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON entry
FOR EACH STATEMENT EXECUTE FUNCTION entry_is_never_changed();
";

/// The row that anchors the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// How often the journal changed its owner.
    pub(super) epoch: i64,
    /// Sequence number and hash of the last entry.
    pub(super) last: Last,
}

/// A connection whose commits return after they are on the server's disk.
pub(super) async fn writing(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    sqlx::query("SET synchronous_commit = on").execute(&mut connection).await?;
    Ok(connection)
}

/// Becomes the owner, in one transaction: tables, lock, next epoch.
pub(super) async fn own(
    connection: &mut PgConnection,
    take_over: bool,
) -> Result<Head, JournalError> {
    let mut transaction = connection.begin().await.map_err(failed(0))?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(i64::from(LOCKS))
        .execute(&mut *transaction)
        .await
        .map_err(failed(0))?;
    let tables: bool = sqlx::query_scalar("SELECT to_regclass('head') IS NOT NULL")
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed(0))?;
    if !tables {
        sqlx::raw_sql(TABLES).execute(&mut *transaction).await.map_err(failed(0))?;
    }
    let Head { epoch: before, last } = head(&mut transaction).await?;
    if !take_over && lives(&mut transaction, before).await.map_err(failed(0))? {
        return Err(JournalError::Fenced);
    }
    check_end(last_entry(&mut transaction).await?, last)?;
    let epoch = before + 1;
    if !lock(&mut transaction, epoch).await.map_err(failed(0))? {
        return Err(JournalError::Fenced);
    }
    sqlx::query("UPDATE head SET epoch = $1 WHERE id = 0")
        .bind(epoch)
        .execute(&mut *transaction)
        .await
        .map_err(failed(0))?;
    transaction.commit().await.map_err(failed(0))?;
    Ok(Head { epoch, last })
}

/// Takes the lock of an epoch for this connection; false if another one holds it.
pub(super) async fn lock(connection: &mut PgConnection, epoch: i64) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_try_advisory_lock($1, $2)")
        .bind(LOCKS)
        .bind(key(epoch))
        .fetch_one(connection)
        .await
}

async fn lives(connection: &mut PgConnection, epoch: i64) -> Result<bool, sqlx::Error> {
    if lock(connection, epoch).await? {
        sqlx::query("SELECT pg_advisory_unlock($1, $2)")
            .bind(LOCKS)
            .bind(key(epoch))
            .execute(connection)
            .await?;
        return Ok(false);
    }
    Ok(true)
}

/// Lock keys are 32 bits wide; two epochs that share one are four billion owners apart.
fn key(epoch: i64) -> i32 {
    (epoch & i64::from(u32::MAX)) as u32 as i32
}

/// Reads the head row, if it is one that this release reads.
pub(super) async fn head(connection: &mut PgConnection) -> Result<Head, JournalError> {
    let row = sqlx::query("SELECT format, epoch, seq, hash FROM head WHERE id = 0")
        .fetch_optional(connection)
        .await
        .map_err(failed(0))?
        .ok_or_else(|| corrupt(0, "the head of the journal is missing"))?;
    let format: i32 = row.try_get(0).map_err(failed(0))?;
    if format != FORMAT {
        let what = format!("the journal has format {format}, this release reads format {FORMAT}");
        return Err(unavailable(what.into()));
    }
    let epoch = row.try_get(1).map_err(failed(0))?;
    let last = head_of(row.try_get(2).map_err(failed(0))?, row.try_get(3).map_err(failed(0))?)?;
    Ok(Head { epoch, last })
}

/// The newest snapshot.
pub(super) async fn last_snapshot(
    connection: &mut PgConnection,
) -> Result<Option<u64>, JournalError> {
    let seq: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM entry WHERE snapshot")
        .fetch_one(connection)
        .await
        .map_err(failed(0))?;
    Ok(seq.map(|it| u64::try_from(it).unwrap_or(0)))
}

async fn last_entry(connection: &mut PgConnection) -> Result<Last, JournalError> {
    let row = sqlx::query(
        "SELECT seq, at, prev, hash, record, snapshot FROM entry ORDER BY seq DESC LIMIT 1",
    )
    .fetch_optional(connection)
    .await
    .map_err(failed(0))?;
    let Some((raw, _)) = row.as_ref().map(raw_entry).transpose()? else { return Ok(None) };
    let mut check = crate::chain::ChainCheck::default();
    check.check(&raw)?;
    Ok(check.last())
}

impl Rows for PgConnection {
    fn page(&mut self, from: i64, limit: i64) -> Boxed<'_, Result<Vec<Row>, JournalError>> {
        Box::pin(async move {
            let near = u64::try_from(from).unwrap_or(0);
            let rows = sqlx::query(
                "SELECT seq, at, prev, hash, record, snapshot FROM entry
                 WHERE seq >= $1 ORDER BY seq LIMIT $2",
            )
            .bind(from)
            .bind(limit)
            .fetch_all(self)
            .await
            .map_err(failed(near))?;
            rows.iter().map(raw_entry).collect()
        })
    }
}

fn raw_entry(row: &PgRow) -> Result<Row, JournalError> {
    let seq: i64 = row.try_get(0).map_err(failed(0))?;
    let seq =
        u64::try_from(seq).map_err(|_| corrupt(0, format!("entry {seq} stands before it")))?;
    let wrong = failed(seq);
    let at: i64 = row.try_get(1).map_err(&wrong)?;
    let hash = |index: usize| -> Result<alloy_primitives::B256, JournalError> {
        let bytes: Vec<u8> = row.try_get(index).map_err(failed(seq))?;
        bytes.as_slice().try_into().map_err(|_| corrupt(seq, "a hash of it is not 32 bytes"))
    };
    let raw = RawEntry {
        seq,
        at: cofferdam_core::Timestamp(at.cast_unsigned()),
        prev: hash(2)?,
        hash: hash(3)?,
        record: row.try_get(4).map_err(&wrong)?,
    };
    Ok((raw, row.try_get(5).map_err(&wrong)?))
}
