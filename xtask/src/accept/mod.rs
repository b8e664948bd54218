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

/// One-sided 95 % Clopper-Pearson limits, by bisection on the binomial tail.
pub(crate) fn interval(hits: u64, of: u64) -> (f64, f64) {
    let tail = |p: f64, from: u64| -> f64 {
        let mut term = (1.0 - p).powf(of as f64);
        let mut sum = if from == 0 { term } else { 0.0 };
        for k in 1..=of {
            term *= (of - k + 1) as f64 / k as f64 * p / (1.0 - p);
            sum += if k >= from { term } else { 0.0 };
        }
        sum
    };
    let solve = |want: f64, from: u64| {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let p = 0.5 * (low + high);
            if tail(p, from) < want { low = p } else { high = p }
        }
        low
    };
    let low = if hits == 0 { 0.0 } else { solve(0.05, hits) };
    let high = if hits >= of { 1.0 } else { solve(0.95, hits + 1) };
    (low, high)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_interval_is_that_of_clopper_and_pearson() {
        // 18 of 19 and 0 of 300, from the beta quantiles.
        let (low, high) = super::interval(18, 19);
        assert!((low - 0.773_626).abs() < 1e-4 && (high - 0.997_30).abs() < 1e-4, "{low} {high}");
        let (low, high) = super::interval(0, 300);
        assert!(low == 0.0 && (high - 0.009_936).abs() < 1e-5, "{high}");
    }
}
