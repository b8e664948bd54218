//! One incident over several chains: one order for each chain.

use cofferdam_core::{BlockRef, ChainId, Finding, Observation, Record, Stage, plan::Plan};
use cofferdam_engine::{Effect, Engine, Input, Limits};

use crate::common::*;

const SECOND: ChainId = ChainId(31_338);

/// The vault on two chains, with a pause on each.
fn run() -> Run {
    let chain = "[[chains]]\nid = \"eip155:31338\"\nfinality-blocks = 3\nreorg-blocks-max = 8\n";
    let here = "eip155:31337:0x00000000000000000000000000000000000000aa";
    let there = here.replace("31337", "31338");
    let (head, action) = PLAN.split_once("[[actions]]").expect("an action");
    let other = action.replace(here, &there).replace("pause-vault", "a-pause-there");
    let accounts = format!("accounts = [\"{here}\", \"{there}\"]");
    let text = format!("{head}[[actions]]{action}[[actions]]{other}{chain}").replacen(
        &format!("accounts = [\"{here}\"]"),
        &accounts,
        1,
    );
    let plan: Plan = toml::from_str(&text).expect("a plan");
    let mut run =
        Run { engine: Engine::new(plan, Limits::default()).expect("rules"), ..Run::new() };
    for chain in [CHAIN, SECOND] {
        run.step(Input::Block(on(chain)));
    }
    run
}

fn on(chain: ChainId) -> Observation {
    let it = block(1, 0);
    Observation { block: BlockRef { chain, ..it.block }, ..it }
}

fn harm(chain: ChainId, rule: &str) -> Box<Finding> {
    Box::new(Finding {
        id: Finding::id_of(chain, rule, Default::default(), Default::default()),
        ..finding(rule, &on(chain).block, Stage::Provisional)
    })
}

/// The chains of the orders that went out in one step.
fn chains(effects: &[Effect]) -> Vec<u64> {
    let out = effects.iter().filter_map(|it| match it {
        Effect::Dispatch { order, .. } => Some(order.chain.0),
        _ => None,
    });
    out.collect()
}

#[test]
fn an_incident_of_an_entity_on_two_chains_gives_one_order_on_each_the_attacked_one_first() {
    for (attacked, other) in [(CHAIN, SECOND), (SECOND, CHAIN)] {
        let mut run = run();
        let effects = run.step(Input::External(harm(attacked, "drain")));
        assert_eq!(chains(&effects), [attacked.0, other.0]);
        let effects = run.step(Input::External(harm(other, "drain")));
        assert_eq!(chains(&effects), [0; 0], "each chain has its order");
        assert_eq!(run.engine.state().incidents.len(), 1, "one incident");
        let intended = run.journal.iter().filter(|it| matches!(it.record, Record::Intended { .. }));
        assert_eq!(intended.count(), 2);
    }
}

#[test]
fn what_nobody_may_release_alone_is_proposed_on_each_chain_and_sent_on_none() {
    let mut run = run();
    let effects = run.step(Input::External(harm(SECOND, "hint")));
    assert_eq!(chains(&effects), [0; 0]);
    let orders = run.engine.state().orders.values();
    let of: std::collections::BTreeSet<_> = orders.map(|it| it.order.chain).collect();
    assert_eq!(of, [CHAIN, SECOND].into());
}
