//! The ladder: each action of the plan weighed, the best one chosen (`risk.md` §9.5, one-shot rule).

use std::collections::BTreeSet;

use cofferdam_core::{
    Finding, Probability, Stage, Timestamp, Usd,
    incident::{Ledger, OptionLine, Quantity, Term, Verdict},
    plan::{Action, Entity, Mode, Plan},
};

use crate::{
    drain::{self, Losses},
    evidence, gate,
};

/// A finding with the mode of its rule.
#[derive(Clone, Copy, Debug)]
pub struct Weighed<'a> {
    /// The finding.
    pub finding: &'a Finding,
    /// How far it may go.
    pub mode: Mode,
}

/// An order decided earlier, for budgets and cooldowns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastOrder {
    /// Id of the action.
    pub action: String,
    /// When it was decided.
    pub at: Timestamp,
    /// Whether it went out without a person.
    pub automatic: bool,
}

/// Everything a decision rests on.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// The time of the decision.
    pub now: Timestamp,
    /// The response plan.
    pub plan: &'a Plan,
    /// The entity under attack.
    pub entity: &'a Entity,
    /// Value held by the entity before the attack, with its source; `None` if unknown.
    pub holdings: Option<(Usd, String)>,
    /// The findings of the incident that count now.
    pub findings: &'a [Weighed<'a>],
    /// Blocks since the first loss, at least 1 if there is a loss.
    pub blocks_since_loss: u64,
    /// Orders of this and other incidents, for budgets and cooldowns.
    pub past: &'a [PastOrder],
    /// Actions already ordered for this incident and not failed: not weighed again.
    pub under_way: &'a BTreeSet<String>,
}

/// What to do: the chosen action and whether it may go out by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Id of the action.
    pub action: String,
    /// True: dispatch according to the action's autonomy. False: propose to a person.
    pub automatic: bool,
}

impl Weighed<'_> {
    /// Whether it counts as evidence: shadow rules and blind findings do not.
    pub(crate) fn counts(&self) -> bool {
        self.mode > Mode::Shadow && !self.finding.is_blind()
    }
}

/// Weighs every action that protects the entity and picks the one with the best expected net
/// benefit; equal ones by the lower rung, then by name. The ledger tells all of it.
pub fn decide(case: &Case<'_>) -> (Ledger, Option<Choice>) {
    let decision = &case.plan.decision;
    let (posterior, mut terms) = evidence::fuse(decision, case.findings);
    let (at_risk, source) = value_at_risk(case);
    let losses = Losses {
        suffered: lost(case.findings, |it| it > Stage::Pending),
        impending: lost(case.findings, |it| it == Stage::Pending),
        blocks: case.blocks_since_loss,
    };
    let drain = drain::drain(decision, at_risk, losses);
    terms.extend(drain::terms(decision, at_risk, &source, losses, &drain));

    let mut options: Vec<OptionLine> = Vec::new();
    for action in case.plan.actions.iter().filter(|it| it.contains.contains(&case.entity.id)) {
        let (line, costs) = weigh(case, action, posterior, drain.next_block);
        terms.push(costs);
        options.push(line);
    }
    options.sort_by(|a, b| (a.rung, &a.action).cmp(&(b.rung, &b.action)));
    let chosen = choose(&mut options);
    let flips = flips(&options, chosen.as_ref(), posterior);
    let ledger = Ledger {
        at: case.now,
        prior: Probability(decision.prior_ppb),
        posterior,
        terms,
        options,
        chosen: chosen.as_ref().map(|it| it.action.clone()),
        flips,
    };
    (ledger, chosen)
}

/// The plan's figure, else what the entity was seen to hold, else at least what was lost.
fn value_at_risk(case: &Case<'_>) -> (Usd, String) {
    if let Some(value) = case.entity.value_at_risk {
        return (value.0, format!("plan: value-at-risk of {}", case.entity.id));
    }
    match &case.holdings {
        Some((value, source)) => (*value, source.clone()),
        None => {
            let all = lost(case.findings, |_| true);
            (all, "holdings unknown: at least what was lost".into())
        }
    }
}

