//! What no schema can see: whether the parts of a playbook fit together.
//!
//! **Invariant:** every pointer that a run could follow is checked here, so that a run of an accepted
//! playbook never meets one that leads nowhere.

mod graph;
mod variables;

use cofferdam_core::{Timestamp, plan::Plan};

use crate::{
    allowance::Allowance,
    issue::{Desk, Rule},
    json::{Node, Span},
    model::{Id, Playbook, StepKind},
};

pub(crate) use variables::find;

/// Severity from which a playbook is for the gravest incidents.
pub const GRAVE_SEVERITY_MIN: u8 = 80;

/// Why a playbook that was accepted may still not be run now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// It was withdrawn.
    #[error("the playbook was revoked")]
    Revoked,
    /// It is not valid yet.
    #[error("the playbook is not valid before {0}")]
    TooEarly(Timestamp),
    /// It is not valid any more.
    #[error("the playbook was valid until {0}")]
    Expired(Timestamp),
}

/// Whether `playbook` may be run at `now`.
///
/// # Errors
///
/// Why not.
pub fn runnable(playbook: &Playbook, now: Timestamp) -> Result<(), NotNow> {
    if playbook.revoked {
        return Err(NotNow::Revoked);
    }
    if let Some(it) = playbook.valid_from.filter(|it| now < *it) {
        return Err(NotNow::TooEarly(it));
    }
    match playbook.valid_until.filter(|it| now >= *it) {
        Some(it) => Err(NotNow::Expired(it)),
        None => Ok(()),
    }
}

/// Commands of `playbook` that `plan` does not allow, and orders for actions that it does not have.
/// Texts with variables are judged with the values the playbook gives them.
pub fn against_plan(playbook: &Playbook, plan: &Plan) -> Vec<(Id, String)> {
    let allowance = Allowance::of(plan);
    let lookup = |name: &str| playbook.variables.get(name).and_then(|it| it.value.as_deref());
    let mut out = Vec::new();
    for (id, step) in &playbook.workflow {
        let Some(perform) = &step.perform else { continue };
        // What has no value yet cannot be judged before the run.
        let Ok(perform) = perform.map(|it| crate::variable::substitute(it, lookup)) else {
            continue;
        };
        if let Err(why) = allowance.allows_perform(&perform) {
            out.push((id.clone(), why));
        }
    }
    out
}

pub(crate) fn check(desk: &Desk, document: &Node, playbook: &Playbook) {
    let at = |path: &[&str]| place(document, path);
    if playbook.modified < playbook.created {
        desk.tell(Rule::TimeOrder, &at(&["modified"]), "`modified` is before `created`");
    }
    if let (Some(from), Some(until)) = (playbook.valid_from, playbook.valid_until)
        && until <= from
    {
        let message = "`valid_until` is not after `valid_from`";
        desk.tell(Rule::Validity, &at(&["valid_until"]), message);
    }
    entry(desk, document, playbook);
    references(desk, document, playbook);
    graph::check(desk, document, playbook);
    variables::check(desk, document, playbook);
}

/// Where the value under `path` stands; the document's beginning if it is not there.
pub(super) fn place(document: &Node, path: &[&str]) -> Span {
    let mut node = document;
    for key in path {
        match node.get(key) {
            Some(it) => node = it,
            None => break,
        }
    }
    node.span.clone()
}

