//! Every tamper is detected, and the first wrong entry is named.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use cofferdam_core::ports::{Journal, JournalError};
use cofferdam_record::{MemoryJournal, SqliteJournal, conformance::samples};
use common::{NOW, named, tamper, verdict, written};

async fn broken_by(statements: &'static str) -> (u64, String) {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path(), "a.journal", 12).await;
    assert_eq!(verdict(&path).await, Ok(12));
    tamper(&path, statements).await;
    verdict(&path).await.unwrap_err()
}

#[tokio::test]
async fn an_untouched_journal_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path(), "a.journal", 12).await;
    assert_eq!(verdict(&path).await, Ok(12));
}

#[tokio::test]
async fn a_changed_record_is_detected() {
    let found = broken_by(
        "UPDATE entry SET record = replace(record, 'journal 5', 'journal 6') WHERE seq = 5",
    )
    .await;
    assert_eq!(found, (5, "its hash does not match its content".to_owned()));
}

#[tokio::test]
async fn a_changed_time_is_detected() {
    let found = broken_by("UPDATE entry SET at = at + 1 WHERE seq = 5").await;
    assert_eq!(found, (5, "its hash does not match its content".to_owned()));
}

#[tokio::test]
async fn a_changed_hash_is_detected() {
    let found = broken_by("UPDATE entry SET hash = zeroblob(32) WHERE seq = 5").await;
    assert_eq!(found, (5, "its hash does not match its content".to_owned()));
}

#[tokio::test]
async fn a_changed_link_is_detected() {
    let found = broken_by("UPDATE entry SET prev = zeroblob(32) WHERE seq = 5").await;
    assert_eq!(found, (5, "it does not follow the entry before it".to_owned()));
}

#[tokio::test]
async fn a_changed_snapshot_mark_is_detected() {
    let set = broken_by("UPDATE entry SET snapshot = 1 WHERE seq = 5").await;
    assert_eq!(set, (5, "its snapshot mark does not fit its record".to_owned()));
    let cleared = broken_by("UPDATE entry SET snapshot = 0 WHERE seq = 9").await;
    assert_eq!(cleared, (9, "its snapshot mark does not fit its record".to_owned()));
}

#[tokio::test]
async fn a_dropped_entry_is_detected_wherever_it_stood() {
    let first = broken_by("DELETE FROM entry WHERE seq = 0").await;
    assert_eq!(first, (0, "it is missing; entry 1 stands there".to_owned()));
    let middle = broken_by("DELETE FROM entry WHERE seq = 5").await;
    assert_eq!(middle, (5, "it is missing; entry 6 stands there".to_owned()));
    let last = broken_by("DELETE FROM entry WHERE seq = 11").await;
    assert_eq!(last, (11, "it is missing; the journal was truncated".to_owned()));
}

#[tokio::test]
async fn a_dropped_and_closed_gap_is_detected() {
    let found = broken_by(
        "DELETE FROM entry WHERE seq = 5;
         UPDATE entry SET seq = -seq WHERE seq > 5;",
    );
    // The check on `seq` holds; an intruder who removes it is seen as well.
    assert!(tokio::spawn(found).await.is_err());
    let found = broken_by(
        "CREATE TABLE other AS SELECT * FROM entry; DELETE FROM entry WHERE seq >= 5;
         INSERT INTO entry SELECT seq - 1, at, prev, hash, snapshot, record FROM other WHERE seq > 5;",
    )
    .await;
    assert_eq!(found, (5, "it does not follow the entry before it".to_owned()));
}

#[tokio::test]
async fn swapped_entries_are_detected() {
    let found = broken_by(
        "CREATE TABLE other AS SELECT * FROM entry WHERE seq IN (5, 6);
         DELETE FROM entry WHERE seq IN (5, 6);
         INSERT INTO entry SELECT 11 - seq, at, prev, hash, snapshot, record FROM other;",
    )
    .await;
    assert_eq!(found, (5, "it does not follow the entry before it".to_owned()));
}

