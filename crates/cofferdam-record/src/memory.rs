//! A journal in memory, for simulation and tests. Same chain, same checks; nothing is durable, no
//! thread is started, every future is ready at once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy_primitives::B256;
use cofferdam_core::{
    Record, Timestamp,
    ports::{Boxed, Journal, JournalError},
    record::Entry,
};

use crate::chain::{self, ChainCheck, RawEntry};

/// A journal in memory.
#[derive(Debug, Default)]
pub struct MemoryJournal(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    entries: Vec<RawEntry>,
    last_snapshot: Option<u64>,
    full: bool,
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes every append fail as a full disk does, until told otherwise. Reads go on.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// Changes a stored entry, as an intruder would. For tests of those who verify.
    #[doc(hidden)]
    pub fn tamper(&self, change: impl FnOnce(&mut Vec<RawEntry>)) {
        change(&mut self.lock().entries);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every section below leaves the state whole, so a poisoned lock guards a sound state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn head(&self) -> Option<(u64, B256)> {
        self.entries.last().map(|it| (it.seq, it.hash))
    }

    fn append(&mut self, now: Timestamp, records: &[Record]) -> Result<Vec<Entry>, JournalError> {
        if self.full {
            return Err(JournalError::Unavailable("the journal is set to be full".into()));
        }
        let mut stored = Vec::with_capacity(records.len());
        for (record, encoded) in records.iter().zip(chain::encode(records)?) {
            let (seq, prev) = chain::next_after(self.head());
            let raw = RawEntry::new(seq, now, prev, encoded.bytes);
            if encoded.snapshot {
                self.last_snapshot = Some(seq);
            }
            self.entries.push(raw.clone());
            stored.push(raw.with(record.clone()));
        }
        Ok(stored)
    }

    fn read(&self, from_seq: u64, limit: usize) -> Result<Vec<Entry>, JournalError> {
        let from = usize::try_from(from_seq).unwrap_or(usize::MAX);
        let mut check = ChainCheck::from_seq(from_seq);
        let run = self.entries.iter().skip(from).take(limit);
        run.map(|raw| check.check(raw).map(|record| raw.clone().with(record))).collect()
    }
}

impl Journal for MemoryJournal {
    fn append<'a>(
        &'a self,
        now: Timestamp,
        records: &'a [Record],
    ) -> Boxed<'a, Result<Vec<Entry>, JournalError>> {
        Box::pin(async move { self.lock().append(now, records) })
    }

    fn read(&self, from_seq: u64, limit: usize) -> Boxed<'_, Result<Vec<Entry>, JournalError>> {
        Box::pin(async move { self.lock().read(from_seq, limit) })
    }

    fn head(&self) -> Boxed<'_, Result<Option<(u64, B256)>, JournalError>> {
        Box::pin(async move { Ok(self.lock().head()) })
    }

    fn last_snapshot(&self) -> Boxed<'_, Result<Option<u64>, JournalError>> {
        Box::pin(async move { Ok(self.lock().last_snapshot) })
    }

    fn verify(&self) -> Boxed<'_, Result<u64, JournalError>> {
        Box::pin(async move {
            let state = self.lock();
            let mut check = ChainCheck::from_seq(0);
            for raw in &state.entries {
                check.check(raw)?;
            }
            Ok(state.entries.len() as u64)
        })
    }
}
