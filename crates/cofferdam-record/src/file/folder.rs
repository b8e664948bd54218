//! The journal's folder: what its files are called, and who owns it.
//!
//! `<number>-<epoch>.segment` hold the entries, `owner-<epoch>` the end of the chain as that owner
//! acknowledged it, `spare-<epoch>` the zeroes of a segment to come, `opening` nothing: it is locked
//! while somebody becomes the owner.
//!
//! **Invariant:** nobody writes to a file that an owner of another epoch made. The lock on an owner file
//! tells a live owner from a dead one; the existence of a newer owner file tells an owner, before it
//! acknowledges anything, that its time is over, even if it slept through the takeover.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

use cofferdam_core::ports::JournalError;

use super::format::{SLOT, Slot, Tail};
use crate::{
    chain::{corrupt, unavailable},
    limits::{OPENING_STEP, OPENING_STEPS_MAX},
};

/// How often slots that were being written are read again.
const SLOT_READS_MAX: u32 = 50;

/// What the folder holds.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Epochs that have an owner file, rising.
    pub(super) owners: Vec<u64>,
    /// Number and epoch of every segment, rising.
    pub(super) segments: Vec<(u64, u64)>,
    /// Epochs that left a spare.
    pub(super) spares: Vec<u64>,
    /// Whether there is anything that is none of ours.
    pub(super) foreign: bool,
}

/// The right to write, and the file that says how far.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) epoch: u64,
    pub(super) folder: PathBuf,
    file: File,
    generation: u64,
    /// What a newer owner would make.
    newer: PathBuf,
}

/// Path of a segment.
pub(super) fn segment_path(folder: &Path, (number, epoch): (u64, u64)) -> PathBuf {
    folder.join(format!("{number:012}-{epoch}.segment"))
}

/// Path of the spare of an epoch.
pub(super) fn spare_path(folder: &Path, epoch: u64) -> PathBuf {
    folder.join(format!("spare-{epoch}"))
}

fn owner_path(folder: &Path, epoch: u64) -> PathBuf {
    folder.join(format!("owner-{epoch}"))
}

/// Lists the folder.
pub(super) fn list(folder: &Path) -> Result<Listing, JournalError> {
    let mut out = Listing::default();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_str().unwrap_or_default();
        let number = |it: &str| it.parse::<u64>().ok().filter(|it| *it < u64::MAX);
        let segment = || {
            let (at, epoch) = name.strip_suffix(".segment")?.split_once('-')?;
            Some((number(at)?, number(epoch)?))
        };
        if let Some(it) = segment() {
            out.segments.push(it);
        } else if let Some(epoch) = name.strip_prefix("owner-").and_then(number) {
            out.owners.push(epoch);
        } else if let Some(epoch) = name.strip_prefix("spare-").and_then(number) {
            out.spares.push(epoch);
        } else if name != "opening" {
            out.foreign = true;
        }
    }
    out.owners.sort_unstable();
    out.segments.sort_unstable();
    Ok(out)
}

impl Listing {
    /// Whether the folder is a journal, or may become one.
    pub(super) fn check(&self) -> Result<(), JournalError> {
        let ours = !self.owners.is_empty() || !self.segments.is_empty();
        if self.foreign && !ours {
            return Err(corrupt(0, "the folder is not a cofferdam journal"));
        }
        Ok(())
    }

    /// The segment that counts under this number: a later owner's replaces what an earlier one left.
    pub(super) fn segment(&self, number: u64) -> Option<(u64, u64)> {
        self.segments.iter().rev().find(|it| it.0 == number).copied()
    }
}

