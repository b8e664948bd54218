//! `cofferdam calibrate`: thresholds of a plan's actions from a back-test, as a change for review.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use cofferdam_backtest::{
    Outcome,
    calibrate::{Assumed, calibrate},
    set_in_action, unified,
};

use super::{CliError, Output, backtest::failed, plan};
use crate::backtest::{calibration, kept_rows};
use crate::risk::{curve::chart, html};

/// Chooses thresholds from a back-test.
#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// Folder of the plan whose actions get a threshold.
    #[arg(long)]
    plan: PathBuf,
    /// Folder of the back-test's results.
    #[arg(long, default_value = ".cofferdam/backtest")]
    results: PathBuf,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Attacks a year that this protocol must expect; the default is the base rate of `risk.md` §9.1.
    #[arg(long, default_value_t = 0.042)]
    attacks_per_year: f64,
    /// Share of the attacks that are seen before their inclusion and answered ahead of it, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pre_empted: f64,
    /// Choose on what came before this time alone (seconds since the Unix epoch), so that the rest can judge it.
    #[arg(long)]
    until: Option<u64>,
    /// Propose a change from fewer attacks than a claim needs.
    #[arg(long)]
    few_will_do: bool,
    /// Write the change of `plan.toml` to this file instead of printing it.
    #[arg(long)]
    diff: Option<PathBuf>,
    /// Write the curves to this file as one page.
    #[arg(long)]
    html: Option<PathBuf>,
}

fn share(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|it| (0.0..=1.0).contains(it));
    value.ok_or_else(|| "a share is between 0 and 1".into())
}

pub(crate) fn run(args: &CalibrateArgs, output: &Output) -> Result<ExitCode, CliError> {
    let (plan, _) = plan::load(&args.plan)?;
    let file = args.results.join("outcome.json");
    let none = |it| {
        CliError::caused(format!("there is no back-test at {}", args.results.display()), it)
            .hint("run `cofferdam backtest --plan …` first, or name its folder with --results")
    };
    let text = std::fs::read_to_string(&file).map_err(none)?;
    let outcome: Outcome = serde_json::from_str(&text).map_err(|it| {
        CliError::caused(format!("{} is no result of a back-test", file.display()), it)
    })?;
    let rows = kept_rows(&args.results).map_err(failed)?;
    let until = args.until.map_or(u64::MAX, |it| it.saturating_mul(1_000));
    let (seed, attacks_per_year, pre_empted) = (args.seed, args.attacks_per_year, args.pre_empted);
    let assumed = Assumed { seed, attacks_per_year, pre_empted, until };
    let lines = calibrate(&plan, &rows, &outcome.strands, &assumed, args.few_will_do);
    let lines = lines.map_err(|it| {
        CliError::caused("no threshold can be chosen", it)
            .hint("a threshold needs attacks: put labels.json beside the data and run the back-test again")
    })?;
    let path = args.plan.join("plan.toml");
    let old = std::fs::read_to_string(&path).map_err(|it| CliError::io("read the plan", it))?;
    let mut new = old.clone();
    for it in &lines {
        let Some(threshold) = it.proposed else { continue };
        new = set_in_action(&new, &it.action, "threshold-ppb", &threshold.to_string()).map_err(
            |it| {
                CliError::caused("the plan cannot be changed", it)
                    .hint("write the threshold by hand")
            },
        )?;
    }
    let diff = unified("plan.toml", &old, &new);
    let mut told = calibration(&lines);
    told.push_str(&format!(
        "assumed: {attacks_per_year} attacks a year, {:.0} % pre-empted, seed {seed}\n",
        100.0 * pre_empted
    ));
    match (&args.diff, diff.is_empty()) {
        (_, true) => told.push_str("nothing to change\n"),
        (None, false) => told.push_str(&format!("\n{diff}")),
        (Some(to), false) => {
            std::fs::write(to, &diff).map_err(|it| CliError::io("write the change", it))?;
            told.push_str(&format!(
                "wrote {}: review it, then `patch -p1` in the plan's folder\n",
                to.display()
            ));
        }
    }
    if let Some(to) = &args.html {
        let section = |it: &cofferdam_backtest::calibrate::ActionLine| {
            let today = it.today.map(|it| f64::from(it) / 1e9);
            html::section(&it.action, &chart(&it.curve, today))
        };
        let sections: Vec<String> = lines.iter().map(section).collect();
        std::fs::write(to, html::page("Thresholds", &sections))
            .map_err(|it| CliError::io("write the curves", it))?;
    }
    output
        .result(&serde_json::json!({ "assumed": assumed, "actions": lines, "diff": diff }), &told);
    Ok(ExitCode::SUCCESS)
}
