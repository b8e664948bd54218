//! Announcements of new blocks, one watcher per endpoint.
//!
//! **Invariant:** nothing is delivered from here. An announcement updates what is known of the
//! endpoint and wakes the walk; a lost one costs latency, never a block.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    sync::{Notify, broadcast::error::RecvError},
    time::{sleep, timeout},
};

use super::{
    endpoint::Endpoint,
    fault::RpcFault,
    fetch,
    health::Head,
    options::{RpcOptions, TracePolicy},
};

/// First pause before a broken watch is resumed; doubles with each failure.
const RESUME_FIRST: Duration = Duration::from_millis(250);
/// Longest such pause.
const RESUME_MAX: Duration = Duration::from_secs(10);

/// Watches `endpoint` for ever.
pub(crate) async fn watch(endpoint: Arc<Endpoint>, options: Arc<RpcOptions>, wake: Arc<Notify>) {
    let watcher = Watcher { endpoint: &endpoint, options: &options, wake: &wake };
    let mut pause = RESUME_FIRST;
    loop {
        let mut lived = false;
        let result = if endpoint.subscribes() {
            watcher.listen(&mut lived).await
        } else {
            watcher.poll(&mut lived).await
        };
        if let Err(fault) = result {
            endpoint.note_fault(&fault);
        }
        if lived {
            pause = RESUME_FIRST;
        }
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(RESUME_MAX);
    }
}

struct Watcher<'a> {
    endpoint: &'a Endpoint,
    options: &'a RpcOptions,
    wake: &'a Notify,
}

impl Watcher<'_> {
    /// By subscription. A silent one is checked by asking; `Ok` means that it has ended.
    async fn listen(&self, lived: &mut bool) -> Result<(), RpcFault> {
        let limit = self.options.request_timeout;
        let mut heads = self.endpoint.subscribe(json!(["newHeads"]), limit).await?;
        self.first_look(lived).await?;
        loop {
            match timeout(self.options.look_every(), heads.recv()).await {
                Ok(Ok(raw)) => match fetch::parse_head(&raw) {
                    Ok(head) => self.saw(head),
                    Err(reason) => return Err(self.endpoint.malformed("eth_subscribe", reason)),
                },
                // Only the newest counts, and it is still to come.
                Ok(Err(RecvError::Lagged(_))) => {}
                Ok(Err(RecvError::Closed)) => return Ok(()),
                Err(_) => self.look().await?,
            }
        }
    }

    async fn poll(&self, lived: &mut bool) -> Result<(), RpcFault> {
        self.first_look(lived).await?;
        loop {
            sleep(self.options.poll_every()).await;
            self.look().await?;
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

    async fn look(&self) -> Result<(), RpcFault> {
        let head = fetch::head(self.endpoint, self.options.request_timeout).await?;
        self.saw(head);
        Ok(())
    }

    fn saw(&self, head: Head) {
        if self.endpoint.saw_head(head) {
            self.wake.notify_one();
        }
    }
}
