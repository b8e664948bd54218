//! Where appends wait for the disk: chained and laid out by those who append, while the disk works.
//!
//! A commit in the making is filled by the appending threads themselves, in order, under one lock; the
//! writer takes it whole when the disk is free. So encoding and hashing cost the disk no time, and an
//! append is handed over between threads twice: once on its way, once back.
//!
//! **Invariant:** what waits is chained to what is on its way to the disk. If that fails, everything that
//! waits fails with it, and the chain goes on from what is durable.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::Thread,
    time::Instant,
};

use alloy_primitives::B256;
use cofferdam_core::{Record, Timestamp, ports::JournalError};
use tokio::sync::{Semaphore, oneshot};

use super::{
    format::{COMMIT_HEADER, CommitHeader, ENTRY_HEADER, Tail, write_entry_header},
    writer::Failure,
};
use crate::{
    chain::{entry_hash, is_snapshot, unavailable},
    group::Placed,
    limits::{
        APPEND_BYTES_MAX, APPENDS_QUEUED_MAX, BUFFERS_KEPT_MAX, COMMIT_BYTES_MAX,
        COMMIT_RECORDS_MAX, LOOKOUT,
    },
};

/// What one append waits for.
type Reply = oneshot::Sender<Result<Placed, Failure>>;

/// Appends on their way to the writer.
#[derive(Debug)]
pub(super) struct Queue {
    inner: Mutex<Waiting>,
    /// Whether there may be something to take; looked at without the lock.
    arrived: AtomicBool,
    places: Semaphore,
    writer: OnceLock<Thread>,
}

#[derive(Debug)]
struct Waiting {
    /// Where the chain ends with everything that waits. Only the writer knows the place on the disk.
    tail: Tail,
    commits: VecDeque<Commit>,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
    /// Why nothing more is taken.
    ended: Option<Failure>,
    closed: bool,
}

/// A commit in the making.
#[derive(Debug)]
pub(super) struct Commit {
    /// Header and entries, as they are to stand in the segment.
    pub(super) bytes: Vec<u8>,
    /// Where the chain ends with it, apart from the place on the disk.
    pub(super) tail: Tail,
    first: u64,
    prev: B256,
    waiting: Vec<(Placed, Reply)>,
}

/// The records of one append: room for a commit header, then each with room for its own header.
struct Laid {
    bytes: Vec<u8>,
    /// Length of each record, and whether it is a snapshot.
    records: Vec<(usize, bool)>,
}

impl Queue {
    /// Nothing waits; the chain ends as `tail` says.
    pub(super) fn new(tail: Tail) -> Self {
        let waiting = Waiting {
            tail,
            commits: VecDeque::new(),
            spare: Vec::new(),
            ended: None,
            closed: false,
        };
        Self {
            inner: Mutex::new(waiting),
            arrived: AtomicBool::new(false),
            places: Semaphore::new(APPENDS_QUEUED_MAX),
            writer: OnceLock::new(),
        }
    }

    /// Names the thread that takes commits.
    pub(super) fn taken_by(&self, writer: Thread) {
        let _ = self.writer.set(writer);
    }

    /// Chains `records` and waits until they are durable.
    pub(super) async fn append(
        &self,
        now: Timestamp,
        records: &[Record],
    ) -> Result<Placed, JournalError> {
        let gone = || unavailable("the journal's writer has ended".into());
        let buffer = self.lock().spare.pop().unwrap_or_default();
        let laid = lay(records, buffer)?;
        // Held until the answer is there.
        let _place = self.places.acquire().await.map_err(|_| gone())?;
        let (reply, answer) = oneshot::channel();
        if let Some(nothing) = self.push(now, laid, reply)? {
            return Ok(nothing);
        }
        self.wake();
        answer.await.map_err(|_| gone())?.map_err(Into::into)
    }

    /// Chains what was laid out; its place at once if there is nothing to write.
    fn push(
        &self,
        now: Timestamp,
        laid: Laid,
        reply: Reply,
    ) -> Result<Option<Placed>, JournalError> {
        let mut waiting = self.lock();
        if let Some(failure) = &waiting.ended {
            return Err(failure.clone().into());
        }
        if laid.records.is_empty() {
            let (first, hashes) = (waiting.tail.entries, vec![waiting.tail.hash]);
            return Ok(Some(Placed { first, hashes }));
        }
        waiting.chain(now, laid, reply);
        self.arrived.store(true, Ordering::Release);
        Ok(None)
    }

    /// The next commit, waited for; `None` when the journal is closed and nothing is left.
    pub(super) fn next(&self) -> Option<Commit> {
        let started = Instant::now();
        loop {
            if self.arrived.swap(false, Ordering::Acquire) {
                let mut waiting = self.lock();
                if let Some(commit) = waiting.commits.pop_front() {
                    // There may be more.
                    self.arrived.store(true, Ordering::Release);
                    return Some(commit);
                }
                if waiting.closed {
                    return None;
                }
            } else if started.elapsed() < LOOKOUT {
                // Who appends one after the other comes back within microseconds; looking out for it
                // is cheaper than going to sleep and being woken.
                std::hint::spin_loop();
            } else {
                std::thread::park();
            }
        }
    }

