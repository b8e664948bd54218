//! A network reached over JSON-RPC (HTTP, WebSocket, IPC).
//!
//! **Invariant:** an endpoint's URL may hold a key: it is in no `Debug`, no error and no log line.
//! Every request has a deadline, and every answer is checked before it is believed.

mod answer;
pub(crate) mod refusal;

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use alloy::{
    primitives::{Address, B256, Bytes, U256},
    rpc::client::{ClientBuilder, RpcClient, WsConnect},
    transports::{TransportResult, ipc::IpcConnect},
};
use cofferdam_core::{
    BlockRef, ChainId,
    ports::{Boxed, BroadcastError, Broadcaster, Call, Inclusion, Simulated},
    read::{Answer, StateRead},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use answer::Malformed;
use refusal::Redactor;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for one answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an endpoint cannot be used. No variant holds its URL.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The plan must be corrected.
    #[error("endpoint is not ws://, wss://, http://, https://, ipc:<path> or env:<name>")]
    Shape,
    /// The operator must set the variable.
    #[error("environment variable {name} with the endpoint is not set")]
    EnvMissing {
        /// Its name.
        name: String,
    },
    /// Trying again may succeed.
    #[error("endpoint does not answer: {because}")]
    Unavailable {
        /// What happened, without the URL.
        because: String,
    },
    /// The endpoint serves another chain.
    #[error("endpoint serves {actual}, expected {expected}")]
    WrongChain {
        /// What it should serve.
        expected: ChainId,
        /// What it serves.
        actual: ChainId,
    },
}

/// A [`Broadcaster`] over one JSON-RPC endpoint.
pub struct RpcBroadcaster {
    chain: ChainId,
    client: RpcClient,
    redactor: Redactor,
    /// Set once the node said that it does not know `eth_simulateV1`.
    plain: AtomicBool,
}

