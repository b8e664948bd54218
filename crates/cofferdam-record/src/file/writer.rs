//! The one writer: a thread that takes what was chained and makes it durable.
//!
//! It takes whatever waits as one commit, writes it with one call and waits for the disk once; nobody
//! waits for a commit to fill up. An append is answered after that, and never split over two commits.
//! Segments are filled with zeroes before they are needed, so that the disk has nothing to note but the
//! data. Meanwhile those who append fill the next commit; see [`super::queue`].
//!
//! **Invariant:** an append is acknowledged after its commit is on the disk and after that no newer owner
//! existed.

use std::{io, os::unix::fs::FileExt, sync::Arc};

use cofferdam_core::ports::JournalError;

use super::{
    Shared,
    folder::Owner,
    format::Tail,
    queue::{Commit, Queue},
    segments::Segments,
};
use crate::chain::unavailable;

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
    pub(super) queue: Arc<Queue>,
    pub(super) segments: Segments,
    /// The end of what is durable.
    pub(super) tail: Tail,
    /// Why no further append is tried.
    pub(super) ended: Option<Failure>,
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

/// Serves appends until the journal is closed, then ends it in order.
pub(super) fn run(mut writer: Writer) {
    let end = End(Arc::clone(&writer.queue));
    while let Some(commit) = end.0.next() {
        writer.serve(commit);
    }
    if let Err(failure) = writer.close() {
        tracing::warn!(?failure, "journal was not closed cleanly; the next owner will tidy up");
    }
}

/// Tells those who wait when the thread ends, however it ends.
struct End(Arc<Queue>);

impl Drop for End {
    fn drop(&mut self) {
        let gone = Failure::from(io::Error::other("the journal's writer has ended"));
        self.0.failed(None, Tail::default(), &gone, true);
    }
}

impl Writer {
    fn serve(&mut self, mut commit: Commit) {
        commit.seal();
        match self.commit(&commit) {
            Ok(()) => self.queue.done(commit),
            Err(failure) => {
                self.queue.failed(Some(commit), self.tail, &failure, self.ended.is_some());
            }
        }
    }

    /// Makes `commit` durable, or nothing of it.
    fn commit(&mut self, commit: &Commit) -> Result<(), Failure> {
        if let Some(failure) = &self.ended {
            return Err(failure.clone());
        }
        let mut tail = commit.tail;
        let length = commit.bytes.len() as u64;
        let place = self.segments.place(&self.owner, &self.tail, length)?;
        if let Err(error) = place.file.write_all_at(&commit.bytes, place.at) {
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
        self.shared.moved(place.begun, commit.first(), tail);
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
