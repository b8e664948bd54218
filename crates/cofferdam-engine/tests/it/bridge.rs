//! Bridges: two chains in one engine, joined by message, whatever either of them takes back.

use alloy_primitives::{Address, B256, Log, U256, keccak256};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Observation, Record, Severity, Stage, Timestamp, Tx, record::Entry,
};
use cofferdam_engine::{Effect, Engine, Input, Limits};
use proptest::prelude::*;

const FROM: ChainId = ChainId(2020);
const TO: ChainId = ChainId(1);
const PLAN: &str = r#"
version = 1
name = "bridge"
chains = [
    { id = "eip155:1", reorg-blocks-max = 4, finality-blocks = 2 },
    { id = "eip155:2020", block-time = "3s", reorg-blocks-max = 20, finality-blocks = 10 },
]
[[entities]]
id = "bridge"
accounts = ["eip155:1:0x00000000000000000000000000000000000000aa"]
assets = [{ token = "0x0000000000000000000000000000000000000070", symbol = "USD", decimals = 6, price = "1 usd" }]
[[rules]]
id = "r"
detector = "bridge"
[[rules.settings.routes]]
name = "side to main"
delay-min = "60s"
delay-max = "1h"
skew = "6s"
history-from = 1000
origin = { account = "eip155:2020:0x00000000000000000000000000000000000000ba", event = "Out(uint256 id, uint256 amount)", key = ["id"], asset = "0x0000000000000000000000000000000000000070", amount = "amount" }
destination = { account = "eip155:1:0x00000000000000000000000000000000000000aa", event = "In(uint256 id, uint256 amount)", key = ["id"], asset = "0x0000000000000000000000000000000000000070", amount = "amount" }
"#;

fn engine() -> Engine {
    Engine::new(toml::from_str(PLAN).expect("a plan"), Limits::default()).expect("rules that build")
}

/// An engine with its journal. Every step is also made by one that was restored just before.
struct Run {
    engine: Engine,
    now: u64,
    journal: Vec<Entry>,
    heads: [(u64, B256); 2],
    branch: u8,
}

impl Run {
    fn new() -> Self {
        Self { engine: engine(), now: 0, journal: vec![], heads: [(0, B256::ZERO); 2], branch: 0 }
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        self.now += 1_000;
        let plan = self.engine.plan().clone();
        let mut restored = Engine::restore(plan, Limits::default(), self.journal.clone())
            .expect("a journal of our own");
        let again = restored.step(Timestamp(self.now), input.clone());
        let effects = self.engine.step(Timestamp(self.now), input);
        assert_eq!(again, effects, "a restart changes nothing");
        for effect in &effects {
            if let Effect::Record(record) = effect {
                let (seq, at) = (self.journal.len() as u64, Timestamp(self.now));
                let (prev, hash) = (B256::ZERO, B256::ZERO);
                self.journal.push(Entry { seq, at, prev, hash, record: record.clone() });
            }
        }
        assert_eq!(restored.state(), self.engine.state());
        effects
    }

    /// The next block of `chain` at `secs` with messages of (id, amount).
    fn block(&mut self, chain: ChainId, secs: u64, messages: &[(u64, u64)]) -> Vec<Effect> {
        let at = usize::from(chain == FROM);
        let (number, parent) = self.heads[at];
        let branch = self.branch;
        let observation = observe(chain, (number + 1, parent, secs), branch, messages);
        self.heads[at] = (number + 1, observation.block.hash);
        self.step(Input::Block(observation))
    }

    /// The next block of `chain` takes the place of the last `count`.
    fn back(&mut self, chain: ChainId, count: u64) {
        self.branch += 1;
        let at = usize::from(chain == FROM);
        let number = self.heads[at].0 - count;
        let trail = &self.engine.state().chains[&chain.0].trail;
        let block = trail.iter().map(|it| it.block).find(|it| it.number == number);
        self.heads[at] = (number, block.expect("a known block").hash);
    }

    fn findings(&self) -> Vec<(Severity, Stage, String)> {
        let findings = self.engine.state().findings.values().map(|it| &it.finding);
        findings.map(|it| (it.severity, it.stage, it.summary.clone())).collect()
    }

