//! Journal exports: NDJSON that can be checked offline, without the database and without us.
//!
//! One line per entry, `{"seq":…,"at":…,"prev":"0x…","hash":"0x…","record":…}`, where the text of
//! `record` is byte for byte what the hash covers; then one last line,
//! `{"head":{"seq":…,"hash":"0x…"},"entries":…}`, without which an export counts as cut off.

use std::io::{BufRead, Read, Write};

use alloy_primitives::B256;
use cofferdam_core::{Timestamp, ports::JournalError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chain::{ChainCheck, RawEntry, corrupt, unavailable};

/// Bytes of one line of an export.
pub const LINE_BYTES_MAX: u64 = 300 << 20;

/// What an export holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many entries were checked.
    pub entries: u64,
    /// Sequence number of the first.
    pub first: Option<u64>,
    /// Sequence number and hash of the last. Compare it with an anchor kept elsewhere.
    pub head: Option<(u64, B256)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    seq: u64,
    at: Timestamp,
    prev: B256,
    hash: B256,
    #[serde(borrow)]
    record: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LastLine {
    head: Option<HeadLine>,
    entries: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadLine {
    seq: u64,
    hash: B256,
}

/// Checks an export. One that begins with a later entry is checked from there on.
///
/// # Errors
/// [`JournalError::Corrupt`] names the first entry that is wrong, [`JournalError::Unavailable`] if
/// reading fails.
pub fn verify_export(reader: impl BufRead) -> Result<Verified, JournalError> {
    let mut reader = reader;
    let mut check = ChainCheck::default();
    let (mut entries, mut first) = (0u64, None);
    let mut line = String::new();
    loop {
        let due = check.last().map_or(0, |(seq, _)| seq.saturating_add(1));
        if !next_line(&mut reader, &mut line, due)? {
            return Err(corrupt(due, "it is missing; the export was cut off"));
        }
        if let Ok(last) = serde_json::from_str::<LastLine>(&line) {
            let head = last.head.map(|it| (it.seq, it.hash));
            // A part that begins after the head has no entry to compare with it.
            let fits = head == check.last() || (entries == 0 && last.entries == 0);
            if !fits || last.entries != entries {
                return Err(corrupt(due, "the export ends elsewhere than its last line says"));
            }
            if next_line(&mut reader, &mut line, due)? {
                return Err(corrupt(due, "something follows the last line of the export"));
            }
            return Ok(Verified { entries, first, head: check.last() });
        }
        let raw = entry_of(&line, due)?;
        check.check(&raw)?;
        first = first.or(Some(raw.seq));
        entries = entries.saturating_add(1);
    }
}

/// Writes the line of an entry.
pub(crate) fn write_entry(out: &mut dyn Write, raw: &RawEntry) -> Result<(), JournalError> {
    let no_json = |_| corrupt(raw.seq, "its record is not JSON and cannot be exported");
    let text = std::str::from_utf8(&raw.record).map_err(|_| no_json(()))?;
    let record: &RawValue = serde_json::from_str(text).map_err(|_| no_json(()))?;
    // Blanks around a value are no part of a `RawValue`, and a line break would end the line.
    if record.get().len() != text.len() || text.contains(['\n', '\r']) {
        return Err(no_json(()));
    }
    let RawEntry { seq, at, prev, hash, .. } = *raw;
    write_line(out, &Line { seq, at, prev, hash, record })
}

/// Writes the last line.
pub(crate) fn write_head(
    out: &mut dyn Write,
    head: Option<(u64, B256)>,
    entries: u64,
) -> Result<(), JournalError> {
    let head = head.map(|(seq, hash)| HeadLine { seq, hash });
    write_line(out, &LastLine { head, entries })?;
    out.flush().map_err(|it| unavailable(it.into()))
}

fn write_line(out: &mut dyn Write, line: &impl Serialize) -> Result<(), JournalError> {
    let mut text = serde_json::to_vec(line).map_err(|it| unavailable(it.into()))?;
    text.push(b'\n');
    out.write_all(&text).map_err(|it| unavailable(it.into()))
}

/// Reads the next line into `line`, without its line break; false at the end.
fn next_line(reader: &mut impl BufRead, line: &mut String, due: u64) -> Result<bool, JournalError> {
    line.clear();
    let read =
        reader.by_ref().take(LINE_BYTES_MAX).read_line(line).map_err(|it| match it.kind() {
            std::io::ErrorKind::InvalidData => corrupt(due, "its line is not UTF-8"),
            _ => unavailable(it.into()),
        })?;
    if read == 0 {
        return Ok(false);
    }
    if line.pop() != Some('\n') {
        return Err(corrupt(due, "its line is cut off or too long"));
    }
    Ok(true)
}

fn entry_of(line: &str, due: u64) -> Result<RawEntry, JournalError> {
    let Line { seq, at, prev, hash, record } = serde_json::from_str(line)
        .map_err(|it| corrupt(due, format!("its line is broken: {it}")))?;
    Ok(RawEntry { seq, at, prev, hash, record: record.get().as_bytes().to_vec() })
}