fn entry(desk: &Desk, document: &Node, playbook: &Playbook) {
    let span = place(document, &["workflow_start"]);
    match playbook.workflow.get(&playbook.start).map(|it| &it.kind) {
        // A step that is there but could not be read is told already.
        None if document.get("workflow").and_then(|it| it.get(&playbook.start)).is_some() => {}
        None => desk.tell(Rule::Dangling, &span, "`workflow_start` names no step of the workflow"),
        Some(StepKind::Start) => {}
        Some(other) => {
            let message = format!("`workflow_start` names a step of type `{}`", other.word());
            desk.hint(Rule::Start, &span, message, "it has to name a step of type `start`");
        }
    }
    let some = |of: fn(&StepKind) -> bool| playbook.workflow.values().any(|it| of(&it.kind));
    let acts = |it: &StepKind| matches!(it, StepKind::Action(_) | StepKind::PlaybookAction { .. });
    let message = if !some(|it| matches!(it, StepKind::Start)) {
        "the workflow has no start step"
    } else if !some(acts) {
        "the workflow has no action"
    } else if !some(|it| matches!(it, StepKind::End)) {
        "the workflow has no end step"
    } else {
        return;
    };
    desk.tell(Rule::Shape, &place(document, &["workflow"]), message);
}

fn references(desk: &Desk, document: &Node, playbook: &Playbook) {
    let dangling = |path: &[&str], message: String| {
        desk.tell(Rule::Dangling, &place(document, path), message);
    };
    let steps = document.get("workflow");
    let is_step = |id: &str| steps.is_some_and(|it| it.get(id).is_some());
    if let Some(it) = playbook.exception.as_ref().filter(|it| !is_step(it)) {
        let message = format!("`workflow_exception`: there is no step `{it}`");
        desk.tell(Rule::DanglingException, &place(document, &["workflow_exception"]), message);
    }
    for (id, step) in &playbook.workflow {
        for (key, to) in [
            ("on_completion", &step.on_completion),
            ("on_success", &step.on_success),
            ("on_failure", &step.on_failure),
        ] {
            if let Some(to) = to.as_ref().filter(|it| !is_step(it)) {
                dangling(&["workflow", id, key], format!("`{key}`: there is no step `{to}`"));
            }
        }
        let branches = step.branches();
        for to in branches.into_iter().filter(|it| !is_step(it)) {
            dangling(&["workflow", id], format!("a branch leads to `{to}`, which is no step"));
        }
        if let StepKind::Action(action) = &step.kind {
            if !playbook.agents.contains_key(&action.agent) && !action.agent.is_empty() {
                let message = format!("there is no agent `{}`", action.agent);
                dangling(&["workflow", id, "agent"], message);
            }
            for it in action.targets.iter().filter(|it| !playbook.targets.contains_key(*it)) {
                dangling(&["workflow", id, "targets"], format!("there is no target `{it}`"));
            }
        }
        if let Some(entries) = steps.and_then(|it| it.get(id)?.get("step_extensions")) {
            extensions(desk, playbook, entries);
        }
    }
    for it in playbook.markings.iter().filter(|it| !playbook.marking_definitions.contains_key(*it))
    {
        dangling(&["markings"], format!("there is no data marking `{it}`"));
    }
    if let Some(entries) = document.get("playbook_extensions") {
        extensions(desk, playbook, entries);
    }
    for (key, parties) in
        [("agent_definitions", &playbook.agents), ("target_definitions", &playbook.targets)]
    {
        for (id, party) in parties {
            let known = |it: &&Id| !playbook.authentication.contains_key(*it);
            if let Some(it) = party.authentication.as_ref().filter(known) {
                let message = format!("there is no authentication information `{it}`");
                dangling(&[key, id, "authentication_info"], message);
            }
        }
    }
    for (index, it) in playbook.signatures.iter().enumerate() {
        if it.related_to != playbook.id {
            let message = format!("signature {} is for another playbook", index + 1);
            dangling(&["signatures"], message);
        }
    }
}

fn extensions(desk: &Desk, playbook: &Playbook, entries: &Node) {
    let crate::json::Value::Object(members) = &entries.value else { return };
    for it in members.iter().filter(|it| !playbook.extensions.contains_key(&it.key)) {
        let message =
            format!("there is no extension definition `{}`", crate::fields::clip(&it.key));
        desk.tell(Rule::Dangling, &it.key_span, message);
    }
}
