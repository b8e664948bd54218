//! The segments that an owner writes to, and the zeroes prepared for the next one.
//!
//! A write into blocks that are allocated and written already needs no note in the file system's own
//! journal, which makes the wait for the disk much shorter. So a thread fills the next segment with zeroes
//! while this one is written to. Where it is late, the segment grows as it is written.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use super::{
    folder::{self, Owner, segment_path, spare_path},
    format::{SEGMENT_HEADER, SegmentHeader, Tail},
    view::Segment,
};
use crate::limits::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, ZERO_BYTES};

/// The segments of one owner.
#[derive(Debug)]
pub(super) struct Segments {
    /// The one that is written to; none before the first commit.
    current: Option<Current>,
    /// A file of zeroes, ready or in the making.
    spare: Option<JoinHandle<io::Result<File>>>,
    /// Bytes of the next segment.
    size: u64,
    /// Whether the journal was taken from a live owner.
    taken_over: bool,
    /// Bytes that the whole journal may take, and those it takes.
    limit: Option<u64>,
    used: u64,
}

#[derive(Debug)]
struct Current {
    name: (u64, u64),
    file: Arc<File>,
    size: u64,
    end: u64,
    /// Whether its name is not durable yet.
    new: bool,
}

/// Where a commit goes.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: (u64, u64),
    pub(super) file: Arc<File>,
    pub(super) at: u64,
    /// The segment, if the commit is its first.
    pub(super) begun: Option<Segment>,
}

impl Segments {
    /// Begins after the segments of others, which take `used` bytes.
    pub(super) fn new(taken_over: bool, limit: Option<u64>, used: u64) -> Self {
        Self { current: None, spare: None, size: SEGMENT_BYTES_MIN, taken_over, limit, used }
    }

    /// Finds the place for a commit of `length` bytes after `tail`; begins a segment if it must.
    pub(super) fn place(&mut self, owner: &Owner, tail: &Tail, length: u64) -> io::Result<Place> {
        let header = SEGMENT_HEADER as u64;
        let full = |it: &Current| it.end.saturating_add(length) > it.size && it.end > header;
        let rotate = self.current.as_ref().is_none_or(full);
        let more = if rotate { length.saturating_add(header) } else { length };
        if self.limit.is_some_and(|limit| self.used.saturating_add(more) > limit) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut begun = None;
        if rotate {
            begun = Some(self.begin(owner, tail)?);
        }
        let current = self.current.as_ref().ok_or(io::ErrorKind::NotFound)?;
        if current.end == header && begun.is_none() {
            // Its first commit was refused before.
            begun =
                Some(Segment::new(self.header(owner, tail, current.name.0), current.file.clone()));
        }
        let file = Arc::clone(&current.file);
        Ok(Place { name: current.name, file, at: current.end, begun })
    }

    /// Waits until what was written is on the disk.
    pub(super) fn sync(&mut self, owner: &Owner) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        current.file.sync_data()?;
        if std::mem::take(&mut current.new) {
            folder::sync(&owner.folder)?;
        }
        Ok(())
    }

    /// Notes that the content of the current segment ends at `end`.
    pub(super) fn moved(&mut self, end: u64) {
        if let Some(current) = &mut self.current {
            self.used = self.used.saturating_add(end - current.end);
            current.end = end;
        }
    }

    /// Takes back what was written behind `end`; frees the zeroes as well.
    pub(super) fn roll_back(&mut self, end: u64) -> io::Result<()> {
        match &self.current {
            Some(current) => current.file.set_len(end),
            None => Ok(()),
        }
    }

    /// Whether nobody else can write behind the end of the journal.
    pub(super) fn own_end(&self) -> bool {
        !self.taken_over || self.current.is_some()
    }

    /// Cuts the zeroes off and removes the spare.
    pub(super) fn close(&mut self, owner: &Owner) -> io::Result<()> {
        if let Some(spare) = self.spare.take() {
            let _ = spare.join();
        }
        let _ = std::fs::remove_file(spare_path(&owner.folder, owner.epoch));
        self.finish()
    }

    fn begin(&mut self, owner: &Owner, tail: &Tail) -> io::Result<Segment> {
        self.finish()?;
        let number = tail.segment.map_or(0, |it| it.0 + 1);
        let name = (number, owner.epoch);
        let path = segment_path(&owner.folder, name);
        let (file, size) = self.take_spare(&owner.folder, owner.epoch, &path)?;
        let header = self.header(owner, tail, number);
        if let Err(error) = file.write_all_at(&header.encode(), 0) {
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        let file = Arc::new(file);
        let end = SEGMENT_HEADER as u64;
        self.used = self.used.saturating_add(end);
        self.current = Some(Current { name, file: Arc::clone(&file), size, end, new: true });
        self.size = size.saturating_mul(2).min(SEGMENT_BYTES_MAX);
        self.prepare(spare_path(&owner.folder, owner.epoch));
        Ok(Segment::new(header, file))
    }

    fn header(&self, owner: &Owner, tail: &Tail, number: u64) -> SegmentHeader {
        SegmentHeader {
            number,
            epoch: owner.epoch,
            first: tail.entries,
            prev_end: tail.end,
            taken_over: self.taken_over && tail.segment.is_some_and(|it| it.1 != owner.epoch),
            prev: tail.hash,
        }
    }

    /// The file for a segment under its name: the spare if it is ready, else a new one. The first one
    /// is filled with zeroes here and now.
    fn take_spare(&mut self, folder: &Path, epoch: u64, path: &Path) -> io::Result<(File, u64)> {
        let options = OpenOptions::new().create_new(true).read(true).write(true).clone();
        if let Some(spare) = self.spare.take_if(|it| it.is_finished()) {
            // A spare that could not be made, for want of room, is no reason to stop.
            if let Ok(Ok(file)) = spare.join() {
                std::fs::rename(spare_path(folder, epoch), path)?;
                return Ok((file, self.size));
            }
            let _ = std::fs::remove_file(spare_path(folder, epoch));
        }
        let file = options.open(path)?;
        if self.current.is_none() && self.limit.is_none() && zero(&file, self.size).is_err() {
            // Without room for zeroes there may be room for the data.
            file.set_len(0)?;
        }
        Ok((file, self.size))
    }

    fn prepare(&mut self, path: PathBuf) {
        if self.spare.is_some() || self.limit.is_some() {
            return;
        }
        let size = self.size;
        let make = move || {
            let options = OpenOptions::new().create_new(true).read(true).write(true).clone();
            let file = options.open(path)?;
            zero(&file, size).or_else(|it| file.set_len(0).and(Err(it)))?;
            Ok(file)
        };
        self.spare = std::thread::Builder::new().name("journal-spare".into()).spawn(make).ok();
    }

    /// Ends the current segment where its content ends.
    fn finish(&mut self) -> io::Result<()> {
        let Some(current) = &self.current else { return Ok(()) };
        current.file.set_len(current.end)?;
        current.file.sync_all()
    }
}

/// Fills a file with zeroes, a piece at a time so that others reach the disk in between.
fn zero(file: &File, size: u64) -> io::Result<()> {
    let zeroes = vec![0; ZERO_BYTES];
    let mut file = file;
    for _ in 0..size / ZERO_BYTES as u64 {
        file.write_all(&zeroes)?;
        file.sync_data()?;
    }
    file.sync_all()
}
