//! G11: durable appends against the bare disk, verification, and whether every tamper is found.
//!
//! All rivals write records of the same size, in batches of the same size, to the same disk, and wait for
//! it after each batch. They take turns in short slices; the best slice of each counts, because other
//! work on the machine only ever adds. What does not wait for the disk is given in CPU time as well.

mod kills;
mod rivals;
mod tampers;

use std::{path::Path, sync::Arc, time::Instant};

use alloy_primitives::B256;
use cofferdam_core::{Record, Timestamp, ports::Journal};
use cofferdam_record::{FileJournal, SqliteJournal, chain::entry_hash};
use tokio::runtime::Runtime;

pub(crate) use self::kills::child;
use crate::{
    Failure,
    cpu::{best_ns, process_ns},
    report::{Report, Row},
};

/// Rounds per figure.
const ROUNDS: usize = 5;
/// Slices per rival.
const SLICES: usize = 40;
/// Records per batch, and batches per slice.
const BATCHES: &[(usize, usize)] = &[(1, 20), (10, 20), (100, 10), (1_000, 5)];
/// Bytes of a record as stored, in the appending and in the verifying part.
const APPEND_BYTES: usize = 300;
const VERIFY_BYTES: usize = 200;
/// Records to verify.
const VERIFY_RECORDS: usize = 1_000_000;
/// Records to verify in SQLite, which takes longer.
const VERIFY_SQLITE_RECORDS: usize = 100_000;
/// Tasks that append one record at a time.
const TASKS: usize = 64;
/// Appends under way at a time in the rows that are judged: the second is made while the disk works.
const UNDER_WAY: usize = 2;
/// Bytes that our file adds to a commit and to each record in it.
const COMMIT_HEADER: usize = 56;
const ENTRY_HEADER: usize = 44;

pub(crate) const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// How much of it is run.
#[derive(Clone, Copy)]
struct Size {
    slices: usize,
    verify: usize,
}

