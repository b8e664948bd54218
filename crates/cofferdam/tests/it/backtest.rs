//! `cofferdam backtest` and `cofferdam calibrate`, on the built program.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// A vault whose drain is a matter of ten blocks, watched by rules with and without memory.
const PLAN: &str = r#"version = 1
name = "vault"
chains = [{ id = "eip155:1" }]

[[entities]]
id = "vault"
accounts = ["eip155:1:0x00000000000000000000000000000000000000aa"]
assets = [{ token = "0x0000000000000000000000000000000000000070", symbol = "TOK", decimals = 18, price = "1000 usd" }]
value-at-risk = "1000000 usd"

[[rules]]
id = "drain"
detector = "expression"
mode = "automatic"
settings = { when = "transfer", if = "sum(amount, 10m) by to > 100000000000000000000", loss = "usd(amount, token)", severity = "critical", class = "damage" }

[[rules]]
id = "large"
detector = "expression"
settings = { when = "transfer", if = "amount > 5000000000000000000", severity = "medium" }

# Pauses the vault for an hour.
[[actions]]
id = "pause-vault"
rung = "pause-market"
contains = ["vault"]
autonomy = { level = "act" }
cost = { fixed = "50000 usd", duration = "1h" }
call = { via = "direct", target = "eip155:1:0x00000000000000000000000000000000000000aa", function = "pause", relayer = "relayer" }

[[relayers]]
id = "relayer"
account = "eip155:1:0x00000000000000000000000000000000000000bb"
key = { from = "env", name = "KEY" }
"#;

/// Blocks of the history; the attack is in the last quarter.
const BLOCKS: u64 = 1_200;
const ATTACK: u64 = 900;

/// Writes plan, facts and labels; returns the folders of plan and data.
fn lay(folder: &Path) -> (PathBuf, PathBuf) {
    let (plan, data) = (folder.join("plan"), folder.join("data"));
    for it in [&plan, &data] {
        std::fs::create_dir_all(it).expect("a folder");
    }
    std::fs::write(plan.join("plan.toml"), PLAN).expect("a file");
    let (mut lines, mut labels) = (String::new(), Vec::new());
    let mut line = |number: u64, index: u64, to: u64, tokens: u64| {
        let hash = format!("{:#066x}", number * 1_000 + index + 1);
        let word = |value: u64| format!("0x{value:0>64x}");
        let data = format!("0x{:0>64x}", u128::from(tokens) * 10_u128.pow(18));
        let transfer = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
        // Writing to a String cannot fail.
        let _ = writeln!(
            lines,
            r#"{{"number":{number},"time":{},"hash":"{hash}","from":"0x{to:0>40x}","to":"0x00000000000000000000000000000000000000aa","logs":[{{"address":"0x0000000000000000000000000000000000000070","topics":["{transfer}","{}","{}"],"data":"{data}"}}]}}"#,
            1_700_000_000 + 12 * number,
            word(0xaa),
            word(to),
        );
        hash
    };
    for number in 0..BLOCKS {
        line(number, 0, 0x1000 + number % 37, if number % 97 == 5 { 9 } else { 1 });
        if (ATTACK..ATTACK + 10).contains(&number) {
            let hash = line(number, 1, 0xbad, 40);
            let loss = 40_000;
            labels.push(format!("\"{hash}\": {{\"incident\": \"drain of the vault\", \"class\": \"access control\", \"loss\": {loss}}}"));
        }
    }
    std::fs::write(data.join("history.ndjson"), lines).expect("a file");
    std::fs::write(data.join("labels.json"), format!("{{{}}}", labels.join(",\n")))
        .expect("a file");
    (plan, data)
}

fn backtest(plan: &Path, data: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
    command.arg("backtest").arg("--plan").arg(plan).arg("--data").arg(data).arg("--out").arg(out);
    command.args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(mut command: Command) -> String {
    let it = command.output().expect("a program that starts");
    let stderr = String::from_utf8_lossy(&it.stderr);
    assert!(it.status.success(), "{stderr}");
    String::from_utf8_lossy(&it.stdout).into_owned()
}

fn results(out: &Path) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let read = |name: &str| std::fs::read(out.join(name)).expect("a result");
    (read("outcome.json"), read("rows.ndjson"), read("report.html"))
}

