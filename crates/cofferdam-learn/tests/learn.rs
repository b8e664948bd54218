//! Learning from a made-up history: what is proposed, what is turned down, and that a plan takes it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Fact, Observation, Stage, Timestamp, Tx,
    evidence::Tracing,
    plan::{self, AssetId},
    read::Readings,
    tx::{BalanceChange, CallKind, Frame},
};
use cofferdam_learn::{
    Door, Fragment, History, LearnError, Learned, Options, Settings, Subject,
    guard::{Bound, Guards, Invariant, Memory},
    learn, report, samples,
};
use expect_test::expect_file;

const DEPOSIT: [u8; 4] = hex!("b6b55f25");
const WITHDRAW: [u8; 4] = hex!("2e1a7d4d");
const HARVEST: [u8; 4] = hex!("4641257d");

fn address(it: u64) -> Address {
    Address::from_word(B256::from(U256::from(it)))
}

fn vault() -> Address {
    address(0xaa)
}

fn token() -> Address {
    address(0x70)
}

fn subject() -> Subject {
    Subject {
        entity: "vault".into(),
        accounts: vec![vault()],
        assets: vec![(AssetId::Token(token()), 3, "USD".into())],
    }
}

fn call(from: Address, to: Address, selector: [u8; 4], word: u64, depth: u16) -> Frame {
    let input = [&selector[..], &U256::from(word).to_be_bytes::<32>()[..]].concat();
    Frame {
        parent: None,
        depth,
        kind: CallKind::Call,
        from,
        to,
        value: U256::ZERO,
        input: input.into(),
        output: Bytes::new(),
        succeeded: true,
        undone: false,
    }
}

/// A transaction of these calls that moves `paid` into (above zero) or out of the vault.
fn tx(origin: u64, frames: Vec<Frame>, paid: i64, gas: u64) -> Tx {
    let (from, to) = if paid > 0 { (address(origin), vault()) } else { (vault(), address(origin)) };
    let amount = U256::from(paid.unsigned_abs());
    let balance =
        BalanceChange { address: address(origin), before: U256::from(2), after: U256::from(1) };
    let mut tx = Tx {
        from: address(origin),
        to: frames.first().map(|it| it.to),
        succeeded: true,
        gas_limit: 300_000,
        gas_used: gas,
        tracing: Tracing::Reexecuted,
        frames,
        facts: vec![Fact::Transfer { token: token(), from, to, amount }],
        ..Tx::default()
    };
    tx.diff.balances.push(balance);
    tx
}

fn block(number: u64, txs: Vec<Tx>) -> Observation {
    let hash = |it: u64| B256::from(U256::from(it));
    Observation {
        block: BlockRef {
            chain: ChainId(1),
            number,
            hash: hash(number),
            parent: hash(number - 1),
            time: Timestamp::from_secs(1_700_000_000 + 12 * number),
        },
        env: BlockEnv::default(),
        stage: Stage::Provisional,
        witnesses: 1,
        txs,
        readings: Readings::default(),
    }
}

/// Customers pay in and out, a keeper harvests, and a router pays out and in again in a loop.
fn ordinary(number: u64) -> Observation {
    let size = 1_000 + number * 7_919 % 500;
    let customer = 0x100 + number % 23;
    let mut txs = vec![tx(
        customer,
        vec![call(address(customer), vault(), DEPOSIT, size, 0)],
        size as i64,
        90_000 + size,
    )];
    if number.is_multiple_of(2) {
        let frames = vec![call(address(customer + 50), vault(), WITHDRAW, size / 2, 0)];
        txs.push(tx(customer + 50, frames, -(size as i64) / 2, 70_000 + size));
    }
    if number.is_multiple_of(3) {
        txs.push(tx(0x11, vec![call(address(0x11), vault(), HARVEST, 0, 0)], 5, 50_000));
    }
    if number.is_multiple_of(4) {
        let router = address(0xcc);
        let mut frames = vec![call(address(customer), router, HARVEST, 0, 0)];
        for _ in 0..1 + number % 5 {
            frames.push(call(router, vault(), WITHDRAW, 400, 1));
            frames.push(call(router, vault(), DEPOSIT, 900, 1));
        }
        txs.push(tx(customer, frames, 500, 200_000));
    }
    block(number, txs)
}

fn options() -> Options {
    Options { now: 1_700_100_000, ..Options::default() }
}

fn learned_from(blocks: impl Iterator<Item = Observation>) -> Learned {
    let mut history = History::new(subject());
    blocks.for_each(|it| history.see(&it));
    learn(history, &options()).unwrap()
}

fn snapshot(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name)
}

/// The plan of [`subject`] with `text` at its end.
fn plan_with(text: &str) -> String {
    format!(
        "version = 1\nname = \"x\"\nchains = [{{ id = \"eip155:1\" }}]\n\
         entities = [{{ id = \"vault\", accounts = [\"eip155:1:{:#x}\"], assets = [{{ token = \"{:#x}\", symbol = \"USD\", decimals = 3, price = \"1 usd\" }}] }}]\n{text}",
        vault(),
        token(),
    )
}

