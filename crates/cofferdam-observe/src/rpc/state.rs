//! [`StateSource`] over JSON-RPC, for the EVM: synchronous, pinned to a block hash, cached.
//!
//! The EVM is synchronous and may run on any thread, also one that drives an async runtime.
//! Requests therefore run on a thread and runtime of their own; a caller waits for a channel,
//! never for the runtime it blocks.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as blocking},
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256, map::HashSet};
use cofferdam_core::{
    BlockRef,
    ports::{AccountState, Ahead, Boxed, Cause, SourceError, StateError, StateSource},
};
use lru::LruCache;
use serde::de::DeserializeOwned;
use serde_json::{Value, json, value::RawValue};
use tokio::sync::mpsc;

use super::{
    endpoint::Endpoint, fault::RpcFault, pool::EndpointPool, prefetch::Prefetch, race::race,
    reader::word, wire::RpcHead,
};

/// Cached accounts and slots over all blocks, about 200 bytes each; code is shared.
const CACHE_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(199_999);
/// Questions of pending simulations that are asked again at each new head, the latest ones: three
/// requests to a node, however many rules and transactions there are.
const HOT_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(JOB_QUESTIONS_MAX * 3 - 1);
/// Of these, accounts that are asked for whether or not a simulation read them.
const PINNED_MAX: usize = 80;
/// Contract codes that are shared between the accounts and blocks that have them.
const CODES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(8_191);
/// Jobs that wait for the requesting thread. A caller has at most [`JOBS_AT_ONCE`] at a time.
const JOBS_MAX: usize = 1_024;
/// Questions of one job, up to three calls each: what nodes take in one batch.
const JOB_QUESTIONS_MAX: usize = 40;
/// Jobs of one caller that are under way at the same time.
const JOBS_AT_ONCE: usize = 4;

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
    /// Whether what is asked will be asked again at the next head.
    recurs: bool,
}

pub(super) struct Shared {
    jobs: mpsc::Sender<Job>,
    cache: Mutex<LruCache<(B256, Question), Found>>,
    codes: Mutex<LruCache<B256, Bytes>>,
    hot: Mutex<LruCache<Question, ()>>,
    pinned: Mutex<Vec<Question>>,
    /// Longest a caller waits for its answer.
    patience: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Question {
    Account(Address),
    Slot(Address, U256),
    BlockHash(u64),
}

#[derive(Clone, Debug)]
pub(super) enum Found {
    Account(Option<AccountState>),
    Word(U256),
    Hash(B256),
}

struct Job {
    questions: Vec<Question>,
    block: BlockRef,
    reply: Reply,
}

type Reply = blocking::SyncSender<Result<Vec<Found>, Cause>>;

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
        let (jobs, mut queue) = mpsc::channel::<Job>(JOBS_MAX);
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
                            let found = find(&pool, &job.block, &job.questions, limit).await;
                            let _ = job.reply.send(found);
                        });
                    }
                });
            })
            .map_err(unavailable)?;
        let patience = limit.saturating_mul(endpoints.saturating_add(1));
        let cache = Mutex::new(LruCache::new(CACHE_MAX));
        let codes = Mutex::new(LruCache::new(CODES_MAX));
        let hot = Mutex::new(LruCache::new(HOT_MAX));
        Ok(Self {
            shared: Arc::new(Shared {
                jobs,
                cache,
                codes,
                hot,
                pinned: Mutex::default(),
                patience,
            }),
        })
    }

    /// The state after `block`.
    pub fn at(&self, block: BlockRef) -> RpcState {
        RpcState { block, shared: Arc::clone(&self.shared), recurs: false }
    }

    /// As [`RpcStates::at`], for simulations on the head: what they read is noted, because the next one
    /// will read much the same. See [`RpcStates::keep_warm`].
    pub fn at_head(&self, block: BlockRef) -> RpcState {
        RpcState { recurs: true, ..self.at(block) }
    }

    /// Has `accounts` at hand at each head to come; of more than [`PINNED_MAX`] the first ones.
    pub fn pin(&self, accounts: impl IntoIterator<Item = Address>) {
        let mut pinned = self.shared.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        pinned.extend(accounts.into_iter().map(Question::Account));
        let mut seen = HashSet::<Question>::default();
        pinned.retain(|it| seen.insert(*it));
        pinned.truncate(PINNED_MAX);
    }

    /// Asks at a new head for what simulations on the heads before it read last, so that the next
    /// simulation waits for no node. Blocks the calling thread. Returns how much was asked for.
    ///
    /// # Errors
    /// [`StateError::Unavailable`] if no node answered; the next simulation asks by itself.
    pub fn keep_warm(&self, head: BlockRef) -> Result<usize, StateError> {
        let state = self.at(head);
        let mut wanted = self.shared.pinned.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let hot = self.shared.hot();
        wanted.extend(
            hot.iter().map(|it| *it.0).filter(|it| !wanted.contains(it)).collect::<Vec<_>>(),
        );
        drop(hot);
        wanted.truncate(HOT_MAX.get());
        let unknown: Vec<_> = wanted.into_iter().filter(|it| state.known(*it).is_none()).collect();
        state.learn(&unknown)?;
        Ok(unknown.len())
    }
}

