//! Block builders and private relays: `eth_sendBundle` and `eth_sendPrivateTransaction`.
//!
//! **Invariant:** a bundle holds one transaction of ours and nothing of anybody else, and may not land
//! reverted. A relay's yes means that it listens, never that the transaction is included.

use std::{fmt, sync::Arc, time::Duration};

use alloy::primitives::{B256, eip191_hash_message, hex, keccak256};
use cofferdam_core::{
    ChainId,
    plan::{Builder, BuilderMethod},
    ports::{Boxed, BroadcastError, Offer, PrivateRelay},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    http::{Http, Reply, UrlError},
    rpc::refusal,
    signer::{Env, Signer},
};

/// Longest wait for one answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Most blocks of one offer.
const BLOCKS_MAX: u64 = 25;

/// A [`PrivateRelay`] over one endpoint.
pub struct BuilderRelay {
    name: String,
    chain: ChainId,
    method: BuilderMethod,
    http: Http,
    identity: Option<Arc<dyn Signer>>,
}

impl BuilderRelay {
    /// A relay for `builder` of `chain`. `identity` signs each request; it is what the plan names as the
    /// builder's identity and holds no funds. Nothing is asked.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn new(
        builder: &Builder,
        chain: ChainId,
        identity: Option<Arc<dyn Signer>>,
        env: Env<'_>,
    ) -> Result<Self, UrlError> {
        let http = Http::open(&builder.endpoint, env, REQUEST_TIMEOUT)?;
        let (name, method) = (builder.id.clone(), builder.method);
        Ok(Self { name, chain, method, http, identity })
    }

    async fn give(&self, offer: &Offer) -> Result<(), BroadcastError> {
        if self.method == BuilderMethod::PrivateTransaction {
            let last = format!("{:#x}", offer.last_block);
            let params = json!([{
                "tx": offer.raw, "maxBlockNumber": last, "preferences": { "fast": true },
            }]);
            return self.ask("eth_sendPrivateTransaction", params).await;
        }
        let last = offer.last_block.min(offer.first_block.saturating_add(BLOCKS_MAX - 1));
        let bundles = (offer.first_block..=last).map(|block| {
            let params = json!([{
                "txs": [offer.raw], "blockNumber": format!("{block:#x}"), "revertingTxHashes": [],
            }]);
            self.ask("eth_sendBundle", params)
        });
        // One block heard is better than none; the first failure is told if none is.
        let mut failure = None;
        let mut heard = false;
        for answer in join_all(bundles).await {
            match answer {
                Ok(()) => heard = true,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) if !heard => Err(error),
            _ => Ok(()),
        }
    }

    async fn ask(&self, method: &str, params: Value) -> Result<(), BroadcastError> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let body = request.to_string().into_bytes();
        let mut headers = vec![("content-type", "application/json".to_owned())];
        if let Some(identity) = &self.identity {
            let signed = identity.sign_hash(signed_hash(&body)).await;
            let signature = signed.map_err(|it| refusal::unavailable(it.to_string()))?;
            let signature = hex::encode_prefixed(signature.as_bytes());
            let address = identity.address();
            headers.push(("x-flashbots-signature", format!("{address}:{signature}")));
        }
        let reply = self.http.post(&headers, body).await.map_err(refusal::unavailable)?;
        self.judge(&reply)
    }

    fn judge(&self, reply: &Reply) -> Result<(), BroadcastError> {
        let told = serde_json::from_slice::<Value>(&reply.body).ok();
        // Builders put errors into any status.
        if let Some(error) = told.as_ref().and_then(|it| it.get("error")).filter(|it| !it.is_null())
        {
            let code = error.get("code").and_then(Value::as_i64).unwrap_or_default();
            let message = error.get("message").and_then(Value::as_str);
            let message = message.or(error.as_str()).unwrap_or("an error without a message");
            return match refusal::meaning(code, message, self.http.redactor()) {
                BroadcastError::Refused { reason }
                    if reply.status == 429 || reply.status >= 500 =>
                {
                    Err(refusal::unavailable(reason))
                }
                other => Err(other),
            };
        }
        match reply.status {
            // Some answer `null` to a bundle they take.
            200 if told.is_some_and(|it| it.get("result").is_some()) => Ok(()),
            200 => Err(refusal::unavailable("answer is not JSON-RPC")),
            status @ (400 | 401 | 403 | 404 | 405) => {
                Err(BroadcastError::Refused { reason: format!("HTTP status {status}") })
            }
            status => Err(refusal::unavailable(format!("HTTP status {status}"))),
        }
    }
}

impl PrivateRelay for BuilderRelay {
    fn chain(&self) -> ChainId {
        self.chain
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn offer<'a>(&'a self, offer: &'a Offer) -> Boxed<'a, Result<(), BroadcastError>> {
        Box::pin(self.give(offer))
    }
}

impl fmt::Debug for BuilderRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuilderRelay({} on {})", self.name, self.chain)
    }
}

/// What `X-Flashbots-Signature` signs: the hex text of the body's Keccak hash, as an EIP-191 message.
pub fn signed_hash(body: &[u8]) -> B256 {
    eip191_hash_message(hex::encode_prefixed(keccak256(body)).as_bytes())
}