#[tokio::test]
async fn swapped_records_are_detected() {
    let found = broken_by(
        "UPDATE entry SET record = (SELECT it.record FROM entry it WHERE it.seq = 13 - entry.seq)
         WHERE seq IN (6, 7)",
    )
    .await;
    assert_eq!(found.0, 6);
}

#[tokio::test]
async fn a_truncated_tail_is_detected() {
    let some = broken_by("DELETE FROM entry WHERE seq >= 8").await;
    assert_eq!(some, (8, "it is missing; the journal was truncated".to_owned()));
    let all = broken_by("DELETE FROM entry").await;
    assert_eq!(all, (0, "it is missing; the journal was truncated".to_owned()));
}

#[tokio::test]
async fn an_invented_entry_is_detected() {
    let found = broken_by(
        "INSERT INTO entry SELECT 12, at, hash, hash, snapshot, record FROM entry WHERE seq = 11",
    )
    .await;
    assert_eq!(found, (12, "its hash does not match its content".to_owned()));
}

#[tokio::test]
async fn a_moved_or_missing_head_is_detected() {
    let back =
        broken_by("UPDATE head SET seq = 7, hash = (SELECT hash FROM entry WHERE entry.seq = 7)")
            .await;
    assert_eq!(back, (8, "it stands after the head of the journal".to_owned()));
    let other = broken_by("UPDATE head SET hash = zeroblob(32)").await;
    assert_eq!(other, (11, "it is not the entry that the head names".to_owned()));
    let short = broken_by("UPDATE head SET hash = zeroblob(31)").await;
    assert_eq!(short.1, "the head of the journal is unreadable");
    let gone = broken_by("DELETE FROM head").await;
    assert_eq!(gone.1, "the head of the journal is missing");
}

#[tokio::test]
async fn a_splice_from_another_journal_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, _) = written(folder.path(), "a.journal", 12).await;
    let (theirs, _) = written(folder.path(), "b.journal", 12).await;
    let mut connection = common::raw(&ours).await;
    sqlx::raw_sql("DROP TRIGGER entry_is_never_updated; DROP TRIGGER entry_is_never_deleted;")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query("ATTACH ?1 AS theirs")
        .bind(theirs.to_str().unwrap())
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::raw_sql(
        "DELETE FROM main.entry WHERE seq BETWEEN 5 AND 7;
         INSERT INTO main.entry SELECT * FROM theirs.entry WHERE seq BETWEEN 5 AND 7;",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    drop(connection);
    let found = verdict(&ours).await.unwrap_err();
    assert_eq!(found, (5, "it does not follow the entry before it".to_owned()));
}

#[tokio::test]
async fn a_journal_rewritten_with_new_hashes_is_detected_by_an_anchor() {
    let folder = tempfile::tempdir().unwrap();
    let (_, honest) = written(folder.path(), "a.journal", 12).await;
    let anchor = honest.get(8).map(|it| (it.seq, it.hash)).unwrap();
    let (forged, _) = written(folder.path(), "b.journal", 12).await;
    assert_eq!(verdict(&forged).await, Ok(12), "the chain alone cannot tell");
    let journal = SqliteJournal::open_read_only(&forged).await.unwrap();
    let found = journal.verify_against(anchor).await.map_err(named).unwrap_err();
    assert_eq!(found, (8, "its hash differs from the anchor".to_owned()));
    let beyond = journal.verify_against((12, anchor.1)).await.map_err(named).unwrap_err();
    assert_eq!(beyond, (12, "the journal ends before the anchor".to_owned()));
    let honest = SqliteJournal::open_read_only(folder.path().join("a.journal")).await.unwrap();
    assert_eq!(honest.verify_against(anchor).await.unwrap(), 12);
}

#[tokio::test]
async fn a_record_that_this_release_cannot_read_is_reported() {
    let found = broken_by("UPDATE entry SET record = '{}' WHERE seq = 3").await;
    assert_eq!(found, (3, "its hash does not match its content".to_owned()));
    let journal = MemoryJournal::new();
    journal.append(NOW, &[samples::numbered(0)]).await.unwrap();
    journal.tamper(|entries| {
        let raw = entries.first_mut().unwrap();
        raw.record = br#"{"record":"from-the-future"}"#.to_vec();
        raw.hash = cofferdam_record::chain::entry_hash(raw.seq, raw.at, raw.prev, &raw.record);
    });
    let (seq, what) = journal.verify().await.map_err(named).unwrap_err();
    assert_eq!(seq, 0);
    assert!(what.starts_with("its record cannot be read: unknown variant"), "{what}");
}

