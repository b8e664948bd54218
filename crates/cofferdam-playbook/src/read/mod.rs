//! From a document to a playbook: structure and types, as the official schemas mean them.
//!
//! The schemas themselves accept almost everything (their `unevaluatedProperties` has no effect under
//! the draft they name), refuse `delay: 0` against the text, and refuse IP addresses as URLs; this
//! follows the text. What concerns more than one object is in [`crate::check`].
//!
//! **Invariant:** the same text gives the same playbook and the same issues, in the order of the text.

mod parts;
mod steps;

use std::collections::BTreeMap;

use alloy_primitives::B256;
use sha2::{Digest, Sha256};

use crate::{
    check,
    fields::{Fields, check_id, clip},
    issue::{Desk, Issue, Level, Profile, Rule},
    jcs,
    json::{self, Member, Node, Value},
    model::{Playbook, SignatureInfo},
    variable::{self, Variable},
};

/// Most steps of a playbook.
pub const STEPS_MAX: usize = 1_000;

/// A document that was read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The playbook, if the document is an object. With an issue of [`Level::Error`] it is for looking
    /// at only.
    pub playbook: Option<Playbook>,
    /// The document itself.
    pub document: Option<Node>,
    /// What is wrong, in the order of the text; at most [`crate::issue::ISSUES_SHOWN_MAX`].
    pub issues: Vec<Issue>,
    /// How many more issues there are.
    pub more: usize,
}

impl Reading {
    /// The playbook if nothing about it is an error.
    pub fn accepted(&self) -> Option<&Playbook> {
        let sound = self.issues.iter().all(|it| it.level != Level::Error);
        self.playbook.as_ref().filter(|_| sound)
    }
}

/// Reads and checks a playbook.
pub fn read(text: &str, profile: Profile) -> Reading {
    let desk = Desk::default();
    let document = match json::parse(text) {
        Ok(it) => Some(it),
        Err(error) => {
            desk.tell(Rule::Json, &(error.at..error.at), error.message);
            None
        }
    };
    let playbook = document.as_ref().and_then(|it| {
        let playbook = playbook(&desk, it)?;
        // Without a workflow there is nothing that could fit together.
        if matches!(it.get("workflow").map(|it| &it.value), Some(Value::Object(_))) {
            check::check(&desk, it, &playbook);
        }
        Some(playbook)
    });
    let (issues, more) = desk.close(text, profile);
    Reading { playbook, document, issues, more }
}

/// SHA-256 of the canonical form without signatures.
pub fn digest(document: &Node) -> B256 {
    let mut bare = document.clone();
    if let Value::Object(members) = &mut bare.value {
        members.retain(|it| it.key != "signatures");
    }
    B256::from_slice(&Sha256::digest(jcs::canonical(&bare)))
}

/// Fields that every playbook has.
const REQUIRED: &[&str] = &[
    "type",
    "spec_version",
    "id",
    "name",
    "created_by",
    "created",
    "modified",
    "workflow_start",
    "workflow",
];

fn playbook(desk: &Desk, document: &Node) -> Option<Playbook> {
    let fields = Fields::of(desk, document, "a playbook")?;
    REQUIRED.iter().for_each(|it| fields.require(it));
    fields.word("type", &["playbook"]);
    fields.word("spec_version", &["cacao-2.0"]);
    let id = fields.id("id");
    if let (Some(id), Some(node)) = (&id, fields.node("id")) {
        check_id(desk, &node.span, id, Some("playbook"));
    }
    summary(desk, &fields);
    let percent = |key| fields.whole(key, 0, 100).and_then(|it| u8::try_from(it).ok());
    for it in fields.items("external_references", 1) {
        parts::reference(desk, it);
    }
    fields.plain_texts("industry_sectors", 1);
    for key in ["derived_from", "related_to"] {
        fields.ids(key, 1);
    }
    fields.extensions("playbook_extensions");
    let workflow = workflow(desk, &fields);
    let playbook = Playbook {
        id: id.unwrap_or_default(),
        name: fields.text("name").unwrap_or_default(),
        description: fields.text("description"),
        created_by: fields.id("created_by").unwrap_or_default(),
        created: fields.time("created").unwrap_or_default(),
        modified: fields.time("modified").unwrap_or_default(),
        revoked: fields.flag("revoked").unwrap_or_default(),
        valid_from: fields.time("valid_from"),
        valid_until: fields.time("valid_until"),
        types: fields.plain_texts("playbook_types", 0),
        activities: fields.plain_texts("playbook_activities", 1),
        priority: percent("priority"),
        severity: percent("severity"),
        impact: percent("impact"),
        labels: fields.plain_texts("labels", 1),
        markings: fields.ids("markings", 1),
        marking_definitions: entries(&fields, "data_marking_definitions", 0, parts::marking),
        variables: variables(desk, fields.entries("playbook_variables", 0)),
        start: fields.id("workflow_start").unwrap_or_default(),
        exception: fields.id("workflow_exception"),
        workflow: workflow.unwrap_or_default(),
        authentication: entries(
            &fields,
            "authentication_info_definitions",
            1,
            parts::authentication,
        ),
        agents: entries(&fields, "agent_definitions", 1, parts::party),
        targets: entries(&fields, "target_definitions", 1, parts::party),
        extensions: entries(&fields, "extension_definitions", 0, parts::extension),
        signatures: signatures(desk, &fields),
        digest: digest(document),
    };
    fields.close();
    Some(playbook)
}