/// Loss in transactions of the stages wanted: two rules that see the same loss are not added up.
/// Within a rule losses of different transactions are.
fn lost(findings: &[Weighed<'_>], stage: impl Fn(Stage) -> bool) -> Usd {
    let mut by_rule = std::collections::BTreeMap::<&str, Usd>::new();
    for it in findings.iter().filter(|it| it.counts() && stage(it.finding.stage)) {
        let sum = by_rule.entry(&it.finding.rule).or_default();
        *sum = sum.plus(Usd(it.finding.loss.0.max(0)));
    }
    by_rule.into_values().max().unwrap_or_default()
}

fn weigh(
    case: &Case<'_>,
    action: &Action,
    posterior: Probability,
    next_block: Usd,
) -> (OptionLine, Term) {
    let stops =
        Probability(u32::try_from(action.stops.0.min(1_000_000) * 1_000).unwrap_or(u32::MAX));
    let avoided = next_block.weighted(stops);
    let per_hour = action.cost.per_hour.0.0;
    let hours_ms = i128::from(action.cost.duration.0);
    let running = Usd(per_hour.saturating_mul(hours_ms) / 3_600_000);
    let cost = action.cost.fixed.0.plus(running);
    let threshold = Probability(cofferdam_risk::threshold_ppb(cost.0, avoided.0));
    let net = Usd(cofferdam_risk::net_benefit_micro_usd(posterior.0, cost.0, avoided.0));
    let verdict = if case.under_way.contains(&action.id) {
        Verdict::Withheld("already ordered".into())
    } else if net.0 <= 0 {
        Verdict::BelowThreshold
    } else {
        gate::gate(case.plan.decision.harm_gate, case.now, action, case.findings, case.past)
    };
    let line = OptionLine {
        action: action.id.clone(),
        rung: action.rung,
        avoided,
        cost,
        threshold,
        net,
        verdict,
    };
    let costs = Term {
        name: format!("cost of {}", action.id),
        value: Quantity::Usd(cost),
        interval: Some((Quantity::Usd(action.cost.fixed.0), Quantity::Usd(cost))),
        source: format!(
            "plan: fixed {} + {} an hour for {}",
            action.cost.fixed, action.cost.per_hour, action.cost.duration
        ),
    };
    (line, costs)
}

/// Picks the best option that may run or be proposed; the others become dominated. An option that may
/// act by itself is preferred to one that waits for a person, whatever its benefit: the person can
/// still release the other one.
fn choose(options: &mut [OptionLine]) -> Option<Choice> {
    let rank = |it: &OptionLine| match it.verdict {
        Verdict::Act => 2,
        Verdict::Propose => 1,
        _ => 0,
    };
    let best = options
        .iter()
        .enumerate()
        .filter(|(_, it)| rank(it) > 0)
        .max_by(|(i, a), (j, b)| (rank(a), a.net, j).cmp(&(rank(b), b.net, i)))
        .map(|(index, _)| index)?;
    for (index, it) in options.iter_mut().enumerate() {
        if index != best && rank(it) > 0 {
            it.verdict = Verdict::Dominated;
        }
    }
    let it = options.get(best)?;
    Some(Choice { action: it.action.clone(), automatic: it.verdict == Verdict::Act })
}

/// What would change the decision.
fn flips(options: &[OptionLine], chosen: Option<&Choice>, posterior: Probability) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(choice) = chosen {
        let line = options.iter().find(|it| it.action == choice.action);
        out.extend(line.map(|it| {
            format!("{} would not be worth it below a posterior of {}", it.action, it.threshold)
        }));
        return out;
    }
    for it in options {
        out.push(match &it.verdict {
            Verdict::Withheld(why) => format!("{}: {why}", it.action),
            _ if it.avoided.0 == 0 => format!("{} would avoid nothing", it.action),
            _ => format!(
                "{} becomes worth it at a posterior of {} (now {posterior})",
                it.action, it.threshold
            ),
        });
    }
    if options.is_empty() {
        out.push("no action of the plan protects this entity".into());
    }
    out
}
