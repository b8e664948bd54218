//! Replays of recorded exploits and of ordinary mainnet blocks under one generic plan.
//!
//! **Invariant:** what is configured is the victim: its contracts, its assets and their prices. Nothing
//! of an attacker; attacker addresses are drawn anew from the seed at load.

mod benign;
mod exploits;

use alloy_primitives::{Address, U256};
use cofferdam_core::{
    Finding, Observation, Record, Severity, Tx, plan::Plan, read::Reading, snapshot::Snapshot,
};
use cofferdam_engine::{Effect, Engine, Input, Limits};
use cofferdam_sim::{On, Rules, answer_reads};
use serde::Serialize;

pub use benign::{BlockLine, benign};
pub use exploits::{CaseLine, exploits};

/// State reads answered at once.
const READS_AT_ONCE: usize = 5_000;

/// The rules of the generic plan: every detector that needs no settings, with its defaults.
const DETECTORS: &[&str] = &[
    "control-change",
    "donation",
    "empty-market",
    "flash-loan",
    "outflow",
    "pool-invariant",
    "safe-change",
    "safe-delegatecall",
    "share-price",
];

/// Why a replay cannot be run.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ReplayError {
    /// What was tried.
    pub what: String,
    /// The cause.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl ReplayError {
    fn new(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { what: what.into(), source: source.into() }
    }
}

/// A finding, as far as a table shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// The detector.
    pub detector: String,
    /// How bad.
    pub severity: Severity,
    /// One sentence.
    pub summary: String,
}

/// The generic plan around `entities` (JSON as in `plan.toml`); `guarded` are settings of the
/// control rule.
fn plan(
    chain: u64,
    entities: serde_json::Value,
    guarded: serde_json::Value,
) -> Result<Plan, ReplayError> {
    let rules: Vec<_> = DETECTORS
        .iter()
        .map(|it| match *it {
            "control-change" => {
                serde_json::json!({ "id": it, "detector": it, "settings": guarded })
            }
            _ => serde_json::json!({ "id": it, "detector": it }),
        })
        .collect();
    let chain = format!("eip155:{chain}");
    let json = serde_json::json!({
        "version": 1, "name": "replay", "chains": [{ "id": chain }], "entities": entities, "rules": rules,
    });
    serde_json::from_value(json).map_err(|it| ReplayError::new("the generic plan is wrong", it))
}

/// Runs one block through the engine: reads answered on both states, findings collected. A state that
/// is not known is an empty partial snapshot: its reads are unavailable, never zero.
fn evaluate(
    plan: Plan,
    mut block: Observation,
    before: &Snapshot,
    after: &Snapshot,
    rules: &Rules,
) -> Result<Vec<Finding>, ReplayError> {
    let engine = Engine::new(plan, Limits::default());
    let mut engine =
        engine.map_err(|it| ReplayError::new("the generic plan cannot be built", it))?;
    block.decode_facts();
    let wanted = engine.wanted_reads(&block);
    let mut env = block.env.clone();
    env.base_fee = 0;
    for reads in wanted.chunks(READS_AT_ONCE) {
        let on = |state| On { block: &block.block, env: &env, state, rules };
        let failed = |it| ReplayError::new("state cannot be read", it);
        let pairs = answer_reads(reads, on(before)).map_err(failed)?;
        let pairs = pairs.into_iter().zip(answer_reads(reads, on(after)).map_err(failed)?);
        for (question, (before, after)) in reads.iter().zip(pairs) {
            block.readings.insert(question.clone(), Reading { before, after });
        }
    }
    let now = block.block.time;
    let effects = engine.step(now, Input::Block(block));
    let found = effects.into_iter().filter_map(|it| match it {
        Effect::Record(Record::Found { finding }) => Some(finding),
        _ => None,
    });
    Ok(found.collect())
}

/// The state after `txs`, from their diffs.
fn state_after(before: &Snapshot, txs: &[Tx]) -> Snapshot {
    let mut state = before.clone();
    for tx in txs {
        for it in &tx.diff.storage {
            state.account_mut(it.address).storage.insert(it.slot, it.after);
        }
        for it in &tx.diff.balances {
            state.account_mut(it.address).state.balance = it.after;
        }
    }
    state
}

/// Makes view calls possible on a partial state: the zero address, from which they come, and the fee
/// recipient exist.
fn readable(state: &mut Snapshot, beneficiary: Address) {
    state.add_fresh(Address::ZERO, U256::ZERO, Default::default());
    state.add_fresh(beneficiary, U256::ZERO, Default::default());
}

fn seen(findings: &[Finding]) -> Vec<Seen> {
    let seen = |it: &Finding| Seen {
        detector: it.detector.clone(),
        severity: it.severity,
        summary: it.summary.clone(),
    };
    findings.iter().map(seen).collect()
}

fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().filter(|it| !it.is_blind()).map(|it| it.severity).max()
}
