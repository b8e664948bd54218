//! Learning: a history in, a rule in shadow and everything that was turned down out.
//!
//! **Invariant:** the split is by time: no block that a guard is judged on is older than one it was learned
//! from.

use std::collections::BTreeMap;

use cofferdam_core::{Observation, Timestamp};
use serde::Serialize;

use crate::{
    Drift, Measured, Metric, MetricGuard, Proof, Sample, Settings, Subject,
    guard::{Guard, Guards, Memory, Tallies, measure},
    measured,
    metric::{STATE_BYTES_MAX, candidates},
    path::{self, PathGuard},
    samples,
    stream::{Model, State, restore},
};

/// Fewest blocks that touch the entity.
pub const BLOCKS_MIN: usize = 4;

/// How to learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Options {
    /// Share of the blocks, the latest, that guards are judged on, in parts per million.
    pub holdout_ppm: u32,
    /// What is added to a greatest and taken from a least value, in parts per million.
    pub margin_ppm: u64,
    /// Fewest observations of a guard.
    pub support_min: u64,
    /// Most of a guard's held-out observations that may break it, in parts per million.
    pub breaches_max_ppm: u32,
    /// The present, in seconds since the Unix epoch.
    pub now: u64,
    /// How long the guards count, in days.
    pub valid_days: u32,
    /// Whether half-space trees are proposed: their state is written with every block that touches the
    /// entity, and it is large.
    pub trees: bool,
    /// Seed of the models that draw.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            holdout_ppm: 300_000,
            margin_ppm: 200_000,
            support_min: 20,
            breaches_max_ppm: 10_000,
            now: 0,
            valid_days: 90,
            trees: false,
            seed: 7,
        }
    }
}

/// Why nothing can be learned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LearnError {
    /// Record more history.
    #[error("entity `{entity}` is touched by {got} blocks of the history, {BLOCKS_MIN} are needed")]
    TooShort {
        /// The entity.
        entity: String,
        /// Blocks that touch it.
        got: usize,
    },
    /// The hold-out must leave something to learn from and something to judge on.
    #[error("a hold-out of {0} parts per million leaves nothing on one side")]
    Holdout(u32),
}

/// What is known of an entity's past.
#[derive(Clone, Debug)]
pub struct History {
    subject: Subject,
    blocks: Vec<Block>,
    unseen: u64,
}

#[derive(Clone, Debug)]
struct Block {
    number: u64,
    time: Timestamp,
    samples: Vec<Sample>,
    measured: Measured,
}

/// A guard that was not worth keeping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// What it would have been.
    pub guard: String,
    /// Where.
    pub place: String,
    /// Why not.
    pub why: String,
}

/// What was learned about one entity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Learned {
    /// The entity.
    pub entity: String,
    /// The rule's settings.
    pub settings: Settings,
    /// What was turned down.
    pub rejected: Vec<Rejected>,
    /// Blocks that touch the entity: learned from, judged on.
    pub blocks: (usize, usize),
    /// Transactions: learned from, judged on.
    pub transactions: (usize, usize),
    /// Transactions that touch it and could not be looked into.
    pub unseen: u64,
    /// All bounds and paths together on held-out transactions.
    pub together: Proof,
}

impl History {
    /// An empty history of an entity.
    pub fn new(subject: Subject) -> Self {
        Self { subject, blocks: Vec::new(), unseen: 0 }
    }

    /// The entity.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Adds a block, facts decoded and reads answered. Blocks may come in any order.
    pub fn see(&mut self, observation: &Observation) {
        let (samples, unseen) = samples(&self.subject, observation);
        self.unseen += unseen;
        if samples.is_empty() {
            return;
        }
        let measured = measured(&self.subject, &samples);
        let (number, time) = (observation.block.number, observation.block.time);
        self.blocks.push(Block { number, time, samples, measured });
    }
}

