//! The fault suite against the built program, which prints its own table.

use std::process::Command;

use crate::{Outcome, fail, root, say};

/// As often as `--runs` says; everything else goes to the suite itself.
pub(super) fn run(more: &[&str]) -> Outcome {
    let (mut runs, mut rest) = (1_u32, Vec::new());
    let mut words = more.iter();
    while let Some(word) = words.next() {
        if *word != "--runs" {
            rest.push(*word);
            continue;
        }
        let count = words.next().and_then(|it| it.parse().ok());
        runs = count.ok_or_else(|| vec!["--runs takes a number".to_owned()])?;
    }
    clock_library();
    let mut failed = 0;
    for run in 1..=runs {
        say(&format!("run {run} of {runs}"));
        let program = ["run", "--quiet", "--release", "--package", "cofferdam", "--"];
        let status = Command::new(env!("CARGO"))
            .args(program)
            .args(["drill", "faults"])
            .args(&rest)
            .current_dir(root())
            .status()
            .map_err(|it| fail("drill faults", it))?;
        failed += u32::from(!status.success());
    }
    if failed == 0 { Ok(()) } else { Err(vec![format!("{failed} of {runs} runs failed")]) }
}

/// The row in which the clock jumps needs libfaketime. Where it cannot be installed, the row says so.
fn clock_library() {
    let there = ["x86_64", "aarch64"].iter().any(|it| {
        std::path::Path::new(&format!("/usr/lib/{it}-linux-gnu/faketime/libfaketime.so.1")).exists()
    });
    if !there {
        say("installing faketime …");
        let install = "apt-get update -qq && apt-get install -y -qq faketime";
        let done = Command::new("sh").args(["-c", install]).output();
        if !done.is_ok_and(|it| it.status.success()) {
            say("faketime cannot be installed");
        }
    }
}
