//! Announcements of new blocks, one watcher per endpoint.
//!
//! **Invariant:** nothing is delivered from here. An announcement updates what is known of the
//! endpoint and wakes the walk; a lost one costs latency, never a block.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, sleep, timeout},
};

use super::{
    endpoint::Endpoint,
    fault::{FaultKind, RpcFault},
    fetch,
    health::Head,
    options::{RpcOptions, TracePolicy},
    pool::EndpointPool,
    status::Feed,
};

const SUBSCRIBE: &str = "eth_subscribe";

/// First pause before a broken watch is resumed; doubles with each failure.
const RESUME_FIRST: Duration = Duration::from_millis(250);
/// Longest such pause.
const RESUME_MAX: Duration = Duration::from_secs(10);

/// Watches `endpoint` for ever.
pub(crate) async fn watch(
    endpoint: Arc<Endpoint>,
    options: Arc<RpcOptions>,
    pool: Arc<EndpointPool>,
) {
    let watcher = Watcher { endpoint: &endpoint, options: &options, pool: &pool };
    let mut pause = RESUME_FIRST;
    loop {
        let mut lived = false;
        let result = if endpoint.subscribes() {
            watcher.listen(&mut lived).await
        } else {
            watcher.poll(&mut lived).await
        };
        endpoint.with_health(|it| it.feed = Feed::Down);
        if let Err(fault) = result {
            if matches!(fault.kind, FaultKind::Stalled { .. }) {
                endpoint.unlink().await;
            }
            endpoint.note_fault(&fault);
        }
        if lived {
            pause = RESUME_FIRST;
        }
        let asked_for = endpoint.with_health(|it| it.pause(Instant::now()));
        sleep(pause.max(asked_for.unwrap_or_default())).await;
        pause = pause.saturating_mul(2).min(RESUME_MAX);
    }
}

struct Watcher<'a> {
    endpoint: &'a Endpoint,
    options: &'a RpcOptions,
    pool: &'a EndpointPool,
}

impl Watcher<'_> {
    /// By subscription. A silent one is checked by asking; `Ok` means that it has ended.
    async fn listen(&self, lived: &mut bool) -> Result<(), RpcFault> {
        let limit = self.options.request_timeout;
        let mut heads = self.endpoint.subscribe(json!(["newHeads"]), limit).await?;
        self.first_look(lived).await?;
        self.endpoint.with_health(|it| it.feed = Feed::Subscribed);
        loop {
            match timeout(self.options.look_every(), heads.recv()).await {
                Ok(Ok(raw)) => match fetch::parse_head(&raw) {
                    Ok(head) => _ = self.saw(head),
                    Err(reason) => return Err(self.endpoint.malformed(SUBSCRIBE, reason)),
                },
                // Only the newest counts, and it is still to come.
                Ok(Err(RecvError::Lagged(_))) => {}
                Ok(Err(RecvError::Closed)) => return Ok(()),
                Err(_) => {
                    let head = fetch::head(self.endpoint, limit).await?;
                    if self.saw(head) && heads.is_empty() {
                        // The announcement may be on its way still.
                        sleep(self.options.poll_every()).await;
                        if heads.is_empty() {
                            let kind = FaultKind::Stalled { head: head.number };
                            return Err(self.endpoint.fault(SUBSCRIBE, kind));
                        }
                    }
                }
            }
        }
    }

    async fn poll(&self, lived: &mut bool) -> Result<(), RpcFault> {
        self.first_look(lived).await?;
        self.endpoint.with_health(|it| it.feed = Feed::Polled);
        loop {
            sleep(self.options.poll_every()).await;
            self.saw(fetch::head(self.endpoint, self.options.request_timeout).await?);
        }
    }

    async fn first_look(&self, lived: &mut bool) -> Result<(), RpcFault> {
        let head = fetch::head(self.endpoint, self.options.request_timeout).await?;
        *lived = true;
        self.endpoint.note_success();
        self.saw(head);
        if self.options.traces == TracePolicy::Node {
            fetch::probe_traces(self.endpoint, head.hash, self.options.trace_timeout).await;
        }
        Ok(())
    }

    /// `true` if the node told of another block than before.
    fn saw(&self, head: Head) -> bool {
        let new = self.endpoint.saw_head(head);
        if new {
            self.pool.tell_news();
        }
        new
    }
}
