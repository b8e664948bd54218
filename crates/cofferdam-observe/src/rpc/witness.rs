//! Who else has the blocks that were delivered.
//!
//! An announcement with hash and receipts root is a testimony and costs nothing. Only an endpoint
//! that did not tell by itself is asked, and only while fewer than the quorum agree. Nothing waits
//! for this: the block was delivered before.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use alloy_primitives::B256;
use cofferdam_core::{BlockRef, ports::SourceEvent};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{
    endpoint::Endpoint,
    fault::RpcFault,
    fetch,
    health::Head,
    options::RpcOptions,
    pool::{EndpointPool, Views},
    walk::Outlet,
};

/// Delivered blocks for which witnesses are counted; older ones are left as they are.
const OPEN_MAX: usize = 64;
/// How often one endpoint is asked about one block.
const ASKS_MAX: u32 = 4;
/// Successive blocks at which an endpoint has another one than most before it is asked last.
const DISSENT_BLOCKS: u32 = 3;

/// A delivered block whose witnesses are counted.
#[derive(Debug)]
pub(crate) struct Delivered {
    block: BlockRef,
    receipts_root: Option<B256>,
    /// What was told last.
    witnesses: u16,
    at: Instant,
    asks: u32,
    judged: bool,
}

impl Delivered {
    pub(crate) fn new(
        block: BlockRef,
        receipts_root: Option<B256>,
        witnesses: u16,
        at: Instant,
    ) -> Self {
        Self { block, receipts_root, witnesses, at, asks: 0, judged: false }
    }
}

/// Counts witnesses until the consumer is gone.
pub(crate) async fn watch(
    pool: Arc<EndpointPool>,
    options: Arc<RpcOptions>,
    mut delivered: mpsc::Receiver<Delivered>,
    out: Outlet,
) {
    let mut news = pool.news();
    let every = options.ask_every();
    let mut bench = Bench { pool: &pool, options: &options, open: VecDeque::new(), dissent: 0 };
    let mut asking = FuturesUnordered::new();
    loop {
        tokio::select! {
            block = delivered.recv() => {
                let Some(block) = block else { return };
                bench.take(block);
            }
            Ok(()) = news.changed() => {}
            Some((endpoint, answer)) = asking.next() => note(endpoint, answer),
            () = sleep(every), if !bench.open.is_empty() => {
                for (endpoint, number) in bench.questions(Instant::now()) {
                    let limit = options.request_timeout;
                    asking.push(ask(endpoint, number, limit));
                }
            }
        }
        for (block, witnesses) in bench.count(Instant::now()) {
            let event = SourceEvent::Witnessed { block, witnesses };
            if out.send(Ok(event)).await.is_err() {
                return;
            }
        }
    }
}

async fn ask(
    endpoint: Arc<Endpoint>,
    number: u64,
    limit: Duration,
) -> (Arc<Endpoint>, Result<Option<Head>, RpcFault>) {
    let answer = fetch::head_at(&endpoint, number, limit).await;
    (endpoint, answer)
}

fn note(endpoint: Arc<Endpoint>, answer: Result<Option<Head>, RpcFault>) {
    match answer {
        Ok(Some(head)) => endpoint.with_health(|it| it.told(head, Instant::now())),
        Ok(None) => {}
        Err(fault) => endpoint.note_fault(&fault),
    }
}

struct Bench<'a> {
    pool: &'a EndpointPool,
    options: &'a RpcOptions,
    /// Oldest first.
    open: VecDeque<Delivered>,
    /// Successive blocks at which more endpoints had another block than the delivered one, or some
    /// had another one than most.
    dissent: u32,
}

impl Bench<'_> {
    fn take(&mut self, block: Delivered) {
        // What was reorganised out needs no witness.
        self.open.retain(|it| it.block.number < block.block.number);
        if self.open.len() >= OPEN_MAX {
            self.open.pop_front();
        }
        self.open.push_back(block);
    }

    /// Blocks that have more witnesses than were told, and forgets those that need no more.
    fn count(&mut self, now: Instant) -> Vec<(BlockRef, u16)> {
        let (mut more, mut settled) = (Vec::new(), Vec::new());
        let pause = self.options.block_time;
        for it in &mut self.open {
            let views = self.pool.views(it.block.number, it.block.hash, it.receipts_root);
            if views.agree > it.witnesses {
                it.witnesses = views.agree;
                more.push((it.block, views.agree));
            }
            // A node may be late; what it says after that counts.
            if !it.judged && now.duration_since(it.at) >= pause {
                it.judged = true;
                settled.push((it.block.number, views));
            }
        }
        for (number, views) in settled {
            self.judge(number, &views, now);
        }
        more
    }

    /// Counts disagreements, and demotes whoever is in the minority for several blocks on end.
    fn judge(&mut self, number: u64, views: &Views, now: Instant) {
        for endpoint in &views.others {
            endpoint.with_health(|it| it.disagreed(number));
        }
        if views.others.is_empty() || views.agree == views.differ {
            self.dissent = 0;
            return;
        }
        self.dissent = self.dissent.saturating_add(1);
        if self.dissent < DISSENT_BLOCKS {
            return;
        }
        self.dissent = 0;
        let minority = if views.agree < views.differ { &views.same } else { &views.others };
        let (fewer, most) = (views.agree.min(views.differ), views.agree.max(views.differ));
        for endpoint in minority {
            let because = format!(
                "follows another branch up to block {number} than {most} others ({fewer} with it)"
            );
            tracing::warn!(chain = %self.pool.chain(), %endpoint, because, "demoted");
            endpoint.with_health(|it| it.demote(because, now));
        }
    }

    /// Whom to ask about which block.
    fn questions(&mut self, now: Instant) -> Vec<(Arc<Endpoint>, u64)> {
        let (quorum, every) = (self.options.quorum, self.options.ask_every());
        let mut questions = Vec::new();
        for it in &mut self.open {
            let wait = every.saturating_mul(1 << it.asks.min(ASKS_MAX));
            if it.witnesses >= quorum || it.asks >= ASKS_MAX || now.duration_since(it.at) < wait {
                continue;
            }
            let views = self.pool.views(it.block.number, it.block.hash, it.receipts_root);
            it.asks += 1;
            questions.extend(views.silent.into_iter().map(|silent| (silent, it.block.number)));
        }
        questions
    }
}

/// Shortest pause before an endpoint is asked about a block it did not tell of.
pub(crate) const ASK_MIN: Duration = Duration::from_millis(50);
/// Longest such pause.
pub(crate) const ASK_MAX: Duration = Duration::from_millis(500);
