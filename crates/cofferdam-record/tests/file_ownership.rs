//! One writer at a time to a journal in files, honest failures, and what a crash may leave.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a skipped test says why")]

mod common;

use cofferdam_core::ports::{Journal, JournalError};
use cofferdam_record::{
    FileJournal,
    conformance::samples::{numbered, snapshot},
};
use common::{NOW, append_named, copy_folder, named, verdict_of_files, written_files};

#[tokio::test]
async fn a_second_opener_is_fenced_while_the_first_lives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let first = FileJournal::open(&path).await.unwrap();
    assert!(matches!(FileJournal::open(&path).await, Err(JournalError::Fenced)));
    first.append(NOW, &[numbered(0)]).await.unwrap();
    let epoch = first.epoch();
    first.close().await;
    let second = FileJournal::open(&path).await.unwrap();
    assert_eq!(second.epoch(), epoch + 1);
    second.append(NOW, &[numbered(1)]).await.unwrap();
    assert_eq!(second.verify().await.unwrap(), 2);
}

#[tokio::test]
async fn an_owner_that_was_taken_over_can_append_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let old = FileJournal::open(&path).await.unwrap();
    old.append(NOW, &[numbered(0)]).await.unwrap();
    let new = FileJournal::take_over(&path).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(old.append(NOW, &[numbered(9)]).await, Err(JournalError::Fenced)));
    }
    new.append(NOW, &[numbered(1)]).await.unwrap();
    assert_eq!(new.verify().await.unwrap(), 2);
    assert!(matches!(FileJournal::open(&path).await, Err(JournalError::Fenced)));
    old.close().await;
    let third = FileJournal::open(&path).await;
    assert!(matches!(third, Err(JournalError::Fenced)), "the end of the old owner frees nothing");
    new.append(NOW, &[numbered(2)]).await.unwrap();
    new.close().await;
    assert_eq!(verdict_of_files(&path).await, Ok(3));
    let journal = FileJournal::open(&path).await.unwrap();
    assert_eq!(journal.read(0, 9).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_takeover_that_appends_nothing_leaves_a_sound_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let old = FileJournal::open(&path).await.unwrap();
    old.append(NOW, &[numbered(0)]).await.unwrap();
    FileJournal::take_over(&path).await.unwrap().close().await;
    assert!(matches!(old.append(NOW, &[numbered(9)]).await, Err(JournalError::Fenced)));
    old.close().await;
    let journal = FileJournal::open(&path).await.unwrap();
    journal.append(NOW, &[numbered(1)]).await.unwrap();
    journal.close().await;
    verdict_of_files(&path).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_openers_at_once_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let mut openers = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let path = path.clone();
        openers.spawn(async move { FileJournal::open(path).await });
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
    let (path, _) = written_files(folder.path(), "a.journal", 1).await;
    let link = folder.path().join("link.journal");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let _owner = FileJournal::open(&path).await.unwrap();
    assert!(matches!(FileJournal::open(&link).await, Err(JournalError::Fenced)));
}

#[tokio::test]
async fn a_closed_journal_holds_segments_one_owner_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    for count in 0..3 {
        let journal = FileJournal::open(&path).await.unwrap();
        journal.append(NOW, &[numbered(count)]).await.unwrap();
        journal.close().await;
        // An owner that appends nothing leaves no segment.
        FileJournal::open(&path).await.unwrap().close().await;
    }
    let names = std::fs::read_dir(&path).unwrap().map(|it| it.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    let segments = ["000000000000-1.segment", "000000000001-3.segment", "000000000002-5.segment"];
    assert_eq!(names[..3], segments);
    assert_eq!(names[3..], ["opening", "owner-6"]);
    let bytes: u64 = segments.iter().map(|it| path.join(it).metadata().unwrap().len()).sum();
    assert!(bytes < 1_000, "no zeroes are left");
}

