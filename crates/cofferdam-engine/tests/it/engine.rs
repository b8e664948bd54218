//! The engine's promises, driven through `step` alone.

use alloy_primitives::B256;
use cofferdam_core::{
    Record, Stage, Timestamp, incident::IncidentState, order::Outcome, record::Entry,
};
use cofferdam_engine::{Command, Effect, Engine, Input, Limits};
use expect_test::expect;
use proptest::prelude::*;

use crate::common::*;

#[test]
fn a_finding_becomes_an_order_whose_intent_is_recorded_first() {
    let mut run = Run::new();
    let effects = run.attack();
    expect![[r#"
        found
        incident-opened
        attached
        raised for pager channel: net outflow of 30 %
        decided
        intended
        incident-moved
        DISPATCH 1
        update for pager channel: pause-vault goes out now
        DELIVER channel raised 1
        DELIVER pager raised 1
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
    run.now += 15_000;
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
        settled
        incident-moved
        retracted for pager channel: all its findings were retracted, its block was reorganised out after block 2
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
    assert_eq!(names(&run.step(blind.clone())), "blind\n");
    run.now += 30_000;
    let told = names(&run.step(Input::Tick));
    assert!(told.starts_with("raised for pager channel: blind since block 2 on"), "{told}");
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
