//! `cofferdam readiness`: proves every standing authority against the head; `readiness board` shows what guards
//! what, without asking a node.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use cofferdam_act::{FeePolicy, Readiness, prove};
use cofferdam_core::{Timestamp, plan::ActionCall};

use super::{CliError, Output, default_journal, journal, plan::load, status_page::put, wire};
use crate::{
    board::{self, Board, Told},
    runtime::now,
};

/// Proves that each action of the plan would work now.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ReadinessArgs {
    /// Folder of the response plan.
    #[arg(long, required = true)]
    plan: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<ReadinessCommand>,
}

/// What else there is to readiness.
#[derive(Debug, Subcommand)]
pub(crate) enum ReadinessCommand {
    /// What is watched by what, stopped by what and by whom, with what is missing. Fails on a hole.
    Board(BoardArgs),
}

/// The board.
#[derive(Debug, Args)]
pub(crate) struct BoardArgs {
    /// Folder of the response plan.
    #[arg(long)]
    plan: PathBuf,
    /// The journal of the running program: what it proved last.
    #[arg(long, default_value_os_t = default_journal())]
    journal: PathBuf,
    /// A drill's journal; may be repeated.
    #[arg(long, value_name = "JOURNAL")]
    drill: Vec<PathBuf>,
    /// Write it as a page, too.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(crate) async fn run(args: ReadinessArgs, output: &Output) -> Result<ExitCode, CliError> {
    match (args.command, args.plan) {
        (Some(ReadinessCommand::Board(args)), _) => board(&args, output).await,
        (None, Some(plan)) => prove_all(&plan, output).await,
        (None, None) => Err(CliError::new("no plan is named").hint("name its folder with --plan")),
    }
}

async fn board(args: &BoardArgs, output: &Output) -> Result<ExitCode, CliError> {
    let (plan, _) = load(&args.plan)?;
    // A folder that is not there holds nothing, which is what the board is to say.
    let mut signed = plan.clone();
    signed.actions.retain(|it| match &it.call {
        ActionCall::Guardian { authorisations, .. }
        | ActionCall::SafeModule { authorisations, .. } => args.plan.join(authorisations).is_dir(),
        ActionCall::Direct { .. } => false,
    });
    let held = wire::authorisations(&signed, &args.plan)?;
    let mut told = Told::default();
    // Before the first run there is none, and the board says so.
    if args.journal.exists() {
        let live = journal::open(&args.journal).await?;
        journal::for_each(&live, |it| told.live(it.at, &it.record)).await?;
    }
    for path in &args.drill {
        let drill = journal::open(path).await?;
        // A drill keeps a clock of its own; when it was held, its file says.
        let held = written(path);
        journal::for_each(&drill, |it| told.drill(held.unwrap_or(it.at), &it.record)).await?;
    }
    let board = Board::of(&plan, &held, &told, now());
    if let Some(path) = &args.html {
        put(path, &board::html(&board))?;
    }
    output.result(&board, &board::text(&board));
    Ok(if board.has_holes() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// When a file or a folder was last written.
fn written(path: &Path) -> Option<Timestamp> {
    let modified = std::fs::metadata(path).and_then(|it| it.modified()).ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok().map(Timestamp)
}

async fn prove_all(folder: &Path, output: &Output) -> Result<ExitCode, CliError> {
    let (plan, _) = load(folder)?;
    let authorisations = wire::authorisations(&plan, folder)?;
    let chains = wire::reach(&plan)?;
    let hands = wire::hands(&plan, folder, &chains)?;
    let mut proofs: Vec<Readiness> = Vec::new();
    for (chain, hand) in &hands {
        let relayers = hand.executor.relayers();
        for action in plan.actions.iter().filter(|it| it.call.chain() == *chain) {
            let fees = FeePolicy::default();
            proofs
                .push(prove(action, &authorisations, &relayers, &*hand.network, fees, now()).await);
        }
    }
    let value: Vec<_> = proofs
        .iter()
        .map(|it| serde_json::json!({ "action": it.action, "ready": it.ready, "because": it.because, "proved": it.proved }))
        .collect();
    output.result(&value, &proofs.iter().map(render).collect::<String>());
    let ready = !proofs.is_empty() && proofs.iter().all(|it| it.ready);
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn render(it: &Readiness) -> String {
    let mut out = format!("{:<9} {}\n", if it.ready { "ready" } else { "NOT READY" }, it.action);
    for line in &it.because {
        out.push_str(&format!("          missing: {line}\n"));
    }
    for line in &it.proved {
        out.push_str(&format!("          proved:  {line}\n"));
    }
    out
}
