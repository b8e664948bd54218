//! S11: a proposal that would do harm, or was voted for with borrowed votes. The page beside this file says how and with which limits.

use alloy_primitives::{Address, B256, U256, keccak256};
use cofferdam_core::{
    Class, Finding, Severity, Timestamp, Tx,
    finding::Evidence,
    read::{Answer, Rehearsal, StateRead},
    record::Memo,
};
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, MemoError, Meta, Need, RuleSet,
    governance::{self, Event, Events, Governor, Payload, Proposal, Seen, Settings, judges},
    ratio::{percent, ppm},
    report::{About, Voice, group},
    suspicion,
    watch::Wards,
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "governance",
        signal: "S11",
        summary: "a proposal would do harm, changed its code, or was voted for with borrowed votes",
        needs: &[Need::Logs, Need::Diff, Need::Reads],
        docs: include_str!("governance.md"),
    },
    build: |cx| Ok(Box::new(Governance::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

struct Governance {
    voice: Voice,
    settings: Settings,
    wards: Wards,
    events: Events,
    judges: RuleSet,
    seen: Seen,
}

impl Governance {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let mut settings: Settings = cx.settings()?;
        settings.governors.retain(|it| it.account.chain == cx.chain);
        Ok(Self {
            voice: Voice::new("governance", cx),
            settings,
            wards: Wards::new(cx),
            events: Events::new(),
            judges: judges(cx)?,
            seen: Seen::default(),
        })
    }

    fn governor(&self, account: Address) -> Option<&Governor> {
        self.settings.governors.iter().find(|it| it.account.address == account)
    }

    /// What governors and vote tokens say in `tx`, with the contract.
    fn said(&self, tx: &Tx) -> Vec<(Address, Event)> {
        let ours = |it: Address| {
            let votes =
                |governor: &Governor| governor.votes.is_some_and(|token| token.address == it);
            self.governor(it).is_some() || self.settings.governors.iter().any(votes)
        };
        let logs = tx.logs.iter().filter(|it| tx.succeeded && ours(it.address));
        logs.filter_map(|it| Some((it.address, self.events.read(it)?))).collect()
    }

    /// The payloads that `tx` proposes or schedules; the calls of one batch are one.
    fn payloads(&self, tx: &Tx) -> Vec<Payload> {
        let mut payloads: Vec<Payload> = Vec::new();
        for (governor, event) in self.said(tx) {
            let (id, proposer, calls, (after, time)) = match event {
                Event::Proposed { id, proposer, calls } => {
                    let after = self.settings.executes_after.0 / 1_000;
                    (id, Some(proposer), calls, (after, 0))
                }
                Event::Scheduled { id, call, delay } => (id, None, vec![call], (delay, 0)),
                Event::QueuedAt { id, call, eta } => (id, None, vec![call], (0, eta)),
                _ => continue,
            };
            let mut calls = calls;
            if self.governor(governor).is_some_and(|it| it.delegatecall) {
                calls.iter_mut().for_each(|it| it.delegated = true);
            }
            let waits = proposer.is_none();
            match payloads.iter_mut().find(|it| it.id == id && it.governor == governor) {
                Some(it) => it.calls.extend(calls),
                None => {
                    payloads.push(Payload { governor, id, proposer, calls, after, time, waits });
                }
            }
        }
        payloads
    }

    fn rehearsal(&self, it: &Payload) -> StateRead {
        let governor = self.governor(it.governor);
        let executor = governor.and_then(|it| it.executor).map(|it| it.address);
        StateRead::Rehearsal(Box::new(Rehearsal {
            from: executor.unwrap_or(it.governor),
            time: it.time,
            after: it.after,
            funded: false,
            calls: it.calls.clone(),
            reads: self.judges.reads().to_vec(),
        }))
    }

    fn about<'a>(&'a self, tx: &'a Tx, subject: Address) -> About<'a> {
        let ward = self.wards.of(subject).or_else(|| self.wards.iter().next());
        About { tx: Some(tx), entity: ward.map_or("", |it| it.id.as_str()), subject }
    }

    /// A finding about one proposal: several may be in one transaction.
    fn finding(
        &self,
        cx: &Context<'_>,
        tx: &Tx,
        (governor, id, what): (Address, B256, &str),
        severity: Severity,
    ) -> Finding {
        let about = self.about(tx, governor);
        let finding = self.voice.finding(cx, about, severity, Class::Control, group::CONTROL);
        let place = keccak256([tx.hash.as_slice(), id.as_slice(), what.as_bytes()].concat());
        let chain = cx.observation.block.chain;
        let evidence = vec![Evidence::new("proposal", id)];
        Finding { id: Finding::id_of(chain, &finding.rule, place, governor), evidence, ..finding }
    }

    /// Runs the payload past the detectors of harm and of control.
    fn judge(&mut self, cx: &Context<'_>, tx: &Tx, it: &Payload) -> Option<Finding> {
        let Some(reading) = cx.observation.readings.get(&self.rehearsal(it)) else {
            let finding = self.finding(cx, tx, (it.governor, it.id, "payload"), Severity::High);
            let summary = "what a proposal would do has not been tried".to_owned();
            return Some(Finding { class: Class::Blind, llr_millinats: 0, summary, ..finding });
        };
        let Answer::Rehearsed(done) = &reading.after else { return None };
        let eta = Timestamp::from_secs(it.eta(cx.observation.block.time.0 / 1_000));
        let harm = governance::worst(&mut self.judges, cx, it, (done, eta));
        let Some(worst) = harm.first() else { return self.rewritten(cx, tx, it, &done.tx) };
        // Control changes by governance are its business, and there is time.
        let severity = match worst.class {
            Class::Damage => worst.severity,
            _ => Severity::High,
        };
        let finding = self.finding(cx, tx, (it.governor, it.id, "payload"), severity);
        let mut evidence = finding.evidence;
        evidence.push(Evidence::new("executed from", eta));
        evidence.extend(harm.iter().take(8).map(|it| Evidence::new(&*it.detector, &it.summary)));
        let actors = it.proposer.into_iter().chain(finding.actors).collect();
        Some(Finding {
            entity: worst.entity.clone(),
            class: worst.class,
            group: worst.group.clone(),
            summary: format!("a proposal would do this when executed: {}", worst.summary),
            evidence,
            actors,
            ..finding
        })
    }

    /// Code that runs as the executor's own and writes the executor's storage can make somebody else its owner.
    fn rewritten(&self, cx: &Context<'_>, tx: &Tx, it: &Payload, done: &Tx) -> Option<Finding> {
        let executor = done.from;
        let own = done.diff.storage.iter().filter(|it| it.address == executor);
        let slots: Vec<String> = own.map(|it| format!("{:#x}", it.slot)).collect();
        if slots.is_empty() || !it.calls.iter().any(|it| it.delegated) {
            return None;
        }
        let finding = self.finding(cx, tx, (it.governor, it.id, "payload"), Severity::High);
        let mut evidence = finding.evidence;
        evidence.push(Evidence::new("executor", executor));
        evidence.extend(slots.iter().take(8).map(|it| Evidence::new("slot", it)));
        let actors = it.proposer.into_iter().chain(finding.actors).collect();
        let summary = format!("a proposal would write {} slots of its executor's own", slots.len());
        Some(Finding { summary, evidence, actors, ..finding })
    }

    fn hurried(&self, cx: &Context<'_>, tx: &Tx, it: &Payload, now: u64) -> Option<Finding> {
        let (left, least) = (it.eta(now).saturating_sub(now), self.settings.delay_min.0 / 1_000);
        let short = it.waits && left < least;
        short.then(|| {
            let it = self.finding(cx, tx, (it.governor, it.id, "delay"), Severity::High);
            let summary = format!("may be executed after {left} s, at least {least} s are agreed");
            Finding { summary, ..it }
        })
    }

    fn remember(&mut self, cx: &Context<'_>, it: &Payload, now: u64) {
        let hash = |target: Address| {
            let answer = &cx.observation.readings.get(&StateRead::CodeHash(target))?.after;
            answer.word(0).map(B256::from)
        };
        let codes = it.calls.iter().filter_map(|it| Some((it.to, hash(it.to)?))).collect();
        let (governor, id) = (it.governor, it.id);
        self.seen.remember(Proposal { governor, id, at: now, codes });
    }

    /// Votes that were borrowed for the transaction or come by lately.
    fn voted(
        &self,
        cx: &Context<'_>,
        tx: &Tx,
        (governor, id): (Address, B256),
        voter: Address,
        weight: U256,
    ) -> Option<Finding> {
        let share = self.settings.quorum.and_then(|it| ppm(weight, it));
        let decides = share.is_some_and(|it| it >= self.settings.share.0);
        let of = share.map_or("unknown".into(), percent);
        let borrowed = suspicion::flash_loan(tx, |it| self.voice.is_ours(it));
        let now = cx.observation.block.time.0 / 1_000;
        let (severity, summary) = if borrowed && (decides || share.is_none()) {
            // Nobody borrows votes within a transaction to say what he may say.
            (Severity::Critical, format!("voted with borrowed votes, share of the quorum {of}"))
        } else {
            let power = self.seen.power.get(&voter).filter(|_| decides)?;
            let gained = power.now.saturating_sub(power.before);
            if gained < weight / U256::from(2) {
                return None;
            }
            let hours = now.saturating_sub(power.at) / 3_600;
            let text = format!("{of} of the quorum by a voter who got its votes {hours} h ago");
            (Severity::High, text)
        };
        let it = self.finding(cx, tx, (governor, id, "vote"), severity);
        let mut evidence = it.evidence;
        evidence.extend([Evidence::new("voter", voter), Evidence::new("votes", weight)]);
        Some(Finding { summary, evidence, ..it })
    }

    /// The code of a called contract is not what was proposed.
    fn changed(
        &self,
        cx: &Context<'_>,
        tx: &Tx,
        proposal: &Proposal,
        target: Address,
        (before, after): (B256, B256),
    ) -> Finding {
        let key = (proposal.governor, proposal.id, "code");
        // A first code is what the proposal was made for, or what nobody could review.
        let severity = if before.is_zero() { Severity::High } else { Severity::Critical };
        let it = self.finding(cx, tx, key, severity);
        let mut evidence = it.evidence;
        evidence.extend([
            Evidence::new("contract", target),
            Evidence::new("code when proposed", before),
            Evidence::new("code now", after),
        ]);
        let summary = "the code that a proposal calls changed after it was proposed".to_owned();
        Finding { summary, evidence, ..it }
    }

    fn executed(&self, cx: &Context<'_>, tx: &Tx, governor: Address, id: B256) -> Vec<Finding> {
        let now = cx.observation.block.time.0 / 1_000;
        let Some(it) = self.seen.proposal(governor, id) else { return Vec::new() };
        let mut found = Vec::new();
        for (target, was) in &it.codes {
            let reading = cx.observation.readings.get(&StateRead::CodeHash(*target));
            let before = reading.and_then(|it| it.before.word(0)).map(B256::from);
            if let Some(before) = before.filter(|it| it != was) {
                found.push(self.changed(cx, tx, it, *target, (*was, before)));
                break;
            }
        }
        let (took, least) = (now.saturating_sub(it.at), self.settings.delay_min.0 / 1_000);
        if took < least {
            let it = self.finding(cx, tx, (governor, id, "hurry"), Severity::High);
            let summary = format!("executed {took} s after it was proposed");
            found.push(Finding { summary, ..it });
        }
        found
    }

    fn delay(
        &self,
        cx: &Context<'_>,
        tx: &Tx,
        governor: Address,
        (before, after): (u64, u64),
    ) -> Option<Finding> {
        let least = self.settings.delay_min.0 / 1_000;
        (after < before && after < least).then(|| {
            let it = self.finding(cx, tx, (governor, B256::ZERO, "least delay"), Severity::High);
            Finding { summary: format!("the least delay is {after} s now"), ..it }
        })
    }
}

impl Detector for Governance {
    fn interests(&self) -> Vec<Interest> {
        let accounts =
            self.settings.governors.iter().flat_map(|it| {
                [Some(it.account), it.votes].into_iter().flatten().map(|it| it.address)
            });
        let accounts = accounts.map(Interest::Account);
        accounts.chain([Interest::EveryBlock]).collect()
    }

    fn asks(&self, tx: &Tx) -> Vec<StateRead> {
        let mut reads = Vec::new();
        for it in self.payloads(tx) {
            reads.extend(it.calls.iter().map(|it| StateRead::CodeHash(it.to)));
            reads.push(self.rehearsal(&it));
        }
        for (governor, event) in self.said(tx) {
            let Event::Executed { id } = event else { continue };
            let open = self.seen.proposal(governor, id).into_iter();
            reads.extend(open.flat_map(|it| it.codes.keys().map(|it| StateRead::CodeHash(*it))));
        }
        reads
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        let now = cx.observation.block.time.0 / 1_000;
        for it in self.payloads(tx) {
            out.extend(self.judge(cx, tx, &it));
            out.extend(self.hurried(cx, tx, &it, now));
            self.remember(cx, &it, now);
        }
        for (governor, event) in self.said(tx) {
            match event {
                Event::Voted { id, voter, weight } => {
                    out.extend(self.voted(cx, tx, (governor, id), voter, weight));
                }
                Event::Executed { id } => {
                    out.extend(self.executed(cx, tx, governor, id));
                    self.seen.close(governor, id);
                }
                Event::Cancelled { id } => {
                    self.seen.close(governor, id);
                }
                Event::Delay { before, after } => {
                    out.extend(self.delay(cx, tx, governor, (before, after)));
                }
                Event::Votes { delegate, before, after } => {
                    let lately = self.settings.lately.0 / 1_000;
                    self.seen.gained(delegate, (before, after), (now, lately));
                }
                _ => {}
            }
        }
    }

    /// Code may change in transactions that touch no governor.
    fn on_block(&mut self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        if self.seen.open.is_empty() {
            return;
        }
        for tx in cx.observation.txs.iter().filter(|it| it.tracing.is_evidence()) {
            for code in &tx.diff.codes {
                let after = code.after.unwrap_or_default();
                let changed = self.seen.open.iter().filter_map(|it| {
                    let was = it.codes.get(&code.address).filter(|it| **it != after)?;
                    Some(self.changed(cx, tx, it, code.address, (*was, after)))
                });
                out.extend(changed);
            }
        }
    }

    fn memo(&self) -> Option<Memo> {
        let empty = self.seen == Seen::default();
        if empty { None } else { serde_json::to_value(&self.seen).ok() }
    }

    fn recall(&mut self, memo: Option<&Memo>) -> Result<(), MemoError> {
        self.seen = Seen::default();
        if let Some(memo) = memo {
            self.seen = Seen::deserialize(memo).map_err(MemoError)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Governance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Governance").field("seen", &self.seen).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, U256};
    use cofferdam_core::{ChainId, Class, Fact, Severity, read::StateRead};

    use crate::{
        RuleSet,
        fixture::{VAULT, plan},
        governance::tests::{RULE, Value, block, drain, encode, log, proposal, rules, told, vault},
    };

    #[test]
    fn a_payload_that_drains_the_entity_is_found_when_it_is_proposed() {
        let mut rules = rules();
        let proposed = proposal(7, vault(), "sweep()", &[]);
        let it = block(&rules, 1, vec![proposed], &drain(), 1);
        let rehearsed = it.readings.iter().find_map(|it| match it.0 {
            StateRead::Rehearsal(it) => Some(it.clone()),
            _ => None,
        });
        let rehearsed = rehearsed.expect("the payload is asked for");
        assert_eq!(rehearsed.from, Address::with_last_byte(0x61), "by the executor");
        assert_eq!((rehearsed.time, rehearsed.after), (0, 86_400), "at its time");
        let findings = rules.observe(&it).findings;
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((finding.severity, finding.class), (Severity::High, Class::Damage));
        assert!(finding.summary.starts_with("a proposal would do this when executed: "));
        assert_eq!(finding.actors[0], Address::with_last_byte(0xee), "who proposed it");
        assert_eq!(finding.loss.0, 0, "nothing is lost yet");
    }

    #[test]
    fn an_upgrade_by_proposal_is_high_and_one_in_the_calendar_silent() {
        let facts = [Fact::Upgraded { proxy: vault(), implementation: Address::ZERO }];
        let proposed = || vec![proposal(7, vault(), "upgrade()", &[])];
        let mut rules = rules();
        let it = block(&rules, 1, proposed(), &facts, 1);
        let found = told(&mut rules, &it);
        assert!(matches!(found.as_slice(), [(Severity::High, _)]), "{found:?}");
        let calendar = r#"
            [[calendar]]
            contract = "eip155:1:0x00000000000000000000000000000000000000aa"
            not-before = 86400
            not-after = 90000
            reason = "release"
        "#;
        let expected = plan(&format!("{VAULT}{calendar}{RULE}"));
        let mut rules = RuleSet::build(&expected, ChainId(1)).expect("the rule builds");
        let it = block(&rules, 1, proposed(), &facts, 1);
        assert_eq!(told(&mut rules, &it), vec![]);
    }

    #[test]
    fn a_harmless_proposal_with_its_time_is_silent_from_vote_to_execution() {
        let mut rules = rules();
        let id = U256::from(7);
        let voter = U256::from(0xbb);
        let word = |it: u64| Value::Word(U256::from(it));
        let vote = [Value::Word(id), word(1), word(400), Value::Bytes(vec![])];
        let vote = log("VoteCast(address,uint256,uint8,uint256,string)", &[voter], encode(&vote));
        let done = log("ProposalExecuted(uint256)", &[], encode(&[Value::Word(id)]));
        for (number, it) in [(1, proposal(7, vault(), "pay()", &[])), (2, vote), (100_000, done)] {
            let it = block(&rules, number, vec![it], &[], 1);
            assert_eq!(told(&mut rules, &it), vec![], "block {number}");
        }
        assert_eq!(rules.observe(&block(&rules, 100_001, vec![], &[], 1)).changed, vec![]);
    }
}
