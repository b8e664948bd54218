//! One node, asked for single answers.
//!
//! **Invariant:** every read names the hash of the block it is about, so that two answers never mix two states.

use std::{fmt, time::Duration};

use alloy::rpc::client::RpcClient;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use cofferdam_core::{BlockEnv, BlockRef, ChainId, Timestamp};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Time limit of one request.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);

/// A node.
pub struct Node {
    client: RpcClient,
    label: String,
    url: String,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold credentials.
        write!(f, "Node({})", self.label)
    }
}

/// Why a node gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The URL is none.
    #[error("the RPC endpoint is no http or https URL")]
    Url,
    /// It refused, or did not answer in time.
    #[error("{method} was not answered by {label}: {why}")]
    Unanswered {
        /// What was asked.
        method: &'static str,
        /// Who was asked.
        label: String,
        /// What it said, without the URL.
        why: String,
    },
    /// The answer cannot be read.
    #[error("{label} answered something that is no {what}")]
    Malformed {
        /// Who was asked.
        label: String,
        /// What was expected.
        what: &'static str,
    },
}

/// The newest block as a node tells it.
#[derive(Clone, Debug)]
pub struct Head {
    /// Its identity.
    pub block: BlockRef,
    /// What execution on it needs.
    pub env: BlockEnv,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    number: U64,
    hash: B256,
    parent_hash: B256,
    timestamp: U64,
    miner: Address,
    gas_limit: U64,
    base_fee_per_gas: Option<U64>,
    difficulty: Option<U256>,
    mix_hash: Option<B256>,
    excess_blob_gas: Option<U64>,
    parent_beacon_block_root: Option<B256>,
}

impl Node {
    /// A node at an HTTP URL. Nothing is asked yet.
    ///
    /// # Errors
    /// [`NodeError::Url`].
    pub fn connect(url: &str) -> Result<Self, NodeError> {
        let parsed =
            url.parse::<alloy::transports::http::reqwest::Url>().map_err(|_| NodeError::Url)?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(NodeError::Url);
        }
        cofferdam_observe::install_tls_provider();
        let host = parsed.host_str().ok_or(NodeError::Url)?;
        let label = parsed.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self { client: RpcClient::new_http(parsed), label, url: url.to_owned() })
    }

    /// Host and port.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The URL; may hold credentials.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Asks.
    ///
    /// # Errors
    /// [`NodeError::Unanswered`] and [`NodeError::Malformed`].
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, NodeError> {
        let unanswered = |why: String| {
            // Transport errors repeat the URL.
            let why = why.replace(&self.url, &self.label);
            NodeError::Unanswered { method, label: self.label.clone(), why }
        };
        let answer = self.client.request::<_, Value>(method, params);
        let answer = tokio::time::timeout(REQUEST_LIMIT, answer).await;
        let answer = answer.map_err(|_| unanswered("it took too long".into()))?;
        let answer = answer.map_err(|it| {
            let told = it.as_error_resp().map(|it| it.message.to_string());
            unanswered(told.unwrap_or_else(|| it.to_string()))
        })?;
        serde_json::from_value(answer)
            .map_err(|_| NodeError::Malformed { label: self.label.clone(), what: method })
    }

    /// The newest block.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn head(&self) -> Result<Head, NodeError> {
        let chain: U64 = self.ask("eth_chainId", json!([])).await?;
        let it: Header = self.ask("eth_getBlockByNumber", json!(["latest", false])).await?;
        Ok(Head {
            block: BlockRef {
                chain: ChainId(chain.to()),
                number: it.number.to(),
                hash: it.hash,
                parent: it.parent_hash,
                time: Timestamp::from_secs(it.timestamp.to()),
            },
            env: BlockEnv {
                beneficiary: it.miner,
                gas_limit: it.gas_limit.to(),
                base_fee: it.base_fee_per_gas.unwrap_or_default().to(),
                difficulty: it.difficulty.unwrap_or_default(),
                prev_randao: it.mix_hash,
                excess_blob_gas: it.excess_blob_gas.map(|it| it.to()),
                parent_beacon_root: it.parent_beacon_block_root,
                ..BlockEnv::default()
            },
        })
    }

    /// Calls a contract on the state after block `at`.
    ///
    /// # Errors
    /// [`NodeError`]; also if the call reverts.
    pub async fn call(&self, at: B256, to: Address, data: &[u8]) -> Result<Bytes, NodeError> {
        let call = json!({ "to": to, "data": Bytes::copy_from_slice(data) });
        self.ask("eth_call", json!([call, { "blockHash": at }])).await
    }

    /// A slot of storage after block `at`.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn slot(&self, at: B256, of: Address, slot: B256) -> Result<B256, NodeError> {
        self.ask("eth_getStorageAt", json!([of, slot, { "blockHash": at }])).await
    }

    /// The code of an account after block `at`.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn code(&self, at: B256, of: Address) -> Result<Bytes, NodeError> {
        self.ask("eth_getCode", json!([of, { "blockHash": at }])).await
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::Node;

    #[test]
    fn credentials_of_an_endpoint_are_not_shown() {
        let node = Node::connect("https://user:secret@node.example:8545/v3/token").unwrap();
        assert_eq!(format!("{node:?}"), "Node(node.example:8545)");
        assert!(Node::connect("ws://node.example").is_err());
        assert!(Node::connect("nothing").is_err());
    }
}
