//! The one writer: a task that owns the writing connection and lets concurrent appends share a commit.
//!
//! A commit is one statement, hence one transaction and one trip to the server: it moves the head, if we
//! still own it and it is where we think it is, and inserts the rows only if it did.

use alloy_primitives::B256;
use sqlx::{Connection, PgConnection, Row as _, postgres::PgConnectOptions};
use tokio::sync::mpsc;

use super::{
    error::{Failure, Told},
    schema::{self, Head},
};
use crate::{
    chain::{self, entry_hash},
    group::{Append, Placed, gather},
    rows::Last,
};

/// The writing connection and what is known about the chain's end.
pub(super) struct Writer {
    pub(super) options: PgConnectOptions,
    /// `None` while it is lost.
    pub(super) connection: Option<PgConnection>,
    pub(super) epoch: i64,
    pub(super) head: Last,
    pub(super) fenced: bool,
}

/// One commit in the making, column by column.
#[derive(Default)]
struct Batch<'a> {
    at: Vec<i64>,
    prev: Vec<&'a [u8]>,
    hash: Vec<&'a [u8]>,
    snapshot: Vec<bool>,
    record: Vec<&'a [u8]>,
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
    if let Some(connection) = writer.connection
        && let Err(error) = connection.close().await
    {
        tracing::warn!(%error, "journal connection was not closed cleanly");
    }
}

impl Writer {
    async fn serve(&mut self, waiting: Vec<Append<Told>>) {
        let connected = self.connect().await;
        let (first, _) = chain::next_after(self.head);
        let placed = self.chain(&waiting);
        let result = match connected {
            Ok(()) => self.commit(first, &waiting, &placed).await,
            Err(failure) => Err(failure),
        };
        for (append, placed) in waiting.into_iter().zip(placed) {
            let answer = match &result {
                Ok(()) => Ok(placed),
                Err(failure) => Err(Told(failure.clone(), first)),
            };
            // An error means that the caller no longer waits; the entry stands all the same.
            let _ = append.reply.send(answer);
        }
    }

    /// Connects again if the connection was lost; what stands by then is the truth.
    async fn connect(&mut self) -> Result<(), Failure> {
        if self.fenced {
            return Err(Failure::Fenced);
        }
        if self.connection.is_some() {
            return Ok(());
        }
        let mut connection = schema::writing(&self.options).await?;
        let locked = schema::lock(&mut connection, self.epoch).await?;
        let head = schema::head(&mut connection).await;
        let head = head.map_err(|it| Failure::Damaged(it.to_string()))?;
        if !self.adopt(head) {
            return Err(Failure::Fenced);
        }
        if !locked {
            // The server has not noticed yet that the old connection is gone.
            return Err(Failure::Unavailable(std::sync::Arc::new(sqlx::Error::Protocol(
                "the lock is still held by the connection that was lost".to_owned(),
            ))));
        }
        self.connection = Some(connection);
        Ok(())
    }

    /// Takes the head as it stands; false if another owner moved the epoch on.
    fn adopt(&mut self, head: Head) -> bool {
        self.fenced = head.epoch != self.epoch;
        if !self.fenced {
            self.head = head.last;
        }
        !self.fenced
    }

    /// Chains the records of `waiting` to the head.
    fn chain(&self, waiting: &[Append<Told>]) -> Vec<Placed> {
        let (mut seq, mut prev) = chain::next_after(self.head);
        let mut all = Vec::with_capacity(waiting.len());
        for append in waiting {
            let mut placed = Placed { first: seq, hashes: vec![prev] };
            for record in &append.records {
                prev = entry_hash(seq, append.now, prev, &record.bytes);
                placed.hashes.push(prev);
                seq = seq.saturating_add(1);
            }
            all.push(placed);
        }
        all
    }

    /// Commits `waiting` as entries `first` and later, or nothing of it.
    async fn commit(
        &mut self,
        first: u64,
        waiting: &[Append<Told>],
        placed: &[Placed],
    ) -> Result<(), Failure> {
        let batch = Batch::new(waiting, placed);
        let last = batch.hash.last().and_then(|it| B256::try_from(*it).ok());
        let Some(hash) = last else { return Ok(()) };
        let intended = Some((first.saturating_add(batch.at.len() as u64 - 1), hash));
        let Some(connection) = &mut self.connection else { return Err(Failure::Fenced) };
        match write(connection, self.epoch, first, &batch, hash).await {
            Ok(true) => {
                self.head = intended;
                Ok(())
            }
            Ok(false) => self.recover(None, Failure::Fenced).await,
            Err(failure) => {
                tracing::error!(?failure, first, "journal commit failed");
                self.recover(intended, failure).await
            }
        }
    }

    /// After a failed commit, asks the server what stands: a commit whose answer was lost has happened.
    async fn recover(&mut self, intended: Last, failure: Failure) -> Result<(), Failure> {
        self.connection = None;
        let before = self.head;
        match self.connect().await {
            Err(Failure::Fenced) => Err(Failure::Fenced),
            Ok(()) if intended.is_some() && self.head == intended => Ok(()),
            Ok(()) if intended.is_none() && self.head != before => {
                Err(Failure::Damaged("the head of the journal was moved by somebody else".into()))
            }
            _ => Err(failure),
        }
    }
}

/// One statement: the head, if it is ours and where we think it is, and all rows. False if it was not.
async fn write(
    connection: &mut PgConnection,
    epoch: i64,
    first: u64,
    batch: &Batch<'_>,
    last: B256,
) -> Result<bool, Failure> {
    let too_far = |_| Failure::Damaged("the sequence number is out of range".to_owned());
    let first = i64::try_from(first).map_err(too_far)?;
    let last_seq = first.saturating_add(batch.at.len() as i64 - 1);
    let row = sqlx::query(
        "WITH moved AS (
             UPDATE head SET seq = $1, hash = $2
             WHERE id = 0 AND epoch = $3 AND coalesce(seq, -1) = $4 - 1 RETURNING 1
         ), rows AS (
             INSERT INTO entry (seq, at, prev, hash, snapshot, record)
             SELECT $4 + it.number - 1, it.at, it.prev, it.hash, it.snapshot, it.record
             FROM unnest($5::bigint[], $6::bytea[], $7::bytea[], $8::boolean[], $9::bytea[])
                  WITH ORDINALITY AS it (at, prev, hash, snapshot, record, number)
             WHERE EXISTS (SELECT 1 FROM moved)
         ) SELECT count(*) FROM moved",
    )
    .bind(last_seq)
    .bind(last.as_slice())
    .bind(epoch)
    .bind(first)
    .bind(&batch.at)
    .bind(&batch.prev)
    .bind(&batch.hash)
    .bind(&batch.snapshot)
    .bind(&batch.record)
    .fetch_one(connection)
    .await?;
    Ok(row.try_get::<i64, _>(0)? == 1)
}

impl<'a> Batch<'a> {
    fn new(waiting: &'a [Append<Told>], placed: &'a [Placed]) -> Self {
        let mut batch = Self::default();
        for (append, placed) in waiting.iter().zip(placed) {
            let links = placed.hashes.iter().zip(placed.hashes.iter().skip(1));
            for (record, (prev, hash)) in append.records.iter().zip(links) {
                batch.at.push(append.now.0.cast_signed());
                batch.prev.push(prev.as_slice());
                batch.hash.push(hash.as_slice());
                batch.snapshot.push(record.snapshot);
                batch.record.push(&record.bytes);
            }
        }
        batch
    }
}
