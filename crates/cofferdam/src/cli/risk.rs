//! `cofferdam risk report | grid | pause | solvency | contagion | limits | iv | schema`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand};

use super::{CliError, Output};
use crate::risk::{View, render, schema};

/// Largest file read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What to look at.
#[derive(Debug, Subcommand)]
pub enum RiskCommand {
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

pub(crate) fn run(command: RiskCommand, output: &Output) -> Result<ExitCode, CliError> {
    let (view, book, params, html, at) = match command {
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
    let now = at.unwrap_or_else(clock);
    let rendered = render(view, &book_text, &params_text, now).map_err(|cause| {
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
