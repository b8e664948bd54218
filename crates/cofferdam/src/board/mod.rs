//! The readiness board: what is watched by what, stopped by what, by whose authority, and since when that
//! was not proved or drilled.
//!
//! **Invariant:** it reads the plan, the authorisations in its folder and journals, and asks no node; what only
//! a node can tell is told as of the journal's last record.

mod gaps;
mod show;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use cofferdam_act::Authorisations;
use cofferdam_core::{
    FindingId, OrderKey, Record, Timestamp,
    order::Outcome,
    plan::{Action, ActionCall, Autonomy, Entity, Mode, Plan, containment::order_call},
};
use serde::Serialize;

pub(crate) use gaps::Gap;
pub(crate) use show::{html, text};

/// What journals tell of standing authorities.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// The last record of the running program, which proves every authority each minute.
    pub(crate) last: Option<Timestamp>,
    /// Actions that would not work, since when and why.
    pub(crate) lost: BTreeMap<String, (Timestamp, String)>,
    /// When an order for an action last had its effect in a drill.
    pub(crate) drilled: BTreeMap<String, Timestamp>,
    /// Changes of who controls what: entity, when and what, by finding.
    pub(crate) changed: BTreeMap<FindingId, (String, Timestamp, String)>,
    actions: BTreeMap<OrderKey, String>,
}

/// Detectors of changes of control.
const CONTROL: &[&str] = &["control-change", "safe-change"];

impl Told {
    /// Takes in a record of the running program's journal.
    pub(crate) fn live(&mut self, at: Timestamp, record: &Record) {
        self.last = Some(self.last.map_or(at, |it| it.max(at)));
        match record {
            Record::Readiness { action, ready: true, .. } => {
                self.lost.remove(action);
            }
            Record::Readiness { action, because, .. } => {
                self.lost.insert(action.clone(), (at, because.join("; ")));
            }
            Record::Found { finding } if CONTROL.contains(&finding.detector.as_str()) => {
                let change = (finding.entity.clone(), finding.block.time, finding.summary.clone());
                self.changed.insert(finding.id, change);
            }
            Record::Retracted { finding, .. } => {
                self.changed.remove(finding);
            }
            _ => {}
        }
    }

    /// Takes in a record of the journal of a drill that was held at `at`.
    pub(crate) fn drill(&mut self, at: Timestamp, record: &Record) {
        match record {
            Record::Intended { order } => {
                self.actions.insert(order.key, order.action.clone());
            }
            Record::Settled { key, outcome: Outcome::Effective { .. } } => {
                if let Some(action) = self.actions.get(key) {
                    let last = self.drilled.entry(action.clone()).or_insert(at);
                    *last = (*last).max(at);
                }
            }
            _ => {}
        }
    }
}

/// A rule that watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Watch {
    pub(crate) rule: String,
    pub(crate) detector: String,
    pub(crate) mode: Mode,
}

/// An action that stops a loss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Stop {
    pub(crate) action: String,
    /// Whether it goes out by itself, after a veto window, or by how many people.
    pub(crate) autonomy: String,
    /// Who can authorise it: accounts that signed, or the relayer with the role.
    pub(crate) who: Vec<String>,
    /// Through what it goes.
    pub(crate) path: String,
    /// From the decision to the effect, people left out, in milliseconds.
    pub(crate) latency_ms: u64,
    /// When the last authorisation runs out.
    pub(crate) expires: Option<Timestamp>,
    /// Why it would not work, if the program found so.
    pub(crate) lost: Option<String>,
    /// When it last worked in a drill.
    pub(crate) drilled: Option<Timestamp>,
}

/// An asset and what guards it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    pub(crate) entity: String,
    pub(crate) asset: String,
    pub(crate) watched: Vec<Watch>,
    pub(crate) stopped: Vec<Stop>,
}

