//! The one writer: a task that owns the writing connection and lets concurrent appends share a commit.
//!
//! It takes whatever waits, chains it, and commits once; nobody waits for a commit to fill up. An
//! append is answered after the commit of all its records and never split over two.

use std::sync::Arc;

use alloy_primitives::B256;
use cofferdam_core::Timestamp;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{
    error::Failure,
    lease::Lease,
    limits::{COMMIT_BYTES_MAX, COMMIT_RECORDS_MAX},
    schema,
};
use crate::chain::{self, Encoded, entry_hash};

/// Where an appended record was put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) seq: u64,
    pub(super) prev: B256,
    pub(super) hash: B256,
}

/// Some records to append, in order.
pub(super) struct Append {
    pub(super) now: Timestamp,
    pub(super) records: Vec<Encoded>,
    pub(super) reply: oneshot::Sender<Result<Vec<Placed>, (Failure, u64)>>,
}

/// The writing connection and what is known about the chain's end.
pub(super) struct Writer {
    pub(super) connection: Arc<Mutex<SqliteConnection>>,
    pub(super) epoch: i64,
    pub(super) head: Option<(u64, B256)>,
    pub(super) fenced: bool,
    /// Released when the writer ends; a journal in memory needs none.
    pub(super) lease: Option<Lease>,
}

/// One commit in the making: the arguments of the bulk statement.
#[derive(Default)]
struct Batch {
    /// `[at, start, length, snapshot]` per record; `start` counts from 1, as SQL does.
    rows: Vec<(i64, usize, usize, u8)>,
    /// `prev` of the first, then every hash: `prev` of row *k* is the hash before it.
    hashes: Vec<u8>,
    /// All records, end to end.
    records: Vec<u8>,
}

/// Serves appends until the last sender is gone.
pub(super) async fn run(mut writer: Writer, mut appends: mpsc::Receiver<Append>) {
    let mut held_over = None;
    loop {
        let first = match held_over.take() {
            Some(append) => append,
            None => match appends.recv().await {
                Some(append) => append,
                None => break,
            },
        };
        let mut waiting = vec![first];
        held_over = gather(&mut waiting, &mut appends);
        writer.serve(waiting).await;
    }
    // Closed before the lease is released: the next owner finds everything in the main file.
    if let Some(connection) = Arc::into_inner(writer.connection)
        && let Err(error) = connection.into_inner().close().await
    {
        tracing::warn!(%error, "journal connection was not closed cleanly");
    }
    drop(writer.lease);
}

