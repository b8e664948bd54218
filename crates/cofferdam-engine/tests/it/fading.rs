//! What is decided anew with each block: proposals whose evidence fades, and what false alarms spend.

use cofferdam_core::{Probability, Record, Stage, incident::IncidentState, order::Outcome};
use cofferdam_engine::{Command, Effect, Engine, Input, Limits};

use crate::common::{Run, block, finding, plan};

fn proposed() -> Run {
    let mut run = Run::new();
    run.step(Input::Block(block(1, 0)));
    let at = block(1, 0).block;
    run.step(Input::External(Box::new(finding("hint", &at, Stage::Provisional))));
    run
}

fn given_up(effects: &[Effect]) -> bool {
    effects.iter().any(|it| match it {
        Effect::Record(Record::Settled { outcome: Outcome::Failed { reason }, .. }) => {
            reason == "the evidence for it has faded"
        }
        _ => false,
    })
}

#[test]
fn a_proposal_is_given_up_when_the_drain_has_stopped_and_no_sooner_than_its_dwell() {
    let mut run = proposed();
    assert_eq!(run.engine.state().orders.len(), 1);
    let early: Vec<bool> =
        (2..80).map(|number| given_up(&run.step(Input::Block(block(number, 0))))).collect();
    assert!(!early.contains(&true), "the plan's dwell is ten minutes");
    let decisions = |run: &Run| {
        run.journal.iter().filter(|it| matches!(it.record, Record::Decided { .. })).count()
    };
    let before = decisions(&run);
    assert!(before < 5, "what merely fades is not recorded with each block: {before}");
    run.now += 600_000;
    assert!(given_up(&run.step(Input::Block(block(80, 0)))));
    let order = run.engine.state().orders.values().next().expect("an order");
    assert!(order.outcome.is_some());
    let again = Engine::restore(plan(), Limits::default(), run.journal.clone()).expect("a journal");
    assert_eq!(again.state(), run.engine.state());
}

#[test]
fn an_order_remembers_how_much_it_was_doubted() {
    let mut run = Run::new();
    run.attack();
    let state = run.engine.state();
    let incident = state.incidents.values().next().expect("an incident");
    let posterior = incident.ledger.as_ref().expect("a decision").posterior;
    let order = state.orders.values().next().expect("an order");
    assert_eq!(order.doubt, posterior.complement());
    assert!(order.doubt > Probability::NEVER);
    let id = incident.id;
    run.step(Input::Command(Command::Close { incident: id, by: "ada".into(), false_alarm: true }));
    assert_eq!(run.incident(), IncidentState::FalseAlarm);
}
