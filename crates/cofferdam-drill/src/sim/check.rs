//! Safety: what must hold at every record, dispatch and delivery, looked at from outside.
//!
//! **Invariant:** nothing here asks the engine whether it is right. Each check rests on what is durable,
//! on the chains themselves, or on the plan.

use std::collections::{BTreeMap, BTreeSet};

use cofferdam_core::{
    Alert, AlertId, BlockRef, ChainId, Class, Finding, FindingId, IncidentId, OrderKey, Record,
    Stage, Timestamp, order::Outcome,
};
use cofferdam_engine::{
    Engine, State,
    schedule::{Deliver, Dispatch},
};

use super::{
    Counters, Sometimes,
    chain::Chain,
    plan::{BLIND_PAGE_AFTER_MS, FINALITY_BLOCKS, Kind, Setting},
    sinks::Sink,
};

/// What the checkers know.
#[derive(Debug, Default)]
pub(crate) struct Check {
    intents: BTreeMap<OrderKey, IncidentId>,
    approvals: BTreeMap<OrderKey, BTreeSet<String>>,
    vetoed: BTreeSet<OrderKey>,
    over: BTreeSet<OrderKey>,
    /// Orders that count as effective, with the block that showed it.
    effective: BTreeMap<OrderKey, BlockRef>,
    issued: BTreeSet<AlertId>,
    /// Alerts by thread and receiver in order of issue.
    threads: BTreeMap<String, Vec<AlertId>>,
    delivered: BTreeSet<(AlertId, String)>,
    /// By chain: the blocks that were evaluated and not reorganised out.
    trails: BTreeMap<ChainId, Vec<BlockRef>>,
    /// By chain: the highest and the first block ever evaluated.
    tops: BTreeMap<ChainId, u64>,
    pub(crate) first: BTreeMap<ChainId, u64>,
    /// By chain: where evaluation begins again after a branch was accepted.
    resume: BTreeMap<ChainId, u64>,
    /// What each order that went out rested on.
    causes: BTreeMap<OrderKey, (String, BTreeSet<FindingId>)>,
    /// Entities of which it was said that they cannot be contained.
    pub(crate) said: BTreeSet<String>,
    entities: BTreeMap<IncidentId, String>,
    /// The finding that opened each incident.
    opened: BTreeMap<IncidentId, FindingId>,
}

impl Check {
    /// A record became durable.
    pub(crate) fn record(&mut self, it: &Record, counters: &mut Counters) -> Result<(), String> {
        match it {
            Record::BlockEvaluated { block, .. } => {
                counters.note(Sometimes::Evaluated);
                self.evaluated(*block)?;
            }
            Record::Reorged { to, .. } => self.reorged(*to)?,
            Record::ForkAccepted { chain, from, .. } => {
                self.resume.insert(*chain, *from);
            }
            Record::IncidentOpened { incident } => {
                self.entities.insert(incident.id, incident.entity.clone());
            }
            Record::Attached { incident, finding } => {
                self.opened.entry(*incident).or_insert(*finding);
            }
            Record::Intended { order } => {
                counters.note(Sometimes::Ordered);
                if self.intents.insert(order.key, order.incident).is_some() {
                    return Err(format!("order {} was intended twice", order.key.short()));
                }
            }
            Record::Approved { key, by } => {
                self.approvals.entry(*key).or_default().insert(by.clone());
            }
            Record::Vetoed { key, .. } => {
                self.vetoed.insert(*key);
                self.say(*key);
            }
            Record::Settled { key, outcome: Outcome::Effective { block, .. } } => {
                self.effective.insert(*key, *block);
                self.is_effective(*key, *block)?;
            }
            Record::Settled { key, .. } => {
                self.over.insert(*key);
            }
            Record::Reopened { key, .. } => {
                counters.note(Sometimes::Reopened);
                self.effective.remove(key);
            }
            Record::Retracted { .. } => counters.note(Sometimes::Retracted),
            Record::Held { .. } => counters.note(Sometimes::Held),
            Record::Blind { .. } => counters.note(Sometimes::Blind),
            Record::Throttled { .. } => counters.note(Sometimes::Throttled),
            Record::Issued { alert, .. } => self.alert(alert, counters),
            Record::Delivered { alert, sink, .. }
                if !self.delivered.insert((*alert, sink.clone())) =>
            {
                return Err(format!("{sink} took one alert twice, on record"));
            }
            _ => {}
        }
        Ok(())
    }

    fn say(&mut self, key: OrderKey) {
        let incident = self.intents.get(&key);
        self.said.extend(incident.and_then(|it| self.entities.get(it)).cloned());
    }

