//! The rules of a plan on one chain: configured detectors behind a hash index.
//!
//! **Invariant:** a transaction costs look-ups in proportion to what it touches, not to the number of
//! rules, and a miss allocates nothing.

mod history;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use alloy_primitives::{Address, B256};
use cofferdam_core::{
    ChainId, Finding, Observation, Tx, evidence::Tracing, plan::Plan, read::StateRead, record::Memo,
};

use crate::{
    ASKED_PER_TX_MAX, Around, BuildCx, BuildError, Context, Detector, Need, Shape,
    asked::Asked,
    blind::Sight,
    bridge::{BRIDGE, Crossing},
    index::Index,
    names::find,
};

/// Rehearsals that one rule may ask for in one observation; each may cost the gas of several blocks. The rule
/// misses the rest.
const REHEARSALS_PER_RULE_MAX: usize = 8;

/// Name of the rules that no detector of ours feeds: their findings come from outside, and the rule
/// only says how far they may go.
pub const EXTERNAL: &str = "external";

/// All rules of a plan on one chain.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Running>,
    names: HashMap<String, usize>,
    index: Index,
    asked: Asked,
    around: Around,
    /// Counts transactions and observations; a rule marked with it was met already.
    stamp: u64,
    /// The rules of the transaction at hand, kept to save the allocation.
    matched: Vec<u32>,
    /// The rules called for the observation at hand.
    called: Vec<u32>,
}

/// What an observation led to.
#[derive(Debug, Default)]
pub struct Evaluation {
    /// The findings, in order of transaction, then rule.
    pub findings: Vec<Finding>,
    /// The rules whose state changed, with the state before (`None`: as built) and after.
    pub changed: Vec<(String, Option<Memo>, Memo)>,
}

/// A rule at work.
#[derive(Debug)]
struct Running {
    detector: Box<dyn Detector>,
    /// What it is blind about if a transaction could not be traced; `None` if it needs no trace.
    sight: Option<Sight>,
    id: String,
    /// Whether it reads the ends of bridge messages.
    crosses: bool,
    /// Its state after building.
    built: Option<Memo>,
    /// Its state after the last observation that was kept.
    memo: Option<Memo>,
    seen_tx: u64,
    seen_block: u64,
}

impl RuleSet {
    /// Builds every rule of `plan` that concerns `chain`.
    ///
    /// # Errors
    /// The first rule that cannot be built.
    pub fn build(plan: &Plan, chain: ChainId) -> Result<Self, BuildError> {
        let (mut rules, mut interests, mut questions) = (Vec::new(), Vec::new(), Vec::new());
        for rule in plan.rules.iter().filter(|it| it.detector != EXTERNAL) {
            let entry = find(&rule.detector)?;
            let cx = BuildCx { rule, plan, chain };
            // A bridge is watched on both sides, whichever of them holds the entity.
            if cx.entities().next().is_none() && rule.detector != BRIDGE {
                continue;
            }
            let detector = (entry.build)(&cx)?;
            let traced = entry.meta.needs.iter().any(|it| matches!(it, Need::Frames | Need::Diff));
            interests.push(detector.interests());
            questions.extend(detector.questions());
            let memo = detector.memo();
            rules.push(Running {
                detector,
                sight: traced.then(|| Sight::new(&cx)),
                id: rule.id.clone(),
                crosses: rule.detector == BRIDGE,
                built: memo.clone(),
                memo,
                seen_tx: 0,
                seen_block: 0,
            });
        }
        Ok(Self {
            names: rules.iter().enumerate().map(|(at, it)| (it.id.clone(), at)).collect(),
            rules,
            index: Index::new(&interests),
            asked: Asked::new(questions),
            around: Around::default(),
            stamp: 0,
            matched: Vec::new(),
            called: Vec::new(),
        })
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The state reads that rules want whatever happens, sorted, each once.
    pub(crate) fn reads(&self) -> &[StateRead] {
        self.asked.reads()
    }

    /// The accounts that the rules are indexed on, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = Address> {
        self.index.accounts()
    }

    /// The state reads wanted for an observation with these transactions, sorted, each once.
    pub fn wanted(&self, txs: &[Tx]) -> Vec<StateRead> {
        let mut wanted = self.asked.wanted(txs);
        let known = wanted.len();
        let mut tried: BTreeMap<u32, usize> = BTreeMap::new();
        for tx in txs {
            let mut met = Vec::new();
            self.index.matches(tx, |list| met.extend_from_slice(list));
            met.sort_unstable();
            met.dedup();
            for at in met {
                let Some(rule) = self.rules.get(at as usize) else { continue };
                let asked = rule.detector.asks(tx).into_iter().take(ASKED_PER_TX_MAX);
                wanted.extend(asked.filter(|it| {
                    let rehearsal = matches!(it, StateRead::Rehearsal(_));
                    let count = tried.entry(at).or_default();
                    *count += usize::from(rehearsal);
                    !rehearsal || *count <= REHEARSALS_PER_RULE_MAX
                }));
            }
        }
        if wanted.len() > known {
            wanted.sort_unstable();
            wanted.dedup();
        }
        wanted
    }

