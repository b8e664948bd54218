//! The program watching with a console, over a journal that holds an incident and two orders that wait for people.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use alloy::signers::{SignerSync, local::PrivateKeySigner};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use cofferdam_core::{
    BlockRef, ChainId, Class, Evidence, Finding, IncidentId, OrderKey, Probability, Record,
    Severity, Stage, Timestamp, Usd,
    incident::{Incident, IncidentState, Ledger, Quantity, Term},
    order::{EffectCheck, Expectation, Order, OrderCall},
    plan::{Autonomy, Rung},
    ports::Journal,
    read::StateRead,
};
use cofferdam_record::LocalJournal;
use cofferdam_respond::CaseId;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How long anything may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);
const CHAIN: ChainId = ChainId(31_337);
const VAULT: Address = Address::repeat_byte(0x11);
pub(super) const READER: &str = "reader-reader-reader-reader-reader-reader";
pub(super) const RESPONDER: &str = "responder-responder-responder-responder";

/// A person with a wallet.
pub(crate) fn wallet(byte: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_slice(&[byte; 32]).expect("a key")
}

pub(super) fn alice() -> PrivateKeySigner {
    wallet(1)
}
pub(super) fn bob() -> PrivateKeySigner {
    wallet(2)
}
/// Who may veto and nothing else.
pub(super) fn carol() -> PrivateKeySigner {
    wallet(3)
}
/// Who may look.
pub(super) fn dave() -> PrivateKeySigner {
    wallet(4)
}

fn hash(token: &str) -> B256 {
    B256::from_slice(&Sha256::digest(token))
}

fn plan(origin: &str) -> String {
    let person = |id: &str, wallet: PrivateKeySigner, more: &str| {
        format!(
            "[[people]]\nid = \"{id}\"\naccounts = [\"eip155:31337:{}\"]\n{more}\n",
            wallet.address()
        )
    };
    let people = [
        person("alice", alice(), "roles = [\"signer\", \"commander\"]"),
        person("bob", bob(), "roles = [\"signer\"]"),
        person("carol", carol(), "veto = true"),
        person("dave", dave(), ""),
    ];
    format!(
        r#"version = 1
name = "Example Lending"
[[chains]]
id = "eip155:31337"
endpoints = ["http://127.0.0.1:1"]
block-time = "12s"
[[entities]]
id = "vault"
accounts = ["eip155:31337:{VAULT}"]
value-at-risk = "20000000 usd"
assets = [{{ token = "native", symbol = "ETH", decimals = 18, price = "1000 usd" }}]
[[rules]]
id = "vault-outflow"
detector = "outflow"
mode = "one-click"
[[actions]]
id = "pause-vault"
rung = "pause-market"
contains = ["vault"]
autonomy = {{ level = "propose" }}
approvals = 2
cost = {{ fixed = "5000 usd", per-hour = "1000 usd", duration = "4h" }}
call = {{ via = "direct", target = "eip155:31337:{VAULT}", function = "pause", relayer = "first" }}
[[relayers]]
id = "first"
account = "eip155:31337:{relayer}"
key = {{ from = "env", name = "TEST_RELAYER" }}
{people}
[[machines]]
id = "dashboard"
token-sha256 = "{reader}"
[[machines]]
id = "ticket-bot"
token-sha256 = "{responder}"
may = "respond"
[console]
origin = "{origin}"
chain = "eip155:31337"
"#,
        people = people.concat(),
        relayer = wallet(8).address(),
        reader = hash(READER),
        responder = hash(RESPONDER),
    )
}

pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(u64::try_from(since.expect("a clock").as_millis()).expect("this century"))
}

pub(super) fn incident() -> IncidentId {
    IncidentId(keccak256("incident"))
}

pub(super) fn case() -> CaseId {
    CaseId::of(&incident())
}

/// The `number`th order, from 1.
pub(super) fn order_key(number: u8) -> OrderKey {
    OrderKey(B256::repeat_byte(number))
}

fn order(number: u8, at: Timestamp) -> Order {
    let word = alloy_primitives::U256::from(1);
    Order {
        key: order_key(number),
        incident: incident(),
        action: "pause-vault".into(),
        rung: Rung::PauseMarket,
        chain: CHAIN,
        call: OrderCall::Direct {
            target: VAULT,
            data: Bytes::from_static(&[0x84, 0x56, 0xcb, 0x59]),
        },
        effect: vec![EffectCheck {
            read: StateRead::Call {
                to: VAULT,
                data: Bytes::from_static(&[0x5c, 0x97, 0x5a, 0xbb]),
            },
            expect: Expectation::Word(word),
        }],
        stage: Stage::Provisional,
        self_expiring: false,
        autonomy: Autonomy::Propose,
        decided_at: at,
        expires_at: at.plus_ms(3_600_000),
        fee_budget_wei: word,
        outbid: None,
    }
}

