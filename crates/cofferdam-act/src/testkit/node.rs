//! The mock node: JSON-RPC over HTTP in front of the mock chain, well-mannered or not.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use alloy::primitives::{Address, B256, Bytes, Signature, U256};
use cofferdam_core::{ChainId, Timestamp};
use serde_json::{Value, json};

use super::{Account, Block, Chain, Execute, Heard, Reaction, Refusal, Server};

/// How the node answers instead of properly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Never answers and does nothing.
    Hang,
    /// Does what it is asked, but never answers.
    DoAndHang,
    /// Answers with this HTTP status and does nothing.
    Status(u16),
    /// HTTP 200 with a JSON-RPC error, and does nothing.
    Error(i64, String),
    /// HTTP 200 with these bytes, and does nothing.
    Body(Vec<u8>),
    /// Does what it is asked, so many milliseconds late.
    Late(u64),
    /// Ends the connection and does nothing.
    Close,
}

/// A JSON-RPC error.
type Failure = (i64, String);
/// Answers what the chain does not: calls and simulations.
type Answer = dyn Fn(&str, &Value) -> Option<Result<Value, Failure>> + Send + Sync;

struct Inner {
    chain: Mutex<Chain>,
    manners: Mutex<VecDeque<(String, Manner, Option<usize>)>>,
    answer: Mutex<Arc<Answer>>,
    signed_only: Mutex<bool>,
}

/// A node and builder on a free port of the loopback. Its chain mines on command.
pub struct MockNode {
    inner: Arc<Inner>,
    server: Server,
}

impl MockNode {
    /// A node whose head is block 100 at `time`, with a base fee in wei.
    ///
    /// # Errors
    /// The machine has no free port.
    pub async fn start(id: ChainId, base_fee: u64, time: Timestamp) -> std::io::Result<Self> {
        let inner = Arc::new(Inner {
            chain: Mutex::new(Chain::new(id, base_fee, time)),
            manners: Mutex::default(),
            answer: Mutex::new(Arc::new(|_, _| None)),
            signed_only: Mutex::new(false),
        });
        let serving = Arc::clone(&inner);
        let server = Server::start(move |heard| serving.react(heard)).await?;
        Ok(Self { inner, server })
    }

    /// Where it is reached, as node and as builder.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Every request so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.server.heard()
    }

    /// How often `method` was asked.
    pub fn asked(&self, method: &str) -> usize {
        let of = |it: &Heard| serde_json::from_slice::<Value>(&it.body).ok();
        self.heard().iter().filter_map(of).filter(|it| it["method"] == method).count()
    }

    /// Looks at the chain, or changes it.
    pub fn with<T>(&self, act: impl FnOnce(&mut Chain) -> T) -> T {
        act(&mut lock(&self.inner.chain))
    }

    /// Builds a block.
    pub fn mine(&self) -> Block {
        self.with(Chain::mine)
    }

    /// Gives `address` an account.
    pub fn fund(&self, address: Address, balance: U256) {
        self.with(|it| {
            let nonce = it.account(address).nonce;
            it.set_account(address, Account { nonce, balance });
        });
    }

    /// Answers `method` (`*` for every one) in this manner, so many `times` or for ever.
    pub fn manner(&self, method: &str, manner: Manner, times: Option<usize>) {
        lock(&self.inner.manners).push_back((method.to_owned(), manner, times));
    }

    /// Good manners again.
    pub fn behave(&self) {
        lock(&self.inner.manners).clear();
    }

    /// Takes bundles only with a valid `X-Flashbots-Signature`.
    pub fn want_signatures(&self) {
        *lock(&self.inner.signed_only) = true;
    }

    /// Tells what transactions do.
    pub fn execute_with(&self, execute: Execute) {
        self.with(|it| it.set_execute(execute));
    }

    /// Answers calls and simulations, which the mock chain does not run: `answer` is asked first, about
    /// every method.
    pub fn answer_with(
        &self,
        answer: impl Fn(&str, &Value) -> Option<Result<Value, (i64, String)>> + Send + Sync + 'static,
    ) {
        *lock(&self.inner.answer) = Arc::new(answer);
    }
}

