//! What the journal is measured against.

use std::{fs::File, io::Write, os::unix::fs::FileExt, path::Path, time::Instant};

use alloy_primitives::B256;
use cofferdam_record::chain::entry_hash;
use redb::{Database, ReadableTableMetadata, TableDefinition};

use super::NOW;
use crate::Failure;

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entry");

/// Writes of `bytes`, each followed by `fdatasync`, per second: the floor of anything durable.
/// `zeroed`: into blocks that were written before, as a log that preallocates does.
pub(super) fn raw(path: &Path, bytes: usize, count: usize, zeroed: bool) -> Result<f64, Failure> {
    let mut file = File::create(path)?;
    if zeroed {
        let zeroes = vec![0u8; 1 << 20];
        for _ in 0..=(bytes * count) >> 20 {
            file.write_all(&zeroes)?;
        }
        file.sync_all()?;
    }
    let buffer = vec![b'x'; bytes];
    let started = Instant::now();
    for number in 0..count {
        file.write_all_at(&buffer, (number * bytes) as u64)?;
        file.sync_data()?;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
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

/// Entry hashes per second on one CPU, from memory: the floor of verification.
pub(super) fn sha256(bytes: usize) -> f64 {
    const COUNT: u64 = 200_000;
    let record = vec![b'x'; bytes];
    let started = Instant::now();
    let mut prev = B256::ZERO;
    for seq in 0..COUNT {
        prev = entry_hash(seq, NOW, prev, &record);
    }
    std::hint::black_box(prev);
    COUNT as f64 / started.elapsed().as_secs_f64()
}