/// Learns from a history.
///
/// # Errors
/// [`LearnError`].
pub fn learn(mut history: History, options: &Options) -> Result<Learned, LearnError> {
    let entity = history.subject.entity.clone();
    let got = history.blocks.len();
    if got < BLOCKS_MIN {
        return Err(LearnError::TooShort { entity, got });
    }
    history.blocks.sort_by_key(|it| (it.time, it.number));
    let later = got as u64 * u64::from(options.holdout_ppm) / 1_000_000;
    let cut = got - (later as usize).min(got);
    if cut == 0 || cut == got {
        return Err(LearnError::Holdout(options.holdout_ppm));
    }
    let (train, test) = history.blocks.split_at(cut);
    let mut rejected = Vec::new();
    let guards = guards(train, test, options, &mut rejected);
    let paths = paths(train, test, options, &mut rejected);
    let metrics = metrics(&history.subject, train, test, options, &mut rejected);
    let together = together(train, test, &guards, paths.as_ref());
    let count = |blocks: &[Block]| blocks.iter().map(|it| it.samples.len()).sum::<usize>();
    let seconds = |it: Option<&Block>| it.map_or(0, |it| it.time.0 / 1_000);
    let settings = Settings {
        promoted: false,
        shadow: None,
        learned_from: seconds(train.first()),
        learned_until: seconds(test.last()),
        expires: options.now.saturating_add(u64::from(options.valid_days) * 86_400),
        paths,
        guards,
        metrics,
    };
    Ok(Learned {
        entity,
        settings,
        rejected,
        blocks: (train.len(), test.len()),
        transactions: (count(train), count(test)),
        unseen: history.unseen,
        together,
    })
}

/// Runs over the transactions of blocks in order.
fn each(blocks: &[Block], memory: &mut Memory, mut look: impl FnMut(&Sample, &mut Memory)) {
    for block in blocks {
        memory.begin_block();
        block.samples.iter().for_each(|it| look(it, memory));
    }
}

/// What a guard met on the hold-out.
#[derive(Default)]
struct Trial {
    held_out: u64,
    breaches: u64,
    numbers: Vec<f64>,
}

fn guards(
    train: &[Block],
    test: &[Block],
    options: &Options,
    rejected: &mut Vec<Rejected>,
) -> Vec<Guard> {
    let (mut tallies, mut memory) = (Tallies::default(), Memory::default());
    each(train, &mut memory, |sample, memory| tallies.add(sample, memory));
    let mut bounds = BTreeMap::new();
    for ((invariant, place), tally) in &tallies.0 {
        match tally.bound(*invariant, options) {
            Ok(bound) => _ = bounds.insert((*invariant, place.clone()), (bound, Trial::default())),
            Err(why) => rejected.push(Rejected {
                guard: invariant.name().into(),
                place: place.to_string(),
                why,
            }),
        }
    }
    each(test, &mut memory, |sample, memory| {
        measure(sample, memory, &|_, _| true, &mut |invariant, place, value| {
            let Some((bound, trial)) = bounds.get_mut(&(invariant, place)) else { return };
            trial.held_out += 1;
            trial.breaches += u64::from(bound.broken_by(&value).is_some());
            if let crate::guard::Value::Number(it) = value {
                trial.numbers.push(f64::from(it));
            }
        });
    });
    let mut out = Vec::new();
    for ((invariant, place), (bound, trial)) in bounds {
        let tally = tallies.0.get(&(invariant, place.clone()));
        let (support, numbers) = tally.map_or((0, &[][..]), |it| (it.count, &it.numbers[..]));
        let drift = Drift::between(numbers, &trial.numbers);
        let proof = Proof::new(support, trial.held_out, trial.breaches, drift);
        match refuse(&proof, options) {
            Some(why) => rejected.push(Rejected {
                guard: invariant.name().into(),
                place: place.to_string(),
                why,
            }),
            None => out.push(Guard {
                invariant,
                contract: place.contract,
                selector: place.selector,
                word: place.word,
                asset: place.asset,
                data: place.data,
                bound,
                proof,
            }),
        }
    }
    out
}

/// Why a guard with this proof is not proposed.
fn refuse(proof: &Proof, options: &Options) -> Option<String> {
    let share = u128::from(proof.breaches) * 1_000_000;
    if proof.held_out == 0 {
        Some("nothing on the hold-out to try it on".into())
    } else if share > u128::from(options.breaches_max_ppm) * u128::from(proof.held_out) {
        Some(format!("{} of {} on the hold-out break it", proof.breaches, proof.held_out))
    } else if proof.drift == Drift::Drifted {
        Some("the hold-out is unlike what it was learned from".into())
    } else {
        None
    }
}

fn paths(
    train: &[Block],
    test: &[Block],
    options: &Options,
    rejected: &mut Vec<Rejected>,
) -> Option<PathGuard> {
    let of = |blocks: &'_ [Block]| -> Vec<path::CallPath> {
        blocks.iter().flat_map(|it| &it.samples).map(|it| it.path.clone()).collect()
    };
    let (earlier, later) = (of(train), of(test));
    let proof = Proof::new(0, 0, 0, Drift::Unknown);
    let mut guard = PathGuard {
        simple: true,
        read_only: true,
        restore_on_exit: true,
        known: Vec::new(),
        proof,
    };
    guard.known = path::collect(&guard, earlier.iter());
    let breaches = later.iter().filter(|it| guard.check(it).is_err()).count() as u64;
    let support = earlier.len() as u64;
    guard.proof = Proof::new(support, later.len() as u64, breaches, Drift::Unknown);
    let why = match refuse(&guard.proof, options) {
        None if support >= options.support_min => return Some(guard),
        None => format!("seen {support} times, {} are needed", options.support_min),
        Some(why) => why,
    };
    rejected.push(Rejected { guard: "paths".into(), place: "the entity".into(), why });
    None
}