#[test]
fn a_fragment_is_readable_and_a_plan_takes_it_as_it_is() {
    let learned = learned_from((1..=400).map(ordinary));
    let fragment = Fragment::new(vec![learned.clone()]);
    let toml = fragment.toml(&options());
    expect_file![snapshot("fragment.toml")].assert_eq(&toml);
    expect_file![snapshot("report.txt")].assert_eq(&report(&fragment));
    let plan = plan::parse(&plan_with(&toml), "plan.toml").unwrap_or_else(|it| panic!("{it}"));
    let rule = plan.rule("learned-vault").unwrap();
    assert_eq!(rule.mode, plan::Mode::Shadow);
    let settings: Settings = toml::Value::Table(rule.settings.clone()).try_into().unwrap();
    assert_eq!(settings, learned.settings, "what is read is what was learned");
    let promoted = toml.replace("mode = \"shadow\"", "mode = \"automatic\"");
    let refused = plan::parse(&plan_with(&promoted), "plan.toml").unwrap_err().to_string();
    assert!(refused.contains("only once it is promoted"), "{refused}");
}

#[test]
fn the_same_history_in_any_order_gives_the_same_text() {
    let forward = learned_from((1..=200).map(ordinary));
    let backward = learned_from((1..=200).rev().map(ordinary));
    assert_eq!(forward, backward);
}

#[test]
fn an_ordinary_day_after_the_history_breaks_nothing_and_a_theft_does() {
    let learned = learned_from((1..=400).map(ordinary));
    let guards = Guards::new(learned.settings.guards.clone()).unwrap();
    let paths = learned.settings.paths.clone().unwrap();
    let mut memory = Memory::default();
    for number in 401..=460 {
        memory.begin_block();
        for sample in samples(&subject(), &ordinary(number)).0 {
            let breaches = guards.breaches(&sample, &mut memory);
            assert!(breaches.is_empty(), "{number}: {breaches:?}");
            assert_eq!(paths.check(&sample.path), Ok(()));
        }
    }
    let thief = address(0xbad);
    let theft = tx(
        0xbad,
        vec![
            call(address(0xbad), thief, DEPOSIT, 0, 0),
            call(thief, vault(), HARVEST, 0, 1),
            call(vault(), thief, DEPOSIT, 0, 2),
            call(thief, vault(), WITHDRAW, 900_000, 3),
        ],
        -900_000,
        2_000_000,
    );
    memory.begin_block();
    let sample = samples(&subject(), &block(500, vec![theft])).0.remove(0);
    let broken: Vec<Invariant> =
        guards.breaches(&sample, &mut memory).iter().map(|it| it.guard.invariant).collect();
    for expected in [
        Invariant::SenderOwner,
        Invariant::NonReentrant,
        Invariant::GasUsed,
        Invariant::DataFlowUpper,
        Invariant::TokenOut,
    ] {
        assert!(broken.contains(&expected), "{expected:?} is not in {broken:?}");
    }
    assert!(paths.check(&sample.path).is_err());
}

#[test]
fn how_often_a_loop_ran_does_not_make_a_path_new() {
    let learned = learned_from((1..=400).map(ordinary));
    let known = &learned.settings.paths.unwrap().known;
    assert_eq!(known.len(), 1, "{known:?}");
    let door = |it| Door::new(vault(), Some(it));
    assert_eq!(known[0], format!("{} ; {}", door(WITHDRAW), door(DEPOSIT)));
}

#[test]
fn what_moves_later_is_turned_down_and_never_learned_from_the_hold_out() {
    let growing = |number: u64| {
        let size = 1_000 + 100 * number;
        let customer = 0x100 + number % 23;
        let frames = vec![call(address(customer), vault(), DEPOSIT, size, 0)];
        block(number, vec![tx(customer, frames, size as i64, 90_000)])
    };
    let learned = learned_from((1..=200).map(growing));
    let has = |invariant| learned.settings.guards.iter().any(|it| it.invariant == invariant);
    assert!(!has(Invariant::TokenIn) && !has(Invariant::DataFlowUpper));
    let why = learned.rejected.iter().find(|it| it.guard == "token-in").unwrap();
    assert!(why.why.contains("on the hold-out break it"), "{}", why.why);
    let gas = learned.settings.guards.iter().find(|it| it.invariant == Invariant::GasUsed).unwrap();
    assert_eq!(gas.bound, Bound::AtMost(U256::from(108_000)));
    assert_eq!((gas.proof.support, gas.proof.held_out), (140, 60));
    assert!(gas.proof.false_alarms_ppm > 3_000_000 / 62, "the rule of three, never less");
}

#[test]
fn a_call_tree_that_is_no_evidence_teaches_nothing_and_is_counted() {
    let mut history = History::new(subject());
    for number in 1..=50 {
        let mut block = ordinary(number);
        if number > 40 {
            let incomplete = Tracing::Incomplete { missing: Vec::new(), count: 1 };
            block.txs.iter_mut().for_each(|it| it.tracing = incomplete.clone());
        }
        history.see(&block);
    }
    let learned = learn(history, &options()).unwrap();
    assert_eq!(learned.blocks, (28, 12));
    assert!(learned.unseen >= 10);
}

#[test]
fn too_little_history_is_an_error() {
    let mut history = History::new(subject());
    (1..=3).for_each(|it| history.see(&ordinary(it)));
    let error = learn(history.clone(), &options()).unwrap_err();
    assert!(matches!(error, LearnError::TooShort { got: 3, .. }));
    history.see(&ordinary(4));
    let none = Options { holdout_ppm: 1, ..options() };
    assert_eq!(learn(history, &none).unwrap_err(), LearnError::Holdout(1));
}