    fn alert(&mut self, alert: &Alert, counters: &mut Counters) {
        self.issued.insert(alert.id);
        self.threads.entry(alert.dedup.clone()).or_default().push(alert.id);
        if alert.dedup.starts_with("blind/") && !alert.closes() {
            counters.note(Sometimes::BlindPaged);
        }
        if alert.text.contains("does not contain it") {
            counters.note(Sometimes::SaidBeyond);
            let incident = alert.incident.and_then(|it| self.entities.get(&it));
            self.said.extend(incident.cloned());
        }
    }

    /// No block is skipped and the cursor never moves but to a child or along a branch.
    fn evaluated(&mut self, block: BlockRef) -> Result<(), String> {
        let trail = self.trails.entry(block.chain).or_default();
        let top = self.tops.entry(block.chain).or_default();
        *top = block.number.max(*top);
        if let Some(from) = self.resume.remove(&block.chain) {
            // After a branch was accepted: on something that was evaluated, else where it was said.
            match trail.iter().rposition(|it| it.hash == block.parent) {
                Some(at) => trail.truncate(at + 1),
                None if block.number == from => trail.clear(),
                None => return Err(format!("block {} is not where we began anew", block.number)),
            }
        }
        match trail.last() {
            Some(head) if head.hash != block.parent || head.number + 1 != block.number => {
                Err(format!("block {} was evaluated after block {}", block.number, head.number))
            }
            _ => {
                self.first.entry(block.chain).or_insert(block.number);
                trail.push(block);
                Ok(())
            }
        }
    }

    fn reorged(&mut self, to: BlockRef) -> Result<(), String> {
        let trail = self.trails.entry(to.chain).or_default();
        let mut dropped = BTreeSet::new();
        while let Some(gone) = trail.pop_if(|it| it.number > to.number) {
            dropped.insert(gone.hash);
        }
        match trail.last() {
            Some(it) if it.hash == to.hash => {}
            _ => return Err(format!("reorganised to block {}, which was not ours", to.number)),
        }
        match self.effective.iter().find(|it| dropped.contains(&it.1.hash)) {
            None => Ok(()),
            Some((key, block)) => Err(format!(
                "order {} still counts as effective in block {}, which was reorganised out",
                key.short(),
                block.number
            )),
        }
    }

    /// What counts as effective was seen in a block of the branch that is ours. Of blocks before the
    /// first evaluated one nothing is known.
    fn is_effective(&self, key: OrderKey, block: BlockRef) -> Result<(), String> {
        let trail = self.trails.get(&block.chain).map_or(&[][..], Vec::as_slice);
        let older = trail.first().is_none_or(|it| block.number < it.number);
        match older || trail.iter().any(|it| it.hash == block.hash) {
            true => Ok(()),
            false => Err(format!(
                "order {} counts as effective in block {}, which is not on our branch",
                key.short(),
                block.number
            )),
        }
    }

    /// After every step: who cannot look has been paged in time.
    pub(crate) fn step(&self, state: &State, now: Timestamp) -> Result<(), String> {
        for (chain, it) in state.blind() {
            let late = now.since_ms(it.since) >= BLIND_PAGE_AFTER_MS;
            if late && state.outbox.open_thread(&format!("blind/{chain}")).is_none() {
                return Err(format!("blind on {chain} and nobody was paged"));
            }
        }
        Ok(())
    }

    /// An alert is offered: it is durable, and the receiver did not acknowledge it before.
    pub(crate) fn delivery(&self, it: &Deliver) -> Result<(), String> {
        if !self.issued.contains(&it.alert.id) {
            return Err("an alert was offered before it was durable".to_owned());
        }
        if self.delivered.contains(&(it.alert.id, it.sink.clone())) {
            return Err(format!("{} was offered an alert that it had acknowledged", it.sink));
        }
        Ok(())
    }

    /// A receiver sees the alerts of one thread in order, and no alert under two ids.
    pub(crate) fn shown(&self, sink: &Sink, alert: &Alert) -> Result<(), String> {
        let Some(order) = self.threads.get(&alert.dedup) else { return Ok(()) };
        let place = |id: AlertId| order.iter().position(|it| *it == id);
        let mine = sink.shown.iter().filter(|it| it.dedup == alert.dedup);
        let places: Vec<_> = mine.map(|it| place(it.id)).collect();
        if !places.is_sorted() {
            return Err(format!("{} saw a thread out of order: {}", sink.name, alert.text));
        }
        Ok(())
    }

