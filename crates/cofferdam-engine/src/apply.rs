//! The fold: how each record changes the state. Used by `step` and by `restore` alike, so that both
//! end in the same place.

use std::collections::BTreeSet;

use cofferdam_core::{
    BlockRef, ChainId, Finding, FindingId, IncidentId, Probability, Record, Stage, Timestamp,
    incident::IncidentState,
    order::Outcome,
    plan::{Autonomy, Plan},
    record::Memo,
};

use crate::{
    Limits, Outbox,
    state::{Blindness, FindingState, OrderState, Release, State, Trail},
};

/// Blocks below the trail that are remembered, as a multiple of the depth that can be undone.
const ANCESTORS_PER_DEPTH: u64 = 2;

/// Folds `record`, appended at `at`, into `state`.
pub(crate) fn apply(
    state: &mut State,
    plan: &Plan,
    limits: &Limits,
    at: Timestamp,
    record: &Record,
) {
    state.records_since_snapshot += 1;
    match record {
        Record::BlockEvaluated { block, memos, witnesses } => {
            block_evaluated(state, plan, limits, (*block, *witnesses), memos);
        }
        Record::Vouched { block, witnesses } => vouch(state, *block, *witnesses),
        Record::ForkAccepted { chain, from, .. } => fork_accepted(state, *chain, *from),
        Record::Reorged { to, .. } => reorged(state, *to),
        Record::Found { finding } => found(state, at, finding),
        Record::Retracted { finding, .. } => retracted(state, finding),
        Record::Finalized { finding } => {
            if let Some(it) = state.findings.get_mut(finding) {
                it.finding.stage = Stage::Final;
            }
        }
        Record::IncidentOpened { incident } => {
            state.incidents.insert(incident.id, incident.clone());
        }
        Record::Attached { incident, finding } => attached(state, *incident, finding),
        Record::Decided { incident, ledger } => {
            if let Some(it) = state.incidents.get_mut(incident) {
                it.ledger = Some(ledger.clone());
            }
        }
        Record::IncidentMoved { incident, state: next, .. } => {
            if let Some(it) = state.incidents.get_mut(incident) {
                it.state = *next;
            }
        }
        Record::Snapshot { .. } => state.records_since_snapshot = 0,
        Record::Blind { chain, from, because } => {
            let since = state.chain_mut(*chain).blind.as_ref().map_or(at, |it| it.since);
            let because = because.clone();
            state.chain_mut(*chain).blind = Some(Blindness { from: *from, because, since });
        }
        Record::Sighted { chain, .. } => state.chain_mut(*chain).blind = None,
        Record::Readiness { action, because, .. } => {
            state.readiness.insert(action.clone(), because.clone());
        }
        Record::Started { .. }
        | Record::Alerted { .. }
        | Record::Playbook { .. }
        | Record::Case { .. } => {}
        Record::Intended { .. }
        | Record::Approved { .. }
        | Record::Vetoed { .. }
        | Record::Held { .. }
        | Record::Dispatched { .. }
        | Record::Replaced { .. }
        | Record::DispatchFailed { .. }
        | Record::Reopened { .. }
        | Record::Settled { .. } => apply_order(state, plan, at, record),
        Record::Issued { .. }
        | Record::Throttled { .. }
        | Record::Delivered { .. }
        | Record::DeliveryFailed { .. }
        | Record::Undeliverable { .. } => apply_alert(&mut state.outbox, limits, at, record),
    }
}

fn attached(state: &mut State, incident: IncidentId, finding: &FindingId) {
    let actors = match state.findings.get_mut(finding) {
        Some(it) => {
            it.incident = Some(incident);
            it.finding.actors.clone()
        }
        None => Vec::new(),
    };
    if let Some(it) = state.incidents.get_mut(&incident) {
        it.findings.insert(*finding);
        it.actors.extend(actors);
    }
}

fn apply_alert(outbox: &mut Outbox, limits: &Limits, at: Timestamp, record: &Record) {
    match record {
        Record::Issued { alert, to } => outbox.issue(alert, to, &limits.bounds()),
        Record::Throttled { dedup, .. } => outbox.throttled(dedup),
        Record::Delivered { alert, sink, .. } => outbox.delivered(*alert, sink),
        Record::DeliveryFailed { alert, sink, attempt, because, not_before } => {
            outbox.failed(*alert, sink, (*attempt, *not_before), (at, because));
        }
        Record::Undeliverable { alert, sink, .. } => outbox.given_up(*alert, sink),
        _ => {}
    }
}

