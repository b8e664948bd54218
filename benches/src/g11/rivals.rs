//! What the journal is measured against.

use std::{fs::File, io::Write, os::unix::fs::FileExt, path::Path, time::Instant};

use redb::{Database, ReadableTableMetadata, TableDefinition};
use rusqlite::Connection;

use crate::Failure;

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entry");

/// Bytes of the file that is written before it is used.
const ZEROED_BYTES: usize = 64 << 20;

/// Writes of `bytes`, each followed by `fdatasync`: the floor of anything durable.
pub(super) struct Raw {
    file: File,
    buffer: Vec<u8>,
    at: usize,
    /// Where it begins again; a growing file is emptied before each slice.
    wrap: Option<usize>,
}

impl Raw {
    /// Into blocks that were written before, as a log that preallocates does.
    pub(super) fn zeroed(path: &Path, bytes: usize) -> Result<Self, Failure> {
        let mut file = File::create(path)?;
        let zeroes = vec![0u8; 1 << 20];
        for _ in 0..ZEROED_BYTES >> 20 {
            file.write_all(&zeroes)?;
        }
        file.sync_all()?;
        Ok(Self { file, buffer: vec![b'x'; bytes], at: 0, wrap: Some(ZEROED_BYTES - bytes) })
    }

    /// To the end of a file that grows.
    pub(super) fn growing(path: &Path, bytes: usize) -> Result<Self, Failure> {
        Ok(Self { file: File::create(path)?, buffer: vec![b'x'; bytes], at: 0, wrap: None })
    }

    /// Writes per second.
    pub(super) fn rate(&mut self, count: usize) -> Result<f64, Failure> {
        if self.wrap.is_none() {
            self.at = 0;
            self.file.set_len(0)?;
            self.file.sync_all()?;
        }
        let started = Instant::now();
        for _ in 0..count {
            self.file.write_all_at(&self.buffer, self.at as u64)?;
            self.file.sync_data()?;
            self.at += self.buffer.len();
            if self.wrap.is_some_and(|it| self.at > it) {
                self.at = 0;
            }
        }
        Ok(count as f64 / started.elapsed().as_secs_f64())
    }
}

/// redb with its default durability: a commit waits for the disk.
pub(super) struct Redb(Database);

impl Redb {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        Ok(Self(Database::create(path)?))
    }

    /// Commits of `batch` records per second.
    pub(super) fn rate(
        &mut self,
        record: &[u8],
        batch: usize,
        count: usize,
    ) -> Result<f64, Failure> {
        let started = Instant::now();
        for _ in 0..count {
            let write = self.0.begin_write()?;
            {
                let mut table = write.open_table(TABLE)?;
                let next = table.len()?;
                for seq in next..next + batch as u64 {
                    table.insert(seq, record)?;
                }
            }
            write.commit()?;
        }
        Ok(count as f64 / started.elapsed().as_secs_f64())
    }
}

/// rusqlite in WAL mode with a commit that waits for the disk.
pub(super) struct Rusqlite(Connection);

impl Rusqlite {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let db = Connection::open(path)?;
        db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        db.execute_batch(
            "PRAGMA synchronous = FULL; CREATE TABLE entry (seq INTEGER PRIMARY KEY, record BLOB) STRICT;",
        )?;
        Ok(Self(db))
    }

    /// Commits of `batch` records per second.
    pub(super) fn rate(
        &mut self,
        record: &[u8],
        batch: usize,
        count: usize,
    ) -> Result<f64, Failure> {
        let started = Instant::now();
        for _ in 0..count {
            let commit = self.0.transaction()?;
            {
                let mut insert = commit.prepare_cached("INSERT INTO entry (record) VALUES (?1)")?;
                for _ in 0..batch {
                    insert.execute([record])?;
                }
            }
            commit.commit()?;
        }
        Ok(count as f64 / started.elapsed().as_secs_f64())
    }
}
