//! `cofferdam risk read | report | grid | pause | solvency | contagion | limits | iv | schema`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand};
use cofferdam_core::ChainId;
use cofferdam_observe::rpc::{EndpointPool, RpcReader};
use cofferdam_positions::AdapterError;

use super::{CliError, Output, plan::load, wire};
use crate::{
    risk::{View, live, render, schema},
    runtime::now,
};

/// Largest file read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Time limit of one request to a node.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// What to look at.
#[derive(Debug, Subcommand)]
pub enum RiskCommand {
    /// Reads a protocol's positions at one block of a chain and writes the book that the other views take.
    Read(ReadArgs),
    /// The incident screen: what the attack costs, what each action costs and stops, the book behind it.
    Report(BookArgs),
    /// Profit and shortfall by spot and volatility, every account repriced.
    Grid(BookArgs),
    /// What pausing for some hours costs, and what expires inside.
    Pause(BookArgs),
    /// Who pays when accounts are under water.
    Solvency(BookArgs),
    /// Where a loss spreads and which edge to cut.
    Contagion(ParamsArgs),
    /// What limits cost attackers and users.
    Limits(ParamsArgs),
    /// Implied volatilities and fitted smiles.
    Iv(BookArgs),
    /// Prints the JSON Schema of the incident screen.
    Schema,
}

/// What to read and where.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// What to read: JSON, see docs/reference/risk.md.
    request: PathBuf,
    /// Endpoint of the chain; several are asked until one has the answer.
    #[arg(long, required_unless_present = "plan")]
    rpc: Vec<String>,
    /// Folder of a response plan, whose endpoints are asked.
    #[arg(long, conflicts_with = "rpc")]
    plan: Option<PathBuf>,
    /// The chain.
    #[arg(long, default_value_t = 1)]
    chain: u64,
    /// Height to read at; the newest block if absent.
    #[arg(long)]
    block: Option<u64>,
    /// Writes the book here.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// A book and its parameters.
#[derive(Debug, Args)]
pub struct BookArgs {
    /// Book: JSON, or CSV with one position a line (Deribit's column names are understood).
    book: PathBuf,
    /// Parameters: JSON.
    #[arg(long)]
    params: Option<PathBuf>,
    /// Writes a self-contained page with charts here.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Time the book is valued at, unix seconds; now if absent.
    #[arg(long)]
    at: Option<u64>,
}

/// Parameters alone.
#[derive(Debug, Args)]
pub struct ParamsArgs {
    /// Parameters: JSON.
    params: PathBuf,
    /// Writes a self-contained page with charts here.
    #[arg(long)]
    html: Option<PathBuf>,
}

pub(crate) async fn run(command: RiskCommand, output: &Output) -> Result<ExitCode, CliError> {
    let (view, book, params, html, at) = match command {
        RiskCommand::Read(args) => return read_chain(args, output).await,
        RiskCommand::Report(a) => (View::Report, Some(a.book), a.params, a.html, a.at),
        RiskCommand::Grid(a) => (View::Grid, Some(a.book), a.params, a.html, a.at),
        RiskCommand::Pause(a) => (View::Pause, Some(a.book), a.params, a.html, a.at),
        RiskCommand::Solvency(a) => (View::Solvency, Some(a.book), a.params, a.html, a.at),
        RiskCommand::Iv(a) => (View::Iv, Some(a.book), a.params, a.html, a.at),
        RiskCommand::Contagion(a) => (View::Contagion, None, Some(a.params), a.html, None),
        RiskCommand::Limits(a) => (View::Limits, None, Some(a.params), a.html, None),
        RiskCommand::Schema => {
            let json = serde_json::to_string_pretty(&schema());
            let json = json.map_err(|it| CliError::caused("schema cannot be written", it))?;
            output.text(&(json + "\n"));
            return Ok(ExitCode::SUCCESS);
        }
    };
    let book_text = book.as_deref().map(read).transpose()?.unwrap_or_default();
    let params_text = params.as_deref().map(read).transpose()?.unwrap_or_default();
    let when = at.unwrap_or_else(clock);
    let rendered = render(view, &book_text, &params_text, when).map_err(|cause| {
        CliError::caused("the view cannot be computed", cause)
            .hint("docs/reference/adapters/book.md lists the columns of a book")
            .hint("docs/reference/risk.md describes the parameters")
    })?;
    if let Some(path) = html {
        std::fs::write(&path, &rendered.page)
            .map_err(|it| CliError::io(&format!("write {}", path.display()), it))?;
        output.note(&format!("wrote {}", path.display()));
    }
    output.result(&rendered.json, &rendered.text);
    Ok(ExitCode::SUCCESS)
}

async fn read_chain(args: ReadArgs, output: &Output) -> Result<ExitCode, CliError> {
    let wanted = read(&args.request)?;
    let chain = ChainId(args.chain);
    let urls = match &args.plan {
        None => args.rpc,
        Some(folder) => {
            let (plan, _) = load(folder)?;
            let found = plan.chains.iter().find(|it| it.id == chain).ok_or_else(|| {
                CliError::new(format!("the plan has no chain {chain}"))
                    .hint("name one of its [[chains]] with --chain")
            })?;
            wire::endpoints(found)?
        }
    };
    let pool = EndpointPool::new(chain, urls.iter().map(String::as_str))
        .map_err(|it| CliError::caused("endpoints cannot be used", it))?;
    let block = pool.block(args.block, READ_LIMIT).await.map_err(|it| {
        CliError::caused("the block cannot be had", it)
            .hint("check the endpoint, and that it still holds the block")
    })?;
    let reader = RpcReader::new(pool, READ_LIMIT);
    let reading = live::read(&wanted, &reader, block, now()).map_err(|cause| {
        let hint = cause.downcast_ref::<AdapterError>().map_or(
            "docs/reference/risk.md describes the request, docs/reference/adapters.md what each adapter asks for",
            AdapterError::hint,
        );
        CliError::caused("the positions cannot be read", cause).hint(hint)
    })?;
    if let Some(path) = &args.out {
        let json = serde_json::to_string_pretty(&reading.book)
            .map_err(|it| CliError::caused("the book cannot be written", it))?;
        std::fs::write(path, json + "\n")
            .map_err(|it| CliError::io(&format!("write {}", path.display()), it))?;
        output.note(&format!("wrote {}", path.display()));
    }
    output.result(&reading, &live::text(&reading));
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<String, CliError> {
    let failed = |it| CliError::io(&format!("read {}", path.display()), it);
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > FILE_BYTES_MAX {
        let error = CliError::new(format!("{} has {size} bytes", path.display()));
        return Err(error.hint("a book may have 64 MiB: split it by underlying"));
    }
    std::fs::read_to_string(path).map_err(failed)
}

fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())
}