#[tokio::test]
async fn a_journal_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (path, entries) = written_files(folder.path(), "a.journal", 12).await;
    let journal = FileJournal::open(&path).await.unwrap();
    assert_eq!(journal.last_snapshot().await.unwrap(), Some(9));
    let more = journal.append(NOW, &[snapshot(12)]).await.unwrap();
    assert_eq!(more[0].seq, 12);
    assert_eq!(more[0].prev, entries[11].hash);
    assert_eq!(journal.last_snapshot().await.unwrap(), Some(12));
    assert_eq!(journal.verify().await.unwrap(), 13);
    let all = journal.read(0, usize::MAX).await.unwrap();
    assert_eq!((&all[..12], &all[12..]), (&entries[..], &more[..]));
}

#[tokio::test]
async fn a_journal_of_many_segments_is_read_from_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let journal = FileJournal::open(&path).await.unwrap();
    let mut entries = Vec::new();
    // Large enough to fill the first segments, with commits beyond the size of a chunk among them.
    for commit in 0..40u64 {
        let text = "x".repeat(if commit % 9 == 8 { 40_000 } else { 3_000 });
        let record =
            |it| cofferdam_core::Record::Alerted { incident: None, text: format!("{it}{text}") };
        let records: Vec<_> = (0..60).map(record).collect();
        entries.extend(journal.append(NOW, &records).await.unwrap());
    }
    let segments = std::fs::read_dir(&path)
        .unwrap()
        .filter(|it| it.as_ref().unwrap().path().extension().is_some_and(|it| it == "segment"));
    assert!(segments.count() >= 3);
    let reader = FileJournal::open_read_only(&path).await.unwrap();
    for journal in [&journal, &reader] {
        for from in (0..entries.len()).step_by(97) {
            let want = &entries[from..(from + 3).min(entries.len())];
            assert_eq!(journal.read(from as u64, 3).await.unwrap(), want, "from {from}");
        }
        assert_eq!(journal.verify().await.unwrap(), entries.len() as u64);
    }
    assert_eq!(reader.read(0, usize::MAX).await.unwrap(), entries);
}

#[tokio::test]
async fn a_full_disk_refuses_the_append_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let journal = FileJournal::open_limited(&path, 40_000).await.unwrap();
    let mut answered = Vec::new();
    let refused = loop {
        match journal.append(NOW, &[numbered(answered.len() as u64), snapshot(7)]).await {
            Ok(entries) => answered.extend(entries),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, JournalError::Unavailable(_)), "{refused:?}");
    assert!(answered.len() > 100);
    assert!(journal.append(NOW, &vec![numbered(0); 1_000]).await.is_err(), "and again");
    assert_eq!(journal.read(0, usize::MAX).await.unwrap(), answered);
    assert_eq!(journal.verify().await.unwrap(), answered.len() as u64);
    journal.close().await;
    let journal = FileJournal::open(&path).await.unwrap();
    answered.extend(journal.append(NOW, &[numbered(1)]).await.unwrap());
    assert_eq!(journal.read(0, usize::MAX).await.unwrap(), answered);
    assert_eq!(journal.verify().await.unwrap(), answered.len() as u64);
}

#[tokio::test]
async fn a_journal_opened_for_reading_refuses_appends_and_follows_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    assert!(matches!(FileJournal::open_read_only(&path).await, Err(JournalError::Unavailable(_))));
    assert!(!path.exists(), "reading creates nothing");
    let writer = FileJournal::open(&path).await.unwrap();
    let reader = FileJournal::open_read_only(&path).await.unwrap();
    let refused = reader.append(NOW, &[numbered(0)]).await;
    assert!(matches!(refused, Err(JournalError::Unavailable(_))));
    let entries = writer.append(NOW, &[numbered(0), snapshot(1)]).await.unwrap();
    assert_eq!(reader.read(0, 9).await.unwrap(), entries);
    assert_eq!(reader.last_snapshot().await.unwrap(), Some(1));
    assert_eq!(reader.verify().await.unwrap(), 2);
}

#[tokio::test]
async fn what_is_no_journal_is_not_opened_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "dear diary").unwrap();
    assert_eq!(FileJournal::open(&text).await.map_err(named).unwrap_err().0, 0);
    assert_eq!(std::fs::read_to_string(&text).unwrap(), "dear diary");
    let refused = FileJournal::open(folder.path()).await.map_err(named).unwrap_err();
    assert_eq!(refused.1, "the folder is not a cofferdam journal");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was added");
    let nowhere = FileJournal::open(folder.path().join("no/such/folder.journal")).await;
    assert!(matches!(nowhere, Err(JournalError::Unavailable(_))));
}

