//! What may be done without asking: harm gate, proved evidence, two sources, budgets, cooldown, stage, autonomy.
//!
//! **Invariant:** while the plan's harm gate is shut, as it is unless the plan opens it, novelty or
//! suspicion alone never acts: an automatic order needs a critical finding of damage or loss of control
//! by a rule whose mode is automatic.

use std::collections::BTreeSet;

use cofferdam_core::{
    Class, Probability, Severity, Stage, Timestamp, Usd,
    incident::Verdict,
    plan::{Action, Autonomy, Decision, Mode, Policy, Rung},
};

use crate::{Case, PastOrder, Weighed};

/// How far an action may go that is worth its cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    /// Act, propose, or withhold.
    pub(crate) verdict: Verdict,
    /// Why it is only proposed though it could act.
    pub(crate) because: Option<String>,
}

/// How far this evidence may carry an action that is worth its cost. Without `harm_gate` any evidence
/// that counts will do. `cost` is the upper end of what the action may cost, `doubt` why the evidence is worth it
/// but not proved to be.
pub(crate) fn gate(
    case: &Case<'_>,
    action: &Action,
    live: Probability,
    (cost, doubt): (Usd, Option<String>),
) -> Passage {
    let harm_gate = case.plan.decision.harm_gate;
    let harm = |it: &&Weighed<'_>| {
        let harmful = matches!(it.finding.class, Class::Damage | Class::Control);
        (harmful || !harm_gate) && it.counts()
    };
    let settled = |it: &&Weighed<'_>| it.finding.stage >= action.stage;
    let grounds: Vec<_> = case.findings.iter().filter(harm).filter(settled).collect();
    if grounds.is_empty() {
        let any = case.findings.iter().any(|it| harm(&it));
        return withheld(if any {
            stage_reason(action.stage)
        } else {
            "no damage and no loss of control seen yet".into()
        });
    }
    let mine = case.past.iter().filter(|it| it.action == action.id);
    if let Some(at) = mine.map(|it| it.at).max()
        && case.now.since_ms(at) < action.budget.cooldown.0
    {
        return withheld(format!("cooldown of {} not over", action.budget.cooldown));
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
        return withheld("its rules are in alert mode".into());
    }
    if mode != Mode::Automatic || action.autonomy == Autonomy::Propose {
        return Passage { verdict: Verdict::Propose, because: None };
    }
    let because = match two_sources {
        false => Some("two independent sources must agree on what cannot be undone".to_owned()),
        true => doubt.or_else(|| over_budget(case, action, live, cost)),
    };
    let verdict = if because.is_some() { Verdict::Propose } else { Verdict::Act };
    Passage { verdict, because }
}

fn withheld(why: String) -> Passage {
    Passage { verdict: Verdict::Withheld(why), because: None }
}

/// What forbids an automatic order though the evidence would carry it.
fn over_budget(case: &Case<'_>, action: &Action, live: Probability, cost: Usd) -> Option<String> {
    let decision = &case.plan.decision;
    let used = case.past.iter().filter(|it| it.action == action.id && it.automatic);
    let used = used.filter(|it| case.now.since_ms(it.at) < action.budget.window.0).count();
    if used >= action.budget.automatic_max as usize {
        return Some(format!("it went out {used} times in {}", action.budget.window));
    }
    if decision.policy == Policy::OneShot {
        return None;
    }
    if let Some(most) = action.budget.cost_max
        && cost > most.0
    {
        return Some(format!("it may cost {cost}, more than {} without a person", most.0));
    }
    let lowers = matches!(action.rung, Rung::Limit | Rung::PauseMarket | Rung::PauseProtocol);
    if lowers && action.cost.duration.0 == 0 {
        return Some("the plan does not say how long it lasts at most".into());
    }
    let spent = doubted(decision, case.now, case.past);
    let more = spent.saturating_add(u64::from(live.complement().0));
    let budget = u64::from(decision.false_alarms_max) * u64::from(Probability::CERTAIN.0);
    (more > budget).then(|| {
        format!(
            "{} false alarms in {} are spent",
            decision.false_alarms_max, decision.false_alarm_window
        )
    })
}

/// How many automatic orders of the window are expected to be for nothing, in parts per billion.
pub(crate) fn doubted(decision: &Decision, now: Timestamp, past: &[PastOrder]) -> u64 {
    let window = decision.false_alarm_window.0;
    let recent = past.iter().filter(|it| it.automatic && now.since_ms(it.at) < window);
    recent.fold(0, |sum, it| sum.saturating_add(u64::from(it.doubt.0)))
}

fn stage_reason(stage: Stage) -> String {
    let name = match stage {
        Stage::Pending => "pending",
        Stage::Provisional => "provisional",
        Stage::Final => "final",
    };
    format!("waits for stage {name}")
}
