//! What is known about the journal's content: its segments, its end, and marks that lead to an entry.
//!
//! **Invariant:** a view ends where the chain was acknowledged; what stands behind it in the files is
//! not seen by anybody who reads.

use std::{fs::File, os::unix::fs::FileExt, path::Path, sync::Arc};

use alloy_primitives::B256;
use cofferdam_core::ports::JournalError;

use super::{
    folder::{Listing, failed, segment_path},
    format::{SEGMENT_HEADER, SegmentHeader, Tail},
    walk::{Chunk, Walk},
};
use crate::{chain::corrupt, limits::MARK_BYTES};

/// The segments and the end of the chain.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) segments: Vec<Segment>,
    pub(super) tail: Tail,
}

/// One segment.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) header: SegmentHeader,
    pub(super) file: Arc<File>,
    /// Where its content ends.
    pub(super) end: u64,
    /// Sequence number and position of some commits, rising.
    marks: Vec<(u64, u64)>,
    /// Up to where there are marks.
    marked: u64,
}

impl View {
    /// Opens the segments that lead up to `tail`, and checks that their headers follow each other.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] if one is missing or does not fit.
    pub(super) fn load(folder: &Path, listing: &Listing, tail: Tail) -> Result<Self, JournalError> {
        let mut view = Self { segments: Vec::new(), tail };
        let Some((last, epoch)) = tail.segment else { return Ok(view) };
        for number in 0..=last {
            let due = view.segments.last().map_or(0, |it| it.header.first);
            let name = listing.segment(number).filter(|it| number < last || it.1 == epoch);
            let Some(name) = name.or((number == last).then_some((last, epoch))) else {
                return Err(corrupt(due, format!("segment {number} of the journal is missing")));
            };
            let segment = Segment::open(folder, name, due)?;
            view.push(segment)?;
        }
        if let Some(segment) = view.segments.last_mut() {
            segment.end = tail.end;
        }
        Ok(view)
    }

    /// Adds the next segment, which says where the one before it ends.
    pub(super) fn push(&mut self, segment: Segment) -> Result<(), JournalError> {
        let header = segment.header;
        let first = header.first;
        let number = self.segments.len() as u64;
        if header.number != number {
            return Err(corrupt(first, format!("segment {number} says that it is another")));
        }
        match self.segments.last_mut() {
            Some(before) => {
                if first < before.header.first || header.prev_end < SEGMENT_HEADER as u64 {
                    return Err(corrupt(first, "its segment does not follow the one before it"));
                }
                before.end = header.prev_end;
            }
            None if first != 0 || header.prev != B256::ZERO || header.prev_end != 0 => {
                return Err(corrupt(0, "the first segment does not begin with it"));
            }
            None => {}
        }
        self.segments.push(segment);
        Ok(())
    }

    /// The index of the segment that holds entry `seq`.
    pub(super) fn holding(&self, seq: u64) -> Option<usize> {
        self.segments.partition_point(|it| it.header.first <= seq).checked_sub(1)
    }
}

impl Segment {
    /// Opens a segment; `due` is named if it cannot be read.
    pub(super) fn open(folder: &Path, name: (u64, u64), due: u64) -> Result<Self, JournalError> {
        let path = segment_path(folder, name);
        let file = match File::open(path) {
            Err(it) if it.kind() == std::io::ErrorKind::NotFound => {
                return Err(corrupt(due, format!("segment {} of the journal is missing", name.0)));
            }
            other => other.map_err(failed)?,
        };
        let mut bytes = [0; SEGMENT_HEADER];
        let header = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => SegmentHeader::decode(&bytes).filter(|it| it.epoch == name.1),
            Err(it) if it.kind() == std::io::ErrorKind::UnexpectedEof => None,
            Err(it) => return Err(failed(it)),
        };
        let header = header
            .ok_or_else(|| corrupt(due, format!("segment {} has no readable header", name.0)))?;
        Ok(Self::new(header, Arc::new(file)))
    }

    /// An empty segment.
    pub(super) fn new(header: SegmentHeader, file: Arc<File>) -> Self {
        let start = SEGMENT_HEADER as u64;
        Self { header, file, end: start, marks: Vec::new(), marked: start }
    }

    /// Notes a commit that was appended, so that it will be found without reading.
    pub(super) fn note(&mut self, first: u64, at: u64, end: u64) {
        if self.marked == at {
            self.mark(first, at);
            self.marked = end;
        }
        self.end = end;
    }

    /// Takes over the marks of another look at the same segment, if it knows more.
    pub(super) fn adopt(&mut self, other: &Self) {
        let same = other.header == self.header;
        if same && other.marked > self.marked && other.marked <= self.end {
            self.marks.clone_from(&other.marks);
            self.marked = other.marked;
        }
    }

    /// Walks from a commit not after entry `seq`.
    pub(super) fn walk_to(&mut self, seq: u64) -> Walk {
        self.index();
        let at = self.marks.partition_point(|it| it.0 <= seq).checked_sub(1);
        let start = (self.header.first, SEGMENT_HEADER as u64);
        let (first, at) = at.and_then(|it| self.marks.get(it)).copied().unwrap_or(start);
        Walk::new(Arc::clone(&self.file), at, self.end, first)
    }

    /// Walks over all of it.
    pub(super) fn walk(&self) -> Walk {
        let at = SEGMENT_HEADER as u64;
        Walk::new(Arc::clone(&self.file), at, self.end, self.header.first)
    }

    /// Marks what is not marked yet.
    fn index(&mut self) {
        let due = self.marks.last().map_or(self.header.first, |it| it.0);
        let mut walk = Walk::new(Arc::clone(&self.file), self.marked, self.end, due);
        let mut chunk = Chunk::default();
        // A broken part ends the marks: who reads beyond it walks there and is told.
        while let Ok(true) = walk.next_into(&mut chunk) {
            for (at, header, _) in chunk.commits() {
                self.mark(header.first, at);
            }
            self.marked = walk.at();
        }
    }

    fn mark(&mut self, first: u64, at: u64) {
        let far = |last: &(u64, u64)| at >= last.1.saturating_add(MARK_BYTES) && first > last.0;
        if self.marks.last().is_none_or(far) {
            self.marks.push((first, at));
        }
    }
}
