//! Decisions in money: golden values by name, limiters against the EVM, replays, metamorphic properties,
//! the drills under both rules, latency; and what needs other people's libraries, where they are.

use std::{
    collections::BTreeMap,
    process::{Command, Output},
};

use serde_json::Value;

use super::{Row, Scratch, list, program, text};
use crate::{fail, root, say};

/// Golden tests of `cofferdam-risk`: all that are named here must have run and passed.
const GOLDEN: &[(&str, &[&str])] = &[
    (
        "golden_pricing",
        &[
            "black76_inverse_golden",
            "implied_vol_golden",
            "haug_table",
            "univ3_lp",
            "inverse_perp",
            "deribit_delta_decay",
        ],
    ),
    (
        "golden_vol",
        &[
            "svi_vogt",
            "svi_fits_reference",
            "vol_estimators",
            "garch_fcp_benchmark",
            "merton_jump",
            "heston",
        ],
    ),
    (
        "golden_solvency",
        &[
            "scenario_grid_real",
            "delta_gamma_pause",
            "pause_shortfall_closed_form",
            "adl_waterfall",
        ],
    ),
    ("golden_decision", &["bayes_fusion", "decision_rule", "optimal_stopping"]),
    (
        "golden_evidence",
        &["danish_fire_claims", "severity_reference", "misc", "quickest_detection", "calibration"],
    ),
    ("golden_limiters", &["rate_limiters"]),
    (
        "golden_contagion",
        &["eisenberg_noe", "debtrank", "cpmm", "cpmm_depth", "liquidation_cascade"],
    ),
];

/// Random sequences that each limiter and its Solidity must agree on to the wei.
const LIMITER_SEQUENCES: &str = "10000";

pub(super) fn rows() -> Result<Vec<Row>, Vec<String>> {
    let mut rows = tests()?;
    rows.extend(drills()?);
    rows.extend(latency()?);
    rows.push(crosscheck());
    rows.push(speed());
    Ok(rows)
}

/// Runs tests by nextest filter and returns whether each passed, by binary and name.
fn nextest(packages: &[&str], filter: &str) -> Result<BTreeMap<String, bool>, Vec<String>> {
    say(&format!("running cargo nextest run {} -E '{filter}' …", packages.join(" ")));
    let mut command = Command::new(env!("CARGO"));
    command.env("COFFERDAM_SEQUENCES", LIMITER_SEQUENCES);
    command.args(["nextest", "run", "--no-fail-fast", "--status-level", "all", "--color", "never"]);
    for it in packages {
        command.args(["--package", it]);
    }
    command.args(["-E", filter]);
    let output = output(&mut command, "cargo nextest")?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = told.lines().map(str::split_whitespace).filter_map(|mut words| {
        let pass = match words.next()? {
            "PASS" => true,
            "FAIL" | "SIGABRT" | "TIMEOUT" => false,
            _ => return None,
        };
        let name: Vec<&str> = words.collect();
        Some((name.get(name.len().checked_sub(2)?..)?.join(" "), pass))
    });
    let seen: BTreeMap<String, bool> = lines.collect();
    if seen.is_empty() { Err(vec![told]) } else { Ok(seen) }
}

fn output(command: &mut Command, name: &str) -> Result<Output, Vec<String>> {
    command.current_dir(root()).output().map_err(|it| fail(name, it))
}

fn tests() -> Result<Vec<Row>, Vec<String>> {
    let binaries = "binary(/^golden_/) or binary(metamorphic) or binary(replays)";
    let decision =
        "package(cofferdam-decide) or (package(cofferdam-risk) and test(/waiting|progress|drain/))";
    let filter = format!("({binaries}) or ({decision})");
    let seen = nextest(&["cofferdam-risk", "cofferdam-decide"], &filter)?;
    let mut rows = Vec::new();
    for (binary, tests) in GOLDEN {
        for test in *tests {
            let passed = seen.iter().find(|(name, _)| {
                name.contains(binary) && name.rsplit([' ', ':']).next() == Some(test)
            });
            rows.push(Row {
                check: format!("golden values: {test}"),
                figure: passed
                    .map_or("not run", |(_, it)| if *it { "passed" } else { "failed" })
                    .into(),
                bar: "accuracy of risk.md §4.4 and siblings".into(),
                pass: passed.is_some_and(|(_, it)| *it),
            });
        }
    }
    for (check, part, least) in [
        ("metamorphic properties of §17", "metamorphic", 9),
        ("replays of §12.4 and Nomad", "replays", 5),
        ("decision: snapshots and properties", "cofferdam-decide", 10),
        ("sequential table, stages, drain", "cofferdam-risk ", 10),
    ] {
        rows.push(counted(check, &seen, part, least));
    }
    let limiters = nextest(&["cofferdam-positions"], "binary(limiters)")?;
    let check = format!("limiters against the EVM, {LIMITER_SEQUENCES} sequences each");
    rows.push(counted(&check, &limiters, "", 1));
    Ok(rows)
}

