//! A local anvil with the real guardian on it, driven over JSON-RPC.
#![allow(unreachable_pub, reason = "one test binary")]

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use crate::support::{CHAIN, key};
use alloy::{
    primitives::{Address, B256, Bytes, U256, address, aliases::U48},
    rpc::client::RpcClient,
    sol,
    sol_types::{SolCall, SolValue},
};
use cofferdam_act::{
    Authorisation, Authorisations, Bundle, Executor, LocalKey, Policy, Preparation, Ready,
    RpcBroadcaster, Scope, Signer, Terms,
};
use cofferdam_core::{
    AccountId, BlockRef, IncidentId, OrderKey, Stage, Timestamp,
    order::Order,
    plan::{
        Action, ActionCall, Autonomy, BasisPoints, Budget, DurationText, Rung, WeiText, containment,
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

pub const GOVERNANCE: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
/// anvil's well-known development keys 1 and 2.
pub const RELAYERS: [&str; 2] = [
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
];
pub const ACTION: B256 = B256::repeat_byte(0xc3);

pub struct Anvil {
    process: Child,
    pub url: String,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn contracts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts")
}

/// `None`, with a notice, if anvil or the contracts' artifacts are not there.
pub fn anvil() -> Option<Anvil> {
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

pub struct World {
    _anvil: Anvil,
    pub rpc: RpcClient,
    pub net: Arc<RpcBroadcaster>,
    pub guardian: Address,
    pub vault: Address,
    pub legacy: Address,
}

impl World {
    pub async fn new() -> Option<Self> {
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

    pub async fn ask(&self, method: &'static str, params: Value) -> Value {
        self.rpc.request::<Value, Value>(method, params).await.unwrap()
    }

    pub async fn transact(&self, from: Address, to: Option<Address>, data: Vec<u8>) -> Value {
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

    pub async fn governance(&self, to: Address, data: Vec<u8>) {
        self.transact(GOVERNANCE, Some(to), data).await;
    }

    pub async fn deploy(&self, name: &str, arguments: Vec<u8>) -> Address {
        self.deploy_from(&contracts().join(format!("abi/{name}.json")), arguments).await
    }

    pub async fn deploy_from(&self, artifact: &Path, arguments: Vec<u8>) -> Address {
        let text = std::fs::read(artifact).unwrap();
        let artifact: Value = serde_json::from_slice(&text).unwrap();
        let code: Bytes = artifact["bytecode"].as_str().unwrap().parse().unwrap();
        let receipt = self.transact(GOVERNANCE, None, [code.to_vec(), arguments].concat()).await;
        receipt["contractAddress"].as_str().unwrap().parse().unwrap()
    }

    pub async fn now(&self) -> Timestamp {
        self.net.head().await.unwrap().0.time
    }

    pub async fn mine(&self) -> (BlockRef, u64) {
        self.ask("evm_mine", json!([])).await;
        self.net.head().await.unwrap()
    }

    pub async fn authorisations(&self, tier: u8, nonces: std::ops::Range<u64>) -> Authorisations {
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

    pub fn executor(&self) -> Executor {
        let signer = |it: &&str| -> Arc<dyn Signer> {
            Arc::new(LocalKey::from_hex(&Secret::new(*it)).unwrap())
        };
        let networks: Vec<Arc<dyn Broadcaster>> = vec![Arc::clone(&self.net) as _];
        let signers = RELAYERS.iter().map(signer).collect();
        Executor::new(CHAIN, networks, signers, Policy::default()).unwrap()
    }

    pub fn guardian_action(&self, tier: u8) -> Action {
        let account = |address| AccountId { chain: CHAIN, address };
        action(ActionCall::Guardian {
            guardian: account(self.guardian),
            action_id: ACTION,
            tier,
            target: account(self.vault),
            legacy: false,
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

pub fn action(call: ActionCall) -> Action {
    Action {
        id: "pause-vault".into(),
        rung: Rung::PauseProtocol,
        contains: Vec::new(),
        call,
        autonomy: Autonomy::Act,
        stage: Stage::Provisional,
        stops: BasisPoints(1_000_000),
        threshold_ppb: None,
        success: BasisPoints(1_000_000),
        effect_blocks: 1,
        cost: Default::default(),
        budget: Budget::default(),
        fee_budget: WeiText(U256::from(5 * 10u128.pow(17))),
        fee_share: BasisPoints(1_000),
        valid_for: DurationText(600_000),
        irreversible: false,
        approvals: 1,
        quorum: Vec::new(),
        verify: Vec::new(),
    }
}

pub fn order(seed: u8, action: &Action, now: Timestamp) -> Order {
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
        outbid: None,
    }
}

pub async fn ready(executor: &Executor, order: &Order, held: &Authorisations) -> Ready {
    match executor.prepare(order, held, order.decided_at).await.unwrap() {
        Preparation::Ready(ready) => ready,
        other => panic!("{other:?}"),
    }
}
