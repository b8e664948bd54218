//! What is answered: the shape of every screen, once for console, programs and document.
//!
//! **Invariant:** times are milliseconds since 1970 (UTC), money and large numbers are texts, ids are `0x` and 64 hex
//! digits.

use std::collections::{BTreeMap, BTreeSet};

use cofferdam_core::{Timestamp, incident::Incident};
use cofferdam_respond::{Case, Clock};
use cofferdam_signing::approval::{State, Tally};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::book::Found;

/// Some of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Page<T> {
    /// How many there are in all.
    pub(crate) total: usize,
    /// These.
    pub(crate) items: Vec<T>,
}

/// It is done.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Done {
    pub(crate) done: bool,
}

/// What a stream of changes tells, as the data of an event.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct News {
    /// Entries of the journal that were read.
    pub(crate) seq: u64,
    /// Incidents that something happened to.
    pub(crate) incidents: Vec<String>,
    /// Whether blindness or readiness changed.
    pub(crate) sight: bool,
}

/// The first screen.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Overview {
    /// Name of the protocol.
    pub(crate) name: String,
    /// The time of the server.
    #[schemars(with = "u64")]
    pub(crate) now: Timestamp,
    /// Entries of the journal that were read.
    pub(crate) seq: u64,
    /// Whether every chain can be looked at and the journal takes records.
    pub(crate) healthy: bool,
    /// Why not, by chain, or `journal`.
    pub(crate) blind: BTreeMap<String, String>,
    /// What is looked at less than it should, by chain.
    pub(crate) degraded: BTreeMap<String, String>,
    /// The last evaluated block by chain; a chain without one was not looked at yet.
    pub(crate) heads: BTreeMap<String, Option<u64>>,
    /// Every action of the plan.
    pub(crate) readiness: Vec<Readiness>,
    /// Open incidents, newest first.
    pub(crate) incidents: Vec<IncidentLine>,
    /// Orders that wait for people.
    pub(crate) waiting: Vec<OrderLine>,
}

/// Whether an action would work.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Readiness {
    pub(crate) action: String,
    /// What it is about.
    pub(crate) contains: Vec<String>,
    /// Whether nothing is known to be wrong.
    pub(crate) ready: bool,
    /// What is wrong.
    pub(crate) because: Vec<String>,
}

/// An incident in one line.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct IncidentLine {
    pub(crate) id: String,
    /// Id of its case.
    pub(crate) case: Option<String>,
    pub(crate) entity: String,
    pub(crate) chain: String,
    /// `detected`, `responding`, `contained`, `closed` or `false-alarm`.
    #[schemars(with = "String")]
    pub(crate) state: cofferdam_core::incident::IncidentState,
    #[schemars(with = "u64")]
    pub(crate) opened_at: Timestamp,
    pub(crate) priority: Option<String>,
    pub(crate) findings: usize,
    /// Probability of an attack.
    pub(crate) posterior: Option<String>,
    /// Value at risk when it opened.
    pub(crate) held: Option<String>,
    pub(crate) acknowledged: bool,
    pub(crate) commander: Option<String>,
}

/// A finding with its evidence.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FindingLine {
    pub(crate) id: String,
    pub(crate) incident: Option<String>,
    pub(crate) retracted: Option<String>,
    pub(crate) severity: String,
    pub(crate) summary: String,
    pub(crate) detector: String,
    pub(crate) rule: String,
    pub(crate) entity: String,
    #[schemars(with = "String")]
    pub(crate) stage: cofferdam_core::Stage,
    pub(crate) block: u64,
    #[schemars(with = "u64")]
    pub(crate) at: Timestamp,
    pub(crate) tx: Option<String>,
    pub(crate) subject: String,
    pub(crate) actors: Vec<String>,
    pub(crate) loss: String,
    /// Weight of the evidence in thousandths of a nat.
    pub(crate) llr_millinats: i32,
    pub(crate) evidence: Vec<Labelled>,
}

/// A value with its name.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Labelled {
    pub(crate) label: String,
    pub(crate) value: String,
}

/// An order: what it does and where it stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OrderLine {
    pub(crate) key: String,
    pub(crate) incident: String,
    pub(crate) action: String,
    pub(crate) chain: String,
    /// What is called, as it stands in the order.
    pub(crate) call: Value,
    /// Whether it undoes itself by time.
    pub(crate) self_expiring: bool,
    /// How free the program is to dispatch it.
    pub(crate) autonomy: Value,
    #[schemars(with = "u64")]
    pub(crate) decided_at: Timestamp,
    #[schemars(with = "u64")]
    pub(crate) expires_at: Timestamp,
    pub(crate) attempts: u32,
    /// What it waits for though it is released.
    pub(crate) held: Option<String>,
    /// What became of it.
    pub(crate) outcome: Option<Value>,
    /// What people said, counted now.
    pub(crate) count: Count,
}

/// What the votes of an order come to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Count {
    /// `open`, `waiting`, `approved`, `denied`, `vetoed` or `expired`.
    pub(crate) state: String,
    /// Places that nobody fills yet.
    pub(crate) missing: Vec<String>,
    pub(crate) approving: BTreeSet<String>,
    pub(crate) refusing: BTreeSet<String>,
    /// Votes that do not count, each with its reason.
    pub(crate) refused: Vec<String>,
    /// Who was asked: everybody who may vote.
    pub(crate) people: Vec<String>,
}

/// A case in one line.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CaseLine {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) priority: String,
    #[schemars(with = "String")]
    pub(crate) state: cofferdam_respond::CaseState,
    #[schemars(with = "u64")]
    pub(crate) opened: Timestamp,
    pub(crate) commander: Option<String>,
    pub(crate) acknowledged: bool,
    pub(crate) tasks_open: usize,
    pub(crate) merged_into: Option<String>,
}

