//! Orders that are out follow the attacker's bid.

use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256, address, b256};
use cofferdam_core::{
    Observation, Stage, Tx,
    plan::Plan,
    read::{Answer, Reading},
};
use cofferdam_engine::{Engine, Input, Limits};

use crate::common::*;

/// `Transfer(address,address,uint256)`.
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
const TOKEN: Address = Address::repeat_byte(0x70);
const VAULT: Address = address!("00000000000000000000000000000000000000aa");
const THIEF: Address = Address::repeat_byte(0xee);
const RULE: &str = r#"
[[rules]]
id = "outflow"
detector = "outflow"
entities = ["vault"]
mode = "automatic"
"#;

/// A run whose vault has an asset and a rule that sees it leave.
fn run() -> Run {
    let asset = format!(
        r#"assets = [{{ token = "{TOKEN}", symbol = "T", decimals = 0, price = "1 usd" }}]
value-at-risk"#
    );
    let text = PLAN.replacen("value-at-risk", &asset, 1) + RULE;
    let plan: Plan = toml::from_str(&text).expect("a plan");
    Run { engine: Engine::new(plan, Limits::default()).expect("rules"), ..Run::new() }
}

/// The vault's tokens on their way to a thief who bids `tip`.
fn theft(run: &Run, tip: u128) -> Observation {
    let topics = vec![TRANSFER, B256::from(VAULT.into_word()), B256::from(THIEF.into_word())];
    let word = |it: u64| Bytes::from(U256::from(it).to_be_bytes::<32>().to_vec());
    let log = Log { address: TOKEN, data: LogData::new_unchecked(topics, word(400_000)) };
    let tx = Tx {
        hash: B256::repeat_byte(u8::try_from(tip).expect("a small tip")),
        from: THIEF,
        to: Some(VAULT),
        succeeded: true,
        logs: vec![log],
        max_priority_fee_per_gas: tip,
        max_fee_per_gas: tip * 2,
        ..Tx::default()
    };
    let mut it = Observation { stage: Stage::Pending, txs: vec![tx], ..block(1, 0) };
    it.decode_facts();
    for read in run.engine.wanted_reads(&it) {
        let answer = |it| Answer::Bytes(word(it));
        it.readings.insert(read, Reading { before: answer(1_000_000), after: answer(600_000) });
    }
    it
}

fn outbids(run: &mut Run, tip: u128) -> Vec<String> {
    let theft = theft(run, tip);
    let effects = names(&run.step(Input::Pending(theft)));
    effects.lines().filter(|it| it.starts_with("OUTBID")).map(str::to_owned).collect()
}

#[test]
fn what_is_out_follows_an_attacker_who_bids_more() {
    let mut run = run();
    assert_eq!(outbids(&mut run, 9), [""; 0], "nothing is out");
    let key = dispatched(&run.attack()).expect("an order").key;
    run.step(Input::Dispatched { key, prepared: prepared(key), sent: vec![] });
    assert_eq!(outbids(&mut run, 50), ["OUTBID 50"]);
    assert_eq!(outbids(&mut run, 50), [""; 0], "the same transaction is no news");
    assert_eq!(outbids(&mut run, 90), ["OUTBID 90"]);
    let outcome = cofferdam_core::order::Outcome::Failed { reason: "given up".into() };
    run.step(Input::Settled { key, outcome });
    assert_eq!(outbids(&mut run, 99), [""; 0], "what is over follows nobody");
}

#[test]
fn harm_in_another_context_names_the_context() {
    let contexts = |elsewhere: bool| {
        let mut run = run();
        run.step(Input::Block(block(1, 0)));
        let observation = theft(&run, 5);
        let context = "block 3 by somebody else".to_owned();
        run.step(match elsewhere {
            true => Input::PendingElsewhere { observation, context },
            false => Input::Pending(observation),
        });
        let findings: Vec<_> = run.engine.state().findings.values().collect();
        assert!(
            !findings.is_empty() && findings.iter().all(|it| it.finding.stage == Stage::Pending)
        );
        let evidence = findings.iter().flat_map(|it| &it.finding.evidence);
        evidence.filter(|it| it.label == "context").map(|it| it.value.clone()).next()
    };
    assert_eq!(contexts(true).as_deref(), Some("block 3 by somebody else"));
    assert_eq!(contexts(false), None);
}
