//! What an order rests on at the moment it would go out: evidence settled enough, seen by enough.
//!
//! **Invariant:** asked at every release, not once at the decision. Between the two a block may have
//! been reorganised out, and the plan may have been changed over a restart.

use cofferdam_core::{
    Class, OrderKey, Stage,
    plan::{Mode, Plan},
};

use crate::state::{FindingState, OrderState, State};

/// Why an order may not go out yet, for people.
pub(crate) fn missing(state: &State, plan: &Plan, order: &OrderState) -> Option<String> {
    let order = &order.order;
    if plan.action(&order.action).is_none() {
        return Some("its action is no longer in the plan".to_owned());
    }
    let grounds: Vec<&FindingState> = grounds(state, plan, order.key).collect();
    let staged: Vec<_> =
        grounds.iter().filter(|it| it.finding.stage >= order.stage).copied().collect();
    let seen: Vec<_> = staged.iter().filter(|it| is_seen(state, it)).copied().collect();
    if let (None, Some(it)) = (seen.first(), staged.first()) {
        return Some(format!("block {} is not evaluated", it.finding.block.number));
    }
    let staged = seen;
    if staged.is_empty() {
        return Some(match grounds.is_empty() {
            true => "what it rests on was taken back".to_owned(),
            false => format!("it waits for stage {}", stage_name(order.stage)),
        });
    }
    let quorum = |it: &FindingState| {
        let chain = plan.chains.iter().find(|chain| chain.id == it.finding.block.chain);
        chain.map_or(1, |chain| chain.quorum(order.self_expiring))
    };
    if staged.iter().any(|it| it.witnesses >= quorum(it)) {
        return None;
    }
    let best = staged.iter().max_by_key(|it| it.witnesses)?;
    Some(format!(
        "block {} is vouched for by {} of {} endpoints",
        best.finding.block.number,
        best.witnesses,
        quorum(best)
    ))
}

/// Findings of harm in the order's incident that count now.
fn grounds<'a>(
    state: &'a State,
    plan: &'a Plan,
    key: OrderKey,
) -> impl Iterator<Item = &'a FindingState> {
    let order = state.orders.get(&key);
    let incident = order.and_then(|it| state.incidents.get(&it.order.incident));
    let findings = incident.into_iter().flat_map(|it| it.findings.iter());
    let loud = |rule: &str| plan.rule(rule).map_or(Mode::Alert, |it| it.mode) > Mode::Shadow;
    findings.filter_map(|id| state.findings.get(id)).filter(move |it| {
        matches!(it.finding.class, Class::Damage | Class::Control) && loud(&it.finding.rule)
    })
}

/// Whether the block that a finding names is one that we evaluated. A pending transaction is in none.
fn is_seen(state: &State, it: &FindingState) -> bool {
    let block = it.finding.block;
    let trail = state.chains.get(&block.chain.0).map(|it| &it.trail);
    it.finding.stage == Stage::Pending
        || trail.is_some_and(|trail| {
            trail.front().is_some_and(|it| block.number < it.block.number)
                || trail.iter().any(|it| it.block.hash == block.hash)
        })
}

pub(crate) fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Pending => "pending",
        Stage::Provisional => "provisional",
        Stage::Final => "final",
    }
}
