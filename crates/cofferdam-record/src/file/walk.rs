//! Walking over the commits of one segment: whole commits, read in large pieces.
//!
//! **Invariant:** nothing is trusted. A commit is handed out only if all of its bytes are there; whether
//! its entries are what was written is for the caller to check.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

use cofferdam_core::ports::JournalError;

use super::{
    folder::failed,
    format::{COMMIT_HEADER, CommitHeader},
};
use crate::{chain::corrupt, limits::CHUNK_BYTES};

/// Whole commits, back to back, as they stand in a file.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    bytes: Vec<u8>,
    length: usize,
    /// Where in the file it begins.
    at: u64,
}

/// Reads chunks from `at` to `end`.
#[derive(Debug)]
pub(super) struct Walk {
    file: Arc<File>,
    at: u64,
    end: u64,
    /// Sequence number due next, to name what is broken.
    due: u64,
}

impl Walk {
    /// Begins at `at`, where entry `due` is expected; `end` is where the content ends.
    pub(super) fn new(file: Arc<File>, at: u64, end: u64, due: u64) -> Self {
        Self { file, at, end, due }
    }

    /// Where the next chunk begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next chunk, into `chunk`, whose buffer is used again; false at the end.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] if what stands there is no whole commit.
    pub(super) fn next_into(&mut self, chunk: &mut Chunk) -> Result<bool, JournalError> {
        (chunk.at, chunk.length) = (self.at, 0);
        let left = self.end.saturating_sub(self.at);
        if left == 0 {
            return Ok(false);
        }
        self.fill(chunk, left.min(CHUNK_BYTES as u64))?;
        let mut whole = 0usize;
        loop {
            let rest = chunk.bytes.get(whole..chunk.length).unwrap_or_default();
            // What is cut off by the chunk, or broken, opens the next one.
            let Some(header) = CommitHeader::decode(rest) else {
                if whole > 0 {
                    break;
                }
                return Err(corrupt(self.due, "its commit is unreadable"));
            };
            let length = header.len();
            if length > rest.len() as u64 {
                if whole > 0 {
                    break;
                }
                if length > left {
                    return Err(corrupt(self.due, "its commit is longer than the journal"));
                }
                self.fill(chunk, length)?;
            }
            whole = whole.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
            self.due = header.next();
        }
        chunk.length = whole;
        self.at = self.at.saturating_add(whole as u64);
        Ok(true)
    }

    /// Makes `chunk` hold the first `length` bytes from its position.
    fn fill(&self, chunk: &mut Chunk, length: u64) -> Result<(), JournalError> {
        let have = chunk.length;
        let length = usize::try_from(length).map_err(|it| failed(io::Error::other(it)))?;
        // What is there already need not be zeroed again.
        if chunk.bytes.len() < length {
            chunk.bytes.resize(length, 0);
        }
        chunk.length = length;
        let to = chunk.bytes.get_mut(have..length).unwrap_or_default();
        self.file.read_exact_at(to, chunk.at.saturating_add(have as u64)).map_err(|it| {
            match it.kind() {
                io::ErrorKind::UnexpectedEof => {
                    corrupt(self.due, "it is missing; the journal was truncated")
                }
                _ => failed(it),
            }
        })
    }
}

impl Chunk {
    /// The commits with their positions in the file.
    pub(super) fn commits(&self) -> impl Iterator<Item = (u64, CommitHeader, &[u8])> {
        let all = self.bytes.get(..self.length).unwrap_or_default();
        let mut rest = all;
        std::iter::from_fn(move || {
            let at = self.at.saturating_add((all.len() - rest.len()) as u64);
            let header = CommitHeader::decode(rest)?;
            let length = usize::try_from(header.len()).ok()?;
            let (commit, after) = rest.split_at_checked(length)?;
            rest = after;
            Some((at, header, commit.get(COMMIT_HEADER..).unwrap_or_default()))
        })
    }
}
