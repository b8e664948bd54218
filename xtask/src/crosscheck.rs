//! Compares a crate's numbers with other people's libraries. Optional: it needs their packages from PyPI.

use std::process::{Command, Stdio};

use crate::{Outcome, fail, root, say};

/// Random options per library.
const OPTIONS: &str = "10000";
/// Random Safe transactions.
const TRANSACTIONS: &str = "1000";

pub(crate) fn run(what: &str) -> Outcome {
    let (package, example, count, needs) = match what {
        "risk" => ("cofferdam-risk", "crosscheck", OPTIONS, "QuantLib==1.44 vollib==1.0.11"),
        "safe" => ("cofferdam-signing", "crosscheck_safe", TRANSACTIONS, "safe-eth-py==7.27.0"),
        _ => {
            let text = format!("there is nothing to cross-check in `{what}`: try `risk` or `safe`");
            return Err(vec![text]);
        }
    };
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut ours = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--release", "--package", package])
        .args(["--example", example, "--", count])
        .current_dir(root())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|it| fail("cargo run", it))?;
    let Some(lines) = ours.stdout.take() else { return Err(fail("cargo run", "no output")) };
    let theirs = Command::new(&python)
        .arg(root().join(format!("crates/{package}/examples/{example}.py")))
        .stdin(lines)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .map_err(|it| fail(&python, it))?;
    let ours = ours.wait().map_err(|it| fail("cargo run", it))?;
    say(&String::from_utf8_lossy(&theirs.stdout));
    if ours.success() && theirs.status.success() {
        return Ok(());
    }
    let mut out = vec![String::from_utf8_lossy(&theirs.stderr).into_owned()];
    out.push(format!("hint: pip install {needs}, and name the interpreter in PYTHON"));
    Err(out)
}
