//! What people do with a case, as the journal keeps it.
//!
//! **Invariant:** versioned by addition only.

use std::collections::BTreeSet;

use alloy_primitives::{B256, Keccak256, hex};
use cofferdam_core::{IncidentId, OrderKey, Record, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{CaseState, Csf, Priority, Role};

/// Identity of a case: that of the incident that opened it, or of what it was split from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseId(pub B256);

impl CaseId {
    /// The case that `incident` opens.
    pub fn of(incident: &IncidentId) -> Self {
        Self::derive(&[b"incident", incident.0.as_slice()])
    }

    /// The `number`th case split from `parent`.
    pub fn split(parent: &Self, number: u32) -> Self {
        Self::derive(&[b"split", parent.0.as_slice(), &number.to_be_bytes()])
    }

    fn derive(parts: &[&[u8]]) -> Self {
        let mut hasher = Keccak256::new();
        hasher.update(b"cofferdam/case");
        for it in parts {
            hasher.update((it.len() as u64).to_be_bytes());
            hasher.update(it);
        }
        Self(hasher.finalize())
    }

    /// The first eight hex digits, as shown to people.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..4])
    }
}

impl std::fmt::Display for CaseId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::fmt::Debug for CaseId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CaseId({})", self.short())
    }
}

/// Something that a person did with a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum CaseEvent {
    /// It was opened by hand.
    Opened {
        /// What it is about.
        title: String,
        /// How urgent.
        priority: Priority,
        /// Who.
        by: String,
    },
    /// Somebody saw it.
    Acknowledged {
        /// Who.
        by: String,
    },
    /// It went on.
    Moved {
        /// Where to.
        to: CaseState,
        /// Who.
        by: String,
        /// Why.
        because: String,
    },
    /// It became more or less urgent.
    Prioritised {
        /// How urgent.
        to: Priority,
        /// Who.
        by: String,
        /// Why.
        because: String,
    },
    /// Somebody was given a role.
    Assigned {
        /// Which.
        role: Role,
        /// Who.
        person: String,
        /// By whom.
        by: String,
    },
    /// Somebody gave a role up.
    Released {
        /// Which.
        role: Role,
        /// Who.
        person: String,
        /// By whom.
        by: String,
    },
    /// A role went from one to another, with a summary both saw.
    HandedOver {
        /// Which.
        role: Role,
        /// From whom.
        from: String,
        /// To whom.
        to: String,
        /// SHA-256 or Keccak of the summary that was shown.
        summary: B256,
    },
    /// What to do was decided.
    Decided {
        /// What.
        what: String,
        /// Why.
        because: String,
        /// Who.
        by: String,
    },
    /// Somebody approved, refused or vetoed an order, with their signature.
    Voted {
        /// The order.
        order: OrderKey,
        /// Id of its action in the plan.
        action: String,
        /// `approve`, `deny` or `veto`.
        verdict: String,
        /// Why.
        reason: String,
        /// Who.
        by: String,
        /// What they signed, whole: question, rules and vote, as `cofferdam-signing` writes them.
        signed: serde_json::Value,
    },
    /// Something happened that no program saw.
    Noted {
        /// When it happened.
        at: Timestamp,
        /// What.
        text: String,
        /// Who says so.
        by: String,
        /// What it is evidence of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        csf: Option<Csf>,
    },
    /// Something is to be done.
    TaskAdded {
        /// Its number.
        number: u32,
        /// What.
        title: String,
        /// Who is to do it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
        /// By when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<Timestamp>,
        /// What doing it is evidence of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        csf: Option<Csf>,
        /// Who added it.
        by: String,
    },
    /// Somebody takes a task.
    TaskTaken {
        /// Which.
        number: u32,
        /// Who.
        by: String,
    },
    /// A task is done.
    TaskDone {
        /// Which.
        number: u32,
        /// Who.
        by: String,
    },
    /// A task is not to be done any more.
    TaskDropped {
        /// Which.
        number: u32,
        /// Who.
        by: String,
        /// Why.
        because: String,
    },
    /// A run of a playbook belongs to it.
    RunLinked {
        /// The run.
        run: B256,
        /// Name of the playbook.
        playbook: String,
        /// By whom.
        by: String,
    },
    /// It is part of another case now.
    Merged {
        /// Which.
        into: CaseId,
        /// Who.
        by: String,
        /// Why.
        because: String,
    },
    /// Some of its incidents are a case of their own now.
    Split {
        /// The new case.
        into: CaseId,
        /// What that is about.
        title: String,
        /// Which incidents.
        incidents: BTreeSet<IncidentId>,
        /// Who.
        by: String,
        /// Why.
        because: String,
    },
}

impl CaseEvent {
    /// The journal's record of it.
    ///
    /// # Errors
    ///
    /// It cannot be written as JSON.
    pub fn record(&self, case: CaseId) -> Result<Record, serde_json::Error> {
        Ok(Record::Case { case: case.0, event: serde_json::to_value(self)? })
    }
}
