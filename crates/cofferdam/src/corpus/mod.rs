//! The adversarial corpus (`drills/corpus`): exploit classes executed on the in-process chain, and a long
//! stream of ordinary transactions over the same victims, both seen by the engine under one generic plan.
//!
//! **Invariant:** every transaction is executed, none is made up: call trees, logs and state changes are
//! those of the EVM. What is configured is the victims alone, by one rule for all of them; whether an
//! attack did harm is told by balances, never by a finding. Equal seeds give equal chains, hash by hash.

mod agents;
mod artifacts;
mod attack;
mod baselines;
mod benign;
mod plan;
mod report;
mod split;
mod stage;
mod tally;
mod watch;

use serde::Serialize;

pub use attack::{AttackLine, Outcome, Variant};
pub use baselines::FAMILIES;
pub use benign::BenignResult;
pub use report::{table, verdicts};
pub use tally::{Rate, Verdicts};

use crate::replay::ReplayError;

/// How the corpus is run.
#[derive(Clone, Debug)]
pub struct CorpusOptions {
    /// Seed of users, dice and keys.
    pub seed: u64,
    /// Ordinary transactions that the baselines learn from, before anything is counted.
    pub training: u64,
    /// Ordinary transactions that are counted.
    pub benign: u64,
    /// Whether an engine without the harm gate is run beside.
    pub ungated: bool,
    /// Whether the baselines are run.
    pub baselines: bool,
    /// Only these classes; all if empty.
    pub classes: Vec<String>,
}

/// What a run gave.
#[derive(Clone, Debug, Serialize)]
pub struct CorpusResult {
    /// The seed.
    pub seed: u64,
    /// The attacks.
    pub attacks: Vec<AttackLine>,
    /// The ordinary transactions.
    pub benign: BenignResult,
    /// The figures that the bars are about.
    pub verdicts: Verdicts,
}

/// Runs the corpus: ordinary traffic to learn from, ordinary traffic to be silent about, and every attack
/// on the state that the traffic left. `progress` is told what is being done.
///
/// # Errors
/// If a scene cannot be set or a block cannot be executed at all.
pub fn run(
    options: &CorpusOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<CorpusResult, ReplayError> {
    let split = split::split()?;
    progress("setting the scenes …");
    let mut stage = stage::Stage::set(options.seed, &options.classes)?;
    let (benign, baselines) = benign::run(&mut stage, options, progress)?;
    let attacks = attack::run(&stage, &split, &baselines, options, progress)?;
    let verdicts = verdicts(&attacks, &benign);
    Ok(CorpusResult { seed: options.seed, attacks, benign, verdicts })
}

fn failed(
    what: impl Into<String>,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> ReplayError {
    ReplayError::new(what, source)
}