fn records(at: Timestamp) -> Vec<Record> {
    let hash = keccak256("block");
    let block =
        BlockRef { chain: CHAIN, number: 1_000, hash, parent: keccak256("parent"), time: at };
    let id = Finding::id_of(CHAIN, "vault-outflow", hash, VAULT);
    let finding = Finding {
        id,
        detector: "outflow".into(),
        rule: "vault-outflow".into(),
        entity: "vault".into(),
        severity: Severity::Critical,
        class: Class::Damage,
        stage: Stage::Provisional,
        block,
        tx: Some(keccak256("tx")),
        subject: VAULT,
        actors: vec![Address::repeat_byte(0x66)],
        llr_millinats: 9_200,
        group: "outflow".into(),
        loss: Usd(4_210_000_000_000),
        summary: "net outflow of 4.21 M USD in one transaction, 21 % of what the vault held".into(),
        evidence: vec![
            Evidence::new("net outflow", "4,210,000 USDC"),
            // What comes from the chain is no markup.
            Evidence::new("token name", "<img src=x onerror=alert(1)>"),
        ],
    };
    let term = Term {
        name: "value at risk".into(),
        value: Quantity::Usd(Usd(20_000_000_000_000)),
        interval: None,
        source: "plan".into(),
    };
    let ledger = Ledger {
        at,
        prior: Probability(16),
        posterior: Probability(987_000_000),
        terms: vec![term],
        options: Vec::new(),
        chosen: Some("pause-vault".into()),
        flips: vec!["a cost above 3.1 M usd".into()],
    };
    let opened = Incident {
        id: incident(),
        entity: "vault".into(),
        chain: CHAIN,
        state: IncidentState::Detected,
        opened_at: at,
        held: Some(Usd(20_000_000_000_000)),
        findings: std::collections::BTreeSet::new(),
        actors: std::collections::BTreeSet::from([Address::repeat_byte(0x66)]),
        orders: Vec::new(),
        ledger: None,
    };
    let because = "an order is decided".to_owned();
    vec![
        Record::Found { finding },
        Record::IncidentOpened { incident: opened },
        Record::Attached { incident: incident(), finding: id },
        Record::Decided { incident: incident(), ledger },
        Record::Intended { order: order(1, at) },
        Record::Intended { order: order(2, at) },
        Record::IncidentMoved { incident: incident(), state: IncidentState::Responding, because },
        Record::Readiness {
            action: "pause-vault".into(),
            ready: false,
            because: vec!["relayer first has no funds".into()],
        },
    ]
}

/// The running program.
pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    child: Child,
    pub(super) address: String,
    pub(super) origin: String,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Value,
}

impl Reply {
    /// The typed reason of a refusal.
    pub(super) fn code(&self) -> &str {
        let error = &self.body["error"];
        assert!(error["message"].is_string() && error["hint"].is_string(), "{self:?}");
        error["code"].as_str().expect("a code")
    }
}

/// Who is signed in.
pub(super) struct Signed {
    pub(super) cookie: String,
    pub(super) csrf: String,
}

