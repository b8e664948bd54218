//! Limits of the journals, each with its unit.

use std::time::Duration;

/// Appends that may wait for the writer; the next one waits for a place.
pub const APPENDS_QUEUED_MAX: usize = 1_024;
/// Records that share one commit. An append is never split, so one append may exceed it.
pub const COMMIT_RECORDS_MAX: usize = 4_096;
/// Bytes of records that share one commit. An append is never split, so one append may exceed it.
pub const COMMIT_BYTES_MAX: usize = 8 << 20;
/// Bytes of all records of one append. SQLite's own limit for a value is 10⁹.
pub const APPEND_BYTES_MAX: usize = 256 << 20;

/// SQLite, PostgreSQL: connections for reading.
pub const READERS_MAX: u32 = 4;
/// SQLite, PostgreSQL: entries that verification and export hold in memory at once.
pub const PAGE_ENTRIES: i64 = 1_024;
/// SQLite: how long a statement waits for a lock of another process.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Files: bytes of the first segment that an owner begins; each further one is twice as large.
pub const SEGMENT_BYTES_MIN: u64 = 1 << 20;
/// Files: bytes of a segment; a commit that is larger has one of its own.
pub const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// Files: bytes of zeroes written at once while a segment is prepared.
pub const ZERO_BYTES: usize = 1 << 20;
/// Files: bytes of entries between two marks of the index.
pub const MARK_BYTES: u64 = 64 << 10;
/// Files: bytes read at once, unless a commit is larger.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Files: threads that verification uses.
pub const VERIFIERS_MAX: usize = 16;
/// Files: how long somebody who opens waits for another who does, at a time and how often.
pub const OPENING_STEP: Duration = Duration::from_millis(2);
/// See [`OPENING_STEP`].
pub const OPENING_STEPS_MAX: u32 = 2_500;
/// Files: buffers of past commits kept for further ones, at most so many.
pub const BUFFERS_KEPT_MAX: usize = 4;
/// Files: how long the writer looks out for the next append before it sleeps.
pub const LOOKOUT: Duration = Duration::from_micros(20);
