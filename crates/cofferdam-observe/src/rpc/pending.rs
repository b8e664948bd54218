//! Pending transactions, from every endpoint, each delivered once.
//!
//! Best effort by nature: a node may not tell. What we lose ourselves, because the consumer is
//! slow, every feed is down, or no endpoint gives the body of a transaction that was announced, is
//! reported as *blind* from the next block on.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy_primitives::B256;
use cofferdam_core::{Observation, Stage, ports::SourceEvent, read::Readings};
use lru::LruCache;
use serde_json::{json, value::RawValue};
use tokio::{
    sync::{broadcast::error::RecvError, mpsc, watch},
    time::{Instant, sleep},
};

use super::{
    convert,
    endpoint::Endpoint,
    fault::{FaultKind, RpcFault},
    options::RpcOptions,
    pool::EndpointPool,
    throttle::Throttle,
    walk::Tip,
    wire::RpcTx,
};

/// How many transactions are remembered so as not to be delivered twice.
const SEEN_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);
/// Most transactions asked for in one batch.
const BATCH_MAX: usize = 100;
/// Pause before a broken feed is resumed.
const RESUME: Duration = Duration::from_secs(1);

const BY_HASH: &str = "eth_getTransactionByHash";
const SUBSCRIBE: &str = "eth_subscribe";
const NEW_FILTER: &str = "eth_newPendingTransactionFilter";
const CHANGES: &str = "eth_getFilterChanges";

/// What the feeds of all endpoints share.
pub(crate) struct Shared {
    pool: Arc<EndpointPool>,
    /// When each was first told of.
    seen: Mutex<LruCache<B256, Instant>>,
    blind: Mutex<Throttle>,
    live: AtomicUsize,
    tip: watch::Receiver<Option<Tip>>,
    out: mpsc::Sender<SourceEvent>,
    options: Arc<RpcOptions>,
}

impl Shared {
    pub(crate) fn new(
        pool: Arc<EndpointPool>,
        options: Arc<RpcOptions>,
        tip: watch::Receiver<Option<Tip>>,
        out: mpsc::Sender<SourceEvent>,
    ) -> Self {
        Self {
            pool,
            seen: Mutex::new(LruCache::new(SEEN_MAX)),
            blind: Mutex::new(Throttle::default()),
            live: AtomicUsize::new(0),
            tip,
            out,
            options,
        }
    }

    /// `true` the first time.
    fn is_new(&self, hash: B256) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.get(&hash).is_some() {
            return false;
        }
        seen.put(hash, Instant::now());
        true
    }

    /// When an endpoint first told of transaction `hash`, as far back as is remembered.
    pub(crate) fn since(&self, hash: B256) -> Option<Instant> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.peek(&hash).copied()
    }

    /// Forgets transactions that could not be delivered: who tells of them again is heard.
    fn forget(&self, hashes: &[B256]) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for hash in hashes {
            seen.pop(hash);
        }
    }

    pub(crate) fn pool(&self) -> &EndpointPool {
        &self.pool
    }

    pub(crate) fn tip(&self) -> watch::Receiver<Option<Tip>> {
        self.tip.clone()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.out.is_closed()
    }

    pub(crate) fn limit(&self) -> Duration {
        self.options.request_timeout
    }

    /// Delivers `tx` unless it was delivered before.
    pub(crate) async fn deliver_new(&self, tx: RpcTx) -> Result<(), String> {
        if self.is_new(tx.hash) { self.deliver(tx).await } else { Ok(()) }
    }

    async fn deliver(&self, tx: RpcTx) -> Result<(), String> {
        let tx = convert::transaction(tx)?;
        let Some(tip) = self.tip.borrow().clone() else { return Ok(()) };
        let observation = Observation {
            block: tip.block,
            env: tip.env,
            stage: Stage::Pending,
            witnesses: 1,
            txs: vec![tx],
            readings: Readings::default(),
        };
        // A full queue makes this wait; what the feed drops meanwhile is reported as lost.
        let _ = self.out.send(SourceEvent::Pending(observation)).await;
        Ok(())
    }

    pub(crate) async fn say_blind(&self, because: String) {
        let tip = self.tip.borrow().as_ref().map(|it| it.block.number);
        let from = tip.map_or(0, |it| it.saturating_add(1));
        // The block is left out of the throttle: the trouble is the same at every block.
        let admitted = {
            let mut blind = self.blind.lock().unwrap_or_else(PoisonError::into_inner);
            blind.admit(0, &because, Instant::now())
        };
        if !admitted {
            return;
        }
        let _ = self.out.send(SourceEvent::Blind { from, because }).await;
    }
}

/// Watches the pool of `endpoint` until the consumer is gone. Starts after the first block.
pub(crate) async fn watch(endpoint: Arc<Endpoint>, shared: Arc<Shared>) {
    let mut tip = shared.tip.clone();
    if tip.wait_for(Option::is_some).await.is_err() {
        return;
    }
    let feed = Feed { endpoint: &endpoint, shared: &shared };
    while !shared.out.is_closed() {
        let result = feed.run().await;
        if shared.live.load(Ordering::Relaxed) == 0 {
            let because = match &result {
                Ok(()) => format!("{endpoint} closed the feed"),
                Err(fault) => fault.to_string(),
            };
            shared.say_blind(format!("pending transactions cannot be watched: {because}")).await;
        }
        if let Err(fault) = result {
            endpoint.note_fault(&fault);
        }
        sleep(RESUME).await;
    }
}

struct Feed<'a> {
    endpoint: &'a Endpoint,
    shared: &'a Shared,
}

/// Counts a feed as live while it exists.
struct Live<'a>(&'a AtomicUsize);

