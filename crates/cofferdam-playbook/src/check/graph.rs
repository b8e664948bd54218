//! Ways through a workflow: what is reached, what ends, what leads back into itself.
//!
//! A branch is followed from its first step along `on_completion`, `on_success` and `on_failure`; the
//! branches of a step within it are branches of their own.
//!
//! **Invariant:** time linear in steps and pointers for each branch; no recursion, so that no document
//! can exhaust the stack.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    issue::{Desk, Rule},
    json::Node,
    model::{Id, Playbook, StepKind},
};

use super::{GRAVE_SEVERITY_MIN, place};

pub(super) fn check(desk: &Desk, document: &Node, playbook: &Playbook) {
    let entries: Vec<&Id> = std::iter::once(&playbook.start).chain(&playbook.exception).collect();
    let reached = closure(playbook, entries.iter().copied(), true);
    for (id, step) in &playbook.workflow {
        if !reached.contains(id.as_str()) {
            desk.tell(
                Rule::Unreachable,
                &step.span,
                format!("nothing leads to `{}`", step.title()),
            );
        }
    }
    no_end(desk, playbook);
    branches(desk, playbook);
    rings(desk, playbook, &entries);
    shared_ends(desk, playbook, &entries);
    if silent_exception(playbook) {
        let grave = playbook.severity.is_some_and(|it| it >= GRAVE_SEVERITY_MIN);
        let rule = if grave { Rule::SilentGraveException } else { Rule::SilentException };
        desk.hint(
            rule,
            &place(document, &["workflow_exception"]),
            "the exception path does nothing: an exception becomes a silent end",
            "let `workflow_exception` name an action that tells a person",
        );
    }
}

/// Whether there is an exception path and no step on it acts.
fn silent_exception(playbook: &Playbook) -> bool {
    let Some(entry) = &playbook.exception else { return false };
    playbook.workflow.contains_key(entry)
        && closure(playbook, std::iter::once(entry), true).into_iter().all(|it| {
            !playbook.workflow.get(it).is_some_and(|it| {
                matches!(it.kind, StepKind::Action(_) | StepKind::PlaybookAction { .. })
            })
        })
}

/// Steps reached from `entries`; through branches as well if `into_branches`.
fn closure<'a>(
    playbook: &'a Playbook,
    entries: impl Iterator<Item = &'a Id>,
    into_branches: bool,
) -> BTreeSet<&'a str> {
    let mut out = BTreeSet::new();
    let mut todo: Vec<&str> = entries.map(String::as_str).collect();
    while let Some(id) = todo.pop() {
        let Some((id, step)) = playbook.workflow.get_key_value(id) else { continue };
        if !out.insert(id.as_str()) {
            continue;
        }
        todo.extend(step.next().map(String::as_str));
        if into_branches {
            todo.extend(step.branches().into_iter().map(String::as_str));
        }
    }
    out
}

/// Steps from which no end step can be reached along plain pointers.
fn no_end(desk: &Desk, playbook: &Playbook) {
    let mut back: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (id, step) in &playbook.workflow {
        for it in step.next() {
            back.entry(it).or_default().push(id);
        }
    }
    let is_end = |it: &&Id| matches!(playbook.workflow[*it].kind, StepKind::End);
    let mut todo: Vec<&str> = playbook.workflow.keys().filter(is_end).map(String::as_str).collect();
    let mut ends: BTreeSet<&str> = BTreeSet::new();
    while let Some(id) = todo.pop() {
        if ends.insert(id) {
            todo.extend(back.get(id).into_iter().flatten());
        }
    }
    for (id, step) in &playbook.workflow {
        // One that points at nothing, or at nothing that is there, is told elsewhere.
        let points = step.next().any(|it| playbook.workflow.contains_key(it));
        if points && !ends.contains(id.as_str()) {
            let message = format!("no end step can be reached from `{}`", step.title());
            desk.tell(Rule::NoEnd, &step.span, message);
        }
    }
}

fn branches(desk: &Desk, playbook: &Playbook) {
    for (id, step) in &playbook.workflow {
        for entry in step.branches() {
            if closure(playbook, std::iter::once(entry), true).contains(id.as_str()) {
                let message = format!("a branch of `{}` leads back to it", step.title());
                let hint =
                    "a branch ends in an end step of its own; the step then goes on by itself";
                desk.hint(Rule::Reentry, &step.span, message, hint);
            }
        }
        match &step.kind {
            StepKind::Parallel { branches } => {
                let distinct: BTreeSet<&Id> = branches.iter().collect();
                if distinct.len() < branches.len() {
                    let message = format!("a branch stands twice in `{}`", step.title());
                    desk.tell(Rule::Twice, &step.span, message);
                }
            }
            StepKind::Switch { cases, .. } if !cases.contains_key("default") => {
                let message = format!("`{}` has no `default` case", step.title());
                let hint = "a value without a case takes no branch and goes on";
                desk.hint(Rule::NoDefault, &step.span, message, hint);
            }
            _ => {}
        }
    }
}

/// Rings of plain pointers within one branch.
fn rings(desk: &Desk, playbook: &Playbook, entries: &[&Id]) {
    for entry in strand_entries(playbook, entries) {
        // Depth first with an explicit stack: a pointer to a step that is still open closes a ring.
        let mut state: BTreeMap<&str, bool> = BTreeMap::new();
        let mut stack: Vec<(&str, Vec<&str>)> = Vec::new();
        let next = |id: &str| -> Vec<&str> {
            let step = playbook.workflow.get(id);
            step.map_or_else(Vec::new, |it| it.next().map(String::as_str).collect())
        };
        state.insert(entry, true);
        stack.push((entry, next(entry)));
        while let Some((id, rest)) = stack.last_mut() {
            let Some(to) = rest.pop() else {
                state.insert(*id, false);
                stack.pop();
                continue;
            };
            match state.get(to) {
                Some(true) => {
                    if let Some(step) = playbook.workflow.get(to) {
                        let message = format!("plain pointers lead back to `{}`", step.title());
                        let hint = "a while-condition says when to stop";
                        desk.hint(Rule::Ring, &step.span, message, hint);
                    }
                }
                Some(false) => {}
                None => {
                    state.insert(to, true);
                    stack.push((to, next(to)));
                }
            }
        }
    }
}

fn strand_entries<'a>(playbook: &'a Playbook, entries: &[&'a Id]) -> BTreeSet<&'a str> {
    let mut out: BTreeSet<&str> = entries.iter().map(|it| it.as_str()).collect();
    out.extend(playbook.workflow.values().flat_map(|it| it.branches()).map(String::as_str));
    out
}

/// End steps that more than one branch ends in. The text says MUST; its own examples do it, and a run
/// knows which branch ended, so it is told and taken.
fn shared_ends(desk: &Desk, playbook: &Playbook, entries: &[&Id]) {
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in strand_entries(playbook, entries) {
        let Some((id, _)) = playbook.workflow.get_key_value(entry) else { continue };
        for it in closure(playbook, std::iter::once(id), false) {
            if matches!(playbook.workflow[it].kind, StepKind::End) {
                *ends.entry(it).or_default() += 1;
            }
        }
    }
    for (id, _) in ends.into_iter().filter(|(_, count)| *count > 1) {
        let step = &playbook.workflow[id];
        let message = format!("more than one branch ends in `{}`", step.title());
        desk.tell(Rule::SharedEnd, &step.span, message);
    }
}
