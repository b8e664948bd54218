//! The whole path against anvil and the real guardian: bundle, readiness, dispatch, pause, state.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Instant,
};

use crate::support::{CHAIN, key};
use alloy::{
    primitives::{Address, B256, Bytes, U256, address, aliases::U48},
    rpc::client::RpcClient,
    sol,
    sol_types::{SolCall, SolValue},
};
use cofferdam_act::{
    Authorisation, Authorisations, Bundle, ConnectError, Executor, FeePolicy, LocalKey, Policy,
    Preparation, PrepareError, Ready, RpcBroadcaster, Scope, Signer, Terms, prove,
};
use cofferdam_core::{
    AccountId, BlockRef, ChainId, IncidentId, OrderKey, Stage, Timestamp,
    order::{Order, Outcome},
    plan::{
        Action, ActionCall, Autonomy, BasisPoints, Budget, ContainmentFunction, DurationText, Rung,
        WeiText, containment,
    },
    ports::{Boxed, Broadcaster, SourceError, StateReader},
    read::{Answer, StateRead},
    secret::Secret,
};
use serde_json::{Value, json};

sol! {
    struct GuardianAction {
        address target;
        uint48 shortDuration;
        uint48 longDuration;
        uint8 shortQuorum;
        uint8 longQuorum;
        uint8 charges;
        uint48 cooldown;
        bool selfExpiring;
        uint32 minGas;
        bytes pauseCall;
        bytes unpauseCall;
        bytes statusCall;
    }
    function setAction(bytes32 id, GuardianAction x) external;
    function setSigner(address signer, uint48 expiry) external;
    function bumpEpoch() external;
    function setPauser(address account, bool allowed) external;
}

const GOVERNANCE: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
/// anvil's well-known development keys 1 and 2.
const RELAYERS: [&str; 2] = [
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
];
const ACTION: B256 = B256::repeat_byte(0xc3);

struct Anvil {
    process: Child,
    url: String,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn contracts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts")
}