/// The processing summary says what is in the playbook; it is a hint and nothing rests on it.
fn summary(desk: &Desk, fields: &Fields<'_>) {
    let Some(node) = fields.node("playbook_processing_summary") else { return };
    let Some(summary) = Fields::of(desk, node, "a processing summary") else { return };
    for key in [
        "manual_playbook",
        "external_playbooks",
        "parallel_processing",
        "if_logic",
        "while_logic",
        "switch_logic",
        "temporal_logic",
        "data_markings",
        "digital_signatures",
        "countersigned_signatures",
        "extensions",
    ] {
        summary.flag(key);
    }
    summary.close();
}

fn workflow(desk: &Desk, fields: &Fields<'_>) -> Option<BTreeMap<String, crate::model::Step>> {
    let node = fields.node("workflow")?;
    if !matches!(node.value, Value::Object(_)) {
        desk.tell(Rule::Kind, &node.span, "`workflow` has to be an object");
        return None;
    }
    let members = fields.entries("workflow", 0);
    if members.len() > STEPS_MAX {
        let message = format!("{} steps, at most {STEPS_MAX} are taken", members.len());
        desk.tell(Rule::Bounds, &node.span, message);
        return None;
    }
    Some(entries(fields, "workflow", 0, steps::step))
}

/// A dictionary whose keys are identifiers of the kind that each entry says in its `type`.
fn entries<T>(
    fields: &Fields<'_>,
    key: &'static str,
    least: usize,
    one: impl Fn(&Desk, &Member) -> Option<T>,
) -> BTreeMap<String, T> {
    let mut out = BTreeMap::new();
    for it in fields.entries(key, least) {
        let kind = it.value.get("type").and_then(Node::as_str);
        // An agent type of somebody's own may go by another name in the key.
        let kind = kind.filter(|it| parts::is_known_kind(it));
        check_id(fields.desk, &it.key_span, &it.key, kind);
        if let Some(value) = one(fields.desk, it) {
            out.insert(it.key.clone(), value);
        }
    }
    out
}

/// `playbook_variables` or `step_variables`.
fn variables(desk: &Desk, members: &[Member]) -> BTreeMap<String, Variable> {
    let mut out = BTreeMap::new();
    for it in members {
        if !variable::is_name(&it.key) {
            let message = format!("`{}` is no variable name such as `__name__`", clip(&it.key));
            desk.tell(Rule::Identifier, &it.key_span, message);
        }
        let Some(fields) = Fields::of(desk, &it.value, "a variable") else { continue };
        fields.require("type");
        let kind = fields.text("type").unwrap_or_default();
        if !variable::KINDS.contains(&kind.as_str()) {
            let message = format!("`{}` is no variable type that we check", clip(&kind));
            desk.tell(Rule::OpenWord, &it.key_span, message);
        }
        let node = fields.node("value");
        let value = node.filter(|it| it.value != Value::Null).and_then(|_| fields.text("value"));
        if let (Some(text), Some(node)) = (&value, node)
            && let Some(why) = variable::unfit(&kind, text)
        {
            desk.tell(Rule::Mistyped, &node.span, format!("`{}`: {why}", clip(&it.key)));
        }
        let variable = Variable {
            kind,
            description: fields.text("description"),
            value,
            constant: fields.flag("constant").unwrap_or_default(),
            external: fields.flag("external").unwrap_or_default(),
        };
        // SOARCA writes the name into the variable as well.
        fields.node("name");
        fields.close();
        out.insert(it.key.clone(), variable);
    }
    out
}

fn signatures(desk: &Desk, fields: &Fields<'_>) -> Vec<SignatureInfo> {
    let items = fields.items("signatures", 1);
    items.iter().filter_map(|it| parts::signature(desk, it, 0)).collect()
}