impl<'a> Live<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Feed<'_> {
    async fn run(&self) -> Result<(), RpcFault> {
        if self.endpoint.subscribes() { self.listen().await } else { self.poll().await }
    }

    /// By subscription: to full transactions where the node offers that, else to hashes.
    async fn listen(&self) -> Result<(), RpcFault> {
        let limit = self.limit();
        let full = json!(["newPendingTransactions", true]);
        let mut feed = match self.endpoint.subscribe(full, limit).await {
            Err(fault) if matches!(fault.kind, FaultKind::Refused { .. }) => {
                self.endpoint.subscribe(json!(["newPendingTransactions"]), limit).await?
            }
            other => other?,
        };
        let _live = Live::new(&self.shared.live);
        loop {
            let mut items = match feed.recv().await {
                Ok(item) => vec![item],
                Err(RecvError::Lagged(count)) => {
                    let text = format!("{count} pending transactions of {} lost", self.endpoint);
                    self.shared.say_blind(text).await;
                    continue;
                }
                Err(RecvError::Closed) => return Ok(()),
            };
            while items.len() < BATCH_MAX
                && let Ok(item) = feed.try_recv()
            {
                items.push(item);
            }
            self.take(items).await?;
            if self.shared.out.is_closed() {
                return Ok(());
            }
        }
    }

    /// By filter, for nodes that cannot push.
    async fn poll(&self) -> Result<(), RpcFault> {
        let limit = self.limit();
        let filter = self.endpoint.request(NEW_FILTER, json!([]), limit).await?;
        let _live = Live::new(&self.shared.live);
        loop {
            sleep(self.shared.options.poll_every()).await;
            let news = self.endpoint.request(CHANGES, json!([filter]), limit).await?;
            let items: Vec<Box<RawValue>> = serde_json::from_str(news.get())
                .map_err(|error| self.endpoint.malformed(CHANGES, error.to_string()))?;
            for some in items.chunks(BATCH_MAX) {
                self.take(some.to_vec()).await?;
            }
            if self.shared.out.is_closed() {
                return Ok(());
            }
        }
    }

    /// Delivers each item, a hash or a full transaction, unless it was delivered before.
    async fn take(&self, items: Vec<Box<RawValue>>) -> Result<(), RpcFault> {
        let mut hashes = Vec::new();
        for item in items {
            if let Ok(hash) = serde_json::from_str::<B256>(item.get()) {
                if self.shared.is_new(hash) {
                    hashes.push(hash);
                }
                continue;
            }
            let tx: RpcTx = serde_json::from_str(item.get())
                .map_err(|error| self.endpoint.malformed(SUBSCRIBE, error.to_string()))?;
            // Included in the meantime: it comes with its block.
            if tx.block_hash.is_none() {
                let delivered = self.shared.deliver_new(tx).await;
                delivered.map_err(|reason| self.endpoint.malformed(SUBSCRIBE, reason))?;
            }
        }
        self.bodies(hashes).await
    }

    /// Delivers the transactions `hashes`, asking another endpoint for what this one fails to give.
    async fn bodies(&self, mut hashes: Vec<B256>) -> Result<(), RpcFault> {
        let mut fault = None;
        let others = self.shared.pool.in_order(0);
        let others = others.iter().map(|it| &**it).filter(|it| it.label() != self.endpoint.label());
        for endpoint in std::iter::once(self.endpoint).chain(others) {
            if hashes.is_empty() {
                break;
            }
            if let Err(it) = self.bodies_at(endpoint, &mut hashes).await {
                endpoint.note_fault(&it);
                fault.get_or_insert(it);
            }
        }
        if !hashes.is_empty() {
            self.shared.forget(&hashes);
            let why = fault.as_ref().map_or_else(String::new, |it| format!(": {it}"));
            let count = hashes.len();
            let text = format!("{count} pending transactions were announced but not served{why}");
            self.shared.say_blind(text).await;
        }
        Ok(())
    }

    /// Delivers what `endpoint` gives of `hashes` and leaves the rest in it.
    async fn bodies_at(&self, endpoint: &Endpoint, hashes: &mut Vec<B256>) -> Result<(), RpcFault> {
        let calls = hashes.iter().map(|it| (BY_HASH, json!([it]))).collect();
        let answers = endpoint.batch(calls, self.limit()).await?;
        let (mut left, mut fault) = (Vec::new(), None);
        for (hash, answer) in hashes.iter().zip(answers) {
            if let Err(it) = self.body(endpoint, *hash, answer).await {
                left.push(*hash);
                fault.get_or_insert(it);
            }
        }
        *hashes = left;
        fault.map_or(Ok(()), Err)
    }

    async fn body(
        &self,
        endpoint: &Endpoint,
        hash: B256,
        answer: Result<Box<RawValue>, RpcFault>,
    ) -> Result<(), RpcFault> {
        let tx: Option<RpcTx> = serde_json::from_str(answer?.get())
            .map_err(|error| endpoint.malformed(BY_HASH, error.to_string()))?;
        match tx {
            Some(tx) if tx.hash != hash => {
                let text = format!("asked for transaction {hash}, got another");
                Err(endpoint.contradicted(BY_HASH, text))
            }
            // Included in the meantime: it comes with its block.
            Some(tx) if tx.block_hash.is_some() => Ok(()),
            Some(tx) => {
                let delivered = self.shared.deliver(tx).await;
                delivered.map_err(|reason| endpoint.malformed(BY_HASH, reason))
            }
            // Dropped from the pool in the meantime.
            None => Ok(()),
        }
    }

    fn limit(&self) -> Duration {
        self.shared.limit()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("pool", &self.pool).finish_non_exhaustive()
    }
}
