//! [`BlockSource`] over JSON-RPC nodes.

use std::sync::Arc;

use alloy_primitives::B256;
use cofferdam_core::{
    ChainId,
    ports::{BlockSource, Boxed, SourceError, SourceEvent},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

use super::{
    heads,
    options::{RpcOptions, Start},
    pending,
    pool::EndpointPool,
    progress::Progress,
    status::ChainStatus,
    sub_blocks,
    walk::{Outlets, Walk},
    witness,
};

/// Blocks that wait for the consumer; when full, the walk waits.
const BLOCKS_WAITING_MAX: usize = 16;
/// Pending transactions that wait for the consumer; when full, the feeds wait.
const PENDING_WAITING_MAX: usize = 4_096;
/// Delivered blocks that wait for their witnesses to be counted; when full, those of a further one
/// are not counted.
const UNWITNESSED_MAX: usize = 64;

/// Blocks and pending transactions of one chain, from its nodes. Dropping it ends its tasks.
#[derive(Debug)]
pub struct RpcSource {
    monitor: Monitor,
    blocks: mpsc::Receiver<Result<SourceEvent, SourceError>>,
    pending: mpsc::Receiver<SourceEvent>,
    seen: Option<Arc<pending::Shared>>,
    _tasks: JoinSet<()>,
}

/// Tells how a source and its endpoints fare, also while and after the source is used elsewhere.
#[derive(Clone, Debug)]
pub struct Monitor {
    pool: Arc<EndpointPool>,
    progress: watch::Receiver<Progress>,
}

impl RpcSource {
    /// Starts at `start`, or at the current head. Returns at once; trouble comes as events.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(pool: Arc<EndpointPool>, options: RpcOptions, start: Option<Start>) -> Self {
        let options = Arc::new(options);
        let (events, blocks) = mpsc::channel(BLOCKS_WAITING_MAX);
        let (pending_tx, pending) = mpsc::channel(PENDING_WAITING_MAX);
        let (tip_tx, tip) = watch::channel(None);
        let (progress_tx, progress) = watch::channel(Progress::default());
        let (delivered, unwitnessed) = mpsc::channel(UNWITNESSED_MAX);
        let mut tasks = JoinSet::new();
        for endpoint in pool.endpoints() {
            let (options, pool) = (Arc::clone(&options), Arc::clone(&pool));
            tasks.spawn(heads::watch(Arc::clone(endpoint), options, pool));
        }
        let seen = (options.pending || options.sub_blocks.is_some()).then(|| {
            let pool = Arc::clone(&pool);
            Arc::new(pending::Shared::new(pool, Arc::clone(&options), tip, pending_tx))
        });
        if let Some(shared) = seen.as_ref().filter(|_| options.pending) {
            for endpoint in pool.endpoints() {
                tasks.spawn(pending::watch(Arc::clone(endpoint), Arc::clone(shared)));
            }
        }
        if let Some((shared, every)) = seen.as_ref().zip(options.sub_blocks) {
            tasks.spawn(sub_blocks::watch(Arc::clone(shared), every));
        }
        let (counted, told) = (Arc::clone(&options), events.clone());
        tasks.spawn(witness::watch(Arc::clone(&pool), counted, unwitnessed, told));
        let out = Outlets { events, tip: tip_tx, delivered, progress: progress_tx };
        tasks.spawn(Walk::new(Arc::clone(&pool), options, start, out).run());
        Self { monitor: Monitor { pool, progress }, blocks, pending, seen, _tasks: tasks }
    }

    /// The endpoints, for their health and to share their connections.
    pub fn pool(&self) -> &Arc<EndpointPool> {
        &self.monitor.pool
    }

    /// Tells how this source fares, independently of it.
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// When the first endpoint told of what `event` is about; now, if none did before the event was
    /// made. Reactions are measured from here: what waited in a queue has waited.
    pub fn seen_at(&self, event: &SourceEvent) -> std::time::Instant {
        let seen = match event {
            SourceEvent::Block(it) => self.monitor.pool.told_at(it.block.hash),
            SourceEvent::Pending(it) => it.txs.first().and_then(|tx| self.pending_since(tx.hash)),
            SourceEvent::Witnessed { .. } | SourceEvent::Blind { .. } | SourceEvent::End => None,
        };
        seen.unwrap_or_else(Instant::now).into_std()
    }

    fn pending_since(&self, tx: B256) -> Option<Instant> {
        self.seen.as_ref()?.since(tx)
    }
}

impl BlockSource for RpcSource {
    fn chain(&self) -> ChainId {
        self.monitor.pool.chain()
    }

    /// Blocks go before pending transactions.
    fn next(&mut self) -> Boxed<'_, Result<SourceEvent, SourceError>> {
        Box::pin(async {
            tokio::select! {
                biased;
                event = self.blocks.recv() => event.unwrap_or_else(|| {
                    Err(SourceError::Unavailable {
                        what: "blocks".to_owned(),
                        source: "the source has stopped".into(),
                    })
                }),
                Some(event) = self.pending.recv() => Ok(event),
            }
        })
    }
}

impl Monitor {
    /// How the source and its endpoints fare now.
    pub fn status(&self) -> ChainStatus {
        let progress = self.progress.borrow().clone();
        let head = self.pool.best_head();
        ChainStatus {
            chain: self.pool.chain(),
            delivered: progress.delivered,
            head,
            behind: head.zip(progress.delivered).map_or(0, |it| it.0.saturating_sub(it.1)),
            backfill: progress.backfill(head, Instant::now()),
            holding: progress.holding,
            endpoints: self.pool.statuses(),
        }
    }
}
