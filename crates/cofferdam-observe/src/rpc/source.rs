//! [`BlockSource`] over JSON-RPC nodes.

use std::sync::Arc;

use cofferdam_core::{
    ChainId,
    ports::{BlockSource, Boxed, SourceError, SourceEvent},
};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};

use super::{
    heads,
    options::{RpcOptions, Start},
    pending,
    pool::EndpointPool,
    walk::Walk,
};

/// Blocks that wait for the consumer; when full, the walk waits.
const BLOCKS_WAITING_MAX: usize = 16;
/// Pending transactions that wait for the consumer; when full, the feeds wait.
const PENDING_WAITING_MAX: usize = 4_096;

/// Blocks and pending transactions of one chain, from its nodes. Dropping it ends its tasks.
#[derive(Debug)]
pub struct RpcSource {
    pool: Arc<EndpointPool>,
    blocks: mpsc::Receiver<Result<SourceEvent, SourceError>>,
    pending: mpsc::Receiver<SourceEvent>,
    _tasks: JoinSet<()>,
}

impl RpcSource {
    /// Starts at `start`, or at the current head. Returns at once; trouble comes as events.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(pool: Arc<EndpointPool>, options: RpcOptions, start: Option<Start>) -> Self {
        let options = Arc::new(options);
        let wake = Arc::new(Notify::new());
        let (block_tx, blocks) = mpsc::channel(BLOCKS_WAITING_MAX);
        let (pending_tx, pending) = mpsc::channel(PENDING_WAITING_MAX);
        let (tip_tx, tip) = watch::channel(None);
        let mut tasks = JoinSet::new();
        for endpoint in pool.endpoints() {
            let (options, wake) = (Arc::clone(&options), Arc::clone(&wake));
            tasks.spawn(heads::watch(Arc::clone(endpoint), options, wake));
        }
        if options.pending {
            let shared = pending::Shared::new(Arc::clone(&options), tip, pending_tx);
            let shared = Arc::new(shared);
            for endpoint in pool.endpoints() {
                tasks.spawn(pending::watch(Arc::clone(endpoint), Arc::clone(&shared)));
            }
        }
        let walk = Walk::new(Arc::clone(&pool), options, start, wake, block_tx, tip_tx);
        tasks.spawn(walk.run());
        Self { pool, blocks, pending, _tasks: tasks }
    }

    /// The endpoints, for their health and to share their connections.
    pub fn pool(&self) -> &Arc<EndpointPool> {
        &self.pool
    }
}

impl BlockSource for RpcSource {
    fn chain(&self) -> ChainId {
        self.pool.chain()
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
