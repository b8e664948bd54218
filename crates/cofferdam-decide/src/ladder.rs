//! The ladder: each action of the plan weighed, the best one chosen (`risk.md` §9.5).

use std::collections::BTreeSet;

use cofferdam_core::{
    ChainId, Finding, Probability, Stage, Timestamp, Usd,
    incident::{Ledger, OptionLine, Quantity, Term, Verdict},
    plan::{Decision, Entity, Mode, Plan, Policy},
};

use crate::{
    Tables, Ties,
    drain::Stakes,
    evidence, gate, losses,
    options::{self, Outlook},
};

/// A finding with the mode of its rule.
#[derive(Clone, Copy, Debug)]
pub struct Weighed<'a> {
    /// The finding.
    pub finding: &'a Finding,
    /// How far it may go.
    pub mode: Mode,
    /// Blocks between its block and the head of its chain; 0 for a pending transaction.
    pub age: u64,
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
    /// Probability that it was for nothing, as far as known by now.
    pub doubt: Probability,
}

/// An order decided for the incident that is not out yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Id of the action.
    pub action: String,
    /// When it was decided.
    pub since: Timestamp,
}

/// Everything a decision rests on.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// The time of the decision.
    pub now: Timestamp,
    /// The response plan.
    pub plan: &'a Plan,
    /// What was solved when the plan was loaded.
    pub tables: &'a Tables,
    /// The entity under attack.
    pub entity: &'a Entity,
    /// The chain it is attacked on.
    pub chain: ChainId,
    /// Value held by the entity before the attack, with its source; `None` if unknown.
    pub holdings: Option<(Usd, String)>,
    /// The findings of the incident that count now.
    pub findings: &'a [Weighed<'a>],
    /// What accounts in them belong together.
    pub ties: &'a Ties,
    /// Orders of this and other incidents, for budgets and cooldowns.
    pub past: &'a [PastOrder],
    /// Actions already ordered for this incident and not failed: not weighed again.
    pub under_way: &'a BTreeSet<String>,
    /// Those of them that are not out yet.
    pub waiting: &'a [Waiting],
}

/// What to do: the chosen action and whether it may go out by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Id of the action.
    pub action: String,
    /// True: dispatch according to the action's autonomy. False: propose to a person.
    pub automatic: bool,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The reasoning.
    pub ledger: Ledger,
    /// What is to be ordered now; `None` means watch and notify.
    pub choice: Option<Choice>,
    /// Actions whose orders are not out yet and not worth it any more.
    pub withdraw: Vec<String>,
}

impl Weighed<'_> {
    /// Whether it counts as evidence: shadow rules and blind findings do not.
    pub(crate) fn counts(&self) -> bool {
        self.mode > Mode::Shadow && !self.finding.is_blind()
    }
}

/// Weighs every action that protects the entity and picks the one with the best expected net
/// benefit; equal ones by the lower rung, then by name. The ledger tells all of it.
pub fn decide(case: &Case<'_>) -> Decided {
    let decision = &case.plan.decision;
    let full = decision.policy == Policy::Sequential;
    let belief = match full {
        true => evidence::believe(case),
        false => evidence::one_shot(decision, case.findings),
    };
    let stakes = stakes(case);
    let (drain, drain_terms) = if full { stakes.drain() } else { stakes.one_shot() };
    let outlook = Outlook { live: belief.live, proved: belief.proved, drain };
    let mut terms = belief.terms;
    terms.extend(drain_terms);

    let mut weighed = Vec::new();
    for action in case.plan.actions.iter().filter(|it| it.contains.contains(&case.entity.id)) {
        let option = options::weigh(case, action, &outlook);
        terms.push(option.cost.clone());
        weighed.push(option);
    }
    if full {
        terms.push(alarms_left(decision, case));
    }
    weighed.sort_by(|a, b| (a.line.rung, &a.line.action).cmp(&(b.line.rung, &b.line.action)));
    let withdraw =
        weighed.iter().filter(|it| it.withdraw).map(|it| it.line.action.clone()).collect();
    let remarks: Vec<String> = weighed.iter().flat_map(|it| it.remarks.iter().cloned()).collect();
    let mut options: Vec<OptionLine> = weighed.into_iter().map(|it| it.line).collect();
    let choice = choose(&mut options);
    let mut flips = options::flips(&options, choice.as_ref(), belief.live);
    flips.extend(remarks);
    let ledger = Ledger {
        at: case.now,
        prior: Probability(decision.prior_ppb),
        posterior: belief.live,
        terms,
        options,
        chosen: choice.as_ref().map(|it| it.action.clone()),
        flips,
    };
    Decided { ledger, choice, withdraw }
}

fn stakes<'a>(case: &'a Case<'a>) -> Stakes<'a> {
    let (at_risk, source) = value_at_risk(case);
    let chain = case.plan.chains.iter().find(|it| it.id == case.chain);
    // Without a chain in the plan no time passes per block, and a limiter regains nothing.
    let block_ms = chain.map_or(0, |it| it.block_time.0);
    Stakes {
        decision: &case.plan.decision,
        at_risk,
        source,
        lost: losses::by_block(case.findings),
        impending: losses::impending(case.findings),
        outlet: case.entity.outlet.as_ref().map(|it| (it, block_ms)),
    }
}

/// The plan's figure, else what the entity was seen to hold, else at least what was lost.
fn value_at_risk(case: &Case<'_>) -> (Usd, String) {
    if let Some(value) = case.entity.value_at_risk {
        return (value.0, format!("plan: value-at-risk of {}", case.entity.id));
    }
    match &case.holdings {
        Some((value, source)) => (*value, source.clone()),
        None => {
            let mut all: Vec<Weighed<'_>> = case.findings.to_vec();
            all.retain(|it| it.finding.stage > Stage::Pending);
            let lost = losses::total(&losses::by_block(&all));
            let known = lost.max(losses::impending(case.findings));
            (known, "holdings unknown: at least what was lost".into())
        }
    }
}

fn alarms_left(decision: &Decision, case: &Case<'_>) -> Term {
    let spent = gate::doubted(decision, case.now, case.past);
    let budget = u64::from(decision.false_alarms_max) * u64::from(Probability::CERTAIN.0);
    let left = budget.saturating_sub(spent) / u64::from(Probability::CERTAIN.0);
    Term {
        name: "false alarms left".into(),
        value: Quantity::Count(left),
        interval: None,
        source: format!(
            "plan: {} in {}, less {}.{:02} doubted",
            decision.false_alarms_max,
            decision.false_alarm_window,
            spent / 1_000_000_000,
            spent / 10_000_000 % 100
        ),
    }
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
