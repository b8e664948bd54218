//! `cofferdam safe status`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use cofferdam_signing::{Proposal, Provenance, SafeTx};

use super::{
    args::{Facts, file_error, node_error},
    propose::domain,
    sign::gathered,
};
use crate::{
    cli::{CliError, Output},
    safe::{Folder, evidence},
};

/// What to look at.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Folder of proposals.
    #[arg(long, default_value = "proposals")]
    proposals: PathBuf,
    #[command(flatten)]
    facts: Facts,
}

pub(super) async fn run(args: StatusArgs, output: &Output) -> Result<ExitCode, CliError> {
    let policy = args.facts.policy()?;
    let node = args.facts.node()?;
    let any = Proposal::new(domain(&policy), SafeTx::default(), Provenance::default());
    let read = evidence(&node, &any, Some(&policy), false).await.map_err(node_error)?;
    let state = &read.state;
    let mut text = format!(
        "Safe       {}\nrelease    {}\nnonce      {}\nthreshold  {} of {}\nread from  {}, block {}\n",
        policy.safe,
        state.version,
        state.nonce,
        state.threshold,
        state.owners.len(),
        read.source,
        read.block
    );
    let folder = Folder::at(&args.proposals);
    let mut rows = Vec::new();
    let proposals =
        if args.proposals.is_dir() { folder.proposals().map_err(file_error)? } else { Vec::new() };
    for (path, proposal) in proposals.iter().filter(|it| it.1.safe == policy.safe.address) {
        let nonce = proposal.transaction.nonce;
        let turn = match nonce.cmp(&state.nonce) {
            std::cmp::Ordering::Less => "spent",
            std::cmp::Ordering::Equal => "next",
            std::cmp::Ordering::Greater => "later",
        };
        let collected = gathered(proposal, &folder, &args.facts).await?;
        let signed = collected.signed.len();
        text.push_str(&format!(
            "nonce {nonce} {turn:<6} {signed} of {} signed  {}\n",
            collected.threshold,
            path.display()
        ));
        rows.push(serde_json::json!({
            "path": path, "nonce": nonce.to_string(), "turn": turn, "signed": collected.signed,
            "missing": collected.missing, "refused": collected.refused,
        }));
    }
    let value = serde_json::json!({ "state": read.state, "block": read.block, "proposals": rows });
    output.result(&value, &text);
    Ok(ExitCode::SUCCESS)
}
