//! [`StateSource`] over JSON-RPC, for the EVM: synchronous, pinned to a block hash, cached.
//!
//! The EVM is synchronous and may run on any thread, also one that drives an async runtime.
//! Requests therefore run on a thread and runtime of their own; a caller waits for a channel,
//! never for the runtime it blocks.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError, mpsc as blocking},
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256};
use cofferdam_core::{
    BlockRef,
    ports::{AccountState, Cause, SourceError, StateError, StateSource},
};
use lru::LruCache;
use serde::de::DeserializeOwned;
use serde_json::{Value, json, value::RawValue};
use tokio::sync::mpsc;

use super::{
    endpoint::Endpoint, fault::RpcFault, pool::EndpointPool, race::race, reader::word,
    wire::RpcHead,
};

/// Cached accounts and slots over all blocks, about 200 bytes each; code is shared.
const CACHE_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(199_999);
/// Contract codes that are shared between the accounts and blocks that have them.
const CODES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(8_191);
/// Questions that wait for the requesting thread. Each caller has one at a time.
const QUESTIONS_MAX: usize = 1_024;

/// Opens [`RpcState`]s. Owns the requesting thread, which ends with the last state.
#[derive(Clone, Debug)]
pub struct RpcStates {
    shared: Arc<Shared>,
}

/// The state after one block.
#[derive(Clone, Debug)]
pub struct RpcState {
    block: BlockRef,
    shared: Arc<Shared>,
}

struct Shared {
    jobs: mpsc::Sender<Job>,
    cache: Mutex<LruCache<(B256, Question), Found>>,
    codes: Mutex<LruCache<B256, Bytes>>,
    /// Longest a caller waits for its answer.
    patience: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Question {
    Account(Address),
    Slot(Address, U256),
    BlockHash(u64),
}

impl Question {
    fn method(self) -> &'static str {
        match self {
            Self::Account(_) => "eth_getBalance",
            Self::Slot(..) => "eth_getStorageAt",
            Self::BlockHash(_) => "eth_getBlockByNumber",
        }
    }
}

#[derive(Clone, Debug)]
enum Found {
    Account(Option<AccountState>),
    Word(U256),
    Hash(B256),
}

struct Job {
    question: Question,
    block: BlockRef,
    reply: blocking::SyncSender<Result<Found, Cause>>,
}

impl RpcStates {
    /// Starts the requesting thread, with connections of its own to the endpoints of `pool` and a
    /// time limit per request.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] if the thread cannot be started.
    pub fn start(pool: &EndpointPool, limit: Duration) -> Result<Self, SourceError> {
        let unavailable = |error: std::io::Error| SourceError::Unavailable {
            what: "a thread for state requests".to_owned(),
            source: error.into(),
        };
        let pool = Arc::new(pool.fresh());
        let (jobs, mut queue) = mpsc::channel::<Job>(QUESTIONS_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(unavailable)?;
        let endpoints = u32::try_from(pool.endpoints().len()).unwrap_or(u32::MAX);
        std::thread::Builder::new()
            .name("cofferdam-state".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    while let Some(job) = queue.recv().await {
                        let pool = Arc::clone(&pool);
                        tokio::spawn(async move {
                            let found = find(&pool, &job.block, job.question, limit).await;
                            let _ = job.reply.send(found);
                        });
                    }
                });
            })
            .map_err(unavailable)?;
        let patience = limit.saturating_mul(endpoints.saturating_add(1));
        let cache = Mutex::new(LruCache::new(CACHE_MAX));
        let codes = Mutex::new(LruCache::new(CODES_MAX));
        Ok(Self { shared: Arc::new(Shared { jobs, cache, codes, patience }) })
    }

    /// The state after `block`.
    pub fn at(&self, block: BlockRef) -> RpcState {
        RpcState { block, shared: Arc::clone(&self.shared) }
    }
}

impl RpcState {
    fn ask(&self, question: Question) -> Result<Found, StateError> {
        let key = (self.block.hash, question);
        let cache = || self.shared.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = cache().get(&key) {
            return Ok(found.clone());
        }
        let (reply, answer) = blocking::sync_channel(1);
        let job = Job { question, block: self.block, reply };
        let failed = |why: &str| StateError::Unavailable(why.into());
        self.shared.jobs.try_send(job).map_err(|_| failed("too many state requests wait"))?;
        let mut found = answer
            .recv_timeout(self.shared.patience)
            .map_err(|_| failed("no answer to a state request in time"))?
            .map_err(StateError::Unavailable)?;
        if let Found::Account(Some(account)) = &mut found
            && !account.code.is_empty()
        {
            let mut codes = self.shared.codes.lock().unwrap_or_else(PoisonError::into_inner);
            let code = codes.get_or_insert(keccak256(&account.code), || account.code.clone());
            account.code = code.clone();
        }
        cache().put(key, found.clone());
        Ok(found)
    }
}

