//! Group commit: appends that wait share one commit. No I/O here; each journal's writer does its own.

use alloy_primitives::B256;
use cofferdam_core::{Record, Timestamp, ports::JournalError, record::Entry};
use tokio::sync::{mpsc, oneshot};

use crate::{
    chain::{self, Encoded, unavailable},
    limits::{APPEND_BYTES_MAX, COMMIT_BYTES_MAX, COMMIT_RECORDS_MAX},
};

/// Some records to append, in order. `F` is how the writer fails.
pub(crate) struct Append<F> {
    pub(crate) now: Timestamp,
    pub(crate) records: Vec<Encoded>,
    pub(crate) reply: oneshot::Sender<Result<Placed, F>>,
}

/// Where appended records were put.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// Sequence number of the first.
    pub(crate) first: u64,
    /// `prev` of the first, then the hash of each.
    pub(crate) hashes: Vec<B256>,
}

/// Hands `records` to a writer and waits until they are durable.
pub(crate) async fn append<F: Into<JournalError>>(
    appends: Option<&mpsc::Sender<Append<F>>>,
    now: Timestamp,
    records: &[Record],
) -> Result<Vec<Entry>, JournalError> {
    let gone = || unavailable("the journal's writer has ended".into());
    let appends =
        appends.ok_or_else(|| unavailable("the journal was opened for reading only".into()))?;
    let encoded = chain::encode(records)?;
    let bytes: usize = encoded.iter().map(|it| it.bytes.len()).sum();
    if bytes > APPEND_BYTES_MAX {
        let what = format!("an append of {bytes} bytes exceeds {APPEND_BYTES_MAX}");
        return Err(unavailable(what.into()));
    }
    let (reply, answer) = oneshot::channel();
    appends.send(Append { now, records: encoded, reply }).await.map_err(|_| gone())?;
    // Copied while the disk works.
    let records = records.to_vec();
    let placed = answer.await.map_err(|_| gone())?.map_err(Into::into)?;
    Ok(placed.entries(now, records))
}

/// Adds what waits already, up to the limits of one commit. Returns the append that did not fit.
pub(crate) fn gather<F>(
    waiting: &mut Vec<Append<F>>,
    appends: &mut mpsc::Receiver<Append<F>>,
) -> Option<Append<F>> {
    let size = |it: &Append<F>| it.records.iter().map(|it| it.bytes.len()).sum::<usize>();
    let mut records: usize = waiting.iter().map(|it| it.records.len()).sum();
    let mut bytes: usize = waiting.iter().map(size).sum();
    while let Ok(append) = appends.try_recv() {
        records = records.saturating_add(append.records.len());
        bytes = bytes.saturating_add(size(&append));
        if records > COMMIT_RECORDS_MAX || bytes > COMMIT_BYTES_MAX {
            return Some(append);
        }
        waiting.push(append);
    }
    None
}

impl Placed {
    /// The entries themselves; `records` are those that were appended.
    pub(crate) fn entries(self, at: Timestamp, records: Vec<Record>) -> Vec<Entry> {
        let links = self.hashes.iter().zip(self.hashes.iter().skip(1));
        let placed = (self.first..).zip(links).zip(records);
        placed
            .map(|((seq, (prev, hash)), record)| Entry {
                seq,
                at,
                prev: *prev,
                hash: *hash,
                record,
            })
            .collect()
    }
}
