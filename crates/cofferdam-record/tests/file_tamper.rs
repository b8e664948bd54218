//! Every tamper with a journal in files is detected, and the first wrong entry is named.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use cofferdam_core::ports::{Journal, JournalError};
use cofferdam_record::{FileJournal, chain::entry_hash};
use common::{NOW, append_named, copy_folder, named, verdict_of_files, written_files};
use sha2::Digest;

const COUNT: u64 = 12;
const SEGMENT_HEADER: usize = 120;
const COMMIT_HEADER: usize = 56;
const ENTRY_HEADER: usize = 44;

fn segment(path: &Path) -> PathBuf {
    path.join("000000000000-1.segment")
}

/// Where commits and entries stand in a segment's bytes.
fn layout(bytes: &[u8]) -> (Vec<std::ops::Range<usize>>, Vec<std::ops::Range<usize>>) {
    let (mut commits, mut entries, mut at) = (Vec::new(), Vec::new(), SEGMENT_HEADER);
    while at < bytes.len() {
        let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
        let end = at + COMMIT_HEADER + usize::try_from(number(at + 8)).unwrap();
        commits.push(at..end);
        at += COMMIT_HEADER;
        while at < end {
            let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
            entries.push(at..at + ENTRY_HEADER + length);
            at += ENTRY_HEADER + length;
        }
    }
    (commits, entries)
}

/// What verification says after the bytes of the only segment were changed.
async fn broken_by(change: impl FnOnce(&mut Vec<u8>)) -> (u64, String) {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written_files(folder.path(), "a.journal", COUNT).await;
    assert_eq!(verdict_of_files(&path).await, Ok(COUNT));
    let mut bytes = std::fs::read(segment(&path)).unwrap();
    change(&mut bytes);
    std::fs::write(segment(&path), bytes).unwrap();
    verdict_of_files(&path).await.unwrap_err()
}

fn without(bytes: &mut Vec<u8>, range: std::ops::Range<usize>) {
    bytes.drain(range);
}

#[tokio::test]
async fn every_flipped_bit_of_every_file_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written_files(folder.path(), "a.journal", COUNT).await;
    let mut flipped = 0;
    for file in std::fs::read_dir(&path).unwrap().map(|it| it.unwrap().path()) {
        let clean = std::fs::read(&file).unwrap();
        for at in 0..clean.len() {
            let mut bytes = clean.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&file, bytes).unwrap();
            let found = verdict_of_files(&path).await;
            assert!(found.is_err(), "byte {at} of {}", file.display());
            flipped += 1;
        }
        std::fs::write(&file, clean).unwrap();
    }
    assert_eq!(verdict_of_files(&path).await, Ok(COUNT));
    assert!(flipped > 1_500, "only {flipped} bytes");
}

#[tokio::test]
async fn a_changed_record_time_or_hash_names_its_entry() {
    for offset in [4 + 7, 12, ENTRY_HEADER + 30] {
        let found = broken_by(|bytes| {
            let entry = layout(bytes).1[4].clone();
            bytes[entry.start + offset] ^= 1;
        });
        assert_eq!(found.await, (4, "its hash does not match its content".to_owned()));
    }
}

#[tokio::test]
async fn a_dropped_commit_is_detected_wherever_it_stood() {
    let found = broken_by(|bytes| without(bytes, layout(bytes).0[0].clone())).await;
    assert_eq!(found.0, 0);
    let found = broken_by(|bytes| without(bytes, layout(bytes).0[1].clone())).await;
    assert_eq!(found.0, 3, "{found:?}");
    let found = broken_by(|bytes| without(bytes, layout(bytes).0[3].clone())).await;
    assert_eq!(found, (9, "it is missing; the journal was truncated".to_owned()));
}

#[tokio::test]
async fn swapped_duplicated_and_reordered_commits_are_detected() {
    let swapped = broken_by(|bytes| {
        let (a, b) = (layout(bytes).0[1].clone(), layout(bytes).0[2].clone());
        let moved = [&bytes[b.clone()], &bytes[a.clone()]].concat();
        bytes.splice(a.start..b.end, moved);
    });
    assert_eq!(swapped.await, (3, "it is missing; entry 6 stands there".to_owned()));
    let doubled = broken_by(|bytes| {
        let range = layout(bytes).0[1].clone();
        let copy = bytes[range.clone()].to_vec();
        bytes.splice(range.end..range.end, copy);
    });
    assert!(doubled.await.0 >= 6);
    let appended = broken_by(|bytes| {
        let copy = bytes[layout(bytes).0[3].clone()].to_vec();
        bytes.extend(copy);
    });
    assert_eq!(appended.await, (12, "it stands after the head of the journal".to_owned()));
}

