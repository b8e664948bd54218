//! [`StateReader`] over JSON-RPC: view calls, slots, balances and code hashes, in batches.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

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
        if reads.is_empty() {
            return Ok(Vec::new());
        }
        // What one node cannot tell, another may: each is asked for what is open when it is asked.
        let answers = Mutex::new(vec![Answer::Unavailable; reads.len()]);
        let locked = || answers.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = |it: &(usize, &Answer)| *it.1 == Answer::Unavailable;
        let ask = |endpoint: Arc<Endpoint>| -> Boxed<'_, _> {
            let open: Vec<_> = locked().iter().enumerate().filter(is_open).map(|it| it.0).collect();
            Box::pin(async move {
                let found = self.ask(&endpoint, block.hash, reads, &open).await;
                found.map(|it| open.into_iter().zip(it).collect::<Vec<_>>())
            })
        };
        let (mut any, mut last) = (false, None);
        let judge =
            |endpoint: Arc<Endpoint>, found: Result<Vec<(usize, Answer)>, RpcFault>| match found {
                Ok(found) => {
                    any = true;
                    endpoint.note_success();
                    let mut answers = locked();
                    for (index, answer) in found {
                        if let Some(slot) = answers.get_mut(index)
                            && *slot == Answer::Unavailable
                        {
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
            };
        race(self.pool.in_order(block.number), "state", ask, judge).await;
        if any {
            return Ok(answers.into_inner().unwrap_or_else(PoisonError::into_inner));
        }
        let source = last.map_or_else(|| "no endpoint".into(), |it| Box::new(it) as _);
        Err(SourceError::Unavailable { what: format!("state at block {}", block.number), source })
    }

    async fn ask(
        &self,
        endpoint: &Endpoint,
        block: B256,
        reads: &[StateRead],
        open: &[usize],
    ) -> Result<Vec<Answer>, RpcFault> {
        let mut answers = Vec::with_capacity(open.len());
        for some in open.chunks(BATCH_MAX) {
            let asked: Vec<_> = some.iter().filter_map(|it| reads.get(*it)).collect();
            let calls = asked.iter().filter_map(|it| call(it, block)).collect();
            let found = endpoint.batch(calls, self.limit).await?;
            answers.extend(asked.iter().zip(found).map(|(read, it)| translate(read, it)));
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
        Box::pin(async move {
            let plain = |it: &&StateRead| !matches!(it, StateRead::Rehearsal(_));
            if reads.iter().all(|it| plain(&it)) {
                return self.answer(block, reads).await;
            }
            let asked: Vec<StateRead> = reads.iter().filter(plain).cloned().collect();
            let mut answers = self.answer(block, &asked).await?.into_iter();
            let answer = |it: &StateRead| match plain(&it) {
                true => answers.next().unwrap_or(Answer::Unavailable),
                false => Answer::Unavailable,
            };
            Ok(reads.iter().map(answer).collect())
        })
    }
}

/// How a node is asked; `None` for what only our own EVM can tell.
fn call(read: &StateRead, block: B256) -> Option<(&'static str, Value)> {
    let at = json!({ "blockHash": block });
    Some(match read {
        StateRead::Call { to, data } => ("eth_call", json!([{ "to": to, "data": data }, at])),
        StateRead::Storage { address, slot } => ("eth_getStorageAt", json!([address, slot, at])),
        StateRead::Balance(address) => ("eth_getBalance", json!([address, at])),
        StateRead::CodeHash(address) => ("eth_getCode", json!([address, at])),
        StateRead::Rehearsal(_) => return None,
    })
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
        StateRead::Rehearsal(_) => None,
    };
    answer.unwrap_or(Answer::Unavailable)
}

/// A quantity or a padded word: nodes answer storage reads either way.
pub(crate) fn word(raw: &RawValue) -> Option<U256> {
    serde_json::from_str(raw.get()).ok()
}