#[tokio::test]
async fn a_crash_between_any_two_bytes_of_an_unacknowledged_commit_loses_only_that_commit() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("a.journal"), folder.path().join("copy"));
    let journal = FileJournal::open(&path).await.unwrap();
    append_named(&journal, "a", 0..6).await;
    copy_folder(&path, &copy);
    let head = std::fs::read(copy.join("owner-1")).unwrap();
    let before = content(&copy);
    append_named(&journal, "a", 6..9).await;
    copy_folder(&path, &copy);
    let whole = content(&copy);
    for cut in before.len()..=whole.len() {
        let _ = std::fs::remove_dir_all(&copy);
        std::fs::create_dir(&copy).unwrap();
        std::fs::write(copy.join("owner-1"), &head).unwrap();
        // Zeroes follow, as they do in a segment that was prepared.
        let mut torn = whole[..cut].to_vec();
        torn.resize(whole.len() + 500, 0);
        std::fs::write(copy.join("000000000000-1.segment"), torn).unwrap();
        let seen = FileJournal::open_read_only(&copy).await.unwrap();
        let opened = FileJournal::open(&copy).await.unwrap();
        let want = if cut == whole.len() { 9 } else { 6 };
        // A cut within trailing zeroes of the commit leaves it whole.
        let count = opened.verify().await.unwrap();
        assert!(count == want || (count == 9 && whole[cut..].iter().all(|it| *it == 0)), "{cut}");
        assert_eq!(seen.torn_bytes(), opened.torn_bytes());
        if cut > before.len() && count == 6 {
            assert!(opened.torn_bytes() > 0, "{cut} is told");
        }
        if cut % 16 > 0 {
            continue;
        }
        append_named(&opened, "a", count..count + 1).await;
        assert_eq!(opened.verify().await.unwrap(), count + 1);
        opened.close().await;
        assert_eq!(verdict_of_files(&copy).await, Ok(count + 1));
    }
    drop(journal);
}

#[tokio::test]
async fn an_acknowledged_commit_that_is_gone_after_a_crash_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("a.journal"), folder.path().join("copy"));
    let journal = FileJournal::open(&path).await.unwrap();
    append_named(&journal, "a", 0..9).await;
    copy_folder(&path, &copy);
    let whole = content(&copy);
    for lost in [1, 40, 200] {
        let mut torn = whole[..whole.len() - lost].to_vec();
        torn.resize(whole.len() + 500, 0);
        std::fs::write(copy.join("000000000000-1.segment"), torn).unwrap();
        let refused = FileJournal::open(&copy).await.map_err(named).unwrap_err();
        assert!((6..9).contains(&refused.0), "{refused:?}");
        assert!(FileJournal::open_read_only(&copy).await.is_err());
    }
    drop(journal);
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_cannot_be_written_is_read_and_not_opened_for_writing() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (path, entries) = written_files(folder.path(), "a.journal", 6).await;
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
    mode(0o555).unwrap();
    if std::fs::write(path.join("probe"), "").is_ok() {
        println!("skipped: this user may write to read-only folders");
        return mode(0o755).unwrap();
    }
    assert!(matches!(FileJournal::open(&path).await, Err(JournalError::Unavailable(_))));
    let reader = FileJournal::open_read_only(&path).await.unwrap();
    assert_eq!(reader.read(0, 9).await.unwrap(), entries);
    assert_eq!(reader.verify().await.unwrap(), 6);
    mode(0o755).unwrap();
}

/// The first segment without the zeroes at its end.
fn content(path: &std::path::Path) -> Vec<u8> {
    let mut bytes = std::fs::read(path.join("000000000000-1.segment")).unwrap();
    let end = bytes.iter().rposition(|it| *it != 0).map_or(0, |it| it + 1);
    bytes.truncate(end);
    bytes
}
