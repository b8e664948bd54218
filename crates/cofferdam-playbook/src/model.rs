//! A playbook as it is once it has been read: what the standard calls properties, typed.
//!
//! **Invariant:** no secret is in here. What a document says under `password` or `token` is not kept,
//! only that it was there.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use cofferdam_core::Timestamp;
use serde::Serialize;

use crate::{json::Span, pattern::Condition, perform::Perform, variable::Variable};

/// An identifier: `type--UUID`.
pub type Id = String;

/// A CACAO 2.0 playbook.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Playbook {
    /// Its identifier.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Who made it.
    pub created_by: Id,
    /// When it was made.
    pub created: Timestamp,
    /// Its version: when it was changed last.
    pub modified: Timestamp,
    /// Whether it was withdrawn. Such a playbook is read but not run.
    pub revoked: bool,
    /// Before this it is not run.
    pub valid_from: Option<Timestamp>,
    /// From this on it is not run.
    pub valid_until: Option<Timestamp>,
    /// What kinds of playbook it is.
    pub types: Vec<String>,
    /// What it does.
    pub activities: Vec<String>,
    /// 1 is the most urgent, 100 the least; 0 says nothing.
    pub priority: Option<u8>,
    /// 1 to 100, the gravest; 0 says nothing.
    pub severity: Option<u8>,
    /// 1 to 100, the largest; 0 says nothing.
    pub impact: Option<u8>,
    /// Words for finding it.
    pub labels: Vec<String>,
    /// Marking objects that apply to it.
    pub markings: Vec<Id>,
    /// What those say, as far as they are in the document.
    pub marking_definitions: BTreeMap<Id, Marking>,
    /// Its variables by name.
    pub variables: BTreeMap<String, Variable>,
    /// The step it begins with.
    pub start: Id,
    /// The step that an exception leads to.
    pub exception: Option<Id>,
    /// Its steps.
    pub workflow: BTreeMap<Id, Step>,
    /// Credentials that agents and targets name; never the secrets themselves.
    pub authentication: BTreeMap<Id, Authentication>,
    /// Who may carry out its commands.
    pub agents: BTreeMap<Id, Party>,
    /// What its commands are about.
    pub targets: BTreeMap<Id, Party>,
    /// Extensions that it uses.
    pub extensions: BTreeMap<Id, Extension>,
    /// Its signatures; see [`crate::sign`].
    pub signatures: Vec<SignatureInfo>,
    /// SHA-256 of its canonical form without signatures: what a run is bound to.
    pub digest: B256,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// How long it waits before it begins, in milliseconds.
    pub delay_ms: u64,
    /// How long it may take before it has failed, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Variables that only it sees.
    pub variables: BTreeMap<String, Variable>,
    /// Who is responsible.
    pub owner: Option<Id>,
    /// Where to go on, whatever its own way of ending.
    pub on_completion: Option<Id>,
    /// Where to go on when it worked.
    pub on_success: Option<Id>,
    /// Where to go on when it failed.
    pub on_failure: Option<Id>,
    /// What it does.
    pub kind: StepKind,
    /// What it has one of our commands do, if it does.
    pub perform: Option<Perform>,
    /// Where it stands in the document.
    #[serde(skip)]
    pub span: Span,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum StepKind {
    /// Where a playbook begins.
    Start,
    /// Where a playbook or a branch ends.
    End,
    /// Commands for an agent.
    Action(Action),
    /// Another playbook.
    PlaybookAction {
        /// Which.
        playbook: Id,
        /// In which version; left out, the latest.
        version: Option<Timestamp>,
        /// Variables handed to it.
        in_args: Vec<String>,
        /// Variables taken back from it.
        out_args: Vec<String>,
    },
    /// Several branches at once.
    Parallel {
        /// Their first steps.
        branches: Vec<Id>,
    },
    /// One branch or the other.
    If {
        /// What decides.
        condition: Condition,
        /// If it holds.
        on_true: Id,
        /// If it does not.
        on_false: Option<Id>,
    },
    /// A branch again and again.
    While {
        /// As long as this holds.
        condition: Condition,
        /// The branch.
        on_true: Id,
    },
    /// One branch of several.
    Switch {
        /// The variable that decides.
        variable: String,
        /// Value → first step of its branch; `default` is for all others.
        cases: BTreeMap<String, Id>,
    },
}

