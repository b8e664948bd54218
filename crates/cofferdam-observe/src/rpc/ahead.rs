//! Fetching the blocks after the wanted one beforehand, while there are many up to the head.
//!
//! **Invariant:** nothing is decided here. A block that was fetched ahead is delivered only if it
//! continues the delivered chain; otherwise everything fetched ahead is dropped and the walk asks anew.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use cofferdam_core::{ChainId, Observation};
use tokio::{task::JoinHandle, time::timeout};

use super::{
    cursor::Wanted,
    endpoint::Endpoint,
    fault::FaultKind,
    fetch::Fetcher,
    options::{RpcOptions, TracePolicy},
    pool::EndpointPool,
};

/// Blocks that are fetched ahead at most.
const AHEAD_MAX: u64 = 8;
/// Fewer blocks than this up to the head are not worth it.
const BEHIND_MIN: u64 = 3;
/// How long to wait for a block that was asked for ahead before other endpoints are asked.
const PATIENCE: Duration = Duration::from_millis(800);

/// Blocks on their way, in order.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    tasks: VecDeque<Task>,
}

#[derive(Debug)]
struct Task {
    number: u64,
    endpoint: Arc<Endpoint>,
    handle: JoinHandle<Option<Observation>>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl Ahead {
    /// The block `number` if it was fetched ahead.
    pub(crate) async fn take(&mut self, number: u64) -> Option<Observation> {
        let mut task = self.tasks.pop_front()?;
        if task.number == number {
            match timeout(PATIENCE, &mut task.handle).await {
                Ok(Ok(Some(block))) => return Some(block),
                // It failed, and the walk will find out why.
                Ok(_) => {}
                Err(_) => {
                    let limit_ms = u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX);
                    let kind = FaultKind::TimedOut { limit_ms };
                    task.endpoint.note_fault(&task.endpoint.fault("next block", kind));
                }
            }
        }
        self.clear();
        None
    }

    /// Drops everything fetched ahead.
    pub(crate) fn clear(&mut self) {
        self.tasks.clear();
    }

    /// Asks for blocks from `next` on, as far as the endpoints told of them.
    pub(crate) fn fill(&mut self, pool: &EndpointPool, options: &Arc<RpcOptions>, next: u64) {
        let Some(best) = pool.announced_head() else { return };
        // A trace is too heavy to be asked for in vain.
        if best < next.saturating_add(BEHIND_MIN) || options.traces == TracePolicy::Node {
            return;
        }
        let first = self.tasks.back().map_or(next, |it| it.number.saturating_add(1));
        let last = best.min(next.saturating_add(AHEAD_MAX - 1));
        for number in first..=last {
            let Some(endpoint) = pool.in_order(number).into_iter().next() else { return };
            let asked = fetch(pool.chain(), Arc::clone(&endpoint), Arc::clone(options), number);
            let handle = tokio::spawn(asked);
            self.tasks.push_back(Task { number, endpoint, handle });
        }
    }
}

async fn fetch(
    chain: ChainId,
    endpoint: Arc<Endpoint>,
    options: Arc<RpcOptions>,
    number: u64,
) -> Option<Observation> {
    let limit = options.request_timeout;
    let fetcher =
        Fetcher { endpoint: &endpoint, chain, options: &options, limit, without_traces: false };
    let fetched = fetcher.block(Wanted { number: Some(number), hash: None }).await.ok()??;
    endpoint.has_block(fetched.head());
    let observation = fetcher.complete(fetched).await.ok()?;
    endpoint.note_success();
    Some(observation)
}
