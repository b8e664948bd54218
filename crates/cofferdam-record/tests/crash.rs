//! `kill -9` at any moment loses nothing acknowledged. The test binary starts itself as a child that
//! appends in a loop and prints what was acknowledged; the parent kills it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use cofferdam_core::ports::Journal;
use cofferdam_record::{FileJournal, SqliteJournal, conformance::samples};
use common::NOW;

/// Tells the child which journal to write to.
const PATH: &str = "COFFERDAM_TEST_CRASH_JOURNAL";
const KILLS: u64 = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_appends_until_it_is_killed() {
    let Ok(path) = std::env::var(PATH) else { return };
    let journal: Arc<dyn Journal> = match path.ends_with(".sqlite") {
        true => Arc::new(SqliteJournal::open(path).await.unwrap()),
        false => Arc::new(FileJournal::open(path).await.unwrap()),
    };
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4u64 {
        let journal = Arc::clone(&journal);
        tasks.spawn(async move {
            for number in 0.. {
                let batch: Vec<_> = (0..=number % 7)
                    .map(|it| match it {
                        5 => samples::snapshot(number),
                        _ => samples::numbered(task * 1_000_000 + number),
                    })
                    .collect();
                let entries = journal.append(NOW, &batch).await.unwrap();
                let mut text = String::from("\n");
                for it in &entries {
                    text.push_str(&format!("acknowledged {} {}\n", it.seq, it.hash));
                }
                let mut out = std::io::stdout().lock();
                out.write_all(text.as_bytes()).unwrap();
                out.flush().unwrap();
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn a_killed_writer_to_sqlite_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    let mut acknowledged = BTreeMap::new();
    for (round, random) in randoms() {
        collect_and_kill(start(&path), random, &mut acknowledged);
        let journal =
            SqliteJournal::open(&path).await.unwrap_or_else(|it| panic!("{round}: {it:?}"));
        holds(&journal, &acknowledged, round).await;
        journal.close().await;
    }
    assert!(acknowledged.len() > 500, "only {} were acknowledged", acknowledged.len());
}

#[tokio::test]
async fn a_killed_writer_to_files_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let mut acknowledged = BTreeMap::new();
    for (round, random) in randoms() {
        collect_and_kill(start(&path), random, &mut acknowledged);
        if path.join("opening").exists() && round % 2 == 0 && !acknowledged.is_empty() {
            let reader = FileJournal::open_read_only(&path).await;
            let reader = reader.unwrap_or_else(|it| panic!("{round}: {it:?}"));
            holds(&reader, &acknowledged, round).await;
        }
        let journal = FileJournal::open(&path).await.unwrap_or_else(|it| panic!("{round}: {it:?}"));
        holds(&journal, &acknowledged, round).await;
        journal.close().await;
    }
    assert!(acknowledged.len() > 500, "only {} were acknowledged", acknowledged.len());
}

fn randoms() -> impl Iterator<Item = (u64, u64)> {
    let random = std::iter::successors(Some(0x9e37_79b9_7f4a_7c15), |it| Some(xorshift(*it)));
    (0..KILLS).zip(random.skip(1))
}

/// Whether the journal verifies and holds what was acknowledged.
async fn holds(journal: &dyn Journal, acknowledged: &BTreeMap<u64, String>, round: u64) {
    let stored = journal.read(0, usize::MAX).await.unwrap();
    let count = journal.verify().await.unwrap_or_else(|it| panic!("{round}: {it:?}"));
    assert_eq!(count, stored.len() as u64);
    for (seq, hash) in acknowledged {
        let entry = stored.get(usize::try_from(*seq).unwrap());
        let found = entry.map(|it| it.hash.to_string());
        assert_eq!(found.as_ref(), Some(hash), "entry {seq} of round {round}");
    }
}

fn start(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_appends_until_it_is_killed", "--nocapture"])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Reads a random number of acknowledgements, waits a random part of a commit, kills, and reads what
/// the child had still printed. In every eighth round it kills during the opening.
fn collect_and_kill(mut child: Child, random: u64, acknowledged: &mut BTreeMap<u64, String>) {
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut left = if random.is_multiple_of(8) { 0 } else { random % 120 };
    let mut line = String::new();
    while left > 0 {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the child ended by itself");
        left -= u64::from(note(&line, acknowledged));
    }
    std::thread::sleep(Duration::from_micros((random >> 32) % 3_000));
    child.kill().unwrap();
    child.wait().unwrap();
    // The last line may be cut off; a whole one was acknowledged before the kill.
    line.clear();
    while out.read_line(&mut line).unwrap() > 0 {
        if line.ends_with('\n') {
            note(&line, acknowledged);
        }
        line.clear();
    }
}

fn note(line: &str, acknowledged: &mut BTreeMap<u64, String>) -> bool {
    let mut words = line.split_whitespace();
    if words.next() != Some("acknowledged") {
        return false;
    }
    let seq = words.next().unwrap().parse().unwrap();
    acknowledged.insert(seq, words.next().unwrap().to_owned());
    true
}

fn xorshift(mut it: u64) -> u64 {
    it ^= it << 13;
    it ^= it >> 7;
    it ^ (it << 17)
}
