//! A chain with a Safe of five owners, one of them a Safe, that may pause a vault.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use cofferdam::drill::{anvil::AnvilProcess, artifacts::creation_code};
use cofferdam_core::Timestamp;
use cofferdam_signing::{
    abi::{Value, encode},
    exec::call,
};
use serde_json::{Value as Json, json};

const NPM: &str = "npm:@safe-global/safe-smart-account/build/artifacts/contracts";

/// A program that ran.
pub(super) struct Ran {
    pub(super) ok: bool,
    pub(super) out: String,
    pub(super) err: String,
}

pub(super) struct World {
    anvil: AnvilProcess,
    folder: tempfile::TempDir,
    governance: Address,
    pub(super) rpc: String,
    pub(super) safe: Address,
    pub(super) child: Address,
    pub(super) vault: Address,
    pub(super) overwriter: Address,
}

/// The key of a person.
pub(super) fn key(seed: u8) -> String {
    hex::encode([seed; 32])
}

fn address(seed: u8) -> Address {
    PrivateKeySigner::from_slice(&[seed; 32]).expect("a key").address()
}

impl World {
    pub(super) async fn start(packages: &Path) -> Self {
        let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let genesis = Timestamp::from_secs(seconds.expect("after 1970").as_secs());
        let anvil = AnvilProcess::start(packages, genesis).await.expect("anvil");
        anvil.ask("evm_setAutomine", json!([true])).await.expect("blocks");
        let accounts = anvil.ask("eth_accounts", json!([])).await.expect("accounts");
        let governance = accounts[0].as_str().and_then(|it| it.parse().ok()).expect("an account");
        let folder = tempfile::tempdir().expect("a folder");
        let rpc = anvil.http();
        let mut it = Self {
            anvil,
            folder,
            governance,
            rpc,
            safe: Address::ZERO,
            child: Address::ZERO,
            vault: Address::ZERO,
            overwriter: Address::ZERO,
        };
        it.build(packages).await;
        it
    }

    async fn build(&mut self, packages: &Path) {
        let npm = |it: &str| creation_code(&format!("{NPM}/{it}.json"), packages).expect("code");
        let own = |it: &str| creation_code(it, packages).expect("code");
        let singleton = self.deploy(npm("Safe.sol/Safe"), &[]).await;
        let handler = npm("handler/CompatibilityFallbackHandler.sol/CompatibilityFallbackHandler");
        let handler = self.deploy(handler, &[]).await;
        let proxy = npm("proxies/SafeProxy.sol/SafeProxy");
        let proxy = |it: Address| (proxy.clone(), [Value::Address(it)]);
        let (code, arguments) = proxy(singleton);
        self.child = self.deploy(code.clone(), &arguments).await;
        self.safe = self.deploy(code, &arguments).await;
        let members = [address(11), address(12)];
        self.setup(self.child, &members, 2, handler).await;
        let owners = [address(1), address(2), address(3), address(4), self.child];
        self.setup(self.safe, &owners, 3, handler).await;
        let name = |it: &str| Value::String(it.into());
        let arguments = [name("Demo"), name("DMO"), Value::Uint(U256::from(18))];
        let cash = self.deploy(own("DemoToken"), &arguments).await;
        let [safe, governance] = [self.safe, self.governance].map(Value::Address);
        let arguments = [Value::Address(cash), safe, governance, Value::Uint(U256::from(604_800))];
        self.vault = self.deploy(own("DemoVault"), &arguments).await;
        self.overwriter = self.deploy(own("SlotZeroOverwriter"), &[]).await;
        for seed in [1, 2, 3] {
            let funds = json!([address(seed), "0xde0b6b3a7640000"]);
            self.anvil.ask("anvil_setBalance", funds).await.expect("funds");
        }
        let code = self.anvil.ask("eth_getCode", json!([singleton, "latest"])).await.expect("code");
        let code: Bytes = code.as_str().and_then(|it| it.parse().ok()).expect("code");
        self.write_policy(singleton, keccak256(code), handler);
    }