#[tokio::test]
async fn a_flipped_bit_in_the_file_is_detected_wherever_it_hits_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    let (path, entries) = written(folder.path(), "a.journal", 40).await;
    let clean = std::fs::read(&path).unwrap();
    let mut flipped = 0;
    for entry in entries.iter().step_by(7) {
        let record = serde_json::to_vec(&entry.record).unwrap();
        for needle in [record.as_slice(), entry.hash.as_slice()] {
            // A page that was split still holds old copies; only one of them counts.
            let copies: Vec<usize> =
                (0..clean.len()).filter(|it| clean[*it..].starts_with(needle)).collect();
            assert!(!copies.is_empty(), "the entry is in the main file after a clean close");
            for (byte, bit) in [(0, 0), (needle.len() / 2, 3), (needle.len() - 1, 7)] {
                let mut file = clean.clone();
                for at in &copies {
                    file[at + byte] ^= 1 << bit;
                }
                let other = folder.path().join(format!("flipped-{flipped}.journal"));
                std::fs::write(&other, file).unwrap();
                verdict(&other).await.expect_err("a flipped bit");
                flipped += 1;
            }
        }
    }
    assert_eq!(flipped, 36);
}

#[tokio::test]
async fn a_file_cut_or_overwritten_anywhere_never_verifies_and_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path(), "a.journal", 200).await;
    let clean = std::fs::read(&path).unwrap();
    for (number, cut) in (0..clean.len()).step_by(4_096).enumerate() {
        let other = folder.path().join(format!("cut-{number}.journal"));
        std::fs::write(&other, &clean[..cut]).unwrap();
        let _ = verdict(&other).await.expect_err("a cut file");
        let mut zeroed = clean.clone();
        zeroed[cut..(cut + 4_096).min(clean.len())].fill(0);
        let other = folder.path().join(format!("zeroed-{number}.journal"));
        std::fs::write(&other, zeroed).unwrap();
        // The page may be free or hold nothing but a schema text; then nothing is lost.
        if let Ok(count) = verdict(&other).await {
            assert_eq!(count, 200);
        }
    }
}

#[tokio::test]
async fn reading_a_tampered_part_fails_and_the_rest_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (path, entries) = written(folder.path(), "a.journal", 12).await;
    tamper(&path, "UPDATE entry SET at = 0 WHERE seq = 5; DELETE FROM entry WHERE seq = 8").await;
    let journal = SqliteJournal::open_read_only(&path).await.unwrap();
    assert_eq!(journal.read(0, 5).await.unwrap(), entries[..5]);
    assert_eq!(journal.read(6, 2).await.unwrap(), entries[6..8]);
    assert!(matches!(journal.read(0, 6).await, Err(JournalError::Corrupt { seq: 5, .. })));
    assert!(matches!(journal.read(7, 3).await, Err(JournalError::Corrupt { seq: 8, .. })));
    assert!(matches!(journal.read(8, 1).await, Err(JournalError::Corrupt { seq: 8, .. })));
}

#[tokio::test]
async fn a_truncated_journal_is_not_opened_for_writing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path(), "a.journal", 12).await;
    tamper(&path, "DELETE FROM entry WHERE seq >= 8").await;
    let found = SqliteJournal::open(&path).await.map_err(named).unwrap_err();
    assert_eq!(found, (8, "it is missing; the journal was truncated".to_owned()));
}

#[tokio::test]
async fn plain_statements_cannot_change_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path(), "a.journal", 3).await;
    let mut connection = common::raw(&path).await;
    for statement in ["UPDATE entry SET at = 0", "DELETE FROM entry"] {
        let error = sqlx::raw_sql(statement).execute(&mut connection).await.unwrap_err();
        assert!(error.to_string().contains("never"), "{error}");
    }
}
