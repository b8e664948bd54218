//! Variables: defined, of the right type, and not written if constant.
//!
//! **Invariant:** a name is looked up where a run would look it up: the step's own variables first,
//! then the playbook's.

use super::place;
use crate::{
    fields::clip,
    issue::{Desk, Rule},
    json::Node,
    model::{Playbook, Step, StepKind},
    variable::{self, Variable},
};

pub(super) fn check(desk: &Desk, document: &Node, playbook: &Playbook) {
    for (id, step) in &playbook.workflow {
        let undefined = |key: &str, name: &str| {
            let span = place(document, &["workflow", id, key]);
            let known = playbook.variables.keys().chain(step.variables.keys());
            let near = cofferdam_core::plan::nearest(name, known.map(String::as_str));
            let message = format!("nobody defines the variable `{}`", clip(name));
            match near {
                Some(it) => {
                    desk.hint(Rule::Undefined, &span, message, format!("did you mean `{it}`?"))
                }
                None => desk.tell(Rule::Undefined, &span, message),
            }
        };
        let lookup = |name: &str| find(playbook, step, name);
        match &step.kind {
            StepKind::If { condition, .. } | StepKind::While { condition, .. } => {
                for name in condition.variables() {
                    if lookup(name).is_none() {
                        undefined("condition", name);
                    }
                }
                for fault in condition.mismatches(&lookup) {
                    let span = place(document, &["workflow", id, "condition"]);
                    desk.tell(Rule::Mistyped, &span, fault.to_string());
                }
            }
            StepKind::Switch { variable, .. } if lookup(variable).is_none() => {
                undefined("switch", variable);
            }
            _ => {}
        }
        for name in step.in_args().iter().filter(|it| lookup(it).is_none()) {
            undefined("in_args", name);
        }
        for name in step.out_args() {
            match lookup(name) {
                None => undefined("out_args", name),
                Some(it) if it.constant => {
                    let span = place(document, &["workflow", id, "out_args"]);
                    let message = format!("`{}` is constant and cannot be written", clip(name));
                    desk.tell(Rule::Constant, &span, message);
                }
                Some(_) => {}
            }
        }
        for (key, text) in texts(step) {
            for name in variable::references(text).into_iter().filter(|it| lookup(it).is_none()) {
                undefined(key, name);
            }
        }
    }
}

pub(crate) fn find<'a>(playbook: &'a Playbook, step: &'a Step, name: &str) -> Option<&'a Variable> {
    step.variables.get(name).or_else(|| playbook.variables.get(name))
}

/// Texts of a step in which variables are replaced, with the property they stand in.
fn texts(step: &Step) -> Vec<(&'static str, &str)> {
    let mut out = Vec::new();
    if let StepKind::Action(action) = &step.kind {
        for it in &action.commands {
            let texts = [&it.command, &it.content].into_iter().flatten();
            out.extend(texts.map(|it| ("commands", it.as_str())));
        }
    }
    for it in step.perform.iter().flat_map(|it| it.texts()) {
        out.push(("step_extensions", it));
    }
    out
}
