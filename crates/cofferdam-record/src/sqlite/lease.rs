//! Who may write: an advisory file lock, and an epoch in the database that outlives it.
//!
//! The lock tells a live owner from a dead one: the kernel drops it when the process ends, however it
//! ends, and no process id is compared. The epoch is what makes it safe: every commit checks it, so an
//! owner that was taken over can commit nothing more, even if it slept through the takeover.
//!
//! Each epoch has a lock file of its own, `<journal>.lock-<epoch>`. All changes of owner happen inside
//! one SQLite write transaction each, so that two openers cannot both see the old owner gone.

use std::{
    ffi::OsString,
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use cofferdam_core::ports::JournalError;

use crate::chain::unavailable;

/// Proof of being the owner; released when dropped, or by the kernel.
#[derive(Debug)]
pub(super) struct Lease {
    /// Kept open: closing it releases the lock.
    _file: File,
}

/// Takes the lease of `epoch + 1` of the journal at `path`. Call it inside a write transaction that
/// has read `epoch`, and commit the new epoch in that transaction.
///
/// # Errors
/// [`JournalError::Fenced`] if the owner of `epoch` lives and `take_over` is false.
pub(super) fn claim(path: &Path, epoch: i64, take_over: bool) -> Result<Lease, JournalError> {
    if !take_over && held(&file_of(path, epoch)).map_err(lock_failed)? {
        return Err(JournalError::Fenced);
    }
    let name = file_of(path, epoch + 1);
    let file =
        File::options().create(true).truncate(false).write(true).open(name).map_err(lock_failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Lease { _file: file }),
        // A claim whose transaction was rolled back and is not gone yet.
        Err(TryLockError::WouldBlock) => Err(JournalError::Fenced),
        Err(TryLockError::Error(error)) => Err(lock_failed(error)),
    }
}

/// Removes the lock file of a past owner. A failure costs nothing but the empty file.
pub(super) fn forget(path: &Path, epoch: i64) {
    let _ = std::fs::remove_file(file_of(path, epoch));
}

/// Makes the name of a new file durable. SQLite itself does so only for its own journal files.
pub(super) fn sync_folder_of(path: &Path) -> Result<(), JournalError> {
    if !cfg!(unix) {
        return Ok(());
    }
    let Some(folder) = path.parent() else { return Ok(()) };
    File::open(folder).and_then(|it| it.sync_all()).map_err(|it| unavailable(it.into()))
}

fn held(lock: &Path) -> io::Result<bool> {
    let file = match File::options().write(true).open(lock) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn file_of(path: &Path, epoch: i64) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".lock-{epoch}"));
    PathBuf::from(name)
}

fn lock_failed(error: io::Error) -> JournalError {
    unavailable(error.into())
}
