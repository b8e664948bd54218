//! A plan's `sub-blocks`, from its text to a finding, against a real node.
#![expect(clippy::expect_used, reason = "a test may panic")]

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy_primitives::Address;
use cofferdam_act::Authorisations;
use cofferdam_core::{Finding, Record, Stage, ports::Journal};
use cofferdam_engine::{Engine, Limits};
use cofferdam_record::MemoryJournal;
use serde_json::json;
use tokio::{sync::Notify, task::JoinSet};

use super::wire;
use crate::{
    drill::anvil::AnvilProcess,
    runtime::{Door, Hands, Live, Notifiers, Pulse, Shell, health::Board, now},
};

const VAULT: Address = Address::repeat_byte(0xaa);
/// The first account of anvil.
const SENDER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
/// How long anything may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn plan(node: &AnvilProcess, more: &str) -> String {
    format!(
        r#"
version = 1
name = "Example"
[[chains]]
id = "eip155:31337"
endpoints = ["{}"]
block-time = "2s"
{more}
[[entities]]
id = "vault"
accounts = ["eip155:31337:{VAULT}"]
assets = [{{ token = "native", symbol = "ETH", decimals = 18, price = "1000 usd" }}]
[[rules]]
id = "outflow"
detector = "outflow"
"#,
        node.ws()
    )
}

/// The findings of a run over a chain in whose block in the making the vault is emptied. Ends at the
/// first finding, or when as many pending transactions as `until` says were looked at.
async fn found(packages: &Path, more: &str, blocks: u64) -> Vec<Finding> {
    let node = AnvilProcess::start(packages, now()).await.expect("anvil");
    for (method, params) in [
        ("anvil_setCode", json!([VAULT, "0x5f5f5f5f47325af100"])),
        ("anvil_setBalance", json!([VAULT, "0x3635c9adc5dea00000"])),
    ] {
        node.ask(method, params).await.expect("anvil obeys");
    }
    node.mine(now()).await.expect("a block");
    let plan: cofferdam_core::plan::Plan = toml::from_str(&plan(&node, more)).expect("a plan");
    let chains = wire::reach(&plan).expect("endpoints");
    let engine = Engine::new(plan.clone(), Limits::default()).expect("rules");
    let board = Board::default();
    let watches = chains.iter().map(|it| it.watch(engine.state(), None, |_| {})).collect();
    let clock = Arc::new(now);
    let hands = Arc::new(Hands::new(BTreeMap::new(), Authorisations::default(), clock));
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
    let shell = Shell::new(engine, journal, hands.clone(), Notifiers::new());
    let mut tasks = JoinSet::new();
    let feeds = wire::feeds(&plan, Path::new("."), &mut tasks).expect("no feeds");
    let (findings, enough) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
    let (into, ring, evaluated) = (findings.clone(), enough.clone(), Mutex::new(0));
    let tell = Box::new(move |carried: &crate::runtime::Carried| {
        for it in &carried.records {
            match it {
                Record::Found { finding } => {
                    into.lock().expect("no panic").push(finding.clone());
                    ring.notify_one();
                }
                Record::BlockEvaluated { .. } => {
                    let mut evaluated = evaluated.lock().expect("no panic");
                    *evaluated += 1;
                    if *evaluated == blocks {
                        ring.notify_one();
                    }
                }
                _ => {}
            }
        }
    });
    let looked = board.clone();
    let live = Live::new(shell, hands, board, (Pulse::default(), feeds, Door::default()), tell);
    let theft = json!([{ "from": SENDER, "to": VAULT, "gas": "0x30000" }]);
    node.ask("eth_sendTransaction", theft).await.expect("a transaction");
    let stop = async {
        if tokio::time::timeout(PATIENCE, enough.notified()).await.is_err() {
            panic!("neither a finding nor a block in time: {:?}", looked.read());
        }
    };
    live.run(watches, stop).await.expect("a journal that works");
    let findings = findings.lock().expect("no panic");
    findings.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_the_block_in_the_making_reaches_the_detectors_as_pending() {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts/node_modules");
    if !packages.is_dir() {
        use std::io::Write as _;
        let note = "skipped: contracts/node_modules is absent; `cargo xtask services` installs it";
        let _ = writeln!(std::io::stderr(), "{note}");
        return;
    }
    let findings = found(&packages, "sub-blocks = \"200ms\"", u64::MAX).await;
    assert!(
        findings.first().is_some_and(|it| it.stage == Stage::Pending && it.subject == VAULT),
        "{findings:?}"
    );
    // A plan that does not ask for it hears nothing before the block.
    assert_eq!(found(&packages, "", 1).await, []);
}
