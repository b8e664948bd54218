//! G11: durable appends against the bare disk, verification, and whether every tamper is found.
//!
//! All rivals write records of the same size, in batches of the same size, to the same disk, and wait for
//! it after each batch. Rounds alternate; the best round of each counts, because load only ever adds.

mod kills;
mod rivals;
mod tampers;

use std::{path::Path, time::Instant};

use cofferdam_core::{Record, Timestamp, ports::Journal};
use cofferdam_record::{FileJournal, SqliteJournal};
use tokio::runtime::Runtime;

pub(crate) use self::kills::child;
use crate::{
    Failure,
    report::{Report, Row},
};

/// Rounds per figure.
const ROUNDS: usize = 5;
/// Records per batch, and batches per round.
const BATCHES: &[(usize, usize)] = &[(1, 400), (10, 300), (100, 200), (1_000, 60)];
/// Bytes of a record as stored, in the appending and in the verifying part.
const APPEND_BYTES: usize = 300;
const VERIFY_BYTES: usize = 200;
/// Records to verify.
const VERIFY_RECORDS: usize = 1_000_000;
/// Records to verify in SQLite, which takes longer.
const VERIFY_SQLITE_RECORDS: usize = 100_000;
/// Tasks that append one record at a time.
const TASKS: usize = 64;

pub(crate) const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// Runs all of it.
pub(crate) fn run() -> Result<(), Failure> {
    let runtime = Runtime::new()?;
    let folder = tempfile::tempdir()?;
    let mut report = Report::new();
    report.note(format!("files in {}", folder.path().display()));
    appends(&runtime, folder.path(), &mut report)?;
    shared_commits(&runtime, folder.path(), &mut report)?;
    verification(&runtime, folder.path(), &mut report)?;
    tampers::run(&runtime, folder.path(), &mut report)?;
    kills::run(&runtime, folder.path(), &mut report)?;
    report.print()
}

/// A record that takes `bytes` as JSON.
pub(crate) fn record(number: u64, bytes: usize) -> Record {
    let empty = serde_json::to_vec(&alert(String::new())).map_or(0, |it| it.len());
    let mut text = format!("alert {number:012} ");
    while text.len() + empty < bytes {
        text.push('x');
    }
    alert(text)
}

fn alert(text: String) -> Record {
    Record::Alerted { incident: None, text }
}

fn appends(runtime: &Runtime, folder: &Path, report: &mut Report) -> Result<(), Failure> {
    for (batch, count) in BATCHES {
        let records: Vec<Record> = (0..*batch as u64).map(|it| record(it, APPEND_BYTES)).collect();
        let ours = runtime.block_on(FileJournal::open(folder.join("ours")))?;
        let sqlite = runtime.block_on(SqliteJournal::open(folder.join("sqlite")))?;
        let mut redb = rivals::Redb::open(&folder.join("redb"))?;
        let mut best = [0f64; 5];
        for round in 0..=ROUNDS {
            let rates = [
                runtime.block_on(journal_rate(&ours, &records, *count))?,
                rivals::raw(&folder.join("raw"), APPEND_BYTES * batch, *count, true)?,
                rivals::raw(&folder.join("raw"), APPEND_BYTES * batch, *count, false)?,
                runtime.block_on(journal_rate(&sqlite, &records, *count))?,
                redb.rate(&vec![b'x'; APPEND_BYTES], *batch, *count)?,
            ];
            // The first round warms up.
            for (best, rate) in best.iter_mut().zip(rates).filter(|_| round > 0) {
                *best = best.max(rate * *batch as f64);
            }
        }
        runtime.block_on(ours.close());
        runtime.block_on(sqlite.close());
        let [ours, zeroed, growing, sqlite, redb] = best;
        let row = || Row::rate(format!("durable append, {batch} a commit"), "records/s", ours);
        let raw = "write+fdatasync";
        report.row(row().beside(format!("{raw}, preallocated"), zeroed).at_least(0.9));
        report.row(row().beside(format!("{raw}, growing"), growing));
        report.row(row().beside("SQLite journal", sqlite).at_least(1.5));
        report.row(row().beside("redb, no chain", redb));
        for name in ["ours", "sqlite", "sqlite-wal", "sqlite-shm", "redb", "raw"] {
            let path = folder.join(name);
            let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        }
    }
    Ok(())
}