/// Waits for the right to become the owner; it ends when the file is dropped.
pub(super) fn opening(folder: &Path, reading: bool) -> Result<Option<File>, JournalError> {
    let path = folder.join("opening");
    let file = if reading {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        }
    } else {
        let options = OpenOptions::new().create(true).truncate(false).write(true).clone();
        options.open(path).map_err(failed)?
    };
    for _ in 0..OPENING_STEPS_MAX {
        match if reading { file.try_lock_shared() } else { file.try_lock() } {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(OPENING_STEP),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
    let waited: Duration = OPENING_STEP.saturating_mul(OPENING_STEPS_MAX);
    Err(unavailable(format!("another process has been opening it for {waited:?}").into()))
}

/// Whether the owner of `epoch` lives. Call it while [`opening`] is held.
pub(super) fn lives(folder: &Path, epoch: u64) -> Result<bool, JournalError> {
    let file = match File::open(owner_path(folder, epoch)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other.map_err(failed)?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// The newest slot that an owner up to `listing`'s last one wrote. An owner that died before it wrote
/// one is passed over.
///
/// # Errors
/// [`JournalError::Corrupt`] if no slot can be read although there must be one, or (`strict`) if the
/// other slot of the same owner cannot.
pub(super) fn newest_slot(
    folder: &Path,
    listing: &Listing,
    strict: bool,
) -> Result<Option<Slot>, JournalError> {
    for epoch in listing.owners.iter().rev() {
        match slots(&owner_path(folder, *epoch), *epoch) {
            Ok((slot, whole)) if whole || !strict => return Ok(Some(slot)),
            Ok((slot, _)) => {
                let seq = slot.tail.entries.saturating_sub(1);
                return Err(corrupt(
                    seq,
                    "one of the two records of the journal's head is damaged",
                ));
            }
            Err(SlotError::Empty) => {}
            Err(SlotError::Damaged) => {
                return Err(corrupt(0, "the head of the journal is unreadable"));
            }
            Err(SlotError::Io(error)) => return Err(failed(error)),
        }
    }
    if listing.segments.is_empty() {
        return Ok(None);
    }
    Err(corrupt(0, "the head of the journal is missing"))
}

enum SlotError {
    Empty,
    Damaged,
    Io(io::Error),
}

/// The newer slot of an owner file, and whether both are whole. Read again if they are not: the owner
/// may be writing just now.
fn slots(path: &Path, epoch: u64) -> Result<(Slot, bool), SlotError> {
    let mut found = None;
    for _ in 0..SLOT_READS_MAX {
        let bytes = std::fs::read(path).map_err(SlotError::Io)?;
        if bytes.is_empty() {
            return Err(SlotError::Empty);
        }
        let slot = |at: usize| {
            let slot = bytes.get(at..).and_then(Slot::decode)?;
            (slot.epoch == epoch && place(slot.generation) == at as u64).then_some(slot)
        };
        let pair = [slot(0), slot(SLOT)];
        let whole = bytes.len() == 2 * SLOT
            && matches!(pair, [Some(a), Some(b)] if a.generation.abs_diff(b.generation) == 1);
        let newest = pair.into_iter().flatten().max_by_key(|it| it.generation);
        found = newest.map(|it| (it, whole));
        if whole {
            break;
        }
        std::thread::yield_now();
    }
    found.ok_or(SlotError::Damaged)
}

/// Where the slot of a generation stands.
fn place(generation: u64) -> u64 {
    if generation.is_multiple_of(2) { 0 } else { SLOT as u64 }
}

impl Owner {
    /// Becomes the owner of `epoch`. Call it while [`opening`] is held; from here on earlier owners
    /// acknowledge nothing more. It owns nothing until its first [`Owner::acknowledge`].
    pub(super) fn claim(folder: &Path, epoch: u64) -> Result<Self, JournalError> {
        let path = owner_path(folder, epoch);
        let options = OpenOptions::new().create_new(true).read(true).write(true).clone();
        let file = options.open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self {
                epoch,
                folder: folder.to_owned(),
                file,
                generation: 0,
                newer: owner_path(folder, epoch.saturating_add(1)),
            }),
            Err(TryLockError::WouldBlock) => Err(JournalError::Fenced),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Whether a newer owner exists.
    pub(super) fn fenced(&self) -> io::Result<bool> {
        self.newer.try_exists()
    }

    /// Notes the end of the chain. It survives the process; a power cut may take the last notes, never
    /// a commit, because a note is written after its commit is on the disk.
    pub(super) fn acknowledge(&mut self, tail: Tail, closed: bool) -> io::Result<()> {
        self.generation += 1;
        let slot = Slot { generation: self.generation, epoch: self.epoch, closed, tail };
        self.file.write_all_at(&slot.encode(), place(self.generation))
    }

    /// Notes the end of the chain in both slots and makes it durable.
    pub(super) fn seal(&mut self, tail: Tail, closed: bool) -> io::Result<()> {
        // One write of both, so that no half of it can be left.
        self.generation += 1 + self.generation % 2;
        let mut bytes = Vec::with_capacity(2 * SLOT);
        for generation in [self.generation + 1, self.generation] {
            bytes.extend(Slot { generation, epoch: self.epoch, closed, tail }.encode());
        }
        self.generation += 1;
        self.file.write_all_at(&bytes, 0)?;
        self.file.sync_all()
    }

    /// Gives the claim up without having owned anything.
    pub(super) fn withdraw(self) {
        let _ = std::fs::remove_file(owner_path(&self.folder, self.epoch));
    }

    /// Removes what earlier owners need no more. A failure costs nothing but the files.
    pub(super) fn forget_others(&self, listing: &Listing) {
        for epoch in listing.owners.iter().filter(|it| **it != self.epoch) {
            let _ = std::fs::remove_file(owner_path(&self.folder, *epoch));
        }
        for epoch in listing.spares.iter().filter(|it| **it != self.epoch) {
            let _ = std::fs::remove_file(spare_path(&self.folder, *epoch));
        }
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(super) fn failed(error: io::Error) -> JournalError {
    unavailable(error.into())
}
