//! `cofferdam replay`: recorded exploits, their variations, and ordinary blocks under one generic plan,
//! three tables, and their figures with intervals.

use std::{fmt::Write, path::PathBuf, process::ExitCode};

use clap::Args;
use cofferdam_core::Severity;
use cofferdam_risk::numeric::special::clopper_pearson;

use super::{CliError, Output};
use crate::replay::{
    BlockLine, CaseLine, Outcome, ReplayError, VariationLine, benign, exploits, odd, scores,
    variations,
};

/// Replays recorded exploits, their variations, and ordinary blocks.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Folder with the recorded data.
    #[arg(long, default_value = "../shared/data")]
    data: PathBuf,
    /// Seed of the attackers' addresses.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Write what each detector said of exploits and ordinary blocks to this file, for `cofferdam learn llr`.
    #[arg(long)]
    scores: Option<PathBuf>,
}

pub(crate) fn run(args: &ReplayArgs, output: &Output) -> Result<ExitCode, CliError> {
    if !args.data.is_dir() {
        let error = CliError::new(format!("there is no recorded data at {}", args.data.display()));
        return Err(error.hint("name its folder with --data"));
    }
    output.note("replaying exploits …");
    let cases = exploits(&args.data, args.seed).map_err(failed)?;
    output.note("replaying variations …");
    let varied = variations(&args.data, args.seed).map_err(failed)?;
    output.note("replaying ordinary blocks …");
    let blocks = benign(&args.data).map_err(failed)?;
    output.note("replaying honest but odd blocks …");
    let odd = odd(&args.data).map_err(failed)?;
    let tables = [
        cases_table(&cases),
        variations_table(&varied),
        blocks_table("ordinary blocks", &blocks),
        blocks_table("blocks with liquidations, arbitrage and flash loans", &odd),
        figures(&cases, &varied, &blocks, &odd),
    ];
    let json = serde_json::json!({
        "exploits": cases, "variations": varied, "blocks": blocks, "odd": odd,
    });
    output.result(&json, &tables.join("\n"));
    if let Some(path) = &args.scores {
        std::fs::write(path, scores(&cases, &blocks))
            .map_err(|it| CliError::io("write the scores", it))?;
    }
    let silent = blocks.iter().chain(&odd).all(|it| it.critical() == 0);
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
    let acted = |of: fn(&CaseLine) -> u32| cases.iter().filter(|it| of(it) > 0).count();
    let (gated, open) = (acted(|it| it.orders.gated), acted(|it| it.orders.ungated));
    let _ = writeln!(out, "automatic orders: in {gated}, without the harm gate in {open}");
    out
}

fn variations_table(lines: &[VariationLine]) -> String {
    let head = ("exploit", "variation", "outcome", "found in", "lost");
    let mut out =
        format!("{:<18} {:<16} {:<10} {:<8} {:>16} what\n", head.0, head.1, head.2, head.3, head.4);
    for it in lines {
        let found = it.found_at.map_or("-".to_owned(), |at| format!("{at} of {}", it.txs));
        let lost = it.lost.to_string();
        let outcome = it.outcome.phrase();
        let _ = writeln!(
            out,
            "{:<18} {:<16} {outcome:<10} {found:<8} {lost:>16} {}",
            it.case, it.variation, it.remark
        );
    }
    let mut names: Vec<&str> = Vec::new();
    for it in lines {
        if !names.contains(&it.variation) {
            names.push(it.variation);
        }
    }
    for name in names {
        let count = |outcome| {
            let with = |it: &&VariationLine| it.variation == name && it.outcome == outcome;
            lines.iter().filter(with).count()
        };
        let (found, missed) = (count(Outcome::Found), count(Outcome::Missed));
        let _ = writeln!(out, "{name}: {found} of {} that do harm found", found + missed);
    }
    out
}

fn blocks_table(what: &str, blocks: &[BlockLine]) -> String {
    let mut out =
        format!("{:>10} {:>5} {:>10} {:<9} findings\n", "block", "txs", "protected", "executed");
    for it in blocks {
        let found: Vec<String> = it
            .findings
            .iter()
            .rev()
            .map(|(severity, count)| format!("{count} {severity}"))
            .collect();
        let executed = match it.executed {
            Some(true) => "as header",
            Some(false) => "DIFFERS",
            None => "no state",
        };
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
    for it in blocks.iter().flat_map(|it| &it.alarms) {
        let _ = writeln!(out, "false alarm of {}: {}", it.detector, it.summary);
    }
    let gated: u32 = blocks.iter().map(|it| it.orders.gated).sum();
    let open: u32 = blocks.iter().map(|it| it.orders.ungated).sum();
    let _ = writeln!(out, "automatic orders: {gated}, without the harm gate {open}");
    let _ =
        writeln!(out, "{what}: {}, {txs} transactions, {critical} critical findings", blocks.len());
    out
}

/// The headline figures with two-sided 90 % Clopper-Pearson intervals (each end one-sided 95 %).
fn figures(
    cases: &[CaseLine],
    varied: &[VariationLine],
    blocks: &[BlockLine],
    odd: &[BlockLine],
) -> String {
    let mut out = format!("{:<58} {:>15}  {:<10} 90 % interval\n", "figure", "of", "rate");
    let mut line = |what: &str, hits: u64, of: u64| {
        let rate = if of == 0 { "-".to_owned() } else { percent(hits as f64 / of as f64) };
        let (low, high) = clopper_pearson(hits, of);
        let (count, low, high) = (format!("{hits} of {of}"), percent(low), percent(high));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{what:<58} {count:>15}  {rate:<10} {low} … {high}");
    };
    let cases_with = |it: &dyn Fn(&CaseLine) -> bool| cases.iter().filter(|case| it(case)).count();
    let n = cases.len() as u64;
    let critical = cases_with(&|it| it.worst == Some(Severity::Critical)) as u64;
    line("recall: exploits with a critical finding", critical, n);
    let gated = cases_with(&|it| it.orders.gated > 0) as u64;
    line("exploits with an automatic order", gated, n);
    let open = cases_with(&|it| it.orders.ungated > 0) as u64;
    line("exploits with an automatic order, without the harm gate", open, n);
    let harm = |of: Outcome| varied.iter().filter(|it| it.outcome == of).count() as u64;
    let (found, missed) = (harm(Outcome::Found), harm(Outcome::Missed));
    line("recall: variations that do harm", found, found + missed);
    for (what, blocks) in [("ordinary", blocks), ("odd", odd)] {
        let txs: u64 = blocks.iter().map(|it| it.txs as u64).sum();
        let sum = |of: &dyn Fn(&BlockLine) -> u32| -> u64 {
            blocks.iter().map(|it| u64::from(of(it))).sum::<u64>().min(txs)
        };
        let alarms = sum(&BlockLine::critical);
        line(&format!("false alarms per {what} transaction"), alarms, txs);
        let name = format!("automatic orders per {what} transaction");
        line(&name, sum(&|it| it.orders.gated), txs);
        line(&format!("{name}, without the harm gate"), sum(&|it| it.orders.ungated), txs);
    }
    out
}

fn percent(share: f64) -> String {
    let share = share * 100.0;
    let places = if share < 1.0 && share > 0.0 { 4 } else { 1 };
    format!("{share:.places$} %")
}

fn failed(error: ReplayError) -> CliError {
    CliError::caused("replay cannot be run", error)
        .hint("the data's README names the files; --data names its folder")
}
