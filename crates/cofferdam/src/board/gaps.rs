//! What is missing, and what decays.
//!
//! **Invariant:** a *hole* means that something named in the plan is not protected as it stands; everything else
//! is a warning that it will not be, or less than it looks.

use std::collections::{BTreeMap, BTreeSet};

use cofferdam_act::Authorisations;
use cofferdam_core::{
    Timestamp,
    plan::{Action, ActionCall, Entity, Mode, Plan},
};
use serde::Serialize;

use super::{Row, Stop, Told};

const DAY_MS: u64 = 86_400_000;
/// Authorisations that run out sooner are pointed at, in days.
const EXPIRY_DAYS: u64 = 14;
/// A drill older than this is pointed at, in days: a quarter.
const DRILL_DAYS: u64 = 92;
/// A proof older than this is pointed at, in days: proofs are to be nightly.
const PROOF_DAYS: u64 = 1;
/// For how long a change of control is pointed at, in days: Drift lost its timelock days before its funds.
const CHANGE_DAYS: u64 = 30;

/// Something missing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Gap {
    /// Whether something is not protected as it stands.
    pub(crate) hole: bool,
    /// What it is about.
    pub(crate) about: String,
    /// What is missing.
    pub(crate) what: String,
}

pub(super) fn all(
    plan: &Plan,
    rows: &[Row],
    held: &Authorisations,
    told: &Told,
    now: Timestamp,
) -> Vec<Gap> {
    let mut out = Gaps::default();
    for entity in &plan.entities {
        if let Some(row) = rows.iter().find(|it| it.entity == entity.id) {
            out.entity(plan, entity, row);
        }
    }
    for action in &plan.actions {
        let stops = rows.iter().flat_map(|it| &it.stopped);
        if let Some(stop) = stops.into_iter().find(|it| it.action == action.id) {
            out.action(action, stop, now);
        }
    }
    for (entity, at, what) in told.changed.values() {
        if now.since_ms(*at) <= CHANGE_DAYS * DAY_MS {
            out.warn(entity, &format!("who controls it changed at {at}: {what}"));
        }
    }
    out.keys(plan, rows);
    match told.last {
        None => out.warn("the journal", "no authority was ever proved: no journal was read"),
        Some(at) if now.since_ms(at) > PROOF_DAYS * DAY_MS => {
            out.warn("the journal", &format!("no authority was proved since {at}"));
        }
        Some(_) => {}
    }
    let signed = |it: &Action| !matches!(it.call, ActionCall::Direct { .. });
    if held.is_empty() && plan.actions.iter().any(signed) {
        out.hole("authorisations", "none is in the plan's folder");
    }
    let mut all: Vec<Gap> = out.0.into_iter().collect();
    all.sort_by_key(|it| (!it.hole, it.about.clone(), it.what.clone()));
    all
}

#[derive(Default)]
struct Gaps(BTreeSet<Gap>);

impl Gaps {
    fn hole(&mut self, about: &str, what: &str) {
        self.0.insert(Gap { hole: true, about: about.to_owned(), what: what.to_owned() });
    }

    fn warn(&mut self, about: &str, what: &str) {
        self.0.insert(Gap { hole: false, about: about.to_owned(), what: what.to_owned() });
    }

    fn entity(&mut self, plan: &Plan, entity: &Entity, row: &Row) {
        let id = entity.id.as_str();
        match row.watched.iter().map(|it| it.mode).max() {
            None => self.hole(id, "nothing watches it"),
            Some(Mode::Shadow) => self.hole(id, "what watches it is in shadow: nobody is told"),
            Some(_) => {}
        }
        let stops: Vec<&Action> =
            plan.actions.iter().filter(|it| it.contains.contains(&entity.id)).collect();
        if stops.is_empty() {
            self.hole(id, "nothing stops a loss");
            return;
        }
        if stops.len() == 1 {
            self.warn(id, "a single action stops a loss: nothing is left if that fails");
        }
        let named: BTreeSet<_> = stops.iter().map(|it| target(&it.call)).collect();
        for account in &entity.accounts {
            let there = stops.iter().any(|it| it.call.chain() == account.chain);
            if !there {
                self.hole(id, &format!("nothing stops a loss on {}", account.chain));
            } else if !named.contains(account) {
                // One of two factories could not be paused (Balancer, November 2025).
                self.warn(id, &format!("no action calls {account}: is it stopped with another?"));
            }
        }
    }

    fn action(&mut self, action: &Action, stop: &Stop, now: Timestamp) {
        let id = action.id.as_str();
        if let Some(why) = &stop.lost {
            self.hole(id, &format!("it would not work: {why}"));
        }
        if !matches!(action.call, ActionCall::Direct { .. }) {
            match stop.expires {
                None => self.hole(id, "nobody has signed for it"),
                Some(at) if at <= now => {
                    self.hole(id, &format!("its last authorisation ran out at {at}"));
                }
                Some(at) if at.since_ms(now) < EXPIRY_DAYS * DAY_MS => {
                    self.warn(id, &format!("its last authorisation runs out at {at}"));
                }
                Some(_) => {}
            }
        }
        if !action.expires_by_itself() {
            self.warn(id, "its effect does not expire: somebody has to lift it");
        }
        if action.irreversible {
            self.warn(id, "only governance undoes it");
        }
        match stop.drilled {
            None => self.warn(id, "it has not worked in a drill that was named here"),
            Some(at) if now.since_ms(at) > DRILL_DAYS * DAY_MS => {
                self.warn(id, &format!("it last worked in a drill at {at}, over a quarter ago"));
            }
            Some(_) => {}
        }
    }

    /// One key in several hands is one key to steal.
    fn keys(&mut self, plan: &Plan, rows: &[Row]) {
        let mut chains: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut signs: BTreeSet<String> = BTreeSet::new();
        for action in &plan.actions {
            let stops = rows.iter().flat_map(|it| &it.stopped);
            let Some(stop) = stops.into_iter().find(|it| it.action == action.id) else { continue };
            let chain = action.call.chain().to_string();
            for who in &stop.who {
                // A relayer is named with its chain, a signer is not.
                let key = who.rsplit(':').next().unwrap_or(who).to_lowercase();
                chains.entry(key.clone()).or_default().insert(chain.clone());
                if !matches!(action.call, ActionCall::Direct { .. }) {
                    signs.insert(key);
                }
            }
        }
        for (key, on) in chains.iter().filter(|it| it.1.len() > 1) {
            self.warn(key, &format!("one key has authority on {} chains", on.len()));
        }
        for it in &plan.relayers {
            let key = it.account.address.to_string().to_lowercase();
            if signs.contains(&key) {
                self.warn(&key, &format!("relayer {} also signs authorisations", it.id));
            }
        }
    }
}

fn target(call: &ActionCall) -> cofferdam_core::AccountId {
    match call {
        ActionCall::Guardian { target, .. }
        | ActionCall::Direct { target, .. }
        | ActionCall::SafeModule { target, .. } => *target,
    }
}