/// Runs all of it, on less if `quick`.
pub(crate) fn run(quick: bool) -> Result<(), Failure> {
    let size = match quick {
        true => Size { slices: 4, verify: VERIFY_RECORDS / 10 },
        false => Size { slices: SLICES, verify: VERIFY_RECORDS },
    };
    let runtime = Runtime::new()?;
    let folder = tempfile::tempdir()?;
    let mut report = Report::new();
    report.note(format!("files in {}", folder.path().display()));
    profile(&mut report);
    appends(&runtime, folder.path(), size, &mut report)?;
    shared_commits(&runtime, folder.path(), &mut report)?;
    verification(&runtime, folder.path(), size, &mut report)?;
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

/// What an append costs besides the disk: the profile behind the figures of large batches.
fn profile(report: &mut Report) {
    let record = record(7, APPEND_BYTES);
    let bytes = serde_json::to_vec(&record).unwrap_or_default();
    let hash = || _ = std::hint::black_box(entry_hash(7, NOW, B256::ZERO, &bytes));
    let encode = best_ns(ROUNDS, 20, || drop(std::hint::black_box(serde_json::to_vec(&record))));
    let copy = best_ns(ROUNDS, 20, || drop(std::hint::black_box(record.clone())));
    let hash = best_ns(ROUNDS, 20, hash);
    report.note(format!(
        "CPU per record of {APPEND_BYTES} B: encode {encode:.0} ns, hash {hash:.0} ns, copy {copy:.0} ns"
    ));
}

/// One batch size: the rivals and the best of each, in commits per second.
struct Contest {
    ours: Arc<FileJournal>,
    sqlite: Arc<SqliteJournal>,
    rusqlite: rivals::Rusqlite,
    redb: rivals::Redb,
    zeroed: rivals::Raw,
    growing: rivals::Raw,
}

impl Contest {
    fn open(runtime: &Runtime, folder: &Path, batch: usize) -> Result<Self, Failure> {
        let bytes = COMMIT_HEADER + (ENTRY_HEADER + APPEND_BYTES) * batch;
        Ok(Self {
            ours: Arc::new(runtime.block_on(FileJournal::open(folder.join("ours")))?),
            sqlite: Arc::new(runtime.block_on(SqliteJournal::open(folder.join("sqlite")))?),
            rusqlite: rivals::Rusqlite::open(&folder.join("rusqlite"))?,
            redb: rivals::Redb::open(&folder.join("redb"))?,
            zeroed: rivals::Raw::zeroed(&folder.join("zeroed"), bytes)?,
            growing: rivals::Raw::growing(&folder.join("growing"), bytes)?,
        })
    }

    /// One slice of everybody: ours with appends under way and one after the other, raw into written
    /// blocks and at the end of a file, our SQLite, rusqlite, redb.
    fn slice(
        &mut self,
        runtime: &Runtime,
        records: &Arc<[Record]>,
        count: usize,
    ) -> Result<[f64; 7], Failure> {
        let (batch, record) = (records.len(), vec![b'x'; APPEND_BYTES]);
        let rate = |journal: Arc<dyn Journal>, under_way| {
            runtime.block_on(journal_rate(journal, Arc::clone(records), count, under_way))
        };
        Ok([
            rate(self.ours.clone(), UNDER_WAY)?,
            rate(self.ours.clone(), 1)?,
            self.zeroed.rate(count)?,
            self.growing.rate(count)?,
            rate(self.sqlite.clone(), UNDER_WAY)?,
            self.rusqlite.rate(&record, batch, count)?,
            self.redb.rate(&record, batch, count)?,
        ])
    }

    /// Closes the journals and checks that ours holds what was appended.
    fn close(self, runtime: &Runtime, appended: u64) -> Result<(), Failure> {
        let stored = runtime.block_on(self.ours.verify())?;
        if stored != appended {
            return Err(format!("{appended} records were appended, {stored} are stored").into());
        }
        Ok(())
    }
}

fn appends(
    runtime: &Runtime,
    folder: &Path,
    size: Size,
    report: &mut Report,
) -> Result<(), Failure> {
    for (batch, count) in BATCHES {
        let records: Arc<[Record]> =
            (0..*batch as u64).map(|it| record(it, APPEND_BYTES)).collect();
        let folder = tempfile::tempdir_in(folder)?;
        let mut contest = Contest::open(runtime, folder.path(), *batch)?;
        let mut best = [0f64; 7];
        for slice in 0..=size.slices {
            let rates = contest.slice(runtime, &records, *count)?;
            // The first slice warms up.
            for (best, rate) in best.iter_mut().zip(rates).filter(|_| slice > 0) {
                *best = best.max(rate * *batch as f64);
            }
        }
        contest.close(runtime, (size.slices as u64 + 1) * 2 * (*count * *batch) as u64)?;
        let [ours, alone, zeroed, growing, sqlite, rusqlite, redb] = best;
        let figure = format!("durable append, {batch} a commit");
        let row = || Row::rate(figure.as_str(), "records/s", ours);
        let raw = "write+fdatasync";
        report.row(row().beside(format!("{raw}, preallocated"), zeroed).at_least(0.9));
        report.row(row().beside(format!("{raw}, growing"), growing));
        report.row(row().beside("SQLite journal", sqlite).at_least(1.5));
        report.row(row().beside("rusqlite, no chain", rusqlite));
        report.row(row().beside("redb, no chain", redb));
        let alone = Row::rate(format!("{figure}, one after the other"), "records/s", alone);
        report.row(alone.beside(format!("{raw}, preallocated"), zeroed));
    }
    report.note(format!(
        "appends: {UNDER_WAY} under way at a time unless one after the other is said; raw writes the same \
         bytes per sync as our file does"
    ));
    Ok(())
}

/// Batches per second with `under_way` appends at a time.
async fn journal_rate(
    journal: Arc<dyn Journal>,
    records: Arc<[Record]>,
    count: usize,
    under_way: usize,
) -> Result<f64, Failure> {
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..under_way {
        let (journal, records) = (Arc::clone(&journal), Arc::clone(&records));
        tasks.spawn(async move {
            for _ in (task..count).step_by(under_way) {
                journal.append(NOW, &records).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

/// Many tasks that append one record each: how well commits are shared.
fn shared_commits(runtime: &Runtime, folder: &Path, report: &mut Report) -> Result<(), Failure> {
    let ours = Arc::new(runtime.block_on(FileJournal::open(folder.join("many")))?);
    let sqlite = runtime.block_on(SqliteJournal::open(folder.join("many.sqlite")))?;
    let sqlite = Arc::new(sqlite);
    let (mut best, mut best_sqlite) = (0f64, 0f64);
    for _ in 0..ROUNDS {
        best = best.max(runtime.block_on(tasks_rate(ours.clone()))?);
        best_sqlite = best_sqlite.max(runtime.block_on(tasks_rate(sqlite.clone()))?);
    }
    let figure = format!("durable append, {TASKS} tasks, 1 record each");
    report.row(Row::rate(figure, "records/s", best).beside("SQLite journal", best_sqlite));
    Ok(())
}

async fn tasks_rate(journal: Arc<dyn Journal>) -> Result<f64, Failure> {
    const EACH: usize = 200;
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let journal = Arc::clone(&journal);
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

fn verification(
    runtime: &Runtime,
    folder: &Path,
    size: Size,
    report: &mut Report,
) -> Result<(), Failure> {
    let ours = runtime.block_on(FileJournal::open(folder.join("verify")))?;
    runtime.block_on(fill(&ours, size.verify))?;
    let sqlite = runtime.block_on(SqliteJournal::open(folder.join("verify.sqlite")))?;
    runtime.block_on(fill(&sqlite, VERIFY_SQLITE_RECORDS))?;
    let mut best = [(0f64, 0f64); 3];
    for _ in 0..ROUNDS {
        let rates = [
            runtime.block_on(rate_of(ours.verify()))?,
            runtime.block_on(rate_of(ours.verify_records()))?,
            runtime.block_on(rate_of(sqlite.verify()))?,
        ];
        for (best, rate) in best.iter_mut().zip(rates) {
            *best = (best.0.max(rate.0), best.1.max(rate.1));
        }
    }
    let [ours, deep, sqlite] = best;
    let record = vec![b'x'; VERIFY_BYTES];
    let hash = || _ = std::hint::black_box(entry_hash(7, NOW, B256::ZERO, &record));
    let hash = 1e9 / best_ns(ROUNDS, 50, hash);
    let wall = Row::rate("verify, records of 200 B", "records/s", ours.0);
    report.row(wall.beside("the bar, 4 M/s", 4e6).at_least(1.0));
    let cpu = || Row::rate("verify, per second of CPU", "records/s", ours.1);
    report.row(cpu().beside("SHA-256 alone", hash));
    report.row(cpu().beside("SQLite journal", sqlite.1));
    let deep = Row::rate("verify and read records, per second of CPU", "records/s", deep.1);
    report.row(deep.beside("SQLite journal", sqlite.1));
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

/// Entries per second of wall clock, and of CPU time of all threads.
async fn rate_of<E: Into<Failure>>(
    verify: impl Future<Output = Result<u64, E>>,
) -> Result<(f64, f64), Failure> {
    let (started, cpu) = (Instant::now(), process_ns());
    let count = verify.await.map_err(Into::into)? as f64;
    let cpu = process_ns().saturating_sub(cpu) as f64 / 1e9;
    Ok((count / started.elapsed().as_secs_f64(), count / cpu))
}