fn counted(check: &str, seen: &BTreeMap<String, bool>, part: &str, least: usize) -> Row {
    let mine: Vec<bool> =
        seen.iter().filter(|(name, _)| name.contains(part)).map(|it| *it.1).collect();
    let passed = mine.iter().filter(|it| **it).count();
    Row {
        check: check.into(),
        figure: format!("{passed} of {} passed", mine.len()),
        bar: format!("all, {least} at least"),
        pass: passed == mine.len() && mine.len() >= least,
    }
}

fn drills() -> Result<Vec<Row>, Vec<String>> {
    let scratch = Scratch::new("risk");
    let told = program(&["drill", "compare", "--all", "--out", &scratch.0])?;
    Ok(list(&told).iter().map(drill).collect())
}

fn drill(it: &Value) -> Row {
    let blocks = |card: &Value| {
        card["contain-blocks"].as_u64().map_or("never".to_owned(), |it| format!("block {it}"))
    };
    let (one_shot, full) = (&it["one-shot"], &it["full"]);
    let benign = it["benign"].as_bool().unwrap_or(false);
    let when = |card: &Value| {
        let at = |field: &str| card[field].as_u64().unwrap_or(u64::MAX);
        (at("contain-blocks"), at("contain-ms"))
    };
    let loss = |card: &Value| card["loss"].as_str().and_then(|it| it.parse::<i128>().ok());
    let abstains = full["contain-ms"].is_null();
    let no_later = when(full) <= when(one_shot) && loss(full) <= loss(one_shot);
    Row {
        check: format!("{}/{}: full against one-shot", text(&it["drill"]), text(&it["variant"])),
        figure: format!("{} against {}", blocks(full), blocks(one_shot)),
        bar: if benign { "abstains".into() } else { "no later, no more lost".into() },
        pass: if benign { abstains } else { no_later },
    }
}

/// The lines of the example: name, value, unit, bar, whether it is met.
fn latency() -> Result<Vec<Row>, Vec<String>> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--release", "--package", "cofferdam-decide"]);
    command.args(["--example", "latency"]);
    let output = output(&mut command, "latency")?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let row = |line: &str| {
        let words: Vec<&str> = line.split('\t').collect();
        let [name, value, unit, bar, pass] = words[..] else { return None };
        Some(Row {
            check: format!("latency: {name}"),
            figure: format!("{value} {unit}"),
            bar: format!("at most {bar} {unit}"),
            pass: pass == "yes",
        })
    };
    let rows: Vec<Row> = told.lines().filter_map(row).collect();
    match rows.is_empty() {
        true => Err(vec![String::from_utf8_lossy(&output.stderr).into_owned()]),
        false => Ok(rows),
    }
}

fn python() -> String {
    std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

fn imports(modules: &str) -> bool {
    let run = Command::new(python()).args(["-c", &format!("import {modules}")]).output();
    run.is_ok_and(|it| it.status.success())
}

/// A row for a comparison whose peer is not installed: it says so and fails nothing.
fn not_run(check: &str, missing: &str) -> Row {
    Row {
        check: check.into(),
        figure: format!("not run: {missing}"),
        bar: "optional".into(),
        pass: true,
    }
}

fn crosscheck() -> Row {
    let check = "cross-check against QuantLib and vollib";
    if !imports("QuantLib, vollib") {
        return not_run(check, "QuantLib and vollib are not installed");
    }
    let outcome = crate::crosscheck::run("risk");
    Row {
        check: check.into(),
        figure: outcome.as_ref().map_or_else(|it| it.join(" "), |()| "agrees".into()),
        bar: "10,000 points each".into(),
        pass: outcome.is_ok(),
    }
}

fn speed() -> Row {
    let check = "G10 and §14 beside QuantLib C++ and numpy";
    let header = std::path::Path::new("/usr/include/ql/quantlib.hpp");
    if !header.is_file() || !imports("numpy, scipy") {
        return not_run(check, "libquantlib0-dev or numpy and scipy are not installed");
    }
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--release", "--package", "cofferdam-risk"]);
    command.args(["--example", "speed", "--", "--peers"]);
    let told = match output(&mut command, "speed") {
        Ok(it) => String::from_utf8_lossy(&it.stdout).into_owned(),
        Err(it) => it.join(" "),
    };
    say(&told);
    let met = told.lines().find(|it| it.ends_with("targets met")).unwrap_or("it did not finish");
    let all = met.split_whitespace().next() == met.split_whitespace().nth(2);
    Row { check: check.into(), figure: met.into(), bar: "all".into(), pass: all }
}
