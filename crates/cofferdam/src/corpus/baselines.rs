//! The baselines: single families of guards, each learned per protocol from the ordinary stream before
//! anything is counted. The invariants of Trace2Inv by class, call paths in the manner of CrossGuard, and
//! half-space trees; all of them our own (`cofferdam-learn`), none copied.
//!
//! **Invariant:** a family sees what the engine sees, learns from more of it than the engine (which learns
//! nothing), and is judged on the same transactions.

use std::collections::{BTreeMap, HashMap};

use alloy_primitives::Address;
use cofferdam_core::{Observation, Tx, read::StateRead};
use cofferdam_learn::{
    History, Options, Sample, Subject,
    guard::{Category, Guards, Invariant, Memory},
    learn,
    path::PathGuard,
    samples,
    stream::{HalfSpaceSettings, HalfSpaceTrees},
};

use super::{failed, stage::Stage};
use crate::replay::ReplayError;

/// The families, by bit.
pub const FAMILIES: [&str; 11] = [
    "EOA only",
    "access control",
    "time lock",
    "gas bound",
    "re-entrancy lock",
    "oracle bound",
    "storage totals",
    "data flow",
    "money flow",
    "call paths",
    "half-space trees",
];

const PATHS: u16 = 1 << 9;
const TREES: u16 = 1 << 10;

/// Values of a row of the trees.
const WIDTH: usize = 8;
/// Rows of a window of the trees.
const WINDOW: u16 = 200;

/// One protocol.
#[derive(Clone, Debug)]
struct Learned {
    guards: Guards,
    memory: Memory,
    paths: Option<PathGuard>,
    trees: HalfSpaceTrees,
    /// Score above which the trees raise an alarm: the highest that learning met.
    threshold: f64,
}

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct Baselines {
    subjects: Vec<Subject>,
    /// Which subject an account belongs to.
    of: HashMap<Address, usize>,
    histories: Vec<History>,
    rows: Vec<Vec<[f64; WIDTH]>>,
    learned: Vec<Learned>,
    seed: u64,
}

impl Baselines {
    pub(super) fn new(stage: &Stage, seed: u64) -> Self {
        let subject = |it: &super::stage::Scene| Subject {
            entity: it.class.clone(),
            accounts: it.accounts.clone(),
            assets: it
                .assets
                .iter()
                .map(|it| (super::attack::asset_id(it.token), it.decimals, it.symbol.clone()))
                .collect(),
        };
        let subjects: Vec<Subject> = stage.scenes.iter().map(subject).collect();
        let pairs = subjects.iter().enumerate();
        let of = pairs.flat_map(|(at, it)| it.accounts.iter().map(move |account| (*account, at)));
        Self {
            of: of.collect(),
            histories: subjects.iter().cloned().map(History::new).collect(),
            rows: vec![Vec::new(); subjects.len()],
            learned: Vec::new(),
            subjects,
            seed,
        }
    }

    pub(super) fn are_learned(&self) -> bool {
        !self.learned.is_empty()
    }

    /// What has to be read for the protocols that `block` touches.
    pub(super) fn reads(&self, block: &Observation) -> Vec<StateRead> {
        self.touched(block).keys().flat_map(|it| self.subjects[*it].reads()).collect()
    }

    /// The protocols that each transaction touches, with the positions of the transactions.
    fn touched(&self, block: &Observation) -> BTreeMap<usize, Vec<usize>> {
        let mut out: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (position, tx) in block.txs.iter().enumerate() {
            for subject in self.touches(tx) {
                let list = out.entry(subject).or_default();
                if list.last() != Some(&position) {
                    list.push(position);
                }
            }
        }
        out
    }

    fn touches<'a>(&'a self, tx: &'a Tx) -> impl Iterator<Item = usize> + 'a {
        let called = tx.frames.iter().map(|it| it.to);
        let logged = tx.logs.iter().flat_map(|log| {
            let parties = log.topics().iter().skip(1).map(|it| Address::from_word(*it));
            std::iter::once(log.address).chain(parties)
        });
        called.chain(logged).filter_map(|it| self.of.get(&it).copied())
    }