impl RpcState {
    /// The same state with an eye on what is not known yet: see [`Prefetch`].
    pub fn prefetch(&self) -> Prefetch {
        Prefetch::new(self.clone())
    }

    /// The answer, if it is known without asking.
    pub(super) fn known(&self, question: Question) -> Option<Found> {
        if let Question::BlockHash(number) = question {
            if number == self.block.number {
                return Some(Found::Hash(self.block.hash));
            }
            if number.checked_add(1) == Some(self.block.number) {
                return Some(Found::Hash(self.block.parent));
            }
        }
        if self.recurs {
            self.shared.hot().put(question, ());
        }
        self.shared.cache().get(&(self.block.hash, question)).cloned()
    }

    /// Asks for all of `questions`, many in one request, and remembers the answers.
    pub(super) fn learn(&self, questions: &[Question]) -> Result<(), StateError> {
        let mut under_way = VecDeque::with_capacity(JOBS_AT_ONCE);
        for some in questions.chunks(JOB_QUESTIONS_MAX) {
            if under_way.len() == JOBS_AT_ONCE {
                self.finish(under_way.pop_front())?;
            }
            let (reply, answer) = blocking::sync_channel(1);
            let job = Job { questions: some.to_vec(), block: self.block, reply };
            self.shared.jobs.try_send(job).map_err(|_| failed("too many state requests wait"))?;
            under_way.push_back((some, answer));
        }
        while let Some(job) = under_way.pop_front() {
            self.finish(Some(job))?;
        }
        Ok(())
    }

    fn finish(&self, job: Option<UnderWay<'_>>) -> Result<(), StateError> {
        let Some((questions, answer)) = job else { return Ok(()) };
        let found = answer
            .recv_timeout(self.shared.patience)
            .map_err(|_| failed("no answer to a state request in time"))?
            .map_err(StateError::Unavailable)?;
        for (question, mut found) in questions.iter().zip(found) {
            if let Found::Account(Some(account)) = &mut found {
                self.shared.share_code(account);
            }
            self.shared.cache().put((self.block.hash, *question), found);
        }
        Ok(())
    }

    fn ask(&self, question: Question) -> Result<Found, StateError> {
        if let Some(found) = self.known(question) {
            return Ok(found);
        }
        self.learn(&[question])?;
        self.known(question).ok_or_else(|| failed("a state request was answered with nothing"))
    }
}

type UnderWay<'a> = (&'a [Question], blocking::Receiver<Result<Vec<Found>, Cause>>);

fn failed(why: &str) -> StateError {
    StateError::Unavailable(why.into())
}

impl Shared {
    fn cache(&self) -> MutexGuard<'_, LruCache<(B256, Question), Found>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hot(&self) -> MutexGuard<'_, LruCache<Question, ()>> {
        self.hot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One copy of each code, however many accounts and blocks have it.
    fn share_code(&self, account: &mut AccountState) {
        if !account.code.is_empty() {
            let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
            let code = codes.get_or_insert(keccak256(&account.code), || account.code.clone());
            account.code = code.clone();
        }
    }
}

impl StateSource for RpcState {
    /// Blocks the calling thread while a node is asked.
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        self.ask(Question::Account(address))?.account()
    }

    /// Blocks the calling thread while a node is asked.
    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.ask(Question::Slot(address, slot))?.word()
    }

    /// Blocks the calling thread while a node is asked.
    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.ask(Question::BlockHash(number))?.hash()
    }

    fn ahead(&self) -> Option<Arc<dyn Ahead>> {
        Some(Arc::new(self.prefetch()))
    }
}

impl Found {
    pub(super) fn account(self) -> Result<Option<AccountState>, StateError> {
        match self {
            Self::Account(it) => Ok(it),
            _ => Err(failed(OTHER_KIND)),
        }
    }

    pub(super) fn word(self) -> Result<U256, StateError> {
        match self {
            Self::Word(it) => Ok(it),
            _ => Err(failed(OTHER_KIND)),
        }
    }

