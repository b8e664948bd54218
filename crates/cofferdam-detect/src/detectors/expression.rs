//! Expression: a rule in the plan's own words over facts, logs, calls, state and windows.
//!
//! A condition that holds is a finding; a condition that cannot be evaluated is a *blind* finding,
//! once per rule and block, never silence.

use alloy_primitives::{Address, B256, keccak256};
use cofferdam_core::{AccountId, Class, Finding, Severity, Tx, finding::Evidence, record::Memo};
use serde::{Deserialize, Serialize, de::Error as _};

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, MemoError, Meta, Need, Question,
    expr::{
        WindowMemo,
        error::{Fault, Trap},
        event::Trigger,
        filter::Signed,
        instance::{Hit, Instance, Verdict},
        settings::{Settings, instances, stream, trigger, watched},
    },
    report::{About, LLR_MAX, Voice, group, llr},
};

/// The registry entry.
pub(super) static ENTRY: Entry = Entry {
    meta: Meta {
        id: ID,
        signal: "custom",
        summary: "a condition of the plan over facts, state and windows",
        needs: &[Need::Logs, Need::Reads],
        docs: include_str!("expression.md"),
    },
    build: |cx| Ok(Box::new(Expression::build(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

const ID: &str = "expression";

/// The most faults whose text is kept for the finding of one block.
const FAULTS_LISTED_MAX: usize = 4;

/// The detector.
#[derive(Debug)]
struct Expression {
    voice: Voice,
    trigger: Trigger,
    signed: Signed,
    severity: Severity,
    class: Class,
    group: String,
    llr_millinats: i32,
    interests: Vec<Interest>,
    /// Accounts whose touch makes the state reads worth asking; empty: always.
    touched: Vec<Address>,
    instances: Vec<Instance>,
    /// What the windows are over; state of another rule is not taken back.
    stream: B256,
    faults: Faults,
}

/// The faults of the observation at hand.
#[derive(Debug, Default)]
struct Faults {
    listed: Vec<(usize, Trap, Option<B256>)>,
    count: u64,
}

/// What the rule remembers.
#[derive(Debug, Serialize, Deserialize)]
struct RuleMemo {
    stream: B256,
    contracts: Vec<InstanceMemo>,
}

/// What it remembers of one contract.
#[derive(Debug, Serialize, Deserialize)]
struct InstanceMemo {
    entity: String,
    contract: Address,
    windows: Vec<(String, WindowMemo)>,
}

impl Expression {
    fn build(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let settings: Settings = cx.settings()?;
        let refuse = |what: String, hint: &str| {
            Err(BuildError::Unusable { rule: cx.rule.id.clone(), what, hint: hint.into() })
        };
        if settings.class == Class::Blind {
            let what = "findings of class `blind` are made by the detector itself".into();
            return refuse(what, "choose `damage`, `control`, `suspicion` or `defence`");
        }
        if settings.llr_millinats.is_some_and(|it| !(-LLR_MAX..=LLR_MAX).contains(&it)) {
            let what = format!("`llr-millinats` is beyond ±{LLR_MAX}");
            return refuse(what, "no single rule can claim more (risk model, evidence cap)");
        }
        let trigger = trigger(cx, &settings)?;
        let signed = match &trigger {
            Trigger::Log(signature) | Trigger::Call(signature) => Signed::of(signature),
            _ => Signed::default(),
        };
        let instances = instances(cx, &settings, &trigger)?;
        let watched_chain =
            |it: &AccountId| cx.plan.chains.iter().any(|chain| chain.id == it.chain);
        if instances.is_empty() && !settings.contracts.iter().any(watched_chain) {
            let what = "it looks at no contract on any chain of the plan".into();
            return refuse(what, "check the chains of `contracts`");
        }
        let mut touched: Vec<Address> = watched(cx, &settings, &trigger);
        touched.sort_unstable();
        touched.dedup();
        let interest = |it: &Address| match &trigger {
            // Nothing else of its contracts is looked at.
            Trigger::Log(signature) => Interest::Log(*it, keccak256(&signature.canonical)),
            _ => Interest::Account(*it),
        };
        let mut interests: Vec<_> = touched.iter().map(interest).collect();
        if trigger.is_every_block() && !instances.is_empty() {
            interests = vec![Interest::EveryBlock];
            touched.clear();
        }
        let usual = match settings.class {
            Class::Damage => group::VALUE,
            Class::Control => group::CONTROL,
            Class::Defence => group::DEFENCE,
            Class::Suspicion | Class::Blind => group::SUSPICION,
        };
        Ok(Self {
            voice: Voice::new(ID, cx),
            trigger,
            signed,
            severity: settings.severity,
            class: settings.class,
            group: settings.group.clone().unwrap_or_else(|| usual.into()),
            llr_millinats: settings.llr_millinats.unwrap_or(match settings.class {
                Class::Defence => 0,
                _ => llr(settings.severity),
            }),
            interests,
            touched,
            instances,
            stream: stream(&settings),
            faults: Faults::default(),
        })
    }

    fn conclude(
        &mut self,
        cx: &Context<'_>,
        tx: Option<&Tx>,
        at: usize,
        verdict: Verdict,
        out: &mut Vec<Finding>,
    ) {
        if let Some((trap, count)) = verdict.fault {
            self.faults.note(at, trap, tx.map(|it| it.hash), count);
        }
        if let (Some(hit), Some(instance)) = (verdict.hit, self.instances.get(at)) {
            out.push(self.finding(cx, tx, instance, hit));
        }
    }

    fn finding(&self, cx: &Context<'_>, tx: Option<&Tx>, of: &Instance, hit: Hit) -> Finding {
        let about = About { tx, entity: &of.entity, subject: hit.subject };
        let mut it = self.voice.finding(cx, about, self.severity, self.class, &self.group);
        it.llr_millinats = self.llr_millinats;
        it.loss = hit.loss;
        it.summary = hit.summary;
        it.evidence = hit.evidence;
        if hit.count > 1 {
            it.evidence.push(Evidence::new("events", hit.count));
        }
        it
    }

    /// One *blind* finding for all faults of the observation.
    fn blind(&self, cx: &Context<'_>) -> Option<Finding> {
        let (first, trap, _) = self.faults.listed.first()?;
        let instance = self.instances.get(*first)?;
        let about = About { tx: None, entity: &instance.entity, subject: instance.subject };
        let severity = match trap.fault {
            Fault::Unavailable | Fault::Untraced => Severity::Medium,
            _ => Severity::High,
        };
        let mut it = self.voice.finding(cx, about, severity, Class::Blind, "blind");
        // Apart from a finding of the rule itself about the same block and contract.
        let rule = format!("{}#fault", it.rule);
        it.id = Finding::id_of(it.block.chain, &rule, it.block.hash, it.subject);
        it.llr_millinats = 0;
        it.summary = format!("rule could not be evaluated: {}", trap.fault);
        for (at, trap, tx) in &self.faults.listed {
            let Some(instance) = self.instances.get(*at) else { continue };
            let text = instance.module.describe(trap.place);
            let place = if text.is_empty() { String::new() } else { format!(" at {text}") };
            let tx = tx.map_or(String::new(), |it| format!(", transaction {it}"));
            let value =
                format!("{}{place}, {} {}{tx}", trap.fault, instance.entity, instance.subject);
            it.evidence.push(Evidence::new("fault", value));
        }
        it.evidence.push(Evidence::new("faults", self.faults.count));
        if self.instances.iter().any(|it| it.module.has_windows()) {
            let note = "windows lack the events that faulted until these would have left them";
            it.evidence.push(Evidence::new("windows", note));
        }
        Some(it)
    }

    fn forget(&mut self) {
        self.instances.iter_mut().for_each(Instance::clear);
        self.faults = Faults::default();
    }

    fn restore(&mut self, memo: &Memo) -> Result<(), serde_json::Error> {
        let memo = RuleMemo::deserialize(memo)?;
        let other = |what| Err(serde_json::Error::custom(what));
        if memo.stream != self.stream || memo.contracts.len() != self.instances.len() {
            return other("another rule");
        }
        for (instance, memo) in self.instances.iter_mut().zip(&memo.contracts) {
            if (&instance.entity, instance.subject) != (&memo.entity, memo.contract) {
                return other("another contract");
            }
            let recalled = instance.module.recall(&mut instance.machine, &memo.windows);
            recalled.or_else(other)?;
        }
        Ok(())
    }
}

impl Detector for Expression {
    fn interests(&self) -> Vec<Interest> {
        self.interests.clone()
    }

    fn questions(&self) -> Vec<Question> {
        let reads = self.instances.iter().flat_map(|it| it.module.reads());
        reads.map(|it| Question { read: it.clone(), touched: self.touched.clone() }).collect()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        for at in 0..self.instances.len() {
            let Some(instance) = self.instances.get_mut(at) else { continue };
            let verdict = instance.on_tx(&self.trigger, &self.signed, cx.observation, tx);
            self.conclude(cx, Some(tx), at, verdict, out);
        }
    }

    fn on_block(&mut self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        for at in 0..self.instances.len() {
            let Some(instance) = self.instances.get_mut(at) else { continue };
            let verdict = instance.on_block(&self.trigger, cx.observation);
            self.conclude(cx, None, at, verdict, out);
        }
        out.extend(self.blind(cx));
        self.faults = Faults::default();
    }

    fn memo(&self) -> Option<Memo> {
        let remembers = self.instances.iter().any(|it| it.module.has_windows());
        let memos = self.instances.iter().map(|it| InstanceMemo {
            entity: it.entity.clone(),
            contract: it.subject,
            windows: it.module.memo(&it.machine),
        });
        let contracts = if remembers { memos.collect() } else { return None };
        serde_json::to_value(RuleMemo { stream: self.stream, contracts }).ok()
    }

    fn recall(&mut self, memo: Option<&Memo>) -> Result<(), MemoError> {
        self.forget();
        let Some(memo) = memo else { return Ok(()) };
        self.restore(memo).map_err(|error| {
            self.forget();
            MemoError(error)
        })
    }
}

impl Faults {
    fn note(&mut self, at: usize, trap: Trap, tx: Option<B256>, count: u64) {
        self.count = self.count.saturating_add(count);
        if self.listed.len() < FAULTS_LISTED_MAX {
            self.listed.push((at, trap, tx));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
mod tests {
    use cofferdam_core::ChainId;
    use expect_test::{Expect, expect};

    use crate::{
        RuleSet,
        fixture::{VAULT, check as check_detector, parse, plan},
    };

    fn check(settings: &str, blocks: &str, expect: Expect) {
        check_detector("expression", settings, blocks, expect);
    }

    fn built(settings: &str) -> RuleSet {
        let rule = "[[rules]]\nid = \"r\"\ndetector = \"expression\"\n[rules.settings]\n";
        let plan = plan(&format!("{VAULT}\n{rule}{settings}"));
        RuleSet::build(&plan, ChainId(1)).expect("the rule builds")
    }

    const LARGE: &str = r#"
        if = "from in entity.accounts and usd(amount, token) > 1_000 usd"
        loss = "usd(amount, token)"
        severity = "high"
        class = "damage"
        summary = "{usd(amount, token):usd} left for {to}"
    "#;

    #[test]
    fn a_transfer_that_meets_the_condition_is_a_finding() {
        let blocks = "
            block 7
              tx 0xee -> 0xec
                transfer 0x70 1001e18 from 0xaa to 0xee
        ";
        check(
            LARGE,
            blocks,
            expect![[r#"
            7 high expression 0xaa $1,001: $1,001 left for 0x00000000000000000000000000000000000000eE
        "#]],
        );
    }

    #[test]
    fn transfers_that_do_not_meet_it_are_silent() {
        let blocks = "
            block 7
              tx 0xee -> 0xec
                transfer 0x70 1000e18 from 0xaa to 0xee
                transfer 0x70 5000e18 from 0xee to 0xaa
              tx 0xee -> 0xaa reverted
        ";
        check(LARGE, blocks, expect![[""]]);
    }

    #[test]
    fn a_worthless_token_that_claims_to_have_left_is_not_believed() {
        let blocks = "
            block 7
              tx 0xee -> 0xaa
                transfer 0x99 5000e18 from 0xaa to 0xee
        ";
        check(LARGE, blocks, expect![[""]]);
    }

    #[test]
    fn several_events_of_one_transaction_are_one_finding() {
        let blocks = "
            block 7
              tx 0xee -> 0xec
                transfer 0x71 1e18 from 0xaa to 0xee
                transfer 0x71 2e18 from 0xab to 0xee
              tx 0xee -> 0xec
                transfer 0x71 3e18 from 0xab to 0xee
        ";
        check(
            LARGE,
            blocks,
            expect![[r#"
            7 high expression 0xaa $6,000: $2,000 left for 0x00000000000000000000000000000000000000eE
            7 high expression 0xab $6,000: $6,000 left for 0x00000000000000000000000000000000000000eE
        "#]],
        );
        let mut rules = built(LARGE);
        let [block] = parse(blocks).try_into().unwrap();
        let findings = rules.observe(&block).findings;
        let lines = findings[0].evidence.iter().map(|it| format!("{}: {}\n", it.label, it.value));
        expect![[r#"
            token: 0x0000000000000000000000000000000000000071
            from: 0x00000000000000000000000000000000000000AA
            to: 0x00000000000000000000000000000000000000eE
            amount: 1000000000000000000
            events: 2
        "#]]
        .assert_eq(&lines.collect::<String>());
    }

    #[test]
    fn a_condition_that_faults_is_a_blind_finding_once_per_block() {
        let blocks = "
            block 7
              tx 0xee -> 0xec
                transfer 0x70 5 from 0xaa to 0xee
                transfer 0x70 0 from 0xaa to 0xee
              tx 0xee -> 0xec
                transfer 0x70 0 from 0xab to 0xee
            block 8
              tx 0xee -> 0xec
                transfer 0x70 5 from 0xaa to 0xee
        ";
        let settings = r#"if = "100 / amount > 50""#;
        check(
            settings,
            blocks,
            expect![[r#"
            7 high expression 0xaa $0.00: rule could not be evaluated: division by zero
        "#]],
        );
        let mut rules = built(settings);
        let findings = rules.observe(&parse(blocks)[0]).findings;
        assert!(findings.iter().all(|it| it.is_blind() && it.llr_millinats == 0));
        let lines = findings[0].evidence.iter().map(|it| format!("{}: {}\n", it.label, it.value));
        expect![[r#"
            fault: division by zero at `100 / amount` in `if`, line 1, column 1, vault 0x00000000000000000000000000000000000000AA, transaction 0x0000000000000000000000000000000000000000000000000000000000001b59
            fault: division by zero at `100 / amount` in `if`, line 1, column 1, vault 0x00000000000000000000000000000000000000AA, transaction 0x0000000000000000000000000000000000000000000000000000000000001b5a
            faults: 2
        "#]].assert_eq(&lines.collect::<String>());
    }
}