    /// Learns from a block, or judges it: a set of families for each transaction.
    pub(super) fn see(&mut self, block: &mut Observation) -> Result<Vec<u16>, ReplayError> {
        let touched = self.touched(block);
        let all = std::mem::take(&mut block.txs);
        let mut flags = vec![0; all.len()];
        for (subject, positions) in touched {
            block.txs = positions.iter().map(|it| all[*it].clone()).collect();
            if self.learned.is_empty() {
                for it in samples(&self.subjects[subject], block).0 {
                    self.rows[subject].push(row(&it));
                }
                self.histories[subject].see(block);
                continue;
            }
            let judge = &mut self.learned[subject];
            judge.memory.begin_block();
            for it in samples(&self.subjects[subject], block).0 {
                flags[positions[it.position]] |= judge.flags(&it)?;
            }
        }
        block.txs = all;
        Ok(flags)
    }

    /// Turns the histories into guards. Thresholds are what learning met, with the margin of `learn`.
    pub(super) fn learn(&mut self, stage: &Stage) -> Result<(), ReplayError> {
        let now = stage.chain.head().time.0 / 1_000;
        let options = Options { now, seed: self.seed, ..Options::default() };
        let histories = std::mem::take(&mut self.histories);
        let rows = std::mem::take(&mut self.rows);
        for (history, rows) in histories.into_iter().zip(rows) {
            // Who has too short a history has no guards.
            let settings = learn(history, &options).ok().map(|it| it.settings);
            let (guards, paths) = settings.map(|it| (it.guards, it.paths)).unwrap_or_default();
            let guards = Guards::new(guards).map_err(|it| failed("a learned guard", it))?;
            let (trees, threshold) = self.trees(&rows)?;
            let memory = Memory::default();
            self.learned.push(Learned { guards, memory, paths, trees, threshold });
        }
        Ok(())
    }

    fn trees(&self, rows: &[[f64; WIDTH]]) -> Result<(HalfSpaceTrees, f64), ReplayError> {
        let settings = HalfSpaceSettings {
            width: WIDTH,
            trees: 25,
            height: 8,
            window: WINDOW,
            threshold: 1.0,
            seed: self.seed,
        };
        let wrong = |it| failed("half-space trees", it);
        let mut trees = HalfSpaceTrees::new(settings).map_err(wrong)?;
        let mut most: f64 = 0.0;
        for it in rows {
            let score = trees.score(it).map_err(wrong)?;
            most = most.max(score.unwrap_or_default());
        }
        Ok((trees, most))
    }
}

impl Learned {
    fn flags(&mut self, sample: &Sample) -> Result<u16, ReplayError> {
        let mut out = 0;
        for breach in self.guards.breaches(sample, &mut self.memory) {
            out |= 1 << family(breach.guard.invariant);
            out |= u16::from(breach.guard.invariant == Invariant::OnlyEoa);
        }
        if self.paths.as_ref().is_some_and(|it| it.check(&sample.path).is_err()) {
            out |= PATHS;
        }
        let score = self.trees.score(&row(sample)).map_err(|it| failed("half-space trees", it))?;
        if score.is_some_and(|it| it > self.threshold) {
            out |= TREES;
        }
        Ok(out)
    }
}

fn family(invariant: Invariant) -> u32 {
    match invariant.category() {
        Category::Access => 1,
        Category::Time => 2,
        Category::Gas => 3,
        Category::Reentrancy => 4,
        Category::Oracle => 5,
        Category::Storage => 6,
        Category::Data => 7,
        Category::Money => 8,
    }
}

/// What the trees look at: sizes on a logarithmic scale, counts, and shares of the holdings.
fn row(sample: &Sample) -> [f64; WIDTH] {
    let size = |it: alloy_primitives::U256| f64::from(u32::try_from(it.bit_len()).unwrap_or(256));
    let sent = sample.flows.iter().map(|it| it.sent).max().unwrap_or_default();
    let received = sample.flows.iter().map(|it| it.received).max().unwrap_or_default();
    let share = sample.flows.iter().filter_map(|it| {
        let held = it.held.filter(|held| !held.is_zero())?;
        Some((f64::from(it.sent) / f64::from(held)).min(10.0))
    });
    let words = sample.entries.iter().flat_map(|it| &it.words).map(|it| size(*it));
    [
        (sample.gas_used as f64).log2(),
        sample.entries.len() as f64,
        sample.nested.len() as f64,
        size(sent),
        size(received),
        share.fold(0.0, f64::max),
        words.filter(|it| *it <= 128.0).fold(0.0, f64::max),
        f64::from(u8::from(sample.entries.iter().any(|it| it.sender != sample.origin))),
    ]
}
