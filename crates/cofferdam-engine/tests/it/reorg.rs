//! Branches: followed up to a limit, never guessed, and what they undo is undone.

use cofferdam_core::{Record, Stage, incident::IncidentState, order::Outcome};
use cofferdam_engine::{Command, Effect, Input};

use crate::common::*;

/// Blocks `from..=to` of a branch that leaves the other one above block 2.
fn feed(run: &mut Run, branch: u8, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        run.step(Input::Block(block(number, branch)));
    }
}

#[test]
fn a_longer_branch_that_begins_below_our_head_is_found_and_not_waited_for() {
    let mut run = Run::new();
    feed(&mut run, 0, 1..=5);
    // The source continues with a block whose parent we never saw.
    let effects = run.step(Input::Block(block(6, 1)));
    let [Effect::Fetch { from, .. }] = effects[..] else { panic!("{effects:?}") };
    assert_eq!(from, 2);
    feed(&mut run, 0, from..=2);
    feed(&mut run, 1, 3..=6);
    assert_eq!(run.engine.state().head(CHAIN), Some(block(6, 1).block));
}

#[test]
fn a_branch_deeper_than_the_limit_is_blind_and_pages_until_a_person_accepts_it() {
    let mut run = Run::new();
    feed(&mut run, 0, 1..=12);
    // The limit is 8: block 4 is the oldest that is known, and this branch left before it.
    let effects = run.step(Input::Block(block(5, 1)));
    assert_eq!(names(&effects), "blind\n");
    run.now += 30_000;
    let told = names(&run.step(Input::Tick));
    assert!(told.contains("a person must accept it"), "{told}");
    assert_eq!(run.engine.state().head(CHAIN), Some(block(12, 0).block), "the cursor holds");
    let accept = Command::AcceptFork { chain: CHAIN, by: "alice".into() };
    let effects = run.step(Input::Command(accept));
    let fetch = effects.iter().find_map(|it| match it {
        Effect::Fetch { from, .. } => Some(*from),
        _ => None,
    });
    assert_eq!(fetch, Some(1), "the oldest block whose hash is known");
    run.now += 2_000;
    assert_eq!(names(&run.step(Input::Block(block(6, 1)))), "FETCH 2\n", "nothing is skipped");
    // The branch begins on block 2, deeper than our oldest block that could be undone.
    feed(&mut run, 1, 3..=12);
    assert_eq!(run.engine.state().head(CHAIN), Some(block(12, 1).block));
    assert_eq!(run.engine.state().blind().count(), 0);
}

#[test]
fn an_effect_that_is_reorganised_out_is_contained_again() {
    let mut run = Run::new();
    feed(&mut run, 0, 1..=2);
    let at = block(2, 0).block;
    let effects = run.step(Input::External(Box::new(finding("drain", &at, Stage::Provisional))));
    let key = dispatched(&effects).expect("an order").key;
    run.step(Input::Dispatched { key, prepared: prepared(key), sent: vec![] });
    feed(&mut run, 0, 3..=4);
    let outcome = Outcome::Effective { tx: None, block: block(4, 0).block, gas_used: 0 };
    run.step(Input::Settled { key, outcome });
    assert_eq!(run.incident(), IncidentState::Contained);
    run.now += 10_000;
    let mut effects = run.step(Input::Block(block(4, 1)));
    if dispatched(&effects).is_none() {
        effects = run.step(Input::Block(block(3, 1)));
    }
    assert!(names(&effects).contains("reopened\n"), "{}", names(&effects));
    assert_eq!(dispatched(&effects).map(|it| it.key), Some(key));
    assert_eq!(run.incident(), IncidentState::Responding);
}

#[test]
fn a_retraction_reaches_whoever_was_told_and_nobody_else() {
    let mut run = Run::new();
    feed(&mut run, 0, 1..=3);
    let mut it = finding("hearsay", &block(3, 0).block, Stage::Provisional);
    it.severity = cofferdam_core::Severity::Medium;
    run.step(Input::External(Box::new(it)));
    let effects = run.step(Input::Block(block(3, 1)));
    let closing = effects.iter().find_map(|it| match it {
        Effect::Record(Record::Issued { alert, to }) if alert.closes() => Some(to.clone()),
        _ => None,
    });
    assert_eq!(closing, Some(vec!["channel".to_owned()]), "{}", names(&effects));
}