#[tokio::test]
async fn a_dropped_entry_inside_of_a_commit_is_detected_even_if_its_header_is_adapted() {
    let found = broken_by(|bytes| {
        let (commits, entries) = layout(bytes);
        let (commit, entry) = (commits[1].clone(), entries[4].clone());
        let length = (commit.len() - COMMIT_HEADER - entry.len()) as u64;
        bytes[commit.start + 8..commit.start + 16].copy_from_slice(&length.to_be_bytes());
        bytes[commit.start + 7] -= 1;
        without(bytes, entry);
    });
    // The file is shorter than its head says, which is seen before any hash is computed.
    assert!((4..=12).contains(&found.await.0));
}

#[tokio::test]
async fn a_journal_cut_anywhere_never_verifies_and_is_not_opened_for_writing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written_files(folder.path(), "a.journal", COUNT).await;
    let clean = std::fs::read(segment(&path)).unwrap();
    for cut in (0..clean.len()).step_by(7) {
        std::fs::write(segment(&path), &clean[..cut]).unwrap();
        verdict_of_files(&path).await.expect_err("a cut file");
        FileJournal::open(&path).await.map_err(named).expect_err("a cut file");
        assert_eq!(std::fs::read(segment(&path)).unwrap(), &clean[..cut], "it is left as it is");
    }
    std::fs::write(segment(&path), &clean).unwrap();
    assert_eq!(verdict_of_files(&path).await, Ok(COUNT), "a refused opening changes nothing");
}

#[tokio::test]
async fn a_missing_file_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written_files(folder.path(), "a.journal", COUNT).await;
    let copy = folder.path().join("copy");
    copy_folder(&path, &copy);
    std::fs::remove_file(segment(&copy)).unwrap();
    assert_eq!(
        verdict_of_files(&copy).await,
        Err((0, "segment 0 of the journal is missing".to_owned()))
    );
    copy_folder(&path, &copy);
    std::fs::remove_file(copy.join("owner-1")).unwrap();
    assert_eq!(
        verdict_of_files(&copy).await,
        Err((0, "the head of the journal is missing".to_owned()))
    );
    std::fs::write(copy.join("owner-1"), vec![0; 288]).unwrap();
    assert_eq!(
        verdict_of_files(&copy).await,
        Err((0, "the head of the journal is unreadable".to_owned()))
    );
}

/// A journal that three processes wrote to, one after the other.
async fn three_segments(folder: &Path) -> PathBuf {
    let path = folder.join("three.journal");
    for run in 0..3 {
        let journal = FileJournal::open(&path).await.unwrap();
        append_named(&journal, "three", run * 4..run * 4 + 4).await;
        journal.close().await;
    }
    path
}

#[tokio::test]
async fn segments_that_are_dropped_swapped_or_lengthened_are_detected() {
    let folder = tempfile::tempdir().unwrap();
    let path = three_segments(folder.path()).await;
    assert_eq!(verdict_of_files(&path).await, Ok(12));
    let name = |it: u64| format!("{it:012}-{}.segment", it + 1);
    let copy = folder.path().join("copy");
    for number in 0..3 {
        copy_folder(&path, &copy);
        std::fs::remove_file(copy.join(name(number))).unwrap();
        assert_eq!(
            verdict_of_files(&copy).await.unwrap_err().1,
            format!("segment {number} of the journal is missing")
        );
        copy_folder(&path, &copy);
        let mut bytes = std::fs::read(copy.join(name(number))).unwrap();
        bytes.push(0);
        std::fs::write(copy.join(name(number)), bytes).unwrap();
        assert_eq!(verdict_of_files(&copy).await.unwrap_err().0, number * 4 + 4);
    }
    copy_folder(&path, &copy);
    std::fs::copy(path.join(name(1)), copy.join(name(0))).unwrap();
    assert_eq!(verdict_of_files(&copy).await.unwrap_err().1, "segment 0 has no readable header");
}

#[tokio::test]
async fn a_splice_from_another_journal_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, _) = written_files(folder.path(), "a.journal", COUNT).await;
    let (theirs, _) = written_files(folder.path(), "b.journal", COUNT).await;
    let mut bytes = std::fs::read(segment(&ours)).unwrap();
    let range = layout(&bytes).0[1].clone();
    bytes[range.clone()].copy_from_slice(&std::fs::read(segment(&theirs)).unwrap()[range]);
    std::fs::write(segment(&ours), &bytes).unwrap();
    let found = verdict_of_files(&ours).await.unwrap_err();
    assert_eq!(found, (3, "it does not follow the entry before it".to_owned()));
    std::fs::copy(segment(&theirs), segment(&ours)).unwrap();
    let found = verdict_of_files(&ours).await.unwrap_err();
    assert_eq!(found, (11, "it is not the entry that the head names".to_owned()));
}