/// `None`, with a notice, if anvil or the contracts' artifacts are not there.
fn anvil() -> Option<Anvil> {
    let binary = contracts().join("node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
    for needed in [binary.clone(), contracts().join("abi/EmergencyGuardian.json")] {
        if !needed.exists() {
            eprintln!("skipped: {} is absent", needed.display());
            return None;
        }
    }
    let mut process = Command::new(binary)
        .args(["--port", "0", "--hardfork", "prague", "--chain-id", "31337"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let listening =
        lines.find_map(|it| it.unwrap().strip_prefix("Listening on ").map(str::to_owned));
    std::thread::spawn(move || lines.for_each(drop));
    Some(Anvil { process, url: format!("http://{}", listening.unwrap()) })
}

struct World {
    _anvil: Anvil,
    rpc: RpcClient,
    net: Arc<RpcBroadcaster>,
    guardian: Address,
    vault: Address,
    legacy: Address,
}

impl World {
    async fn new() -> Option<Self> {
        let anvil = anvil()?;
        let net = RpcBroadcaster::connect(&anvil.url, CHAIN, &|_| None).await.unwrap();
        let rpc = RpcClient::new_http(anvil.url.parse().unwrap());
        let zero = Address::ZERO;
        let mut world = Self {
            _anvil: anvil,
            rpc,
            net: Arc::new(net),
            guardian: zero,
            vault: zero,
            legacy: zero,
        };
        world.guardian = world.deploy("EmergencyGuardian", GOVERNANCE.abi_encode()).await;
        let arguments =
            (Address::repeat_byte(0xee), world.guardian, GOVERNANCE, U256::from(604_800));
        world.vault = world.deploy("DemoVault", arguments.abi_encode_params()).await;
        world.legacy = world.deploy("LegacyPausable", GOVERNANCE.abi_encode()).await;
        let action = GuardianAction {
            target: world.vault,
            shortDuration: U48::from(3_600),
            longDuration: U48::from(86_400),
            shortQuorum: 1,
            longQuorum: 2,
            charges: 3,
            cooldown: U48::from(0),
            selfExpiring: true,
            minGas: 100_000,
            pauseCall: Bytes::from_static(&[0xf3, 0xf4, 0x49, 0xc7]),
            unpauseCall: Bytes::new(),
            statusCall: Bytes::from_static(&[0x5c, 0x97, 0x5a, 0xbb]),
        };
        let set = setActionCall { id: ACTION, x: action }.abi_encode();
        world.governance(world.guardian, set).await;
        let expiry = U48::from(world.now().await.0 / 1_000 + 999_999);
        for seed in [0x51, 0x52] {
            let set = setSignerCall { signer: key(seed).address(), expiry }.abi_encode();
            world.governance(world.guardian, set).await;
        }
        Some(world)
    }

    async fn ask(&self, method: &'static str, params: Value) -> Value {
        self.rpc.request::<Value, Value>(method, params).await.unwrap()
    }

    async fn transact(&self, from: Address, to: Option<Address>, data: Vec<u8>) -> Value {
        let tx = json!({ "from": from, "to": to, "data": Bytes::from(data), "gas": "0x7a1200" });
        let hash = self.ask("eth_sendTransaction", json!([tx])).await;
        let mut receipt = Value::Null;
        // Mining is automatic, but not done when the hash is told.
        for _ in 0..10_000 {
            receipt = self.ask("eth_getTransactionReceipt", json!([hash])).await;
            if !receipt.is_null() {
                break;
            }
        }
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        receipt
    }

    async fn governance(&self, to: Address, data: Vec<u8>) {
        self.transact(GOVERNANCE, Some(to), data).await;
    }

    async fn deploy(&self, name: &str, arguments: Vec<u8>) -> Address {
        let text = std::fs::read(contracts().join(format!("abi/{name}.json"))).unwrap();
        let artifact: Value = serde_json::from_slice(&text).unwrap();
        let code: Bytes = artifact["bytecode"].as_str().unwrap().parse().unwrap();
        let receipt = self.transact(GOVERNANCE, None, [code.to_vec(), arguments].concat()).await;
        receipt["contractAddress"].as_str().unwrap().parse().unwrap()
    }

    async fn now(&self) -> Timestamp {
        self.net.head().await.unwrap().0.time
    }

    async fn mine(&self) -> (BlockRef, u64) {
        self.ask("evm_mine", json!([])).await;
        self.net.head().await.unwrap()
    }

    async fn authorisations(&self, tier: u8, nonces: std::ops::Range<u64>) -> Authorisations {
        let deadline = self.now().await.0 / 1_000 + 86_400;
        let (a, b) = (key(0x51), key(0x52));
        let all: [&dyn Signer; 2] = [a.as_ref(), b.as_ref()];
        let signers = if tier == 0 { &all[..1] } else { &all[..] };
        let (guardian, action_id, not_before) = (self.guardian, ACTION, 0);
        let mut made = Vec::new();
        for nonce in nonces {
            let scope = Scope::Guardian { guardian, action_id, tier, not_before };
            let terms = Terms { nonce: U256::from(nonce), deadline, epoch: 0 };
            made.push(Authorisation::sign(CHAIN, scope, terms, signers).await.unwrap());
        }
        // Through a file, as in earnest.
        let folder = tempfile::tempdir().unwrap();
        Bundle::new(CHAIN, made).write(&folder.path().join("pause.json")).unwrap();
        Authorisations::load(folder.path()).unwrap()
    }

    fn executor(&self) -> Executor {
        let signer = |it: &&str| -> Arc<dyn Signer> {
            Arc::new(LocalKey::from_hex(&Secret::new(*it)).unwrap())
        };
        let networks: Vec<Arc<dyn Broadcaster>> = vec![Arc::clone(&self.net) as _];
        let signers = RELAYERS.iter().map(signer).collect();
        Executor::new(CHAIN, networks, signers, Policy::default()).unwrap()
    }

    fn guardian_action(&self, tier: u8) -> Action {
        let account = |address| AccountId { chain: CHAIN, address };
        action(ActionCall::Guardian {
            guardian: account(self.guardian),
            action_id: ACTION,
            tier,
            target: account(self.vault),
            authorisations: "authorisations".into(),
        })
    }
}

impl StateReader for World {
    fn read<'a>(
        &'a self,
        block: &'a BlockRef,
        reads: &'a [StateRead],
    ) -> Boxed<'a, Result<Vec<Answer>, SourceError>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            for read in reads {
                let StateRead::Call { to, data } = read else { panic!("{read:?}") };
                let at = json!({ "blockHash": block.hash });
                let tx = json!({ "to": to, "data": data });
                let told = self.ask("eth_call", json!([tx, at])).await;
                answers.push(Answer::Bytes(told.as_str().unwrap().parse().unwrap()));
            }
            Ok(answers)
        })
    }
}

