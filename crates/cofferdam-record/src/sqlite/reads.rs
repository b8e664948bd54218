//! Reading and checking entries.

use alloy_primitives::B256;
use cofferdam_core::{Timestamp, ports::JournalError, record::Entry};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::{error::failed, schema};
use crate::{
    chain::{ChainCheck, RawEntry, corrupt, is_snapshot},
    limits::PAGE_ENTRIES,
};

/// What a full check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) entries: u64,
    pub(super) head: Option<(u64, B256)>,
}

/// An entry and its snapshot mark.
pub(super) type Row2 = (RawEntry, bool);

/// Up to `limit` entries from `from` on, not checked. `from` may be negative, where nothing should be.
pub(super) async fn page(
    connection: &mut SqliteConnection,
    from: i64,
    limit: i64,
) -> Result<Vec<Row2>, JournalError> {
    let near = u64::try_from(from).unwrap_or(0);
    let rows = sqlx::query(
        "SELECT seq, at, prev, hash, record, snapshot FROM entry WHERE seq >= ?1 ORDER BY seq LIMIT ?2",
    )
    .bind(from)
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(failed(near))?;
    rows.iter().map(raw_entry).collect()
}

/// Up to `limit` entries from `from_seq` on, each checked.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    from_seq: u64,
    limit: usize,
) -> Result<Vec<Entry>, JournalError> {
    let Ok(from) = i64::try_from(from_seq) else { return Ok(Vec::new()) };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut check = ChainCheck::from_seq(from_seq);
    let rows = page(connection, from, limit).await?;
    rows.into_iter().map(|(raw, _)| check.check(&raw).map(|record| raw.with(record))).collect()
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

/// Checks every entry, and the end of the chain against the head row. `anchor` must be in the chain.
/// Call it inside a transaction, so that all of it is one moment.
pub(super) async fn verify(
    connection: &mut SqliteConnection,
    anchor: Option<(u64, B256)>,
) -> Result<Checked, JournalError> {
    let head = schema::head(&mut *connection).await?.last;
    let mut check = ChainCheck::from_seq(0);
    let mut entries = 0u64;
    let mut from = i64::MIN;
    loop {
        let rows = page(&mut *connection, from, PAGE_ENTRIES).await?;
        let Some((last, _)) = rows.last() else { break };
        from = last.seq.saturating_add(1).try_into().unwrap_or(i64::MAX);
        for (raw, marked) in &rows {
            let record = check.check(raw)?;
            if is_snapshot(&record) != *marked {
                return Err(corrupt(raw.seq, "its snapshot mark does not fit its record"));
            }
            if anchor.is_some_and(|(seq, hash)| seq == raw.seq && hash != raw.hash) {
                return Err(corrupt(raw.seq, "its hash differs from the anchor"));
            }
        }
        entries = entries.saturating_add(rows.len() as u64);
    }
    check_end(check.last(), head)?;
    match anchor {
        Some((seq, _)) if head.is_none_or(|(last, _)| last < seq) => {
            Err(corrupt(seq, "the journal ends before the anchor"))
        }
        _ => Ok(Checked { entries, head }),
    }
}

/// Checks that the last entry is the one the head row names.
pub(super) fn check_end(
    last: Option<(u64, B256)>,
    head: Option<(u64, B256)>,
) -> Result<(), JournalError> {
    if last == head {
        return Ok(());
    }
    let next = |it: Option<(u64, B256)>| it.map_or(0, |(seq, _)| seq.saturating_add(1));
    Err(match next(last).cmp(&next(head)) {
        std::cmp::Ordering::Less => corrupt(next(last), "it is missing; the journal was truncated"),
        std::cmp::Ordering::Greater => {
            corrupt(next(head), "it stands after the head of the journal")
        }
        std::cmp::Ordering::Equal => {
            corrupt(next(head).saturating_sub(1), "it is not the entry that the head names")
        }
    })
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

fn raw_entry(row: &SqliteRow) -> Result<Row2, JournalError> {
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
