//! Pending transactions, from every endpoint, each delivered once.
//!
//! Best effort by nature: a node may not tell. What we lose ourselves, because the consumer is
//! slow or every feed is down, is reported as *blind* from the next block on.

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
    seen: Mutex<LruCache<B256, ()>>,
    blind: Mutex<Throttle>,
    live: AtomicUsize,
    tip: watch::Receiver<Option<Tip>>,
    out: mpsc::Sender<SourceEvent>,
    options: Arc<RpcOptions>,
}

impl Shared {
    pub(crate) fn new(
        options: Arc<RpcOptions>,
        tip: watch::Receiver<Option<Tip>>,
        out: mpsc::Sender<SourceEvent>,
    ) -> Self {
        Self {
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
        seen.put(hash, ()).is_none()
    }

    async fn say_blind(&self, because: String) {
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
            if self.shared.is_new(tx.hash) {
                self.deliver(tx).await?;
            }
        }
        let calls = hashes.iter().map(|it| (BY_HASH, json!([it]))).collect();
        for (hash, answer) in hashes.iter().zip(self.endpoint.batch(calls, self.limit()).await?) {
            let tx: Option<RpcTx> = serde_json::from_str(answer?.get())
                .map_err(|error| self.endpoint.malformed(BY_HASH, error.to_string()))?;
            match tx {
                Some(tx) if tx.hash == *hash => self.deliver(tx).await?,
                Some(_) => {
                    let text = format!("asked for transaction {hash}, got another");
                    return Err(self.endpoint.malformed(BY_HASH, text));
                }
                // Dropped from the pool in the meantime.
                None => {}
            }
        }
        Ok(())
    }

    async fn deliver(&self, tx: RpcTx) -> Result<(), RpcFault> {
        if tx.block_hash.is_some() {
            // Included in the meantime: it comes with its block.
            return Ok(());
        }
        let tx = convert::transaction(tx)
            .map_err(|reason| self.endpoint.malformed(SUBSCRIBE, reason))?;
        let Some(tip) = self.shared.tip.borrow().clone() else { return Ok(()) };
        let observation = Observation {
            block: tip.block,
            env: tip.env,
            stage: Stage::Pending,
            witnesses: 1,
            txs: vec![tx],
            readings: Readings::default(),
        };
        // A full queue makes this wait; what the feed drops meanwhile is reported as lost.
        let _ = self.shared.out.send(SourceEvent::Pending(observation)).await;
        Ok(())
    }

    fn limit(&self) -> Duration {
        self.shared.options.request_timeout
    }
}