    fn write_policy(&self, singleton: Address, code: B256, handler: Address) {
        let (safe, vault, child) = (self.safe, self.vault, self.child);
        let accounts: String = [
            ("owner 1", address(1)),
            ("owner 2", address(2)),
            ("owner 3", address(3)),
            ("owner 4", address(4)),
            ("council", child),
            ("handler", handler),
        ]
        .iter()
        .map(|(name, address)| {
            format!("[[accounts]]\nname = \"{name}\"\naddress = \"{address}\"\n")
        })
        .collect();
        let pause =
            call("pauseFor(uint256)", &[Value::Uint(U256::from(604_800))]).expect("calldata");
        let yes = B256::from(U256::from(1));
        let approval = keccak256("vote 17");
        let text = format!(
            r#"safe = "eip155:31337:{safe}"
version = "1.5.0"
threshold-min = 3
{accounts}
[[contracts]]
name = "vault"
address = "{vault}"
functions = ["pauseFor(uint256 seconds)"]
[[singletons]]
name = "Safe 1.5.0"
address = "{singleton}"
code-hash = "{code}"
[[actions]]
id = "vault/pause"
to = "{vault}"
data = "{pause}"
approved-on = "2026-09-01"
approval = "{approval}"
effect = {{ read = "paused()", result = "{yes}" }}
"#
        );
        std::fs::write(self.folder().join("policy.toml"), text).expect("a policy");
    }

    async fn setup(&self, safe: Address, owners: &[Address], threshold: u64, handler: Address) {
        let signature = "setup(address[],uint256,address,bytes,address,address,uint256,address)";
        let nobody = || Value::Address(Address::ZERO);
        let owners = owners.iter().copied().map(Value::Address).collect();
        let values = [
            Value::List(owners),
            Value::Uint(U256::from(threshold)),
            nobody(),
            Value::Bytes(Vec::new()),
            Value::Address(handler),
            nobody(),
            Value::Uint(U256::ZERO),
            nobody(),
        ];
        let data = call(signature, &values).expect("calldata");
        self.send(safe, &data.to_string()).await;
    }

    async fn deploy(&self, code: Bytes, arguments: &[Value]) -> Address {
        let data = Bytes::from([&code[..], &encode(arguments)].concat());
        let receipt = self.transact(json!({ "from": self.governance, "data": data })).await;
        let address = receipt["contractAddress"].as_str().and_then(|it| it.parse().ok());
        address.expect("a contract")
    }

    /// A transaction of somebody who is no owner.
    pub(super) async fn send(&self, to: Address, data: &str) {
        let tx = json!({ "from": self.governance, "to": to, "data": data, "gas": "0x4c4b40" });
        self.transact(tx).await;
    }

    async fn transact(&self, tx: Json) -> Json {
        let hash = self.anvil.ask("eth_sendTransaction", json!([tx])).await.expect("it is taken");
        // The block is made after the answer.
        let receipt = loop {
            let receipt = self.anvil.ask("eth_getTransactionReceipt", json!([hash])).await;
            let receipt = receipt.expect("an answer");
            if !receipt.is_null() {
                break receipt;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(receipt["status"], "0x1", "{tx}");
        receipt
    }

    /// Whether the vault is paused.
    pub(super) async fn paused(&self) -> bool {
        let data = call("paused()", &[]).expect("calldata");
        let tx = json!({ "to": self.vault, "data": data });
        let answer = self.anvil.ask("eth_call", json!([tx, "latest"])).await.expect("an answer");
        answer.as_str().is_some_and(|it| it.ends_with('1'))
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The built program, with a person's key in its environment.
    pub(super) fn run(&self, args: &[&str], person: Option<u8>) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
        command.args(args).current_dir(self.folder());
        if let Some(seed) = person {
            command.env("SAFE_KEY", key(seed));
        }
        let output = command.output().expect("a program that starts");
        let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
        Ran { ok: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}