/// Batches per second.
async fn journal_rate(
    journal: &dyn Journal,
    records: &[Record],
    count: usize,
) -> Result<f64, Failure> {
    let started = Instant::now();
    for _ in 0..count {
        journal.append(NOW, records).await?;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

/// Many tasks that append one record each: how well commits are shared.
fn shared_commits(runtime: &Runtime, folder: &Path, report: &mut Report) -> Result<(), Failure> {
    let ours = std::sync::Arc::new(runtime.block_on(FileJournal::open(folder.join("many")))?);
    let sqlite = runtime.block_on(SqliteJournal::open(folder.join("many.sqlite")))?;
    let sqlite = std::sync::Arc::new(sqlite);
    let (mut best, mut best_sqlite) = (0f64, 0f64);
    for _ in 0..ROUNDS {
        best = best.max(runtime.block_on(tasks_rate(ours.clone()))?);
        best_sqlite = best_sqlite.max(runtime.block_on(tasks_rate(sqlite.clone()))?);
    }
    let figure = format!("durable append, {TASKS} tasks, 1 record each");
    report.row(Row::rate(figure, "records/s", best).beside("SQLite journal", best_sqlite));
    Ok(())
}

async fn tasks_rate(journal: std::sync::Arc<dyn Journal>) -> Result<f64, Failure> {
    const EACH: usize = 200;
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let journal = std::sync::Arc::clone(&journal);
        tasks.spawn(async move {
            let record = [record(task as u64, APPEND_BYTES)];
            for _ in 0..EACH {
                journal.append(NOW, &record).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok((TASKS * EACH) as f64 / started.elapsed().as_secs_f64())
}

fn verification(runtime: &Runtime, folder: &Path, report: &mut Report) -> Result<(), Failure> {
    let ours = runtime.block_on(FileJournal::open(folder.join("verify")))?;
    runtime.block_on(fill(&ours, VERIFY_RECORDS))?;
    let sqlite = runtime.block_on(SqliteJournal::open(folder.join("verify.sqlite")))?;
    runtime.block_on(fill(&sqlite, VERIFY_SQLITE_RECORDS))?;
    let mut best = [0f64; 4];
    for _ in 0..ROUNDS {
        let rates = [
            runtime.block_on(rate_of(ours.verify()))?,
            runtime.block_on(rate_of(ours.verify_records()))?,
            runtime.block_on(rate_of(sqlite.verify()))?,
            rivals::sha256(VERIFY_BYTES),
        ];
        for (best, rate) in best.iter_mut().zip(rates) {
            *best = best.max(rate);
        }
    }
    let [ours, deep, sqlite, hash] = best;
    let row = |rate| Row::rate("verify, records of 200 B", "records/s", rate);
    report.row(row(ours).beside("the bar, 4 M/s", 4e6).at_least(1.0));
    report.row(row(ours).beside("SHA-256 alone, one CPU", hash));
    report.row(row(ours).beside("SQLite journal", sqlite));
    let row = Row::rate("verify and read every record", "records/s", deep);
    report.row(row.beside("SQLite journal", sqlite));
    Ok(())
}

/// Appends `count` records, a thousand a commit.
pub(crate) async fn fill(journal: &dyn Journal, count: usize) -> Result<(), Failure> {
    let mut numbers = 0..count as u64;
    loop {
        let records: Vec<Record> =
            numbers.by_ref().take(1_000).map(|it| record(it, VERIFY_BYTES)).collect();
        if records.is_empty() {
            return Ok(());
        }
        journal.append(NOW, &records).await?;
    }
}

/// Entries per second.
async fn rate_of<E: Into<Failure>>(
    verify: impl Future<Output = Result<u64, E>>,
) -> Result<f64, Failure> {
    let started = Instant::now();
    let count = verify.await.map_err(Into::into)?;
    Ok(count as f64 / started.elapsed().as_secs_f64())
}
