//! One case and its parts.
//!
//! **Invariant:** a case only goes where [`CaseState::may_become`] says.

use std::collections::{BTreeMap, BTreeSet};

use cofferdam_core::{FindingId, IncidentId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{CaseId, Csf, Milestone};

/// Most moments kept of one case; reaching it is told by the last of them.
pub const MOMENTS_MAX: usize = 20_000;

/// Where a case stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaseState {
    /// Findings exist; no person has judged them.
    Detected,
    /// A person took it for real.
    Triaged,
    /// The loss is stopped.
    Contained,
    /// The cause is gone.
    Eradicated,
    /// Service is coming back, in stages.
    Recovering,
    /// It is over.
    Closed,
    /// It was no attack.
    FalseAlarm,
}

impl CaseState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Detected,
        Self::Triaged,
        Self::Contained,
        Self::Eradicated,
        Self::Recovering,
        Self::Closed,
        Self::FalseAlarm,
    ];

    /// Whether a case may go from here to `next`. SP 800-61r3 knows no fixed order of phases: a second
    /// act of the attacker leads back, and what was closed may be opened again.
    pub fn may_become(self, next: Self) -> bool {
        use CaseState::{Closed, Contained, Detected, Eradicated, FalseAlarm, Recovering, Triaged};
        matches!(
            (self, next),
            // Containment that was authorised in advance does not wait for triage.
            (Detected, Triaged | Contained | FalseAlarm)
                | (Triaged, Contained | Eradicated | Closed | FalseAlarm)
                | (Contained, Triaged | Eradicated | Closed | FalseAlarm)
                | (Eradicated, Triaged | Contained | Recovering | Closed)
                | (Recovering, Triaged | Contained | Closed)
                | (Closed | FalseAlarm, Triaged)
        )
    }

    /// Whether nothing more is to be done.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::FalseAlarm)
    }

    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::Triaged => "triaged",
            Self::Contained => "contained",
            Self::Eradicated => "eradicated",
            Self::Recovering => "recovering",
            Self::Closed => "closed",
            Self::FalseAlarm => "false alarm",
        }
    }
}

/// How urgent a case is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Priority {
    /// Users are losing money now.
    P1,
    /// They will, unless something is done today.
    P2,
    /// Something protects less than it should.
    P3,
    /// Somebody should look this week.
    P4,
    /// For the record.
    P5,
}

/// What a person is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Decides. There is one.
    Commander,
    /// Writes down.
    Scribe,
    /// Speaks to the outside.
    Comms,
    /// Signs.
    Signer,
    /// Advises on law.
    Counsel,
}

impl Role {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Commander => "commander",
            Self::Scribe => "scribe",
            Self::Comms => "comms",
            Self::Signer => "signer",
            Self::Counsel => "counsel",
        }
    }
}

/// Where a moment comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Source {
    /// A record of the engine about an incident.
    Engine {
        /// Which.
        incident: IncidentId,
    },
    /// A run of a playbook.
    Playbook {
        /// Its id, shortened.
        run: String,
    },
    /// A person.
    Person {
        /// Who.
        by: String,
    },
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// When it happened.
    pub at: Timestamp,
    /// When it was recorded.
    pub recorded: Timestamp,
    /// Place in the order of recording.
    pub seq: u64,
    /// What, for people.
    pub text: String,
    /// Who or what says so.
    pub source: Source,
    /// What it is evidence of.
    pub csf: Option<Csf>,
}

/// Where a task stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// To be done.
    Open,
    /// Done.
    Done {
        /// Who.
        by: String,
    },
    /// Not to be done any more.
    Dropped {
        /// Who.
        by: String,
        /// Why.
        because: String,
    },
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Task {
    /// Its number in the case, from 1.
    pub number: u32,
    /// What.
    pub title: String,
    /// Who.
    pub owner: Option<String>,
    /// By when.
    pub due: Option<Timestamp>,
    /// What doing it is evidence of.
    pub csf: Option<Csf>,
    /// Where it stands.
    pub state: TaskState,
}

/// A case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Case {
    /// Its id.
    pub id: CaseId,
    /// What it is about.
    pub title: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Where it stands.
    pub state: CaseState,
    /// When it was opened.
    pub opened: Timestamp,
    /// Incidents of the engine that are in it.
    pub incidents: BTreeSet<IncidentId>,
    /// Findings of those.
    pub findings: BTreeSet<FindingId>,
    /// Who is what.
    pub roles: BTreeMap<Role, BTreeSet<String>>,
    /// What is to be done, by number.
    pub tasks: BTreeMap<u32, Task>,
    /// When each milestone was reached first.
    pub milestones: BTreeMap<Milestone, Timestamp>,
    /// The case that it was merged into.
    pub merged_into: Option<CaseId>,
    /// What happened, in order of recording.
    pub moments: Vec<Moment>,
}

impl Case {
    pub(crate) fn new(id: CaseId, title: String, priority: Priority, opened: Timestamp) -> Self {
        Self {
            id,
            title,
            priority,
            state: CaseState::Detected,
            opened,
            incidents: BTreeSet::new(),
            findings: BTreeSet::new(),
            roles: BTreeMap::new(),
            tasks: BTreeMap::new(),
            milestones: BTreeMap::new(),
            merged_into: None,
            moments: Vec::new(),
        }
    }

    /// Who commands.
    pub fn commander(&self) -> Option<&str> {
        self.roles.get(&Role::Commander)?.first().map(String::as_str)
    }

    /// Tasks that are to be done.
    pub fn open_tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values().filter(|it| it.state == TaskState::Open)
    }

    pub(crate) fn reach(&mut self, milestone: Milestone, at: Timestamp) {
        self.milestones.entry(milestone).and_modify(|it| *it = (*it).min(at)).or_insert(at);
    }

    pub(crate) fn tell(&mut self, mut moment: Moment) {
        match self.moments.len() {
            it if it < MOMENTS_MAX - 1 => self.moments.push(moment),
            it if it < MOMENTS_MAX => {
                moment.text = format!("more than {MOMENTS_MAX} moments: the journal has the rest");
                self.moments.push(moment);
            }
            _ => {}
        }
    }
}
