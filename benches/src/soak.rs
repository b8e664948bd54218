//! A day in minutes: 7,200 blocks of recorded mainnet traffic through the engine and the journal, under
//! 500 rules. Does memory stay flat, and does nothing queue up?
//!
//! The recorded blocks go round, each time with new numbers, times and hashes that link up. They arrive
//! by a clock at four times the time that one takes at the beginning, whether the one before is done or
//! not, so a program that slows down falls behind and it shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, keccak256};
use cofferdam_core::{
    BlockEnv, Fact, Observation, Timestamp,
    plan::Plan,
    read::{Answer, Reading, StateRead},
    snapshot::Snapshot,
};
use cofferdam_observe::recorded::{MainnetBlocks, load_block_index};
use cofferdam_sim::{ExecuteOptions, On, Rules, answer_reads, execute_block};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::{
    Failure,
    feeder::Feeder,
    report::{Report, Row},
};

/// Blocks of a day of 12-second slots.
const BLOCKS: u64 = 7_200;
const ENTITIES: usize = 50;
/// Rules per entity: all that need no configuration of their own and watch what an account does.
const DETECTORS: [&str; 10] = [
    "armed-contract",
    "control-change",
    "flash-loan",
    "forced-trade",
    "outflow",
    "probing",
    "reentrancy",
    "rounding-loop",
    "silent-change",
    "unauthorised-transfer",
];
/// Blocks before the clock begins: they set its pace, and windows and caches fill up.
const WARM_UP: u64 = 300;
/// How much longer than a block takes the next one is waited for, and the longest wait: a day fits into
/// four minutes.
const SLACK: f64 = 4.0;
const PACE_MAX: Duration = Duration::from_millis(32);
/// Memory is looked at every so many blocks.
const SAMPLE_EVERY: u64 = 50;
/// Bars: growth over the day in MiB, and of the lag in milliseconds.
const GROWTH_MIB: f64 = 32.0;
const LAG_MS: f64 = 100.0;

/// Runs it, over a tenth of a day if `quick`.
pub(crate) fn run(quick: bool) -> Result<(), Failure> {
    let mut report = Report::new();
    let folder = data().join("mainnet-blocks");
    if !folder.is_dir() {
        report.note(format!("skipped: {} is absent", folder.display()));
        return report.print();
    }
    let blocks = if quick { BLOCKS / 10 } else { BLOCKS };
    let recorded = load(&folder)?;
    let plan = plan(&recorded)?;
    let rules = plan.rules.len();
    let journal = tempfile::tempdir()?;
    let told = Runtime::new()?.block_on(live(recorded, plan, journal.path(), blocks))?;
    report.row(
        Row::rate("growth of memory per day, fitted", "MiB", told.growth_per_block * BLOCKS as f64)
            .beside("the bar, 32 MiB", GROWTH_MIB)
            .at_most(1.0),
    );
    report.row(
        Row::rate(
            "lag of the last fifth over the first, median",
            "ms",
            told.lag_last - told.lag_first,
        )
        .beside("the bar, 100 ms", LAG_MS)
        .at_most(1.0),
    );
    let (first, last) = (told.took_first, told.took_last);
    report.row(Row::rate("a block, last fifth, median", "ms", last).beside("first fifth", first));
    report.note(format!(
        "{blocks} blocks, {} transactions, {rules} rules; a block every {:.1} ms: {:.0} times as fast as the chain",
        told.txs,
        told.pace.as_secs_f64() * 1e3,
        12.0 / told.pace.as_secs_f64()
    ));
    report.note(format!(
        "{} records, {} findings, journal verified; memory {:.1} MiB after the warm-up, {:.1} MiB at the end, most {:.1} MiB",
        told.records, told.findings, told.rss_first, told.rss_last, told.rss_most
    ));
    report.print()
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data")
}

