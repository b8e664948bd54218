//! [`StateReader`] over JSON-RPC: view calls, slots, balances and code hashes, in batches.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{B256, Bytes, U256, keccak256};
use cofferdam_core::{
    BlockRef,
    ports::{Boxed, SourceError, StateReader},
    read::{Answer, StateRead},
};
use serde_json::{Value, json, value::RawValue};

use super::{endpoint::Endpoint, fault::RpcFault, pool::EndpointPool, race::race};

/// Most reads in one batch.
const BATCH_MAX: usize = 200;
/// Longest return data of a view call that is passed on, in bytes; a longer one is unavailable.
const RETURN_BYTES_MAX: usize = 1024 * 1024;

/// Answers state reads at a block given by its hash (EIP-1898), so that a reorganisation in
/// between cannot mix two branches.
#[derive(Clone, Debug)]
pub struct RpcReader {
    pool: Arc<EndpointPool>,
    limit: Duration,
}

impl RpcReader {
    /// A reader over `pool` with a time limit per batch.
    pub fn new(pool: Arc<EndpointPool>, limit: Duration) -> Self {
        Self { pool, limit }
    }

    async fn answer(
        &self,
        block: &BlockRef,
        reads: &[StateRead],
    ) -> Result<Vec<Answer>, SourceError> {
        let mut answers = vec![Answer::Unavailable; reads.len()];
        let (mut any, mut last) = (reads.is_empty(), None);
        let endpoints = if any { Vec::new() } else { self.pool.in_order(block.number) };
        race(
            endpoints,
            "eth_call",
            |endpoint| Box::pin(async move { self.ask(&endpoint, block.hash, reads).await }),
            |endpoint, answer| match answer {
                Ok(found) => {
                    any = true;
                    endpoint.note_success();
                    // What one node cannot tell, another may.
                    for (slot, answer) in answers.iter_mut().zip(found) {
                        if *slot == Answer::Unavailable {
                            *slot = answer;
                        }
                    }
                    (!answers.contains(&Answer::Unavailable)).then_some(())
                }
                Err(fault) => {
                    endpoint.note_fault(&fault);
                    last = Some(fault);
                    None
                }
            },
        )
        .await;
        if any {
            return Ok(answers);
        }
        let source = last.map_or_else(|| "no endpoint".into(), |it| Box::new(it) as _);
        Err(SourceError::Unavailable { what: format!("state at block {}", block.number), source })
    }

    async fn ask(
        &self,
        endpoint: &Endpoint,
        block: B256,
        reads: &[StateRead],
    ) -> Result<Vec<Answer>, RpcFault> {
        let mut answers = Vec::with_capacity(reads.len());
        for some in reads.chunks(BATCH_MAX) {
            let calls = some.iter().map(|it| call(it, block)).collect();
            let found = endpoint.batch(calls, self.limit).await?;
            answers.extend(some.iter().zip(found).map(|(read, it)| translate(read, it)));
        }
        Ok(answers)
    }
}

impl StateReader for RpcReader {
    fn read<'a>(
        &'a self,
        block: &'a BlockRef,
        reads: &'a [StateRead],
    ) -> Boxed<'a, Result<Vec<Answer>, SourceError>> {
        Box::pin(self.answer(block, reads))
    }
}

fn call(read: &StateRead, block: B256) -> (&'static str, Value) {
    let at = json!({ "blockHash": block });
    match read {
        StateRead::Call { to, data } => ("eth_call", json!([{ "to": to, "data": data }, at])),
        StateRead::Storage { address, slot } => ("eth_getStorageAt", json!([address, slot, at])),
        StateRead::Balance(address) => ("eth_getBalance", json!([address, at])),
        StateRead::CodeHash(address) => ("eth_getCode", json!([address, at])),
    }
}

fn translate(read: &StateRead, answer: Result<Box<RawValue>, RpcFault>) -> Answer {
    let raw = match answer {
        Ok(raw) => raw,
        Err(fault) => {
            let reverted = matches!(read, StateRead::Call { .. }) && fault.kind.is_revert();
            return if reverted { Answer::Reverted } else { Answer::Unavailable };
        }
    };
    let answer = match read {
        StateRead::Call { .. } => serde_json::from_str::<Bytes>(raw.get())
            .ok()
            .filter(|it| it.len() <= RETURN_BYTES_MAX)
            .map(Answer::Bytes),
        StateRead::Storage { .. } | StateRead::Balance(_) => word(&raw).map(Answer::of),
        StateRead::CodeHash(_) => serde_json::from_str::<Bytes>(raw.get())
            .ok()
            .map(|code| if code.is_empty() { B256::ZERO } else { keccak256(&code) })
            .map(Answer::of_hash),
    };
    answer.unwrap_or(Answer::Unavailable)
}

/// A quantity or a padded word: nodes answer storage reads either way.
pub(crate) fn word(raw: &RawValue) -> Option<U256> {
    serde_json::from_str(raw.get()).ok()
}
