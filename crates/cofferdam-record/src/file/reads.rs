//! Reading entries by their position, and exporting them.

use std::io::Write;

use cofferdam_core::{ports::JournalError, record::Entry};

use super::{
    Shared,
    format::EntryRef,
    view::View,
    walk::{Chunk, Walk},
};
use crate::{
    chain::{ChainCheck, corrupt},
    export,
};

/// Up to `limit` entries from `from` on, each checked.
pub(super) fn read(shared: &Shared, from: u64, limit: usize) -> Result<Vec<Entry>, JournalError> {
    let mut out = Vec::new();
    let mut check = ChainCheck::from_seq(from);
    walk(shared, from, limit, &mut |entry| {
        let raw = entry.to_raw();
        let record = check.check(&raw)?;
        out.push(raw.with(record));
        Ok(())
    })?;
    Ok(out)
}

/// Writes the entries from `from` on as they are stored, and the last line. Returns how many.
pub(super) fn export(shared: &Shared, from: u64, out: &mut dyn Write) -> Result<u64, JournalError> {
    let head = shared.view().tail.head();
    let count = head.map_or(0, |(last, _)| (last + 1).saturating_sub(from));
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    let mut written = 0u64;
    walk(shared, from, limit, &mut |entry| {
        written += 1;
        export::write_entry(out, &entry.to_raw())
    })?;
    export::write_head(out, head, written)?;
    Ok(written)
}

/// Calls `each` with up to `limit` entries from `from` on, not checked.
fn walk(
    shared: &Shared,
    from: u64,
    limit: usize,
    each: &mut dyn FnMut(EntryRef<'_>) -> Result<(), JournalError>,
) -> Result<(), JournalError> {
    let end = shared.view().tail.entries;
    let last = from.saturating_add(u64::try_from(limit).unwrap_or(u64::MAX)).min(end);
    let mut due = from;
    while due < last {
        let mut walk = start(shared, due)?;
        let begun = due;
        walk_segment(&mut walk, &mut due, last, each)?;
        if due == begun {
            return Err(corrupt(due, "it is missing; the journal was truncated"));
        }
    }
    Ok(())
}

/// Hands out the entries from `due` up to `last` that one segment holds.
fn walk_segment(
    walk: &mut Walk,
    due: &mut u64,
    last: u64,
    each: &mut dyn FnMut(EntryRef<'_>) -> Result<(), JournalError>,
) -> Result<(), JournalError> {
    let mut chunk = Chunk::default();
    while *due < last && walk.next_into(&mut chunk)? {
        for (_, header, body) in chunk.commits() {
            if header.next() <= *due {
                continue;
            }
            if header.first > *due {
                return Err(corrupt(
                    *due,
                    format!("it is missing; entry {} stands there", header.first),
                ));
            }
            for entry in header.entries(body) {
                let entry = entry?;
                if entry.seq < *due {
                    continue;
                }
                if *due >= last {
                    return Ok(());
                }
                *due += 1;
                each(entry)?;
            }
        }
    }
    Ok(())
}

/// A walk that begins at or before entry `seq`. What it takes to find the place is remembered, without
/// keeping the writer from its work meanwhile.
fn start(shared: &Shared, seq: u64) -> Result<Walk, JournalError> {
    let mut view: View = shared.view();
    let at = view.holding(seq);
    let segment = at.and_then(|at| view.segments.get_mut(at));
    let Some(segment) = segment else {
        return Err(corrupt(seq, "no segment of the journal holds it"));
    };
    let walk = segment.walk_to(seq);
    shared.marked(segment);
    Ok(walk)
}
