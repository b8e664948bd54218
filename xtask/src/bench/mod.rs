//! `cargo xtask bench <id>`: builds a benchmark in release, runs it beside its peers, and judges the
//! ratios against the bars. A figure without its peer from the same run is never judged.

mod report;

use std::process::{Command, Stdio};

use crate::{Outcome, fail, root, say};

/// The benchmarks: id, what is measured against what, and how long it takes on two CPUs.
const BENCHES: &[(&str, &str)] = &[
    ("g1", "dispatch of logs to detectors: hash index, linear scan, forta-agent"),
    ("g3", "simulation of a pending transaction: ours, anvil over its socket"),
    ("g4", "pending attack to containment in the pool: the program, sign-and-send, viem"),
    (
        "g4b",
        "mined attack to containment in the pool: the program, viem; 200 events under 500 rules",
    ),
    (
        "g8",
        "back-test: 1,000 detectors over 10 M logs in Parquet, DuckDB and polars on the same files",
    ),
    ("g11", "journal: our file and SQLite, raw write+fdatasync, rusqlite, redb"),
    ("g12", "streaming detectors: half-space trees against river's on its Shuttle data"),
    ("race", "pending attack against the next block: the program, an oracle; draws docs/race.svg"),
    ("soak", "7,200 mainnet blocks under 500 rules: memory and lag"),
];

/// Where the plot of the race is drawn.
const PICTURE: &str = "docs/race.svg";

/// Runs the benchmark `id`. `--json` prints its report as one JSON object instead of a table, `--quick`
/// runs it on so little that only whether it works can be told.
pub(crate) fn run(id: &str, flags: &[&str]) -> Outcome {
    if id == "g7" {
        // Attacks and alarms are counted, not timed: the suite of detection measures and judges it.
        return crate::accept::run("detection", flags);
    }
    if !BENCHES.iter().any(|(known, _)| *known == id) {
        let known: Vec<String> =
            BENCHES.iter().map(|(id, what)| format!("  {id:<5} {what}")).collect();
        return Err(vec![format!(
            "no benchmark is named `{id}`; there are:\n{}",
            known.join("\n")
        )]);
    }
    if let Some(unknown) = flags.iter().find(|it| !matches!(**it, "--json" | "--quick")) {
        return Err(vec![format!("`{unknown}` is neither --json nor --quick")]);
    }
    let quick = flags.contains(&"--quick");
    let mut words = vec![id];
    if id == "race" && !quick {
        words.push(PICTURE);
    }
    words.extend(quick.then_some("--quick"));
    let output = Command::new(build()?)
        .args(&words)
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|it| fail("run the benchmark", it))?;
    if !output.status.success() {
        return Err(fail(&format!("benchmark {id}"), output.status));
    }
    let report =
        report::parse(&output.stdout).map_err(|it| fail(&format!("benchmark {id}"), it))?;
    if flags.contains(&"--json") {
        say(String::from_utf8_lossy(&output.stdout).trim_end());
    } else {
        say(&report::table(&report));
        say(&format!("command: cargo xtask bench {}", words_of(id, quick)));
    }
    let missed: Vec<String> = report::missed(&report);
    if missed.is_empty() || quick { Ok(()) } else { Err(missed) }
}

fn words_of(id: &str, quick: bool) -> String {
    if quick { format!("{id} --quick: too little to judge by") } else { id.to_owned() }
}

/// Builds the benchmarks and, in one go, the program that some of them run. Returns the benchmarks.
fn build() -> Result<std::path::PathBuf, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--locked", "--message-format", "json"])
        .args(["--package", "benches", "--package", "cofferdam", "--bins"])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|it| fail("cargo build", it))?;
    if !output.status.success() {
        return Err(fail("cargo build", output.status));
    }
    let lines = output.stdout.split(|it| *it == b'\n');
    let built = lines.filter_map(|it| serde_json::from_slice::<serde_json::Value>(it).ok());
    let name = |it: &serde_json::Value| it["target"]["name"].as_str() == Some("benches");
    let found = built.filter(name).find_map(|it| Some(it["executable"].as_str()?.into()));
    found.ok_or_else(|| vec!["cargo built no benchmarks".into()])
}