/// A block with what it does, and the state on both sides of it.
struct Block {
    seen: Observation,
    before: Snapshot,
    after: Snapshot,
    /// Answers given before.
    known: BTreeMap<StateRead, Reading>,
}

fn load(folder: &Path) -> Result<Vec<Block>, Failure> {
    let (blocks, rules) = (MainnetBlocks::open(folder)?, Rules::mainnet());
    let mut out = Vec::new();
    for row in load_block_index(&folder.join("index.csv"))? {
        let recorded = blocks.load(row.number)?;
        let options = ExecuteOptions { rules: rules.clone() };
        let mut seen = execute_block(&recorded.observation, &recorded.state, &options)?.observation;
        seen.decode_facts();
        let mut after = recorded.state.clone();
        for tx in &seen.txs {
            for it in &tx.diff.storage {
                after.account_mut(it.address).storage.insert(it.slot, it.after);
            }
            for it in &tx.diff.balances {
                after.account_mut(it.address).state.balance = it.after;
            }
        }
        out.push(Block { seen, before: recorded.state, after, known: BTreeMap::new() });
    }
    Ok(out)
}

/// The contracts that most transactions move value through, each under every rule.
fn plan(blocks: &[Block]) -> Result<Plan, Failure> {
    let mut counts = BTreeMap::<Address, (u64, BTreeSet<Address>)>::new();
    for (block, fact) in blocks
        .iter()
        .flat_map(|it| it.seen.txs.iter().flat_map(|tx| &tx.facts).map(move |fact| (it, fact)))
    {
        let Fact::Transfer { token, from, to, .. } = fact else { continue };
        for party in [from, to] {
            let account = block.before.accounts.get(party);
            if account.is_some_and(|it| !it.state.code.is_empty()) {
                let it = counts.entry(*party).or_default();
                it.0 += 1;
                it.1.insert(*token);
            }
        }
    }
    let mut ranked: Vec<_> = counts.into_iter().collect();
    ranked.sort_by_key(|(it, (count, _))| (std::cmp::Reverse(*count), *it));
    ranked.truncate(ENTITIES);
    let (mut entities, mut rules) = (Vec::new(), Vec::new());
    for (number, (account, (_, tokens))) in ranked.iter().enumerate() {
        let id = format!("contract-{number}");
        let asset =
            |it: &Address| json!({ "token": it, "symbol": "T", "decimals": 18, "price": "1 usd" });
        let assets: Vec<_> = tokens.iter().take(20).map(asset).collect();
        entities.push(json!({
            "id": id, "accounts": [format!("eip155:1:{account}")], "assets": assets,
        }));
        rules.extend(DETECTORS.map(|detector| {
            json!({ "id": format!("{detector}-{number}"), "detector": detector, "mode": "alert", "entities": [id] })
        }));
    }
    Ok(serde_json::from_value(json!({
        "version": 1, "name": "soak", "chains": [{ "id": "eip155:1" }], "entities": entities,
        "rules": rules, "actions": [],
    }))?)
}

/// What a day showed.
struct Told {
    txs: u64,
    records: u64,
    findings: u64,
    pace: Duration,
    /// MiB per block.
    growth_per_block: f64,
    rss_first: f64,
    rss_last: f64,
    rss_most: f64,
    lag_first: f64,
    lag_last: f64,
    took_first: f64,
    took_last: f64,
}

