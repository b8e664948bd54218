//! What a run may do: what the response plan authorises, and nothing else.
//!
//! **Invariant:** what is not listed is refused with a reason. There is no way to allow everything.

use std::collections::BTreeSet;

use cofferdam_core::plan::{Plan, nearest};

use crate::{model::Command, perform::Perform};

/// Commands that a run may give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Ids of actions that may be ordered and verified.
    pub actions: BTreeSet<String>,
    /// Ids of notifiers that may be used.
    pub notifiers: BTreeSet<String>,
    /// Command types that a worker outside may be given. `manual` is always allowed: a person reads it.
    pub workers: BTreeSet<String>,
}

impl Allowance {
    /// What `plan` authorises; no worker outside.
    pub fn of(plan: &Plan) -> Self {
        Self {
            actions: plan.actions.iter().map(|it| it.id.clone()).collect(),
            notifiers: plan.notifiers.iter().map(|it| it.id.clone()).collect(),
            workers: BTreeSet::new(),
        }
    }

    /// Whether one of our commands is allowed, its texts without variables.
    ///
    /// # Errors
    ///
    /// Why not, for people.
    pub fn allows_perform(&self, perform: &Perform) -> Result<(), String> {
        match perform {
            Perform::Order { action } | Perform::Verify { action } => {
                known("action", action, &self.actions)
            }
            Perform::Notify { to, .. } => {
                to.iter().try_for_each(|it| known("notifier", it, &self.notifiers))
            }
            Perform::Approval { .. } | Perform::Statement { .. } => Ok(()),
        }
    }

    /// Whether a command of the standard is allowed.
    ///
    /// # Errors
    ///
    /// Why not, for people.
    pub fn allows_command(&self, command: &Command) -> Result<(), String> {
        if command.kind == "manual" || self.workers.contains(&command.kind) {
            return Ok(());
        }
        Err(format!("no worker may be given `{}` commands", crate::fields::clip(&command.kind)))
    }
}

fn known(what: &str, name: &str, names: &BTreeSet<String>) -> Result<(), String> {
    if names.contains(name) {
        return Ok(());
    }
    let near = nearest(name, names.iter().map(String::as_str));
    let hint = near.map_or_else(String::new, |it| format!("; did you mean `{it}`?"));
    Err(format!("the plan has no {what} `{}`{hint}", crate::fields::clip(name)))
}
