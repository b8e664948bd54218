//! One writer at a time, whatever dies or sleeps, and honest failures.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use cofferdam_core::ports::{Journal, JournalError};
use cofferdam_record::{
    SqliteJournal,
    conformance::samples::{numbered, snapshot},
};
use common::{NOW, named, verdict, written};

#[tokio::test]
async fn a_second_opener_is_fenced_while_the_first_lives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let first = SqliteJournal::open(&path).await.unwrap();
    assert!(matches!(SqliteJournal::open(&path).await, Err(JournalError::Fenced)));
    first.append(NOW, &[numbered(0)]).await.unwrap();
    let epoch = first.epoch();
    first.close().await;
    let second = SqliteJournal::open(&path).await.unwrap();
    assert_eq!(second.epoch(), epoch + 1);
    second.append(NOW, &[numbered(1)]).await.unwrap();
    assert_eq!(second.verify().await.unwrap(), 2);
}

#[tokio::test]
async fn an_owner_that_was_taken_over_can_append_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let old = SqliteJournal::open(&path).await.unwrap();
    old.append(NOW, &[numbered(0)]).await.unwrap();
    let new = SqliteJournal::take_over(&path).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(old.append(NOW, &[numbered(9)]).await, Err(JournalError::Fenced)));
    }
    new.append(NOW, &[numbered(1)]).await.unwrap();
    assert_eq!(old.verify().await.unwrap(), 2, "the old owner still reads");
    assert!(matches!(SqliteJournal::open(&path).await, Err(JournalError::Fenced)));
    old.close().await;
    let third = SqliteJournal::open(&path).await;
    assert!(matches!(third, Err(JournalError::Fenced)), "the end of the old owner frees nothing");
    new.append(NOW, &[numbered(2)]).await.unwrap();
    new.close().await;
    assert_eq!(verdict(&path).await, Ok(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_openers_at_once_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let mut openers = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let path = path.clone();
        openers.spawn(async move { SqliteJournal::open(path).await });
    }
    let mut owners = Vec::new();
    while let Some(opened) = openers.join_next().await {
        match opened.unwrap() {
            Ok(journal) => owners.push(journal),
            Err(JournalError::Fenced) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(owners.len(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_the_journal_is_the_same_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path(), "a.journal", 1).await;
    let link = folder.path().join("link.journal");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let _owner = SqliteJournal::open(&path).await.unwrap();
    assert!(matches!(SqliteJournal::open(&link).await, Err(JournalError::Fenced)));
}

#[tokio::test]
async fn lock_files_do_not_pile_up() {
    let folder = tempfile::tempdir().unwrap();
    for count in 0..5 {
        let path = folder.path().join("a.journal");
        let journal = SqliteJournal::open(path).await.unwrap();
        journal.append(NOW, &[numbered(count)]).await.unwrap();
        journal.close().await;
    }
    let names = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["a.journal", "a.journal.lock-5"]);
}

#[tokio::test]
async fn a_journal_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (path, entries) = written(folder.path(), "a.journal", 12).await;
    let journal = SqliteJournal::open(&path).await.unwrap();
    let more = journal.append(NOW, &[snapshot(12)]).await.unwrap();
    assert_eq!(more[0].seq, 12);
    assert_eq!(more[0].prev, entries[11].hash);
    assert_eq!(journal.last_snapshot().await.unwrap(), Some(12));
    assert_eq!(journal.verify().await.unwrap(), 13);
}

#[tokio::test]
async fn a_full_disk_refuses_the_append_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let journal = SqliteJournal::open_limited(&path, 40).await.unwrap();
    let mut answered = Vec::new();
    let refused = loop {
        match journal.append(NOW, &[numbered(answered.len() as u64), snapshot(7)]).await {
            Ok(entries) => answered.extend(entries),
            Err(error) => break error,
        }
    };
    let JournalError::Unavailable(cause) = refused else { panic!("{refused:?}") };
    assert!(cause.to_string().contains("full"), "{cause}");
    assert!(answered.len() > 100);
    assert!(journal.append(NOW, &vec![numbered(0); 1_000]).await.is_err(), "and again");
    assert_eq!(journal.read(0, usize::MAX).await.unwrap(), answered);
    assert_eq!(journal.verify().await.unwrap(), answered.len() as u64);
    journal.close().await;
    let journal = SqliteJournal::open(&path).await.unwrap();
    answered.extend(journal.append(NOW, &[numbered(1)]).await.unwrap());
    assert_eq!(journal.read(0, usize::MAX).await.unwrap(), answered);
    assert_eq!(journal.verify().await.unwrap(), answered.len() as u64);
}

#[tokio::test]
async fn a_lock_of_a_stranger_delays_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path(), "a.journal", 1).await;
    let journal = Arc::new(SqliteJournal::open(&path).await.unwrap());
    let mut stranger = common::raw(&path).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut stranger).await.unwrap();
    let waiting = tokio::spawn({
        let journal = Arc::clone(&journal);
        async move { journal.append(NOW, &[numbered(1)]).await }
    });
    assert_eq!(journal.verify().await.unwrap(), 1, "reads go on");
    sqlx::raw_sql("COMMIT").execute(&mut stranger).await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(journal.verify().await.unwrap(), 2);
}

#[tokio::test]
async fn a_journal_opened_for_reading_refuses_appends_and_follows_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    assert!(matches!(
        SqliteJournal::open_read_only(&path).await,
        Err(JournalError::Unavailable(_))
    ));
    assert!(!path.exists(), "reading creates nothing");
    let writer = SqliteJournal::open(&path).await.unwrap();
    let reader = SqliteJournal::open_read_only(&path).await.unwrap();
    let refused = reader.append(NOW, &[numbered(0)]).await;
    assert!(matches!(refused, Err(JournalError::Unavailable(_))));
    let entries = writer.append(NOW, &[numbered(0), snapshot(1)]).await.unwrap();
    assert_eq!(reader.read(0, 9).await.unwrap(), entries);
    assert_eq!(reader.last_snapshot().await.unwrap(), Some(1));
}

#[tokio::test]
async fn what_is_no_journal_is_not_opened_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "dear diary, ".repeat(1_000)).unwrap();
    assert_eq!(SqliteJournal::open(&text).await.map_err(named).unwrap_err().0, 0);
    assert_eq!(std::fs::read_to_string(&text).unwrap().len(), 12_000);

    let other = folder.path().join("other.db");
    drop(SqliteJournal::open_limited(folder.path().join("x.journal"), 100).await.unwrap());
    std::fs::write(&other, "").unwrap();
    let mut connection = common::raw(&other).await;
    sqlx::raw_sql("CREATE TABLE mine (a)").execute(&mut connection).await.unwrap();
    drop(connection);
    let (_, what) = SqliteJournal::open(&other).await.map_err(named).unwrap_err();
    assert_eq!(what, "the file is not a cofferdam journal");

    let nowhere = SqliteJournal::open(folder.path().join("no/such/folder.journal")).await;
    assert!(matches!(nowhere, Err(JournalError::Unavailable(_))));
}

#[tokio::test]
async fn a_newer_format_is_left_to_a_newer_release() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path(), "a.journal", 1).await;
    let mut connection = common::raw(&path).await;
    sqlx::raw_sql("PRAGMA user_version = 2").execute(&mut connection).await.unwrap();
    drop(connection);
    let error = SqliteJournal::open(&path).await.unwrap_err();
    let JournalError::Unavailable(cause) = error else { panic!("{error:?}") };
    assert_eq!(cause.to_string(), "the journal has format 2, this release reads format 1");
}
