//! `cargo xtask drill`: many simulated lives on every core, or one with its story.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use cofferdam_drill::sim::{Counters, Simulator, Sometimes};

use crate::{Outcome, fail, root, say};

/// Failing seeds that are shown.
const FAILURES_SHOWN_MAX: usize = 20;
/// Lives that a thread takes at once.
const BATCH: u64 = 64;

/// What many lives came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counters: Counters,
    pub(crate) lived_ms: u64,
    pub(crate) failures: Vec<(u64, String)>,
}

/// Runs `cargo xtask drill`. With `--here` the lives are lived in the build at hand, however slow.
pub(crate) fn run(args: &[&str]) -> Outcome {
    match args {
        ["--seeds", count] => released(&["--seeds", count], || lives(0, number(count)?)),
        ["--from", first, "--seeds", count] => {
            released(args, || lives(number(first)?, number(count)?))
        }
        ["--here", "--seeds", count] => lives(0, number(count)?),
        ["--seed", seed] => released(args, || story(number(seed)?)),
        _ => Err(vec!["usage: cargo xtask drill [--from N] --seeds COUNT | --seed N".to_owned()]),
    }
}

/// Lives are only worth their time when optimised: a debug build hands over to a release build.
fn released(args: &[&str], run: impl FnOnce() -> Outcome) -> Outcome {
    if !cfg!(debug_assertions) {
        return run();
    }
    let status = std::process::Command::new(env!("CARGO"))
        .args(["run", "--release", "--quiet", "--package", "xtask", "--", "drill"])
        .args(args)
        .current_dir(root())
        .status()
        .map_err(|it| fail("cargo run --release", it))?;
    if status.success() { Ok(()) } else { Err(Vec::new()) }
}

fn lives(first: u64, count: u64) -> Outcome {
    let simulator = Simulator::new().map_err(|it| fail("simulated plans", it))?;
    let begun = Instant::now();
    let tally = many(&simulator, first, count);
    let seconds = begun.elapsed().as_secs_f64();
    for what in Sometimes::ALL {
        say(&format!("{:<18} {:>12}", format!("{what:?}"), tally.counters.count(what)));
    }
    say(&format!(
        "{count} lives, {:.0} simulated hours, in {seconds:.1} s: {:.0} seeds/s",
        tally.lived_ms as f64 / 3_600_000.0,
        count as f64 / seconds
    ));
    let mut lines = Vec::new();
    for (seed, what) in tally.failures.iter().take(FAILURES_SHOWN_MAX) {
        lines.push(format!("seed {seed}: {what}\n    story: cargo xtask drill --seed {seed}"));
    }
    if !tally.failures.is_empty() {
        lines.push(format!("{} of {count} lives broke", tally.failures.len()));
    }
    let never = tally.counters.never();
    if !never.is_empty() {
        lines.push(format!("never happened: {never:?}"));
    }
    if lines.is_empty() { Ok(()) } else { Err(lines) }
}

/// Lives `count` lives from `first` on, on every core.
pub(crate) fn many(simulator: &Simulator, first: u64, count: u64) -> Tally {
    let next = AtomicU64::new(0);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut tally = Tally::default();
    thread::scope(|scope| {
        let work = || {
            let mut tally = Tally::default();
            loop {
                let from = next.fetch_add(BATCH, Ordering::Relaxed);
                if from >= count {
                    return tally;
                }
                for seed in from..(from + BATCH).min(count) {
                    let life = simulator.run(first + seed);
                    tally.counters.add(&life.counters);
                    tally.lived_ms += life.lived_ms;
                    tally.failures.extend(life.failure.map(|what| (first + seed, what)));
                }
            }
        };
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for it in workers {
            // A life that panics is a failure like any other, of unknown seed.
            let it = it.join().unwrap_or_else(|_| Tally {
                failures: vec![(0, "a life panicked".to_owned())],
                ..Tally::default()
            });
            tally.counters.add(&it.counters);
            tally.lived_ms += it.lived_ms;
            tally.failures.extend(it.failures);
        }
    });
    tally.failures.sort();
    tally
}

fn story(seed: u64) -> Outcome {
    let simulator = Simulator::new().map_err(|it| fail("simulated plans", it))?;
    let (life, story) = simulator.trace(seed);
    for line in story {
        say(&line);
    }
    match life.failure {
        None => Ok(()),
        Some(what) => Err(vec![format!("seed {seed}: {what}")]),
    }
}

fn number(text: &str) -> Result<u64, Vec<String>> {
    text.parse().map_err(|_| vec![format!("`{text}` is not a number")])
}
