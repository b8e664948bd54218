//! `cofferdam safe exec`: the last look, the transaction, and the proof that it worked.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use alloy::{
    consensus::{SignableTransaction as _, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718 as _,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256, keccak256};
use clap::Args;
use cofferdam_act::Signer;
use cofferdam_signing::{Policy, Proposal, exec};
use serde::Deserialize;
use serde_json::json;

use super::{
    args::{Facts, KeyArgs, node_error, proposal},
    sign::{gathered, text},
};
use crate::{
    cli::{CliError, Output},
    safe::Node,
};

/// Tip per gas, in wei.
const TIP: u128 = 2_000_000_000;
/// How long the receipt is waited for.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks for it.
const PAUSE: Duration = Duration::from_millis(500);

/// What to execute.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// The proposal's file; signatures lie beside it.
    proposal: PathBuf,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    facts: Facts,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    status: U64,
    block_number: U64,
    block_hash: B256,
    logs: Vec<Log>,
}

#[derive(Deserialize)]
struct Log {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

pub(super) async fn run(args: ExecArgs, output: &Output) -> Result<ExitCode, CliError> {
    let (read, folder) = proposal(&args.proposal)?;
    let loaded = args.facts.load(read).await?;
    let card = loaded.card();
    if !card.accepted {
        output.result(&card, &card.text());
        output.note("error: not executed: the card is refused");
        return Ok(ExitCode::FAILURE);
    }
    let node = args.facts.node()?;
    let collected = gathered(&loaded.proposal, &folder, &args.facts).await?;
    let Some(packed) = &collected.packed else {
        output.result(&collected, &text(&collected));
        output.note("error: not executed: signatures are missing");
        return Ok(ExitCode::FAILURE);
    };
    let internal = |it| CliError::caused("the transaction cannot be written", it);
    let data = exec::exec_transaction(&loaded.proposal.transaction, packed).map_err(internal)?;
    let signer = args.key.signer()?;
    let hash = send(&node, signer.as_ref(), &loaded.proposal, &data).await?;
    output.note(&format!("sent {hash}"));
    let receipt = receipt(&node, hash).await?;
    let succeeded = receipt.status == U64::from(1) && happened(&receipt, &loaded.proposal);
    let block: u64 = receipt.block_number.to();
    if !succeeded {
        let value = json!({ "transaction": hash, "block": block, "executed": false });
        output.result(&value, &format!("FAILED in block {block}: {hash}\n"));
        return Ok(ExitCode::FAILURE);
    }
    let effect = match &loaded.policy {
        Some(policy) => {
            effect(&node, policy, card.calls.action.as_deref(), receipt.block_hash).await?
        }
        None => None,
    };
    let value = json!({ "transaction": hash, "block": block, "executed": true, "effect": effect });
    let verified = match &effect {
        Some((read, true)) => format!("verified: {read} holds\n"),
        Some((read, false)) => format!("NOT EFFECTIVE: {read} does not hold\n"),
        None => "the policy does not say how its effect is seen: look yourself\n".to_owned(),
    };
    output.result(&value, &format!("executed in block {block}: {hash}\n{verified}"));
    Ok(super::verdict(effect.is_none_or(|it| it.1)))
}

/// `ExecutionSuccess` of this very hash, whose place in the log differs between releases.
fn happened(receipt: &Receipt, proposal: &Proposal) -> bool {
    let topic = keccak256("ExecutionSuccess(bytes32,uint256)");
    let hash = proposal.hashes().signed;
    receipt.logs.iter().any(|it| {
        let named = it.topics.get(1) == Some(&hash) || it.data.get(..32) == Some(hash.as_slice());
        it.address == proposal.safe && it.topics.first() == Some(&topic) && named
    })
}

async fn effect(
    node: &Node,
    policy: &Policy,
    action: Option<&str>,
    at: B256,
) -> Result<Option<(String, bool)>, CliError> {
    let action = policy.actions.iter().find(|it| Some(it.id.as_str()) == action);
    let Some((action, effect)) = action.and_then(|it| it.effect.as_ref().map(|e| (it, e))) else {
        return Ok(None);
    };
    let data = exec::call(&effect.read, &[])
        .map_err(|it| CliError::caused("the policy's effect cannot be read", it))?;
    let answer = node.call(at, action.to, &data).await.map_err(node_error)?;
    Ok(Some((effect.read.clone(), answer == effect.result)))
}

async fn send(
    node: &Node,
    signer: &dyn Signer,
    proposal: &Proposal,
    data: &Bytes,
) -> Result<B256, CliError> {
    let from = signer.address();
    let call = json!({ "from": from, "to": proposal.safe, "data": data });
    // With the real signatures, on the newest state.
    let gas: U64 = node.ask("eth_estimateGas", json!([call, "latest"])).await.map_err(|it| {
        node_error(it)
            .hint("the Safe refuses it: its error codes GS… are in the Safe's documentation")
    })?;
    let nonce: U64 =
        node.ask("eth_getTransactionCount", json!([from, "pending"])).await.map_err(node_error)?;
    let head = node.head().await.map_err(node_error)?;
    let tx = TxEip1559 {
        chain_id: proposal.chain.0,
        nonce: nonce.to(),
        gas_limit: gas.to::<u64>().saturating_mul(5) / 4,
        max_fee_per_gas: u128::from(head.env.base_fee).saturating_mul(2).saturating_add(TIP),
        max_priority_fee_per_gas: TIP,
        to: TxKind::Call(proposal.safe),
        value: U256::ZERO,
        access_list: Default::default(),
        input: data.clone(),
    };
    let signature = signer.sign_hash(tx.signature_hash()).await;
    let signature = signature.map_err(|it| CliError::caused("it was not signed", it))?;
    let raw: Bytes = TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into();
    node.ask("eth_sendRawTransaction", json!([raw])).await.map_err(node_error)
}

async fn receipt(node: &Node, hash: B256) -> Result<Receipt, CliError> {
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            let found: Option<Receipt> =
                node.ask("eth_getTransactionReceipt", json!([hash])).await.map_err(node_error)?;
            match found {
                Some(it) => return Ok(it),
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    });
    waited.await.map_err(|_| {
        CliError::new(format!("{hash} was sent and is in no block after three minutes")).hint(
            "look it up before sending again; the Safe's nonce makes a second execution impossible",
        )
    })?
}