    /// Folds a block into the rules.
    pub fn observe(&mut self, observation: &Observation) -> Evaluation {
        let findings = self.fold(observation);
        let mut changed = Vec::new();
        for at in std::mem::take(&mut self.called) {
            let Some(rule) = self.rules.get_mut(at as usize) else { continue };
            let after = rule.detector.memo();
            if after != rule.memo {
                let before = std::mem::replace(&mut rule.memo, after.clone());
                let before = before.filter(|it| Some(it) != rule.built.as_ref());
                changed.push((rule.id.clone(), before, after.unwrap_or(Memo::Null)));
            }
        }
        Evaluation { findings, changed }
    }

    /// Looks at a pending transaction: as [`RuleSet::observe`], but every rule keeps its state.
    pub fn peek(&mut self, observation: &Observation) -> Vec<Finding> {
        let findings = self.fold(observation);
        for at in std::mem::take(&mut self.called) {
            let Some(rule) = self.rules.get_mut(at as usize) else { continue };
            if rule.detector.memo() != rule.memo {
                let kept = rule.memo.clone();
                rule.take_back(kept);
            }
        }
        findings
    }

    /// The ends of bridge messages in an observation, in order.
    pub fn crossings(&self, observation: &Observation) -> Vec<Crossing> {
        let cx = Context { observation, around: &self.around };
        let bridges: Vec<&Running> = self.rules.iter().filter(|it| it.crosses).collect();
        if bridges.is_empty() {
            return Vec::new();
        }
        let txs = observation.txs.iter().filter(|it| !it.logs.is_empty());
        txs.flat_map(|tx| bridges.iter().flat_map(move |it| it.detector.crossings(&cx, tx)))
            .collect()
    }

    /// What the rules are told besides the observation.
    pub fn around_mut(&mut self) -> &mut Around {
        &mut self.around
    }

    /// What those of the transactions `hashes` can be recognised by that have a shape, if a rule asks.
    pub fn shapes(&self, observation: &Observation, hashes: &[B256]) -> Vec<Shape> {
        let cx = Context { observation, around: &self.around };
        let txs = observation.txs.iter().filter(|it| hashes.contains(&it.hash));
        let shape = |tx| self.rules.iter().find_map(|it| it.detector.shape(&cx, tx));
        txs.filter_map(shape).collect()
    }

    /// Gives a rule back an earlier state (`None`: as built). An unknown rule is ignored: the plan may
    /// have changed since the memo was written.
    pub fn recall(&mut self, rule: &str, memo: Option<&Memo>) {
        let at = self.names.get(rule).copied();
        if let Some(rule) = at.and_then(|at| self.rules.get_mut(at)) {
            rule.take_back(memo.cloned());
        }
    }

    /// Runs the rules over an observation and leaves in `called` those that were called, sorted.
    fn fold(&mut self, observation: &Observation) -> Vec<Finding> {
        let around = std::mem::take(&mut self.around);
        let out = self.run(&Context { observation, around: &around });
        self.around = around;
        out
    }

    fn run(&mut self, cx: &Context<'_>) -> Vec<Finding> {
        let observation = cx.observation;
        let mut out = Vec::new();
        self.called.clear();
        self.stamp += 1;
        let block = self.stamp;
        let mut asked = BTreeSet::new();
        for tx in &observation.txs {
            self.dispatch(tx, block);
            self.report_blind(cx, tx, &mut out);
            for at in &self.matched {
                if let Some(rule) = self.rules.get_mut(*at as usize) {
                    asked.extend(rule.detector.asks(tx).into_iter().take(ASKED_PER_TX_MAX));
                    rule.detector.on_tx(cx, tx, &mut out);
                }
            }
        }
        for at in self.index.every() {
            if let Some(rule) = self.rules.get_mut(*at as usize) {
                rule.join(block, *at, &mut self.called);
            }
        }
        self.called.sort_unstable();
        for at in &self.called {
            if let Some(rule) = self.rules.get_mut(*at as usize) {
                rule.detector.on_block(cx, &mut out);
            }
        }
        out.extend(self.asked.blind(observation, &asked));
        out
    }

