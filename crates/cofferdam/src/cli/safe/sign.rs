//! `cofferdam safe sign` and `collect`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::ExitCode,
};

use alloy_primitives::Address;
use clap::Args;
use cofferdam_signing::{
    OwnerSignature, Proposal, SafeVersion,
    collect::{Collected, Signers, collect as gather},
    proposal::{SIGNATURE_FORMAT, SignatureFile, Within},
    text::{grouped, spoken},
};

use super::{
    args::{Facts, KeyArgs, Loaded, file_error, node_error, proposal},
    verdict,
};
use crate::{
    cli::{CliError, Output},
    safe::{Folder, approvals, signers},
};

/// What to sign, and with which key.
#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// The proposal's file.
    proposal: PathBuf,
    #[command(flatten)]
    key: KeyArgs,
    /// Signs as an owner of this Safe, which is an owner of the proposal's Safe.
    #[arg(long, requires = "within_release")]
    within: Option<Address>,
    /// The release of that Safe.
    #[arg(long)]
    within_release: Option<SafeVersion>,
    #[command(flatten)]
    facts: Facts,
}

/// What to collect.
#[derive(Debug, Args)]
pub(crate) struct CollectArgs {
    /// The proposal's file; signatures lie beside it.
    proposal: PathBuf,
    #[command(flatten)]
    facts: Facts,
}

pub(super) async fn run(args: SignArgs, output: &Output) -> Result<ExitCode, CliError> {
    let (read, folder) = proposal(&args.proposal)?;
    let loaded = args.facts.load(read).await?;
    let card = loaded.card();
    if !card.accepted {
        output.result(&card, &card.text());
        output.note("error: not signed: the card is refused");
        output.note("hint: change the proposal, or have governance change the policy");
        return Ok(ExitCode::FAILURE);
    }
    let within = match (args.within, args.within_release) {
        (Some(safe), Some(version)) => Some(Within { safe, version }),
        _ => None,
    };
    let hashes = within.map_or(card.hashes, |it| it.hashes(&loaded.proposal));
    let signer = args.key.signer()?;
    let owner = signer.address();
    check_owner(&loaded, within, owner, &args.facts).await?;
    let signature = signer.sign_hash(hashes.signed).await;
    let signature = signature.map_err(|it| CliError::caused("it was not signed", it))?;
    let file = SignatureFile {
        format: SIGNATURE_FORMAT.into(),
        safe_tx_hash: loaded.proposal.hashes().signed,
        within,
        signature: OwnerSignature::eip712(owner, &signature),
    };
    let path = folder.sign(&loaded.proposal, &file).map_err(file_error)?;
    let nested = within.map_or(String::new(), |it| {
        format!(
            "\nSigned on behalf of {}, whose own hashes are\ndomain hash     {}\nmessage hash    {}\nread aloud      {}\n",
            it.safe,
            grouped(hashes.domain),
            grouped(hashes.message),
            spoken(hashes.signed)
        )
    });
    let value = serde_json::json!({ "path": path, "owner": owner, "signed": hashes, "card": card });
    output.result(
        &value,
        &format!("{}{nested}\nsigned by {owner}: {}\n", card.text(), path.display()),
    );
    Ok(ExitCode::SUCCESS)
}

/// A signature that will not count is not made.
async fn check_owner(
    loaded: &Loaded,
    within: Option<Within>,
    owner: Address,
    facts: &Facts,
) -> Result<(), CliError> {
    let owners = loaded.evidence.as_ref().map(|it| it.state.owners.clone()).unwrap_or_default();
    let counts = match within {
        None => owners.contains(&owner),
        Some(it) if facts.rpc.is_some() => {
            let inner = signers(&facts.node()?, it.safe).await.map_err(node_error)?;
            owners.contains(&it.safe) && inner.owners.contains(&owner)
        }
        // Offline, the inner Safe's owners cannot be read; whoever collects will refuse a stranger.
        Some(it) => owners.contains(&it.safe),
    };
    if counts {
        return Ok(());
    }
    let error = CliError::new(format!("{owner} is no owner, so its signature would not count"));
    Err(error.hint("use the key of an owner, or name the Safe in between with --within"))
}

/// Signatures beside a proposal, judged by the chain's owners.
pub(super) async fn gathered(
    proposal: &Proposal,
    folder: &Folder,
    facts: &Facts,
) -> Result<Collected, CliError> {
    let files = folder.signatures(proposal).map_err(file_error)?;
    let node = facts.node()?;
    let outer = signers(&node, proposal.safe).await.map_err(node_error)?;
    let hash = proposal.hashes().signed;
    let approved: BTreeSet<Address> =
        approvals(&node, proposal.safe, hash, &outer.owners).await.map_err(node_error)?;
    let mut nested = BTreeMap::<Address, Signers>::new();
    let named = files.iter().filter_map(|it| it.within).map(|it| it.safe);
    for safe in named.filter(|it| outer.owners.contains(it)).collect::<BTreeSet<_>>() {
        nested.insert(safe, signers(&node, safe).await.map_err(node_error)?);
    }
    Ok(gather(proposal, &files, &outer, &approved, &nested))
}

pub(super) async fn collect(args: CollectArgs, output: &Output) -> Result<ExitCode, CliError> {
    let (read, folder) = proposal(&args.proposal)?;
    let collected = gathered(&read, &folder, &args.facts).await?;
    output.result(&collected, &text(&collected));
    Ok(verdict(collected.packed.is_some()))
}

/// Who has signed and who has not.
pub(super) fn text(collected: &Collected) -> String {
    let mut out = format!("{} of {} signatures\n", collected.signed.len(), collected.threshold);
    collected.signed.iter().for_each(|it| out.push_str(&format!("signed   {it}\n")));
    collected.missing.iter().for_each(|it| out.push_str(&format!("missing  {it}\n")));
    collected.refused.iter().for_each(|it| out.push_str(&format!("refused  {it}\n")));
    if let Some(packed) = &collected.packed {
        out.push_str(&format!("packed   {packed}\n"));
    }
    out
}