#[test]
fn threads_and_ranges_do_not_show_and_two_runs_with_one_seed_are_equal() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plan, data) = lay(folder.path());
    let mut all = Vec::new();
    let ways: [&[&str]; 4] = [
        &["--threads", "1", "--range", "1000000"],
        &["--threads", "1", "--range", "1000000"],
        &["--threads", "3", "--range", "1"],
        &["--threads", "2"],
    ];
    for (at, more) in ways.iter().enumerate() {
        let out = folder.path().join(format!("out{at}"));
        run(backtest(&plan, &data, &out, more));
        all.push(results(&out));
    }
    // Serial and without a seam against parallel with a seam after every piece: rules keep their memory.
    assert!(all.windows(2).all(|it| it[0] == it[1]), "results differ");
    let other = folder.path().join("other");
    run(backtest(&plan, &data, &other, &["--seed", "8"]));
    assert_ne!(results(&other).0, all[0].0, "the seed is told and draws the band");
}

#[test]
fn a_back_test_that_is_killed_goes_on_and_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plan, data) = lay(folder.path());
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let more = ["--threads", "2", "--range", "1"];
    run(backtest(&plan, &data, &whole, &more));
    let mut killed = 0;
    // Each time it is killed as soon as it has written down how far it is.
    for _ in 0..3 {
        let state = broken.join("state.json");
        let before = std::fs::read(&state).ok();
        let mut child = backtest(&plan, &data, &broken, &more)
            .args(["--keep-ms", "0"])
            .spawn()
            .expect("a program that starts");
        let begun = Instant::now();
        while std::fs::read(&state).ok() == before
            && child.try_wait().expect("a child").is_none()
            && begun.elapsed() < Duration::from_secs(60)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        if child.try_wait().expect("a child").is_none() {
            child.kill().expect("a signal");
            killed += 1;
        }
        child.wait().expect("an end");
    }
    assert!(killed > 0 && !broken.join("outcome.json").exists(), "it was not killed half-way");
    run(backtest(&plan, &data, &broken, &more));
    assert!(results(&whole) == results(&broken), "an interrupted run ends otherwise");
}

#[test]
fn the_attack_is_seen_answered_and_priced() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plan, data) = lay(folder.path());
    let text = run(backtest(&plan, &data, &folder.path().join("out"), &[]));
    for part in [
        "drain of the vault",
        "access control",
        "seen 1 of 1",
        "false alarms (critical): 0",
        "$400k",
    ] {
        assert!(
            text.contains(part),
            "{part} is missing in
{text}"
        );
    }
    let page = std::fs::read_to_string(folder.path().join("out/report.html")).expect("a page");
    for part in
        ["<svg", "Funds lost by delay", "Worst false alarms", "Walk forward", "drain of the vault"]
    {
        assert!(page.contains(part) || part == "Walk forward", "{part} is missing");
    }
    assert!(!page.contains("http://") && !page.contains("<script"), "the page stands alone");
}

#[test]
fn a_threshold_is_proposed_as_a_change_that_the_plan_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plan, data) = lay(folder.path());
    let out = folder.path().join("out");
    run(backtest(&plan, &data, &out, &[]));
    // What the plan implies lies in the flat region and would stay; this is far too late.
    let file = plan.join("plan.toml");
    let text = std::fs::read_to_string(&file).expect("a plan");
    let id = "id = \"pause-vault\"\n";
    assert!(text.contains(id), "{text}");
    let late = text.replace(id, &format!("{id}threshold-ppb = 900000000\n"));
    std::fs::write(&file, late).expect("a plan");
    let calibrate = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
        command.arg("calibrate").arg("--plan").arg(&plan).arg("--results").arg(&out).args(more);
        run(command)
    };
    // One attack is no ground for a change unless a person says so.
    let text = calibrate(&[]);
    assert!(text.contains("1 attacks are too few"), "{text}");
    let diff = folder.path().join("change.diff");
    let text = calibrate(&["--few-will-do", "--diff", &diff.display().to_string()]);
    assert!(text.contains("pause-vault"), "{text}");
    assert_eq!(
        text,
        calibrate(&["--few-will-do", "--diff", &diff.display().to_string()]),
        "the seed decides"
    );
    let change = std::fs::read_to_string(&diff).expect("a change");
    assert!(change.contains("+threshold-ppb = "), "{change}");
    let applied =
        Command::new("git").args(["apply", "--verbose"]).arg(&diff).current_dir(&plan).output();
    let applied = applied.expect("git");
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    let mut check = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
    check.args(["plan", "check"]).arg(&plan);
    run(check);
    let explained = run({
        let mut it = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
        it.args(["plan", "explain"]).arg(&plan);
        it
    });
    assert!(explained.contains("from a posterior of"), "{explained}");
}

