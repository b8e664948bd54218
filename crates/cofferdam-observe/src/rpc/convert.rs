//! From JSON-RPC answers to [`Observation`]s. Pure: bytes in, observation or reason out.
//!
//! **Invariant:** never panics, whatever the bytes are.

use alloy_primitives::{B256, Log, U64, U128};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Observation, Stage, Timestamp, Tx,
    ports::SourceError,
    read::Readings,
    tx::{Authorization, Envelope},
};

use super::{
    check::{self, Checks},
    wire::{RpcBlock, RpcReceipt, RpcTx},
};

/// Decodes the JSON of a block with full transactions (`eth_getBlockByHash`) and of its receipts
/// (`eth_getBlockReceipts`) after checking one against the other.
///
/// # Errors
/// [`SourceError::Malformed`] if either is no such JSON or a check fails.
pub fn decode_block(
    chain: ChainId,
    block: &str,
    receipts: &str,
    checks: Checks,
) -> Result<Observation, SourceError> {
    let malformed = |what: String| SourceError::Malformed { what };
    let parsed: RpcBlock =
        serde_json::from_str(block).map_err(|error| malformed(format!("block: {error}")))?;
    let receipts: Vec<RpcReceipt> =
        serde_json::from_str(receipts).map_err(|error| malformed(format!("receipts: {error}")))?;
    if checks.header_hash {
        check::header(block, parsed.hash).map_err(malformed)?;
    }
    observation(chain, parsed, receipts, checks).map_err(malformed)
}

/// The observation of a block, without frames and diffs.
pub(crate) fn observation(
    chain: ChainId,
    block: RpcBlock,
    receipts: Vec<RpcReceipt>,
    checks: Checks,
) -> Result<Observation, String> {
    let logs = receipts.iter().map(logs).collect::<Result<Vec<_>, _>>()?;
    check::receipts(&block, &receipts, &logs, checks)?;
    let reference = reference(chain, &block);
    let env = env(&block);
    let mut txs = Vec::with_capacity(receipts.len());
    for ((index, it), (receipt, logs)) in
        block.transactions.into_iter().enumerate().zip(receipts.into_iter().zip(logs))
    {
        if it.block_hash.is_some_and(|hash| hash != reference.hash)
            || it.transaction_index.is_some_and(|have| have.try_into() != Ok(index))
        {
            return Err(format!("transaction {} says that it is elsewhere", it.hash));
        }
        let mut tx = transaction(it)?;
        tx.index = u32::try_from(index).map_err(|_| "block has too many transactions")?;
        tx.succeeded = check::status(&receipt)?;
        if !tx.succeeded && !logs.is_empty() {
            return Err(format!("reverted transaction {} has logs", tx.hash));
        }
        tx.gas_used = receipt.gas_used.to();
        tx.created = receipt.contract_address.filter(|_| tx.to.is_none() && tx.succeeded);
        tx.logs = logs;
        txs.push(tx);
    }
    Ok(Observation {
        block: reference,
        env,
        stage: Stage::Provisional,
        witnesses: 1,
        txs,
        readings: Readings::default(),
    })
}

/// A transaction without anything that execution tells.
pub(crate) fn transaction(it: RpcTx) -> Result<Tx, String> {
    let wide = |value: Option<U128>| value.map(|it| it.to::<u128>());
    let price = wide(it.gas_price);
    let kind = u8::try_from(it.kind.unwrap_or_default())
        .map_err(|_| format!("transaction {} has no EIP-2718 type", it.hash))?;
    let access_list = it.access_list.unwrap_or_default();
    let authorizations = it.authorization_list.unwrap_or_default();
    Ok(Tx {
        hash: it.hash,
        from: it.from,
        to: it.to,
        nonce: it.nonce.to(),
        value: it.value,
        input: it.input,
        gas_limit: it.gas.to(),
        max_fee_per_gas: wide(it.max_fee_per_gas).or(price).unwrap_or_default(),
        max_priority_fee_per_gas: wide(it.max_priority_fee_per_gas).or(price).unwrap_or_default(),
        envelope: Envelope {
            kind,
            access_list: access_list.into_iter().map(|it| (it.address, it.storage_keys)).collect(),
            authorizations: authorizations
                .into_iter()
                .map(|it| Authorization {
                    chain_id: it.chain_id,
                    address: it.address,
                    nonce: it.nonce,
                    authority: it.recover_authority().ok(),
                })
                .collect(),
            blob_hashes: it.blob_versioned_hashes.unwrap_or_default(),
            max_fee_per_blob_gas: wide(it.max_fee_per_blob_gas).unwrap_or_default(),
        },
        ..Tx::default()
    })
}

fn reference(chain: ChainId, block: &RpcBlock) -> BlockRef {
    BlockRef {
        chain,
        number: block.number.to(),
        hash: block.hash,
        parent: block.parent_hash,
        time: Timestamp::from_secs(block.timestamp.to()),
    }
}

fn env(block: &RpcBlock) -> BlockEnv {
    let narrow = |value: Option<U64>| value.map(|it| it.to::<u64>());
    let difficulty = block.difficulty.unwrap_or_default();
    BlockEnv {
        beneficiary: block.miner,
        gas_limit: block.gas_limit.to(),
        base_fee: narrow(block.base_fee_per_gas).unwrap_or_default(),
        difficulty,
        // EIP-4399: the field holds PREVRANDAO once the difficulty is zero.
        prev_randao: block.mix_hash.filter(|_| difficulty.is_zero()),
        excess_blob_gas: narrow(block.excess_blob_gas),
        parent_beacon_root: block.parent_beacon_block_root,
        gas_used: Some(block.gas_used.to()),
        logs_bloom: Some(block.logs_bloom),
        receipts_root: Some(block.receipts_root),
    }
}

fn logs(receipt: &RpcReceipt) -> Result<Vec<Log>, String> {
    let convert = |log: &super::wire::RpcLog| {
        if log.removed {
            return Err(format!("receipt of {} holds a removed log", receipt.transaction_hash));
        }
        log_of(log.address, &log.topics, &log.data)
            .ok_or_else(|| format!("a log of {} has over 4 topics", receipt.transaction_hash))
    };
    receipt.logs.iter().map(convert).collect()
}

/// A log, `None` if it has more than four topics.
pub(crate) fn log_of(
    address: alloy_primitives::Address,
    topics: &[B256],
    data: &alloy_primitives::Bytes,
) -> Option<Log> {
    Log::new(address, topics.to_vec(), data.clone())
}
