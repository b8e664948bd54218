//! Blocks, reorganisations, pending transactions, blindness.

use alloy_primitives::B256;
use cofferdam_core::{
    AlertKind, BlockRef, ChainId, Evidence, FindingId, IncidentId, Observation, Record, Severity,
    Stage,
    incident::IncidentState,
    order::{Bid, Outcome},
};

use super::{
    Step,
    alert::{Note, finding_thread},
};
use crate::{
    ChainView, Effect, Fetched,
    apply::closed,
    backings,
    holdings::{self, HOLDINGS_KEY},
    ties,
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
    /// On another branch than all that was ever seen, but not deeper than the limit.
    Other,
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
            Place::Known => return self.on_vouched(block, observation.witnesses),
            Place::Next => {}
            Place::Fork(ancestor) => self.reorganise(ancestor),
            Place::Gap { from } => return self.fetch(block.chain, from),
            Place::Other => {
                let by = "the program, within the reorganisation limit".to_owned();
                return self.on_accept_fork(block.chain, by);
            }
            Place::TooDeep => return self.on_too_deep(block),
        }
        self.sight(block);
        self.displace(block);
        observation.stage = Stage::Provisional;
        let mut memos = Vec::new();
        for (entity, value) in holdings::observed(&self.engine.plan, &observation) {
            self.held.insert(entity.id.clone(), value);
            if let Ok(memo) = serde_json::to_value(value) {
                memos.push((format!("{HOLDINGS_KEY}{}", entity.id), memo));
            }
        }
        self.tell_rules(block.chain, &observation);
        let Some(rules) = self.engine.rules.get_mut(&block.chain) else { return };
        let evaluation = rules.observe(&observation);
        let crossings = rules.crossings(&observation);
        memos.extend(evaluation.changed.into_iter().map(|(rule, _, after)| (rule, after)));
        let (notes, given_up) = self.bridge_notes(&block, crossings);
        memos.extend(notes);
        memos.extend(self.shape_notes(&observation, &evaluation.findings));
        let view = self.engine.state.chains.get(&block.chain.0);
        memos.extend(ties::notes(&self.engine.plan, view, &observation));
        memos.extend(backings::notes(&self.engine.backings, view, &observation));
        if let Some(view) = self.engine.state.chains.get(&block.chain.0) {
            memos.retain(|(key, memo)| view.memos.get(key) != Some(memo));
        }
        // Findings first: should only a part of this step become durable, the block is seen again.
        self.on_findings(evaluation.findings);
        self.on_findings(given_up);
        let witnesses = observation.witnesses;
        self.record(Record::BlockEvaluated { block, memos, witnesses });
        self.judge_bridges(block.chain);
        self.advanced = Some(block.chain);
        self.finalise(block);
        self.ask_outcomes(block.chain);
        self.expire_pending();
    }

    fn place(&self, block: BlockRef) -> Place {
        let Some(view) = self.engine.state.chains.get(&block.chain.0) else { return Place::Next };
        let Some(head) = view.trail.back().map(|it| it.block) else {
            return place_without_cursor(view, block);
        };
        if block.parent == head.hash && block.number == head.number + 1 {
            return Place::Next;
        }
        if view.trail.iter().any(|it| it.block.hash == block.hash) {
            return Place::Known;
        }
        let parent = view.trail.iter().find(|it| it.block.hash == block.parent);
        let oldest = view.trail.front().map_or(head.number, |it| it.block.number);
        match parent.map(|it| it.block) {
            Some(ancestor) if ancestor.number + 1 == block.number => Place::Fork(ancestor),
            _ if block.number > head.number + 1 => Place::Gap { from: head.number + 1 },
            // Older than all we keep. A branch that leaves ours so deep shows above, too.
            _ if block.number < oldest => Place::Known,
            // On another branch: its beginning is somewhere above our oldest block, or nowhere.
            _ if block.number > oldest + 1 => Place::Gap { from: oldest + 1 },
            // We began to look above its beginning, and not long ago.
            _ if view.trail.len() as u64 <= self.reorg_blocks_max(block.chain) => Place::Other,
            _ => Place::TooDeep,
        }
    }

    fn reorg_blocks_max(&self, chain: ChainId) -> u64 {
        let config = self.engine.plan.chains.iter().find(|it| it.id == chain);
        config.map_or(0, |it| it.reorg_blocks_max)
    }

    /// Asks for blocks again. Each block that does not connect would ask, and each answer brings many:
    /// what was asked for is asked again only if it goes further back, if something came of it, or
    /// after a while.
    fn fetch(&mut self, chain: ChainId, from: u64) {
        let head = self.engine.state.head(chain);
        let known = self.engine.fetched.get(&chain);
        let waits = known.is_some_and(|it| {
            let patience = self.engine.limits.fetch_retry_ms;
            from >= it.from && it.head == head && !self.passed(it.at, patience)
        });
        if !waits {
            self.engine.fetched.insert(chain, Fetched { from, at: self.now, head });
            self.effects.push(Effect::Fetch { chain, from });
        }
    }

    /// The block was evaluated before; more endpoints may vouch for it now.
    pub(super) fn on_vouched(&mut self, block: BlockRef, witnesses: u16) {
        let trail = self.engine.state.chains.get(&block.chain.0).map(|it| &it.trail);
        let known = trail.and_then(|it| it.iter().find(|it| it.block.hash == block.hash));
        if known.is_some_and(|it| it.witnesses < witnesses) {
            self.record(Record::Vouched { block, witnesses });
        }
    }

    /// A block is about to be evaluated: if we could not look before, we can again.
    fn sight(&mut self, block: BlockRef) {
        let chain = block.chain;
        if self.engine.state.chains.get(&chain.0).is_none_or(|it| it.blind.is_none()) {
            return;
        }
        self.record(Record::Sighted { chain, at: block.number });
    }

    /// A branch that leaves ours below the oldest block we can undo. Nothing but a person can say
    /// whether it is the chain.
    fn on_too_deep(&mut self, block: BlockRef) {
        let chain = block.chain;
        let view = self.engine.state.chains.get(&chain.0);
        let from = view.and_then(|it| it.trail.front()).map_or(block.number, |it| it.block.number);
        let because = format!(
            "a branch leaves ours before block {from}, deeper than the reorganisation limit; a person must accept it"
        );
        self.on_blind(chain, from, because);
    }

    /// Takes back everything known of the chain, so that the branch which the sources follow is
    /// evaluated from where ours began.
    pub(super) fn on_accept_fork(&mut self, chain: ChainId, by: String) {
        let Some(view) = self.engine.state.chains.get(&chain.0) else { return };
        let oldest = view.ancestors.front().or(view.trail.front().map(|it| &it.block));
        let Some(from) = oldest.map(|it| it.number) else { return };
        let rules: Vec<String> = view.memos.keys().cloned().collect();
        // What rests on an ancestor may rest on the new branch, too; if not, it is displaced there.
        let cut = view.trail.front().map_or(from, |it| it.block.number);
        let ids = self.provisional(|it| it.chain == chain && it.number >= cut);
        self.reopen_orders(|it| it.chain == chain && it.number >= cut);
        self.record(Record::ForkAccepted { chain, from, by });
        if let Some(set) = self.engine.rules.get_mut(&chain) {
            for rule in rules {
                set.recall(&rule, None);
            }
        }
        for id in ids {
            self.retract(id, "another branch was accepted".to_owned());
        }
        self.fetch(chain, from);
    }

    /// Findings that rest on blocks which may still go, in such blocks.
    pub(super) fn provisional(&self, gone: impl Fn(&BlockRef) -> bool) -> Vec<FindingId> {
        let findings = self.engine.state.findings.values().map(|it| &it.finding);
        let hit = findings.filter(|it| it.stage > Stage::Pending && gone(&it.block));
        hit.map(|it| it.id).collect()
    }

    /// Orders whose effect was seen in a block that is gone: what the chain says of them is asked
    /// again.
    pub(super) fn reopen_orders(&mut self, gone: impl Fn(&BlockRef) -> bool) {
        let undone = |it: &&crate::OrderState| matches!(&it.outcome, Some(Outcome::Effective { block, .. }) if gone(block));
        let orders = self.engine.state.orders.values().filter(undone);
        let orders: Vec<_> = orders.map(|it| (it.order.key, it.order.incident)).collect();
        for (key, incident) in orders {
            let because = "the block in which it had its effect was reorganised out".to_owned();
            self.record(Record::Reopened { key, because: because.clone() });
            let state = self.engine.state.incidents.get(&incident).map(|it| it.state);
            if state == Some(IncidentState::Contained) {
                let (state, because) = (IncidentState::Responding, because.clone());
                self.record(Record::IncidentMoved { incident, state, because });
            }
            let text =
                format!("incident {}: containment is open again, {because}", incident.short());
            let over = state.is_none_or(closed);
            let kind = if over { AlertKind::Update } else { AlertKind::Raised };
            self.tell_incident(incident, Severity::Critical, kind, text);
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
        let ids = self.provisional(|it| hashes.contains(&it.hash));
        self.reopen_orders(|it| hashes.contains(&it.hash));
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

    /// Takes back a finding, and tells whoever was told of it.
    pub(super) fn retract(&mut self, id: FindingId, because: String) {
        let Some(known) = self.engine.state.findings.get(&id) else { return };
        let (incident, thread) = (known.incident, finding_thread(&known.finding));
        self.record(Record::Retracted { finding: id, because: because.clone() });
        let Some(incident) = incident else {
            let findings = self.engine.state.findings.values();
            let mut others = findings.filter(|it| it.incident.is_none());
            if !others.any(|it| finding_thread(&it.finding) == thread) {
                let text = format!("taken back, {because}");
                self.tell(Note::of(Severity::Medium, AlertKind::Retracted, thread, text));
            }
            return;
        };
        self.touched.insert(incident);
        self.retract_from(incident, &because);
    }

    pub(super) fn retract_from(&mut self, incident: IncidentId, because: &str) {
        let Some(it) = self.engine.state.incidents.get(&incident).filter(|it| !closed(it.state))
        else {
            return;
        };
        let short = incident.short();
        if !it.findings.is_empty() {
            let text = format!("incident {short}: a finding was retracted, {because}");
            return self.tell_incident(incident, Severity::High, AlertKind::Update, text);
        }
        self.withdraw_orders(incident, "its findings were retracted");
        let state = IncidentState::FalseAlarm;
        let moved = "all its findings were retracted".to_owned();
        self.record(Record::IncidentMoved { incident, state, because: moved });
        let text = format!("incident {short}: all its findings were retracted, {because}");
        self.tell_incident(incident, Severity::High, AlertKind::Retracted, text);
    }

    /// `context` names the one that the transaction was simulated in, unless it is the next block.
    pub(super) fn on_pending(&mut self, observation: &Observation, context: Option<&str>) {
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
        self.tell_rules(chain, observation);
        let Some(rules) = self.engine.rules.get_mut(&chain) else { return };
        let findings = rules.peek(observation);
        let staged = findings.into_iter().map(|mut it| {
            it.stage = Stage::Pending;
            it.evidence.extend(context.map(|context| Evidence::new("context", context)));
            it
        });
        self.on_findings(staged.collect());
        let paid = self.pending_bridges(observation);
        self.on_findings(paid);
    }

    pub(super) fn on_blind(&mut self, chain: ChainId, from: u64, because: String) {
        let known = self.engine.state.chains.get(&chain.0).and_then(|it| it.blind.as_ref());
        if known.is_some_and(|it| it.from == from && it.because == because) {
            return;
        }
        self.record(Record::Blind { chain, from, because });
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
            let Some(incident) = incident else { continue };
            self.touched.insert(incident);
            self.tell_newly_reached(incident, "its block can no longer be reorganised out");
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

/// Where the first block after an accepted branch may stand: on an ancestor that we know, else at the
/// place where we begin anew.
fn place_without_cursor(view: &ChainView, block: BlockRef) -> Place {
    let oldest = view.ancestors.front().map(|it| it.number);
    match (oldest, view.resume_at) {
        (Some(_), _) if view.ancestors.iter().any(|it| it.hash == block.hash) => Place::Known,
        (Some(_), _) if view.ancestors.iter().any(|it| it.hash == block.parent) => Place::Next,
        (Some(oldest), _) if block.number > oldest + 1 => Place::Gap { from: oldest + 1 },
        (Some(oldest), _) if block.number < oldest => Place::Known,
        (Some(_), _) => Place::TooDeep,
        (None, Some(from)) if block.number > from => Place::Gap { from },
        (None, Some(from)) if block.number < from => Place::Known,
        (None, _) => Place::Next,
    }
}
