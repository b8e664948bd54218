//! S19: the same contract failed again and again against an entity. The page beside this file says how and with which limits.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use cofferdam_core::{
    Class, Finding, Severity, Tx, Usd,
    finding::Evidence,
    plan::{DurationText, UsdText},
    read::{Answer, Rehearsal, RehearsedCall, StateRead},
    record::Memo,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, MemoError, Meta, Need, flows,
    loss::{self, Loss, Terms},
    report::{About, Voice, group},
    suspicion::is_service,
    watch::{Ward, Wards},
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "probing",
        signal: "S19",
        summary: "the same contract failed again and again against an entity",
        needs: &[Need::Frames],
        docs: include_str!("probing.md"),
    },
    build: |cx| Ok(Box::new(Probing::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Contracts remembered; the one that failed longest ago is forgotten first.
const CONTRACTS_MAX: usize = 256;

/// Settings of `probing`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Failures from which on it is told, once.
    failures: u32,
    /// How long a failure is remembered.
    window: DurationText,
    /// Loss from which on a failure is critical that would succeed with more gas or money.
    critical_loss: UsdText,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            failures: 2,
            window: DurationText(3_600_000),
            critical_loss: UsdText(Usd::whole(10_000)),
        }
    }
}

#[derive(Debug)]
struct Probing {
    voice: Voice,
    settings: Settings,
    wards: Wards,
    failed: BTreeMap<Address, Failures>,
}

/// Failures of one contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failures {
    count: u32,
    /// The last one, in milliseconds.
    at: u64,
}

impl Probing {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let voice = Voice::new("probing", cx);
        let (settings, wards) = (cx.settings()?, Wards::new(cx));
        Ok(Self { voice, settings, wards, failed: BTreeMap::new() })
    }

    /// The contract that `tx` called and the account of an entity that it reached, if it failed.
    fn failure(&self, tx: &Tx) -> Option<(Address, Address)> {
        let contract = tx.to.filter(|it| !self.voice.is_ours(*it))?;
        if tx.succeeded || !tx.tracing.is_evidence() || is_service(tx) {
            return None;
        }
        let reached = tx.frames.iter().find(|it| self.wards.position(it.to).is_some())?;
        Some((contract, reached.to))
    }

    /// The failed transaction again, with all the gas of a block and the money that it lacks.
    fn again(tx: &Tx) -> Option<StateRead> {
        let (value, data) = (tx.value, tx.input.clone());
        let call = RehearsedCall { to: tx.to?, value, data, delegated: false };
        let (from, calls) = (tx.from, vec![call]);
        let it = Rehearsal { from, time: 0, after: 0, funded: true, calls, reads: Vec::new() };
        Some(StateRead::Rehearsal(Box::new(it)))
    }

    /// What an entity would have lost, had the transaction not failed.
    fn spared(&self, cx: &Context<'_>, tx: &Tx) -> Option<(&Ward, Loss)> {
        let reading = cx.observation.readings.get(&Self::again(tx)?)?;
        let Answer::Rehearsed(done) = &reading.after else { return None };
        let flows = flows::flows(&self.wards, &done.tx);
        let losses = flows.into_iter().filter_map(|(position, flow)| {
            let ward = self.wards.at(position)?;
            let is_ours = |it| self.voice.is_ours(it);
            let loss = loss::assess(cx, &Terms::default(), ward, &done.tx, flow, &is_ours)?;
            Some((ward, loss))
        });
        let worst = losses.max_by_key(|it| it.1.value)?;
        (worst.1.value >= self.settings.critical_loss.0).then_some(worst)
    }

    fn remember(&mut self, contract: Address, now: u64) -> u32 {
        let oldest = now.saturating_sub(self.settings.window.0);
        self.failed.retain(|_, it| it.at >= oldest);
        if self.failed.len() >= CONTRACTS_MAX && !self.failed.contains_key(&contract) {
            let first = self.failed.iter().min_by_key(|it| it.1.at).map(|it| *it.0);
            first.and_then(|it| self.failed.remove(&it));
        }
        let it = self.failed.entry(contract).or_insert(Failures { count: 0, at: now });
        (it.count, it.at) = (it.count.saturating_add(1), now);
        it.count
    }
}

