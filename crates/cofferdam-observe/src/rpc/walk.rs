//! The gap-free walk along the canonical chain, by number and parent hash.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use cofferdam_core::{
    BlockEnv, BlockRef,
    ports::{SourceError, SourceEvent},
};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    endpoint::Endpoint,
    fault::{FaultKind, RpcFault},
    fetch::{Fetched, Fetcher},
    health::Head,
    options::{RpcOptions, Start},
    pool::EndpointPool,
    ring::{Kinship, Ring},
    throttle::Throttle,
};

/// First pause after a failed round over all endpoints; doubles with each.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// Longest such pause.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// How often the time limit of a request is doubled at most.
const LIMIT_DOUBLINGS_MAX: u32 = 3;
/// How long a block that was announced, or its receipts, may be missing before that is *blind*.
const NOT_YET_GRACE: Duration = Duration::from_secs(2);
/// After this many failures a block is delivered without traces, marked incomplete and reported:
/// one transaction too heavy for the node's tracer must not blind us to everything else.
const TRACE_ATTEMPTS_MAX: u32 = 3;

/// What a source sends to its consumer.
pub(crate) type Outlet = mpsc::Sender<Result<SourceEvent, SourceError>>;

/// The newest delivered block.
#[derive(Clone, Debug)]
pub(crate) struct Tip {
    pub(crate) block: BlockRef,
    pub(crate) env: BlockEnv,
}

pub(crate) struct Walk {
    pool: Arc<EndpointPool>,
    options: Arc<RpcOptions>,
    wake: Arc<Notify>,
    out: Outlet,
    tip: watch::Sender<Option<Tip>>,
    ring: Ring,
    /// The next block number; `None` before the first block of a source that starts at the head.
    next: Option<u64>,
    rounds_failed: u32,
    failing_since: Option<Instant>,
    trace_failures: u32,
    blind: Throttle,
    moved_at: Instant,
}

/// How a round over the endpoints ended.
enum Round {
    /// A block was delivered or the walk went back to a fork point.
    Moved,
    /// There is no next block yet.
    Idle,
    /// The consumer is gone.
    Closed,
}

/// Why the walk cannot go on.
enum Hold {
    /// Every endpoint failed; this is the last fault, or that of the preferred one.
    Fault(RpcFault),
    /// For people.
    Because(String),
    /// No endpoint serves the next block although one of them announced it or a later one.
    Announced,
}

impl Walk {
    pub(crate) fn new(
        pool: Arc<EndpointPool>,
        options: Arc<RpcOptions>,
        start: Option<Start>,
        wake: Arc<Notify>,
        out: Outlet,
        tip: watch::Sender<Option<Tip>>,
    ) -> Self {
        let depth = options.reorg_blocks_max;
        let (ring, next) = match start {
            None => (Ring::new(depth), None),
            Some(Start::At(number)) => (Ring::new(depth), Some(number)),
            Some(Start::After(blocks)) => {
                let known: Vec<_> = blocks.iter().map(|it| (it.number, it.hash)).collect();
                let next = known.last().map(|it| it.0.saturating_add(1));
                (Ring::after(depth, &known), next)
            }
        };
        Self {
            pool,
            options,
            wake,
            out,
            tip,
            ring,
            next,
            rounds_failed: 0,
            failing_since: None,
            trace_failures: 0,
            blind: Throttle::default(),
            moved_at: Instant::now(),
        }
    }

    /// Walks until the consumer is gone or nothing can ever be had.
    pub(crate) async fn run(mut self) {
        loop {
            let open = match self.round().await {
                Ok(Round::Moved) => {
                    self.recovered();
                    self.moved_at = Instant::now();
                    // Asking for a block that nobody announced would be one more call per block.
                    if self.caught_up() { self.idle().await } else { true }
                }
                Ok(Round::Idle) => {
                    self.recovered();
                    self.idle().await
                }
                Ok(Round::Closed) => false,
                Err(hold) => self.hold(hold).await,
            };
            if !open {
                return;
            }
        }
    }

    fn caught_up(&self) -> bool {
        self.next.zip(self.pool.best_head()).is_some_and(|(next, best)| best < next)
    }

