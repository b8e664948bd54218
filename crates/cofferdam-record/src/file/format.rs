//! The layout of the journal's files. All numbers are big-endian.
//!
//! A segment is a [`SegmentHeader`] and then commits, back to back. A commit is a [`CommitHeader`] and
//! its entries; an entry is `length (u32) ‖ at (u64) ‖ hash (32) ‖ record`. The `prev` of an entry is
//! the hash of the entry before it, or the commit header's for the first. What is not covered by an
//! entry's hash (see [`crate::chain`]) is redundant, so every byte is checked by verification: headers
//! against the entries they announce, segment headers and [`Slot`]s by a SHA-256 of their own.
//!
//! No I/O here.

use alloy_primitives::B256;
use cofferdam_core::{Timestamp, ports::JournalError};
use sha2::{Digest, Sha256};

use crate::chain::{RawEntry, corrupt, entry_hash};

/// Bytes of a segment header.
pub(super) const SEGMENT_HEADER: usize = 120;
/// Bytes of a commit header.
pub(super) const COMMIT_HEADER: usize = 56;
/// Bytes of an entry before its record.
pub(super) const ENTRY_HEADER: usize = 44;
/// Bytes of one slot of an owner file.
pub(super) const SLOT: usize = 144;

const SEGMENT_MAGIC: u64 = u64::from_be_bytes(*b"COFFJRN1");
const SLOT_MAGIC: u64 = u64::from_be_bytes(*b"COFFHED1");
const COMMIT_MAGIC: u32 = u32::from_be_bytes(*b"CMIT");

/// What a segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Position of the segment, counting from 0.
    pub(super) number: u64,
    /// Epoch of the owner who wrote it.
    pub(super) epoch: u64,
    /// Sequence number of its first entry.
    pub(super) first: u64,
    /// Where the content of the segment before it ends; 0 for the first.
    pub(super) prev_end: u64,
    /// Whether its owner took the journal from a live one, which may have written more than counts.
    pub(super) taken_over: bool,
    /// Hash of the entry before the first.
    pub(super) prev: B256,
}

/// What a commit begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CommitHeader {
    /// How many entries it has, at least 1.
    pub(super) count: u32,
    /// Bytes of its entries.
    pub(super) bytes: u64,
    /// Sequence number of its first entry.
    pub(super) first: u64,
    /// Hash of the entry before the first.
    pub(super) prev: B256,
}

/// The end of the chain: what was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// How many entries there are.
    pub(super) entries: u64,
    /// Hash of the last entry, zero if there is none.
    pub(super) hash: B256,
    /// The newest snapshot.
    pub(super) snapshot: Option<u64>,
    /// The segment of the last entry: its number and its epoch. `None` before the first entry.
    pub(super) segment: Option<(u64, u64)>,
    /// Where the last commit begins in it.
    pub(super) commit: u64,
    /// Where the last commit ends in it.
    pub(super) end: u64,
}

/// One of the two records of an owner file; the one with the higher generation counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Counts the writes of this owner.
    pub(super) generation: u64,
    /// Epoch of the owner.
    pub(super) epoch: u64,
    /// Whether the owner ended in order: then nothing may stand after the tail.
    pub(super) closed: bool,
    /// The end of the chain.
    pub(super) tail: Tail,
}

/// An entry inside of a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryRef<'a> {
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) prev: B256,
    pub(super) hash: B256,
    pub(super) record: &'a [u8],
}

/// The entries of a commit, in order.
#[derive(Clone, Debug)]
pub(super) struct Entries<'a> {
    rest: &'a [u8],
    left: u32,
    seq: u64,
    prev: B256,
}

/// Reads fields one after the other; absent ones read as zero, lengths are checked before.
struct Fields<'a>(&'a [u8]);

impl SegmentHeader {
    /// As bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER);
        let flags = u64::from(self.taken_over);
        for it in [SEGMENT_MAGIC, self.number, self.epoch, self.first, self.prev_end, flags] {
            out.extend(it.to_be_bytes());
        }
        out.extend(self.prev);
        // Room for what a later format may need.
        out.extend([0; 8]);
        seal(out)
    }

    /// From bytes; `None` if they are no segment header or were changed.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = unseal(bytes, SEGMENT_HEADER)?;
        let [magic, number, epoch, first, prev_end, flags] = std::array::from_fn(|_| fields.u64());
        let prev = fields.hash();
        (magic == SEGMENT_MAGIC).then_some(Self {
            number,
            epoch,
            first,
            prev_end,
            taken_over: flags == 1,
            prev,
        })
    }
}

