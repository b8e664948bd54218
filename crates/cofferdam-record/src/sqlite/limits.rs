//! Limits of the SQLite journal, each with its unit.

use std::time::Duration;

/// Appends that may wait for the writer; the next one waits for a place.
pub const APPENDS_QUEUED_MAX: usize = 1_024;
/// Records that share one commit. An append is never split, so one append may exceed it.
pub const COMMIT_RECORDS_MAX: usize = 4_096;
/// Bytes of records that share one commit. An append is never split, so one append may exceed it.
pub const COMMIT_BYTES_MAX: usize = 8 << 20;
/// Bytes of all records of one append. SQLite's own limit for a value is 10⁹.
pub const APPEND_BYTES_MAX: usize = 256 << 20;
/// Connections for reading.
pub const READERS_MAX: u32 = 4;
/// Entries that verification and export hold in memory at once.
pub const PAGE_ENTRIES: i64 = 1_024;
/// How long a statement waits for a lock of another process.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