async fn live(
    mut recorded: Vec<Block>,
    plan: Plan,
    journal: &Path,
    blocks: u64,
) -> Result<Told, Failure> {
    let rules = Rules::mainnet();
    let mut feeder = Feeder::start(plan, &journal.join("journal"), time(0)).await?;
    let (mut parent, mut txs) = (B256::ZERO, 0);
    let mut pace = Duration::ZERO;
    let (mut lags, mut took, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    let mut clock = Instant::now();
    let count = recorded.len() as u64;
    for number in 1..=WARM_UP + blocks {
        let block = &mut recorded[(number % count) as usize];
        if number == WARM_UP + 1 {
            pace = Duration::from_secs_f64(median(&took) * SLACK / 1e3).min(PACE_MAX);
            took.clear();
            clock = Instant::now();
        }
        if number > WARM_UP {
            let due = clock + pace * (number - WARM_UP) as u32;
            tokio::time::sleep_until(due.into()).await;
            lags.push(due.elapsed().as_secs_f64() * 1e3);
        }
        let started = Instant::now();
        let next = block.next(&feeder, &rules, number, parent)?;
        parent = next.block.hash;
        txs += next.txs.len() as u64;
        feeder.block(next).await?;
        took.push(started.elapsed().as_secs_f64() * 1e3);
        if number > WARM_UP && number % SAMPLE_EVERY == 0 {
            memory.push((number as f64, resident_mib()?));
        }
    }
    let records = feeder.check().await?;
    if records < WARM_UP + blocks {
        return Err("there are fewer records than blocks".into());
    }
    let fifth = lags.len() / 5;
    let value = |it: Option<&(f64, f64)>| it.map_or(f64::NAN, |it| it.1);
    Ok(Told {
        txs,
        records,
        findings: feeder.findings,
        pace,
        growth_per_block: slope(&memory),
        rss_first: value(memory.first()),
        rss_last: value(memory.last()),
        rss_most: memory.iter().map(|it| it.1).fold(0.0, f64::max),
        lag_first: median(&lags[..fifth]),
        lag_last: median(&lags[lags.len() - fifth..]),
        took_first: median(&took[..fifth]),
        took_last: median(&took[took.len() - fifth..]),
    })
}

impl Block {
    /// The block as number `number` after `parent`, with the reads that the rules want.
    fn next(
        &mut self,
        feeder: &Feeder,
        rules: &Rules,
        number: u64,
        parent: B256,
    ) -> Result<Observation, Failure> {
        let mut next = self.seen.clone();
        next.block.number = number;
        next.block.parent = parent;
        next.block.time = time(number);
        next.block.hash = keccak256([&number.to_be_bytes()[..], parent.as_slice()].concat());
        for tx in &mut next.txs {
            tx.hash = keccak256([&number.to_be_bytes()[..], tx.hash.as_slice()].concat());
        }
        let wanted = feeder.shell.engine().wanted_reads(&next);
        let unknown: Vec<_> =
            wanted.iter().filter(|it| !self.known.contains_key(*it)).cloned().collect();
        if !unknown.is_empty() {
            let env = BlockEnv { base_fee: 0, ..self.seen.env.clone() };
            let answers = |state: &Snapshot| -> Result<Vec<Answer>, Failure> {
                let on = On { block: &self.seen.block, env: &env, state, rules };
                Ok(answer_reads(&unknown, on)?)
            };
            let pairs = answers(&self.before)?.into_iter().zip(answers(&self.after)?);
            let readings = pairs.map(|(before, after)| Reading { before, after });
            self.known.extend(unknown.into_iter().zip(readings));
        }
        for question in wanted {
            if let Some(reading) = self.known.get(&question) {
                next.readings.insert(question, reading.clone());
            }
        }
        Ok(next)
    }
}

fn time(number: u64) -> Timestamp {
    Timestamp(1_790_000_000_000 + number * 12_000)
}

/// Memory that this process holds, in MiB.
fn resident_mib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The slope of the line that fits best by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|it| it.0), mean(|it| it.1));
    let (mut over, mut under) = (0.0, 0.0);
    for it in points {
        over += (it.0 - x) * (it.1 - y);
        under += (it.0 - x) * (it.0 - x);
    }
    over / under
}

#[cfg(test)]
mod tests {
    use super::slope;

    #[test]
    fn a_line_has_its_slope() {
        let points: Vec<_> = (0..10).map(|it| (f64::from(it), 3.0 + 2.0 * f64::from(it))).collect();
        assert!((slope(&points) - 2.0).abs() < 1e-9);
    }
}
