//! `cofferdam learn`: guards from a protocol's history, as a fragment of a plan for review; `learn llr`: an evidence
//! card from labelled scores.

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand};
use cofferdam_learn::{Fragment, Options, learn, report};

use super::{CliError, Output, card, plan};
use crate::replay::history;

/// Learns guards from recorded blocks.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct LearnArgs {
    #[command(subcommand)]
    command: Option<LearnCommand>,
    /// Folder of the plan whose entities are learned about.
    #[arg(long, required = true)]
    plan: Option<PathBuf>,
    /// Folder with the recorded data.
    #[arg(long, default_value = "../shared/data")]
    data: PathBuf,
    /// Share of the blocks, the latest, that guards are judged on.
    #[arg(long, default_value_t = 0.3, value_parser = share)]
    holdout: f64,
    /// What is added to a greatest and taken from a least value.
    #[arg(long, default_value_t = 0.2, value_parser = share)]
    margin: f64,
    /// Fewest observations of a guard.
    #[arg(long, default_value_t = Options::default().support_min)]
    support: u64,
    /// Days for which the guards count.
    #[arg(long, default_value_t = Options::default().valid_days)]
    valid_days: u32,
    /// The present, in seconds since the Unix epoch; left out, the clock's.
    #[arg(long)]
    now: Option<u64>,
    /// Propose half-space trees too. Their state goes into the journal with every block that touches the
    /// entity.
    #[arg(long)]
    trees: bool,
    /// Seed of the models that draw.
    #[arg(long, default_value_t = Options::default().seed)]
    seed: u64,
    /// Write the fragment to this file instead of printing it.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// What else is learned.
#[derive(Debug, Subcommand)]
enum LearnCommand {
    /// Fits an evidence card to labelled scores: what each score of each detector is worth.
    Llr(card::LlrArgs),
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|it| (0.0..1.0).contains(it));
    value.ok_or_else(|| "a share is at least 0 and below 1, e.g. 0.3".into())
}

pub(super) fn ppm(share: f64) -> u32 {
    (share * 1e6).round() as u32
}

pub(crate) fn run(args: &LearnArgs, output: &Output) -> Result<ExitCode, CliError> {
    if let Some(LearnCommand::Llr(args)) = &args.command {
        return card::llr(args, output);
    }
    let Some(folder) = &args.plan else {
        return Err(CliError::new("no plan is named").hint("name its folder with --plan"));
    };
    if !args.data.is_dir() {
        let error = CliError::new(format!("there is no recorded data at {}", args.data.display()));
        return Err(error.hint("name its folder with --data"));
    }
    let (plan, _) = plan::load(folder)?;
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    let options = Options {
        holdout_ppm: ppm(args.holdout),
        margin_ppm: ppm(args.margin).into(),
        support_min: args.support,
        now: args.now.unwrap_or(clock),
        valid_days: args.valid_days,
        trees: args.trees,
        seed: args.seed,
        ..Options::default()
    };
    let histories = history(&args.data, &plan, &mut |done, of| {
        output.status(&format!("blocks {done} of {of}"));
    });
    output.note("");
    let histories = histories.map_err(|it| {
        CliError::caused("the history cannot be read", it)
            .hint("the data's README names the files; --data names its folder")
    })?;
    let mut rules = Vec::new();
    for history in histories {
        match learn(history, &options) {
            Ok(it) => rules.push(it),
            Err(error) => output.note(&format!("note: {error}")),
        }
    }
    if rules.is_empty() {
        return Err(CliError::new("there is nothing to learn from").hint(
            "the plan's entities need contracts on eip155:1 that the recorded blocks touch",
        ));
    }
    let fragment = Fragment::new(rules);
    let (toml, table) = (fragment.toml(&options), report(&fragment));
    let text = match &args.out {
        Some(path) => {
            std::fs::write(path, &toml).map_err(|it| CliError::io("write the fragment", it))?;
            format!(
                "{table}wrote {}: review it, put it into the plan, let it run in shadow\n",
                path.display()
            )
        }
        None => {
            format!("{toml}\n{}", table.lines().map(|it| format!("# {it}\n")).collect::<String>())
        }
    };
    let json = serde_json::json!({ "fragment": fragment, "toml": toml });
    output.result(&json, &text);
    Ok(ExitCode::SUCCESS)
}
