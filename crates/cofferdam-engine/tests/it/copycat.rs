//! Copycats: what is learnt from an attack on one chain is known on every other, as long as it matters.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Fact, Observation, Record, Stage, Timestamp, Tx,
    evidence::Tracing,
    record::Entry,
    tx::{CallKind, Frame},
};
use cofferdam_engine::{Command, Effect, Engine, Input, Limits};

const PLAN: &str = r#"
version = 1
name = "forks"
chains = [{ id = "eip155:1" }, { id = "eip155:56" }]
[[entities]]
id = "vault"
accounts = [
    "eip155:1:0x00000000000000000000000000000000000000aa",
    "eip155:56:0x00000000000000000000000000000000000000ab",
]
assets = [{ token = "0x0000000000000000000000000000000000000070", symbol = "USD", decimals = 0, price = "1 usd" }]
[[rules]]
id = "drain"
detector = "outflow"
[[rules]]
id = "copy"
detector = "copycat"
"#;

/// A block of `chain` whose transaction calls `victim` in the manner of the attack and takes `amount`.
fn attack(chain: u64, number: u64, victim: u8, amount: u64) -> Observation {
    let account = Address::with_last_byte;
    let attacker = account(victim.wrapping_add(0x40));
    let call = |at: u8| Frame {
        parent: None,
        depth: 1,
        kind: CallKind::Call,
        from: attacker,
        to: account(victim),
        value: U256::ZERO,
        input: Bytes::from(vec![at, at, at, at, victim]),
        output: Bytes::new(),
        succeeded: true,
        undone: false,
    };
    let (token, from, to) = (account(0x70), account(victim), attacker);
    let transfer = Fact::Transfer { token, from, to, amount: U256::from(amount) };
    let tx = Tx {
        hash: keccak256(format!("{chain} {number}")),
        from: account(0xee),
        to: Some(attacker),
        succeeded: true,
        tracing: Tracing::Reexecuted,
        frames: (0..20).map(call).collect(),
        facts: if amount > 0 { vec![transfer] } else { vec![] },
        ..Tx::default()
    };
    let hash = |number: u64| B256::from(U256::from(chain * 1_000 + number));
    let block = BlockRef {
        chain: ChainId(chain),
        number,
        hash: hash(number),
        parent: hash(number - 1),
        time: Timestamp::from_secs(number * 12),
    };
    Observation {
        block,
        env: BlockEnv::default(),
        stage: Stage::Provisional,
        witnesses: 1,
        txs: vec![tx],
        readings: Default::default(),
    }
}

#[test]
fn an_attack_on_one_chain_is_recognised_on_another_until_its_incident_is_closed() {
    let mut engine =
        Engine::new(toml::from_str(PLAN).expect("a plan"), Limits::default()).expect("rules");
    let mut journal: Vec<Entry> = Vec::new();
    let mut step = |engine: &mut Engine, secs: u64, input: Input| {
        let at = Timestamp::from_secs(secs);
        let mut found = Vec::new();
        for effect in engine.step(at, input) {
            let Effect::Record(record) = effect else { continue };
            if let Record::Found { finding } = &record {
                found.push(format!("{} {}", finding.severity, finding.detector));
            }
            let (seq, prev, hash) = (journal.len() as u64, B256::ZERO, B256::ZERO);
            journal.push(Entry { seq, at, prev, hash, record });
        }
        let plan = engine.plan().clone();
        *engine = Engine::restore(plan, Limits::default(), journal.clone()).expect("a journal");
        found
    };
    let before = step(&mut engine, 12, Input::Block(attack(56, 1, 0xab, 0)));
    assert_eq!(before, Vec::<String>::new(), "nothing was learnt yet");
    let first = step(&mut engine, 24, Input::Block(attack(1, 1, 0xaa, 2_000_000)));
    assert!(first.iter().any(|it| it.ends_with("outflow")), "{first:?}");
    let copied = step(&mut engine, 36, Input::Block(attack(56, 2, 0xab, 0)));
    assert_eq!(copied, ["critical copycat"], "known after a restart, on another chain");
    let open: Vec<_> = engine.state().incidents.keys().copied().collect();
    for incident in open {
        let close = Command::Close { incident, by: "alice".into(), false_alarm: false };
        step(&mut engine, 48, Input::Command(close));
    }
    let later = step(&mut engine, 60, Input::Block(attack(56, 3, 0xab, 0)));
    assert_eq!(later, Vec::<String>::new(), "the incident is over");
}
