//! A run of a playbook: a durable state machine in the manner of the engine,
//! `step(state, now, input) -> (records, effects)`.
//!
//! **Invariant:** the state is a fold over records ([`RunRecord`]); a step changes it only through the
//! records it returns. Any prefix of a run's records restores to a state from which the run goes on
//! without losing or doubling a step: what is to be done has a key ([`JobId`]) that is the same
//! however often it is given out.
//!
//! **Invariant:** no run is ever stuck. Every job has a deadline, every loop and every run a named
//! bound, and a job whose worker was lost is *unknown*, visibly, until a person or its deadline says.

mod advance;
mod apply;
mod record;
mod step;

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{B256, Keccak256};
use cofferdam_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    allowance::Allowance,
    model::{Command, Id, Playbook},
    perform::Perform,
    variable::Variable,
};

pub use record::{Entry, Outcome, RunRecord};
pub use step::{Answer, Effect, Input, Refusal, RestoreError, Stepped};

macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $tag:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub B256);

        impl $name {
            /// Hashes `parts`, each preceded by its length so that no two lists collide.
            pub fn derive(parts: &[&[u8]]) -> Self {
                let mut hasher = Keccak256::new();
                hasher.update($tag.as_bytes());
                for part in parts {
                    hasher.update((part.len() as u64).to_be_bytes());
                    hasher.update(part);
                }
                Self(hasher.finalize())
            }

            /// The first eight hex digits, as shown to people.
            pub fn short(&self) -> String {
                alloy_primitives::hex::encode(&self.0[..4])
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }
    };
}

id!(
    /// One run: the playbook's version, what set it off, and when it may be told apart.
    RunId, "cofferdam/playbook-run"
);
id!(
    /// One job: the run, the step, which visit of it, and which of its commands. It is the idempotency
    /// key for whoever does it.
    JobId, "cofferdam/playbook-job"
);

/// Bounds of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A machine's job without a timeout of its own has failed after this. Milliseconds.
    pub step_timeout_ms: u64,
    /// A person's. Milliseconds.
    pub person_timeout_ms: u64,
    /// A worker that is silent for this long is lost. Milliseconds.
    pub lease_ms: u64,
    /// A job that is unknown for this long has failed. Milliseconds.
    pub unknown_ms: u64,
    /// How often a job that may be repeated is given out.
    pub attempts_max: u32,
    /// Rounds of one while-condition.
    pub rounds_max: u32,
    /// Steps of one run.
    pub steps_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            step_timeout_ms: 15 * 60_000,
            person_timeout_ms: 24 * 3_600_000,
            lease_ms: 60_000,
            unknown_ms: 15 * 60_000,
            attempts_max: 5,
            rounds_max: 100,
            steps_max: 10_000,
        }
    }
}

/// What a run is judged by, the same for all its steps.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The playbook.
    pub playbook: &'a Playbook,
    /// What the plan allows.
    pub allowance: &'a Allowance,
    /// Bounds.
    pub limits: &'a Limits,
}

/// What somebody is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "kebab-case")]
pub enum Work {
    /// One of our commands.
    Perform {
        /// Which, its texts without variables.
        perform: Perform,
    },
    /// A person reads it and does it.
    Manual {
        /// What to do.
        text: String,
    },
    /// A worker outside carries it out.
    Command {
        /// The command, its texts without variables.
        command: Command,
        /// Id of the agent.
        agent: Id,
        /// Ids of the targets.
        targets: Vec<Id>,
    },
    /// Another playbook is run.
    Playbook {
        /// Which.
        playbook: Id,
        /// In which version; `None` for the latest.
        version: Option<Timestamp>,
        /// Its variables.
        variables: BTreeMap<String, String>,
    },
}

impl Work {
    /// Whether giving it out again, with the same key, has the effect of once.
    pub fn repeatable(&self) -> bool {
        !matches!(self, Self::Command { .. })
    }

    /// Whether people do it.
    pub fn for_people(&self) -> bool {
        matches!(
            self,
            Self::Manual { .. }
                | Self::Perform { perform: Perform::Approval { .. } | Perform::Statement { .. } }
        )
    }

