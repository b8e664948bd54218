//! What may be done without asking: harm gate, two sources, budget, cooldown, stage, autonomy.
//!
//! **Invariant:** while the plan's harm gate is shut, as it is unless the plan opens it, novelty or
//! suspicion alone never acts: an automatic order needs a critical finding of damage or loss of control
//! by a rule whose mode is automatic.

use std::collections::BTreeSet;

use cofferdam_core::{
    Class, Severity, Stage, Timestamp,
    incident::Verdict,
    plan::{Action, Autonomy, Mode},
};

use crate::{PastOrder, Weighed};

/// How far this evidence may carry an action that is worth its cost. Without `harm_gate` any evidence
/// that counts will do.
pub(crate) fn gate(
    harm_gate: bool,
    now: Timestamp,
    action: &Action,
    findings: &[Weighed<'_>],
    past: &[PastOrder],
) -> Verdict {
    let harm = |it: &&Weighed<'_>| {
        let harmful = matches!(it.finding.class, Class::Damage | Class::Control);
        (harmful || !harm_gate) && it.counts()
    };
    let settled = |it: &&Weighed<'_>| it.finding.stage >= action.stage;
    let grounds: Vec<_> = findings.iter().filter(harm).filter(settled).collect();
    if grounds.is_empty() {
        let any = findings.iter().any(|it| harm(&it));
        let why = if any {
            stage_reason(action.stage)
        } else {
            "no damage and no loss of control seen yet".into()
        };
        return Verdict::Withheld(why);
    }
    if let Some(at) = past.iter().filter(|it| it.action == action.id).map(|it| it.at).max()
        && now.since_ms(at) < action.budget.cooldown.0
    {
        return Verdict::Withheld(format!("cooldown of {} not over", action.budget.cooldown));
    }
    let groups: BTreeSet<&str> = grounds.iter().map(|it| it.finding.group.as_str()).collect();
    let two_sources = !action.irreversible || groups.len() >= 2;
    let mode = grounds
        .iter()
        .filter(|it| it.finding.severity == Severity::Critical || !harm_gate)
        .map(|it| it.mode)
        .max()
        .unwrap_or(Mode::Alert);
    if mode < Mode::OneClick && grounds.iter().all(|it| it.mode < Mode::OneClick) {
        return Verdict::Withheld("its rules are in alert mode".into());
    }
    let free = action.autonomy != Autonomy::Propose;
    let used = past.iter().filter(|it| it.action == action.id && it.automatic);
    let used = used.filter(|it| now.since_ms(it.at) < action.budget.window.0).count();
    let in_budget = used < action.budget.automatic_max as usize;
    match mode == Mode::Automatic && free && two_sources && in_budget {
        true => Verdict::Act,
        false => Verdict::Propose,
    }
}

fn stage_reason(stage: Stage) -> String {
    let name = match stage {
        Stage::Pending => "pending",
        Stage::Provisional => "provisional",
        Stage::Final => "final",
    };
    format!("waits for stage {name}")
}