    /// Leaves in `matched` the rules that `tx` concerns, sorted, each once.
    fn dispatch(&mut self, tx: &Tx, block: u64) {
        self.stamp += 1;
        self.matched.clear();
        let (stamp, rules, matched) = (self.stamp, &mut self.rules, &mut self.matched);
        let called = &mut self.called;
        self.index.matches(tx, |list| {
            for at in list {
                let Some(rule) = rules.get_mut(*at as usize) else { continue };
                if rule.seen_tx != stamp {
                    rule.seen_tx = stamp;
                    matched.push(*at);
                    rule.join(block, *at, called);
                }
            }
        });
        self.matched.sort_unstable();
    }

    /// One *blind* finding for a transaction that a rule needed traced and that was not.
    fn report_blind(&self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        if !matches!(tx.tracing, Tracing::Incomplete { .. } | Tracing::Mismatch { .. }) {
            return;
        }
        let mut rules = self.matched.iter().filter_map(|at| self.rules.get(*at as usize));
        out.extend(rules.find_map(|it| it.sight.as_ref()).and_then(|it| it.lost(cx, tx)));
    }
}

impl Running {
    /// Marks the rule as called for the observation stamped `block`.
    fn join(&mut self, block: u64, at: u32, called: &mut Vec<u32>) {
        if self.seen_block != block {
            self.seen_block = block;
            called.push(at);
        }
    }

