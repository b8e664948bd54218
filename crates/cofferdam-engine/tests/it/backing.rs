//! Bridges: what one chain issued, held against what the other locked.

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Observation, Record, Severity, Stage, Timestamp, Tx,
    read::{Answer, Reading, StateRead},
    record::Entry,
};
use cofferdam_engine::{Effect, Engine, Input, Limits};
use proptest::prelude::*;

const MAIN: ChainId = ChainId(1);
const SIDE: ChainId = ChainId(2020);
const PLAN: &str = r#"
version = 1
name = "backing"
chains = [{ id = "eip155:1", reorg-blocks-max = 4 }, { id = "eip155:2020", reorg-blocks-max = 20 }]
[[entities]]
id = "bridge"
accounts = ["eip155:1:0x00000000000000000000000000000000000000aa"]
assets = [{ token = "0x0000000000000000000000000000000000000070", symbol = "USD", decimals = 6, price = "1 usd" }]
[[rules]]
id = "r"
detector = "bridge"
[[rules.settings.backing]]
name = "USD on the side chain"
vault = "eip155:1:0x00000000000000000000000000000000000000aa"
locked = "0x0000000000000000000000000000000000000070"
issued = "eip155:2020:0x0000000000000000000000000000000000000080"
locked-decimals = 6
issued-decimals = 18
"#;

/// An engine with its journal. Every step is also made by one that was restored just before.
struct Run {
    engine: Engine,
    now: u64,
    journal: Vec<Entry>,
    heads: [(u64, B256); 2],
    amounts: [u64; 2],
    branch: u8,
}

impl Run {
    fn new() -> Self {
        let engine = Engine::new(toml::from_str(PLAN).expect("a plan"), Limits::default());
        let engine = engine.expect("rules that build");
        let (heads, amounts) = ([(0, B256::ZERO); 2], [1_000_000; 2]);
        Self { engine, now: 0, journal: vec![], heads, amounts, branch: 0 }
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

    /// The next block of `chain` at `secs`, after which so many dollars are locked or issued there.
    fn block(&mut self, chain: ChainId, secs: u64, amount: Option<u64>) -> Vec<Effect> {
        let at = usize::from(chain == SIDE);
        let (number, parent) = self.heads[at];
        let seed = format!("{chain} {number} {} {amount:?}", self.branch);
        let (number, hash, time) = (number + 1, keccak256(seed), Timestamp::from_secs(secs));
        let block = BlockRef { chain, number, hash, parent, time };
        let (read, touched, unit) = match chain {
            MAIN => {
                let holder = Address::with_last_byte(0xaa).into_word();
                let data = [&hex!("70a08231")[..], holder.as_slice()].concat();
                let to = Address::with_last_byte(0x70);
                (StateRead::Call { to, data: data.into() }, 0xaa, 6)
            }
            _ => {
                let (to, data) = (Address::with_last_byte(0x80), Bytes::from(hex!("18160ddd")));
                (StateRead::Call { to, data }, 0x80, 18)
            }
        };
        let txs = amount.map(|_| Tx {
            hash: keccak256(format!("{chain} {number} tx")),
            from: Address::with_last_byte(0xee),
            to: Some(Address::with_last_byte(touched)),
            succeeded: true,
            ..Tx::default()
        });
        let mut observation = Observation {
            block,
            env: BlockEnv::default(),
            stage: Stage::Provisional,
            witnesses: 1,
            txs: txs.into_iter().collect(),
            readings: Default::default(),
        };
        let wanted = self.engine.wanted_reads(&observation);
        assert_eq!(wanted.contains(&read), amount.is_some(), "asked when it is touched");
        if let Some(amount) = amount {
            let units = |it: u64| Answer::of(U256::from(it) * U256::from(10).pow(U256::from(unit)));
            let (before, after) = (units(self.amounts[at]), units(amount));
            observation.readings.insert(read, Reading { before, after });
            self.amounts[at] = amount;
        }
        self.heads[at] = (number, hash);
        self.step(Input::Block(observation))
    }

    fn found(&self) -> Vec<(Severity, String, String)> {
        let findings = self.engine.state().findings.values().map(|it| &it.finding);
        findings.map(|it| (it.severity, it.summary.clone(), it.loss.to_string())).collect()
    }
}

const TEXT: &str = "USD on the side chain: more is issued than is locked, 16.66 % of it";

#[test]
fn what_is_issued_past_every_message_is_found_once_both_chains_are_there() {
    let mut run = Run::new();
    run.block(MAIN, 1_000, Some(1_000_000));
    run.block(SIDE, 1_000, Some(1_000_000));
    run.block(SIDE, 1_100, Some(1_200_000));
    run.block(SIDE, 1_200, None);
    assert_eq!(
        run.found(),
        [],
        "the other chain has not been seen so far: it may have been locked"
    );
    run.block(MAIN, 1_150, None);
    assert_eq!(run.found(), [], "not for long enough");
    run.block(MAIN, 1_165, None);
    assert_eq!(run.found(), [(Severity::Critical, TEXT.into(), "$200,000".into())]);
}

#[test]
fn a_vault_that_is_drained_is_found_and_a_reorganisation_takes_it_back() {
    let mut run = Run::new();
    run.block(SIDE, 1_000, Some(1_200_000));
    run.block(MAIN, 1_000, Some(1_200_000));
    run.block(SIDE, 1_300, None);
    let before = run.heads[0];
    run.block(MAIN, 1_100, Some(1_000_000));
    run.block(MAIN, 1_200, None);
    assert_eq!(run.found().len(), 1);
    (run.heads[0], run.amounts[0]) = (before, 1_200_000);
    run.branch = 1;
    let effects = run.block(MAIN, 1_101, None);
    let reorged = |it: &Effect| matches!(it, Effect::Record(Record::Reorged { .. }));
    assert!(effects.iter().any(reorged), "{effects:?}");
    run.block(MAIN, 1_201, Some(1_200_000));
    run.block(SIDE, 1_400, None);
    run.block(MAIN, 1_400, None);
    assert_eq!(run.found().len(), 0, "covered on the branch that counts");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Who locks before he issues and takes back before he releases is never found wanting, however the chains lag.
    #[test]
    fn an_honest_bridge_is_never_found_wanting(
        steps in prop::collection::vec((any::<bool>(), any::<bool>(), 1..90_u64), 1..20),
    ) {
        let mut run = Run::new();
        let (mut secs, mut locked, mut issued) = (1_000, 1_000_000, 1_000_000);
        run.block(MAIN, secs, Some(locked));
        run.block(SIDE, secs, Some(issued));
        let mut late = vec![];
        for (deposit, lags, wait) in steps {
            secs += wait;
            let first = if deposit { locked += 50_000; (MAIN, locked) } else if issued > 50_000 { issued -= 50_000; (SIDE, issued) } else { continue };
            let second = if deposit { issued += 50_000; (SIDE, issued) } else { locked -= 50_000; (MAIN, locked) };
            let order = [(first, secs), (second, secs + 20)];
            secs += 21;
            for ((chain, amount), at) in order {
                // One chain is delivered much later than the other.
                if lags && chain == MAIN || late.iter().any(|it: &(ChainId, u64, u64)| it.0 == chain) {
                    late.push((chain, at, amount));
                } else {
                    run.block(chain, at, Some(amount));
                }
            }
            if !lags {
                for (chain, at, amount) in late.drain(..) {
                    run.block(chain, at, Some(amount));
                }
            }
            prop_assert_eq!(run.found(), vec![]);
        }
    }
}