fn metrics(
    subject: &Subject,
    train: &[Block],
    test: &[Block],
    options: &Options,
    rejected: &mut Vec<Rejected>,
) -> Vec<MetricGuard> {
    let mut kinds = vec![(Metric::Entries, None), (Metric::Gas, None)];
    kinds.extend(subject.assets.iter().map(|it| (Metric::Outflow, Some(it.0))));
    if options.trees {
        kinds.push((Metric::All, None));
    }
    let mut out = Vec::new();
    for (metric, asset) in kinds {
        let rows = |blocks: &[Block]| -> Vec<Vec<f64>> {
            blocks.iter().filter_map(|it| it.measured.row(subject, metric, asset)).collect()
        };
        let (earlier, later) = (rows(train), rows(test));
        let width = earlier.first().map_or(0, Vec::len);
        let spread = spread(&earlier);
        let models = candidates(metric, width, earlier.len(), spread, options.seed);
        for model in models.unwrap_or_default() {
            let (state, proof) = try_out(model, &earlier, &later);
            let model = serde_json::to_string(&state).unwrap_or_default();
            let guard = MetricGuard { metric, asset, model, proof };
            let long = guard.model.len() > STATE_BYTES_MAX;
            let long = long.then(|| format!("its state has more than {STATE_BYTES_MAX} bytes"));
            let why = refuse(&guard.proof, options).or(long);
            match why {
                None => out.push(guard),
                Some(why) => {
                    let place = "per block".into();
                    rejected.push(Rejected { guard: guard.title(), place, why });
                }
            }
        }
    }
    out
}

/// Learns the earlier rows and counts alarms on the later ones.
fn try_out(mut model: Box<dyn Model>, earlier: &[Vec<f64>], later: &[Vec<f64>]) -> (State, Proof) {
    let mut most = 0.0_f64;
    for row in earlier {
        most = most.max(model.step(row).ok().and_then(|it| it.score).unwrap_or(0.0));
    }
    // Trees know no threshold of their own: stranger than anything in the history.
    let mut state = model.state();
    if let State::HalfSpaceTrees(it) = &mut state {
        it.set_threshold(most);
        if let Ok(restored) = restore(state.clone()) {
            model = restored;
        }
    }
    let mut alarms = 0;
    for row in later {
        alarms += u64::from(model.step(row).is_ok_and(|it| it.alarm));
    }
    let first = |rows: &[Vec<f64>]| -> Vec<f64> {
        rows.iter().filter_map(|it| it.first().copied()).collect()
    };
    let drift = Drift::between(&first(earlier), &first(later));
    (model.state(), Proof::new(earlier.len() as u64, later.len() as u64, alarms, drift))
}

/// Standard deviation of the first column.
fn spread(rows: &[Vec<f64>]) -> f64 {
    let xs: Vec<f64> = rows.iter().filter_map(|it| it.first().copied()).collect();
    let n = xs.len().max(2) as f64;
    let mean = xs.iter().sum::<f64>() / n;
    (xs.iter().map(|it| (it - mean) * (it - mean)).sum::<f64>() / (n - 1.0)).sqrt()
}

/// Held-out transactions that break any bound or take an unknown path.
fn together(train: &[Block], test: &[Block], guards: &[Guard], paths: Option<&PathGuard>) -> Proof {
    // Learned guards fit their invariants and stand once each.
    let guards = Guards::new(guards.to_vec()).unwrap_or_default();
    let (mut memory, mut seen, mut trials, mut breaches) = (Memory::default(), 0, 0, 0);
    each(train, &mut memory, |sample, memory| {
        seen += 1;
        guards.breaches(sample, memory);
    });
    each(test, &mut memory, |sample, memory| {
        trials += 1;
        let bound = !guards.breaches(sample, memory).is_empty();
        let path = paths.is_some_and(|it| it.check(&sample.path).is_err());
        breaches += u64::from(bound || path);
    });
    Proof::new(seen, trials, breaches, Drift::Unknown)
}
