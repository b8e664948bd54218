//! The hash chain: what an entry's hash covers, and the check of a run of entries.
//!
//! An entry's hash is SHA-256 over
//! `"cofferdam/journal/v1" ‖ seq (u64 BE) ‖ at (u64 BE) ‖ prev (32) ‖ length (u64 BE) ‖ record`,
//! where `record` is the exact stored JSON. `prev` is the hash of the entry before, zero for the first.
//!
//! No I/O and no state beyond the last entry: the same check serves SQLite, memory and exports.

use alloy_primitives::B256;
use cofferdam_core::{
    Record, Timestamp,
    ports::{Cause, JournalError},
    record::Entry,
};
use sha2::{Digest, Sha256};

/// What every entry hash begins with. A change of the layout changes this tag.
pub const DOMAIN: &[u8] = b"cofferdam/journal/v1";

/// An entry as stored, its record not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry {
    /// Position, counting from 0 without gaps.
    pub seq: u64,
    /// When it was appended.
    pub at: Timestamp,
    /// Hash of the previous entry.
    pub prev: B256,
    /// Hash of this entry.
    pub hash: B256,
    /// The record's exact JSON.
    pub record: Vec<u8>,
}

/// A record as it will be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) snapshot: bool,
}

/// Checks entries one after the other. The first may stand anywhere; those that follow must be its
/// successors.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChainCheck {
    first: Option<u64>,
    last: Option<(u64, B256)>,
}

/// The hash of an entry.
pub fn entry_hash(seq: u64, at: Timestamp, prev: B256, record: &[u8]) -> B256 {
    // One update for all that precedes the record: this is the hot loop of verification.
    let mut front = [0; DOMAIN.len() + 56];
    let length = (record.len() as u64).to_be_bytes();
    let parts: [&[u8]; 5] =
        [DOMAIN, &seq.to_be_bytes(), &at.0.to_be_bytes(), prev.as_slice(), &length];
    let mut rest = front.as_mut_slice();
    for part in parts {
        let (to, after) = rest.split_at_mut(part.len());
        to.copy_from_slice(part);
        rest = after;
    }
    let mut hasher = Sha256::new();
    hasher.update(front);
    hasher.update(record);
    B256::from(<[u8; 32]>::from(hasher.finalize()))
}

/// Whether `record` holds the whole state, so that a restart may begin with it.
pub fn is_snapshot(record: &Record) -> bool {
    matches!(record, Record::Snapshot { .. })
}

/// As [`is_snapshot`], from the record's JSON: its tag comes first, as [`encode`] writes it.
pub(crate) fn is_snapshot_text(record: &[u8]) -> bool {
    record.starts_with(b"{\"record\":\"snapshot\",")
}

/// What is wrong with entry `seq`.
pub(crate) fn corrupt(seq: u64, what: impl Into<String>) -> JournalError {
    JournalError::Corrupt { seq, what: what.into() }
}

/// Turns records into what is stored.
pub(crate) fn encode(records: &[Record]) -> Result<Vec<Encoded>, JournalError> {
    let encode = |record: &Record| {
        let bytes = serde_json::to_vec(record).map_err(|it| unavailable(it.into()))?;
        Ok(Encoded { bytes, snapshot: is_snapshot(record) })
    };
    records.iter().map(encode).collect()
}

pub(crate) fn unavailable(cause: Cause) -> JournalError {
    JournalError::Unavailable(cause)
}

impl ChainCheck {
    /// Expects the run to begin with entry `seq`.
    pub fn from_seq(seq: u64) -> Self {
        Self { first: Some(seq), last: None }
    }

    /// Checks that `raw` is what was written and follows the entry checked before; reads its record.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] naming the entry and what is wrong with it.
    pub fn check(&mut self, raw: &RawEntry) -> Result<Record, JournalError> {
        let due = self.last.map_or(self.first, |(seq, _)| Some(seq.saturating_add(1)));
        if let Some(due) = due.filter(|due| *due != raw.seq) {
            return Err(corrupt(due, format!("it is missing; entry {} stands there", raw.seq)));
        }
        let prev = match self.last {
            Some((_, hash)) => Some(hash),
            None if raw.seq == 0 => Some(B256::ZERO),
            None => None,
        };
        if prev.is_some_and(|it| it != raw.prev) {
            return Err(corrupt(raw.seq, "it does not follow the entry before it"));
        }
        if entry_hash(raw.seq, raw.at, raw.prev, &raw.record) != raw.hash {
            return Err(corrupt(raw.seq, "its hash does not match its content"));
        }
        let record = serde_json::from_slice(&raw.record)
            .map_err(|it| corrupt(raw.seq, format!("its record cannot be read: {it}")))?;
        self.last = Some((raw.seq, raw.hash));
        Ok(record)
    }

    /// Sequence number and hash of the last entry checked.
    pub fn last(&self) -> Option<(u64, B256)> {
        self.last
    }
}

impl RawEntry {
    /// Chains a record to `prev`.
    pub(crate) fn new(seq: u64, at: Timestamp, prev: B256, record: Vec<u8>) -> Self {
        let hash = entry_hash(seq, at, prev, &record);
        Self { seq, at, prev, hash, record }
    }

    /// The entry with its record read.
    pub(crate) fn with(self, record: Record) -> Entry {
        Entry { seq: self.seq, at: self.at, prev: self.prev, hash: self.hash, record }
    }
}

/// Where the next entry goes: its sequence number and its `prev`.
pub(crate) fn next_after(head: Option<(u64, B256)>) -> (u64, B256) {
    head.map_or((0, B256::ZERO), |(seq, hash)| (seq + 1, hash))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{B256, b256};
    use cofferdam_core::Timestamp;

    use super::entry_hash;

    /// Computed with Python's hashlib over the layout in the module's text. It must never change.
    #[test]
    fn the_entry_hash_is_the_documented_one() {
        let hash =
            entry_hash(7, Timestamp(1_700_000_000_123), B256::repeat_byte(0xab), b"{\"a\":1}");
        assert_eq!(hash, b256!("b853a7dfaac22bd7f69fcb90bb94f40801513ae087b1eae965ef47dfe3a74421"));
    }
}