impl Detector for Probing {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn asks(&self, tx: &Tx) -> Vec<StateRead> {
        let Some((contract, _)) = self.failure(tx) else { return Vec::new() };
        let before = self.failed.get(&contract).map_or(0, |it| it.count);
        // One failure is an accident; to try each would cost more than it tells.
        let due = before.saturating_add(1) >= self.settings.failures;
        due.then(|| Self::again(tx)).flatten().into_iter().collect()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        let Some((contract, subject)) = self.failure(tx) else { return };
        let count = self.remember(contract, cx.observation.block.time.0);
        if let Some((ward, loss)) = self.spared(cx, tx) {
            let about = About { tx: Some(tx), entity: &ward.id, subject: loss.subject };
            let (severity, class) = (Severity::Critical, Class::Damage);
            out.push(Finding {
                summary: format!(
                    "a failed attempt would take {} with more gas or money",
                    loss.value
                ),
                evidence: loss.evidence,
                ..self.voice.finding(cx, about, severity, class, group::VALUE)
            });
            return;
        }
        let Some(ward) = self.wards.of(subject).filter(|_| count == self.settings.failures) else {
            return;
        };
        let about = About { tx: Some(tx), entity: &ward.id, subject };
        out.push(Finding {
            summary: format!("a contract failed {count} times against it"),
            evidence: vec![Evidence::new("contract", contract)],
            ..self.voice.finding(cx, about, Severity::Low, Class::Suspicion, group::SUSPICION)
        });
    }

    fn memo(&self) -> Option<Memo> {
        if self.failed.is_empty() { None } else { serde_json::to_value(&self.failed).ok() }
    }

    fn recall(&mut self, memo: Option<&Memo>) -> Result<(), MemoError> {
        self.failed.clear();
        if let Some(memo) = memo {
            self.failed = BTreeMap::deserialize(memo).map_err(MemoError)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, U256};
    use cofferdam_core::{
        ChainId, Fact, Severity, Tx, Usd,
        evidence::Tracing,
        read::{Answer, Reading, Readings, Rehearsed, StateRead},
    };
    use expect_test::expect;

    use crate::{
        RuleSet,
        fixture::{VAULT, check, parse, plan},
    };

    #[test]
    fn a_second_failure_within_the_window_is_told_once() {
        check(
            "probing",
            "",
            "
            block 1
              tx 0xee -> 0xec reverted
                call 0xec 0xaa 0x01020304
            block 2
              tx 0xee -> 0xec reverted
                call 0xec 0xaa 0x01020304
              tx 0xee -> 0xec reverted
                call 0xec 0xaa 0x01020304
            ",
            expect![[r#"
                2 low probing 0xaa $0.00: a contract failed 2 times against it
            "#]],
        );
    }

    #[test]
    fn a_failure_that_would_succeed_with_more_gas_is_critical_by_what_it_would_take() {
        let rule = "[[rules]]\nid = \"r\"\ndetector = \"probing\"";
        let plan = plan(&format!("{VAULT}\n{rule}"));
        for (amount, expected) in [(50_000_u64, Severity::Critical), (5_000, Severity::Low)] {
            let mut rules = RuleSet::build(&plan, ChainId(1)).expect("the rule builds");
            let failed = "tx 0xee -> 0xec input 0x01020304 reverted\ncall 0xec 0xaa 0x01020304";
            let blocks = parse(&format!("block 1\n{failed}\nblock 2\n{failed}"));
            let [first, second] = blocks.as_slice() else { panic!("two blocks") };
            assert_eq!(rules.wanted(&first.txs), vec![], "one failure is not tried again");
            assert_eq!(rules.observe(first).findings, vec![]);
            let mut second = second.clone();
            let wanted = rules.wanted(&second.txs);
            let [StateRead::Rehearsal(it)] = wanted.as_slice() else { panic!("{wanted:?}") };
            assert!(it.funded);
            let token = Address::with_last_byte(0x70);
            let (from, to) = (Address::with_last_byte(0xaa), Address::with_last_byte(0xee));
            let amount = U256::from(amount) * U256::from(10).pow(U256::from(18));
            let facts = vec![Fact::Transfer { token, from, to, amount }];
            let tx =
                Tx { succeeded: true, facts, tracing: Tracing::Simulated, ..second.txs[0].clone() };
            let readings = Readings::default();
            let after = Answer::Rehearsed(Box::new(Rehearsed { tx, readings }));
            let reading = Reading { before: Answer::Unavailable, after };
            second.readings.insert(wanted[0].clone(), reading);
            let found = rules.observe(&second).findings;
            let [it] = found.as_slice() else { panic!("{found:?}") };
            assert_eq!((it.severity, it.loss), (expected, Usd::ZERO), "nothing is lost yet");
        }
    }

    #[test]
    fn single_failures_successes_services_and_old_failures_are_silent() {
        check(
            "probing",
            "",
            "
            block 1 time 0
              tx 0xee -> 0xec reverted
                call 0xec 0xaa 0x01020304
              tx 0xee -> 0xec
                call 0xec 0xaa 0x01020304
              tx 0xee -> 0xed nonce 60000 reverted
                call 0xed 0xaa 0x01020304
              tx 0xee -> 0xed nonce 60001 reverted
                call 0xed 0xaa 0x01020304
            block 2 time 4000
              tx 0xee -> 0xec reverted
                call 0xec 0xaa 0x01020304
            ",
            expect![[""]],
        );
    }
}
