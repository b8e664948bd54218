//! The engine's promises, driven through `step` alone.
#![expect(clippy::expect_used, reason = "a test may panic")]

use alloy_primitives::{Address, B256, Bytes};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Class, Finding, Observation, Record, Severity, Stage, Timestamp,
    Usd,
    incident::IncidentState,
    order::{Outcome, Prepared},
    plan::Plan,
    read::Readings,
    record::Entry,
};
use cofferdam_engine::{Command, Effect, Engine, Input, Limits};
use expect_test::expect;
use proptest::prelude::*;

const CHAIN: ChainId = ChainId(31337);
const PLAN: &str = r#"
version = 1
name = "Example"
[[chains]]
id = "eip155:31337"
finality-blocks = 3
reorg-blocks-max = 8
[[entities]]
id = "vault"
accounts = ["eip155:31337:0x00000000000000000000000000000000000000aa"]
value-at-risk = "1000000 usd"
[[rules]]
id = "drain"
detector = "external"
mode = "automatic"
[[rules]]
id = "hint"
detector = "external"
mode = "one-click"
[[actions]]
id = "pause-vault"
rung = "pause-market"
contains = ["vault"]
call = { via = "direct", target = "eip155:31337:0x00000000000000000000000000000000000000aa", function = "pause-for", relayer = "one" }
autonomy = { level = "act" }
cost = { fixed = "2000 usd", per-hour = "500 usd", duration = "4h" }
"#;

fn plan() -> Plan {
    let mut plan: Plan = toml::from_str(PLAN).expect("a plan");
    // The rules stand for findings that come from outside; no detector of ours feeds them here.
    plan.rules.iter_mut().for_each(|it| it.detector = "external".into());
    plan
}

fn engine() -> Engine {
    Engine::new(plan(), Limits::default()).expect("rules that build")
}

fn block(number: u64, branch: u8) -> Observation {
    let hash = |number: u64, branch: u8| {
        let mut hash = B256::ZERO;
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash[31] = branch;
        hash
    };
    let parent_branch = if number > 3 { branch } else { 0 };
    let block = BlockRef {
        chain: CHAIN,
        number,
        hash: hash(number, branch),
        parent: hash(number - 1, parent_branch),
        time: Timestamp::from_secs(number * 12),
    };
    Observation {
        block,
        env: BlockEnv::default(),
        stage: Stage::Provisional,
        witnesses: 1,
        txs: vec![],
        readings: Readings::default(),
    }
}

fn finding(rule: &str, at: &BlockRef, stage: Stage) -> Finding {
    Finding {
        id: Finding::id_of(CHAIN, rule, B256::repeat_byte(9), Address::repeat_byte(0xaa)),
        detector: "external".into(),
        rule: rule.into(),
        entity: "vault".into(),
        severity: Severity::Critical,
        class: Class::Damage,
        stage,
        block: *at,
        tx: Some(B256::repeat_byte(9)),
        subject: Address::repeat_byte(0xaa),
        actors: vec![Address::repeat_byte(0xee)],
        llr_millinats: 22_000,
        group: "value".into(),
        loss: Usd::whole(300_000),
        summary: "net outflow of 30 %".into(),
        evidence: vec![],
    }
}

/// Runs inputs one second apart and keeps the journal.
struct Run {
    engine: Engine,
    now: u64,
    journal: Vec<Entry>,
}

impl Run {
    fn new() -> Self {
        Self { engine: engine(), now: 100_000, journal: vec![] }
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        self.now += 1_000;
        let effects = self.engine.step(Timestamp(self.now), input);
        for effect in &effects {
            if let Effect::Record(record) = effect {
                let seq = self.journal.len() as u64;
                let at = Timestamp(self.now);
                self.journal.push(Entry {
                    seq,
                    at,
                    prev: B256::ZERO,
                    hash: B256::ZERO,
                    record: record.clone(),
                });
            }
        }
        effects
    }

    fn attack(&mut self) -> Vec<Effect> {
        self.step(Input::Block(block(1, 0)));
        let at = block(1, 0).block;
        self.step(Input::External(Box::new(finding("drain", &at, Stage::Provisional))))
    }

    fn incident(&self) -> IncidentState {
        self.engine.state().incidents.values().next().expect("an incident").state
    }
}

