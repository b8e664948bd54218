//! Checking the whole journal: one thread reads, the others hash.
//!
//! An entry's hash covers its link, and the link is the stored hash of the entry before it. So parts can
//! be checked apart from each other, each from the link that its first commit claims; afterwards the
//! claims are compared with what the part before ends with. Nothing is skipped: every byte of a segment
//! is a header's, which is compared with what it announces, or is covered by a hash.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
};

use alloy_primitives::B256;
use cofferdam_core::ports::JournalError;

use super::{
    folder::failed,
    format::{CommitHeader, EntryRef},
    view::{Segment, View},
    walk::Chunk,
};
use crate::{
    chain::{corrupt, is_snapshot_text},
    limits::VERIFIERS_MAX,
};

/// What else to check.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Checks {
    /// An earlier head that the chain must hold.
    pub(super) anchor: Option<(u64, B256)>,
    /// Nothing may stand behind the end.
    pub(super) closed: bool,
    /// Every record must be one that this release reads.
    pub(super) records: bool,
}

/// What a part of the chain is, by itself.
#[derive(Clone, Copy, Debug)]
struct Part {
    first: u64,
    prev: B256,
    /// Sequence number of the entry after it.
    next: u64,
    hash: B256,
    snapshot: Option<u64>,
}

type Checked = (u64, Chunk, Result<Part, JournalError>);

/// Checks every entry, and that the chain ends as `view` says. Returns the number of entries.
pub(super) fn verify(view: &View, checks: Checks) -> Result<u64, JournalError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(VERIFIERS_MAX);
    let (send_work, work) = mpsc::sync_channel::<(u64, Chunk)>(threads * 2);
    let (send_done, done) = mpsc::sync_channel::<Checked>(threads * 4);
    let work = Mutex::new(work);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (work, done) = (&work, send_done.clone());
            scope.spawn(move || check_chunks(work, &done, checks));
        }
        drop(send_done);
        let read = deal(view, checks, send_work, &done, threads * 3);
        let (mut collect, read) = read;
        // The workers end when the last chunk is taken.
        for (index, _, part) in &done {
            collect.take(index, part);
        }
        collect.finish()?;
        read?;
        collect.end(view, checks)
    })
}

/// Reads all segments and deals their chunks to the workers; at most `buffers` are under way.
fn deal(
    view: &View,
    checks: Checks,
    work: SyncSender<(u64, Chunk)>,
    done: &Receiver<Checked>,
    buffers: usize,
) -> (Collect, Result<(), JournalError>) {
    let mut collect = Collect::default();
    let mut buffers: Vec<Chunk> = (0..buffers).map(|_| Chunk::default()).collect();
    let mut index = 0;
    let read = (|| {
        for (number, segment) in view.segments.iter().enumerate() {
            let next = view.segments.get(number + 1);
            // What comes before is checked first, so that the first wrong entry is the one named.
            let mut walk = segment.walk();
            collect.segment(index, segment);
            loop {
                let mut chunk = match buffers.pop() {
                    Some(chunk) => chunk,
                    None => {
                        let (index, chunk, part) = done.recv().map_err(|_| gone())?;
                        collect.take(index, part);
                        chunk
                    }
                };
                if collect.broken() || !walk.next_into(&mut chunk)? {
                    buffers.push(chunk);
                    break;
                }
                work.send((index, chunk)).map_err(|_| gone())?;
                index += 1;
            }
            check_length(segment, next, view.tail.entries, checks)?;
        }
        Ok(())
    })();
    (collect, read)
}

fn gone() -> JournalError {
    crate::chain::unavailable("a verifying thread has ended".into())
}

/// Checks that a segment ends where its content ends.
fn check_length(
    segment: &Segment,
    next: Option<&Segment>,
    entries: u64,
    checks: Checks,
) -> Result<(), JournalError> {
    let (last, strict) = match next {
        Some(next) => (next.header.first, !next.header.taken_over),
        None => (entries, checks.closed),
    };
    let length = segment.file.metadata().map_err(failed)?.len();
    if strict && length > segment.end {
        return Err(corrupt(last, "something stands before it that is no entry"));
    }
    Ok(())
}

/// A worker: checks chunks until there are no more.
fn check_chunks(work: &Mutex<Receiver<(u64, Chunk)>>, done: &SyncSender<Checked>, checks: Checks) {
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((index, chunk)) = next else { return };
        let part = check_chunk(&chunk, checks);
        if done.send((index, chunk, part)).is_err() {
            return;
        }
    }
}