    fn found(&self) -> Vec<String> {
        self.findings().into_iter().map(|it| it.2).collect()
    }
}

fn observe(
    chain: ChainId,
    (number, parent, secs): (u64, B256, u64),
    branch: u8,
    messages: &[(u64, u64)],
) -> Observation {
    let (account, event) =
        if chain == FROM { (0xba, "Out(uint256,uint256)") } else { (0xaa, "In(uint256,uint256)") };
    let log = |(id, amount): &(u64, u64)| {
        let words = [U256::from(*id), U256::from(*amount) * U256::from(1_000_000)];
        let data: Vec<u8> = words.iter().flat_map(|it| it.to_be_bytes::<32>()).collect();
        Log::new_unchecked(Address::with_last_byte(account), vec![keccak256(event)], data.into())
    };
    let seed = format!("{chain} {number} {branch} {messages:?}");
    let tx = |(at, it): (usize, &(u64, u64))| Tx {
        hash: keccak256(format!("{chain} {it:?} {at}")),
        from: Address::with_last_byte(0xee),
        to: Some(Address::with_last_byte(account)),
        succeeded: true,
        logs: vec![log(it)],
        ..Tx::default()
    };
    let block =
        BlockRef { chain, number, hash: keccak256(seed), parent, time: Timestamp::from_secs(secs) };
    Observation {
        block,
        env: BlockEnv::default(),
        stage: Stage::Provisional,
        witnesses: 1,
        txs: messages.iter().enumerate().map(tx).collect(),
        readings: Default::default(),
    }
}

#[test]
fn a_withdrawal_that_nobody_asked_for_is_critical_in_its_own_block_and_while_it_is_pending() {
    let mut run = Run::new();
    run.block(FROM, 1_000, &[(1, 100)]);
    run.block(TO, 1_000, &[]);
    run.block(FROM, 2_000, &[]);
    run.block(TO, 2_000, &[(1, 100)]);
    assert_eq!(run.found(), Vec::<String>::new(), "the honest one is silent");
    // As at Ronin: a number that no request has, and all the money.
    let (number, hash) = run.heads[0];
    let mut pending = observe(TO, (number, hash, 2_000), 0, &[(2_000_000, 25_500_000)]);
    pending.block.hash = hash;
    pending.stage = Stage::Pending;
    run.step(Input::Pending(pending));
    let text = "side to main: paid without an origin".to_owned();
    assert_eq!(run.findings(), [(Severity::Critical, Stage::Pending, text.clone())]);
    run.block(TO, 2_012, &[(2_000_000, 25_500_000)]);
    assert_eq!(run.findings(), [(Severity::Critical, Stage::Provisional, text.clone())]);
    run.block(TO, 2_024, &[]);
    run.block(TO, 2_036, &[]);
    assert_eq!(run.findings(), [(Severity::Critical, Stage::Final, text)]);
}

#[test]
fn while_the_origin_lags_or_is_blind_nothing_is_said_and_then_the_truth_is() {
    for forged in [false, true] {
        let mut run = Run::new();
        run.block(FROM, 1_000, &[]);
        run.step(Input::Blind { chain: FROM, from: 2, because: "node away".into() });
        run.block(TO, 5_000, &[(7, 90_000)]);
        run.block(TO, 5_012, &[]);
        assert_eq!(run.found(), Vec::<String>::new(), "unknown is no alarm");
        let sent: &[(u64, u64)] = if forged { &[(8, 90_000)] } else { &[(7, 90_000)] };
        run.block(FROM, 3_000, sent);
        assert_eq!(run.found(), Vec::<String>::new(), "not far enough yet");
        run.block(FROM, 4_946, &[]);
        let expected: &[&str] =
            if forged { &["side to main: paid without an origin"] } else { &[] };
        assert_eq!(run.found(), expected, "forged: {forged}");
    }
}