    /// How many different people must agree, and in which roles; `None` if it is no question.
    pub fn quorum(&self) -> Option<(u16, &[String])> {
        match self {
            Self::Perform { perform: Perform::Approval { quorum, roles, .. } } => {
                Some((*quorum, roles))
            }
            Self::Perform { perform: Perform::Statement { approvals, .. } } => {
                Some((*approvals, &[]))
            }
            _ => None,
        }
    }
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepResult {
    /// It did what it says.
    Worked,
    /// It did not; the text says why.
    Failed(String),
}

/// One line of execution: the run's own, a branch's, or that of an exception.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strand {
    /// The one it is a branch of.
    pub parent: Option<u32>,
    /// The step it is at.
    pub step: Id,
    /// Which visit of that step in the run, from 1.
    pub visit: u32,
    /// When it came there.
    pub since: Timestamp,
    /// Before this the step does not begin.
    pub not_before: Timestamp,
    /// From this on the step has failed.
    pub due: Option<Timestamp>,
    /// Variables that only the step sees.
    pub variables: BTreeMap<String, Variable>,
    /// How far the step is.
    pub phase: Phase,
}

/// How far a step is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Entered, not begun.
    Ready,
    /// A job is out.
    Working {
        /// Which of its commands, from 0.
        index: u32,
        /// Which job.
        job: JobId,
    },
    /// Branches are under way.
    Branching {
        /// Not entered yet, with their first steps.
        waiting: BTreeMap<u32, Id>,
        /// Entered and not ended.
        open: BTreeSet<u32>,
        /// Why the first that failed did.
        failed: Option<String>,
        /// Round of a loop, from 1.
        round: u32,
    },
    /// Ended; where to go on is still open.
    Done(StepResult),
}

/// A job that was given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// For which strand.
    pub strand: u32,
    /// For which step.
    pub step: Id,
    /// What it is.
    pub work: Work,
    /// How often it was given out.
    pub attempt: u32,
    /// When it was given out last.
    pub at: Timestamp,
    /// Who agreed, for a question.
    pub agreed: BTreeSet<String>,
    /// Where it stands.
    pub state: JobState,
}

impl Job {
    /// Whether as many people agreed as it asks for.
    pub fn agreed(&self) -> bool {
        self.work.quorum().is_some_and(|it| self.agreed.len() >= usize::from(it.0))
    }
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Nobody has it yet.
    Offered,
    /// A worker has it.
    Taken {
        /// Who.
        worker: String,
        /// The worker is lost if nothing is heard of it until then.
        until: Timestamp,
    },
    /// Its worker was lost, and nobody can say whether it was done.
    Unknown {
        /// Since when.
        since: Timestamp,
        /// Why, for people.
        because: String,
    },
    /// It was answered.
    Answered(StepResult),
    /// Its step ended without it.
    Withdrawn,
}

impl JobState {
    /// Whether an answer would still count.
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::Answered(_) | Self::Withdrawn)
    }
}

/// An exception that was raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// The step that failed.
    pub step: Id,
    /// Why.
    pub because: String,
    /// Whether the exception path was entered.
    pub begun: bool,
}

/// The state of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The playbook.
    pub playbook: Id,
    /// Digest of the playbook; a run goes on with this one only.
    pub digest: B256,
    /// Who or what set it off.
    pub by: String,
    /// When it began.
    pub started: Timestamp,
    /// The job of another run that it does.
    pub parent: Option<JobId>,
    /// The playbook's variables.
    pub variables: BTreeMap<String, Variable>,
    /// Lines of execution that have not ended.
    pub strands: BTreeMap<u32, Strand>,
    /// Jobs, also those that are done.
    pub jobs: BTreeMap<JobId, Job>,
    /// The exception, if one was raised.
    pub raised: Option<Raised>,
    /// Who held it, and since when, if it is held.
    pub held: Option<(String, Timestamp)>,
    /// How it ended, if it did.
    pub ended: Option<Outcome>,
    visits: BTreeMap<Id, u32>,
    next_strand: u32,
    steps: u32,
    root_failed: Option<String>,
}

impl Run {
    /// Jobs that nobody can say of whether they were done.
    pub fn unknown(&self) -> impl Iterator<Item = (&JobId, &Job)> {
        self.jobs.iter().filter(|it| matches!(it.1.state, JobState::Unknown { .. }))
    }

    /// Jobs that wait for somebody.
    pub fn open_jobs(&self) -> impl Iterator<Item = (&JobId, &Job)> {
        self.jobs.iter().filter(|it| it.1.state.is_open())
    }

    fn lookup<'a>(&'a self, strand: &'a Strand, name: &str) -> Option<&'a Variable> {
        strand.variables.get(name).or_else(|| self.variables.get(name))
    }
}
