//! G8: a back-test of 1,000 detectors, 200 of them with a memory, over 10 M synthetic logs in Parquet as cryo writes
//! it, beside DuckDB and polars on the same files.
//!
//! All rivals get two threads, and must find the same rows before any time is taken. Times are wall clock: all rivals
//! use both threads, and Python's own time is left out except where a cold start is measured.

mod data;
mod peer;

use std::{
    collections::BTreeMap,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use cofferdam::backtest::scan;
use cofferdam_columns::{Folder, Hit, Pairs};
use cofferdam_core::plan::Plan;

use crate::{
    Failure,
    report::{Report, Row},
};
use data::Detector;
use peer::{Found, Peer};

/// Threads of every rival.
const THREADS: usize = 2;
/// Alternating rounds of what is quick.
const ROUNDS: usize = 5;
/// Detectors whose own query is timed; the rest is scaled.
const SAMPLE: usize = 100;

/// Runs all of it.
pub(crate) fn run(quick: bool) -> Result<(), Failure> {
    let mut report = Report::new();
    let folder = tempfile::tempdir()?;
    let (chunks, per_chunk) = if quick { (2, 100) } else { (50, 1_000) };
    let detectors = data::detectors();
    let logs = data::write(folder.path(), &detectors, chunks, per_chunk)?;
    report.note(format!(
        "{logs} logs in {} blocks, {} detectors, {} of them with a memory; {THREADS} threads each",
        chunks * per_chunk,
        detectors.len(),
        detectors.iter().filter(|it| it.stateful).count()
    ));
    let plan = data::plan(&detectors)?;
    let mut peer = match Peer::start(folder.path(), THREADS) {
        Ok(it) => it,
        Err(error) => {
            let (seconds, _) = whole(folder.path(), &plan)?;
            report.row(Row::rate("one pass, 1,000 detectors", "s", seconds));
            report.note(format!("the peers cannot be installed, no bar is judged: {error}"));
            return report.print();
        }
    };
    same(folder.path(), &plan, &detectors, &mut peer)?;
    one_pass(folder.path(), &plan, &detectors, &mut peer, &mut report)?;
    join(folder.path(), &detectors, &mut peer, &mut report)?;
    cold(folder.path(), &detectors, &peer, &mut report)?;
    report.print()
}

/// The pass of `cofferdam backtest --detectors`: seconds, and hits by detector.
fn whole(folder: &Path, plan: &Plan) -> Result<(f64, BTreeMap<u32, u64>), Failure> {
    let begun = Instant::now();
    let found = scan(folder, plan, THREADS, &mut |_, _| {})?;
    let seconds = begun.elapsed().as_secs_f64();
    if found.detections.blind > 0 {
        return Err(format!("{} blind findings", found.detections.blind).into());
    }
    let number = |rule: &str| rule.trim_start_matches('d').parse::<u32>();
    let mut out = BTreeMap::new();
    for (rule, of) in &found.detections.rules {
        out.insert(number(rule)?, of.values().sum());
    }
    Ok((seconds, out))
}

/// What the stateless detectors look for, straight from emitters and signatures.
fn pairs(folder: &Path, detectors: &[Detector]) -> Result<(f64, Vec<Hit>), Failure> {
    let stateless = detectors.iter().filter(|it| !it.stateful);
    let pairs = Pairs::new(stateless.map(|it| (it.address, it.topic)));
    let begun = Instant::now();
    let folder = Folder::open(folder)?.ok_or("no files")?;
    let groups = folder.log_groups();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let part = || -> Result<Vec<Hit>, Failure> {
        let mut out = Vec::new();
        loop {
            let group = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if group >= groups {
                return Ok(out);
            }
            out.extend(folder.hits(group, &pairs)?);
        }
    };
    let mut out = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(part)).collect();
        for it in threads {
            out.extend(it.join().map_err(|_| "a thread died")??);
        }
        Ok::<(), Failure>(())
    })?;
    Ok((begun.elapsed().as_secs_f64(), out))
}

/// Everybody finds the same, before anybody is timed.
fn same(
    folder: &Path,
    plan: &Plan,
    detectors: &[Detector],
    peer: &mut Peer,
) -> Result<(), Failure> {
    let theirs = peer.ask("join")?.hits;
    let windows = peer.ask("windows")?.hits;
    let (_, hits) = pairs(folder, detectors)?;
    let stateless: Vec<u32> =
        (0..).zip(detectors).filter(|it| !it.1.stateful).map(|it| it.0).collect();
    let mut ours: Found = BTreeMap::new();
    for it in hits {
        let id = stateless.get(it.detector as usize).copied().unwrap_or_default();
        let of = ours.entry(id).or_default();
        *of = (of.0 + 1, of.1 + it.block * 10_000 + it.log);
    }
    if ours != theirs {
        return Err(format!(
            "hits differ: ours of {} detectors, theirs of {}",
            ours.len(),
            theirs.len()
        )
        .into());
    }
    let (_, counts) = whole(folder, plan)?;
    let expected: BTreeMap<u32, u64> =
        theirs.iter().chain(&windows).map(|(id, it)| (*id, it.0)).collect();
    if counts != expected {
        let wrong = expected.iter().find(|it| counts.get(it.0) != Some(it.1));
        return Err(format!("findings differ, first at {wrong:?}").into());
    }
    for id in sample(detectors.len()).take(10) {
        let (a, b) =
            (peer.ask(&format!("duckdb {id}"))?.hits, peer.ask(&format!("polars {id}"))?.hits);
        let want: Found = theirs
            .iter()
            .chain(&windows)
            .filter(|it| *it.0 == id)
            .map(|it| (*it.0, *it.1))
            .collect();
        if a != want || b != want {
            return Err(format!("one query for detector {id} finds something else").into());
        }
    }
    Ok(())
}