/// Adds what waits already, up to the limits of one commit. Returns the append that did not fit.
fn gather(waiting: &mut Vec<Append>, appends: &mut mpsc::Receiver<Append>) -> Option<Append> {
    let size = |it: &Append| it.records.iter().map(|it| it.bytes.len()).sum::<usize>();
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

impl Writer {
    async fn serve(&mut self, waiting: Vec<Append>) {
        let (first, _) = chain::next_after(self.head);
        let (batch, placed) = self.chain(&waiting);
        let result = self.commit(first, &batch, placed.last().and_then(|it| it.last())).await;
        for (append, placed) in waiting.into_iter().zip(placed) {
            let answer = match &result {
                Ok(()) => Ok(placed),
                Err(failure) => Err((failure.clone(), first)),
            };
            // An error means that the caller no longer waits; the entry stands all the same.
            let _ = append.reply.send(answer);
        }
    }

    /// Chains the records of `waiting` to the head.
    fn chain(&self, waiting: &[Append]) -> (Batch, Vec<Vec<Placed>>) {
        let (mut seq, mut prev) = chain::next_after(self.head);
        let mut batch = Batch::default();
        batch.hashes.extend_from_slice(prev.as_slice());
        let mut all = Vec::with_capacity(waiting.len());
        for append in waiting {
            let mut placed = Vec::with_capacity(append.records.len());
            for record in &append.records {
                let hash = entry_hash(seq, append.now, prev, &record.bytes);
                placed.push(Placed { seq, prev, hash });
                batch.push(append.now, record, hash);
                (seq, prev) = (seq.saturating_add(1), hash);
            }
            all.push(placed);
        }
        (batch, all)
    }

    /// Commits `batch` as entries `first` and later, or nothing of it.
    async fn commit(
        &mut self,
        first: u64,
        batch: &Batch,
        last: Option<&Placed>,
    ) -> Result<(), Failure> {
        let Some(last) = last else { return Ok(()) };
        if self.fenced {
            return Err(Failure::Fenced);
        }
        let connection = Arc::clone(&self.connection);
        let mut connection = connection.lock().await;
        let intended = Some((last.seq, last.hash));
        let result = write(&mut connection, self.epoch, first, batch, last).await;
        match result {
            Ok(()) => {
                self.head = intended;
                Ok(())
            }
            Err(Failure::Fenced) => {
                self.fenced = true;
                Err(Failure::Fenced)
            }
            Err(failure) => {
                tracing::error!(?failure, first, "journal commit failed");
                self.recover(&mut connection, intended, failure).await
            }
        }
    }

    /// After a failed commit, asks the database what stands: a commit that reports an error after it
    /// was published has happened.
    async fn recover(
        &mut self,
        connection: &mut SqliteConnection,
        intended: Option<(u64, B256)>,
        failure: Failure,
    ) -> Result<(), Failure> {
        match schema::head(connection).await {
            Ok(head) if head.epoch == self.epoch => {
                self.head = head.last;
                if self.head == intended { Ok(()) } else { Err(failure) }
            }
            Ok(_) => {
                self.fenced = true;
                Err(Failure::Fenced)
            }
            // The head cannot be read either. The next commit checks it by its own statement.
            Err(_) => Err(failure),
        }
    }
}

/// One transaction: all rows by one statement, then the head, if we still own it and it is where we
/// think it is.
async fn write(
    connection: &mut SqliteConnection,
    epoch: i64,
    first: u64,
    batch: &Batch,
    last: &Placed,
) -> Result<(), Failure> {
    let too_far = |_| Failure::Damaged("the sequence number is out of range".to_owned());
    let first = i64::try_from(first).map_err(too_far)?;
    let last_seq = i64::try_from(last.seq).map_err(too_far)?;
    let rows = serde_json::to_string(&batch.rows)
        .map_err(|it| Failure::Damaged(format!("a commit cannot be written: {it}")))?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let owned = sqlx::query(
        "UPDATE head SET seq = ?1, hash = ?2 WHERE id = 0 AND epoch = ?3 AND ifnull(seq, -1) = ?4",
    )
    .bind(last_seq)
    .bind(last.hash.as_slice())
    .bind(epoch)
    .bind(first - 1)
    .execute(&mut *transaction)
    .await?;
    if owned.rows_affected() != 1 {
        return Err(not_ours(&mut transaction, epoch).await);
    }
    sqlx::query(
        "INSERT INTO entry (seq, at, prev, hash, snapshot, record)
         SELECT ?1 + key, value ->> 0, substr(?3, 1 + 32 * key, 32), substr(?3, 33 + 32 * key, 32),
                value ->> 3, CAST(substr(?4, value ->> 1, value ->> 2) AS TEXT)
         FROM json_each(?2)",
    )
    .bind(first)
    .bind(rows)
    .bind(batch.hashes.as_slice())
    .bind(batch.records.as_slice())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Why the head could not be moved.
async fn not_ours(connection: &mut SqliteConnection, epoch: i64) -> Failure {
    match schema::head(connection).await {
        Ok(head) if head.epoch == epoch => {
            Failure::Damaged("the head of the journal was moved by somebody else".to_owned())
        }
        Ok(_) => Failure::Fenced,
        Err(error) => Failure::Damaged(error.to_string()),
    }
}

impl Batch {
    fn push(&mut self, now: Timestamp, record: &Encoded, hash: B256) {
        let start = self.records.len() + 1;
        self.rows.push((now.0.cast_signed(), start, record.bytes.len(), record.snapshot.into()));
        self.records.extend_from_slice(&record.bytes);
        self.hashes.extend_from_slice(hash.as_slice());
    }
}
