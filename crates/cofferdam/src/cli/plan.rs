//! `cofferdam plan`.

use std::process::ExitCode;

use clap::Subcommand;

use super::{CliError, Output};

/// What to do with a plan.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {}

pub(crate) fn run(command: PlanCommand, _output: &Output) -> Result<ExitCode, CliError> {
    match command {}
}