fn names(effects: &[Effect]) -> String {
    let name = |it: &Effect| match it {
        Effect::Record(record) => {
            let json = serde_json::to_value(record).expect("a record");
            json["record"].as_str().expect("a tag").to_owned()
        }
        Effect::Dispatch { attempt, .. } => format!("DISPATCH {attempt}"),
        Effect::Settle { .. } => "SETTLE".into(),
        Effect::Fetch { from, .. } => format!("FETCH {from}"),
        Effect::Alert { text, .. } => {
            format!("ALERT {}", text.split_once(": ").map_or(text.as_str(), |it| it.1))
        }
    };
    effects.iter().map(|it| name(it) + "\n").collect()
}

fn dispatched(effects: &[Effect]) -> Option<&cofferdam_core::order::Order> {
    effects.iter().find_map(|it| match it {
        Effect::Dispatch { order, .. } => Some(&**order),
        _ => None,
    })
}

fn prepared(key: cofferdam_core::OrderKey) -> Prepared {
    let to = Address::repeat_byte(0xaa);
    Prepared {
        key,
        to,
        data: Bytes::new(),
        gas_limit: 1,
        simulated_on: None,
        effect_simulated: None,
    }
}

#[test]
fn a_finding_becomes_an_order_whose_intent_is_recorded_first() {
    let mut run = Run::new();
    let effects = run.attack();
    expect![[r#"
        found
        incident-opened
        alerted
        ALERT net outflow of 30 %
        attached
        decided
        intended
        incident-moved
        DISPATCH 1
        alerted
        ALERT pause-vault goes out now
    "#]]
    .assert_eq(&names(&effects));
    let key = dispatched(&effects).expect("an order").key;
    run.step(Input::Dispatched { key, prepared: prepared(key), sent: vec![] });
    let asks = run.step(Input::Block(block(2, 0)));
    assert!(asks.iter().any(|it| matches!(it, Effect::Settle { .. })));
    let outcome = Outcome::Effective { tx: None, block: block(2, 0).block, gas_used: 0 };
    run.step(Input::Settled { key, outcome });
    assert_eq!(run.incident(), IncidentState::Contained);
}

#[test]
fn the_same_finding_twice_is_one_incident_and_one_order() {
    let mut run = Run::new();
    run.attack();
    let again = run.step(Input::External(Box::new(finding(
        "drain",
        &block(1, 0).block,
        Stage::Provisional,
    ))));
    assert_eq!(names(&again), "");
}

#[test]
fn an_unanswered_dispatch_is_repeated_and_a_settled_one_is_not() {
    let mut run = Run::new();
    let key = dispatched(&run.attack()).expect("an order").key;
    assert_eq!(names(&run.step(Input::Tick)), "");
    run.now += 10_000;
    assert_eq!(names(&run.step(Input::Tick)), "DISPATCH 1\n");
    run.step(Input::Dispatched { key, prepared: prepared(key), sent: vec![] });
    run.now += 10_000;
    assert_eq!(names(&run.step(Input::Tick)), "DISPATCH 2\n");
    run.step(Input::Settled { key, outcome: Outcome::Failed { reason: "no".into() } });
    run.now += 10_000;
    assert!(dispatched(&run.step(Input::Tick)).is_none());
}

#[test]
fn a_reorganisation_retracts_findings_and_withdraws_what_is_not_out() {
    let mut run = Run::new();
    for number in 1..=3 {
        run.step(Input::Block(block(number, 0)));
    }
    run.step(Input::External(Box::new(finding("hint", &block(3, 0).block, Stage::Provisional))));
    assert_eq!(run.incident(), IncidentState::Responding);
    let effects = run.step(Input::Block(block(3, 1)));
    expect![[r#"
        reorged
        retracted
        alerted
        ALERT a finding was retracted, its block was reorganised out after block 2
        settled
        incident-moved
        block-evaluated
    "#]]
    .assert_eq(&names(&effects));
    assert_eq!(run.incident(), IncidentState::FalseAlarm);
    assert_eq!(run.engine.state().head(CHAIN).map(|it| it.hash), Some(block(3, 1).block.hash));
}

#[test]
fn a_missing_block_is_asked_for_and_nothing_is_skipped() {
    let mut run = Run::new();
    run.step(Input::Block(block(1, 0)));
    assert_eq!(names(&run.step(Input::Block(block(3, 0)))), "FETCH 2\n");
    assert_eq!(run.engine.state().head(CHAIN).map(|it| it.number), Some(1));
    assert_eq!(names(&run.step(Input::Block(block(1, 0)))), "");
}

#[test]
fn blindness_is_a_state_that_is_told_once_and_ends_with_the_next_block() {
    let mut run = Run::new();
    run.step(Input::Block(block(1, 0)));
    let blind = Input::Blind { chain: CHAIN, from: 2, because: "the node does not answer".into() };
    let told = names(&run.step(blind.clone()));
    assert!(told.starts_with("blind\nalerted\nALERT"), "{told}");
    assert_eq!(names(&run.step(blind)), "");
    assert_eq!(run.engine.state().blind().count(), 1);
    run.step(Input::Block(block(2, 0)));
    assert_eq!(run.engine.state().blind().count(), 0);
}

#[test]
fn a_proposed_order_waits_for_a_person_and_a_veto_ends_it() {
    for approve in [true, false] {
        let mut run = Run::new();
        run.step(Input::Block(block(1, 0)));
        let effects = run.step(Input::External(Box::new(finding(
            "hint",
            &block(1, 0).block,
            Stage::Provisional,
        ))));
        assert!(dispatched(&effects).is_none());
        let key = *run.engine.state().orders.keys().next().expect("an order");
        let by = "alice".to_owned();
        let command = if approve {
            Command::Approve { key, by }
        } else {
            Command::Veto { key, by, reason: "planned".into() }
        };
        assert_eq!(dispatched(&run.step(Input::Command(command))).is_some(), approve);
    }
}

#[test]
fn findings_become_final_at_the_finality_depth() {
    let mut run = Run::new();
    run.attack();
    for number in 2..=4 {
        run.step(Input::Block(block(number, 0)));
    }
    let it = run.engine.state().findings.values().next().expect("a finding");
    assert_eq!(it.finding.stage, Stage::Final);
}

fn arbitrary_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        4 => (1..12_u64, 0..2_u8).prop_map(|(number, branch)| Input::Block(block(number, branch))),
        1 => Just(Input::Tick),
        2 => (1..12_u64, 0..2_u8, prop_oneof![Just("drain"), Just("hint"), Just("unknown")], prop_oneof![Just(Stage::Pending), Just(Stage::Provisional)])
            .prop_map(|(number, branch, rule, stage)| Input::External(Box::new(finding(rule, &block(number, branch).block, stage)))),
        1 => (1..12_u64).prop_map(|from| Input::Blind { chain: CHAIN, from, because: "gone".into() }),
    ]
}

proptest! {
    #[test]
    fn restoring_from_zero_or_from_a_snapshot_is_exact(
        inputs in proptest::collection::vec(arbitrary_input(), 1..60),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut run = Run::new();
        let at = cut.index(inputs.len());
        let mut snapshot = None;
        for (index, input) in inputs.into_iter().enumerate() {
            run.step(input);
            if index == at {
                let record = run.engine.snapshot().expect("a snapshot");
                snapshot = Some((run.journal.len(), record));
            }
        }
        let zero = Engine::restore(plan(), Limits::default(), run.journal.clone()).expect("a journal");
        prop_assert_eq!(zero.state(), run.engine.state());
        let (len, record) = snapshot.expect("a snapshot");
        let head = Entry { seq: 0, at: Timestamp(0), prev: B256::ZERO, hash: B256::ZERO, record };
        let tail = std::iter::once(head).chain(run.journal[len..].iter().cloned());
        let short = Engine::restore(plan(), Limits::default(), tail).expect("a journal");
        let mut short_state = short.state().clone();
        short_state.records_since_snapshot = zero.state().records_since_snapshot;
        prop_assert_eq!(&short_state, zero.state());
    }

    #[test]
    fn an_order_is_never_dispatched_before_its_intent(inputs in proptest::collection::vec(arbitrary_input(), 1..60)) {
        let mut run = Run::new();
        let mut intended = std::collections::BTreeSet::new();
        for input in inputs {
            for effect in run.step(input) {
                match effect {
                    Effect::Record(Record::Intended { order }) => {
                        prop_assert!(intended.insert(order.key), "one intent per order");
                    }
                    Effect::Dispatch { order, .. } => prop_assert!(intended.contains(&order.key)),
                    _ => {}
                }
            }
        }
    }
}
