//! Pending transactions through desk, tasks and a real engine, on hand-written contracts.
#![expect(clippy::expect_used, reason = "a test may panic")]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Class, Finding, Observation, Record, Stage, Timestamp, Tx,
    plan::Plan, ports::StateSource, read::Readings, snapshot::Snapshot,
};
use cofferdam_engine::{Effect, Engine, Input, Limits};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{Bench, Desk, Tally, Watched, start};
use crate::runtime::feed::{Fed, Tip};

const CHAIN: ChainId = ChainId(31_337);
const VAULT: Address = Address::repeat_byte(0xaa);
const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);
const CONTRACT: Address = Address::repeat_byte(0xec);
const BUILDER: Address = Address::repeat_byte(0xb1);
const OTHER_BUILDER: Address = Address::repeat_byte(0xb2);
/// Sends all it has to the sender of the transaction.
const VAULT_CODE: [u8; 9] = hex!("5f5f5f5f47325af100");
/// How long anything may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

const PLAN: &str = r#"
version = 1
name = "Example"
[[chains]]
id = "eip155:31337"
[[entities]]
id = "vault"
accounts = ["eip155:31337:0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
assets = [{ token = "native", symbol = "ETH", decimals = 18, price = "1000 usd" }]
[[rules]]
id = "outflow"
detector = "outflow"
[[rules]]
id = "probing"
detector = "probing"
"#;

/// Code that calls the vault.
fn call_vault() -> Vec<u8> {
    [&hex!("5f5f5f5f5f73")[..], VAULT.as_slice(), &hex!("5af150")].concat()
}

/// Remembers a call with calldata; drains the vault at one without, if it remembers.
fn armed() -> Vec<u8> {
    [&hex!("36602a575f5415602857")[..], &call_vault(), &hex!("005b005b60015f5500")].concat()
}

/// Drains the vault in the blocks of one builder only.
fn gated(builder: Address) -> Vec<u8> {
    let ask = [&hex!("4173")[..], builder.as_slice(), &hex!("14601b57005b")].concat();
    [&ask[..], &call_vault(), &[0x00]].concat()
}

/// Calls the vault and takes it back.
fn rehearsing() -> Vec<u8> {
    [&call_vault()[..], &hex!("5f5ffd")].concat()
}

fn block(number: u64) -> BlockRef {
    let hash = |it: u64| B256::from(U256::from(it + 1_000));
    let time = Timestamp::from_secs(1_700_000_000 + number * 12);
    BlockRef { chain: CHAIN, number, hash: hash(number), parent: hash(number - 1), time }
}

fn env(beneficiary: Address) -> BlockEnv {
    let prev_randao = Some(B256::ZERO);
    BlockEnv { beneficiary, gas_limit: 30_000_000, base_fee: 7, prev_randao, ..BlockEnv::default() }
}

fn tx(from: Address, to: Address, nonce: u64, input: &[u8]) -> Tx {
    let hash = B256::from(U256::from_be_slice(&[from[0], to[0], nonce as u8, input.len() as u8]));
    Tx {
        hash,
        from,
        to: Some(to),
        nonce,
        input: Bytes::copy_from_slice(input),
        gas_limit: 500_000,
        max_fee_per_gas: 100,
        max_priority_fee_per_gas: 1,
        ..Tx::default()
    }
}

struct Scene {
    desk: Arc<Desk>,
    engine: Engine,
    head: watch::Sender<Option<Tip>>,
    fed: mpsc::Receiver<Fed>,
    state: Arc<Mutex<Snapshot>>,
    _tasks: JoinSet<()>,
}

/// What one pending observation led to.
struct Seen {
    observation: Observation,
    context: Option<String>,
    findings: Vec<Finding>,
}

impl Seen {
    fn harm(&self) -> bool {
        self.findings.iter().any(|it| it.class == Class::Damage)
    }
}

impl Scene {
    fn new(contract: Vec<u8>, budget_ms: u64) -> Self {
        let mut state = Snapshot::empty();
        let eth = U256::from(10).pow(U256::from(18));
        state.add_fresh(ALICE, eth, Bytes::new());
        state.add_fresh(BOB, eth, Bytes::new());
        state.add_fresh(VAULT, eth * U256::from(1_000), Bytes::from_static(&VAULT_CODE));
        state.add_fresh(CONTRACT, U256::ZERO, contract.into());
        let state = Arc::new(Mutex::new(state));
        let plan: Plan = toml::from_str(PLAN).expect("a plan");
        let engine = Engine::new(plan, Limits::default()).expect("rules");
        let watched = Watched::new([VAULT], engine.watched_accounts(CHAIN));
        let desk = Arc::new(Desk::new(watched, 12, Tally::new(budget_ms)));
        let (head, seen) = watch::channel(None);
        let (out, fed) = mpsc::channel(16);
        let shared = state.clone();
        let states = Arc::new(move |_| {
            Arc::new(shared.lock().expect("no panic").clone()) as Arc<dyn StateSource>
        });
        let mut tasks = JoinSet::new();
        start(&mut tasks, &Bench { desk: desk.clone(), states, head: seen, out });
        let mut scene = Self { desk, engine, head, fed, state, _tasks: tasks };
        scene.desk.on_head(&env(OTHER_BUILDER));
        scene.block(1, OTHER_BUILDER);
        scene.block(2, BUILDER);
        scene
    }

    fn block(&mut self, number: u64, builder: Address) {
        let (block, env) = (block(number), env(builder));
        let observation = Observation {
            block,
            env: env.clone(),
            stage: Stage::Provisional,
            witnesses: 1,
            txs: vec![],
            readings: Readings::default(),
        };
        self.engine.step(block.time, Input::Block(observation));
        self.head.send_replace(Some(Tip { block, env }));
    }

    fn arrive(&self, tx: Tx) {
        assert_eq!(self.desk.arrive(tx, Instant::now()), 0);
    }

    /// The next observation, as the loop would take it.
    async fn next(&mut self) -> Seen {
        loop {
            let fed = tokio::time::timeout(PATIENCE, self.fed.recv()).await;
            match fed.expect("something is told in time").expect("the tasks live") {
                Fed::Wanted { observation, reply } => {
                    let wanted = self.engine.wanted_reads(&observation);
                    reply.send((observation, wanted)).expect("somebody asked");
                }
                Fed::Pending { observation, context, harm, .. } => {
                    return self.take(*observation, context, harm);
                }
                Fed::Input { input, .. } => panic!("{input:?}"),
            }
        }
    }

    fn take(
        &mut self,
        observation: Observation,
        context: Option<String>,
        harm: tokio::sync::oneshot::Sender<bool>,
    ) -> Seen {
        let input = match context.clone() {
            None => Input::Pending(observation.clone()),
            Some(context) => Input::PendingElsewhere { observation: observation.clone(), context },
        };
        let effects = self.engine.step(observation.block.time, input);
        let findings = effects.into_iter().filter_map(|it| match it {
            Effect::Record(Record::Found { finding }) => Some(finding),
            _ => None,
        });
        let seen = Seen { findings: findings.collect(), observation, context };
        let _ = harm.send(seen.harm());
        seen
    }

    /// Whether everything that was told of was dealt with, and nothing more came of it.
    async fn settles(&mut self, done: impl Fn(&super::PendingCounts) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(&self.desk.tally().read()) {
            assert!(Instant::now() < end, "{:?}", self.desk.tally().read());
            tokio::task::yield_now().await;
        }
        assert!(self.fed.try_recv().is_err(), "nothing is told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attack_is_told_at_once_and_a_payment_is_not_even_simulated() {
    let mut scene = Scene::new(vec![], 60_000);
    scene.arrive(tx(BOB, Address::repeat_byte(0x0d), 0, &[]));
    scene.settles(|it| it.skipped == 1).await;
    scene.arrive(tx(ALICE, VAULT, 0, &[]));
    let seen = scene.next().await;
    assert!(seen.harm() && seen.context.is_none(), "{:?}", seen.findings);
    assert!(seen.findings.iter().all(|it| it.stage == Stage::Pending && it.block == block(2)));
    let counts = scene.desk.tally().read();
    assert_eq!((counts.seen, counts.simulated, counts.skipped), (2, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attack_in_two_steps_is_simulated_on_its_first_step() {
    let mut scene = Scene::new(armed(), 60_000);
    scene.arrive(tx(ALICE, CONTRACT, 1, &[]));
    scene.settles(|it| it.not_includable == 1).await;
    scene.arrive(tx(ALICE, CONTRACT, 0, &[1]));
    let mut harmful = Vec::new();
    while harmful.is_empty() {
        let seen = scene.next().await;
        harmful.extend(seen.harm().then_some(seen));
    }
    let nonces: Vec<u64> = harmful[0].observation.txs.iter().map(|it| it.nonce).collect();
    assert_eq!(nonces, [0, 1]);
    // Without its first step it does nothing.
    let mut alone = Scene::new(armed(), 60_000);
    alone.arrive(tx(ALICE, CONTRACT, 0, &[]));
    for context in [false, true] {
        let seen = alone.next().await;
        assert!(!seen.harm() && seen.context.is_some() == context);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_bites_in_the_blocks_of_another_builder_is_seen_elsewhere() {
    let mut scene = Scene::new(gated(OTHER_BUILDER), 60_000);
    scene.arrive(tx(ALICE, CONTRACT, 0, &[]));
    let first = scene.next().await;
    assert!(!first.harm() && first.context.is_none());
    let second = scene.next().await;
    assert!(second.harm(), "{:?}", second.findings);
    let evidence = second.findings.iter().flat_map(|it| &it.evidence);
    let context: Vec<_> = evidence.filter(|it| it.label == "context").collect();
    assert!(context.iter().any(|it| it.value.contains(&OTHER_BUILDER.to_string())), "{context:?}");
    // What does harm in the next block needs no second look.
    let mut plain = Scene::new(gated(BUILDER), 60_000);
    plain.arrive(tx(ALICE, CONTRACT, 0, &[]));
    assert!(plain.next().await.harm());
    plain.settles(|it| it.simulated == 1 && it.elsewhere == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_repeat_are_a_finding_and_are_tried_again_at_the_next_head() {
    let mut scene = Scene::new(rehearsing(), 60_000);
    let probing = |seen: &Seen| seen.findings.iter().any(|it| it.detector == "probing");
    scene.arrive(tx(ALICE, CONTRACT, 0, &[]));
    let once = scene.next().await;
    assert!(!probing(&once), "once is nothing");
    assert!(scene.next().await.context.is_some());
    scene.arrive(tx(BOB, CONTRACT, 0, &[]));
    let twice = scene.next().await;
    assert!(probing(&twice), "{:?}", twice.findings);
    assert_eq!(twice.observation.txs.len(), 2, "the earlier failure is part of it");
    assert!(scene.next().await.context.is_some());
    // On the next head it does not fail any more.
    let code = [&call_vault()[..], &[0x00]].concat();
    scene.state.lock().expect("no panic").account_mut(CONTRACT).state.code = code.into();
    scene.block(3, BUILDER);
    let again = scene.next().await;
    assert!(again.harm(), "{:?} {:?} {:?}", again.findings, again.context, again.observation);
    assert!(scene.desk.tally().read().again >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_leaves_out_the_rest_but_never_what_touches_the_vault() {
    let mut scene = Scene::new(armed(), 0);
    scene.arrive(tx(BOB, CONTRACT, 0, &[1]));
    scene.settles(|it| it.over_budget == 1).await;
    assert!(scene.desk.tally().read().degraded().is_some());
    scene.arrive(tx(ALICE, VAULT, 0, &[]));
    assert!(scene.next().await.harm());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_included_is_not_believed_until_it_can() {
    let mut scene = Scene::new(vec![], 60_000);
    let cheap = Tx { max_fee_per_gas: 6, ..tx(ALICE, VAULT, 0, &[]) };
    scene.arrive(cheap);
    scene.settles(|it| it.not_includable == 1).await;
    let (block, env) = (block(3), BlockEnv { base_fee: 5, ..env(BUILDER) });
    let observation = Observation {
        block,
        env: env.clone(),
        stage: Stage::Provisional,
        witnesses: 1,
        txs: vec![],
        readings: Readings::default(),
    };
    scene.engine.step(block.time, Input::Block(observation));
    scene.head.send_replace(Some(Tip { block, env }));
    assert!(scene.next().await.harm());
}
