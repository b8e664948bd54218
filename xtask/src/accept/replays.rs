//! Recorded history: exploits, their variations, ordinary and odd blocks, the bridge; and that a back-test which is
//! killed and resumed, or run twice, ends with the same bytes.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::{Row, Scratch, interval, list, program, text};
use crate::{fail, root, say};

/// Exploit traces that must be found, of all that are recorded.
const TRACES_MIN: u64 = 17;
/// Replays on complete state: every one must be found.
const COMPLETE_MIN: u64 = 11;
/// When a back-test is killed, in milliseconds after its start; each time it goes on from there.
const KILLS_MS: [u64; 3] = [1_500, 2_500, 4_000];
/// Files of a back-test that must be the same.
const RESULTS: [&str; 3] = ["outcome.json", "rows.ndjson", "report.html"];

/// The rows; one that says why where the data is absent.
pub(super) fn rows() -> Result<Vec<Row>, Vec<String>> {
    if !root().join("../shared/data").is_dir() {
        return Ok(vec![Row {
            check: "recorded history".into(),
            figure: "not run: ../shared/data is absent".into(),
            bar: "optional".into(),
            pass: true,
        }]);
    }
    let told = program(&["replay"])?;
    let mut rows = exploits(&told);
    rows.push(silent("ordinary blocks", list(&told["blocks"])));
    rows.push(silent("liquidations, arbitrage and flash loans", list(&told["odd"])));
    let scratch = Scratch::new("history");
    let whole = format!("{}/whole", scratch.0);
    let told = program(&backtest(&whole))?;
    rows.extend(history(&told));
    rows.push(repeated(&scratch, &whole)?);
    Ok(rows)
}

fn backtest(out: &str) -> Vec<&str> {
    vec!["backtest", "--variations", "--out", out]
}

fn rate(check: &str, (hits, of): (u64, u64), bar: String, pass: bool) -> Row {
    let (low, high) = interval(hits, of);
    let figure = format!("{hits}/{of} [{:.1}, {:.1}] %", low * 100.0, high * 100.0);
    Row { check: check.into(), figure, bar, pass }
}

fn exploits(told: &Value) -> Vec<Row> {
    let cases = list(&told["exploits"]);
    let count = |how: &dyn Fn(&str) -> bool| {
        let mine = || cases.iter().filter(|it| how(text(&it["how"])));
        let found = mine().filter(|it| text(&it["worst"]) == "critical").count() as u64;
        (found, mine().count() as u64)
    };
    let original = count(&|how| how == "original");
    let complete = count(&|how| how == "re-enacted" || how == "endowed");
    let traces = count(&|how| how != "original");
    let varied = list(&told["variations"]);
    let outcome = |of: &str| varied.iter().filter(|it| text(&it["outcome"]) == of).count() as u64;
    let (found, missed) = (outcome("found"), outcome("missed"));
    let missing: Vec<&str> = cases
        .iter()
        .filter(|it| text(&it["worst"]) != "critical")
        .map(|it| text(&it["case"]))
        .collect();
    say(&format!("not found: {}", missing.join(", ")));
    let all = |(found, of): (u64, u64), least: u64| found == of && of >= least;
    vec![
        rate("exploit traces found", traces, format!(">= {TRACES_MIN}"), traces.0 >= TRACES_MIN),
        rate("of these, on complete state", complete, "all".into(), all(complete, COMPLETE_MIN)),
        rate("original transactions found", original, "all".into(), all(original, 2)),
        rate(
            "variations that do harm found",
            (found, found + missed),
            "all".into(),
            found > 0 && missed == 0,
        ),
    ]
}

/// Blocks in which nothing may be critical.
fn silent(what: &str, blocks: &[Value]) -> Row {
    let txs: u64 = blocks.iter().filter_map(|it| it["txs"].as_u64()).sum();
    let alarms: u64 = blocks.iter().map(|it| list(&it["alarms"]).len() as u64).sum();
    let (_, high) = interval(alarms.min(txs), txs);
    Row {
        check: format!("critical findings, {what}"),
        figure: format!("{alarms} of {txs} transactions, < {high:.1e}"),
        bar: "0".into(),
        pass: alarms == 0 && txs > 0,
    }
}