impl fmt::Debug for MockNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MockNode({})", self.url())
    }
}

impl Inner {
    fn react(&self, heard: &Heard) -> Reaction {
        let Ok(request) = serde_json::from_slice::<Value>(&heard.body) else {
            return Reaction::json(400, json!({ "error": "not JSON" }));
        };
        let method = request["method"].as_str().unwrap_or_default().to_owned();
        let proper = || {
            let signature = heard.headers.get("x-flashbots-signature").map(String::as_str);
            let told = self.serve(&method, &request["params"], signature, &heard.body);
            let id = &request["id"];
            Reaction::json(
                200,
                match told {
                    Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
                    Err((code, message)) => {
                        let error = json!({ "code": code, "message": message });
                        json!({ "jsonrpc": "2.0", "id": id, "error": error })
                    }
                },
            )
        };
        match self.manner_for(&method) {
            None => proper(),
            Some(Manner::Hang) => Reaction::Hang,
            Some(Manner::DoAndHang) => {
                drop(proper());
                Reaction::Hang
            }
            Some(Manner::Status(status)) => Reaction::json(status, json!({})),
            Some(Manner::Error(code, message)) => {
                let error = json!({ "code": code, "message": message });
                Reaction::json(
                    200,
                    json!({ "jsonrpc": "2.0", "id": request["id"], "error": error }),
                )
            }
            Some(Manner::Body(body)) => Reaction::Answer { status: 200, headers: Vec::new(), body },
            Some(Manner::Late(ms)) => Reaction::After(ms, Box::new(proper())),
            Some(Manner::Close) => Reaction::Close,
        }
    }

    fn manner_for(&self, method: &str) -> Option<Manner> {
        let mut manners = lock(&self.manners);
        let index = manners.iter().position(|(name, _, _)| name == "*" || name == method)?;
        let (_, manner, times) = manners.get_mut(index)?;
        let manner = manner.clone();
        match times {
            Some(left) if *left <= 1 => drop(manners.remove(index)),
            Some(left) => *left -= 1,
            None => {}
        }
        Some(manner)
    }

    fn serve(
        &self,
        method: &str,
        params: &Value,
        signature: Option<&str>,
        body: &[u8],
    ) -> Result<Value, Failure> {
        let answer = Arc::clone(&lock(&self.answer));
        if let Some(told) = answer(method, params) {
            return told;
        }
        let mut chain = lock(&self.chain);
        let private = matches!(method, "eth_sendBundle" | "eth_sendPrivateTransaction");
        if private && *lock(&self.signed_only) {
            signed(signature, body)?;
        }
        match method {
            "eth_chainId" => Ok(hex(chain.id.0)),
            "eth_blockNumber" => Ok(hex(chain.head().at.number)),
            "eth_getBlockByNumber" | "eth_getBlockByHash" => Ok(find_block(&chain, &params[0])),
            "eth_getTransactionCount" => Ok(hex(nonce(&mut chain, params)?)),
            "eth_getBalance" => Ok(json!(chain.account(param(&params[0])?).balance)),
            "eth_sendRawTransaction" => {
                chain.submit(&param(&params[0])?).map(hash).map_err(refusal)
            }
            "eth_getTransactionReceipt" => Ok(receipt(&chain, param(&params[0])?)),
            "eth_sendBundle" => {
                let bundle = &params[0];
                let raws: Vec<Bytes> = param(&bundle["txs"])?;
                let block: U256 = param(&bundle["blockNumber"])?;
                let may: Option<Vec<B256>> = param(&bundle["revertingTxHashes"])?;
                let taken =
                    chain.submit_bundle(&raws, block.saturating_to(), may.unwrap_or_default());
                taken.map(|it| json!({ "bundleHash": it })).map_err(refusal)
            }
            "eth_sendPrivateTransaction" => {
                let raw: Bytes = param(&params[0]["tx"])?;
                let last: U256 = param(&params[0]["maxBlockNumber"])?;
                chain.submit_private(&raw, last.saturating_to()).map(hash).map_err(refusal)
            }
            "txpool_status" => {
                let (pending, queued) = counts(&mut chain);
                Ok(json!({ "pending": hex(pending), "queued": hex(queued) }))
            }
            _ => Err((-32_601, format!("the method {method} does not exist/is not available"))),
        }
    }
}

