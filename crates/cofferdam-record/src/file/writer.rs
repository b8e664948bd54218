//! The one writer: a thread that lets concurrent appends share a commit.
//!
//! It takes whatever waits, chains it, writes it with one call and waits for the disk once; nobody waits
//! for a commit to fill up. An append is answered after that, and never split over two commits. Segments
//! are filled with zeroes before they are needed, so that the disk has nothing to note but the data.
//!
//! **Invariant:** an append is acknowledged after its commit is on the disk and after that no newer owner
//! existed.

use std::{io, os::unix::fs::FileExt, sync::Arc, time::Instant};

use cofferdam_core::ports::JournalError;
use tokio::sync::mpsc;

use super::{
    Shared,
    folder::Owner,
    format::{COMMIT_HEADER, CommitHeader, Tail, push_entry},
    segments::Segments,
};
use crate::{
    chain::{entry_hash, unavailable},
    group::{Append, Placed, gather},
    limits::LOOKOUT,
};

/// A failure that several waiting appends share.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Unavailable(Arc<io::Error>),
    Fenced,
}

/// The writer and what it knows.
pub(super) struct Writer {
    pub(super) owner: Owner,
    pub(super) shared: Arc<Shared>,
    pub(super) segments: Segments,
    pub(super) tail: Tail,
    /// Why no further append is tried.
    pub(super) ended: Option<Failure>,
    /// The commit in the making; kept to save the allocation.
    pub(super) buffer: Vec<u8>,
}

impl From<Failure> for JournalError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable(error) => unavailable(Box::new(error)),
            Failure::Fenced => Self::Fenced,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Unavailable(Arc::new(error))
    }
}

/// Serves appends until the last sender is gone, then ends the journal in order.
pub(super) fn run(mut writer: Writer, mut appends: mpsc::Receiver<Append<Failure>>) {
    let mut held_over = None;
    loop {
        let first = match held_over.take() {
            Some(append) => append,
            None => match next(&mut appends) {
                Some(append) => append,
                None => break,
            },
        };
        let mut waiting = vec![first];
        held_over = gather(&mut waiting, &mut appends);
        writer.serve(waiting);
    }
    if let Err(failure) = writer.close() {
        tracing::warn!(?failure, "journal was not closed cleanly; the next owner will tidy up");
    }
}

/// The next append. Who appends one after the other comes back within microseconds; looking out for it
/// that long is cheaper than going to sleep and being woken.
fn next(appends: &mut mpsc::Receiver<Append<Failure>>) -> Option<Append<Failure>> {
    let started = Instant::now();
    loop {
        match appends.try_recv() {
            Ok(append) => return Some(append),
            Err(mpsc::error::TryRecvError::Disconnected) => return None,
            Err(mpsc::error::TryRecvError::Empty) if started.elapsed() < LOOKOUT => {
                std::hint::spin_loop();
            }
            Err(mpsc::error::TryRecvError::Empty) => return appends.blocking_recv(),
        }
    }
}

impl Writer {
    fn serve(&mut self, waiting: Vec<Append<Failure>>) {
        let (tail, placed) = self.chain(&waiting);
        let result = match &self.ended {
            Some(failure) => Err(failure.clone()),
            None if tail.entries == self.tail.entries => Ok(()),
            None => self.commit(tail),
        };
        for (append, placed) in waiting.into_iter().zip(placed) {
            // An error means that the caller no longer waits; the entry stands all the same.
            let _ = append.reply.send(result.clone().map(|()| placed));
        }
    }

    /// Chains the records of `waiting` to the tail and lays out their commit in the buffer.
    fn chain(&mut self, waiting: &[Append<Failure>]) -> (Tail, Vec<Placed>) {
        let mut tail = self.tail;
        self.buffer.clear();
        self.buffer.resize(COMMIT_HEADER, 0);
        let mut all = Vec::with_capacity(waiting.len());
        for append in waiting {
            let mut hashes = Vec::with_capacity(append.records.len() + 1);
            hashes.push(tail.hash);
            let first = tail.entries;
            for record in &append.records {
                tail.hash = entry_hash(tail.entries, append.now, tail.hash, &record.bytes);
                push_entry(&mut self.buffer, append.now, tail.hash, &record.bytes);
                hashes.push(tail.hash);
                if record.snapshot {
                    tail.snapshot = Some(tail.entries);
                }
                tail.entries += 1;
            }
            all.push(Placed { first, hashes });
        }
        let header = CommitHeader {
            count: u32::try_from(tail.entries - self.tail.entries).unwrap_or(u32::MAX),
            bytes: (self.buffer.len() - COMMIT_HEADER) as u64,
            first: self.tail.entries,
            prev: self.tail.hash,
        };
        header.write(&mut self.buffer);
        (tail, all)
    }

    /// Makes the buffer durable as the commit that leads to `tail`, or nothing of it.
    fn commit(&mut self, mut tail: Tail) -> Result<(), Failure> {
        let length = self.buffer.len() as u64;
        let place = self.segments.place(&self.owner, &self.tail, length)?;
        if let Err(error) = place.file.write_all_at(&self.buffer, place.at) {
            tracing::error!(%error, "journal cannot be written");
            // Half a commit must not stay: the file ends where it ended, or nothing is tried again.
            if let Err(error) = self.segments.roll_back(place.at) {
                return Err(self.end(error.into()));
            }
            return Err(error.into());
        }
        if let Err(error) = self.segments.sync(&self.owner) {
            // What the disk holds is not known any more; only a restart can find out.
            tracing::error!(%error, "journal cannot be made durable; no further append is tried");
            return Err(self.end(error.into()));
        }
        match self.owner.fenced() {
            Ok(false) => {}
            Ok(true) => return Err(self.end(Failure::Fenced)),
            Err(error) => return Err(self.end(error.into())),
        }
        (tail.segment, tail.commit) = (Some(place.name), place.at);
        tail.end = place.at.saturating_add(length);
        if let Err(error) = self.owner.acknowledge(tail, false) {
            return Err(self.end(error.into()));
        }
        self.shared.moved(place.begun, self.tail.entries, tail);
        self.segments.moved(tail.end);
        self.tail = tail;
        Ok(())
    }

    /// Ends the writer, whose state is not known to be what it believes.
    fn end(&mut self, failure: Failure) -> Failure {
        self.ended = Some(failure.clone());
        failure
    }

    fn close(mut self) -> Result<(), Failure> {
        self.segments.close(&self.owner)?;
        if let Some(failure) = self.ended {
            return Err(failure);
        }
        if self.owner.fenced()? {
            return Err(Failure::Fenced);
        }
        // Behind an end that a live owner was taken from, that owner may still write.
        let closed = self.segments.own_end();
        self.owner.seal(self.tail, closed)?;
        Ok(())
    }
}
