//! Exports are checked offline and show every tamper.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use cofferdam_core::ports::JournalError;
use cofferdam_record::{SqliteJournal, export::verify_export};
use common::{named, tamper, written};

async fn exported(from: u64) -> (String, (u64, alloy_primitives::B256)) {
    let folder = tempfile::tempdir().unwrap();
    let (path, entries) = written(folder.path(), "a.journal", 6).await;
    let journal = SqliteJournal::open_read_only(&path).await.unwrap();
    let mut out = Vec::new();
    let count = journal.export(from, &mut out).await.unwrap();
    assert_eq!(count, 6u64.saturating_sub(from));
    let head = entries.last().map(|it| (it.seq, it.hash)).unwrap();
    (String::from_utf8(out).unwrap(), head)
}

fn broken(text: &str) -> (u64, String) {
    verify_export(text.as_bytes()).map_err(named).unwrap_err()
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

#[tokio::test]
async fn an_export_verifies_offline_and_names_its_head() {
    let (text, head) = exported(0).await;
    let verified = verify_export(text.as_bytes()).unwrap();
    assert_eq!((verified.entries, verified.first, verified.head), (6, Some(0), Some(head)));
    assert!(text.starts_with(r#"{"seq":0,"at":1790000000000,"prev":"0x0000"#), "{text}");
    assert!(text.lines().last().unwrap().starts_with(r#"{"head":{"seq":5,"hash":"0x"#), "{text}");
}

#[tokio::test]
async fn a_part_verifies_from_where_it_begins() {
    let (text, head) = exported(4).await;
    let verified = verify_export(text.as_bytes()).unwrap();
    assert_eq!((verified.entries, verified.first, verified.head), (2, Some(4), Some(head)));
    let (text, _) = exported(6).await;
    assert_eq!(verify_export(text.as_bytes()).unwrap().entries, 0);
}

#[tokio::test]
async fn every_tamper_of_an_export_is_detected() {
    let (text, _) = exported(0).await;
    let all = lines(&text);
    let without = |index: usize| {
        let mut rest = all.clone();
        rest.remove(index);
        rest.concat()
    };
    assert_eq!(broken(&without(2)).0, 2);
    assert_eq!(broken(&without(0)).1, "the export ends elsewhere than its last line says");
    assert_eq!(broken(&without(5)).1, "the export ends elsewhere than its last line says");
    assert_eq!(broken(&without(6)), (6, "it is missing; the export was cut off".to_owned()));
    let mut swapped = all.clone();
    swapped.swap(2, 3);
    assert_eq!(broken(&swapped.concat()).0, 2);
    assert_eq!(broken(&text.replace("journal 3", "journal 4")).0, 3);
    assert_eq!(broken(&text.replacen("\"at\":1790000000000", "\"at\":1", 1)).0, 0);
    assert_eq!(broken(&format!("{text}{text}")).1, "something follows the last line of the export");
    let (other, _) = exported_other().await;
    let mut spliced = all.clone();
    spliced[3] = lines(&other)[3];
    assert_eq!(broken(&spliced.concat()).0, 3);
}

async fn exported_other() -> (String, ()) {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path(), "b.journal", 6).await;
    let mut out = Vec::new();
    SqliteJournal::open_read_only(&path).await.unwrap().export(0, &mut out).await.unwrap();
    (String::from_utf8(out).unwrap(), ())
}

#[tokio::test]
async fn a_hostile_export_is_an_error_and_never_a_panic() {
    let (text, _) = exported(0).await;
    for cut in 0..text.len() {
        assert!(verify_export(&text.as_bytes()[..cut]).is_err(), "cut at {cut}");
    }
    for bytes in [&b"\xff\n"[..], b"", b"\n", b"{}\n", b"[]\n", b"null\n", &[b'['; 100_000]] {
        assert!(verify_export(bytes).is_err());
    }
    for (index, byte) in text.bytes().enumerate().step_by(3) {
        let mut bytes = text.clone().into_bytes();
        bytes[index] = byte ^ 0x01;
        assert!(verify_export(bytes.as_slice()).is_err(), "flip at {index}");
    }
}

#[tokio::test]
async fn a_damaged_journal_is_exported_as_it_is_and_does_not_verify() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path(), "a.journal", 6).await;
    tamper(&path, "UPDATE entry SET record = '{\"record\":\"x\"}' WHERE seq = 3").await;
    let journal = SqliteJournal::open_read_only(&path).await.unwrap();
    let mut out = Vec::new();
    assert_eq!(journal.export(0, &mut out).await.unwrap(), 6);
    assert_eq!(broken(std::str::from_utf8(&out).unwrap()).0, 3);
}

#[tokio::test]
async fn a_record_that_would_forge_lines_is_not_exported() {
    for record in ["'{\"a\":1},\"x\":2'", "'{}' || char(10) || '{}'", "' {}'", "'nonsense'"] {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = written(folder.path(), "a.journal", 6).await;
        tamper(&path, format!("UPDATE entry SET record = {record} WHERE seq = 3").leak()).await;
        let journal = SqliteJournal::open_read_only(&path).await.unwrap();
        let error = journal.export(0, &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, JournalError::Corrupt { seq: 3, .. }), "{record}: {error}");
    }
}

#[tokio::test]
async fn an_export_to_a_full_disk_fails_as_unavailable() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path(), "a.journal", 6).await;
    let journal = SqliteJournal::open_read_only(&path).await.unwrap();
    let error = journal.export(0, &mut Full).await.unwrap_err();
    assert!(matches!(error, JournalError::Unavailable(_)));
}
