//! `cargo xtask bench <id>`: builds a benchmark in release, runs it beside its peers, and judges the
//! ratios against the bars. A figure without its peer from the same run is never judged.

mod report;

use std::process::{Command, Stdio};

use crate::{Outcome, fail, root, say};

/// The benchmarks: id, and what is measured against what.
const BENCHES: &[(&str, &str)] = &[
    ("g1", "dispatch of logs to detectors: hash index, linear scan, forta-agent"),
    ("g11", "journal: our file and SQLite, raw write+fdatasync, redb"),
    ("g12", "streaming detectors: half-space trees against river's on its Shuttle data"),
];

/// Runs the benchmark `id`; `json` prints its report as one JSON object instead of a table.
pub(crate) fn run(id: &str, json: bool) -> Outcome {
    if !BENCHES.iter().any(|(known, _)| *known == id) {
        let known: Vec<String> =
            BENCHES.iter().map(|(id, what)| format!("  {id:<5} {what}")).collect();
        return Err(vec![format!(
            "no benchmark is named `{id}`; there are:\n{}",
            known.join("\n")
        )]);
    }
    let output = Command::new(env!("CARGO"))
        .args(["run", "--release", "--quiet", "--locked", "--package", "benches", "--", id])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|it| fail("cargo run", it))?;
    if !output.status.success() {
        return Err(fail(&format!("benchmark {id}"), output.status));
    }
    let report =
        report::parse(&output.stdout).map_err(|it| fail(&format!("benchmark {id}"), it))?;
    if json {
        say(String::from_utf8_lossy(&output.stdout).trim_end());
    } else {
        say(&report::table(&report));
    }
    let missed: Vec<String> = report::missed(&report);
    if missed.is_empty() { Ok(()) } else { Err(missed) }
}
