//! Reading and checking entries.

use alloy_primitives::B256;
use cofferdam_core::{
    Timestamp,
    ports::{Boxed, JournalError},
};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::error::failed;
use crate::{
    chain::{ChainCheck, RawEntry, corrupt},
    rows::{Row, Rows},
};

impl Rows for SqliteConnection {
    fn page(&mut self, from: i64, limit: i64) -> Boxed<'_, Result<Vec<Row>, JournalError>> {
        Box::pin(async move {
            let near = u64::try_from(from).unwrap_or(0);
            let rows = sqlx::query(
                "SELECT seq, at, prev, hash, record, snapshot FROM entry
                 WHERE seq >= ?1 ORDER BY seq LIMIT ?2",
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

/// The newest snapshot.
pub(super) async fn last_snapshot(
    connection: &mut SqliteConnection,
) -> Result<Option<u64>, JournalError> {
    let seq: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM entry WHERE snapshot = 1")
        .fetch_one(connection)
        .await
        .map_err(failed(0))?;
    Ok(seq.map(|it| u64::try_from(it).unwrap_or(0)))
}

/// Sequence number and hash of the last stored entry.
pub(super) async fn last_entry(
    connection: &mut SqliteConnection,
) -> Result<Option<(u64, B256)>, JournalError> {
    let row = sqlx::query(
        "SELECT seq, at, prev, hash, record, snapshot FROM entry ORDER BY seq DESC LIMIT 1",
    )
    .fetch_optional(connection)
    .await
    .map_err(failed(0))?;
    row.as_ref().map(raw_entry).transpose()?.map_or(Ok(None), |(raw, _)| {
        let mut check = ChainCheck::default();
        check.check(&raw)?;
        Ok(check.last())
    })
}

fn raw_entry(row: &SqliteRow) -> Result<Row, JournalError> {
    let seq: i64 = row.try_get(0).map_err(failed(0))?;
    let seq =
        u64::try_from(seq).map_err(|_| corrupt(0, format!("entry {seq} stands before it")))?;
    let wrong = failed(seq);
    let at: i64 = row.try_get(1).map_err(&wrong)?;
    let record: Vec<u8> = row.try_get(4).map_err(&wrong)?;
    let snapshot: i64 = row.try_get(5).map_err(&wrong)?;
    let raw = RawEntry {
        seq,
        at: Timestamp(at.cast_unsigned()),
        prev: hash(row, 2, seq)?,
        hash: hash(row, 3, seq)?,
        record,
    };
    Ok((raw, snapshot != 0))
}

fn hash(row: &SqliteRow, index: usize, seq: u64) -> Result<B256, JournalError> {
    let bytes: Vec<u8> = row.try_get(index).map_err(failed(seq))?;
    B256::try_from(bytes.as_slice()).map_err(|_| corrupt(seq, "a hash of it is not 32 bytes"))
}