/// The board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Board {
    pub(crate) protocol: String,
    /// As of when the program proved its authorities, each minute until then.
    pub(crate) proved: Option<Timestamp>,
    pub(crate) rows: Vec<Row>,
    pub(crate) gaps: Vec<Gap>,
}

impl Board {
    /// The board of `plan` at `now`.
    pub(crate) fn of(plan: &Plan, held: &Authorisations, told: &Told, now: Timestamp) -> Self {
        let mut rows = Vec::new();
        for entity in &plan.entities {
            let watched = watched(plan, entity);
            let contains = |it: &&Action| it.contains.contains(&entity.id);
            let stopped: Vec<Stop> =
                plan.actions.iter().filter(contains).map(|it| stop(plan, it, held, told)).collect();
            let mut assets: Vec<String> =
                entity.assets.iter().map(|it| it.symbol.clone()).collect();
            if assets.is_empty() {
                assets.push("(no asset named)".to_owned());
            }
            rows.extend(assets.into_iter().map(|asset| Row {
                entity: entity.id.clone(),
                asset,
                watched: watched.clone(),
                stopped: stopped.clone(),
            }));
        }
        let gaps = gaps::all(plan, &rows, held, told, now);
        Self { protocol: plan.name.clone(), proved: told.last, rows, gaps }
    }

    /// Whether something has to be done before the plan protects what it names.
    pub(crate) fn has_holes(&self) -> bool {
        self.gaps.iter().any(|it| it.hole)
    }
}

fn watched(plan: &Plan, entity: &Entity) -> Vec<Watch> {
    let watches = |it: &&cofferdam_core::plan::Rule| {
        it.entities.is_empty() || it.entities.contains(&entity.id)
    };
    let watch = |it: &cofferdam_core::plan::Rule| Watch {
        rule: it.id.clone(),
        detector: it.detector.clone(),
        mode: it.mode,
    };
    plan.rules.iter().filter(watches).map(watch).collect()
}

fn stop(plan: &Plan, action: &Action, held: &Authorisations, told: &Told) -> Stop {
    let chain = action.call.chain();
    let covering = held.covering(chain, &order_call(action));
    let (path, who) = match &action.call {
        ActionCall::Guardian { guardian, tier, target, .. } => {
            (format!("guardian {guardian} tier {tier} → {target}"), signers(&covering))
        }
        ActionCall::SafeModule { module, safe, target, .. } => {
            (format!("module {module}, Safe {safe} → {target}"), signers(&covering))
        }
        ActionCall::Direct { target, relayer, .. } => {
            let account = plan.relayers.iter().find(|it| it.id == *relayer);
            let who = account.map_or_else(|| relayer.clone(), |it| it.account.to_string());
            (format!("{relayer} → {target}"), vec![who])
        }
    };
    let block = plan.chains.iter().find(|it| it.id == chain).map_or(0, |it| it.block_time.0);
    let window = match &action.autonomy {
        Autonomy::Veto { window } => window.0,
        Autonomy::Act | Autonomy::Propose => 0,
    };
    let autonomy = match &action.autonomy {
        Autonomy::Act => "at once".to_owned(),
        Autonomy::Veto { .. } => "unless vetoed".to_owned(),
        Autonomy::Propose if action.approvals == 1 => "by one person".to_owned(),
        Autonomy::Propose => format!("by {} people", action.approvals),
    };
    let deadline = covering.iter().map(|it| it.deadline).max();
    Stop {
        action: action.id.clone(),
        autonomy,
        who,
        path,
        latency_ms: action.effect_blocks.saturating_mul(block).saturating_add(window),
        expires: deadline.map(Timestamp::from_secs),
        lost: told.lost.get(&action.id).map(|it| it.1.clone()),
        drilled: told.drilled.get(&action.id).copied(),
    }
}

fn signers(covering: &[&cofferdam_act::Authorisation]) -> Vec<String> {
    let mut all: Vec<String> =
        covering.iter().flat_map(|it| &it.signatures).map(|it| it.signer.to_string()).collect();
    all.sort();
    all.dedup();
    all
}