    /// Answers those who waited for `commit`, and keeps its buffer.
    pub(super) fn done(&self, commit: Commit) {
        for (placed, reply) in commit.waiting {
            // An error means that the caller no longer waits; the entry stands all the same.
            let _ = reply.send(Ok(placed));
        }
        let mut waiting = self.lock();
        if waiting.spare.len() < BUFFERS_KEPT_MAX && commit.bytes.len() <= COMMIT_BYTES_MAX {
            waiting.spare.push(commit.bytes);
        }
    }

    /// Fails those who waited for `commit` and all who wait behind it; the chain goes on from `tail`,
    /// unless `over`.
    pub(super) fn failed(&self, commit: Option<Commit>, tail: Tail, failure: &Failure, over: bool) {
        let behind = {
            let mut waiting = self.lock();
            waiting.tail = tail;
            if over {
                waiting.ended = Some(failure.clone());
            }
            std::mem::take(&mut waiting.commits)
        };
        for commit in commit.into_iter().chain(behind) {
            for (_, reply) in commit.waiting {
                let _ = reply.send(Err(failure.clone()));
            }
        }
    }

    /// Takes nothing more; the writer ends after what waits.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing below can panic half-way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Chains the records of `laid` to the tail and adds them to the last commit, or to a new one.
    fn chain(&mut self, now: Timestamp, mut laid: Laid, reply: Reply) {
        let (first, prev) = (self.tail.entries, self.tail.hash);
        let mut hashes = Vec::with_capacity(laid.records.len() + 1);
        hashes.push(prev);
        let mut rest = laid.bytes.get_mut(COMMIT_HEADER..).unwrap_or_default();
        for (length, snapshot) in &laid.records {
            let (entry, after) = rest.split_at_mut((ENTRY_HEADER + length).min(rest.len()));
            let (header, record) = entry.split_at_mut(ENTRY_HEADER.min(entry.len()));
            self.tail.hash = entry_hash(self.tail.entries, now, self.tail.hash, record);
            write_entry_header(header, record.len(), now, self.tail.hash);
            hashes.push(self.tail.hash);
            if *snapshot {
                self.tail.snapshot = Some(self.tail.entries);
            }
            self.tail.entries += 1;
            rest = after;
        }
        let (tail, placed) = (self.tail, Placed { first, hashes });
        match self.commits.back_mut().filter(|it| it.has_room_for(&laid)) {
            Some(commit) => {
                commit.bytes.extend_from_slice(laid.bytes.get(COMMIT_HEADER..).unwrap_or_default());
                commit.tail = tail;
                commit.waiting.push((placed, reply));
                self.keep(laid.bytes);
            }
            None => {
                let waiting = vec![(placed, reply)];
                self.commits.push_back(Commit { bytes: laid.bytes, tail, first, prev, waiting });
            }
        }
    }

    fn keep(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < BUFFERS_KEPT_MAX {
            self.spare.push(buffer);
        }
    }
}

impl Commit {
    fn has_room_for(&self, laid: &Laid) -> bool {
        let records = (self.tail.entries - self.first).saturating_add(laid.records.len() as u64);
        let bytes = self.bytes.len().saturating_add(laid.bytes.len());
        records <= COMMIT_RECORDS_MAX as u64 && bytes <= COMMIT_BYTES_MAX
    }

    /// Sequence number of its first entry.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Writes the header into its room, when nothing more is added.
    pub(super) fn seal(&mut self) {
        let header = CommitHeader {
            count: u32::try_from(self.tail.entries - self.first).unwrap_or(u32::MAX),
            bytes: self.bytes.len().saturating_sub(COMMIT_HEADER) as u64,
            first: self.first,
            prev: self.prev,
        };
        header.write(&mut self.bytes);
    }
}

/// Encodes `records` into `buffer`, with room for the headers.
fn lay(records: &[Record], mut buffer: Vec<u8>) -> Result<Laid, JournalError> {
    buffer.clear();
    buffer.resize(COMMIT_HEADER, 0);
    let mut lengths = Vec::with_capacity(records.len());
    let mut sum = 0usize;
    for record in records {
        let start = buffer.len() + ENTRY_HEADER;
        buffer.resize(start, 0);
        serde_json::to_writer(&mut buffer, record).map_err(|it| unavailable(it.into()))?;
        let length = buffer.len() - start;
        sum = sum.saturating_add(length);
        lengths.push((length, is_snapshot(record)));
    }
    if sum > APPEND_BYTES_MAX {
        let what = format!("an append of {sum} bytes exceeds {APPEND_BYTES_MAX}");
        return Err(unavailable(what.into()));
    }
    Ok(Laid { bytes: buffer, records: lengths })
}
