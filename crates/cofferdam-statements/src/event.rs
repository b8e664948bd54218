//! What people do with statements, as the journal keeps it.
//!
//! **Invariant:** versioned by addition only. The names of the events differ from those of cases, with
//! which they share the journal's record.

use alloy_primitives::{B256, Keccak256, hex};
use cofferdam_core::{Record, Timestamp};
use cofferdam_respond::CaseId;
use serde::{Deserialize, Serialize};

use crate::{Audience, ComponentState, Impact, Phase, Tlp};

/// Identity of a statement: the case, when it was drafted, by whom, and what it says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StatementId(pub B256);

impl StatementId {
    /// The statement that `by` drafted at `at`.
    pub fn derive(case: &CaseId, at: Timestamp, by: &str, digest: &B256) -> Self {
        let parts = [case.0.as_slice(), &at.0.to_be_bytes(), by.as_bytes(), digest.as_slice()];
        Self(hash("cofferdam/statement", &parts))
    }

    /// The first eight hex digits, as shown to people.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..4])
    }
}

impl std::fmt::Display for StatementId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::fmt::Debug for StatementId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StatementId({})", self.short())
    }
}

/// Hashes `parts` under `tag`, each preceded by its length so that no two lists collide.
pub(crate) fn hash(tag: &str, parts: &[&[u8]]) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(tag.as_bytes());
    for it in parts {
        hasher.update((it.len() as u64).to_be_bytes());
        hasher.update(it);
    }
    hasher.finalize()
}

/// What a statement says, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// To whom.
    pub audience: Audience,
    /// How far the response is.
    pub phase: Phase,
    /// How bad it is for users.
    pub impact: Impact,
    /// Who may see it.
    pub tlp: Tlp,
    /// One line.
    pub title: String,
    /// Plain text; paragraphs are parted by an empty line.
    pub body: String,
    /// What proves its claims: hashes of findings, transactions or documents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// The published statement that it corrects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<StatementId>,
}

impl Draft {
    /// Keccak-256 over everything it says: what is approved is this.
    pub fn digest(&self) -> B256 {
        let corrects = self.corrects.map_or(B256::ZERO, |it| it.0);
        let evidence = self.evidence.join("\n");
        let parts: [&[u8]; 8] = [
            self.audience.word().as_bytes(),
            self.phase.word().as_bytes(),
            self.impact.word().as_bytes(),
            self.tlp.label().as_bytes(),
            self.title.as_bytes(),
            self.body.as_bytes(),
            evidence.as_bytes(),
            corrects.as_slice(),
        ];
        hash("cofferdam/statement/text", &parts)
    }
}

/// Something that a person did about what is said to the outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum StatementEvent {
    /// A statement was drafted.
    StatementDrafted {
        /// Its id.
        statement: StatementId,
        /// What it says.
        draft: Draft,
        /// Who.
        by: String,
    },
    /// A statement was approved as it stands.
    StatementApproved {
        /// Which.
        statement: StatementId,
        /// What was read: [`Draft::digest`].
        digest: B256,
        /// Who.
        by: String,
    },
    /// A statement was published.
    StatementPublished {
        /// Which.
        statement: StatementId,
        /// What was published: [`Draft::digest`].
        digest: B256,
        /// Who.
        by: String,
    },
    /// Nothing is said about the case before something has happened.
    EmbargoSet {
        /// What has to happen first, e.g. `issuer freezes 0x…`.
        until: String,
        /// Who.
        by: String,
    },
    /// It has happened, or need not be waited for.
    EmbargoLifted {
        /// Which.
        until: String,
        /// Why.
        because: String,
        /// Who.
        by: String,
    },
    /// A part of the service works better or worse.
    ComponentSet {
        /// Its name.
        component: String,
        /// How it works.
        state: ComponentState,
        /// Who.
        by: String,
    },
}

impl StatementEvent {
    /// The journal's record of it.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn record(&self, case: CaseId) -> Result<Record, serde_json::Error> {
        Ok(Record::Case { case: case.0, event: serde_json::to_value(self)? })
    }
}

/// Under which id the journal keeps what concerns the status page and no case.
pub fn board() -> CaseId {
    CaseId(hash("cofferdam/status-page", &[]))
}
