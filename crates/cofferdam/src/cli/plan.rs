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

/// Reads the plan in `folder`.
pub(crate) fn load(folder: &std::path::Path) -> Result<(cofferdam_core::plan::Plan, alloy_primitives::B256), CliError> {
    let path = folder.join("plan.toml");
    let text = std::fs::read_to_string(&path).map_err(|it| {
        CliError::io(&format!("read {}", path.display()), it).hint("`cofferdam plan new` lays a plan")
    })?;
    let plan = toml::from_str(&text).map_err(|it| CliError::caused("the plan is wrong", it))?;
    Ok((plan, alloy_primitives::keccak256(text)))
}
