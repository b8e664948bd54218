//! `cofferdam corpus`: the adversarial corpus and the ordinary stream under one generic plan.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{CliError, Output};
use crate::corpus::{CorpusOptions, run as run_corpus, table};

/// What to do with the corpus.
#[derive(Debug, Subcommand)]
pub(crate) enum CorpusCommand {
    /// Execute ordinary traffic, then every attack, and say what was found.
    Run(RunArgs),
}

/// How it is run.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Seed of users, dice and keys.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Ordinary transactions that are counted.
    #[arg(long, default_value_t = 3_000_000)]
    benign: u64,
    /// Ordinary transactions before them, from which the baselines learn.
    #[arg(long, default_value_t = 100_000)]
    training: u64,
    /// Leave out the engine without the harm gate.
    #[arg(long)]
    no_ungated: bool,
    /// Leave out the baselines.
    #[arg(long)]
    no_baselines: bool,
    /// Only these classes.
    #[arg(long = "class")]
    classes: Vec<String>,
}

pub(crate) fn run(command: CorpusCommand, output: &Output) -> Result<ExitCode, CliError> {
    let CorpusCommand::Run(args) = command;
    let options = CorpusOptions {
        seed: args.seed,
        training: args.training,
        benign: args.benign,
        ungated: !args.no_ungated,
        baselines: !args.no_baselines,
        classes: args.classes,
    };
    let result = run_corpus(&options, &mut |it| output.note(it)).map_err(|it| {
        CliError::caused("the corpus cannot be run", it)
            .hint("its contracts are built by drills/corpus/bin/build")
    })?;
    let json = serde_json::to_value(&result)
        .map_err(|it| CliError::caused("the result cannot be written", it))?;
    output.result(&json, &table(&result));
    Ok(ExitCode::SUCCESS)
}
