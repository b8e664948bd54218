//! Tampers of every class at many places: each must be found.

use std::path::{Path, PathBuf};

use cofferdam_core::{Record, ports::Journal};
use cofferdam_record::FileJournal;
use tokio::runtime::Runtime;

use super::{NOW, record};
use crate::{
    Failure,
    report::{Report, Row},
};

/// Tampers per class.
const EACH: u64 = 200;
/// Bytes of an entry before its record, and of a commit before its entries.
const ENTRY_HEADER: usize = 44;
const COMMIT_HEADER: usize = 56;

/// A tampered copy of a segment: what is left of it. The other journal's segment is for splices.
type Tamper = fn(&[u8], &[(usize, usize)], &[u8], u64) -> Vec<u8>;

const CLASSES: &[(&str, Tamper)] = &[
    ("bit flip", |bytes, _, _, random| {
        let mut out = bytes.to_vec();
        let at = random as usize % out.len();
        out[at] ^= 1 << ((random >> 40) % 8);
        out
    }),
    ("drop", |bytes, commits, _, random| {
        let (from, to) = pick(commits, random);
        [&bytes[..from], &bytes[to..]].concat()
    }),
    ("duplicate", |bytes, commits, _, random| {
        let (_, to) = pick(commits, random);
        let (from, _) = pick(commits, random);
        [&bytes[..to], &bytes[from..]].concat()
    }),
    ("swap", |bytes, commits, _, random| {
        let at = random as usize % (commits.len() - 1);
        let ((a, b), (_, c)) = (commits[at], commits[at + 1]);
        [&bytes[..a], &bytes[b..c], &bytes[a..b], &bytes[c..]].concat()
    }),
    ("re-order", |bytes, commits, _, random| {
        let (a, b) = pick(commits, random);
        [&bytes[..a], &bytes[b..], &bytes[a..b]].concat()
    }),
    ("truncate", |bytes, _, _, random| bytes[..random as usize % bytes.len()].to_vec()),
    ("splice", |bytes, commits, other, random| {
        let (a, b) = pick(commits, random);
        let mut out = bytes.to_vec();
        out[a..b].copy_from_slice(&other[a..b]);
        out
    }),
];

/// A commit that is not the last one: what is dropped or moved must change the file.
fn pick(commits: &[(usize, usize)], random: u64) -> (usize, usize) {
    commits[random as usize % (commits.len() - 1)]
}

/// Tampers with copies of one journal and verifies each.
pub(super) fn run(runtime: &Runtime, folder: &Path, report: &mut Report) -> Result<(), Failure> {
    let (ours, path) = written(runtime, &folder.join("tamper"), 0)?;
    let (other, _) = written(runtime, &folder.join("tamper-other"), 1_000_000)?;
    let commits = commits(&ours);
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    for (class, tamper) in CLASSES {
        let mut found = 0u64;
        for _ in 0..EACH {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            std::fs::write(&path, tamper(&ours, &commits, &other, random))?;
            found += u64::from(!verifies(runtime, &folder.join("tamper")));
        }
        let row = Row::rate(format!("tampers found: {class}"), "of 200", found as f64);
        report.row(row.beside("all", EACH as f64).at_least(1.0));
    }
    std::fs::write(&path, &ours)?;
    if verifies(runtime, &folder.join("tamper")) {
        return Ok(());
    }
    Err("the untouched journal does not verify".into())
}

/// A closed journal of 300 entries in commits of 3, all of the same length.
fn written(runtime: &Runtime, folder: &Path, from: u64) -> Result<(Vec<u8>, PathBuf), Failure> {
    runtime.block_on(async {
        let journal = FileJournal::open(folder).await?;
        for commit in 0..100 {
            let records: Vec<Record> =
                (0..3).map(|it| record(from + commit * 3 + it, 150)).collect();
            journal.append(NOW, &records).await?;
        }
        journal.close().await;
        let path = folder.join("000000000000-1.segment");
        Ok((std::fs::read(&path)?, path))
    })
}

/// Where the commits begin and end.
fn commits(bytes: &[u8]) -> Vec<(usize, usize)> {
    let length = COMMIT_HEADER + 3 * (ENTRY_HEADER + 150);
    let start = bytes.len() - 100 * length;
    (0..100).map(|it| (start + it * length, start + (it + 1) * length)).collect()
}

fn verifies(runtime: &Runtime, folder: &Path) -> bool {
    runtime.block_on(async {
        match FileJournal::open_read_only(folder).await {
            Ok(journal) => journal.verify().await.is_ok(),
            Err(_) => false,
        }
    })
}
