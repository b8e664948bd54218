//! The one writer: a task that owns the writing connection and lets concurrent appends share a commit.
//!
//! It takes whatever waits, chains it, and commits once; nobody waits for a commit to fill up. An
//! append is answered after the commit of all its records and never split over two.

use std::sync::Arc;

use alloy_primitives::B256;
use cofferdam_core::Timestamp;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{Mutex, mpsc};

use super::{
    error::{Failure, Told},
    lease::Lease,
    schema,
};
use crate::{
    chain::{self, Encoded, entry_hash},
    group::{Append, Placed, gather},
};

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
pub(super) async fn run(mut writer: Writer, mut appends: mpsc::Receiver<Append<Told>>) {
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

impl Writer {
    async fn serve(&mut self, waiting: Vec<Append<Told>>) {
        let (first, _) = chain::next_after(self.head);
        let (batch, placed) = self.chain(&waiting);
        let last = self.last_of(&placed);
        let result = self.commit(first, &batch, last).await;
        for (append, placed) in waiting.into_iter().zip(placed) {
            let answer = match &result {
                Ok(()) => Ok(placed),
                Err(failure) => Err(Told(failure.clone(), first)),
            };
            // An error means that the caller no longer waits; the entry stands all the same.
            let _ = append.reply.send(answer);
        }
    }

    /// Chains the records of `waiting` to the head.
    fn chain(&self, waiting: &[Append<Told>]) -> (Batch, Vec<Placed>) {
        let (mut seq, mut prev) = chain::next_after(self.head);
        let mut batch = Batch::default();
        batch.hashes.extend_from_slice(prev.as_slice());
        let mut all = Vec::with_capacity(waiting.len());
        for append in waiting {
            let mut placed = Placed { first: seq, hashes: vec![prev] };
            for record in &append.records {
                prev = entry_hash(seq, append.now, prev, &record.bytes);
                placed.hashes.push(prev);
                batch.push(append.now, record, prev);
                seq = seq.saturating_add(1);
            }
            all.push(placed);
        }
        (batch, all)
    }

    /// The last entry of a batch; `None` if it has none.
    fn last_of(&self, placed: &[Placed]) -> Option<(u64, B256)> {
        let count: usize = placed.iter().map(|it| it.hashes.len() - 1).sum();
        let hash = placed.last()?.hashes.last()?;
        let (next, _) = chain::next_after(self.head);
        Some((next.saturating_add(count as u64).checked_sub(1)?, *hash)).filter(|_| count > 0)
    }

    /// Commits `batch` as entries `first` and later, or nothing of it.
    async fn commit(
        &mut self,
        first: u64,
        batch: &Batch,
        last: Option<(u64, B256)>,
    ) -> Result<(), Failure> {
        let Some(last) = last else { return Ok(()) };
        if self.fenced {
            return Err(Failure::Fenced);
        }
        let connection = Arc::clone(&self.connection);
        let mut connection = connection.lock().await;
        let intended = Some(last);
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
    last: (u64, B256),
) -> Result<(), Failure> {
    let too_far = |_| Failure::Damaged("the sequence number is out of range".to_owned());
    let first = i64::try_from(first).map_err(too_far)?;
    let last_seq = i64::try_from(last.0).map_err(too_far)?;
    let rows = serde_json::to_string(&batch.rows)
        .map_err(|it| Failure::Damaged(format!("a commit cannot be written: {it}")))?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let owned = sqlx::query(
        "UPDATE head SET seq = ?1, hash = ?2 WHERE id = 0 AND epoch = ?3 AND ifnull(seq, -1) = ?4",
    )
    .bind(last_seq)
    .bind(last.1.as_slice())
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
