//! G1: which detectors does a log concern? The hash index of `cofferdam-detect` against a linear scan and
//! forta-agent, over the logs of two real mainnet blocks.
//!
//! All rivals get the same logs and the same detectors, and must find the same pairs before any time is
//! taken. Times are CPU times per log.

mod forta;
mod logs;

use alloy_primitives::{Address, B256, Log};
use cofferdam_detect::{Index, Interest};

use crate::{
    Failure,
    cpu::best_ns,
    report::{Report, Row},
};

/// Rounds per figure, and milliseconds per round.
const ROUNDS: usize = 7;
const ROUND_MS: u64 = 30;

/// Runs all of it.
pub(crate) fn run() -> Result<(), Failure> {
    let mut report = Report::new();
    let Some(logs) = logs::load()? else {
        report.note(format!("skipped: {} is absent", logs::path().display()));
        return report.print();
    };
    report.note(format!("{} logs of two mainnet blocks, about 1 % of them hits", logs.len()));
    let mut costs = Vec::new();
    for count in [100usize, 1_000, 10_000, 100_000] {
        let accounts = accounts(&logs, count);
        let index = index_of(&accounts);
        let found = same_hits(&logs, &accounts, &index)?;
        let ours = best_ns(ROUNDS, ROUND_MS, || by_index(&logs, &index)) / logs.len() as f64;
        let linear = best_ns(ROUNDS, ROUND_MS, || linearly(&logs, &accounts)) / logs.len() as f64;
        costs.push(ours);
        let figure = format!("dispatch, {count} detectors, {found} hits");
        let row = Row::rate(figure, "ns/log", ours).faster_than("linear scan", linear);
        report.row(if count == 1_000 { row.at_least(50.0) } else { row });
    }
    if let [few, _, many, _] = costs[..] {
        let row = Row::rate("10,000 detectors against 100", "ns/log", many);
        report.row(row.beside("100 detectors", few).at_most(2.0));
    }
    hot(&logs, &mut report);
    misses(&logs, &mut report);
    forta::run(&logs, &mut report)?;
    report.print()
}

/// `count` accounts that detectors watch: emitters of about one log in a hundred, and strangers.
pub(crate) fn accounts(logs: &[Log], count: usize) -> Vec<Address> {
    let mut counts = std::collections::BTreeMap::<Address, usize>::new();
    for log in logs {
        *counts.entry(log.address).or_default() += 1;
    }
    let mut rare: Vec<(usize, Address)> = counts.into_iter().map(|(it, n)| (n, it)).collect();
    rare.sort_unstable();
    let (mut out, mut hits) = (Vec::new(), 0);
    for (n, it) in rare {
        if hits * 100 < logs.len() {
            out.push(it);
            hits += n;
        }
    }
    out.extend(strangers().take(count.saturating_sub(out.len())));
    // The ones that are met stand anywhere.
    let length = out.len();
    for at in 0..length {
        out.swap(at, at.wrapping_mul(7_919) % length);
    }
    out
}

/// Accounts that no log of any chain is likely to come from.
fn strangers() -> impl Iterator<Item = Address> {
    let next = |it: &B256| Some(alloy_primitives::keccak256(it));
    std::iter::successors(Some(B256::ZERO), next).skip(1).map(Address::from_word)
}

fn index_of(accounts: &[Address]) -> Index {
    let interests: Vec<_> = accounts.iter().map(|it| vec![Interest::Account(*it)]).collect();
    Index::new(&interests)
}

fn by_index(logs: &[Log], index: &Index) {
    let mut hits = 0usize;
    for log in logs {
        index.log(std::hint::black_box(log), |list| hits += list.len());
    }
    std::hint::black_box(hits);
}

fn linearly(logs: &[Log], accounts: &[Address]) {
    let mut hits = 0usize;
    for log in logs {
        let log = std::hint::black_box(log);
        hits += accounts.iter().filter(|it| **it == log.address).count();
    }
    std::hint::black_box(hits);
}

/// Checks that both find the same pairs of log and detector; returns how many.
fn same_hits(logs: &[Log], accounts: &[Address], index: &Index) -> Result<usize, Failure> {
    let mut count = 0;
    for log in logs {
        let mut ours = Vec::new();
        index.log(log, |list| ours.extend_from_slice(list));
        ours.sort_unstable();
        let theirs = (0u32..).zip(accounts).filter(|it| *it.1 == log.address);
        let theirs: Vec<u32> = theirs.map(|it| it.0).collect();
        if ours != theirs {
            return Err(format!("the index finds {ours:?}, the scan {theirs:?}").into());
        }
        count += ours.len();
    }
    Ok(count)
}

/// Every detector watches the busiest account: the worst that a plan can do.
fn hot(logs: &[Log], report: &mut Report) {
    let busiest = logs
        .iter()
        .map(|it| it.address)
        .max_by_key(|address| logs.iter().filter(|it| it.address == *address).count());
    let accounts = vec![busiest.unwrap_or_default(); 1_000];
    let index = index_of(&accounts);
    let ours = best_ns(ROUNDS, ROUND_MS, || by_index(logs, &index)) / logs.len() as f64;
    let linear = best_ns(ROUNDS, ROUND_MS, || linearly(logs, &accounts)) / logs.len() as f64;
    let row = Row::rate("1,000 detectors on the busiest account", "ns/log", ours);
    report.row(row.faster_than("linear scan", linear));
}

/// Allocations while no log concerns anybody.
fn misses(logs: &[Log], report: &mut Report) {
    let accounts: Vec<Address> = strangers().take(1_000).collect();
    let index = index_of(&accounts);
    let counted = allocation_counter::measure(|| by_index(logs, &index));
    let row = Row::rate("allocations for 681 logs that miss", "", counted.count_total as f64);
    report.row(row.beside("none", 1.0).at_most(0.0));
}
