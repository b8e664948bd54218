//! What the journal's tests share.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};

use cofferdam_core::{
    Record, Timestamp,
    ports::{Journal, JournalError},
    record::Entry,
};
use cofferdam_record::{FileJournal, SqliteJournal, conformance::samples};
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

pub(crate) const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// A closed journal of `count` entries, every fifth a snapshot.
pub(crate) async fn written(folder: &Path, name: &str, count: u64) -> (PathBuf, Vec<Entry>) {
    let path = folder.join(name);
    let journal = SqliteJournal::open(&path).await.unwrap();
    let record = |it: u64| match it % 5 {
        4 => samples::snapshot(it),
        _ => Record::Alerted { incident: None, text: format!("{name} {it}") },
    };
    let records: Vec<Record> = (0..count).map(record).collect();
    let entries = journal.append(NOW, &records).await.unwrap();
    journal.close().await;
    (path, entries)
}

/// As [`written`], in files, the entries in commits of three.
pub(crate) async fn written_files(folder: &Path, name: &str, count: u64) -> (PathBuf, Vec<Entry>) {
    let path = folder.join(name);
    let journal = FileJournal::open(&path).await.unwrap();
    let entries = append_named(&journal, name, 0..count).await;
    journal.close().await;
    (path, entries)
}

/// Appends one entry per number in commits of three, every fifth a snapshot.
pub(crate) async fn append_named(
    journal: &FileJournal,
    name: &str,
    numbers: std::ops::Range<u64>,
) -> Vec<Entry> {
    let record = |it: &u64| match it % 5 {
        4 => samples::snapshot(*it),
        _ => Record::Alerted { incident: None, text: format!("{name} {it}") },
    };
    let mut entries = Vec::new();
    for commit in numbers.collect::<Vec<u64>>().chunks(3) {
        let records: Vec<Record> = commit.iter().map(record).collect();
        entries.extend(journal.append(NOW, &records).await.unwrap());
    }
    entries
}

/// What verification of a journal in files says.
pub(crate) async fn verdict_of_files(path: &Path) -> Result<u64, (u64, String)> {
    let journal = FileJournal::open_read_only(path).await.map_err(named)?;
    journal.verify_records().await.map_err(named)
}

/// Copies a folder as it is: what a crash would leave of a journal at work, without its lock.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Changes a closed journal behind its back, its triggers removed.
pub(crate) async fn tamper(path: &Path, statements: &'static str) {
    let mut connection = raw(path).await;
    sqlx::raw_sql("DROP TRIGGER entry_is_never_updated; DROP TRIGGER entry_is_never_deleted;")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

pub(crate) async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

/// What verification of the file says: the number of entries, or the entry and what is wrong.
pub(crate) async fn verdict(path: &Path) -> Result<u64, (u64, String)> {
    let journal = SqliteJournal::open_read_only(path).await.map_err(named)?;
    let result = journal.verify().await.map_err(named);
    journal.close().await;
    result
}

pub(crate) fn named(error: JournalError) -> (u64, String) {
    match error {
        JournalError::Corrupt { seq, what } => (seq, what),
        other => panic!("not a finding about the content: {other:?}"),
    }
}