fn check_chunk(chunk: &Chunk, checks: Checks) -> Result<Part, JournalError> {
    let mut part: Option<Part> = None;
    for (_, header, body) in chunk.commits() {
        let mut so_far = match part {
            None => Part {
                first: header.first,
                prev: header.prev,
                next: header.first,
                hash: header.prev,
                snapshot: None,
            },
            Some(part) => {
                follows(part.next, part.hash, &header)?;
                part
            }
        };
        for entry in header.entries(body) {
            let entry = entry?;
            entry.check()?;
            check_entry(&entry, checks)?;
            if is_snapshot_text(entry.record) {
                so_far.snapshot = Some(entry.seq);
            }
            so_far.hash = entry.hash;
        }
        so_far.next = header.next();
        part = Some(so_far);
    }
    part.ok_or_else(gone)
}

fn check_entry(entry: &EntryRef<'_>, checks: Checks) -> Result<(), JournalError> {
    if checks.anchor.is_some_and(|(seq, hash)| seq == entry.seq && hash != entry.hash) {
        return Err(corrupt(entry.seq, "its hash differs from the anchor"));
    }
    if checks.records {
        serde_json::from_slice::<cofferdam_core::Record>(entry.record)
            .map_err(|it| corrupt(entry.seq, format!("its record cannot be read: {it}")))?;
    }
    Ok(())
}

fn follows(next: u64, hash: B256, header: &CommitHeader) -> Result<(), JournalError> {
    joins(next, hash, header.first, header.prev)
}

/// Checks that what begins at `first` with link `prev` comes after what ends before `next` with `hash`.
fn joins(next: u64, hash: B256, first: u64, prev: B256) -> Result<(), JournalError> {
    if first > next {
        return Err(corrupt(next, format!("it is missing; entry {first} stands there")));
    }
    if first < next {
        return Err(corrupt(next, format!("entry {first} stands there a second time")));
    }
    if prev != hash {
        return Err(corrupt(next, "it does not follow the entry before it"));
    }
    Ok(())
}

/// Puts the parts together, in order.
#[derive(Debug, Default)]
struct Collect {
    /// Parts that came before their turn.
    early: BTreeMap<u64, Result<Part, JournalError>>,
    /// Where segments begin: index of the part, entry and link of the header.
    begins: Vec<(u64, u64, B256)>,
    turn: u64,
    next: u64,
    hash: B256,
    snapshot: Option<u64>,
    wrong: Option<JournalError>,
}

impl Collect {
    fn broken(&self) -> bool {
        self.wrong.is_some()
    }

    fn segment(&mut self, index: u64, segment: &Segment) {
        self.begins.push((index, segment.header.first, segment.header.prev));
    }

    fn take(&mut self, index: u64, part: Result<Part, JournalError>) {
        self.early.insert(index, part);
        while let Some(part) = self.early.remove(&self.turn) {
            let turn = self.turn;
            self.turn += 1;
            if self.wrong.is_none()
                && let Err(error) = self.headers(turn).and_then(|()| self.join(part?))
            {
                self.wrong = Some(error);
            }
        }
    }

    /// Compares the headers of the segments that begin with part `turn` with the chain so far.
    fn headers(&mut self, turn: u64) -> Result<(), JournalError> {
        for (_, first, prev) in self.begins.extract_if(.., |it| it.0 <= turn) {
            joins(self.next, self.hash, first, prev)?;
        }
        Ok(())
    }

    fn join(&mut self, part: Part) -> Result<(), JournalError> {
        joins(self.next, self.hash, part.first, part.prev)?;
        (self.next, self.hash) = (part.next, part.hash);
        self.snapshot = part.snapshot.or(self.snapshot);
        Ok(())
    }

    /// What is wrong with the parts that came.
    fn finish(&mut self) -> Result<(), JournalError> {
        match self.wrong.take() {
            Some(error) => Err(error),
            None => self.headers(u64::MAX),
        }
    }

    /// Checks that the chain ends where the head says.
    fn end(&self, view: &View, checks: Checks) -> Result<u64, JournalError> {
        let tail = view.tail;
        if self.next < tail.entries {
            return Err(corrupt(self.next, "it is missing; the journal was truncated"));
        }
        if self.next > tail.entries {
            return Err(corrupt(tail.entries, "it stands after the head of the journal"));
        }
        let last = self.next.saturating_sub(1);
        if self.hash != tail.hash {
            return Err(corrupt(last, "it is not the entry that the head names"));
        }
        if self.snapshot != tail.snapshot {
            return Err(corrupt(last, "the head names another snapshot than the newest"));
        }
        match checks.anchor {
            Some((seq, _)) if seq >= self.next => {
                Err(corrupt(seq, "the journal ends before the anchor"))
            }
            _ => Ok(self.next),
        }
    }
}