    /// An order goes out. `early` says that its records are being written beside it.
    pub(crate) fn dispatch(
        &mut self,
        it: &Dispatch,
        early: bool,
        now: Timestamp,
        engine: &Engine,
        (chains, setting): (&[Chain], &Setting),
    ) -> Result<(), String> {
        let order = &it.order;
        let place = chains.iter().position(|chain| chain.id == order.chain);
        let place = place.ok_or("an order outside the plan: its chain")?;
        let kind = *setting.kinds.get(place).ok_or("an order outside the plan: its action")?;
        let action = setting.plan.action(&order.action).ok_or("an order outside the plan")?;
        let call = cofferdam_core::plan::containment::order_call(action);
        if call != order.call || action.call.chain() != order.chain {
            return Err("an order outside the plan: its call".to_owned());
        }
        let intended = self.intents.contains_key(&order.key);
        let hot = early && kind.self_expiring() && kind.approvals() == 1;
        if !intended && !hot {
            return Err("an order went out before its intent was durable".to_owned());
        }
        if self.over.contains(&order.key) || self.vetoed.contains(&order.key) {
            return Err("an order went out after it was over".to_owned());
        }
        self.released(order.key, kind, now, order.decided_at, order.autonomy)?;
        self.grounded(it, kind, engine, chains)?;
        self.single(order.key, &order.action, order.incident, engine)
    }

    /// Whoever had to agree did, durably.
    fn released(
        &self,
        key: OrderKey,
        kind: Kind,
        now: Timestamp,
        decided: Timestamp,
        autonomy: cofferdam_core::plan::Autonomy,
    ) -> Result<(), String> {
        let people = self.approvals.get(&key).map_or(0, BTreeSet::len);
        if people >= kind.approvals() {
            return Ok(());
        }
        if autonomy == cofferdam_core::plan::Autonomy::Propose {
            return Err(format!("an order went out with {people} approvals"));
        }
        // A clock that went back cannot tell; it may only make us wait longer.
        if now.since_ms(decided) < kind.veto_window_ms() {
            return Err("an order went out within its veto window".to_owned());
        }
        Ok(())
    }

    /// What it rests on is settled enough, and seen by enough endpoints.
    fn grounded(
        &self,
        it: &Dispatch,
        kind: Kind,
        engine: &Engine,
        chains: &[Chain],
    ) -> Result<(), String> {
        let state = engine.state();
        let quorum = if kind.self_expiring() { 1 } else { 2 };
        let mut why = "an order went out without a finding";
        for finding in findings(state, it.order.incident) {
            let Some(chain) = chains.iter().find(|it| it.id == finding.block.chain) else {
                continue;
            };
            let head = state.head(chain.id);
            let on_branch = |it: &BlockRef| {
                head.and_then(|head| chain.find(head.hash))
                    .is_some_and(|at| chain.is_ancestor(it.hash, at))
            };
            let top = self.tops.get(&chain.id).copied().unwrap_or(0);
            let deep = top >= finding.block.number + FINALITY_BLOCKS;
            let pending = finding.stage == Stage::Pending;
            let settled = match kind.stage() {
                Stage::Pending => pending || on_branch(&finding.block),
                Stage::Provisional => !pending && on_branch(&finding.block),
                // Once final, final: these chains reorganise deeper than their finality.
                Stage::Final => !pending && on_branch(&finding.block) && (deep || it.attempt > 1),
            };
            if !settled {
                why = "an order went out before what it rests on was settled";
                continue;
            }
            let vouched = |it: &usize| {
                chain.blocks.get(*it).is_some_and(|block| block.witnesses >= quorum)
                    && chain.is_ancestor(finding.block.hash, *it)
            };
            if quorum == 1 || (0..chain.blocks.len()).any(|it| vouched(&it)) {
                return Ok(());
            }
            why = "an order that lasts went out on the word of one endpoint";
        }
        Err(why.to_owned())
    }

    /// The same evidence never has two orders of one action on their way.
    fn single(
        &mut self,
        key: OrderKey,
        action: &str,
        incident: IncidentId,
        engine: &Engine,
    ) -> Result<(), String> {
        let state = engine.state();
        let cause: BTreeSet<FindingId> = findings(state, incident).map(|it| it.id).collect();
        for (other, (name, theirs)) in &self.causes {
            let open = !self.over.contains(other) && !self.vetoed.contains(other);
            // One that was lost beside its journal write is known to nobody: other evidence may by
            // now have opened the incident. The same evidence makes the same order.
            let lost = !self.intents.contains_key(other);
            let opened = self.opened.get(&incident).is_none_or(|it| theirs.contains(it));
            let shared =
                if lost { opened && *theirs == cause } else { !theirs.is_disjoint(&cause) };
            let same = name == action && shared;
            if *other != key && open && same {
                return Err(format!(
                    "orders {} and {} do the same for the same evidence",
                    other.short(),
                    key.short()
                ));
            }
        }
        self.causes.insert(key, (action.to_owned(), cause));
        Ok(())
    }
}

/// The findings of harm that an incident rests on.
fn findings(state: &State, incident: IncidentId) -> impl Iterator<Item = &Finding> {
    let ids = state.incidents.get(&incident).into_iter().flat_map(|it| it.findings.iter());
    let known = ids.filter_map(|it| state.findings.get(it)).map(|it| &it.finding);
    known.filter(|it| matches!(it.class, Class::Damage | Class::Control))
}
