//! Blocks, reorganisations, pending transactions, blindness.

use alloy_primitives::B256;
use cofferdam_core::{
    BlockRef, ChainId, Finding, FindingId, Observation, Record, Severity, Stage,
    incident::IncidentState, order::Bid,
};

use super::Step;
use crate::{
    Effect,
    apply::closed,
    holdings::{self, HOLDINGS_KEY},
};

/// Where a block stands relative to the trail.
enum Place {
    /// The child of the cursor, or the first block ever.
    Next,
    /// Seen already.
    Known,
    /// On another branch; the common ancestor is in the trail.
    Fork(BlockRef),
    /// Its parent is unknown: blocks are missing in between.
    Gap { from: u64 },
    /// Its parent is older than the trail: deeper than we can undo.
    TooDeep,
}

impl Step<'_> {
    pub(super) fn on_block(&mut self, mut observation: Observation) {
        let block = observation.block;
        if !self.engine.rules.contains_key(&block.chain) {
            return;
        }
        match self.place(block) {
            Place::Known => return,
            Place::Next => {}
            Place::Fork(ancestor) => self.reorganise(ancestor),
            Place::Gap { from } => {
                self.effects.push(Effect::Fetch { chain: block.chain, from });
                return;
            }
            Place::TooDeep => {
                let because = format!(
                    "block {} is on a branch deeper than the reorganisation limit",
                    block.number
                );
                return self.on_blind(block.chain, block.number, because);
            }
        }
        if self.engine.state.chains.get(&block.chain.0).is_some_and(|it| it.blind.is_some()) {
            self.record(Record::Sighted { chain: block.chain, at: block.number });
            self.alert(
                Severity::High,
                None,
                format!("{}: sight is back at block {}", block.chain, block.number),
            );
        }
        observation.stage = Stage::Provisional;
        let mut memos = Vec::new();
        for (entity, value) in holdings::observed(&self.engine.plan, &observation) {
            self.held.insert(entity.id.clone(), value);
            if let Ok(memo) = serde_json::to_value(value) {
                memos.push((format!("{HOLDINGS_KEY}{}", entity.id), memo));
            }
        }
        let Some(rules) = self.engine.rules.get_mut(&block.chain) else { return };
        let evaluation = rules.observe(&observation);
        memos.extend(evaluation.changed.into_iter().map(|(rule, _, after)| (rule, after)));
        if let Some(view) = self.engine.state.chains.get(&block.chain.0) {
            memos.retain(|(key, memo)| view.memos.get(key) != Some(memo));
        }
        self.on_findings(evaluation.findings);
        self.decide_touched();
        self.release_orders();
        self.record(Record::BlockEvaluated { block, memos });
        self.finalise(block);
        self.ask_outcomes(block.chain);
        self.expire_pending();
    }

    fn place(&self, block: BlockRef) -> Place {
        let Some(view) = self.engine.state.chains.get(&block.chain.0) else { return Place::Next };
        let Some(head) = view.trail.back().map(|it| it.block) else { return Place::Next };
        if block.parent == head.hash && block.number == head.number + 1 {
            return Place::Next;
        }
        if view.trail.iter().any(|it| it.block.hash == block.hash) {
            return Place::Known;
        }
        let parent = view.trail.iter().find(|it| it.block.hash == block.parent);
        match parent.map(|it| it.block) {
            Some(ancestor) if ancestor.number + 1 == block.number => Place::Fork(ancestor),
            _ if block.number > head.number => Place::Gap { from: head.number + 1 },
            _ => match view.trail.front() {
                Some(oldest) if block.number > oldest.block.number => {
                    Place::Gap { from: oldest.block.number + 1 }
                }
                _ => Place::TooDeep,
            },
        }
    }

    fn reorganise(&mut self, to: BlockRef) {
        let Some(view) = self.engine.state.chains.get(&to.chain.0) else { return };
        let gone = view.trail.iter().rev().take_while(|it| it.block.number > to.number);
        let (mut dropped, mut rules) = (Vec::new(), Vec::new());
        for it in gone {
            dropped.push(it.block);
            rules.extend(it.undo.iter().map(|(rule, _)| rule.clone()));
        }
        let hashes: Vec<B256> = dropped.iter().map(|it| it.hash).collect();
        let ids: Vec<FindingId> = self
            .engine
            .state
            .findings
            .values()
            .filter(|it| {
                it.finding.stage > Stage::Pending && hashes.contains(&it.finding.block.hash)
            })
            .map(|it| it.finding.id)
            .collect();
        self.record(Record::Reorged { to, dropped });
        rules.sort();
        rules.dedup();
        let engine = &mut *self.engine;
        if let (Some(set), Some(view)) =
            (engine.rules.get_mut(&to.chain), engine.state.chains.get(&to.chain.0))
        {
            for rule in rules {
                set.recall(&rule, view.memos.get(&rule));
            }
        }
        for id in ids {
            self.retract(id, format!("its block was reorganised out after block {}", to.number));
        }
    }

    /// Takes back a finding and tells people if it belonged to an incident.
    fn retract(&mut self, id: FindingId, because: String) {
        let incident = self.engine.state.findings.get(&id).and_then(|it| it.incident);
        self.record(Record::Retracted { finding: id, because: because.clone() });
        let Some(incident) = incident else { return };
        self.touched.insert(incident);
        let Some(it) = self.engine.state.incidents.get(&incident) else { return };
        let empty = it.findings.is_empty() && !closed(it.state);
        let text = format!("incident {}: a finding was retracted, {because}", incident.short());
        self.alert(Severity::High, Some(incident), text);
        if empty {
            self.withdraw_orders(incident, "its findings were retracted");
            let state = IncidentState::FalseAlarm;
            let because = "all its findings were retracted".to_owned();
            self.record(Record::IncidentMoved { incident, state, because });
        }
    }

    pub(super) fn on_pending(&mut self, observation: &Observation) {
        let chain = observation.block.chain;
        if self.engine.state.head(chain).is_none_or(|head| head.hash != observation.block.hash) {
            // Simulated on a head that is not ours any more: the caller simulates again.
            return;
        }
        self.held = holdings::observed(&self.engine.plan, observation)
            .into_iter()
            .map(|(entity, value)| (entity.id.clone(), value))
            .collect();
        let bids = observation.txs.iter().map(|it| Bid {
            max_fee_per_gas: it.max_fee_per_gas,
            max_priority_fee_per_gas: it.max_priority_fee_per_gas,
        });
        self.bid = bids.max_by_key(|it| it.max_priority_fee_per_gas);
        let Some(rules) = self.engine.rules.get_mut(&chain) else { return };
        let findings = rules.peek(observation);
        self.on_findings(
            findings.into_iter().map(|it| Finding { stage: Stage::Pending, ..it }).collect(),
        );
    }

    pub(super) fn on_blind(&mut self, chain: ChainId, from: u64, because: String) {
        let known = self.engine.state.chains.get(&chain.0).and_then(|it| it.blind.as_ref());
        if known.is_some_and(|it| it.from == from && it.because == because) {
            return;
        }
        let text = format!("blind since block {from} on {chain} because {because}");
        self.record(Record::Blind { chain, from, because });
        self.alert(Severity::Critical, None, text);
    }

    /// Findings deeper than the finality depth are final.
    fn finalise(&mut self, head: BlockRef) {
        let config = self.engine.plan.chains.iter().find(|it| it.id == head.chain);
        let depth = config.map_or(64, |it| it.finality_blocks);
        let deep = |it: &&crate::FindingState| {
            it.finding.stage == Stage::Provisional
                && it.finding.block.chain == head.chain
                && it.finding.block.number.saturating_add(depth) <= head.number
        };
        let ids: Vec<_> = self
            .engine
            .state
            .findings
            .values()
            .filter(deep)
            .map(|it| (it.finding.id, it.incident))
            .collect();
        for (id, incident) in ids {
            self.record(Record::Finalized { finding: id });
            self.touched.extend(incident);
        }
    }

    /// Findings about pending transactions that were never included are taken back when their
    /// evidence is older than the plan's memory.
    pub(super) fn expire_pending(&mut self) {
        let memory = self.engine.plan.decision.memory.0;
        let now = self.now;
        let old = |it: &&crate::FindingState| {
            it.finding.stage == Stage::Pending && now.since_ms(it.at) > memory
        };
        let ids: Vec<_> =
            self.engine.state.findings.values().filter(old).map(|it| it.finding.id).collect();
        for id in ids {
            self.retract(id, "its transaction was never included".to_owned());
        }
    }
}