impl StateSource for RpcState {
    /// Blocks the calling thread while a node is asked.
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        match self.ask(Question::Account(address))? {
            Found::Account(it) => Ok(it),
            _ => Err(StateError::Unavailable("cache holds another kind of answer".into())),
        }
    }

    /// Blocks the calling thread while a node is asked.
    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        match self.ask(Question::Slot(address, slot))? {
            Found::Word(it) => Ok(it),
            _ => Err(StateError::Unavailable("cache holds another kind of answer".into())),
        }
    }

    /// Blocks the calling thread while a node is asked.
    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        if number == self.block.number {
            return Ok(self.block.hash);
        }
        if number.checked_add(1) == Some(self.block.number) {
            return Ok(self.block.parent);
        }
        match self.ask(Question::BlockHash(number))? {
            Found::Hash(it) => Ok(it),
            _ => Err(StateError::Unavailable("cache holds another kind of answer".into())),
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("patience", &self.patience).finish_non_exhaustive()
    }
}

async fn find(
    pool: &EndpointPool,
    block: &BlockRef,
    question: Question,
    limit: Duration,
) -> Result<Found, Cause> {
    let mut last: Cause = "no endpoint".into();
    let found = race(
        pool.in_order(block.number),
        question.method(),
        |endpoint| Box::pin(async move { find_at(&endpoint, block, question, limit).await }),
        |endpoint, answer| match answer {
            Ok(found) => {
                endpoint.note_success();
                Some(found)
            }
            Err(fault) => {
                endpoint.note_fault(&fault);
                last = fault.into();
                None
            }
        },
    );
    found.await.ok_or(last)
}

async fn find_at(
    endpoint: &Endpoint,
    block: &BlockRef,
    question: Question,
    limit: Duration,
) -> Result<Found, RpcFault> {
    let at = json!({ "blockHash": block.hash });
    match question {
        Question::Account(address) => account(endpoint, address, at, limit).await,
        Question::Slot(address, slot) => {
            let method = "eth_getStorageAt";
            let raw = endpoint.request(method, json!([address, slot, at]), limit).await?;
            word(&raw).map(Found::Word).ok_or_else(|| endpoint.malformed(method, "not a word"))
        }
        Question::BlockHash(number) => old_hash(endpoint, block, number, limit).await,
    }
}

async fn account(
    endpoint: &Endpoint,
    address: Address,
    at: Value,
    limit: Duration,
) -> Result<Found, RpcFault> {
    let params = json!([address, at]);
    let calls = ["eth_getBalance", "eth_getTransactionCount", "eth_getCode"];
    let calls = calls.map(|it| (it, params.clone())).to_vec();
    let mut answers = endpoint.batch(calls, limit).await?.into_iter();
    let balance = field::<U256>(endpoint, "eth_getBalance", answers.next())?;
    let nonce = field::<U64>(endpoint, "eth_getTransactionCount", answers.next())?.to();
    let code = field::<Bytes>(endpoint, "eth_getCode", answers.next())?;
    // EIP-161: an empty account does not exist.
    let exists = !balance.is_zero() || nonce != 0 || !code.is_empty();
    Ok(Found::Account(exists.then_some(AccountState { balance, nonce, code })))
}

/// The hash of an ancestor. Nodes look these up by number on their canonical chain, so the pinned
/// block must be on it too.
async fn old_hash(
    endpoint: &Endpoint,
    block: &BlockRef,
    number: u64,
    limit: Duration,
) -> Result<Found, RpcFault> {
    let method = "eth_getBlockByNumber";
    let ask = |it: u64| (method, json!([format!("{it:#x}"), false]));
    let mut answers =
        endpoint.batch(vec![ask(number), ask(block.number)], limit).await?.into_iter();
    let old = field::<RpcHead>(endpoint, method, answers.next())?;
    let pinned = field::<RpcHead>(endpoint, method, answers.next())?;
    if pinned.hash != block.hash || old.number.to::<u64>() != number {
        return Err(endpoint.malformed(method, "the pinned block is not canonical here"));
    }
    Ok(Found::Hash(old.hash))
}

fn field<T: DeserializeOwned>(
    endpoint: &Endpoint,
    method: &'static str,
    answer: Option<Result<Box<RawValue>, RpcFault>>,
) -> Result<T, RpcFault> {
    let raw = answer.ok_or_else(|| endpoint.malformed(method, "no answer"))??;
    serde_json::from_str(raw.get()).map_err(|error| endpoint.malformed(method, error.to_string()))
}
