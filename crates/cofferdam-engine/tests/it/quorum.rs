//! Who must vouch, who must agree, and what an order rests on when it goes out.

use alloy_primitives::{Address, B256};
use cofferdam_core::{OrderKey, Stage, plan::Plan};
use cofferdam_engine::{Command, Effect, Engine, Input, Limits, schedule};

use crate::common::*;

/// As the usual plan, but what it does lasts, and two endpoints must vouch for its reasons.
fn lasting() -> Plan {
    let mut plan = plan();
    plan.chains[0].witnesses_min = Some(2);
    if let cofferdam_core::plan::ActionCall::Direct { function, .. } = &mut plan.actions[0].call {
        *function = cofferdam_core::plan::ContainmentFunction::Pause;
    }
    plan
}

fn run(plan: Plan) -> Run {
    Run { engine: Engine::new(plan, Limits::default()).expect("rules"), ..Run::new() }
}

fn key(run: &Run) -> OrderKey {
    *run.engine.state().orders.keys().next().expect("an order")
}

#[test]
fn what_lasts_waits_for_a_second_endpoint_and_says_so_once() {
    let mut run = run(lasting());
    let effects = run.attack();
    assert!(dispatched(&effects).is_none());
    assert!(names(&effects).contains("held\nupdate for pager channel"), "{}", names(&effects));
    assert!(names(&effects).contains("block 1 is vouched for by 1 of 2 endpoints"));
    assert_eq!(names(&run.step(Input::Tick)), "", "told once");
    let mut again = block(1, 0);
    again.witnesses = 2;
    assert!(dispatched(&run.step(Input::Block(again))).is_some());
}

#[test]
fn endpoints_that_agree_later_release_what_waits() {
    let mut run = run(lasting());
    run.attack();
    let witnessed = Input::Witnessed { block: block(1, 0).block, witnesses: 2 };
    assert!(dispatched(&run.step(witnessed)).is_some());
}

#[test]
fn a_replacement_is_kept_once_and_a_lost_authority_is_told_until_it_is_back() {
    let mut run = Run::new();
    let key = dispatched(&run.attack()).expect("an order").key;
    let sent = cofferdam_core::order::Sent {
        relayer: cofferdam_core::AccountId { chain: CHAIN, address: Address::repeat_byte(7) },
        nonce: 3,
        tx: B256::repeat_byte(8),
        max_fee_per_gas: 10,
        max_priority_fee_per_gas: 2,
    };
    let replaced = Input::Replaced { key, sent: vec![sent] };
    assert_eq!(names(&run.step(replaced.clone())), "replaced\n");
    assert_eq!(names(&run.step(replaced)), "");
    let lost = |because: &[&str]| Input::Readiness {
        action: "pause-vault".into(),
        because: because.iter().map(|it| (*it).to_owned()).collect(),
    };
    assert_eq!(names(&run.step(lost(&[]))), "", "it was never in doubt");
    let told = names(&run.step(lost(&["relayer is not funded"])));
    assert!(told.contains("raised for pager channel: relayer is not funded"), "{told}");
    assert_eq!(names(&run.step(lost(&["relayer is not funded"]))), "");
    let told = names(&run.step(lost(&[])));
    assert!(told.contains("pause-vault would work again"), "{told}");
}

#[test]
fn what_expires_by_itself_goes_on_the_word_of_one_endpoint() {
    let mut plan = plan();
    plan.chains[0].witnesses_min = Some(2);
    let mut run = run(plan);
    let effects = run.attack();
    let order = dispatched(&effects).expect("an order");
    assert!(order.self_expiring);
    let schedule = schedule(effects.clone());
    assert_eq!((schedule.hot.len(), schedule.cold.len()), (1, 0));
}

#[test]
fn what_lasts_is_dispatched_after_its_records_are_durable() {
    let mut plan = lasting();
    plan.chains[0].witnesses_min = Some(1);
    let effects = run(plan).attack();
    let schedule = schedule(effects);
    assert_eq!((schedule.hot.len(), schedule.cold.len()), (0, 1));
    assert!(!schedule.records.is_empty() && !schedule.deliveries.is_empty());
}

