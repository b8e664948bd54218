//! The acceptance lines, re-runnable by anyone: each check runs the built program and is judged by
//! what it printed. One file per suite.

mod closed_loop;
mod detection;
mod faults;
mod load;
mod replays;
mod risk;

use std::process::Command;

use serde_json::Value;

use crate::{Outcome, fail, root, say};

/// One line of the table.
pub(crate) struct Row {
    /// What is checked.
    pub(crate) check: String,
    /// What was seen.
    pub(crate) figure: String,
    /// What was wanted.
    pub(crate) bar: String,
    /// Whether it was seen.
    pub(crate) pass: bool,
}

/// Runs a suite and prints its table.
pub(crate) fn run(suite: &str, more: &[&str]) -> Outcome {
    let rows = match suite {
        "loop" => closed_loop::rows()?,
        "detection" => detection::rows(more)?,
        "load" => load::rows()?,
        "risk" => risk::rows()?,
        "faults" => return faults::run(more),
        _ => {
            return Err(vec![format!(
                "no acceptance suite is named `{suite}`: loop, load, risk, detection, faults"
            )]);
        }
    };
    say(&format!("{:<58} {:<36} {:<28} pass", "check", "figure", "bar"));
    for it in &rows {
        let pass = if it.pass { "yes" } else { "NO" };
        say(&format!("{:<58} {:<36} {:<28} {pass}", it.check, it.figure, it.bar));
    }
    let failed = rows.iter().filter(|it| !it.pass).count();
    say(&format!("{} of {} checks passed", rows.len() - failed, rows.len()));
    if failed == 0 { Ok(()) } else { Err(vec![format!("{failed} checks failed")]) }
}

/// Runs the built program (release) with `--json` and reads its result. A non-zero exit is judged by
/// the result, not by the code.
pub(crate) fn program(args: &[&str]) -> Result<Value, Vec<String>> {
    say(&format!("running cofferdam {} …", args.join(" ")));
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--release", "--package", "cofferdam", "--", "--json"]);
    let output = command.args(args).current_dir(root()).output();
    let output = output.map_err(|it| fail("cofferdam", it))?;
    serde_json::from_slice(&output.stdout)
        .map_err(|_| fail("cofferdam", String::from_utf8_lossy(&output.stderr)))
}

/// A folder for journals, removed with the value.
pub(crate) struct Scratch(pub(crate) String);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cofferdam-{name}-{}", std::process::id()));
        Self(path.display().to_string())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left over in the temporary folder at the worst.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
