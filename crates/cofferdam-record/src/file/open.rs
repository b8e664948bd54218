//! Opening: whose journal it is, and where it ends.
//!
//! **Invariant:** what was acknowledged is there, or the journal is not opened. Whole commits behind the
//! acknowledged end are kept, because they may have been on their way to be; a torn one is cut and told.

use std::{fs::OpenOptions, path::Path, sync::Arc};

use cofferdam_core::ports::JournalError;

use super::{
    folder::{self, Listing, Owner, failed, segment_path},
    format::{SEGMENT_HEADER, Tail},
    verify::{Checks, verify},
    view::{Segment, View},
    walk::{Chunk, Walk},
};
use crate::chain::{corrupt, is_snapshot_text};

/// A journal that was opened for writing.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) owner: Owner,
    pub(super) view: View,
    /// Whether the journal was taken from a live owner.
    pub(super) taken_over: bool,
    /// Bytes of a torn commit that were cut.
    pub(super) cut: u64,
}

/// A journal that was opened for reading.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) epoch: u64,
    pub(super) view: View,
    /// Nothing may stand after its end: its owner ended in order.
    pub(super) closed: bool,
    /// Bytes of a torn commit that nobody cut yet.
    pub(super) torn: u64,
}

/// Becomes the owner of the journal in `path`; creates it if there is none.
pub(super) fn write(path: &Path, take_over: bool) -> Result<Opened, JournalError> {
    match std::fs::create_dir(path) {
        Ok(()) => sync_parent(path)?,
        Err(it) if it.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(it) => return Err(failed(it)),
    }
    if path.is_file() {
        return Err(corrupt(0, "it is a file; this journal is a folder"));
    }
    folder::list(path)?.check()?;
    let _opening = folder::opening(path, false)?;
    let listing = folder::list(path)?;
    let last = listing.owners.last().copied();
    let live = last.map_or(Ok(false), |it| folder::lives(path, it))?;
    if live && !take_over {
        return Err(JournalError::Fenced);
    }
    // Looked at before anything is written: a damaged journal stays as it is.
    let slot = folder::newest_slot(path, &listing, false)?;
    let mut owner = Owner::claim(path, last.map_or(1, |it| it.saturating_add(1)))?;
    let settled = settle(path, &listing, slot.map(|it| (it.tail, it.closed)));
    let settled = settled.and_then(|(view, torn)| {
        // A live owner may still write behind the end; its segments are left as they are.
        if !live {
            cut(path, &listing, &view)?;
        }
        owner.seal(view.tail, false).map_err(failed)?;
        folder::sync(path).map_err(failed)?;
        Ok((view, torn))
    });
    match settled {
        Ok((view, cut)) => {
            owner.forget_others(&listing);
            Ok(Opened { owner, view, taken_over: live, cut })
        }
        Err(error) => {
            owner.withdraw();
            Err(error)
        }
    }
}

/// Looks at the journal in `path` without changing anything.
pub(super) fn read(path: &Path) -> Result<Seen, JournalError> {
    look(path, false)
}

/// As [`read`], and refuses a head of which one of the two records is damaged.
pub(super) fn read_strictly(path: &Path) -> Result<Seen, JournalError> {
    look(path, true)
}

fn look(path: &Path, strict: bool) -> Result<Seen, JournalError> {
    let _opening = folder::opening(path, true)?;
    let listing = folder::list(path)?;
    listing.check()?;
    let Some(slot) = folder::newest_slot(path, &listing, strict)? else {
        return Err(corrupt(0, "the folder is not a cofferdam journal"));
    };
    let live = listing.owners.last().map_or(Ok(false), |it| folder::lives(path, *it))?;
    // Its owner may have begun a segment since.
    let listing = folder::list(path)?;
    let (view, torn) = if live {
        (View::load(path, &listing, slot.tail)?, 0)
    } else {
        settle(path, &listing, Some((slot.tail, slot.closed)))?
    };
    Ok(Seen { epoch: slot.epoch, view, closed: slot.closed && !live, torn })
}

/// Finds the end of the chain: the acknowledged one, which must be there, and whole commits behind it.
/// Returns as well how many bytes behind it are no zeroes.
fn settle(
    path: &Path,
    listing: &Listing,
    slot: Option<(Tail, bool)>,
) -> Result<(View, u64), JournalError> {
    let (tail, closed) = slot.unwrap_or_default();
    let mut view = View::load(path, listing, tail)?;
    check_last(&mut view)?;
    if closed {
        let length = match view.segments.last() {
            Some(it) => it.file.metadata().map_err(failed)?.len(),
            None => 0,
        };
        if length > tail.end || listing.segment(view.segments.len() as u64).is_some() {
            return Err(corrupt(tail.entries, "it stands after the head of the journal"));
        }
        return Ok((view, 0));
    }
    let mut torn = 0;
    loop {
        if let Some(segment) = view.segments.last_mut() {
            torn = follow(segment, &mut view.tail)?;
        }
        let next = view.segments.len() as u64;
        let Some(name) = listing.segment(next) else { break };
        // A segment without a readable header was not begun in earnest.
        let Ok(segment) = Segment::open(path, name, view.tail.entries) else { break };
        let header = segment.header;
        let follows = header.first == view.tail.entries
            && header.prev == view.tail.hash
            && (next == 0 || header.prev_end == view.tail.end);
        let mut tail = Tail { segment: Some(name), end: SEGMENT_HEADER as u64, ..view.tail };
        let mut probe = segment.clone();
        if !follows || (follow(&mut probe, &mut tail)?, tail.entries).1 == view.tail.entries {
            break;
        }
        view.push(probe)?;
        view.tail = tail;
    }
    Ok((view, torn))
}