/// Commands for an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Action {
    /// In order; the first that fails ends the step.
    pub commands: Vec<Command>,
    /// Who carries them out.
    pub agent: Id,
    /// What they are about.
    pub targets: Vec<Id>,
    /// Variables they read.
    pub in_args: Vec<String>,
    /// Variables they write.
    pub out_args: Vec<String>,
}

/// One command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Command {
    /// Its type, from an open vocabulary.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The command as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The command in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_b64: Option<String>,
    /// What is sent with it, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// What is sent with it, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_b64: Option<String>,
    /// HTTP headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Vec<String>>,
}

/// An agent or a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Party {
    /// Its type, from an open vocabulary.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// Kind of address → addresses.
    pub address: BTreeMap<String, Vec<String>>,
    /// The port.
    pub port: Option<String>,
    /// Credentials for it.
    pub authentication: Option<Id>,
    /// What kinds of thing it is.
    pub category: Vec<String>,
}

/// Credentials, without any secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Authentication {
    /// Its type, from an open vocabulary.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: Option<String>,
    /// The user, if it has one.
    pub user: Option<String>,
    /// Where a key store has the secret.
    pub kms_key: Option<String>,
    /// Whether the document itself held the secret; it is not kept.
    pub had_secret: bool,
}

/// A data marking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Marking {
    /// The Traffic Light Protocol 2.0.
    MarkingTlp {
        /// E.g. `TLP:AMBER`.
        level: String,
    },
    /// A text, e.g. of a copyright.
    MarkingStatement {
        /// The text.
        statement: String,
    },
    /// The Information Exchange Policy.
    MarkingIep {
        /// Its name.
        name: String,
    },
}

/// An extension that a playbook uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where its schema is, or the schema.
    pub schema: String,
}

/// What a signature says of itself. Nothing here is proved; see [`crate::sign::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignatureInfo {
    /// Its identifier.
    pub id: Id,
    /// Who says to have signed.
    pub signee: String,
    /// With which algorithm.
    pub algorithm: String,
    /// Whether it was withdrawn.
    pub revoked: bool,
    /// Before this it does not count.
    pub valid_from: Option<Timestamp>,
    /// From this on it does not count.
    pub valid_until: Option<Timestamp>,
    /// Which playbook it is for.
    pub related_to: Id,
    /// Which version of it.
    pub related_version: Timestamp,
}

impl Step {
    /// Its name, or what it is.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.kind.word())
    }

    /// First steps of its branches, each once.
    pub fn branches(&self) -> Vec<&Id> {
        let mut out: Vec<&Id> = match &self.kind {
            StepKind::Parallel { branches } => branches.iter().collect(),
            StepKind::If { on_true, on_false, .. } => {
                std::iter::once(on_true).chain(on_false).collect()
            }
            StepKind::While { on_true, .. } => vec![on_true],
            StepKind::Switch { cases, .. } => cases.values().collect(),
            _ => Vec::new(),
        };
        let mut seen = std::collections::BTreeSet::new();
        out.retain(|it| seen.insert(it.as_str()));
        out
    }

    /// Steps that it points on to.
    pub fn next(&self) -> impl Iterator<Item = &Id> {
        [&self.on_completion, &self.on_success, &self.on_failure].into_iter().flatten()
    }

    /// Variables that it may write.
    pub fn out_args(&self) -> &[String] {
        match &self.kind {
            StepKind::Action(it) => &it.out_args,
            StepKind::PlaybookAction { out_args, .. } => out_args,
            _ => &[],
        }
    }

    /// Variables that it says to read.
    pub fn in_args(&self) -> &[String] {
        match &self.kind {
            StepKind::Action(it) => &it.in_args,
            StepKind::PlaybookAction { in_args, .. } => in_args,
            _ => &[],
        }
    }
}

impl StepKind {
    /// The word of the standard for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::End => "end",
            Self::Action(_) => "action",
            Self::PlaybookAction { .. } => "playbook-action",
            Self::Parallel { .. } => "parallel",
            Self::If { .. } => "if-condition",
            Self::While { .. } => "while-condition",
            Self::Switch { .. } => "switch-condition",
        }
    }
}
