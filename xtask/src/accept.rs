//! The acceptance lines, re-runnable by anyone: each check runs the built program and is judged by
//! what it printed.

use std::process::Command;

use crate::{Outcome, fail, root, say};

/// One line of the table.
struct Row {
    check: String,
    figure: String,
    bar: String,
    pass: bool,
}

pub(crate) fn run(suite: &str, more: &[&str]) -> Outcome {
    let rows = match suite {
        "loop" => closed_loop()?,
        "faults" => return faults(more),
        _ => {
            let text = format!("no acceptance suite is named `{suite}`; there are: loop, faults");
            return Err(vec![text]);
        }
    };
    say(&format!("{:<52} {:<30} {:<26} pass", "check", "figure", "bar"));
    for it in &rows {
        let pass = if it.pass { "yes" } else { "NO" };
        say(&format!("{:<52} {:<30} {:<26} {pass}", it.check, it.figure, it.bar));
    }
    let failed = rows.iter().filter(|it| !it.pass).count();
    if failed == 0 {
        Ok(())
    } else {
        Err(vec![format!("{failed} of {} checks failed", rows.len())])
    }
}

/// The fault suite, as often as `--runs` says; everything else goes to the suite itself.
fn faults(more: &[&str]) -> Outcome {
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
    let mut failed = 0;
    for run in 1..=runs {
        say(&format!("run {run} of {runs}"));
        let status = Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--package", "cofferdam", "--", "drill", "faults"])
            .args(&rest)
            .current_dir(root())
            .status()
            .map_err(|it| fail("drill faults", it))?;
        failed += u32::from(!status.success());
    }
    if failed == 0 { Ok(()) } else { Err(vec![format!("{failed} of {runs} runs failed")]) }
}

fn closed_loop() -> Result<Vec<Row>, Vec<String>> {
    let out = std::env::temp_dir().join(format!("cofferdam-accept-{}", std::process::id()));
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "cofferdam", "--", "drill", "run", "--json", "--out"])
        .arg(&out)
        .current_dir(root())
        .output()
        .map_err(|it| fail("drill run", it))?;
    let cards: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout)
        .map_err(|_| fail("drill run", String::from_utf8_lossy(&output.stderr)))?;
    let mut rows = Vec::new();
    for card in &cards {
        let name = format!("{}/{}", text(&card["drill"]), text(&card["variant"]));
        let shortfalls = card["shortfalls"].as_array().map_or(1, Vec::len);
        let saved = card["saved-bps"].as_u64();
        rows.push(Row {
            check: format!("{name}: funds saved"),
            figure: saved
                .map_or("nothing at stake".into(), |it| format!("{}.{:02} %", it / 100, it % 100)),
            bar: "as its scenario expects".into(),
            pass: shortfalls == 0,
        });
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
    }
    // The journals are only needed by the drills themselves.
    let _ = std::fs::remove_dir_all(out);
    Ok(rows)
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or("?")
}