#[test]
fn a_reorganisation_of_the_origin_takes_back_the_finding_or_makes_it() {
    let mut run = Run::new();
    run.block(FROM, 1_000, &[]);
    run.block(FROM, 1_900, &[]);
    run.block(FROM, 1_960, &[]);
    run.block(TO, 2_000, &[(7, 90_000)]);
    assert_eq!(run.found().len(), 1);
    run.back(FROM, 2);
    let effects = run.block(FROM, 1_901, &[(7, 90_000)]);
    let retracted = |it: &Effect| matches!(it, Effect::Record(Record::Retracted { .. }));
    assert!(effects.iter().any(retracted), "{effects:?}");
    assert_eq!(run.found(), Vec::<String>::new());
    run.back(FROM, 1);
    run.block(FROM, 1_902, &[]);
    assert_eq!(run.found(), Vec::<String>::new(), "unknown again");
    run.block(FROM, 1_990, &[]);
    assert_eq!(run.found(), ["side to main: paid without an origin"]);
}

#[test]
fn a_reorganisation_of_the_destination_takes_its_payments_back() {
    let mut run = Run::new();
    run.block(FROM, 1_000, &[(7, 90_000)]);
    run.block(FROM, 2_000, &[]);
    run.block(TO, 1_990, &[]);
    run.block(TO, 2_000, &[(7, 90_000), (7, 90_000), (9, 90_000)]);
    let found = run.found();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|it| it.ends_with("the same message was paid again")), "{found:?}");
    run.back(TO, 1);
    run.block(TO, 2_001, &[(7, 90_000)]);
    assert_eq!(run.found(), Vec::<String>::new());
}

#[test]
fn what_is_settled_is_forgotten_and_a_history_too_short_is_told_as_blindness() {
    let mut run = Run::new();
    let plan = PLAN.replace("history-from = 0\n", "");
    run.engine = Engine::new(toml::from_str(&plan).expect("a plan"), Limits::default())
        .expect("rules that build");
    run.block(FROM, 10_000, &[]);
    run.block(TO, 10_100, &[(7, 90_000)]);
    run.block(FROM, 10_400, &[]);
    run.block(TO, 10_400, &[]);
    let why = "a payment cannot be judged: the origin chain has not been watched for long enough";
    assert_eq!(run.found(), [format!("side to main: {why}")]);
    run.block(FROM, 30_000, &[]);
    run.block(TO, 30_000, &[]);
    let notes = |chain: ChainId| {
        let memos = run.engine.state().chains[&chain.0].memos.keys();
        memos.filter(|it| it.starts_with("engine/bridge/")).count()
    };
    assert_eq!((notes(FROM), notes(TO)), (1, 0), "all that is left is since when we look");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever comes in whatever order, an honest message is never found wrong, and a forged one is
    /// found as soon as both chains stand still far enough.
    #[test]
    fn honest_messages_are_never_alarms_and_forged_ones_always_are(
        steps in prop::collection::vec((0_u8..4, 1_u64..40), 1..24),
        forged in any::<bool>(),
    ) {
        let mut run = Run::new();
        let (mut sent, mut paid) = (0, 0);
        let mut at = [1_000_u64, 1_000];
        run.block(FROM, 1_000, &[]);
        run.block(TO, 1_000, &[]);
        for (what, wait) in steps {
            let from = what % 2 == 0;
            let clock = &mut at[usize::from(from)];
            *clock += wait;
            let secs = *clock;
            match what {
                0 => { sent += 1; run.block(FROM, secs, &[(sent, 60_000)]); }
                // Paid by the rules: the origin is a minute older, though its block may not be seen yet.
                1 if paid < sent => {
                    paid += 1;
                    at[0] = at[0].max(at[1] + 60);
                    let secs = at[0];
                    run.block(TO, secs, &[(paid, 60_000)]);
                }
                2 => { run.block(FROM, secs, &[]); }
                _ => { run.block(TO, secs, &[]); }
            }
            prop_assert_eq!(run.found(), Vec::<String>::new());
        }
        if forged {
            let secs = at[0] + 12;
            run.block(TO, secs, &[(1_000, 60_000)]);
            run.block(FROM, at[1].max(secs), &[]);
            prop_assert_eq!(run.found().len(), 1);
        }
    }
}