impl World {
    pub(super) fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address").to_string();
        drop(free);
        let folder = tempfile::tempdir().expect("a folder");
        let origin = format!("http://localhost:{}", address.rsplit(':').next().expect("a port"));
        std::fs::create_dir(folder.path().join("plan")).expect("a folder");
        std::fs::write(folder.path().join("plan/plan.toml"), plan(&origin)).expect("a file");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let journal =
                LocalJournal::open(&folder.path().join("journal")).await.expect("a journal");
            let at = Timestamp(now().0 - 90_000);
            journal.append(at, &records(at)).await.expect("an append");
            journal.close().await;
        });
        let child = run(folder.path(), &address);
        let mut world = Self { folder, child, address, origin };
        world.await_ready();
        world
    }

    /// Kills the program and starts it again.
    pub(super) fn restart(&mut self) {
        self.child.kill().expect("a death");
        self.child.wait().expect("an end");
        self.child = run(self.folder.path(), &self.address);
        self.await_ready();
    }

    fn await_ready(&mut self) {
        let stderr = self.child.stderr.take().expect("its stderr");
        let mut lines = BufReader::new(stderr).lines();
        let mut said = Vec::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {said:?}")).expect("text");
            if line.contains("health at http://") {
                break;
            }
            said.push(line);
        }
        std::thread::spawn(move || lines.for_each(drop));
        let until = std::time::Instant::now() + PATIENCE;
        while self.get("/api/overview", READER).status == 503 {
            assert!(std::time::Instant::now() < until, "the journal is not read");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a request as it stands and reads everything that comes.
    pub(super) fn raw(&self, bytes: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        // It may be refused before all of it is sent.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
        Reply {
            status,
            head: head.to_lowercase(),
            body: serde_json::from_str(body).unwrap_or(Value::Null),
        }
    }

    pub(super) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Reply {
        let body = body.map(ToString::to_string);
        let mut text =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        if let Some(it) = &body {
            if !headers.iter().any(|it| it.0 == "content-type") {
                text += "content-type: application/json\r\n";
            }
            text += &format!("content-length: {}\r\n", it.len());
        }
        self.raw(format!("{text}\r\n{}", body.unwrap_or_default()).as_bytes())
    }

    pub(super) fn get(&self, path: &str, token: &str) -> Reply {
        self.ask("GET", path, &[("authorization", &format!("Bearer {token}"))], None)
    }

    /// What a wallet signs in with.
    pub(super) fn sign_in_body(&self, wallet: &PrivateKeySigner) -> Value {
        let about = json!({ "address": wallet.address() });
        let reply = self.ask("POST", "/api/session/message", &[], Some(&about));
        assert_eq!(reply.status, 200, "{reply:?}");
        let message = reply.body["message"].as_str().expect("a message");
        let signature = wallet.sign_message_sync(message.as_bytes()).expect("a signature");
        json!({ "message": message, "signature": Bytes::from(signature.as_bytes()) })
    }

    pub(super) fn sign_in(&self, wallet: &PrivateKeySigner) -> Signed {
        let reply = self.ask("POST", "/api/session", &[], Some(&self.sign_in_body(wallet)));
        assert_eq!(reply.status, 200, "{reply:?}");
        Signed {
            cookie: cookie(&reply),
            csrf: reply.body["csrf"].as_str().expect("a token").to_owned(),
        }
    }

    /// A change as our own page would send it.
    pub(super) fn post(&self, who: &Signed, path: &str, body: &Value) -> Reply {
        let headers = [
            ("cookie", who.cookie.as_str()),
            ("x-cofferdam-csrf", who.csrf.as_str()),
            ("origin", self.origin.as_str()),
            ("sec-fetch-site", "same-origin"),
        ];
        self.ask("POST", path, &headers, Some(body))
    }

    /// The body of a vote, signed.
    pub(super) fn ballot(
        &self,
        (who, wallet): (&Signed, &PrivateKeySigner),
        key: OrderKey,
        verdict: &str,
        reason: &str,
    ) -> Value {
        let about = json!({ "verdict": verdict, "reason": reason });
        let asked = self.post(who, &format!("/api/orders/{key}/question"), &about);
        assert_eq!(asked.status, 200, "{asked:?}");
        let typed: alloy::dyn_abi::TypedData =
            serde_json::from_value(asked.body["typed"].clone()).expect("typed data");
        let hash = typed.eip712_signing_hash().expect("a hash");
        let signature = wallet.sign_hash_sync(&hash).expect("a signature");
        json!({
            "verdict": verdict,
            "reason": reason,
            "at": asked.body["at"],
            "expires": asked.body["expires"],
            "voter": wallet.address(),
            "signature": Bytes::from(signature.as_bytes()),
        })
    }

    /// The records of the journal, read beside the program.
    pub(super) fn journal(&self) -> Vec<Record> {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let path = self.folder.path().join("journal");
            let journal = LocalJournal::open_read_only(&path).await.expect("a journal");
            let entries = journal.read(0, 100_000).await.expect("entries");
            entries.into_iter().map(|it| it.record).collect()
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The cookie that an answer sets, as it is sent back.
pub(super) fn cookie(reply: &Reply) -> String {
    let line = reply.head.lines().find(|it| it.starts_with("set-cookie:")).expect("a cookie");
    line.trim_start_matches("set-cookie:").split(';').next().expect("its value").trim().to_owned()
}

fn run(folder: &Path, address: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_cofferdam"))
        .args(["run", "--plan", "plan", "--journal", "journal", "--listen", address])
        .env("TEST_RELAYER", format!("0x{}", "08".repeat(32)))
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a program that starts")
}
