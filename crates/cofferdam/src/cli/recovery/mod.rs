//! `cofferdam recovery checklist | prove | dismiss | withdraw | reopen | plan | snapshot | proof`.

mod gates;
mod money;

use std::process::ExitCode;

use clap::Subcommand;

use super::{CliError, Output};

/// Getting users their service and their money back.
#[derive(Debug, Subcommand)]
pub(crate) enum RecoveryCommand {
    /// What has to hold before reopening, and what proves it. Fails while a gate is open.
    Checklist(gates::CaseArgs),
    /// Proves a gate, with evidence.
    Prove(Box<gates::ProveArgs>),
    /// Says that a gate does not apply; two people have to.
    Dismiss(gates::DismissArgs),
    /// Takes a proof back.
    Withdraw(gates::WithdrawArgs),
    /// Allows reopening. Refused, with the list, while a gate is open.
    Reopen(gates::ReopenArgs),
    /// Lays out the staged unpause, with lowered limits.
    Plan(money::PlanArgs),
    /// Makes the restitution snapshot: a Merkle tree over claims.
    Snapshot(money::SnapshotArgs),
    /// What an account needs to draw its claim.
    Proof(money::ProofArgs),
}

pub(crate) async fn run(command: RecoveryCommand, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        RecoveryCommand::Checklist(it) => gates::checklist(&it, output).await,
        RecoveryCommand::Prove(it) => gates::prove(&it, output).await,
        RecoveryCommand::Dismiss(it) => gates::dismiss(&it, output).await,
        RecoveryCommand::Withdraw(it) => gates::withdraw(&it, output).await,
        RecoveryCommand::Reopen(it) => gates::reopen(&it, output).await,
        RecoveryCommand::Plan(it) => money::plan(&it, output),
        RecoveryCommand::Snapshot(it) => money::snapshot(&it, output),
        RecoveryCommand::Proof(it) => money::proof(&it, output),
    }
}
