//! `cofferdam replay`: recorded exploits and ordinary blocks under one generic plan, two tables.

use std::{fmt::Write, path::PathBuf, process::ExitCode};

use clap::Args;
use cofferdam_core::Severity;

use super::{CliError, Output};
use crate::replay::{BlockLine, CaseLine, ReplayError, benign, exploits};

/// Replays recorded exploits and ordinary blocks.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Folder with the recorded data.
    #[arg(long, default_value = "../shared/data")]
    data: PathBuf,
    /// Seed of the attackers' addresses.
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

pub(crate) fn run(args: &ReplayArgs, output: &Output) -> Result<ExitCode, CliError> {
    if !args.data.is_dir() {
        let error = CliError::new(format!("there is no recorded data at {}", args.data.display()));
        return Err(error.hint("name its folder with --data"));
    }
    output.note("replaying exploits …");
    let cases = exploits(&args.data, args.seed).map_err(failed)?;
    output.note("replaying ordinary blocks …");
    let blocks = benign(&args.data).map_err(failed)?;
    let text = format!("{}\n{}", cases_table(&cases), blocks_table(&blocks));
    output.result(&serde_json::json!({ "exploits": cases, "blocks": blocks }), &text);
    let silent = blocks.iter().all(|it| it.critical() == 0);
    Ok(if silent { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn cases_table(cases: &[CaseLine]) -> String {
    let mut out = format!("{:<30} {:<15} {:<9} what\n", "exploit", "how", "worst");
    for it in cases {
        let worst = it.worst.map_or("none".to_owned(), |it| it.to_string());
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:<30} {:<15} {worst:<9} {}", it.case, it.how, it.remark);
    }
    let critical = cases.iter().filter(|it| it.worst == Some(Severity::Critical)).count();
    let _ = writeln!(out, "{critical} of {} critical", cases.len());
    out
}

fn blocks_table(blocks: &[BlockLine]) -> String {
    let mut out =
        format!("{:>10} {:>5} {:>10} {:<9} findings\n", "block", "txs", "protected", "executed");
    for it in blocks {
        let found: Vec<String> = it
            .findings
            .iter()
            .rev()
            .map(|(severity, count)| format!("{count} {severity}"))
            .collect();
        let executed = if it.executed { "as header" } else { "DIFFERS" };
        let _ = writeln!(
            out,
            "{:>10} {:>5} {:>10} {executed:<9} {}",
            it.number,
            it.txs,
            it.protected,
            found.join(", ")
        );
    }
    let txs: usize = blocks.iter().map(|it| it.txs).sum();
    let critical: u32 = blocks.iter().map(BlockLine::critical).sum();
    let _ =
        writeln!(out, "{} blocks, {txs} transactions, {critical} critical findings", blocks.len());
    out
}

fn failed(error: ReplayError) -> CliError {
    CliError::caused("replay cannot be run", error)
        .hint("the data's README names the files; --data names its folder")
}