impl CommitHeader {
    /// Writes it to the beginning of `out`, which is at least [`COMMIT_HEADER`] long.
    pub(super) fn write(&self, out: &mut [u8]) {
        let mut bytes = [0; COMMIT_HEADER];
        let parts: [&[u8]; 5] = [
            &COMMIT_MAGIC.to_be_bytes(),
            &self.count.to_be_bytes(),
            &self.bytes.to_be_bytes(),
            &self.first.to_be_bytes(),
            self.prev.as_slice(),
        ];
        for (to, from) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        if let Some(to) = out.first_chunk_mut() {
            *to = bytes;
        }
    }

    /// From the beginning of `bytes`; `None` if no commit begins there.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes.get(..COMMIT_HEADER)?);
        let (magic, count) = (fields.u32(), fields.u32());
        let (bytes, first) = (fields.u64(), fields.u64());
        let least = u64::from(count).checked_mul(ENTRY_HEADER as u64)?;
        let plausible = magic == COMMIT_MAGIC && count > 0 && bytes >= least;
        plausible.then(|| Self { count, bytes, first, prev: fields.hash() })
    }

    /// Bytes of the whole commit.
    pub(super) fn len(&self) -> u64 {
        self.bytes.saturating_add(COMMIT_HEADER as u64)
    }

    /// Sequence number of the entry after it.
    pub(super) fn next(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }

    /// The entries; `body` is what follows the header.
    pub(super) fn entries<'a>(&self, body: &'a [u8]) -> Entries<'a> {
        Entries { rest: body, left: self.count, seq: self.first, prev: self.prev }
    }
}

/// Writes what an entry has before its record into `out`, which is [`ENTRY_HEADER`] long.
pub(super) fn write_entry_header(out: &mut [u8], length: usize, at: Timestamp, hash: B256) {
    let mut header = [0; ENTRY_HEADER];
    let (to_length, rest) = header.split_at_mut(4);
    let (to_at, to_hash) = rest.split_at_mut(8);
    to_length.copy_from_slice(&(length as u32).to_be_bytes());
    to_at.copy_from_slice(&at.0.to_be_bytes());
    to_hash.copy_from_slice(hash.as_slice());
    if let Some(to) = out.first_chunk_mut() {
        *to = header;
    }
}

impl<'a> Entries<'a> {
    fn take(&mut self) -> Option<EntryRef<'a>> {
        let (head, rest) = self.rest.split_at_checked(ENTRY_HEADER)?;
        let mut fields = Fields(head);
        let length = fields.u32() as usize;
        let (at, hash) = (Timestamp(fields.u64()), fields.hash());
        let (record, rest) = rest.split_at_checked(length)?;
        let entry = EntryRef { seq: self.seq, at, prev: self.prev, hash, record };
        self.rest = rest;
        self.left -= 1;
        (self.seq, self.prev) = (self.seq.saturating_add(1), hash);
        Some(entry)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<EntryRef<'a>, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let seq = self.seq;
        if self.left == 0 {
            // Bytes that no entry accounts for; told once.
            let rest = std::mem::take(&mut self.rest);
            let last = seq.saturating_sub(1);
            return (!rest.is_empty())
                .then(|| Err(corrupt(last, "its commit is longer than its entries")));
        }
        let entry = self.take();
        if entry.is_none() {
            (self.left, self.rest) = (0, &[]);
        }
        Some(entry.ok_or_else(|| corrupt(seq, "its length does not fit its commit")))
    }
}

impl EntryRef<'_> {
    /// Checks the hash.
    pub(super) fn check(&self) -> Result<(), JournalError> {
        if entry_hash(self.seq, self.at, self.prev, self.record) == self.hash {
            return Ok(());
        }
        Err(corrupt(self.seq, "its hash does not match its content"))
    }

    /// As an entry of its own.
    pub(super) fn to_raw(self) -> RawEntry {
        let Self { seq, at, prev, hash, record } = self;
        RawEntry { seq, at, prev, hash, record: record.to_vec() }
    }
}

impl Tail {
    /// Sequence number and hash of the last entry.
    pub(super) fn head(&self) -> Option<(u64, B256)> {
        self.entries.checked_sub(1).map(|seq| (seq, self.hash))
    }
}