/// Detectors whose own query is timed, spread over all of them.
fn sample(count: usize) -> impl Iterator<Item = u32> {
    let step = count.div_ceil(SAMPLE).max(1);
    (0..count).step_by(step).map(|it| it as u32)
}

fn one_pass(
    folder: &Path,
    plan: &Plan,
    detectors: &[Detector],
    peer: &mut Peer,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut ours = f64::INFINITY;
    let mut rivals = [("DuckDB", "duckdb", 0.0_f64), ("polars", "polars", 0.0)];
    let mut asked = 0;
    let ids: Vec<u32> = sample(detectors.len()).collect();
    for part in ids.chunks(ids.len().div_ceil(ROUNDS).max(1)) {
        ours = ours.min(whole(folder, plan)?.0);
        for id in part {
            asked += 1;
            for it in &mut rivals {
                it.2 += peer.ask(&format!("{} {id}", it.1))?.seconds;
            }
        }
    }
    let scale = detectors.len() as f64 / f64::from(asked);
    for (name, _, seconds) in rivals {
        let row =
            Row::rate(format!("1,000 detectors, one pass; {name}: one query each"), "s", ours);
        report.row(
            row.faster_than(format!("{name} {}", peer.version(name)), seconds * scale)
                .at_least(100.0),
        );
    }
    report.note(format!(
        "of the single queries {asked} were run, spread over all detectors, and scaled"
    ));
    Ok(())
}

fn join(
    folder: &Path,
    detectors: &[Detector],
    peer: &mut Peer,
    report: &mut Report,
) -> Result<(), Failure> {
    let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        ours = ours.min(pairs(folder, detectors)?.0);
        theirs = theirs.min(peer.ask("join")?.seconds);
    }
    let row = Row::rate("800 stateless detectors: which log concerns whom", "s", ours);
    let name = format!("DuckDB {}, one hash join", peer.version("DuckDB"));
    report.row(row.faster_than(name, theirs).at_least(3.0));
    Ok(())
}

/// From the start of a process to its first result.
fn cold(
    folder: &Path,
    detectors: &[Detector],
    peer: &Peer,
    report: &mut Report,
) -> Result<(), Failure> {
    let first = detectors.first().ok_or("no detectors")?;
    let words = [format!("{:x}", first.address), format!("{:x}", first.topic)];
    let timed = |command: &mut Command| -> Result<Duration, Failure> {
        let begun = Instant::now();
        let output = command.output()?;
        let took = begun.elapsed();
        match output.status.success() && !output.stdout.is_empty() {
            true => Ok(took),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into()),
        }
    };
    let ours =
        || timed(Command::new(std::env::current_exe()?).arg("g8-first").arg(folder).args(&words));
    let mut best = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        best[0] = best[0].min(ours()?);
        for (at, name) in [(1, "duckdb"), (2, "polars")] {
            best[at] = best[at].min(timed(peer.first(name).arg(folder).args(&words))?);
        }
    }
    let ms = |it: Duration| it.as_secs_f64() * 1e3;
    for (at, name) in [(1, "DuckDB"), (2, "polars")] {
        let row = Row::rate(format!("cold start to the first result; {name}"), "ms", ms(best[0]));
        report.row(row.faster_than(format!("python, {name}"), ms(best[at])).at_least(5.0));
    }
    report.note("a cold start is of the process, the files being in the page cache; the peers' includes Python");
    Ok(())
}

/// The child of a cold start: prints the first hit of one detector.
#[expect(clippy::print_stdout, reason = "a child tells its parent")]
pub(crate) fn first(folder: &str, address: &str, topic: &str) -> Result<(), Failure> {
    let pairs = Pairs::new([(address.parse()?, topic.parse()?)]);
    let folder = Folder::open(Path::new(folder))?.ok_or("no files")?;
    for group in 0..folder.log_groups() {
        if let Some(it) = folder.hits(group, &pairs)?.first() {
            println!("{} {}", it.block, it.log);
            return Ok(());
        }
    }
    Err("no hit".into())
}
