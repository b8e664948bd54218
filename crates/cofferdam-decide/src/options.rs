//! One action weighed: what it saves, what it costs, when it becomes worth it, and what would change that.

use cofferdam_core::{
    Probability, Usd,
    incident::{OptionLine, Quantity, Room, Term, Verdict},
    plan::{Action, Policy},
};
use cofferdam_risk::waiting::{Stand, by_odds_micro_usd};

use crate::{
    Case, Choice,
    drain::{Drain, share},
    gate::{self, Passage},
};

/// An order is given up again below its threshold divided by this (`risk.md` §9.5).
const EXIT_DIVISOR: u32 = 3;

/// What acting is weighed against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlook {
    /// Probability that value is leaving, or begins to before the next block.
    pub(crate) live: Probability,
    /// The same by what the counts behind the evidence prove.
    pub(crate) proved: Probability,
    /// What leaves.
    pub(crate) drain: Drain,
}

/// An action weighed.
#[derive(Clone, Debug)]
pub(crate) struct Weighing {
    /// Its line in the ledger.
    pub(crate) line: OptionLine,
    /// Its cost, part by part.
    pub(crate) cost: Term,
    /// Whether its order, which is not out yet, is not worth it any more.
    pub(crate) withdraw: bool,
    /// What is to be said of it.
    pub(crate) remarks: Vec<String>,
}

pub(crate) fn weigh(case: &Case<'_>, action: &Action, outlook: &Outlook) -> Weighing {
    let (cost, range) = action.cost.total(case.now);
    let (stand, saves) = stand(action, &outlook.drain, cost);
    let live = outlook.live;
    let economic = case.tables.waiting.threshold_ppb(&stand);
    let threshold = Probability(action.threshold_ppb.unwrap_or(economic));
    let net = Usd(cofferdam_risk::net_benefit_micro_usd(live.0, cost.0, saves.0));
    let exit = Probability(threshold.0 / EXIT_DIVISOR);
    let avoided = Usd(stand.next);
    let room = Room {
        saves,
        waiting: Usd(case.tables.waiting.waiting_micro_usd(&stand, live.0)),
        exit,
        costs: range,
        cost_turns_at: Usd(by_odds_micro_usd(cost.0, live.0, threshold.0)),
        loss_turns_at: Usd(by_odds_micro_usd(avoided.0, threshold.0, live.0)),
    };
    // A threshold from a back-test stands for what acting is worth over all the attacks it was chosen on.
    let pays = net > Usd::ZERO || action.threshold_ppb.is_some();
    let worth = live >= threshold && saves > Usd::ZERO && pays;
    let mut remarks = Vec::new();
    let mut withdraw = false;
    let verdict = if case.under_way.contains(&action.id) {
        withdraw = is_over(case, action, live, exit);
        Verdict::Withheld(standing(case, action, live, exit))
    } else if !worth {
        Verdict::BelowThreshold
    } else {
        let proved = outlook.proved;
        let sure = proved >= threshold
            && cofferdam_risk::net_benefit_micro_usd(proved.0, cost.0, saves.0) > 0;
        let doubt = (!sure)
            .then(|| format!("the counts behind its evidence prove a posterior of {proved} only"));
        let Passage { verdict, because } = gate::gate(case, action, live, (range.1, doubt));
        remarks.extend(because.map(|it| format!("{} is only proposed: {it}", action.id)));
        verdict
    };
    let line = OptionLine {
        action: action.id.clone(),
        rung: action.rung,
        avoided,
        cost,
        threshold,
        net,
        verdict,
        room,
    };
    Weighing { line, cost: cost_term(case, action, cost, range), withdraw, remarks }
}

/// Acting now against acting a block later, and all that acting now saves. What leaves before the action
/// has its effect is lost either way.
fn stand(action: &Action, drain: &Drain, cost: Usd) -> (Stand, Usd) {
    let delay = action.effect_blocks.max(1);
    let part = |usd: Usd| usd.weighted(share(action.stops)).weighted(share(action.success));
    let next = match delay {
        1 => drain.next,
        _ if drain.blocks >= delay => drain.gradual,
        _ => Usd::ZERO,
    };
    let later_blocks = drain.blocks.saturating_sub(delay);
    let stand =
        Stand { cost: cost.0, next: part(next).0, later: part(drain.later).0, later_blocks };
    let rest = Usd(stand.later.saturating_mul(i128::from(later_blocks)));
    (stand, Usd(stand.next).plus(rest).min(part(drain.remaining)))
}

/// Whether an order that is not out yet is given up: well below its threshold, and not too soon.
fn is_over(case: &Case<'_>, action: &Action, live: Probability, exit: Probability) -> bool {
    let full = case.plan.decision.policy == Policy::Sequential;
    let waits = case.waiting.iter().find(|it| it.action == action.id);
    let dwelt = |since| case.now.since_ms(since) >= case.plan.decision.dwell.0;
    full && live < exit && waits.is_some_and(|it| dwelt(it.since))
}

fn standing(case: &Case<'_>, action: &Action, live: Probability, exit: Probability) -> String {
    let waits = case.waiting.iter().any(|it| it.action == action.id);
    if case.plan.decision.policy == Policy::OneShot {
        "already ordered".into()
    } else if live >= exit {
        format!("already ordered, kept down to a posterior of {exit}")
    } else if waits {
        format!("already ordered, given up {} after its decision", case.plan.decision.dwell)
    } else {
        format!("already ordered; worth lifting: the posterior is below {exit}")
    }
}

fn cost_term(case: &Case<'_>, action: &Action, cost: Usd, range: (Usd, Usd)) -> Term {
    let parts = action.cost.parts(case.now);
    let parts: Vec<String> = parts.iter().map(|(name, usd)| format!("{name} {usd}")).collect();
    let source = match parts.is_empty() {
        true => "plan: it states no cost".to_owned(),
        false => format!("plan: {} for {}", parts.join(" + "), action.cost.duration),
    };
    Term {
        name: format!("cost of {}", action.id),
        value: Quantity::Usd(cost),
        interval: (range.0 != range.1).then_some((Quantity::Usd(range.0), Quantity::Usd(range.1))),
        source,
    }
}

/// What would change the decision.
pub(crate) fn flips(
    options: &[OptionLine],
    chosen: Option<&Choice>,
    live: Probability,
) -> Vec<String> {
    if let Some(choice) = chosen {
        let line = options.iter().find(|it| it.action == choice.action);
        return line.map(not_worth).into_iter().collect();
    }
    let mut out: Vec<String> = options.iter().map(|it| becomes_worth(it, live)).collect();
    if options.is_empty() {
        out.push("no action of the plan protects this entity".into());
    }
    out
}

fn not_worth(it: &OptionLine) -> String {
    format!(
        "{} would not be worth it below a posterior of {}, above a cost of {}, or if it saved less \
         than {} in the next block",
        it.action, it.threshold, it.room.cost_turns_at, it.room.loss_turns_at
    )
}

fn becomes_worth(it: &OptionLine, live: Probability) -> String {
    match &it.verdict {
        Verdict::Withheld(why) => format!("{}: {why}", it.action),
        _ if it.room.saves <= Usd::ZERO => format!("{} would avoid nothing", it.action),
        _ => format!(
            "{} becomes worth it at a posterior of {} (now {live}), below a cost of {}, or if it saved \
             more than {} in the next block",
            it.action, it.threshold, it.room.cost_turns_at, it.room.loss_turns_at
        ),
    }
}
