//! `cofferdam learn` over the recorded blocks.

use std::{path::PathBuf, process::Command};

use cofferdam_core::plan::{self, Mode};

/// A busy contract of the recorded blocks, as an entity.
const PLAN: &str = r#"version = 1
name = "learn"
chains = [{ id = "eip155:1" }]

[[entities]]
id = "router"
accounts = ["eip155:1:0x7a250d5630b4cf539739df2c5dacb4c659f2488d"]
assets = [{ token = "native", symbol = "ETH", decimals = 18, price = "2000 usd" }]
"#;

/// The folder of the recorded data, or `None` with a notice on standard error.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn data() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("COFFERDAM_SHARED").map_or(beside, PathBuf::from);
    let path = root.join("data");
    if path.join("mainnet-blocks").exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there", path.join("mainnet-blocks").display());
    None
}

#[test]
fn recorded_blocks_give_a_fragment_in_shadow_that_the_plan_takes() {
    let Some(data) = data() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("plan.toml"), PLAN).expect("a file");
    let out = folder.path().join("learned.toml");
    let run = Command::new(env!("CARGO_BIN_EXE_cofferdam"))
        .args(["learn", "--json", "--now", "1700000000", "--plan"])
        .arg(folder.path())
        .arg("--data")
        .arg(&data)
        .arg("--out")
        .arg(&out)
        .output()
        .expect("a program that starts");
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{stderr}");
    assert!(stderr.contains("blocks 44 of 44"), "progress is told on stderr: {stderr}");
    let json: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON on stdout");
    let toml = std::fs::read_to_string(&out).expect("the fragment");
    assert_eq!(json["toml"], toml);
    let rule = &json["fragment"]["rules"][0];
    assert_eq!(rule["settings"]["expires"], 1_700_000_000 + 90 * 86_400);
    for guard in rule["settings"]["guards"].as_array().expect("a list") {
        let proof = &guard["proof"];
        assert!(proof["support"].as_u64() >= Some(20), "{guard}");
        assert!(proof["held-out"].as_u64() > Some(0), "{guard}");
        assert!(proof["false-alarms-ppm"].as_u64() > Some(0), "no guard is free of doubt: {guard}");
    }
    let whole = format!("{PLAN}\n{toml}");
    let plan = plan::parse(&whole, "plan.toml").unwrap_or_else(|it| panic!("{it}"));
    assert_eq!(plan.rule("learned-router").map(|it| it.mode), Some(Mode::Shadow));
    cofferdam_detect::RuleSet::build(&plan, cofferdam_core::ChainId(1)).expect("the rule builds");
}