/// Transactions that can be included, and those above a nonce gap.
fn counts(chain: &mut Chain) -> (u64, u64) {
    let (mut pending, mut queued) = (0, 0);
    let mut last: Option<(Address, u64)> = None;
    for tx in chain.pool.clone().iter() {
        let next = match last {
            Some((from, next)) if from == tx.from => next,
            _ => chain.account(tx.from).nonce,
        };
        if tx.nonce == next {
            pending += 1;
            last = Some((tx.from, next + 1));
        } else {
            queued += 1;
            last = Some((tx.from, next));
        }
    }
    (pending, queued)
}

fn nonce(chain: &mut Chain, params: &Value) -> Result<u64, Failure> {
    let address: Address = param(&params[0])?;
    let mut next = chain.account(address).nonce;
    if params[1] == "pending" {
        let waiting: Vec<u64> =
            chain.pool.iter().filter(|it| it.from == address).map(|it| it.nonce).collect();
        while waiting.contains(&next) {
            next += 1;
        }
    }
    Ok(next)
}

fn find_block(chain: &Chain, which: &Value) -> Value {
    let text = which.as_str().unwrap_or_default();
    let found = match text {
        "latest" | "pending" | "safe" | "finalized" => Some(chain.head()),
        _ => chain
            .blocks()
            .find(|it| text == format!("{:#x}", it.at.number) || text == it.at.hash.to_string()),
    };
    let Some(block) = found else { return Value::Null };
    let txs: Vec<B256> = block.txs.iter().map(|it| it.tx.hash).collect();
    json!({
        "number": hex(block.at.number), "hash": block.at.hash, "parentHash": block.at.parent,
        "timestamp": hex(block.at.time.0 / 1_000), "baseFeePerGas": hex(block.base_fee),
        "gasUsed": hex(block.gas_used), "gasLimit": hex(chain.block_gas), "transactions": txs,
    })
}

fn receipt(chain: &Chain, of: B256) -> Value {
    let Some((block, found)) = chain.find(of) else { return Value::Null };
    let index = block.txs.iter().position(|it| it.tx.hash == of).unwrap_or_default();
    json!({
        "transactionHash": of, "transactionIndex": hex(index as u64),
        "blockHash": block.at.hash, "blockNumber": hex(block.at.number),
        "status": hex(u64::from(found.ran.succeeded)), "gasUsed": hex(found.ran.gas_used),
        "effectiveGasPrice": format!("{:#x}", u128::from(block.base_fee) + found.tip),
        "from": found.tx.from, "to": found.tx.to, "logs": [],
    })
}

/// The header must be signed by the account that it names, over this very body.
fn signed(header: Option<&str>, body: &[u8]) -> Result<(), Failure> {
    let no = |text: &str| (-32_600, text.to_owned());
    let (address, signature) = header
        .and_then(|it| it.split_once(':'))
        .ok_or_else(|| no("missing X-Flashbots-Signature"))?;
    let address: Address = address.parse().map_err(|_| no("malformed address"))?;
    let signature: Bytes = signature.parse().map_err(|_| no("malformed signature"))?;
    let signature = Signature::from_raw(&signature).map_err(|_| no("malformed signature"))?;
    let signer = signature.recover_address_from_prehash(&crate::relay::signed_hash(body));
    match signer {
        Ok(it) if it == address => Ok(()),
        _ => Err(no("invalid X-Flashbots-Signature")),
    }
}

fn param<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    serde_json::from_value(value.clone()).map_err(|it| (-32_602, format!("invalid argument: {it}")))
}

fn refusal(it: Refusal) -> Failure {
    (-32_000, it.0)
}

fn hash(it: B256) -> Value {
    json!(it)
}

fn hex(number: u64) -> Value {
    json!(format!("{number:#x}"))
}

fn lock<T: ?Sized>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}