fn apply_order(state: &mut State, plan: &Plan, at: Timestamp, record: &Record) {
    match record {
        Record::Intended { order } => {
            let release = match &order.autonomy {
                Autonomy::Act => Release::Now,
                Autonomy::Veto { window } => Release::After(order.decided_at.plus_ms(window.0)),
                Autonomy::Propose => Release::OnApproval,
            };
            let mut doubt = Probability::NEVER;
            if let Some(it) = state.incidents.get_mut(&order.incident) {
                it.orders.push(order.key);
                // The decision that ordered it is recorded before it.
                doubt = it.ledger.as_ref().map_or(doubt, |it| it.posterior.complement());
            }
            let fresh = OrderState {
                order: order.clone(),
                release,
                doubt,
                approvals: BTreeSet::new(),
                held: None,
                attempts: 0,
                tried_at: None,
                prepared: None,
                sent: Vec::new(),
                outcome: None,
            };
            state.orders.insert(order.key, fresh);
        }
        Record::Approved { key, by } => {
            if let Some(it) = state.orders.get_mut(key) {
                it.approvals.insert(by.clone());
                let needed = plan.action(&it.order.action).map_or(1, |it| it.approvals);
                if it.approvals.len() >= usize::from(needed) {
                    let names: Vec<&str> = it.approvals.iter().map(String::as_str).collect();
                    it.release = Release::Approved(names.join(", "));
                }
            }
        }
        Record::Held { key, because } => {
            if let Some(it) = state.orders.get_mut(key) {
                it.held = Some(because.clone());
            }
        }
        Record::Reopened { key, .. } => {
            if let Some(it) = state.orders.get_mut(key) {
                it.outcome = None;
            }
        }
        Record::Vetoed { key, by, .. } => {
            if let Some(it) = state.orders.get_mut(key) {
                it.outcome = Some(Outcome::Vetoed { by: by.clone() });
            }
        }
        sent => apply_sent(state, at, sent),
    }
}

/// What the network was given for an order, and what came of it.
fn apply_sent(state: &mut State, at: Timestamp, record: &Record) {
    match record {
        Record::Dispatched { key, attempt, prepared, sent } => {
            if let Some(it) = state.orders.get_mut(key) {
                it.attempts = *attempt;
                it.tried_at = Some(at);
                it.held = None;
                it.prepared = Some(prepared.clone());
                it.sent.extend(sent.iter().cloned());
            }
        }
        Record::Replaced { key, sent } => {
            if let Some(it) = state.orders.get_mut(key) {
                it.sent.extend(sent.iter().cloned());
            }
        }
        Record::DispatchFailed { key, attempt, .. } => {
            if let Some(it) = state.orders.get_mut(key) {
                it.attempts = *attempt;
                it.tried_at = Some(at);
            }
        }
        Record::Settled { key, outcome } => {
            if let Some(it) = state.orders.get_mut(key) {
                it.outcome = Some(outcome.clone());
            }
        }
        _ => {}
    }
}

fn block_evaluated(
    state: &mut State,
    plan: &Plan,
    limits: &Limits,
    (block, witnesses): (BlockRef, u16),
    memos: &[(String, Memo)],
) {
    let chain = state.chain_mut(block.chain);
    let mut undo = Vec::with_capacity(memos.len());
    for (key, memo) in memos {
        // `Null` is the state after building: nothing to keep.
        let before = match memo.is_null() {
            true => chain.memos.remove(key),
            false => chain.memos.insert(key.clone(), memo.clone()),
        };
        undo.push((key.clone(), before));
    }
    chain.resume_at = None;
    if chain.trail.is_empty() {
        // The first block after a branch was accepted: what it does not rest on is not the chain.
        while chain.ancestors.back().is_some_and(|it| it.hash != block.parent) {
            chain.ancestors.pop_back();
        }
    }
    chain.trail.push_back(Trail { block, undo, witnesses });
    let config = plan.chains.iter().find(|it| it.id == block.chain);
    let depth = config.map_or(64, |it| it.reorg_blocks_max).saturating_add(1);
    while chain.trail.len() as u64 > depth {
        chain.ancestors.extend(chain.trail.pop_front().map(|it| it.block));
    }
    while chain.ancestors.len() as u64 > depth.saturating_mul(ANCESTORS_PER_DEPTH) {
        chain.ancestors.pop_front();
    }
    vouch(state, block, witnesses);
    prune(state, plan, limits, block);
}

