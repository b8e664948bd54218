//! `cofferdam drill faults`: the fault suite, as a table.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{CliError, Output, run::stop};
use crate::drill::{
    Backend, RunOptions,
    faults::{self, FaultOptions},
};

/// What the suite needs.
#[derive(Debug, Args)]
pub struct FaultArgs {
    /// Only this row; repeat for more.
    #[arg(long)]
    only: Vec<String>,
    /// Only the rows that take a few seconds, with shorter faults.
    #[arg(long)]
    quick: bool,
    /// Names the rows and runs none.
    #[arg(long)]
    list: bool,
    /// Kills of the row that kills at random points.
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// Seed of addresses and of random points.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder with npm packages: anvil.
    #[arg(long, default_value = "contracts/node_modules")]
    packages: PathBuf,
    /// Where plan folders, logs and journals are stored.
    #[arg(long, default_value = ".cofferdam/faults")]
    out: PathBuf,
}

pub(super) async fn run(args: &FaultArgs, output: &Output) -> Result<ExitCode, CliError> {
    let all = faults::rows();
    if let Some(unknown) = args.only.iter().find(|only| all.iter().all(|it| it.name != **only)) {
        return Err(CliError::new(format!("no row is named `{unknown}`"))
            .hint("`cofferdam drill faults --list` names them"));
    }
    let named = |name: &str| args.only.iter().any(|it| it == name);
    let wanted = all
        .iter()
        .filter(|it| if args.only.is_empty() { it.quick || !args.quick } else { named(it.name) });
    if args.list {
        let names: Vec<&str> = wanted.map(|it| it.name).collect();
        output.result(&names, &(names.join("\n") + "\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let program = std::env::current_exe().map_err(|it| CliError::io("find the program", it))?;
    let options = FaultOptions {
        run: RunOptions {
            backend: Backend::Anvil,
            seed: args.seed,
            packages: args.packages.clone(),
            out: args.out.clone(),
        },
        program,
        quick: args.quick,
        kills: args.kills,
    };
    let mut judged = Vec::new();
    let stop = stop(None);
    tokio::pin!(stop);
    for row in wanted {
        output.note(&format!("running {}: {} …", row.name, row.fault));
        tokio::select! {
            it = faults::run(row, &options) => judged.push(it),
            // What the row started ends with it.
            () = &mut stop => return Err(CliError::new(format!("stopped during {}", row.name))),
        }
    }
    output.result(&judged, &faults::table(&judged));
    let all = judged.iter().all(|it| it.pass) && !judged.is_empty();
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