impl Slot {
    /// As bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SLOT);
        let Tail { entries, hash, snapshot, segment, commit, end } = self.tail;
        // A number that may be absent is stored as its successor; no journal reaches the last one.
        let successor = |it: Option<u64>| it.map_or(0, |it| it.saturating_add(1));
        let numbers = [
            SLOT_MAGIC,
            self.generation,
            self.epoch,
            u64::from(self.closed),
            entries,
            successor(snapshot),
            successor(segment.map(|(number, _)| number)),
            segment.map_or(0, |(_, epoch)| epoch),
            commit,
            end,
        ];
        for it in numbers {
            out.extend(it.to_be_bytes());
        }
        out.extend(hash);
        seal(out)
    }

    /// From bytes; `None` if they are no slot or were changed.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = unseal(bytes, SLOT)?;
        let [magic, generation, epoch, closed, entries] = std::array::from_fn(|_| fields.u64());
        let [snapshot, number, owner, commit, end] = std::array::from_fn(|_| fields.u64());
        let hash = fields.hash();
        let segment = number.checked_sub(1).map(|it| (it, owner));
        let tail = Tail { entries, hash, snapshot: snapshot.checked_sub(1), segment, commit, end };
        (magic == SLOT_MAGIC).then_some(Self { generation, epoch, closed: closed == 1, tail })
    }
}

impl Fields<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.0.split_first_chunk() else { return [0; N] };
        self.0 = rest;
        *field
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.bytes())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.bytes())
    }

    fn hash(&mut self) -> B256 {
        B256::from(self.bytes())
    }
}

fn seal(mut out: Vec<u8>) -> Vec<u8> {
    let digest = Sha256::digest(&out);
    out.extend(digest);
    out
}

fn unseal(bytes: &[u8], length: usize) -> Option<Fields<'_>> {
    let bytes = bytes.get(..length)?;
    let (content, seal) = bytes.split_last_chunk::<32>()?;
    (<[u8; 32]>::from(Sha256::digest(content)) == *seal).then_some(Fields(content))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use alloy_primitives::B256;
    use cofferdam_core::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn slot() -> Slot {
        let tail = Tail {
            entries: 7,
            hash: B256::repeat_byte(3),
            snapshot: Some(0),
            segment: Some((0, 4)),
            commit: 120,
            end: 900,
        };
        Slot { generation: 9, epoch: 4, closed: true, tail }
    }

    #[test]
    fn what_is_encoded_is_decoded_and_a_changed_bit_is_refused() {
        let header = SegmentHeader {
            number: 2,
            epoch: 3,
            first: 4,
            prev_end: 5,
            taken_over: true,
            prev: B256::repeat_byte(6),
        };
        let (segment, slot_bytes) = (header.encode(), slot().encode());
        assert_eq!((segment.len(), slot_bytes.len()), (SEGMENT_HEADER, SLOT));
        assert_eq!(SegmentHeader::decode(&segment), Some(header));
        assert_eq!(Slot::decode(&slot_bytes), Some(slot()));
        for bit in 0..segment.len() * 8 {
            let mut flipped = segment.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&flipped), None);
        }
        for bit in 0..slot_bytes.len() * 8 {
            let mut flipped = slot_bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Slot::decode(&flipped), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = (SegmentHeader::decode(&bytes), Slot::decode(&bytes), CommitHeader::decode(&bytes));
            let header = CommitHeader { count: 5, bytes: 0, first: u64::MAX, prev: B256::ZERO };
            let read = header.entries(&bytes).count();
            prop_assert!(read <= 6);
        }

        #[test]
        fn entries_come_back_as_they_were_pushed(records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..9)) {
            let mut body = Vec::new();
            let mut prev = B256::ZERO;
            for (seq, record) in (5u64..).zip(&records) {
                let hash = entry_hash(seq, Timestamp(seq), prev, record);
                let start = body.len();
                body.resize(start + ENTRY_HEADER, 0);
                write_entry_header(&mut body[start..], record.len(), Timestamp(seq), hash);
                body.extend(record);
                prev = hash;
            }
            let header = CommitHeader { count: records.len() as u32, bytes: body.len() as u64, first: 5, prev: B256::ZERO };
            let mut bytes = vec![0; COMMIT_HEADER];
            header.write(&mut bytes);
            prop_assert_eq!(CommitHeader::decode(&bytes), Some(header));
            for (entry, record) in header.entries(&body).zip(&records) {
                let entry = entry.unwrap();
                prop_assert_eq!(entry.record, record.as_slice());
                prop_assert!(entry.check().is_ok());
            }
        }
    }
}
