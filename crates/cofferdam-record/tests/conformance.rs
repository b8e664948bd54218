//! Every journal and bus of this crate keeps the contract of its port.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use cofferdam_core::ports::{Bus, BusError, Journal, JournalError};
use cofferdam_record::{
    FileJournal, LocalBus, LocalJournal, MemoryJournal, SqliteJournal,
    conformance::{self, samples},
};

#[tokio::test]
async fn the_memory_journal_keeps_the_contract() {
    let outcome = conformance::journal(&|| {
        Box::pin(async { Arc::new(MemoryJournal::new()) as Arc<dyn Journal> })
    })
    .await;
    assert_eq!(outcome, Ok(()));
}

#[tokio::test]
async fn the_sqlite_journal_in_memory_keeps_the_contract() {
    let make = async || {
        let journal = SqliteJournal::open_in_memory().await.unwrap();
        Arc::new(journal) as Arc<dyn Journal>
    };
    assert_eq!(conformance::journal(&|| Box::pin(make())).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sqlite_journal_in_a_file_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicU32::new(0);
    let make = || {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = folder.path().join(format!("{number}.journal"));
        let open = async move {
            let journal = SqliteJournal::open(path).await.unwrap();
            Arc::new(journal) as Arc<dyn Journal>
        };
        Box::pin(open) as cofferdam_core::ports::Boxed<'static, _>
    };
    assert_eq!(conformance::journal(&make).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_file_journal_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicU32::new(0);
    let make = || {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = folder.path().join(format!("{number}.journal"));
        let open = async move {
            let journal = FileJournal::open(path).await.unwrap();
            Arc::new(journal) as Arc<dyn Journal>
        };
        Box::pin(open) as cofferdam_core::ports::Boxed<'static, _>
    };
    assert_eq!(conformance::journal(&make).await, Ok(()));
}

#[tokio::test]
async fn the_local_bus_keeps_the_contract() {
    let make = |queue| {
        let bus = Arc::new(LocalBus::with_queue(queue)) as Arc<dyn Bus>;
        Box::pin(async { bus }) as cofferdam_core::ports::Boxed<'static, _>
    };
    assert_eq!(conformance::bus(&make).await, Ok(()));
}

#[tokio::test]
async fn a_closed_bus_delivers_what_was_published_and_then_says_so() {
    let bus = LocalBus::new();
    let mut subscription = bus.subscribe("a").await.unwrap();
    bus.publish("a", b"last".into()).await.unwrap();
    bus.close();
    assert_eq!(subscription.next().await.unwrap().as_ref(), b"last");
    assert!(matches!(subscription.next().await, Err(BusError::Closed)));
    assert!(matches!(bus.publish("a", b"".into()).await, Err(BusError::Closed)));
    assert!(matches!(bus.subscribe("a").await, Err(BusError::Closed)));
}

#[tokio::test]
async fn a_full_memory_journal_refuses_and_keeps_what_it_has() {
    let journal = MemoryJournal::new();
    let now = cofferdam_core::Timestamp(1);
    journal.append(now, &[samples::numbered(0)]).await.unwrap();
    journal.set_full(true);
    let refused = journal.append(now, &[samples::numbered(1)]).await;
    assert!(matches!(refused, Err(JournalError::Unavailable(_))));
    journal.set_full(false);
    journal.append(now, &[samples::numbered(2)]).await.unwrap();
    assert_eq!(journal.verify().await.unwrap(), 2);
}

#[tokio::test]
async fn the_suite_notices_a_journal_that_lies() {
    let make = || {
        let journal = MemoryJournal::new();
        journal.set_full(true);
        Box::pin(async { Arc::new(journal) as Arc<dyn Journal> })
            as cofferdam_core::ports::Boxed<'static, _>
    };
    let broken = conformance::journal(&make).await.unwrap_err();
    assert!(broken.lines().count() > 5, "{broken}");
}

#[tokio::test]
async fn a_journal_is_opened_in_the_form_it_stands_in() {
    let folder = tempfile::tempdir().unwrap();
    let now = cofferdam_core::Timestamp(1);
    for (name, sqlite) in [("a.sqlite", true), ("b.journal", false)] {
        let path = folder.path().join(name);
        for count in 1..3 {
            let journal = LocalJournal::open(&path).await.unwrap();
            assert_eq!(matches!(journal, LocalJournal::Sqlite(_)), sqlite);
            journal.append(now, &[samples::numbered(count)]).await.unwrap();
            journal.close().await;
            let reader = LocalJournal::open_read_only(&path).await.unwrap();
            assert_eq!(reader.verify().await.unwrap(), count);
            assert_eq!(reader.verify_records().await.unwrap(), count);
            let mut out = Vec::new();
            assert_eq!(reader.export(0, &mut out).await.unwrap(), count);
        }
    }
    // A SQLite journal of an earlier release under any name is recognised by being a file.
    let renamed = folder.path().join("journal");
    std::fs::rename(folder.path().join("a.sqlite"), &renamed).unwrap();
    let journal = LocalJournal::open(&renamed).await.unwrap();
    assert!(matches!(journal, LocalJournal::Sqlite(_)));
}
