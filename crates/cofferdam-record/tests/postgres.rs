//! The journal in PostgreSQL, against a real server: contract, ownership, tamper, lost connections.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "common/server.rs"]
mod server;

use std::sync::Arc;

use cofferdam_core::{
    Timestamp,
    ports::{Boxed, Journal, JournalError},
};
use cofferdam_record::{
    PostgresJournal,
    conformance::{
        self,
        samples::{numbered, snapshot},
    },
    export::verify_export,
};
use server::Postgres;
use sqlx::{Connection, PgConnection};

const NOW: Timestamp = Timestamp(1_790_000_000_000);

async fn execute(url: &str, statements: &'static str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(statements).execute(&mut connection).await?;
    connection.close().await
}

/// A closed journal of 12 entries, every fifth a snapshot.
async fn written(server: &Postgres) -> String {
    let url = server.database().await;
    let journal = PostgresJournal::open(&url).await.unwrap();
    let record = |it: u64| if it % 5 == 4 { snapshot(it) } else { numbered(it) };
    let records: Vec<_> = (0..12).map(record).collect();
    journal.append(NOW, &records).await.unwrap();
    journal.close().await;
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_postgres_journal_keeps_the_contract() {
    let Some(server) = Postgres::start().await else { return };
    let server = Arc::new(server);
    let make = || {
        let server = Arc::clone(&server);
        let open = async move {
            let journal = PostgresJournal::open(&server.database().await).await.unwrap();
            Arc::new(journal) as Arc<dyn Journal>
        };
        Box::pin(open) as Boxed<'static, _>
    };
    assert_eq!(conformance::journal(&make).await, Ok(()));
}

#[tokio::test]
async fn one_owner_writes_and_one_that_was_taken_over_appends_nothing_more() {
    let Some(server) = Postgres::start().await else { return };
    let url = server.database().await;
    let old = PostgresJournal::open(&url).await.unwrap();
    old.append(NOW, &[numbered(0)]).await.unwrap();
    assert!(matches!(PostgresJournal::open(&url).await, Err(JournalError::Fenced)));
    let new = PostgresJournal::take_over(&url).await.unwrap();
    assert_eq!(new.epoch(), old.epoch() + 1);
    for _ in 0..2 {
        assert!(matches!(old.append(NOW, &[numbered(9)]).await, Err(JournalError::Fenced)));
    }
    new.append(NOW, &[numbered(1)]).await.unwrap();
    assert_eq!(old.verify().await.unwrap(), 2, "the old owner still reads");
    old.close().await;
    assert!(matches!(PostgresJournal::open(&url).await, Err(JournalError::Fenced)));
    new.close().await;
    let third = PostgresJournal::open(&url).await.unwrap();
    third.append(NOW, &[numbered(2)]).await.unwrap();
    let reader = PostgresJournal::open_read_only(&url).await.unwrap();
    assert_eq!(reader.read(0, 9).await.unwrap().len(), 3);
    assert!(matches!(reader.append(NOW, &[numbered(3)]).await, Err(JournalError::Unavailable(_))));
}

#[tokio::test]
async fn every_tamper_is_detected_and_the_first_wrong_entry_is_named() {
    let Some(server) = Postgres::start().await else { return };
    let url = written(&server).await;
    assert!(execute(&url, "UPDATE entry SET at = 0").await.is_err(), "plain statements cannot");
    assert!(execute(&url, "DELETE FROM entry").await.is_err());
    assert!(execute(&url, "TRUNCATE entry").await.is_err());
    let cases: &[(&str, u64, &str)] = &[
        ("UPDATE entry SET at = at + 1 WHERE seq = 5", 5, "its hash does not match its content"),
        (
            "UPDATE entry SET record = set_byte(record, 20, get_byte(record, 20) # 1) WHERE seq = 6",
            6,
            "its hash does not match its content",
        ),
        (
            "UPDATE entry SET prev = sha256('x') WHERE seq = 5",
            5,
            "it does not follow the entry before it",
        ),
        (
            "UPDATE entry SET snapshot = true WHERE seq = 5",
            5,
            "its snapshot mark does not fit its record",
        ),
        ("DELETE FROM entry WHERE seq = 5", 5, "it is missing; entry 6 stands there"),
        ("DELETE FROM entry WHERE seq >= 8", 8, "it is missing; the journal was truncated"),
        (
            "UPDATE entry SET seq = 11 - seq + 100 WHERE seq IN (5, 6); UPDATE entry SET seq = seq - 100 WHERE seq > 100",
            5,
            "it does not follow the entry before it",
        ),
        ("UPDATE head SET seq = 7", 8, "it stands after the head of the journal"),
        ("DELETE FROM head", 0, "the head of the journal is missing"),
    ];
    for (statements, seq, what) in cases {
        let url = written(&server).await;
        execute(&url, "DROP TRIGGER entry_is_never_changed ON entry").await.unwrap();
        execute(&url, statements).await.unwrap();
        let found = match PostgresJournal::open_read_only(&url).await {
            Ok(journal) => journal.verify().await.unwrap_err(),
            Err(error) => error,
        };
        let JournalError::Corrupt { seq: at, what: told } = found else { panic!("{found:?}") };
        assert_eq!((at, told.as_str()), (*seq, *what), "{statements}");
    }
}

#[tokio::test]
async fn a_lost_connection_is_taken_up_again_and_nothing_is_lost_or_doubled() {
    let Some(server) = Postgres::start().await else { return };
    let url = server.database().await;
    let journal = PostgresJournal::open(&url).await.unwrap();
    let mut answered = Vec::new();
    for round in 0..5u64 {
        answered.extend(journal.append(NOW, &[numbered(round)]).await.unwrap());
        let others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                      WHERE pid <> pg_backend_pid() AND datname = current_database()";
        execute(&url, others).await.unwrap();
        // The append that meets the lost connection may be refused; the next one must not be.
        match journal.append(NOW, &[numbered(100 + round)]).await {
            Ok(entries) => answered.extend(entries),
            Err(JournalError::Unavailable(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    answered.extend(journal.append(NOW, &[snapshot(7)]).await.unwrap());
    let reader = PostgresJournal::open_read_only(&url).await.unwrap();
    assert_eq!(reader.read(0, usize::MAX).await.unwrap(), answered);
    assert_eq!(reader.verify().await.unwrap(), answered.len() as u64);
}

#[tokio::test]
async fn an_export_is_checked_offline() {
    let Some(server) = Postgres::start().await else { return };
    let url = written(&server).await;
    let journal = PostgresJournal::open_read_only(&url).await.unwrap();
    let mut out = Vec::new();
    assert_eq!(journal.export(0, &mut out).await.unwrap(), 12);
    let head = journal.head().await.unwrap();
    assert_eq!(verify_export(out.as_slice()).unwrap().head, head);
    assert_eq!(journal.last_snapshot().await.unwrap(), Some(9));
    assert_eq!(journal.verify_against(head.unwrap()).await.unwrap(), 12);
}
