//! One block's identity by height, for reads that are made once and not watched.

use std::time::Duration;

use alloy_primitives::{B256, U64};
use cofferdam_core::{
    BlockRef, Timestamp,
    ports::{Cause, SourceError},
};
use serde::Deserialize;
use serde_json::json;

use super::pool::EndpointPool;

/// What identifies a block.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    hash: B256,
    parent_hash: B256,
    number: U64,
    timestamp: U64,
}

impl EndpointPool {
    /// The block at `number`, or the newest, as the first endpoint that answers tells it.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] if no endpoint has it; its cause is the last fault.
    pub async fn block(
        &self,
        number: Option<u64>,
        limit: Duration,
    ) -> Result<BlockRef, SourceError> {
        let tag = number.map_or_else(|| "latest".to_owned(), |it| format!("{it:#x}"));
        let mut last: Cause = "no endpoint has it".into();
        for endpoint in self.in_order(number.unwrap_or_default()) {
            let params = json!([tag, false]);
            match endpoint.request("eth_getBlockByNumber", params, limit).await {
                Ok(raw) => match serde_json::from_str::<Option<Identity>>(raw.get()) {
                    Ok(Some(it)) if number.is_none_or(|n| n == it.number.to::<u64>()) => {
                        endpoint.note_success();
                        return Ok(BlockRef {
                            chain: self.chain(),
                            number: it.number.to(),
                            hash: it.hash,
                            parent: it.parent_hash,
                            time: Timestamp::from_secs(it.timestamp.to()),
                        });
                    }
                    Ok(Some(_)) => last = "another block was served".into(),
                    Ok(None) => {}
                    Err(error) => last = error.into(),
                },
                Err(fault) => {
                    endpoint.note_fault(&fault);
                    last = fault.into();
                }
            }
        }
        Err(SourceError::Unavailable { what: format!("block {tag}"), source: last })
    }
}