/// What the back-test says of everything together, the bridge's history among it.
fn history(told: &Value) -> Vec<Row> {
    let totals = &told["totals"];
    let number = |key: &str| totals[key].as_u64().unwrap_or(u64::MAX);
    let benign = number("benign");
    let zero = |check: &str, hits: u64| {
        let (_, high) = interval(hits.min(benign), benign);
        Row {
            check: check.into(),
            figure: format!("{hits} of {benign}, < {high:.1e}"),
            bar: "0".into(),
            pass: hits == 0 && benign > 0,
        }
    };
    let seen = (number("attacks_seen"), number("attacks"));
    let bridge = list(&told["strands"]).iter().filter(|it| text(&it["name"]).starts_with("nomad"));
    let blocks: u64 = bridge.filter_map(|it| it["blocks"].as_u64()).sum();
    let leads: Vec<f64> = list(&told["incidents"])
        .iter()
        .filter_map(|it| it["seen"]["lead_blocks"].as_f64())
        .collect();
    let ahead = leads.iter().filter(|it| **it > 0.0).count();
    vec![
        rate("back-test: attacks seen", seen, ">= 90 %".into(), seen.0 * 10 >= seen.1 * 9),
        zero("back-test: honest transactions with a critical finding", number("false_alarms")),
        zero("back-test: honest transactions with an automatic order", number("false_orders")),
        Row {
            check: "back-test: history of the bridge gone through".into(),
            figure: format!("{blocks} blocks"),
            bar: "printed".into(),
            pass: blocks > 0,
        },
        Row {
            check: "back-test: lead of the first critical finding".into(),
            figure: format!("{ahead} of {} before the last loss", leads.len()),
            bar: "printed".into(),
            pass: !leads.is_empty(),
        },
        Row {
            check: "back-test: lost without and with the plan".into(),
            figure: format!(
                "${} and ${}",
                number("lost") / 1_000_000,
                number("lost_with") / 1_000_000
            ),
            bar: "printed".into(),
            pass: number("lost_with") <= number("lost"),
        },
    ]
}

/// Kills the same back-test several times, lets it end, and compares every file with those of the run that was whole.
fn repeated(scratch: &Scratch, whole: &str) -> Result<Row, Vec<String>> {
    let other = format!("{}/killed", scratch.0);
    say("running and killing the back-test …");
    let mut killed = 0;
    for wait in KILLS_MS {
        let mut child = built()
            .args(backtest(&other))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|it| fail("cofferdam", it))?;
        std::thread::sleep(Duration::from_millis(wait));
        killed += u32::from(child.try_wait().map_err(|it| fail("cofferdam", it))?.is_none());
        // It may have ended by itself; then nothing was killed.
        let _ = child.kill();
        child.wait().map_err(|it| fail("cofferdam", it))?;
    }
    program(&backtest(&other))?;
    let read = |folder: &str, file: &str| std::fs::read(Path::new(folder).join(file));
    let mut same = 0;
    for file in RESULTS {
        let (one, two) = (read(whole, file), read(&other, file));
        same += u32::from(one.map_err(|it| fail(file, it))? == two.map_err(|it| fail(file, it))?);
    }
    Ok(Row {
        check: "back-test killed and resumed, and run again: same bytes".into(),
        figure: format!("{same} of {} files after {killed} kills", RESULTS.len()),
        bar: "all, killed at least once".into(),
        pass: same as usize == RESULTS.len() && killed > 0,
    })
}

/// The program itself, as `cargo run` built it: what is killed must not be cargo.
fn built() -> Command {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), std::path::PathBuf::from);
    let mut command = Command::new(target.join("release/cofferdam"));
    command.current_dir(root());
    command
}