    /// `Null` is how a state equal to that after building is written in a journal.
    fn take_back(&mut self, memo: Option<Memo>) {
        let memo = memo.filter(|it| !it.is_null() && Some(it) != self.built.as_ref());
        self.memo = match self.detector.recall(memo.as_ref()) {
            Ok(()) => memo.or_else(|| self.built.clone()),
            Err(_) => self.built.clone(),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use alloy_primitives::{Address, B256, Bytes, Log};
    use cofferdam_core::{ChainId, Class, Fact, Severity, Tx, Usd};
    use proptest::prelude::*;

    use super::RuleSet;
    use crate::{
        BuildError, Interest,
        fixture::{VAULT, parse, plan},
        index::{Index, touched},
    };

    const DRAIN: &str = "
        block 1
          read token 0x70 of 0xaa 1000000e18 -> 600000e18
          tx 0xee -> 0xec
            transfer 0x70 400000e18 from 0xaa to 0xec
    ";

    fn outflow() -> RuleSet {
        let rule = "[[rules]]\nid = \"r\"\ndetector = \"outflow\"";
        RuleSet::build(&plan(&format!("{VAULT}\n{rule}")), ChainId(1)).expect("the rule builds")
    }

    #[test]
    fn an_unknown_detector_is_refused_with_the_nearest_name() {
        for (name, nearest) in [("outflows", Some("outflow")), ("weather", None)] {
            let rule = format!("[[rules]]\nid = \"r\"\ndetector = \"{name}\"");
            let error = RuleSet::build(&plan(&format!("{VAULT}\n{rule}")), ChainId(1));
            assert!(matches!(error, Err(BuildError::Unknown { nearest: it, .. }) if it == nearest));
        }
    }

    #[test]
    fn settings_that_do_not_fit_name_the_key() {
        let rule = "[[rules]]\nid = \"r\"\ndetector = \"outflow\"\nsettings = { hihg = \"1 %\" }";
        let error = RuleSet::build(&plan(&format!("{VAULT}\n{rule}")), ChainId(1));
        let Err(BuildError::Settings { rule, source }) = error else { panic!("{error:?}") };
        assert_eq!(rule, "r");
        assert!(source.to_string().contains("hihg"), "{source}");
    }

    #[test]
    fn a_rule_without_entities_on_the_chain_is_left_out() {
        let rule = "[[rules]]\nid = \"r\"\ndetector = \"outflow\"";
        let rules = RuleSet::build(&plan(&format!("{VAULT}\n{rule}")), ChainId(5));
        assert!(rules.is_ok_and(|it| it.is_empty()));
    }

    #[test]
    fn state_goes_back_to_what_was_recalled() {
        let (mut rules, blocks) = (outflow(), parse(DRAIN));
        let block = blocks.first().expect("one block");
        let first = rules.observe(block);
        let [(rule, None, after)] = first.changed.as_slice() else { panic!("{:?}", first.changed) };
        rules.recall(rule, None);
        assert_eq!(rules.observe(block).findings, first.findings, "as built");
        rules.recall(rule, Some(after));
        let second = rules.observe(block);
        assert!(matches!(second.changed.as_slice(), [(_, Some(before), _)] if before == after));
        rules.recall(rule, Some(&serde_json::json!(["no memo of ours"])));
        assert_eq!(rules.observe(block).findings, first.findings, "a foreign memo is as built");
    }

    #[test]
    fn reads_are_wanted_only_if_their_accounts_are_touched() {
        let (rules, blocks) = (outflow(), parse(DRAIN));
        let wanted = rules.wanted(&blocks.first().expect("one block").txs);
        assert_eq!(wanted.len(), 6, "three holdings and three about shares: {wanted:?}");
        assert!(wanted.is_sorted());
        assert_eq!(rules.wanted(&[Tx::default()]), vec![]);
    }

    #[test]
    fn a_transaction_that_could_not_be_traced_is_one_blind_finding_for_all_rules() {
        let rules = "
            [[rules]]
            id = \"a\"
            detector = \"outflow\"
            [[rules]]
            id = \"b\"
            detector = \"flash-loan\"
        ";
        let blocks = parse(
            "
            block 1
              tx 0xee -> 0xaa mismatch
              tx 0xee -> 0xab incomplete
              tx 0xee -> 0xdd mismatch
            ",
        );
        let plan = plan(&format!("{VAULT}\n{rules}"));
        let mut rules = RuleSet::build(&plan, ChainId(1)).expect("the rules build");
        let findings = rules.observe(blocks.first().expect("one block")).findings;
        let told: Vec<_> =
            findings.iter().map(|it| (it.class, it.severity, it.entity.as_str())).collect();
        assert_eq!(
            told,
            [(Class::Blind, Severity::High, "vault"), (Class::Blind, Severity::Medium, "vault")]
        );
    }

    #[test]
    fn an_attack_that_is_split_renamed_or_scaled_is_found_all_the_same() {
        for (parts, scale, thief) in
            [(1, 1, "0xec"), (2, 1, "0xfeed"), (8, 1, "0xee"), (4, 20, "0xe1")]
        {
            let (mut text, whole) = (String::new(), 600_000 * scale);
            for part in 0..parts {
                let left = |part: u32| 1_000_000 * scale - whole / parts * part;
                text += &format!(
                    "
                    block {}
                      read token 0x70 of 0xaa {}e18 -> {}e18
                      tx 0xee -> {thief}
                        transfer 0x70 {}e18 from 0xaa to {thief}
                    ",
                    part + 1,
                    left(part),
                    left(part + 1),
                    whole / parts,
                );
            }
            let mut rules = outflow();
            let findings: Vec<_> =
                parse(&text).iter().flat_map(|it| rules.observe(it).findings).collect();
            let lost = findings.iter().fold(Usd::ZERO, |sum, it| sum.plus(it.loss));
            assert_eq!(
                findings.last().map(|it| it.severity),
                Some(Severity::Critical),
                "{parts} parts"
            );
            assert_eq!(lost, Usd::whole(i128::from(whole)), "every dollar is told once");
        }
    }

    fn interest() -> impl Strategy<Value = Interest> {
        prop_oneof![
            (0u8..12).prop_map(|it| Interest::Account(Address::repeat_byte(it))),
            (0u8..6).prop_map(|it| Interest::Topic(B256::repeat_byte(it))),
            (0u8..12, 0u8..6)
                .prop_map(|it| Interest::Log(Address::repeat_byte(it.0), B256::repeat_byte(it.1))),
            Just(Interest::EveryBlock),
        ]
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_linear_scan_finds(
            rules in proptest::collection::vec(proptest::collection::vec(interest(), 0..4), 0..20),
            accounts in proptest::collection::vec(0u8..24, 4),
            topic in 0u8..12,
        ) {
            let account = |at: usize| Address::repeat_byte(accounts.get(at).copied().unwrap_or_default());
            let log = Log::new_unchecked(account(2), vec![B256::repeat_byte(topic)], Bytes::new());
            let amount = alloy_primitives::U256::from(1);
            let tx = Tx {
                from: account(0),
                to: Some(account(1)),
                succeeded: true,
                logs: vec![log],
                facts: vec![Fact::NativeTransfer { from: account(0), to: account(3), amount }],
                ..Tx::default()
            };
            let mut met = BTreeSet::new();
            touched(&tx, |it| { met.insert(it); });
            let wants = |it: &Interest| match it {
                Interest::Account(it) => met.contains(it),
                Interest::Topic(it) => *it == B256::repeat_byte(topic),
                Interest::Log(by, it) => *by == account(2) && *it == B256::repeat_byte(topic),
                Interest::EveryBlock => false,
            };
            let expected: BTreeSet<u32> = (0u32..)
                .zip(&rules)
                .filter(|(_, it)| it.iter().any(wants))
                .map(|(at, _)| at)
                .collect();
            let mut found = BTreeSet::new();
            Index::new(&rules).matches(&tx, |list| found.extend(list));
            prop_assert_eq!(found, expected);
        }
    }
}
