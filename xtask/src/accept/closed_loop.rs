//! The closed loop: drills on both chains, live drills against the program itself, replays, contracts.

use std::process::Command;

use serde_json::Value;

use super::{Row, Scratch, list, program, text};
use crate::{fail, root, say};

/// Rounds of each live drill: each gives one reaction.
const LIVE_ROUNDS: &str = "10";
/// Exploit traces that must raise a critical finding.
const TRACES_MIN: usize = 10;

pub(super) fn rows() -> Result<Vec<Row>, Vec<String>> {
    let scratch = Scratch::new("loop");
    let mut rows = Vec::new();
    for chain in ["local", "anvil"] {
        let cards = program(&["drill", "run", "--all", "--chain", chain, "--out", &scratch.0])?;
        rows.extend(list(&cards).iter().flat_map(|it| drill(it, chain)));
    }
    for (id, variant) in [("d1-venus-donation", "split"), ("d5-uniswap-oracle", "public")] {
        let args = ["--variant", variant, "--rounds", LIVE_ROUNDS, "--out", &scratch.0];
        let told = program(&[&["drill", "live", id][..], &args].concat())?;
        rows.extend(live(&told, id, variant));
    }
    let data = root().join("../shared/data");
    if data.is_dir() {
        rows.extend(replays(&program(&["replay", "--data", &data.display().to_string()])?));
    } else {
        say("skipped: there is no recorded data beside the repository (../shared/data)");
    }
    rows.push(contracts()?);
    Ok(rows)
}

fn drill(card: &Value, chain: &str) -> Vec<Row> {
    let name = format!("{}/{} on {chain}", text(&card["drill"]), text(&card["variant"]));
    let saved = card["saved-bps"].as_u64();
    let mut rows = vec![Row {
        check: format!("{name}: funds saved"),
        figure: saved
            .map_or("nothing at stake".into(), |it| format!("{}.{:02} %", it / 100, it % 100)),
        bar: "as its scenario expects".into(),
        pass: list(&card["shortfalls"]).is_empty(),
    }];
    if let Some(blocks) = card["contain-blocks"].as_u64() {
        rows.push(Row {
            check: format!("{name}: blocks to contain"),
            figure: format!("{blocks}, seen → pool {} µs", card["react-us"]),
            bar: "next block at the latest".into(),
            pass: blocks <= 1,
        });
    }
    rows.push(Row {
        check: format!("{name}: journal verifies"),
        figure: format!("{} entries", card["journal-entries"]),
        bar: "all entries".into(),
        pass: card["journal-entries"].is_u64(),
    });
    rows
}

fn live(told: &Value, id: &str, variant: &str) -> Vec<Row> {
    let cards = list(&told["cards"]);
    let good = cards.iter().filter(|it| list(&it["shortfalls"]).is_empty()).count();
    let blocks = cards.iter().filter_map(|it| it["contain-blocks"].as_u64());
    let name = format!("`cofferdam run` beside anvil, {id}/{variant}");
    let (late, count) = (blocks.clone().max(), blocks.count());
    vec![
        Row {
            check: format!("{name}: contained, saved, journal verified"),
            figure: format!("{good} of {} rounds", cards.len()),
            bar: "every round".into(),
            pass: good == cards.len() && !cards.is_empty(),
        },
        Row {
            check: format!("{name}: pause effective"),
            figure: format!("{} blocks after the attack", late.unwrap_or(u64::MAX)),
            bar: "next block at the latest".into(),
            pass: count == cards.len() && late.is_some_and(|it| it <= 1),
        },
        Row {
            check: format!("{name}: seen → in the pool"),
            figure: format!(
                "p50 {} µs, p99 {} µs",
                told["reaction-p50-us"], told["reaction-p99-us"]
            ),
            bar: "printed".into(),
            pass: told["reaction-p99-us"].is_u64(),
        },
    ]
}

fn replays(told: &Value) -> Vec<Row> {
    let critical = |it: &&Value| it["worst"] == "critical";
    let (traces, originals): (Vec<&Value>, Vec<&Value>) =
        list(&told["exploits"]).iter().partition(|it| text(&it["how"]) != "original");
    let hits = |of: &[&Value]| of.iter().filter(|it| critical(it)).count();
    let varied = list(&told["variations"]);
    let missed: Vec<&Value> = varied.iter().filter(|it| it["outcome"] == "missed").collect();
    let found = varied.iter().filter(|it| it["outcome"] == "found").count();
    let mut rows = vec![
        Row {
            check: "replay: original transactions critical".into(),
            figure: format!("{} of {}", hits(&originals), originals.len()),
            bar: "all".into(),
            pass: !originals.is_empty() && hits(&originals) == originals.len(),
        },
        Row {
            check: "replay: exploit traces critical".into(),
            figure: format!("{} of {}", hits(&traces), traces.len()),
            bar: format!("at least {TRACES_MIN}"),
            pass: hits(&traces) >= TRACES_MIN,
        },
        Row {
            check: "replay: variations that do harm found".into(),
            figure: format!("{found} of {}", found + missed.len()),
            bar: "all".into(),
            pass: found > 0 && missed.is_empty(),
        },
    ];
    for (key, what) in [("blocks", "ordinary blocks"), ("odd", "honest but odd blocks")] {
        let blocks = list(&told[key]);
        let count = |it: &Value| it["findings"]["critical"].as_u64().unwrap_or(0);
        let critical: u64 = blocks.iter().map(count).sum();
        let txs: u64 = blocks.iter().filter_map(|it| it["txs"].as_u64()).sum();
        rows.push(Row {
            check: format!("replay: critical findings in {what}"),
            figure: format!("{critical} in {} blocks, {txs} txs", blocks.len()),
            bar: "0".into(),
            pass: critical == 0 && !blocks.is_empty(),
        });
    }
    rows
}

/// Builds the contracts afresh, runs every test and invariant (gas bars among them), compares `abi/`.
fn contracts() -> Result<Row, Vec<String>> {
    say("running contracts/bin/test …");
    let output = Command::new("bash").arg("contracts/bin/test").current_dir(root()).output();
    let output = output.map_err(|it| fail("contracts/bin/test", it))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().rev().find(|it| it.contains("tests passed")).unwrap_or("no summary");
    let plain: String = last.trim().chars().filter(|it| !it.is_control()).take(36).collect();
    Ok(Row {
        check: "contracts: invariants, gas bars, reproducible abi/".into(),
        figure: plain,
        bar: "all".into(),
        pass: output.status.success(),
    })
}