/// Without ancestors, or when a second branch leaves even those, evaluation begins at `from`.
fn fork_accepted(state: &mut State, chain: ChainId, from: u64) {
    let view = state.chain_mut(chain);
    let rests = !view.trail.is_empty() && !view.ancestors.is_empty();
    if !rests {
        view.ancestors.clear();
        view.resume_at = Some(from);
    }
    view.trail.clear();
    view.memos.clear();
}

/// Who vouches for a block vouches for its ancestors: its hash contains theirs, and theirs contain
/// their receipts roots.
fn vouch(state: &mut State, block: BlockRef, witnesses: u16) {
    if witnesses <= 1 {
        return;
    }
    let Some(view) = state.chains.get_mut(&block.chain.0) else { return };
    let Some(at) = view.trail.iter().rposition(|it| it.block.hash == block.hash) else { return };
    for it in view.trail.iter_mut().take(at + 1) {
        it.witnesses = it.witnesses.max(witnesses);
    }
    let oldest = view.trail.front().map_or(0, |it| it.block.number);
    for it in state.findings.values_mut() {
        let on = it.finding.block;
        let ancestor = on.chain == block.chain
            && it.finding.stage > Stage::Pending
            && (on.number < oldest
                || view.trail.iter().take(at + 1).any(|it| it.block.hash == on.hash));
        if ancestor {
            it.witnesses = it.witnesses.max(witnesses);
        }
    }
}

/// Drops what can no longer matter: final findings outside every incident, and old closed incidents.
fn prune(state: &mut State, plan: &Plan, limits: &Limits, head: BlockRef) {
    let memory = plan.decision.memory.0;
    state.findings.retain(|_, it| {
        let old = head.time.since_ms(it.finding.block.time) > memory;
        it.incident.is_some() || !old || it.finding.block.chain != head.chain
    });
    let over = state.incidents.values().filter(|it| closed(it.state)).count();
    if over <= limits.closed_incidents_max {
        return;
    }
    let oldest = state
        .incidents
        .values()
        .filter(|it| closed(it.state))
        .min_by_key(|it| (it.opened_at, it.id));
    let Some(id) = oldest.map(|it| it.id) else { return };
    state.incidents.remove(&id);
    state.orders.retain(|_, it| it.order.incident != id);
    state.findings.retain(|_, it| it.incident != Some(id));
}

/// Whether an incident is over.
pub(crate) fn closed(state: IncidentState) -> bool {
    matches!(state, IncidentState::Closed | IncidentState::FalseAlarm)
}

fn reorged(state: &mut State, to: BlockRef) {
    let chain = state.chain_mut(to.chain);
    while chain.trail.back().is_some_and(|it| it.block.number > to.number) {
        let Some(trail) = chain.trail.pop_back() else { break };
        for (key, before) in trail.undo.into_iter().rev() {
            match before {
                Some(memo) => chain.memos.insert(key, memo),
                None => chain.memos.remove(&key),
            };
        }
    }
}

fn found(state: &mut State, at: Timestamp, finding: &Finding) {
    let block = &finding.block;
    let trail = state.chains.get(&block.chain.0).map(|it| &it.trail);
    let seen = trail.and_then(|it| it.iter().rev().find(|it| it.block.hash == block.hash));
    // A pending transaction is not in the block it is simulated on: nobody vouches for it but who
    // showed it.
    let witnesses = match finding.stage {
        Stage::Pending => 1,
        _ => seen.map_or(1, |it| it.witnesses),
    };
    let known = state.findings.get(&finding.id);
    let next = FindingState {
        finding: finding.clone(),
        at: known.map_or(at, |it| it.at),
        incident: known.and_then(|it| it.incident),
        witnesses,
    };
    state.findings.insert(finding.id, next);
}

fn retracted(state: &mut State, finding: &FindingId) {
    let incident = state.findings.remove(finding).and_then(|it| it.incident);
    if let Some(it) = incident.and_then(|id| state.incidents.get_mut(&id)) {
        it.findings.remove(finding);
    }
}