impl RpcBroadcaster {
    /// Connects to `endpoint`, written as in the plan, and checks that it serves `chain`. `env:NAME`
    /// is looked up in `env`.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(
        endpoint: &str,
        chain: ChainId,
        env: crate::signer::Env<'_>,
    ) -> Result<Self, ConnectError> {
        let url = match endpoint.strip_prefix("env:") {
            Some(name) => {
                env(name).ok_or_else(|| ConnectError::EnvMissing { name: name.to_owned() })?
            }
            None => endpoint.to_owned(),
        };
        Self::open(url.trim().to_owned(), chain).await
    }

    /// Connects to a URL that needs no look-up, and checks that it serves `chain`. The future may
    /// cross threads.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn open(url: String, chain: ChainId) -> Result<Self, ConnectError> {
        let redactor = Redactor::of(&url);
        let late = |_| ConnectError::Unavailable { because: "no connection in time".into() };
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, client(&url));
        let client = connecting.await.map_err(late)??;
        let this = Self { chain, client, redactor, plain: AtomicBool::new(false) };
        let told = this.ask("eth_chainId", json!([])).await.and_then(|it| this.number(&it));
        let because = |error: BroadcastError| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            ConnectError::Unavailable { because: cause.unwrap_or_else(|| error.to_string()) }
        };
        let actual = ChainId(told.map_err(because)?);
        if actual != chain {
            return Err(ConnectError::WrongChain { expected: chain, actual });
        }
        Ok(this)
    }

    async fn ask(&self, method: &'static str, params: Value) -> Result<Value, BroadcastError> {
        let request = self.client.request::<Value, Value>(method, params);
        let answer: TransportResult<Value> =
            match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
                Ok(answer) => answer,
                Err(_) => return Err(refusal::unavailable(format!("{method}: no answer in time"))),
            };
        answer.map_err(|it| refusal::classify(&it, &self.redactor))
    }

    fn number(&self, value: &Value) -> Result<u64, BroadcastError> {
        answer::number(value).map_err(malformed)
    }

    async fn latest(&self) -> Result<(BlockRef, u64), BroadcastError> {
        let block = self.ask("eth_getBlockByNumber", json!(["latest", false])).await?;
        answer::block(&block, self.chain).map_err(malformed)
    }

    /// Call and reads in one request, reads on top of the call.
    async fn simulate_v1(&self, call: &Call, on: BlockRef) -> Result<Simulated, BroadcastError> {
        let request = |it: &StateRead| match it {
            StateRead::Call { to, data } => Some(json!({ "to": to, "input": data })),
            _ => None,
        };
        let mut calls = vec![json!({ "from": call.from, "to": call.to, "input": call.data })];
        calls.extend(call.then.iter().filter_map(request));
        let params = json!([
            { "blockStateCalls": [{ "calls": calls }], "validation": false },
            format!("{:#x}", on.number),
        ]);
        let told = self.ask("eth_simulateV1", params).await?;
        let mut results = answer::simulated(&told, calls.len()).map_err(malformed)?.into_iter();
        let first = results.next().ok_or_else(|| malformed(Malformed("no result")))?;
        let mut after = |it: &StateRead| match request(it) {
            Some(_) => results.next().map_or(Answer::Unavailable, |it| it.answer()),
            None => Answer::Unavailable,
        };
        let then = call.then.iter().map(&mut after).collect();
        let (succeeded, output, gas_used) = (first.succeeded, first.output, first.gas_used);
        Ok(Simulated { succeeded, output, gas_used, on, then })
    }

    /// The call alone; what is read after it cannot be told.
    async fn simulate_plain(&self, call: &Call, on: BlockRef) -> Result<Simulated, BroadcastError> {
        let tx = json!({ "from": call.from, "to": call.to, "input": call.data });
        let then = vec![Answer::Unavailable; call.then.len()];
        match self.call(tx, on).await? {
            Answer::Bytes(output) => {
                Ok(Simulated { succeeded: true, output, gas_used: 0, on, then })
            }
            _ => Ok(Simulated { succeeded: false, output: Bytes::new(), gas_used: 0, on, then }),
        }
    }

    async fn call(&self, tx: Value, on: BlockRef) -> Result<Answer, BroadcastError> {
        let at = format!("{:#x}", on.number);
        let request = self.client.request::<Value, Value>("eth_call", json!([tx, at]));
        match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
            Err(_) => Err(refusal::unavailable("eth_call: no answer in time")),
            Ok(Ok(value)) => Ok(Answer::Bytes(answer::bytes(&value).map_err(malformed)?)),
            Ok(Err(error)) => match refusal::revert(&error) {
                Some(_) => Ok(Answer::Reverted),
                None => Err(refusal::classify(&error, &self.redactor)),
            },
        }
    }

    /// Gas that the call needs, as the node estimates it (it searches, so 63/64 rules are met).
    async fn estimate(&self, call: &Call) -> Result<Result<u64, Bytes>, BroadcastError> {
        let tx = json!({ "from": call.from, "to": call.to, "input": call.data });
        let request = self.client.request::<Value, Value>("eth_estimateGas", json!([tx]));
        match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
            Err(_) => Err(refusal::unavailable("eth_estimateGas: no answer in time")),
            Ok(Ok(value)) => Ok(Ok(self.number(&value)?)),
            Ok(Err(error)) => match refusal::revert(&error) {
                Some(data) => Ok(Err(data)),
                None => Err(refusal::classify(&error, &self.redactor)),
            },
        }
    }

    /// Reads at a block, each by itself.
    async fn read(&self, it: &StateRead, on: BlockRef) -> Answer {
        let at = format!("{:#x}", on.number);
        let word = |told: Result<Value, BroadcastError>| {
            let word = told.ok().and_then(|it| answer::word(&it).ok());
            word.map_or(Answer::Unavailable, Answer::of)
        };
        match it {
            StateRead::Call { to, data } => {
                let told = self.call(json!({ "to": to, "input": data }), on).await;
                told.unwrap_or(Answer::Unavailable)
            }
            StateRead::Storage { address, slot } => {
                word(self.ask("eth_getStorageAt", json!([address, slot, at])).await)
            }
            StateRead::Balance(address) => {
                word(self.ask("eth_getBalance", json!([address, at])).await)
            }
            StateRead::CodeHash(address) => {
                let code = self.ask("eth_getCode", json!([address, at])).await.ok();
                let code = code.and_then(|it| answer::bytes(&it).ok());
                let hash = |it: Bytes| match it.is_empty() {
                    true => B256::ZERO,
                    false => alloy::primitives::keccak256(&it),
                };
                code.map_or(Answer::Unavailable, |it| Answer::of_hash(hash(it)))
            }
            // No node hands back what a call that nobody made would do.
            StateRead::Rehearsal(_) => Answer::Unavailable,
        }
    }

    async fn simulate_call(&self, call: &Call) -> Result<Simulated, BroadcastError> {
        let (on, _) = self.latest().await?;
        // A call without data from an account to itself changes nothing: plain reads will do.
        if call.from == call.to && call.data.is_empty() {
            let then = join_all(call.then.iter().map(|it| self.read(it, on))).await;
            let output = Bytes::new();
            return Ok(Simulated { succeeded: true, output, gas_used: 21_000, on, then });
        }
        let (run, estimate) = tokio::join!(self.run(call, on), self.estimate(call));
        let mut run = run?;
        match estimate? {
            Ok(gas) => run.gas_used = run.gas_used.max(gas),
            // The estimate is the stricter one: it also runs short of gas.
            Err(data) if run.succeeded => {
                run.succeeded = false;
                run.output = data;
            }
            Err(data) if run.output.is_empty() => run.output = data,
            Err(_) => {}
        }
        Ok(run)
    }

    async fn run(&self, call: &Call, on: BlockRef) -> Result<Simulated, BroadcastError> {
        if !self.plain.load(Ordering::Relaxed) {
            match self.simulate_v1(call, on).await {
                Err(BroadcastError::Refused { .. }) => self.plain.store(true, Ordering::Relaxed),
                told => return told,
            }
        }
        self.simulate_plain(call, on).await
    }

    async fn find(&self, tx: B256) -> Result<Option<Inclusion>, BroadcastError> {
        let receipt = self.ask("eth_getTransactionReceipt", json!([tx])).await?;
        let Some(receipt) = answer::receipt(&receipt).map_err(malformed)? else { return Ok(None) };
        let block = self.ask("eth_getBlockByHash", json!([receipt.block, false])).await?;
        if block.is_null() {
            // Reorganised out between the two questions.
            return Ok(None);
        }
        let (block, _) = answer::block(&block, self.chain).map_err(malformed)?;
        if block.hash != receipt.block {
            return Err(malformed(Malformed("another block than asked for")));
        }
        let answer::Receipt { succeeded, gas_used, .. } = receipt;
        Ok(Some(Inclusion { block, succeeded, gas_used }))
    }
}

