//! Reading, checking and exporting entries that a database keeps as rows.

use std::io::Write;

use alloy_primitives::B256;
use cofferdam_core::{
    ports::{Boxed, JournalError},
    record::Entry,
};

use crate::{
    chain::{ChainCheck, RawEntry, corrupt, is_snapshot},
    export,
    limits::PAGE_ENTRIES,
};

/// An entry and its snapshot mark.
pub(crate) type Row = (RawEntry, bool);

/// Sequence number and hash of the last entry, as the head of the journal tells it.
pub(crate) type Last = Option<(u64, B256)>;

/// A connection that entries are read from, inside of one transaction.
pub(crate) trait Rows: Send {
    /// Up to `limit` entries from `from` on, not checked. `from` may be negative, where nothing should be.
    fn page(&mut self, from: i64, limit: i64) -> Boxed<'_, Result<Vec<Row>, JournalError>>;
}

/// What a full check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) entries: u64,
    pub(crate) head: Last,
}

/// Up to `limit` entries from `from_seq` on, each checked.
pub(crate) async fn read(
    rows: &mut dyn Rows,
    from_seq: u64,
    limit: usize,
) -> Result<Vec<Entry>, JournalError> {
    let Ok(from) = i64::try_from(from_seq) else { return Ok(Vec::new()) };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut check = ChainCheck::from_seq(from_seq);
    let page = rows.page(from, limit).await?;
    page.into_iter().map(|(raw, _)| check.check(&raw).map(|record| raw.with(record))).collect()
}

/// Checks every entry, and the end of the chain against `head`. `anchor` must be in the chain.
pub(crate) async fn verify(
    rows: &mut dyn Rows,
    head: Last,
    anchor: Last,
) -> Result<Checked, JournalError> {
    let mut check = ChainCheck::from_seq(0);
    let mut entries = 0u64;
    let mut from = i64::MIN;
    loop {
        let page = rows.page(from, PAGE_ENTRIES).await?;
        let Some((last, _)) = page.last() else { break };
        from = last.seq.saturating_add(1).try_into().unwrap_or(i64::MAX);
        for (raw, marked) in &page {
            let record = check.check(raw)?;
            if is_snapshot(&record) != *marked {
                return Err(corrupt(raw.seq, "its snapshot mark does not fit its record"));
            }
            if anchor.is_some_and(|(seq, hash)| seq == raw.seq && hash != raw.hash) {
                return Err(corrupt(raw.seq, "its hash differs from the anchor"));
            }
        }
        entries = entries.saturating_add(page.len() as u64);
    }
    check_end(check.last(), head)?;
    match anchor {
        Some((seq, _)) if head.is_none_or(|(last, _)| last < seq) => {
            Err(corrupt(seq, "the journal ends before the anchor"))
        }
        _ => Ok(Checked { entries, head }),
    }
}

/// Writes the entries from `from_seq` on as they are stored, and the last line. Returns how many.
pub(crate) async fn export(
    rows: &mut dyn Rows,
    head: Last,
    from_seq: u64,
    out: &mut (dyn Write + Send),
) -> Result<u64, JournalError> {
    let mut from = i64::try_from(from_seq).unwrap_or(i64::MAX);
    let mut count = 0u64;
    loop {
        let page = rows.page(from, PAGE_ENTRIES).await?;
        let Some((last, _)) = page.last() else { break };
        from = last.seq.saturating_add(1).try_into().unwrap_or(i64::MAX);
        for (raw, _) in &page {
            export::write_entry(out, raw)?;
        }
        count = count.saturating_add(page.len() as u64);
    }
    export::write_head(out, head, count)?;
    Ok(count)
}

/// Checks that the last entry is the one the head names.
pub(crate) fn check_end(last: Last, head: Last) -> Result<(), JournalError> {
    if last == head {
        return Ok(());
    }
    let next = |it: Last| it.map_or(0, |(seq, _)| seq.saturating_add(1));
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

/// The end of the chain as two columns of the head row tell it.
pub(crate) fn head_of(seq: Option<i64>, hash: Option<Vec<u8>>) -> Result<Last, JournalError> {
    match (seq, hash) {
        (None, None) => Ok(None),
        (Some(seq), Some(hash)) => {
            let last = u64::try_from(seq).ok().zip(B256::try_from(hash.as_slice()).ok());
            last.map(Some).ok_or_else(|| corrupt(0, "the head of the journal is unreadable"))
        }
        _ => Err(corrupt(0, "the head of the journal is incomplete")),
    }
}