/// Checks that the last acknowledged commit is there and is what the head names.
fn check_last(view: &mut View) -> Result<(), JournalError> {
    let Tail { entries, hash, commit, end, .. } = view.tail;
    let Some(segment) = view.segments.last() else { return Ok(()) };
    let length = segment.file.metadata().map_err(failed)?.len();
    let whole = commit >= SEGMENT_HEADER as u64 && commit < end && end <= length;
    let mut last = Tail::default();
    if whole {
        let mut walk = Walk::new(Arc::clone(&segment.file), commit, end, entries);
        let mut chunk = Chunk::default();
        if let Ok(true) = walk.next_into(&mut chunk)
            && let Some((_, header, body)) = chunk.commits().next()
            && walk.at() == end
        {
            last.entries = header.next();
            for entry in header.entries(body) {
                let entry = entry?;
                entry.check()?;
                last.hash = entry.hash;
            }
        }
    }
    if (last.entries, last.hash) == (entries, hash) {
        return Ok(());
    }
    what_ends_early(view)
}

/// Why the last acknowledged commit is not where it should be: the first entry that is wrong.
fn what_ends_early(view: &View) -> Result<(), JournalError> {
    let mut there = view.clone();
    if let Some(last) = there.segments.last_mut() {
        let length = last.file.metadata().map_err(failed)?.len();
        last.end = last.end.min(length);
    }
    verify(&there, Checks::default())?;
    let last = view.tail.entries.saturating_sub(1);
    Err(corrupt(last, "it is not the entry that the head names"))
}

/// Moves `tail` over the whole commits behind it in `segment`. Returns how many bytes up to the last
/// one that is not zero follow.
fn follow(segment: &mut Segment, tail: &mut Tail) -> Result<u64, JournalError> {
    let length = segment.file.metadata().map_err(failed)?.len();
    let mut walk = Walk::new(Arc::clone(&segment.file), tail.end, length, tail.entries);
    let mut chunk = Chunk::default();
    'commits: while let Ok(true) = walk.next_into(&mut chunk) {
        for (at, header, body) in chunk.commits() {
            let mut moved = Tail { commit: at, entries: header.next(), ..*tail };
            if header.first != tail.entries || header.prev != tail.hash {
                break 'commits;
            }
            for entry in header.entries(body) {
                let Ok(entry) = entry else { break 'commits };
                if entry.check().is_err() {
                    break 'commits;
                }
                moved.hash = entry.hash;
                if is_snapshot_text(entry.record) {
                    moved.snapshot = Some(entry.seq);
                }
            }
            moved.end = at.saturating_add(header.len());
            segment.note(header.first, at, moved.end);
            *tail = moved;
        }
    }
    segment.end = tail.end;
    rest_of(segment, tail.end, length)
}

/// Bytes from `from` up to the last that is not zero.
fn rest_of(segment: &Segment, from: u64, length: u64) -> Result<u64, JournalError> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; crate::limits::CHUNK_BYTES];
    let (mut at, mut rest) = (from, 0);
    while at < length {
        let read = segment.file.read_at(&mut buffer, at).map_err(failed)?;
        if read == 0 {
            break;
        }
        let part = buffer.get(..read).unwrap_or_default();
        if let Some(last) = part.iter().rposition(|it| *it != 0) {
            rest = at.saturating_add(last as u64 + 1).saturating_sub(from);
        }
        at = at.saturating_add(read as u64);
    }
    Ok(rest)
}

/// Removes what stands behind the end: zeroes, torn commits, segments that hold nothing.
fn cut(path: &Path, listing: &Listing, view: &View) -> Result<(), JournalError> {
    if let (Some(name), Some(segment)) = (view.tail.segment, view.segments.last()) {
        let length = segment.file.metadata().map_err(failed)?.len();
        if length > view.tail.end {
            let file = OpenOptions::new().write(true).open(segment_path(path, name));
            let file = file.map_err(failed)?;
            file.set_len(view.tail.end).and_then(|()| file.sync_all()).map_err(failed)?;
        }
    }
    let next = view.segments.len() as u64;
    for name in listing.segments.iter().filter(|it| it.0 >= next) {
        std::fs::remove_file(segment_path(path, *name)).map_err(failed)?;
    }
    Ok(())
}

fn sync_parent(path: &Path) -> Result<(), JournalError> {
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    folder::sync(parent.unwrap_or(Path::new("."))).map_err(failed)
}