impl Broadcaster for RpcBroadcaster {
    fn chain(&self) -> ChainId {
        self.chain
    }

    fn send(&self, raw: Bytes) -> Boxed<'_, Result<B256, BroadcastError>> {
        Box::pin(async move {
            let hash = alloy::primitives::keccak256(&raw);
            self.ask("eth_sendRawTransaction", json!([raw])).await?;
            // The hash follows from the bytes; the node's word is not needed.
            Ok(hash)
        })
    }

    fn simulate<'a>(&'a self, call: &'a Call) -> Boxed<'a, Result<Simulated, BroadcastError>> {
        Box::pin(self.simulate_call(call))
    }

    fn account(&self, address: Address) -> Boxed<'_, Result<(u64, U256), BroadcastError>> {
        Box::pin(async move {
            let (nonce, balance) = tokio::join!(
                self.ask("eth_getTransactionCount", json!([address, "latest"])),
                self.ask("eth_getBalance", json!([address, "latest"])),
            );
            Ok((self.number(&nonce?)?, answer::word(&balance?).map_err(malformed)?))
        })
    }

    fn head(&self) -> Boxed<'_, Result<(BlockRef, u64), BroadcastError>> {
        Box::pin(self.latest())
    }

    fn inclusion(&self, tx: B256) -> Boxed<'_, Result<Option<Inclusion>, BroadcastError>> {
        Box::pin(self.find(tx))
    }
}

impl fmt::Debug for RpcBroadcaster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RpcBroadcaster({})", self.chain)
    }
}

fn malformed(what: Malformed) -> BroadcastError {
    BroadcastError::Unavailable(Box::new(what))
}

async fn client(url: &str) -> Result<RpcClient, ConnectError> {
    if let Some(path) = url.strip_prefix("ipc:") {
        let connect = IpcConnect::new(path.to_owned());
        return ClientBuilder::default().ipc(connect).await.map_err(|it| failed(&it));
    }
    // With ring and another provider both linked, rustls does not choose by itself.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if url.starts_with("ws://") || url.starts_with("wss://") {
        return ClientBuilder::default().ws(WsConnect::new(url)).await.map_err(|it| failed(&it));
    }
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(ConnectError::Shape);
    }
    let url = reqwest::Url::parse(url).map_err(|_| ConnectError::Shape)?;
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    let unusable = |_| ConnectError::Unavailable { because: "no HTTP client".into() };
    let http = builder.build().map_err(unusable)?;
    Ok(ClientBuilder::default().http_with_client(http, url))
}

fn failed(error: &alloy::transports::TransportError) -> ConnectError {
    ConnectError::Unavailable { because: refusal::kind(error) }
}