#[tokio::test]
async fn an_old_head_beside_newer_segments_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written_files(folder.path(), "a.journal", COUNT).await;
    let old = std::fs::read(path.join("owner-1")).unwrap();
    let journal = FileJournal::open(&path).await.unwrap();
    append_named(&journal, "a", 12..15).await;
    journal.close().await;
    std::fs::remove_file(path.join("owner-2")).unwrap();
    std::fs::write(path.join("owner-1"), old).unwrap();
    let found = verdict_of_files(&path).await.unwrap_err();
    assert_eq!(found, (12, "it stands after the head of the journal".to_owned()));
}

#[tokio::test]
async fn a_journal_rewritten_with_new_hashes_is_detected_by_an_anchor() {
    let folder = tempfile::tempdir().unwrap();
    let (_, honest) = written_files(folder.path(), "a.journal", COUNT).await;
    let anchor = honest.get(8).map(|it| (it.seq, it.hash)).unwrap();
    let (forged, _) = written_files(folder.path(), "b.journal", COUNT).await;
    assert_eq!(verdict_of_files(&forged).await, Ok(12), "the chain alone cannot tell");
    let journal = FileJournal::open_read_only(&forged).await.unwrap();
    let found = journal.verify_against(anchor).await.map_err(named).unwrap_err();
    assert_eq!(found, (8, "its hash differs from the anchor".to_owned()));
    let beyond = journal.verify_against((12, anchor.1)).await.map_err(named).unwrap_err();
    assert_eq!(beyond, (12, "the journal ends before the anchor".to_owned()));
    let honest = FileJournal::open_read_only(folder.path().join("a.journal")).await.unwrap();
    assert_eq!(honest.verify_against(anchor).await.unwrap(), 12);
}

#[tokio::test]
async fn a_record_that_this_release_cannot_read_is_reported_if_records_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written_files(folder.path(), "a.journal", 1).await;
    let mut bytes = std::fs::read(segment(&path)).unwrap();
    let record = layout(&bytes).1[0].start + ENTRY_HEADER;
    let name = bytes[record..].windows(7).position(|it| it == b"alerted").unwrap() + record;
    bytes[name] = b'x';
    let hash = entry_hash(0, NOW, B256::ZERO, &bytes[record..]);
    bytes[record - 32..record].copy_from_slice(hash.as_slice());
    std::fs::write(segment(&path), bytes).unwrap();
    let found = verdict_of_files(&path).await.unwrap_err();
    assert_eq!(found, (0, "it is not the entry that the head names".to_owned()));
    let mut head = std::fs::read(path.join("owner-1")).unwrap();
    for slot in head.chunks_mut(144) {
        slot[80..112].copy_from_slice(hash.as_slice());
        let seal = sha2::Sha256::digest(&slot[..112]);
        slot[112..].copy_from_slice(&seal);
    }
    std::fs::write(path.join("owner-1"), head).unwrap();
    let (seq, what) = verdict_of_files(&path).await.unwrap_err();
    assert!(seq == 0 && what.starts_with("its record cannot be read: unknown variant"), "{what}");
    let journal = FileJournal::open_read_only(&path).await.unwrap();
    assert_eq!(journal.verify().await.unwrap(), 1, "the chain by itself is whole");
}

#[tokio::test]
async fn reading_a_tampered_part_fails_and_the_rest_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (path, entries) = written_files(folder.path(), "a.journal", COUNT).await;
    let mut bytes = std::fs::read(segment(&path)).unwrap();
    let at = layout(&bytes).1[4].start + ENTRY_HEADER + 5;
    bytes[at] ^= 1;
    std::fs::write(segment(&path), bytes).unwrap();
    let journal = FileJournal::open_read_only(&path).await.unwrap();
    assert_eq!(journal.read(0, 4).await.unwrap(), entries[..4]);
    assert_eq!(journal.read(5, 7).await.unwrap(), entries[5..]);
    assert!(matches!(journal.read(0, 6).await, Err(JournalError::Corrupt { seq: 4, .. })));
    let mut out = Vec::new();
    assert_eq!(journal.export(0, &mut out).await.unwrap(), 12, "as it is, for evidence");
    let checked = cofferdam_record::export::verify_export(out.as_slice()).map_err(named);
    assert_eq!(checked.unwrap_err().0, 4);
}