fn action(call: ActionCall) -> Action {
    Action {
        id: "pause-vault".into(),
        rung: Rung::PauseProtocol,
        contains: Vec::new(),
        call,
        autonomy: Autonomy::Act,
        stage: Stage::Provisional,
        stops: BasisPoints(1_000_000),
        cost: Default::default(),
        budget: Budget::default(),
        fee_budget: WeiText(U256::from(5 * 10u128.pow(17))),
        valid_for: DurationText(600_000),
        irreversible: false,
        verify: Vec::new(),
    }
}

fn order(seed: u8, action: &Action, now: Timestamp) -> Order {
    Order {
        key: OrderKey(B256::repeat_byte(seed)),
        incident: IncidentId(B256::repeat_byte(0x1c)),
        action: action.id.clone(),
        rung: action.rung,
        chain: CHAIN,
        call: containment::order_call(action),
        effect: containment::effect_checks(action),
        stage: action.stage,
        self_expiring: true,
        autonomy: action.autonomy,
        decided_at: now,
        expires_at: now.plus_ms(600_000),
        fee_budget_wei: action.fee_budget.0,
    }
}

async fn ready(executor: &Executor, order: &Order, held: &Authorisations) -> Ready {
    match executor.prepare(order, held, order.decided_at).await.unwrap() {
        Preparation::Ready(ready) => ready,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_presigned_authorisation_pauses_the_target_and_state_proves_it() {
    let Some(world) = World::new().await else { return };
    let (held, executor, now) =
        (world.authorisations(0, 0..3).await, world.executor(), world.now().await);
    let action = world.guardian_action(0);
    let fees = FeePolicy::default();
    let net = world.net.as_ref();
    let told = prove(&action, &held, &executor.relayers(), net, fees, now).await;
    assert!(told.ready, "{told:?}");
    assert!(told.proved.iter().any(|it| it.contains("3 charges left")), "{told:?}");
    assert!(told.proved.iter().any(|it| it.contains("3 of 3 authorisations")), "{told:?}");

    let one = order(1, &action, now);
    let prepared = ready(&executor, &one, &held).await;
    assert_eq!(prepared.prepared.effect_simulated, Some(true));
    world.ask("evm_setAutomine", json!([false])).await;
    let sent = executor.dispatch(&one, &prepared, Some(1_000_000_000), now).await.unwrap();
    assert!(sent.accepted());
    assert_eq!(sent.deliveries.len(), 2);
    let again = executor.dispatch(&one, &prepared, None, now).await.unwrap();
    assert_eq!(sent, again, "dispatching twice is dispatching once");
    let pool = world.ask("txpool_status", json!([])).await;
    assert_eq!(pool["pending"], "0x2", "{pool}");

    let before = net.head().await.unwrap().0;
    assert_eq!(executor.settle(&one, &world, net, before).await.unwrap(), None);
    let (block, base_fee) = world.mine().await;
    let outcome = executor.settle(&one, &world, net, block).await.unwrap();
    let Some(Outcome::Effective { tx: Some(_), block: at, gas_used }) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(at, block);
    assert!(gas_used < 130_000, "{gas_used}");
    assert!(executor.tend(block, base_fee).await.is_empty());

    // A second order has nothing to do, and says so.
    let two = order(2, &action, block.time);
    let found = executor.prepare(&two, &held, block.time).await.unwrap();
    assert!(matches!(found, Preparation::AlreadyEffective { .. }));
    let told = prove(&action, &held, &executor.relayers(), net, fees, block.time).await;
    assert!(!told.ready && told.because[0].contains("holds already"), "{told:?}");
    // The same bytes once more only revert.
    let mut replay = prepared.clone();
    replay.prepared.key = two.key;
    executor.dispatch(&two, &replay, None, block.time).await.unwrap();
    let (block, _) = world.mine().await;
    let outcome = executor.settle(&two, &world, net, block).await.unwrap();
    assert!(matches!(outcome, Some(Outcome::Effective { tx: None, .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_raised_epoch_and_spent_charges_are_seen_before_anything_is_sent() {
    let Some(world) = World::new().await else { return };
    let (held, executor, now) =
        (world.authorisations(0, 0..2).await, world.executor(), world.now().await);
    let action = world.guardian_action(0);
    let net = world.net.as_ref();
    world.governance(world.guardian, bumpEpochCall {}.abi_encode()).await;
    let error = executor.prepare(&order(1, &action, now), &held, now).await.unwrap_err();
    assert!(matches!(&error, PrepareError::NoAuthorisation { .. }), "{error}");
    assert!(error.to_string().contains("epoch 0, the contract is at 1"), "{error}");
    let fees = FeePolicy::default();
    let told = prove(&action, &held, &executor.relayers(), net, fees, now).await;
    assert!(!told.ready, "{told:?}");
    assert!(told.because.iter().any(|it| it.contains("none of 2 authorisations")), "{told:?}");
    // Two signatures are needed for tier 1, and one is there.
    let lonely = world.authorisations(0, 5..6).await;
    let error = executor.prepare(&order(2, &world.guardian_action(1), now), &lonely, now).await;
    assert!(matches!(error, Err(PrepareError::NoAuthorisation { .. })));
}

#[tokio::test]
async fn a_quorum_extends_a_pause_that_is_in_force() {
    let Some(world) = World::new().await else { return };
    let (executor, now) = (world.executor(), world.now().await);
    let short = order(1, &world.guardian_action(0), now);
    let held = world.authorisations(0, 0..1).await;
    let prepared = ready(&executor, &short, &held).await;
    executor.dispatch(&short, &prepared, None, now).await.unwrap();
    let (block, base_fee) = world.mine().await;
    executor.settle(&short, &world, world.net.as_ref(), block).await.unwrap().unwrap();
    executor.tend(block, base_fee).await;

    world.ask("evm_setAutomine", json!([false])).await;
    let long = order(2, &world.guardian_action(1), block.time);
    let held = world.authorisations(1, 10..11).await;
    let prepared = ready(&executor, &long, &held).await;
    assert!(prepared.held_before);
    executor.dispatch(&long, &prepared, None, block.time).await.unwrap();
    let settle = |at| executor.settle(&long, &world, world.net.as_ref(), at);
    assert_eq!(settle(block).await.unwrap(), None, "it held before: only inclusion counts");
    let (block, _) = world.mine().await;
    assert!(matches!(settle(block).await.unwrap(), Some(Outcome::Effective { tx: Some(_), .. })));
}

#[tokio::test]
async fn a_scoped_key_pauses_a_legacy_contract_with_its_stuck_transaction_replaced() {
    let Some(world) = World::new().await else { return };
    let (executor, now) = (world.executor(), world.now().await);
    let call = ActionCall::Direct {
        target: AccountId { chain: CHAIN, address: world.legacy },
        function: ContainmentFunction::Pause,
        relayer: "hot".into(),
    };
    let action = action(call);
    let one = order(1, &action, now);
    let error = executor.prepare(&one, &Authorisations::default(), now).await.unwrap_err();
    assert!(error.to_string().contains("NotPauser()"), "{error}");
    let holder = executor.relayers()[1];
    let allow = setPauserCall { account: holder, allowed: true }.abi_encode();
    world.governance(world.legacy, allow).await;
    let prepared = ready(&executor, &one, &Authorisations::default()).await;
    assert_eq!(prepared.relayers, [holder]);

    // Somebody uses the relayer's key elsewhere: its nonce is read again.
    executor.sign(&one, &prepared, None, now).await.unwrap();
    world.transact(holder, Some(Address::repeat_byte(9)), Vec::new()).await;
    world.ask("evm_setAutomine", json!([false])).await;
    let sent = executor.dispatch(&one, &prepared, None, now).await.unwrap();
    assert!(sent.accepted());
    assert_eq!(sent.sent().next().unwrap().nonce, 1);

    // The block comes without it: replaced at its nonce, dearer.
    let first = sent.sent().next().unwrap().clone();
    let (mut head, base_fee) = world.net.head().await.unwrap();
    head.number += 1;
    let raised = executor.tend(head, base_fee).await;
    assert_eq!(raised.len(), 1);
    assert_eq!(raised[0].sent.nonce, 1);
    assert!(raised[0].sent.max_fee_per_gas * 8 >= first.max_fee_per_gas * 9);
    let pool = world.ask("txpool_status", json!([])).await;
    assert_eq!(pool["pending"], "0x1", "{pool}");
    let (block, _) = world.mine().await;
    let outcome = executor.settle(&one, &world, world.net.as_ref(), block).await.unwrap();
    let Some(Outcome::Effective { tx: Some(tx), .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(tx, raised[0].sent.tx);
}

#[tokio::test]
async fn a_warm_order_goes_out_without_a_question() {
    let Some(world) = World::new().await else { return };
    let (held, executor, now) =
        (world.authorisations(0, 0..2).await, world.executor(), world.now().await);
    let action = world.guardian_action(0);
    world.ask("evm_setAutomine", json!([false])).await;
    executor.warm(&action, &held, now).await.unwrap();
    let floor = Instant::now();
    world.net.head().await.unwrap();
    let floor = floor.elapsed();
    let one = order(1, &action, now);
    let start = Instant::now();
    let prepared = ready(&executor, &one, &Authorisations::default()).await;
    let sent = executor.dispatch(&one, &prepared, None, now).await.unwrap();
    let took = start.elapsed();
    assert!(sent.accepted());
    eprintln!("warm dispatch on two lanes: {took:?}, one question: {floor:?} (debug build)");
    let (block, _) = world.mine().await;
    let outcome = executor.settle(&one, &world, world.net.as_ref(), block).await.unwrap();
    assert!(matches!(outcome, Some(Outcome::Effective { .. })));
    // The authorisation is used up: no template is left.
    let two = order(2, &action, now);
    let error = executor.prepare(&two, &Authorisations::default(), now).await;
    assert!(matches!(error, Ok(Preparation::AlreadyEffective { .. })));
}

#[tokio::test]
async fn endpoints_of_another_chain_or_shape_are_refused_without_showing_them() {
    let shape = RpcBroadcaster::connect("ftp://secret-key-123", CHAIN, &|_| None).await;
    assert!(matches!(shape, Err(ConnectError::Shape)));
    let unset = RpcBroadcaster::connect("env:NODE", CHAIN, &|_| None).await;
    assert!(matches!(unset, Err(ConnectError::EnvMissing { .. })));
    let url = "http://127.0.0.1:9/v3/0123456789abcdef";
    let dead = RpcBroadcaster::connect("env:NODE", CHAIN, &|_| Some(url.into())).await;
    let error = dead.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("0123456789"), "{error:?}");
    let Some(anvil) = anvil() else { return };
    let wrong = RpcBroadcaster::connect(&anvil.url, ChainId(1), &|_| None).await;
    assert!(matches!(wrong, Err(ConnectError::WrongChain { actual: CHAIN, .. })));
    let ws = anvil.url.replace("http://", "ws://");
    let net = RpcBroadcaster::connect(&ws, CHAIN, &|_| None).await.unwrap();
    assert!(!format!("{net:?}").contains("127.0.0.1"));
    assert_eq!(net.head().await.unwrap().0.number, 0);
}
