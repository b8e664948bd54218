//! What a run leaves behind: enough to restore it, and to tell what happened.
//!
//! **Invariant:** versioned by addition only. No record needs the playbook to be applied.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use cofferdam_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::{JobId, RunId, StepResult, Work};
use crate::{model::Id, variable::Variable};

/// A record and when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub record: RunRecord,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Every step did what it says, or its failure was provided for.
    Worked,
    /// A step failed and nothing in the playbook provided for it but the exception path.
    Failed {
        /// Why.
        because: String,
    },
    /// A person ended it.
    Stopped {
        /// Who.
        by: String,
        /// Why.
        because: String,
    },
}

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum RunRecord {
    /// The run began.
    Started {
        /// Its id.
        run: RunId,
        /// The playbook.
        playbook: Id,
        /// Its version.
        modified: Timestamp,
        /// Its digest.
        digest: B256,
        /// Who or what set it off.
        by: String,
        /// The job of another run that it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<JobId>,
        /// Variables, with what the caller gave.
        variables: BTreeMap<String, Variable>,
    },
    /// A strand came to a step.
    Entered {
        /// Which strand.
        strand: u32,
        /// The strand it is a branch of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<u32>,
        /// The step.
        step: Id,
        /// Which visit of it, from 1.
        visit: u32,
        /// When it begins.
        not_before: Timestamp,
        /// When it has failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<Timestamp>,
        /// Variables of the step.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        variables: BTreeMap<String, Variable>,
        /// Whether it is the beginning of the exception path.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        exception: bool,
    },
    /// A job was given out, for the first time or again.
    Offered {
        /// Which.
        job: JobId,
        /// For which strand.
        strand: u32,
        /// Which command of the step, from 0.
        index: u32,
        /// Counts from 1.
        attempt: u32,
        /// What is to be done.
        work: Work,
        /// When the step has failed, if that is known only now.
        due: Timestamp,
    },
    /// A worker took a job.
    Taken {
        /// Which.
        job: JobId,
        /// Who.
        worker: String,
        /// How long it may be silent.
        until: Timestamp,
    },
    /// A worker is still at it.
    Kept {
        /// Which job.
        job: JobId,
        /// How long it may be silent.
        until: Timestamp,
    },
    /// A worker was lost, and nobody can say whether the job was done.
    Unknown {
        /// Which.
        job: JobId,
        /// Why, for people.
        because: String,
    },
    /// A person agreed to a question.
    Agreed {
        /// Which job.
        job: JobId,
        /// Who.
        by: String,
        /// Through which channel.
        channel: String,
        /// Hash of what the person saw.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<B256>,
    },
    /// A job was answered.
    Answered {
        /// Which.
        job: JobId,
        /// Who.
        by: String,
        /// Through which channel.
        channel: String,
        /// Hash of what proves it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<B256>,
        /// How it went.
        result: StepResult,
        /// Variables that it set.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        variables: BTreeMap<String, String>,
        /// Variables that it named and may not set.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ignored: Vec<String>,
    },
    /// A job was answered after its step had ended. It changes nothing and is kept.
    Late {
        /// Which.
        job: JobId,
        /// Who.
        by: String,
        /// How it went.
        result: StepResult,
    },
    /// Branches are to be entered.
    Branched {
        /// For which strand.
        strand: u32,
        /// Round of a loop, from 1.
        round: u32,
        /// Strands with their first steps.
        branches: Vec<(u32, Id)>,
    },
    /// A step ended.
    Done {
        /// Of which strand.
        strand: u32,
        /// Which step.
        step: Id,
        /// How.
        result: StepResult,
    },
    /// A step failed and nothing in the playbook provides for it.
    Raised {
        /// Which step.
        step: Id,
        /// Why.
        because: String,
    },
    /// A strand ended.
    Closed {
        /// Which.
        strand: u32,
        /// Why it failed, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed: Option<String>,
    },
    /// A person holds the run: nothing new is begun, no deadline runs.
    Held {
        /// Who.
        by: String,
    },
    /// A person lets it go on.
    Resumed {
        /// Who.
        by: String,
    },
    /// The run ended.
    Ended {
        /// How.
        outcome: Outcome,
    },
}
