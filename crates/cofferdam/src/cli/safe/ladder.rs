//! `cofferdam safe ladder plan | status | fallback`.

use std::{path::PathBuf, process::ExitCode};

use alloy_primitives::U256;
use clap::{Args, Subcommand};
use cofferdam_signing::{
    Card, Evidence, Proposal, Provenance, SafeTx, Weight,
    ladder::{Known, State, fallback, is_covered, plan, standing},
};

use super::{
    args::{Facts, file_error, node_error},
    propose::{ProposeArgs, domain, nonce},
    sign::gathered,
    verdict,
};
use crate::{
    cli::{CliError, Output},
    safe::{Folder, evidence},
};

/// What to do with a ladder.
#[derive(Debug, Subcommand)]
pub(crate) enum LadderCommand {
    /// Writes a proposal for each of several nonces; owners sign each.
    Plan(Box<PlanArgs>),
    /// How each rung stands. Fails if none works at the Safe's present nonce.
    Status(RungArgs),
    /// A command for each signed rung that executes it without this program.
    Fallback(RungArgs),
}

/// What to plan.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// How many nonces.
    #[arg(long, default_value_t = 3)]
    rungs: u64,
    #[command(flatten)]
    propose: ProposeArgs,
}

/// What to look at.
#[derive(Debug, Args)]
pub(crate) struct RungArgs {
    /// Folder of proposals.
    #[arg(long, default_value = "proposals")]
    proposals: PathBuf,
    #[command(flatten)]
    facts: Facts,
}

pub(super) async fn run(command: LadderCommand, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        LadderCommand::Plan(it) => planned(*it, output).await,
        LadderCommand::Status(it) => status(it, output).await,
        LadderCommand::Fallback(it) => printed(it, output).await,
    }
}

async fn planned(args: PlanArgs, output: &Output) -> Result<ExitCode, CliError> {
    let policy = args.propose.facts.policy()?;
    let (call, action) = args.propose.what.transaction(&policy)?;
    let first = nonce(args.propose.nonce, &args.propose.facts, &policy).await?;
    let provenance = args.propose.why.provenance(action);
    let rungs = plan(domain(&policy), &call, first, args.rungs, &provenance)
        .map_err(|it| CliError::caused("the ladder cannot be planned", it))?;
    let folder = Folder::at(&args.propose.proposals);
    let paths = rungs.iter().map(|it| folder.propose(it).map_err(file_error));
    let paths = paths.collect::<Result<Vec<_>, _>>()?;
    let text: String = paths.iter().map(|it| format!("{}\n", it.display())).collect();
    output.result(&paths, &text);
    Ok(ExitCode::SUCCESS)
}

/// Rungs of the policy's Safe, and the Safe's state.
async fn rungs(args: &RungArgs) -> Result<(Vec<Proposal>, Evidence), CliError> {
    let policy = args.facts.policy()?;
    let all = Folder::at(&args.proposals).proposals().map_err(file_error)?;
    let ours = all.into_iter().map(|it| it.1);
    let rungs: Vec<Proposal> = ours
        .filter(|it| it.safe == policy.safe.address && it.provenance.ladder.is_some())
        .collect();
    let any = Proposal::new(domain(&policy), SafeTx::default(), Provenance::default());
    let read = evidence(&args.facts.node()?, &any, Some(&policy), false).await;
    Ok((rungs, read.map_err(node_error)?))
}

async fn status(args: RungArgs, output: &Output) -> Result<ExitCode, CliError> {
    let (rungs, safe) = rungs(&args).await?;
    let folder = Folder::at(&args.proposals);
    let mut known = Vec::new();
    for rung in rungs {
        let nonce = rung.transaction.nonce;
        let signatures = gathered(&rung, &folder, &args.facts).await?.signed.len();
        let simulated = if nonce == safe.state.nonce {
            Some(judged(&args.facts.load(rung).await?.card()))
        } else {
            None
        };
        known.push(Known { nonce, signatures, simulated });
    }
    let standing = standing(&known, safe.state.nonce, safe.state.threshold);
    let covered = is_covered(&standing);
    let mut text = format!("the Safe is at nonce {}\n", safe.state.nonce);
    for it in &standing {
        let state = match &it.state {
            State::Ready => "READY".to_owned(),
            State::Later(by) => format!("after {by} others"),
            State::Spent => "spent".to_owned(),
            State::Unsigned => "signatures are missing".to_owned(),
            State::Fails(why) => format!("WOULD NOT WORK: {why}"),
        };
        text.push_str(&format!("nonce {:<6} {} signed  {state}\n", it.nonce, it.signatures));
    }
    if !covered {
        text.push_str("NO RUNG WORKS NOW: sign new ones\n");
    }
    output.result(&serde_json::json!({ "covered": covered, "rungs": standing }), &text);
    Ok(verdict(covered))
}

/// A rung that would be refused today does not count, whatever was thought of it when it was signed.
fn judged(card: &Card) -> Result<(), String> {
    let refused = card.flags.iter().find(|it| it.weight == Weight::Refuse);
    refused.map_or(Ok(()), |it| Err(format!("{}: {}", it.code, it.text)))
}

async fn printed(args: RungArgs, output: &Output) -> Result<ExitCode, CliError> {
    let (rungs, safe) = rungs(&args).await?;
    let folder = Folder::at(&args.proposals);
    let mut lines = Vec::new();
    for rung in rungs.iter().filter(|it| it.transaction.nonce >= safe.state.nonce) {
        let collected = gathered(rung, &folder, &args.facts).await?;
        let Some(packed) = &collected.packed else { continue };
        let command = fallback(rung.safe, &rung.transaction, packed)
            .map_err(|it| CliError::caused("the command cannot be written", it))?;
        lines.push((rung.transaction.nonce, command));
    }
    if lines.is_empty() {
        let error = CliError::new("no rung has enough signatures");
        return Err(error.hint("`cofferdam safe ladder status` says which are missing"));
    }
    let text: String = lines
        .iter()
        .map(|(nonce, line): &(U256, String)| format!("# nonce {nonce}\n{line}\n"))
        .collect();
    output.result(&lines, &text);
    Ok(ExitCode::SUCCESS)
}