    fn recovered(&mut self) {
        self.rounds_failed = 0;
        self.failing_since = None;
    }

    async fn idle(&mut self) -> bool {
        if let Some(limit) = self.options.stall_after
            && self.moved_at.elapsed() >= limit
        {
            let because = format!("no new block for {} s", limit.as_secs());
            if !self.say_blind(because).await {
                return false;
            }
        }
        // Whether woken or not, the next round looks.
        let _ = timeout(self.options.look_every(), self.wake.notified()).await;
        !self.out.is_closed()
    }

    async fn hold(&mut self, hold: Hold) -> bool {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        let patient = match &hold {
            Hold::Fault(fault) => matches!(fault.kind, FaultKind::NotYet { .. }),
            Hold::Announced => true,
            Hold::Because(_) => false,
        };
        let all_wrong = matches!(&hold, Hold::Fault(fault)
            if matches!(fault.kind, FaultKind::WrongChain { .. }))
            && self.pool.endpoints().iter().all(|it| it.with_health(|health| health.wrong_chain()));
        let because = match hold {
            Hold::Fault(fault) => fault.to_string(),
            Hold::Because(text) => text,
            Hold::Announced => "announced, but no endpoint serves the block".to_owned(),
        };
        if all_wrong {
            let hint = "point the endpoints at nodes of the configured chain".to_owned();
            let _ = self.out.send(Err(SourceError::Misconfigured { what: because, hint })).await;
            return false;
        }
        if (!patient || since.elapsed() >= NOT_YET_GRACE) && !self.say_blind(because).await {
            return false;
        }
        let factor = 1_u32.checked_shl(self.rounds_failed).unwrap_or(u32::MAX);
        self.rounds_failed = self.rounds_failed.saturating_add(1);
        sleep(BACKOFF_FIRST.saturating_mul(factor).min(BACKOFF_MAX)).await;
        !self.out.is_closed()
    }

    /// `false` if the consumer is gone.
    async fn say_blind(&mut self, because: String) -> bool {
        let from = self.next.or_else(|| self.pool.best_head()).unwrap_or_default();
        if !self.blind.admit(from, &because, Instant::now()) {
            return true;
        }
        tracing::warn!(chain = %self.pool.chain(), from, because, "blind");
        self.out.send(Ok(SourceEvent::Blind { from, because })).await.is_ok()
    }

    /// Asks one endpoint after the other until one answers.
    async fn round(&mut self) -> Result<Round, Hold> {
        let (mut absent, mut fault) = (false, None);
        for endpoint in self.pool.in_order(self.next.unwrap_or_default()) {
            match self.ask(&endpoint).await {
                Ok(Some(round)) => {
                    endpoint.note_success();
                    return Ok(round);
                }
                Ok(None) => {
                    endpoint.note_success();
                    absent = true;
                }
                Err(Hold::Fault(it)) => {
                    endpoint.note_fault(&it);
                    fault.get_or_insert(it);
                }
                Err(hold) => return Err(hold),
            }
        }
        let announced = self.next.zip(self.pool.best_head()).filter(|(next, best)| best >= next);
        match (absent, announced, fault) {
            (false, _, Some(fault)) | (true, Some(_), Some(fault)) => Err(Hold::Fault(fault)),
            (true, Some(_), None) => Err(Hold::Announced),
            _ => Ok(Round::Idle),
        }
    }

    /// One step with the help of `endpoint`; `None` if it has no next block.
    async fn ask(&mut self, endpoint: &Endpoint) -> Result<Option<Round>, Hold> {
        let options = Arc::clone(&self.options);
        let doublings = self.rounds_failed.min(LIMIT_DOUBLINGS_MAX);
        let fetcher = Fetcher {
            endpoint,
            chain: self.pool.chain(),
            options: &options,
            limit: options.request_timeout.saturating_mul(1 << doublings),
            without_traces: self.trace_failures >= TRACE_ATTEMPTS_MAX,
        };
        let Some(fetched) = fetcher.block(self.next).await.map_err(Hold::Fault)? else {
            return self.same_height_fork(fetcher).await;
        };
        let number = fetched.block.number.to::<u64>();
        endpoint.with_health(|it| it.at_least(Head { number, hash: fetched.block.hash }));
        let parent = fetched.block.parent_hash;
        match self.ring.tip() {
            Some((_, tip)) if tip != parent => {
                self.go_back(fetcher, number.saturating_sub(1), parent).await.map(Some)
            }
            _ => self.deliver(fetcher, fetched).await.map(Some),
        }
    }

