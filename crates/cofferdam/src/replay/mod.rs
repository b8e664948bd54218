//! Replays of recorded exploits and of ordinary mainnet blocks under one generic plan.
//!
//! **Invariant:** what is configured is the victim: its contracts, its assets and their prices. Nothing
//! of an attacker; attacker addresses are drawn anew from the seed at load.

mod benign;
mod exploits;
mod history;
mod odd;
mod scores;
mod variations;
mod victims;
mod watcher;

use alloy_primitives::{Address, U256};
use cofferdam_core::{Finding, Severity, Tx, plan::Plan, snapshot::Snapshot};
use cofferdam_detect::DETECTORS;
use serde::Serialize;

pub(crate) use benign::most_active;
pub use benign::{BlockLine, benign};
pub use exploits::{CaseLine, exploits};
pub(crate) use exploits::{Ground, cases, stage_case};
pub use history::history;
pub use odd::odd;
pub(crate) use odd::{busiest, transfers};
pub use scores::scores;
pub use variations::{Outcome, VariationLine, variations};
pub(crate) use variations::{names as variation_names, stage as stage_variation};
pub use watcher::Orders;
pub(crate) use watcher::World;

/// Detectors that mean nothing without settings of their own.
pub(crate) const CONFIGURED: &[&str] =
    &["bridge", "defence-health", "expression", "governance", "learned-guard", "oracle-price"];

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
    pub(crate) fn new(
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
    /// The entity it is about.
    pub entity: String,
    /// How bad.
    pub severity: Severity,
    /// The weight it states, in thousandths of a nat.
    pub llr_millinats: i32,
    /// What it is correlated with.
    pub group: String,
    /// One sentence.
    pub summary: String,
}

/// The generic plan around `entities` (JSON as in `plan.toml`), with settings by detector.
pub(crate) fn plan(
    chain: u64,
    entities: serde_json::Value,
    settings: &serde_json::Map<String, serde_json::Value>,
) -> Result<Plan, ReplayError> {
    let generic = DETECTORS.iter().map(|it| it.meta.id).filter(|it| !CONFIGURED.contains(it));
    let rules: Vec<_> = generic
        .map(|it| {
            let none = || serde_json::json!({});
            let settings = settings.get(it).cloned().unwrap_or_else(none);
            serde_json::json!({
                "id": it, "detector": it, "settings": settings, "mode": "automatic",
            })
        })
        .collect();
    let chain = format!("eip155:{chain}");
    let actions: Vec<_> = entities.as_array().into_iter().flatten().map(pause).collect();
    let json = serde_json::json!({
        "version": 1, "name": "replay", "chains": [{ "id": chain }], "entities": entities,
        "rules": rules, "actions": actions,
    });
    serde_json::from_value(json).map_err(|it| ReplayError::new("the generic plan is wrong", it))
}

/// An automatic pause of one entity, an hour at most. It costs a dollar, so that what holds it back is the gate alone.
fn pause(entity: &serde_json::Value) -> serde_json::Value {
    let (id, target) = (&entity["id"], &entity["accounts"][0]);
    serde_json::json!({
        "id": format!("pause-{}", id.as_str().unwrap_or_default()),
        "rung": "pause-market",
        "contains": [id],
        "call": { "via": "direct", "target": target, "function": "pause", "relayer": "relayer" },
        "autonomy": { "level": "act" },
        "cost": { "fixed": "1 usd", "duration": "1h" },
    })
}

/// The state after `txs`, from their diffs.
pub(crate) fn state_after(before: &Snapshot, txs: &[Tx]) -> Snapshot {
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
        entity: it.entity.clone(),
        severity: it.severity,
        llr_millinats: it.llr_millinats,
        group: it.group.clone(),
        summary: it.summary.clone(),
    };
    findings.iter().map(seen).collect()
}

fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().filter(|it| !it.is_blind()).map(|it| it.severity).max()
}
