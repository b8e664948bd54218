//! `cofferdam safe propose`.

use std::{path::PathBuf, process::ExitCode};

use alloy_primitives::{Address, Bytes, U256};
use clap::Args;
use cofferdam_signing::{
    Operation, Policy, Proposal, Provenance, SafeDomain, SafeTx, exec, quantity,
};

use super::args::{Facts, file_error, node_error};
use crate::{
    cli::{CliError, Output},
    runtime::now,
    safe::{Folder, evidence},
};

/// What to propose.
#[derive(Debug, Args)]
pub(crate) struct ProposeArgs {
    #[command(flatten)]
    pub(super) what: What,
    /// The nonce; the Safe's present one if there is a node.
    #[arg(long, value_parser = amount)]
    pub(super) nonce: Option<U256>,
    #[command(flatten)]
    pub(super) why: Why,
    /// Folder of proposals.
    #[arg(long, default_value = "proposals")]
    pub(super) proposals: PathBuf,
    #[command(flatten)]
    pub(super) facts: Facts,
}

/// The call.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct What {
    /// An action of the policy.
    #[arg(long, group = "call_of")]
    action: Option<String>,
    /// The target.
    #[arg(long, group = "call_of")]
    to: Option<Address>,
    /// Cancels: the Safe calls itself with nothing, at the nonce given.
    #[arg(long, group = "call_of", requires = "nonce")]
    cancel: bool,
    /// Calldata.
    #[arg(long, requires = "to")]
    data: Option<Bytes>,
    /// A function without parameters, in place of calldata, e.g. `pause()`.
    #[arg(long, requires = "to", conflicts_with = "data")]
    function: Option<String>,
    /// Wei.
    #[arg(long, requires = "to", default_value = "0", value_parser = amount)]
    value: U256,
    /// Runs the target's code on the Safe itself.
    #[arg(long, requires = "to")]
    delegatecall: bool,
}

/// Where it comes from.
#[derive(Debug, Args)]
pub(super) struct Why {
    /// Who proposes.
    #[arg(long)]
    proposer: Option<String>,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
    /// The incident.
    #[arg(long)]
    incident: Option<String>,
    /// The playbook's step.
    #[arg(long)]
    step: Option<String>,
    /// An alert it answers.
    #[arg(long)]
    alert: Vec<String>,
}

fn amount(text: &str) -> Result<U256, String> {
    quantity::parse(text).ok_or_else(|| "it is no number of 256 bits".to_owned())
}

impl What {
    /// The transaction at nonce 0, and the action it is.
    pub(super) fn transaction(
        &self,
        policy: &Policy,
    ) -> Result<(SafeTx, Option<String>), CliError> {
        if self.cancel {
            return Ok((SafeTx::cancel(policy.safe.address, U256::ZERO), None));
        }
        if let Some(id) = &self.action {
            let action = policy.actions.iter().find(|it| it.id == *id).ok_or_else(|| {
                let known: Vec<&str> = policy.actions.iter().map(|it| it.id.as_str()).collect();
                CliError::new(format!("the policy has no action `{id}`"))
                    .hint(format!("its actions are: {}", known.join(", ")))
            })?;
            let tx = SafeTx {
                to: action.to,
                value: action.value,
                data: action.data.clone(),
                operation: action.operation,
                ..SafeTx::default()
            };
            return Ok((tx, Some(id.clone())));
        }
        let Some(to) = self.to else {
            let error = CliError::new("there is nothing to propose");
            return Err(error.hint("--action ID, or --to ADDRESS with --data, or --cancel"));
        };
        let data = match &self.function {
            Some(signature) => exec::call(signature, &[])
                .map_err(|it| CliError::caused("the function cannot be called", it))?,
            None => self.data.clone().unwrap_or_default(),
        };
        let operation = if self.delegatecall { Operation::DelegateCall } else { Operation::Call };
        Ok((SafeTx { to, value: self.value, data, operation, ..SafeTx::default() }, None))
    }
}

impl Why {
    /// As it stands in the proposal.
    pub(super) fn provenance(&self, action: Option<String>) -> Provenance {
        Provenance {
            proposer: self.proposer.clone(),
            proposed_at: Some(now()),
            reason: self.reason.clone(),
            incident: self.incident.clone(),
            step: self.step.clone(),
            alerts: self.alert.clone(),
            action,
            ladder: None,
        }
    }
}

/// What the policy's Safe hashes with.
pub(super) fn domain(policy: &Policy) -> SafeDomain {
    SafeDomain { version: policy.version, chain: policy.safe.chain, safe: policy.safe.address }
}

/// The nonce given, or the Safe's.
pub(super) async fn nonce(
    given: Option<U256>,
    facts: &Facts,
    policy: &Policy,
) -> Result<U256, CliError> {
    if let Some(it) = given {
        return Ok(it);
    }
    if facts.rpc.is_none() {
        let error = CliError::new("the nonce is not known");
        return Err(error.hint("give it with --nonce, or a node with --rpc"));
    }
    let any = Proposal::new(domain(policy), SafeTx::default(), Provenance::default());
    let read = evidence(&facts.node()?, &any, Some(policy), false).await.map_err(node_error)?;
    Ok(read.state.nonce)
}

pub(super) async fn run(args: ProposeArgs, output: &Output) -> Result<ExitCode, CliError> {
    let policy = args.facts.policy()?;
    let (mut transaction, action) = args.what.transaction(&policy)?;
    transaction.nonce = nonce(args.nonce, &args.facts, &policy).await?;
    let proposal = Proposal::new(domain(&policy), transaction, args.why.provenance(action));
    let path = Folder::at(&args.proposals).propose(&proposal).map_err(file_error)?;
    let value = serde_json::json!({ "path": path, "safeTxHash": proposal.hashes().signed });
    output.result(&value, &format!("{}\n", path.display()));
    Ok(ExitCode::SUCCESS)
}