    /// Without a next block the newest ones may still have been replaced.
    async fn same_height_fork(&mut self, fetcher: Fetcher<'_>) -> Result<Option<Round>, Hold> {
        let Some(head) = fetcher.endpoint.head() else { return Ok(None) };
        if self.ring.at(head.number).is_none_or(|ours| ours == head.hash) {
            return Ok(None);
        }
        // The announcement may be the outdated one: what the node says now decides.
        let now = fetcher.header_at(head.number).await.map_err(Hold::Fault)?;
        let Some(now) = now else { return Ok(None) };
        fetcher.endpoint.saw_head(Head { number: head.number, hash: now.hash });
        if self.ring.at(head.number) == Some(now.hash) {
            return Ok(None);
        }
        self.go_back(fetcher, head.number, now.hash).await.map(Some)
    }

    /// Walks back from the block `hash` at `number` of the new branch to the common ancestor.
    async fn go_back(
        &mut self,
        fetcher: Fetcher<'_>,
        mut number: u64,
        mut hash: B256,
    ) -> Result<Round, Hold> {
        let Some((tip, _)) = self.ring.tip() else { return Ok(Round::Moved) };
        let max = self.options.reorg_blocks_max;
        loop {
            let too_deep = tip.saturating_sub(number) > max;
            match self.ring.kinship(number, hash) {
                Kinship::Ancestor => {
                    let depth = tip.saturating_sub(number);
                    tracing::info!(chain = %self.pool.chain(), number, depth, "reorganisation");
                    self.ring.truncate_after(number);
                    self.next = Some(number.saturating_add(1));
                    return Ok(Round::Moved);
                }
                Kinship::AllReplaced(first) if !too_deep => {
                    self.ring.clear();
                    self.next = Some(first);
                    return Ok(Round::Moved);
                }
                Kinship::Stranger if !too_deep => {}
                _ => {
                    let text = format!(
                        "reorganisation below block {number} is deeper than the {max} blocks \
                         that are followed, or than the blocks that are known"
                    );
                    return Err(Hold::Because(text));
                }
            }
            let header = fetcher.header(hash).await.map_err(Hold::Fault)?;
            if header.number.to::<u64>() != number {
                let text = format!("block {hash} says it is {}, not {number}", header.number);
                return Err(Hold::Fault(fetcher.endpoint.malformed("eth_getBlockByHash", text)));
            }
            let Some(below) = number.checked_sub(1) else {
                return Err(Hold::Because("the chain has another first block".to_owned()));
            };
            (number, hash) = (below, header.parent_hash);
        }
    }

    async fn deliver(&mut self, fetcher: Fetcher<'_>, fetched: Fetched) -> Result<Round, Hold> {
        let number = fetched.block.number.to::<u64>();
        let observation = match fetcher.complete(fetched).await {
            Ok(it) => it,
            Err(fault) => {
                if fault.method == super::fetch::TRACE {
                    self.trace_failures = self.trace_failures.saturating_add(1);
                }
                return Err(Hold::Fault(fault));
            }
        };
        if fetcher.without_traces {
            let because = format!("block {number} cannot be traced; delivered without call trees");
            if !self.say_blind(because).await {
                return Ok(Round::Closed);
            }
        }
        let tip = Tip { block: observation.block, env: observation.env.clone() };
        if self.out.send(Ok(SourceEvent::Block(observation))).await.is_err() {
            return Ok(Round::Closed);
        }
        self.ring.push(number, tip.block.hash);
        self.next = Some(number.saturating_add(1));
        self.trace_failures = 0;
        self.blind.clear();
        self.tip.send_replace(Some(tip));
        Ok(Round::Moved)
    }
}
