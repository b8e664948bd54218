//! Positions read from a real node: Venus's published bytecode and our ERC-4626 vault on anvil, through the program.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use cofferdam::drill::{
    anvil::{AnvilProcess, AnvilWorld},
    catalogue,
    stage::Stage,
};
use cofferdam_core::Timestamp;
use serde_json::{Value, json};

/// Date of the first block.
const GENESIS_MS: u64 = 1_760_000_000_000;

/// The scenario's contracts on an anvil of their own; `None` where the npm packages are missing.
async fn staged(id: &str) -> Option<(Arc<AnvilProcess>, Stage)> {
    let packages = crate::drills::packages()?;
    let node = AnvilProcess::start(&packages, Timestamp(GENESIS_MS)).await.expect("anvil");
    let node = Arc::new(node);
    let world = AnvilWorld::connect(Arc::clone(&node)).await.expect("a connection");
    let drill = catalogue::find(Path::new("nowhere"), id).expect("a drill");
    let stage = Stage::set(Box::new(world), &drill.scenario, 5, packages).await.expect("a stage");
    Some((node, stage))
}

/// `cofferdam risk read` of `request`; what it prints, and the book it writes.
fn read(folder: &Path, node: &AnvilProcess, request: &Value, more: &[&str]) -> (Value, PathBuf) {
    let (wanted, book) = (folder.join("request.json"), folder.join("book.json"));
    std::fs::write(&wanted, request.to_string()).expect("a file");
    let run = Command::new(env!("CARGO_BIN_EXE_cofferdam"))
        .args(["--json", "risk", "read"])
        .arg(&wanted)
        .args(["--rpc", &node.http(), "--chain", "31337", "--out"])
        .arg(&book)
        .args(more)
        .output()
        .expect("a program that starts");
    let text = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "{text}");
    (serde_json::from_slice(&run.stdout).expect("JSON"), book)
}

#[tokio::test(flavor = "multi_thread")]
async fn venus_on_a_node_is_read_into_a_book_that_the_views_take() {
    let Some((node, stage)) = staged("d1-venus-donation").await else { return };
    let at = |name: &str| stage.names.address(name).expect("a name");
    let folder = tempfile::tempdir().expect("a folder");
    let request = json!({
        "adapter": "compound", "contract": at("controller"), "underlying": at("loan"),
        "holders": [at("lender"), at("user")], "name": "venus",
    });
    let (seen, book) = read(folder.path(), &node, &request, &[]);
    // The oracle of the scenario says one dollar; the lender supplied what the scenario gave it.
    assert_eq!(seen["book"]["market"]["index"], 1.0);
    let lender = seen["book"]["accounts"][0]["coins"].as_f64().expect("a number");
    assert!(lender > 0.0, "{seen:#}");
    assert_eq!(seen["book"]["market"]["block"], seen["block"]["number"]);
    // Years behind the clock: the book says so itself, and the views flag it.
    assert!(seen["book"]["market"]["chain-age-ms"].as_u64() > Some(60_000));
    let report = Command::new(env!("CARGO_BIN_EXE_cofferdam"))
        .args(["--json", "risk", "grid"])
        .arg(&book)
        .output()
        .expect("a program that starts");
    let text = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));
    assert!(text.to_lowercase().contains("dq1"), "{text}");
    // An earlier block, before anything was deployed, has no such contract.
    let run = Command::new(env!("CARGO_BIN_EXE_cofferdam"))
        .args(["risk", "read"])
        .arg(folder.path().join("request.json"))
        .args(["--rpc", &node.http(), "--chain", "31337", "--block", "0"])
        .output()
        .expect("a program that starts");
    let text = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(!run.status.success() && text.contains("hint: "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_vault_on_a_node_is_read_as_an_erc4626() {
    let Some((node, stage)) = staged("d2-first-depositor").await else { return };
    let at = |name: &str| stage.names.address(name).expect("a name");
    let folder = tempfile::tempdir().expect("a folder");
    let request = json!({
        "adapter": "erc4626", "contract": at("vault"), "underlying": at("token"),
        "holders": [at("attacker")], "prices": { at("token").to_string(): { "usd": 2.0, "decimals": 18 } },
    });
    let (seen, _) = read(folder.path(), &node, &request, &[]);
    assert_eq!(seen["book"]["market"]["index"], 2.0);
    assert_eq!(seen["book"]["accounts"].as_array().map(Vec::len), Some(1));
    assert_eq!(seen["snapshot"]["margin"], "fully-collateralised");
}