/// A case.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CaseView {
    pub(crate) line: CaseLine,
    /// The time of the server.
    #[schemars(with = "u64")]
    pub(crate) now: Timestamp,
    /// People by role.
    pub(crate) roles: BTreeMap<String, Vec<String>>,
    /// What is to be done and what was.
    #[schemars(with = "Vec<Value>")]
    pub(crate) tasks: Vec<cofferdam_respond::Task>,
    /// How long each step took against its target.
    #[schemars(with = "Vec<Value>")]
    pub(crate) clocks: Vec<Clock>,
    /// What happened, latest first.
    pub(crate) timeline: Page<Value>,
}

/// Everything about one incident.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Room {
    pub(crate) line: IncidentLine,
    /// The time of the server.
    #[schemars(with = "u64")]
    pub(crate) now: Timestamp,
    /// Accounts that act for the attacker.
    pub(crate) actors: Vec<String>,
    /// The newest of its findings.
    pub(crate) findings: Page<FindingLine>,
    /// The last decision that ordered something, else the last one.
    pub(crate) decision: Option<Decision>,
    pub(crate) orders: Vec<OrderLine>,
    pub(crate) case: Option<CaseView>,
}

/// A decision, line by line.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Decision {
    #[schemars(with = "u64")]
    pub(crate) at: Timestamp,
    pub(crate) prior: String,
    pub(crate) posterior: String,
    pub(crate) chosen: Option<String>,
    /// Every number that went in: name, value, from where.
    pub(crate) terms: Vec<Term>,
    /// Every action that was weighed.
    pub(crate) options: Vec<Weighed>,
    /// What would change it.
    pub(crate) flips: Vec<String>,
}

/// A number of a decision.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Term {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) source: String,
}

/// An action that was weighed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Weighed {
    pub(crate) action: String,
    pub(crate) avoided: String,
    pub(crate) cost: String,
    pub(crate) threshold: String,
    pub(crate) net: String,
    pub(crate) verdict: String,
}

/// Who is signed in.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SessionView {
    /// Their name in the plan.
    pub(crate) name: String,
    /// `person` or `machine`.
    pub(crate) kind: String,
    pub(crate) roles: Vec<String>,
    pub(crate) veto: bool,
    /// Their accounts.
    pub(crate) accounts: Vec<String>,
    /// What changes are sent with; none where no cookie is.
    pub(crate) csrf: Option<String>,
    /// When the session ends at the latest.
    #[schemars(with = "Option<u64>")]
    pub(crate) until: Option<Timestamp>,
    /// The chain that wallets sign for.
    pub(crate) chain: u64,
}

pub(crate) fn incident_line(it: &Incident, case: Option<&Case>) -> IncidentLine {
    IncidentLine {
        id: it.id.to_string(),
        case: case.map(|it| it.id.to_string()),
        entity: it.entity.clone(),
        chain: it.chain.to_string(),
        state: it.state,
        opened_at: it.opened_at,
        priority: case.map(|it| format!("{:?}", it.priority)),
        findings: it.findings.len(),
        posterior: it.ledger.as_ref().map(|it| it.posterior.to_string()),
        held: it.held.map(|it| it.to_string()),
        acknowledged: case.is_some_and(acknowledged),
        commander: case.and_then(Case::commander).map(str::to_owned),
    }
}

pub(crate) fn finding_line(it: &Found) -> FindingLine {
    let Found { finding, incident, retracted } = it;
    let labelled = |it: &cofferdam_core::Evidence| Labelled {
        label: it.label.clone(),
        value: it.value.clone(),
    };
    FindingLine {
        id: finding.id.to_string(),
        incident: incident.map(|it| it.to_string()),
        retracted: retracted.clone(),
        severity: finding.severity.to_string(),
        summary: finding.summary.clone(),
        detector: finding.detector.clone(),
        rule: finding.rule.clone(),
        entity: finding.entity.clone(),
        stage: finding.stage,
        block: finding.block.number,
        at: finding.block.time,
        tx: finding.tx.map(|it| it.to_string()),
        subject: finding.subject.to_string(),
        actors: finding.actors.iter().map(ToString::to_string).collect(),
        loss: finding.loss.to_string(),
        llr_millinats: finding.llr_millinats,
        evidence: finding.evidence.iter().map(labelled).collect(),
    }
}

pub(crate) fn count(tally: Tally, people: Vec<String>) -> Count {
    let (state, missing) = match tally.state {
        State::Open { missing } => ("open", missing),
        State::Waiting { .. } => ("waiting", Vec::new()),
        State::Approved { .. } => ("approved", Vec::new()),
        State::Denied => ("denied", Vec::new()),
        State::Vetoed => ("vetoed", Vec::new()),
        State::Expired => ("expired", Vec::new()),
    };
    Count {
        state: state.to_owned(),
        missing,
        approving: tally.approving,
        refusing: tally.refusing,
        refused: tally.refused,
        people,
    }
}

pub(crate) fn case_line(it: &Case) -> CaseLine {
    CaseLine {
        id: it.id.to_string(),
        title: it.title.clone(),
        priority: format!("{:?}", it.priority),
        state: it.state,
        opened: it.opened,
        commander: it.commander().map(str::to_owned),
        acknowledged: acknowledged(it),
        tasks_open: it.open_tasks().count(),
        merged_into: it.merged_into.map(|it| it.to_string()),
    }
}

fn acknowledged(case: &Case) -> bool {
    case.milestones.contains_key(&cofferdam_respond::Milestone::Acknowledged)
}
