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

/// Twenty-five thefts that `outflow` told of, in a thousand clean windows in which it erred twice.
fn scores() -> String {
    let mut out = String::new();
    for at in 0..25_u64 {
        let time = 1_600_000_000 + at * 1_000_000;
        out += &format!(
            "{{\"window\":\"theft-{at}\",\"time\":{time},\"attack\":true,\"detector\":\"outflow\",\"group\":\"value\",\"score\":19000}}\n"
        );
        out +=
            &format!("{{\"window\":\"{at}\",\"time\":{time},\"attack\":false,\"windows\":40}}\n");
        if at % 12 == 0 {
            out += &format!(
                "{{\"window\":\"{at}/x\",\"time\":{time},\"attack\":false,\"detector\":\"outflow\",\"group\":\"value\",\"score\":9000}}\n"
            );
        }
    }
    out
}

#[test]
fn a_card_is_fitted_to_scores_and_a_plan_with_a_worse_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let run = |args: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_cofferdam")).args(args).output();
        let run = run.expect("a program that starts");
        let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
        (run.status.success(), text(&run.stdout), text(&run.stderr))
    };
    std::fs::write(path("scores.jsonl"), scores()).expect("a file");
    let (scores, card) = (path("scores.jsonl"), path("evidence.toml"));
    let (scores, card) = (scores.to_str().expect("a name"), card.to_str().expect("a name"));
    let fitted = run(&[
        "learn",
        "llr",
        "--scores",
        scores,
        "--out",
        card,
        "--owner",
        "tests",
        "--purpose",
        "a test",
        "--label-policy",
        "made up",
        "--source",
        "made up|2026-11-26|ours",
        "--expires",
        "2999-12-31",
    ]);
    assert!(fitted.0, "{}", fitted.2);
    assert!(
        fitted.1.contains("17 attacks and 682 clean windows fitted, 8 later attacks"),
        "{}",
        fitted.1
    );

    let plan = format!("{PLAN}\n[decision]\nevidence = \"evidence.toml\"\n");
    std::fs::write(path("plan.toml"), plan).expect("a file");
    let place = folder.path().to_str().expect("a name");
    let fine = run(&["plan", "check", place]);
    assert!(fine.0, "{}", fine.2);
    let told = "evidence: 1 tables from 17 attacks and 682 clean windows, version 1 by tests, until 2999-12-31";
    assert!(fine.1.contains(told), "{}", fine.1);

    let whole = std::fs::read_to_string(card).expect("the card");
    let bold = whole.replace("clean = 0", "clean = 0 # none").replace("low = ", "low = 1");
    for (from, to, why) in [
        (whole.as_str(), whole.replace("owner = \"tests\"", "owner = \"\""), "`owner` is missing"),
        (&whole, whole.replace("2999-12-31", "2020-12-31"), "expired on 2020-12-31"),
        (&whole, bold, "refused"),
    ] {
        assert_ne!(from, to, "{why}");
        std::fs::write(card, to).expect("a file");
        let (fine, _, stderr) = run(&["plan", "check", place]);
        assert!(!fine && stderr.contains(why), "{why}: {stderr}");
    }
    std::fs::remove_file(card).expect("a file");
    let (fine, _, stderr) = run(&["plan", "check", place]);
    assert!(!fine && stderr.contains("evidence.toml"), "{stderr}");
}