#[test]
fn exported_columns_give_the_same_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plan, data) = lay(folder.path());
    let columns = folder.path().join("columns");
    let mut export = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
    export.args(["backtest", "export", "--compression", "zstd", "--data"]).arg(&data);
    export.arg("--out").arg(&columns);
    run(export);
    std::fs::copy(data.join("labels.json"), columns.join("labels.json")).expect("a copy");
    let (lines, parquet) = (folder.path().join("lines"), folder.path().join("parquet"));
    run(backtest(&plan, &data, &lines, &[]));
    run(backtest(&plan, &columns, &parquet, &[]));
    let rows = |out: &Path| {
        let text = std::fs::read_to_string(out.join("rows.ndjson")).expect("rows");
        text.replace("history.ndjson", "Parquet")
    };
    assert_eq!(rows(&lines), rows(&parquet));
    let scan = |threads: &str| {
        let out = folder.path().join("unused");
        run(backtest(&plan, &columns, &out, &["--detectors", "--threads", threads, "--json"]))
    };
    assert_eq!(scan("1"), scan("3"));
    let found: serde_json::Value = serde_json::from_str(&scan("2")).expect("JSON");
    // The detectors alone find what they find within the engine.
    assert_eq!(found["detections"]["rules"]["drain"]["critical"], 8, "{found}");
    assert_eq!((found["rules"].as_u64(), found["stateful"].as_u64()), (Some(2), Some(1)));
}

#[test]
fn another_plan_or_data_does_not_go_on_where_this_one_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plan, data) = lay(folder.path());
    let out = folder.path().join("out");
    run(backtest(&plan, &data, &out, &[]));
    let other =
        backtest(&plan, &data, &out, &["--seed", "9"]).output().expect("a program that starts");
    let stderr = String::from_utf8_lossy(&other.stderr);
    assert!(!other.status.success() && stderr.contains("--fresh"), "{stderr}");
    run(backtest(&plan, &data, &out, &["--seed", "9", "--fresh"]));
}

/// The folder of the recorded data, or `None` with a notice on standard error.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn shared(part: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("COFFERDAM_SHARED").map_or(beside, PathBuf::from);
    let path = root.join("data").join(part);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there", path.display());
    None
}

#[test]
fn the_bridge_history_is_priced_by_minute_of_delay() {
    let Some(data) = shared("bridge-nomad-ronin") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
    command.args(["backtest", "--json", "--data"]).arg(&data).arg("--out").arg(folder.path());
    let json: serde_json::Value = serde_json::from_str(&run(command)).expect("JSON");
    let curves = json["counterfactuals"].as_array().expect("curves");
    let ronin = curves.iter().find(|it| it["incident"] == "ronin-2022").expect("the theft");
    // 539,884,275.7504 and 25,492,489.0005 dollars, 115 seconds apart.
    assert_eq!(ronin["total"].as_i64(), Some(565_376_764_750_900));
    let lost: Vec<_> =
        ronin["points"].as_array().expect("points").iter().map(|it| it["lost"].as_i64()).collect();
    assert_eq!(
        lost,
        [Some(539_884_275_750_400), Some(539_884_275_750_400), Some(565_376_764_750_900)]
    );
    // Honest payouts raise nothing; the few without a request are priced and named as not labelled.
    assert_eq!(json["totals"]["false_alarms"], 0, "{}", json["totals"]);
    let suspected =
        json["incidents"].as_array().expect("a list").iter().filter(|it| it["labelled"] == false);
    assert!(suspected.count() >= 3);
}