#[test]
fn an_approval_is_durable_before_what_it_released_goes_out() {
    let mut run = Run::new();
    run.step(Input::Block(block(1, 0)));
    let at = block(1, 0).block;
    run.step(Input::External(Box::new(finding("hint", &at, Stage::Provisional))));
    let approve = Command::Approve { key: key(&run), by: "alice".into() };
    let schedule = schedule(run.step(Input::Command(approve)));
    assert_eq!((schedule.hot.len(), schedule.cold.len()), (0, 1));
}

#[test]
fn two_approvals_mean_two_people() {
    let mut plan = plan();
    plan.actions[0].approvals = 2;
    let mut run = run(plan);
    run.step(Input::Block(block(1, 0)));
    let at = block(1, 0).block;
    run.step(Input::External(Box::new(finding("hint", &at, Stage::Provisional))));
    let key = key(&run);
    let mut approve =
        |by: &str| run.step(Input::Command(Command::Approve { key, by: by.to_owned() }));
    assert!(dispatched(&approve("alice")).is_none());
    assert_eq!(names(&approve("alice")), "", "once is once");
    assert!(dispatched(&approve("bob")).is_some());
}

#[test]
fn an_order_whose_action_left_the_plan_does_not_go_out() {
    let mut run = Run::new();
    run.attack();
    let mut smaller = plan();
    smaller.actions.clear();
    run.engine =
        Engine::restore(smaller, Limits::default(), run.journal.clone()).expect("a journal");
    let effects = run.step(Input::Tick);
    assert!(dispatched(&effects).is_none());
    assert!(names(&effects).contains("its action is no longer in the plan"));
}

#[test]
fn an_order_does_not_outlive_the_stage_of_its_reasons() {
    let mut plan = plan();
    plan.actions[0].autonomy =
        cofferdam_core::plan::Autonomy::Veto { window: "2m".parse().expect("a duration") };
    let mut run = run(plan);
    for number in 1..=3 {
        run.step(Input::Block(block(number, 0)));
    }
    let mined = finding("drain", &block(3, 0).block, Stage::Provisional);
    run.step(Input::External(Box::new(mined)));
    let mut seen = finding("drain", &block(3, 0).block, Stage::Pending);
    seen.id = cofferdam_core::FindingId::derive(&[b"other"]);
    run.step(Input::External(Box::new(seen)));
    run.step(Input::Block(block(3, 1)));
    run.now += 120_000;
    let effects = run.step(Input::Tick);
    assert!(dispatched(&effects).is_none());
    assert!(names(&effects).contains("it waits for stage provisional"), "{}", names(&effects));
}

#[test]
fn a_veto_that_comes_too_late_is_said_to_be() {
    let mut run = Run::new();
    run.attack();
    let (by, reason) = ("bob".to_owned(), "no".to_owned());
    let veto = Input::Command(Command::Veto { key: key(&run), by, reason });
    assert!(names(&run.step(veto)).contains("too late"));
}

#[test]
fn the_same_evidence_gives_the_same_order_whenever_it_is_seen() {
    let keys: Vec<OrderKey> = [0, 7_000]
        .into_iter()
        .map(|later| {
            let mut run = Run::new();
            run.now += later;
            run.attack();
            key(&run)
        })
        .collect();
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn an_order_that_came_to_nothing_is_ordered_again_by_a_person_and_not_for_ever() {
    let mut run = Run::new();
    run.attack();
    for number in 1..=3 {
        let open = run.engine.state().orders.values().find(|it| it.outcome.is_none());
        let open = open.expect("an order").order.clone();
        assert_eq!(number == 1, open.autonomy == cofferdam_core::plan::Autonomy::Act);
        let (key, prepared) = (open.key, prepared(open.key));
        run.step(Input::Dispatched { key, prepared, sent: vec![] });
        let outcome = cofferdam_core::order::Outcome::Failed { reason: "reverted".into() };
        let told = names(&run.step(Input::Settled { key: open.key, outcome }));
        assert_eq!(number == 3, told.contains("does not contain it"), "{told}");
    }
    assert!(run.engine.state().orders.values().all(|it| it.outcome.is_some()));
    let effects = run.step(Input::Tick);
    assert!(!effects.iter().any(|it| matches!(it, Effect::Dispatch { .. })));
}