    pub(super) fn hash(self) -> Result<B256, StateError> {
        match self {
            Self::Hash(it) => Ok(it),
            _ => Err(failed(OTHER_KIND)),
        }
    }
}

const OTHER_KIND: &str = "cache holds another kind of answer";

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("patience", &self.patience).finish_non_exhaustive()
    }
}

async fn find(
    pool: &EndpointPool,
    block: &BlockRef,
    questions: &[Question],
    limit: Duration,
) -> Result<Vec<Found>, Cause> {
    let mut last: Cause = "no endpoint".into();
    let ask = |endpoint: Arc<Endpoint>| -> Boxed<'_, _> {
        Box::pin(async move { find_at(&endpoint, block, questions, limit).await })
    };
    let judge = |endpoint: Arc<Endpoint>, found: Result<Vec<Found>, RpcFault>| match found {
        Ok(found) => {
            endpoint.note_success();
            Some(found)
        }
        Err(fault) => {
            endpoint.note_fault(&fault);
            last = fault.into();
            None
        }
    };
    let found = race(pool.in_order(block.number), "state", ask, judge).await;
    found.ok_or(last)
}

async fn find_at(
    endpoint: &Endpoint,
    block: &BlockRef,
    questions: &[Question],
    limit: Duration,
) -> Result<Vec<Found>, RpcFault> {
    let calls = questions.iter().flat_map(|it| calls_of(it, block)).collect::<Vec<_>>();
    // A single question goes as a plain request: some endpoints take no batches.
    let answers = match <[_; 1]>::try_from(calls) {
        Ok([(method, params)]) => vec![endpoint.request(method, params, limit).await],
        Err(calls) => endpoint.batch(calls, limit).await?,
    };
    let mut answers = answers.into_iter();
    questions.iter().map(|it| found_in(endpoint, block, it, &mut answers)).collect()
}

/// The calls that answer a question.
fn calls_of(question: &Question, block: &BlockRef) -> Vec<(&'static str, Value)> {
    let at = json!({ "blockHash": block.hash });
    match question {
        Question::Account(address) => ACCOUNT.map(|method| (method, json!([address, at]))).to_vec(),
        Question::Slot(address, slot) => vec![(SLOT, json!([address, slot, at]))],
        Question::BlockHash(number) => [*number, block.number]
            .map(|number| (HEADER, json!([format!("{number:#x}"), false])))
            .to_vec(),
    }
}

const ACCOUNT: [&str; 3] = ["eth_getBalance", "eth_getTransactionCount", "eth_getCode"];
const SLOT: &str = "eth_getStorageAt";
const HEADER: &str = "eth_getBlockByNumber";

type Answers = std::vec::IntoIter<Result<Box<RawValue>, RpcFault>>;

/// Takes the answers that belong to a question.
fn found_in(
    endpoint: &Endpoint,
    block: &BlockRef,
    question: &Question,
    answers: &mut Answers,
) -> Result<Found, RpcFault> {
    match *question {
        Question::Account(_) => {
            let [of_balance, of_nonce, of_code] = ACCOUNT;
            let balance = field::<U256>(endpoint, of_balance, answers.next())?;
            let nonce = field::<U64>(endpoint, of_nonce, answers.next())?.to();
            let code = field::<Bytes>(endpoint, of_code, answers.next())?;
            // EIP-161: an empty account does not exist.
            let exists = !balance.is_zero() || nonce != 0 || !code.is_empty();
            Ok(Found::Account(exists.then_some(AccountState { balance, nonce, code })))
        }
        Question::Slot(..) => {
            let raw = answers.next().ok_or_else(|| endpoint.malformed(SLOT, "no answer"))??;
            word(&raw).map(Found::Word).ok_or_else(|| endpoint.malformed(SLOT, "not a word"))
        }
        // Nodes look ancestors up by number on their canonical chain, so the pinned block must be
        // on it too.
        Question::BlockHash(number) => {
            let old = field::<RpcHead>(endpoint, HEADER, answers.next())?;
            let pinned = field::<RpcHead>(endpoint, HEADER, answers.next())?;
            if pinned.hash != block.hash || old.number.to::<u64>() != number {
                return Err(endpoint.malformed(HEADER, "the pinned block is not canonical here"));
            }
            Ok(Found::Hash(old.hash))
        }
    }
}

fn field<T: DeserializeOwned>(
    endpoint: &Endpoint,
    method: &'static str,
    answer: Option<Result<Box<RawValue>, RpcFault>>,
) -> Result<T, RpcFault> {
    let raw = answer.ok_or_else(|| endpoint.malformed(method, "no answer"))??;
    serde_json::from_str(raw.get()).map_err(|error| endpoint.malformed(method, error.to_string()))
}
