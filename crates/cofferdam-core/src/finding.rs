//! Findings: what one detector believes, with its evidence.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::{BlockRef, ChainId, FindingId, Stage, Usd};

/// What one rule (a configured detector) believes about one entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable: the same rule on the same transaction (or block) about the same subject.
    pub id: FindingId,
    /// Registered name of the detector, e.g. `outflow`.
    pub detector: String,
    /// The rule of the response plan that configured it.
    pub rule: String,
    /// Name of the protected entity in the plan.
    pub entity: String,
    /// How bad, if true.
    pub severity: Severity,
    /// What kind of belief this is.
    pub class: Class,
    /// How settled the ground is.
    pub stage: Stage,
    /// The block (for a pending transaction: the head it was simulated on).
    pub block: BlockRef,
    /// The transaction, if one is to blame.
    pub tx: Option<B256>,
    /// The contract affected.
    pub subject: Address,
    /// Who did it: the sender first, then contracts it acts through.
    pub actors: Vec<Address>,
    /// ln(P(evidence | attack) / P(evidence | benign)) in thousandths of a nat, before weights and caps.
    pub llr_millinats: i32,
    /// Findings of one group share a cause and are not added up beyond the group's cap.
    pub group: String,
    /// Loss already suffered by the entity according to this finding; never negative.
    pub loss: Usd,
    /// One sentence for people, lower-case, no full stop.
    pub summary: String,
    /// Labelled values a person can check, in order.
    pub evidence: Vec<Evidence>,
}

/// One checkable value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it is, e.g. `net outflow`.
    pub label: String,
    /// The value with its unit.
    pub value: String,
}

/// How bad a finding is, if true.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// For the record.
    Info,
    /// Look during office hours.
    Low,
    /// Look today.
    Medium,
    /// Page somebody.
    High,
    /// An attack or the loss of control; automatic containment may be considered.
    Critical,
}

/// What kind of belief a finding is (`onchain.md` §2.1).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Deterministic economic damage to a protected entity.
    Damage,
    /// Loss of control: upgrade, role, owner, Safe configuration.
    Control,
    /// Suspicious but harmless by itself.
    Suspicion,
    /// Our own defence is degraded.
    Defence,
    /// We could not look.
    Blind,
}

impl Finding {
    /// The id of a finding by `rule` about `subject` in `place`: a transaction or block hash.
    /// The stage is not part of it, so that a finding keeps its id from pending to final.
    pub fn id_of(chain: ChainId, rule: &str, place: B256, subject: Address) -> FindingId {
        FindingId::derive(&[
            &chain.0.to_be_bytes(),
            rule.as_bytes(),
            place.as_slice(),
            subject.as_slice(),
        ])
    }

    /// Whether this says that we could not look.
    pub fn is_blind(&self) -> bool {
        self.class == Class::Blind
    }
}

impl Evidence {
    /// A labelled value.
    pub fn new(label: impl Into<String>, value: impl ToString) -> Self {
        Self { label: label.into(), value: value.to_string() }
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}
