//! What the journal says, as the API tells it: the fold of a reader beside the loop.
//!
//! **Invariant:** everything here is in the journal; nothing is asked of the engine. Applying never fails: what a later
//! release wrote and this one cannot read is passed over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cofferdam_core::{
    Finding, FindingId, IncidentId, OrderKey, Record,
    incident::{Incident, Ledger},
    order::{Order, Outcome},
    record::Entry,
};
use cofferdam_respond::{CaseEvent, CaseId, Cases};
use cofferdam_signing::approval::{Question, Rules, VOTES_MAX, Vote};
use serde::{Deserialize, Serialize};

/// Findings kept; the oldest go.
const FINDINGS_MAX: usize = 50_000;

/// Everything a vote is about, as it stands in the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Signed {
    /// What was asked.
    pub(crate) question: Question,
    /// By which rules.
    pub(crate) rules: Rules,
    /// What was said.
    pub(crate) vote: Vote,
}

/// A finding and what became of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Found {
    pub(crate) finding: Finding,
    pub(crate) incident: Option<IncidentId>,
    /// Why it was taken back.
    pub(crate) retracted: Option<String>,
}

/// An order and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Ordered {
    pub(crate) order: Order,
    pub(crate) approved: BTreeSet<String>,
    pub(crate) held: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) votes: Vec<Vote>,
}

/// What changed, for those who listen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// Entries of the journal that were read.
    pub(crate) seq: u64,
    /// Incidents that something happened to.
    pub(crate) incidents: BTreeSet<IncidentId>,
    /// Whether blindness or readiness changed.
    pub(crate) sight: bool,
}

/// The fold.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Entries read.
    pub(crate) seq: u64,
    pub(crate) cases: Cases,
    pub(crate) incidents: BTreeMap<IncidentId, Incident>,
    /// The last decision that ordered something, by incident.
    pub(crate) ordered: BTreeMap<IncidentId, Ledger>,
    pub(crate) findings: BTreeMap<FindingId, Found>,
    pub(crate) orders: BTreeMap<OrderKey, Ordered>,
    /// What is wrong with each action that was once not ready; empty if it is ready again.
    pub(crate) readiness: BTreeMap<String, Vec<String>>,
    arrived: VecDeque<FindingId>,
    change: Change,
}

impl Book {
    /// Takes in the next entry.
    pub(crate) fn apply(&mut self, entry: &Entry) {
        self.seq = entry.seq + 1;
        self.cases.apply(entry.at, &entry.record);
        match &entry.record {
            Record::Found { finding } => self.found(finding),
            Record::Retracted { finding, because } => {
                if let Some(it) = self.findings.get_mut(finding) {
                    it.retracted = Some(because.clone());
                    self.change.incidents.extend(it.incident);
                }
            }
            Record::Finalized { finding } => {
                if let Some(it) = self.findings.get_mut(finding) {
                    it.finding.stage = cofferdam_core::Stage::Final;
                }
            }
            Record::IncidentOpened { incident } => {
                self.incidents.insert(incident.id, incident.clone());
                self.change.incidents.insert(incident.id);
            }
            Record::Attached { incident, finding } => {
                if let Some(it) = self.findings.get_mut(finding) {
                    it.incident = Some(*incident);
                }
                self.with(incident, |it| _ = it.findings.insert(*finding));
            }
            Record::Decided { incident, ledger } => {
                if ledger.chosen.is_some() {
                    self.ordered.insert(*incident, ledger.clone());
                }
                self.with(incident, |it| it.ledger = Some(ledger.clone()));
            }
            Record::IncidentMoved { incident, state, .. } => {
                self.with(incident, |it| it.state = *state);
            }
            Record::Readiness { action, because, .. } => {
                self.readiness.insert(action.clone(), because.clone());
                self.change.sight = true;
            }
            Record::Blind { .. } | Record::Sighted { .. } => self.change.sight = true,
            Record::Case { case, event } => {
                self.take_case(event);
                let case = self.cases.get(&CaseId(*case));
                self.change.incidents.extend(case.iter().flat_map(|it| it.incidents.iter()));
            }
            other => self.take_order(other),
        }
    }

    /// What changed since this was asked last, if anything did that people look at.
    pub(crate) fn changed(&mut self) -> Option<Change> {
        let change = std::mem::take(&mut self.change);
        let some = change.sight || !change.incidents.is_empty();
        some.then_some(Change { seq: self.seq, ..change })
    }

    fn with(&mut self, id: &IncidentId, change: impl FnOnce(&mut Incident)) {
        if let Some(it) = self.incidents.get_mut(id) {
            change(it);
            self.change.incidents.insert(*id);
        }
    }

    fn found(&mut self, finding: &Finding) {
        let known = self.findings.get(&finding.id);
        let incident = known.and_then(|it| it.incident);
        if known.is_none() {
            self.arrived.push_back(finding.id);
        }
        let found = Found { finding: finding.clone(), incident, retracted: None };
        self.findings.insert(finding.id, found);
        while self.arrived.len() > FINDINGS_MAX {
            if let Some(it) = self.arrived.pop_front() {
                self.findings.remove(&it);
            }
        }
    }

    fn take_case(&mut self, event: &serde_json::Value) {
        let Ok(event) = serde_json::from_value::<CaseEvent>(event.clone()) else { return };
        if let CaseEvent::Voted { order, signed, .. } = event
            && let Ok(signed) = serde_json::from_value::<Signed>(signed)
            && let Some(it) = self.orders.get_mut(&order)
            && it.votes.len() < VOTES_MAX
        {
            it.votes.push(signed.vote);
        }
    }

    fn take_order(&mut self, record: &Record) {
        if let Record::Intended { order } = record {
            let fresh = Ordered {
                order: order.clone(),
                approved: BTreeSet::new(),
                held: None,
                attempts: 0,
                outcome: None,
                votes: Vec::new(),
            };
            self.orders.insert(order.key, fresh);
            self.with(&order.incident, |it| it.orders.push(order.key));
            return;
        }
        let (Record::Approved { key, .. }
        | Record::Vetoed { key, .. }
        | Record::Held { key, .. }
        | Record::Dispatched { key, .. }
        | Record::DispatchFailed { key, .. }
        | Record::Reopened { key, .. }
        | Record::Settled { key, .. }) = record
        else {
            return;
        };
        let Some(it) = self.orders.get_mut(key) else { return };
        match record {
            Record::Approved { by, .. } => _ = it.approved.insert(by.clone()),
            Record::Vetoed { by, .. } => it.outcome = Some(Outcome::Vetoed { by: by.clone() }),
            Record::Held { because, .. } => it.held = Some(because.clone()),
            Record::Dispatched { attempt, .. } | Record::DispatchFailed { attempt, .. } => {
                it.attempts = *attempt;
                it.held = None;
            }
            Record::Reopened { .. } => it.outcome = None,
            Record::Settled { outcome, .. } => it.outcome = Some(outcome.clone()),
            _ => {}
        }
        self.change.incidents.insert(it.order.incident);
    }
}

/// Whether nothing more is to be done about an incident.
pub(crate) fn is_over(incident: &Incident) -> bool {
    use cofferdam_core::incident::IncidentState::{Closed, FalseAlarm};
    matches!(incident.state, Closed | FalseAlarm)
}
