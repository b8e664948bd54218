//! The gap-free walk along the canonical chain, by number and parent hash.

use std::{sync::Arc, time::Duration};

use cofferdam_core::{
    BlockEnv, BlockRef, Observation,
    ports::{SourceError, SourceEvent},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

use super::{
    ahead::Ahead,
    cursor::{Cursor, Wanted},
    endpoint::Endpoint,
    fault::{FaultKind, RpcFault},
    fetch::{Fetcher, TRACE},
    options::{RpcOptions, Start},
    pool::EndpointPool,
    progress::Progress,
    race::race,
    step::{Fork, Hold, Step, step},
    throttle::{Throttle, Turns},
    witness::Delivered,
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
/// A branch that is longer by this many blocks is followed although a working endpoint still
/// vouches for ours.
const LEAD_BLOCKS: u64 = 2;

/// What a source sends to its consumer.
pub(crate) type Outlet = mpsc::Sender<Result<SourceEvent, SourceError>>;

/// The newest delivered block.
#[derive(Clone, Debug)]
pub(crate) struct Tip {
    pub(crate) block: BlockRef,
    pub(crate) env: BlockEnv,
}

/// Where the walk sends what it has.
pub(crate) struct Outlets {
    pub(crate) events: Outlet,
    pub(crate) tip: watch::Sender<Option<Tip>>,
    pub(crate) delivered: mpsc::Sender<Delivered>,
    pub(crate) progress: watch::Sender<Progress>,
}

pub(crate) struct Walk {
    pool: Arc<EndpointPool>,
    options: Arc<RpcOptions>,
    news: watch::Receiver<u64>,
    out: Outlets,
    cursor: Cursor,
    ahead: Ahead,
    rounds_failed: u32,
    failing_since: Option<Instant>,
    trace_failures: u32,
    blind: Throttle,
    moved_at: Instant,
    turns: Turns,
}

/// How a round over the endpoints ended.
enum Round {
    /// A block was delivered.
    Moved,
    /// The walk turned to another branch, of which no block is delivered yet.
    Turned,
    /// There is no next block yet.
    Idle,
    /// The consumer is gone.
    Closed,
    /// Why the walk cannot go on; whether that may be so for a short time without being trouble.
    Held { because: String, patient: bool },
}

/// What a round over the endpoints has gathered so far.
#[derive(Default)]
struct Gathered {
    absent: bool,
    fork: Option<(Arc<Endpoint>, Fork)>,
    fault: Option<RpcFault>,
    because: Option<String>,
}

impl Walk {
    pub(crate) fn new(
        pool: Arc<EndpointPool>,
        options: Arc<RpcOptions>,
        start: Option<Start>,
        out: Outlets,
    ) -> Self {
        let depth = options.reorg_blocks_max;
        let cursor = match start {
            None => Cursor::at(None, depth),
            Some(Start::At(number)) => Cursor::at(Some(number), depth),
            Some(Start::After(blocks)) => {
                let known: Vec<_> = blocks.iter().map(|it| (it.number, it.hash)).collect();
                Cursor::after(&known, depth)
            }
        };
        Self {
            news: pool.news(),
            pool,
            options,
            out,
            cursor,
            ahead: Ahead::default(),
            rounds_failed: 0,
            failing_since: None,
            trace_failures: 0,
            blind: Throttle::default(),
            moved_at: Instant::now(),
            turns: Turns::default(),
        }
    }

    /// Walks until the consumer is gone or nothing can ever be had.
    pub(crate) async fn run(mut self) {
        loop {
            let open = match self.round().await {
                Round::Moved => {
                    self.recovered();
                    self.moved_at = Instant::now();
                    // Asking for a block that nobody announced would be one more call per block.
                    if self.caught_up() { self.idle().await } else { true }
                }
                Round::Idle => {
                    self.recovered();
                    self.idle().await
                }
                Round::Turned => true,
                Round::Closed => false,
                Round::Held { because, patient } => self.hold(because, patient).await,
            };
            if !open || self.out.events.is_closed() {
                return;
            }
        }
    }

    /// Whether no endpoint tells of anything that was not delivered.
    fn caught_up(&self) -> bool {
        let wanted = self.cursor.wanted();
        let Some(next) = wanted.number else { return false };
        wanted.hash.is_none()
            && self.pool.honest().filter_map(|it| it.head()).all(|head| {
                let ours = self.cursor.delivered_at(head.number);
                head.number < next && ours.is_none_or(|it| it == head.hash)
            })
    }

    fn recovered(&mut self) {
        self.rounds_failed = 0;
        self.failing_since = None;
        self.out.progress.send_if_modified(Progress::recovered);
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
        let until = Instant::now() + self.options.look_every();
        // A repeated announcement is not worth a request; without any, the next round looks.
        while let Ok(Ok(())) = tokio::time::timeout_at(until, self.news.changed()).await {
            if !self.caught_up() {
                break;
            }
        }
        true
    }

    async fn hold(&mut self, because: String, patient: bool) -> bool {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        // The branch we were turning to may be gone again: the next round finds out.
        self.cursor.turn_back();
        let all_wrong =
            self.pool.endpoints().iter().all(|it| it.with_health(|health| health.wrong_chain()));
        if all_wrong {
            let hint = "point the endpoints at nodes of the configured chain".to_owned();
            let error = SourceError::Misconfigured { what: because, hint };
            let _ = self.out.events.send(Err(error)).await;
            return false;
        }
        if (!patient || since.elapsed() >= NOT_YET_GRACE) && !self.say_blind(because).await {
            return false;
        }
        let factor = 1_u32.checked_shl(self.rounds_failed).unwrap_or(u32::MAX);
        self.rounds_failed = self.rounds_failed.saturating_add(1);
        let backoff = BACKOFF_FIRST.saturating_mul(factor).min(BACKOFF_MAX);
        sleep(backoff.max(self.pool.pause().unwrap_or_default())).await;
        true
    }

    /// `false` if the consumer is gone.
    async fn say_blind(&mut self, because: String) -> bool {
        let from = self.cursor.wanted().number.or_else(|| self.pool.best_head());
        let from = from.unwrap_or_default();
        self.out.progress.send_modify(|it| it.holding = Some(because.clone()));
        if !self.blind.admit(from, &because, Instant::now()) {
            return true;
        }
        tracing::warn!(chain = %self.pool.chain(), from, because, "blind");
        self.out.events.send(Ok(SourceEvent::Blind { from, because })).await.is_ok()
    }

    /// Delivers the next block if it was fetched ahead, else asks the endpoints.
    async fn round(&mut self) -> Round {
        if let Wanted { number: Some(next), hash: None } = self.cursor.wanted()
            && let Some(it) = self.ahead.take(next).await
        {
            if self.cursor.continues(it.block.hash, it.block.parent) {
                return self.deliver(it, false).await;
            }
            self.ahead.clear();
        }
        self.ask().await
    }

    /// Asks the endpoints, the next one when one fails or is slow, until one has the next block.
    async fn ask(&mut self) -> Round {
        let options = Arc::clone(&self.options);
        let doublings = self.rounds_failed.min(LIMIT_DOUBLINGS_MAX);
        let (limit, depth) =
            (options.request_timeout.saturating_mul(1 << doublings), options.reorg_blocks_max);
        let without_traces = self.trace_failures >= TRACE_ATTEMPTS_MAX;
        let wanted = self.cursor.wanted();
        let order = self.pool.in_order(wanted.number.unwrap_or_default());
        let mut gathered = Gathered::default();
        let (chain, cursor) = (self.pool.chain(), &self.cursor);
        let found = race(
            order,
            "next block",
            |endpoint| {
                let options = &*options;
                Box::pin(async move {
                    let endpoint = &*endpoint;
                    let fetcher = Fetcher { endpoint, chain, options, limit, without_traces };
                    step(fetcher, cursor, depth).await
                })
            },
            |endpoint, result| gathered.take(endpoint, result),
        );
        let found = found.await;
        match found {
            Some(it) => self.deliver(it, without_traces).await,
            None => self.settle(gathered),
        }
    }

    /// What to do when no endpoint has the next block.
    fn settle(&mut self, gathered: Gathered) -> Round {
        let Gathered { absent, fork, fault, because } = gathered;
        if fault.as_ref().is_some_and(|it| it.method == TRACE) {
            self.trace_failures = self.trace_failures.saturating_add(1);
        }
        if let Some((endpoint, fork)) = fork {
            return self.consider(&endpoint, fork);
        }
        if let Some(because) = because {
            return Round::Held { because, patient: false };
        }
        let wanted = self.cursor.wanted();
        let head = self.pool.announced_head();
        let announced = wanted.number.zip(head).is_some_and(|it| it.1 >= it.0);
        match fault {
            Some(fault) if announced || wanted.hash.is_some() || !absent => {
                let patient = matches!(fault.kind, FaultKind::NotYet { .. });
                Round::Held { because: fault.to_string(), patient }
            }
            None if announced || wanted.hash.is_some() => Round::Held {
                because: "announced, but no endpoint serves the block".to_owned(),
                patient: true,
            },
            _ => Round::Idle,
        }
    }

    /// Turns to `fork`, the branch of `endpoint`, unless another endpoint vouches for ours: two nodes
    /// on different branches must not make us go back and forth.
    fn consider(&mut self, endpoint: &Endpoint, fork: Fork) -> Round {
        let Some(tip) = self.cursor.tip() else { return Round::Idle };
        let leads = endpoint.head().is_some_and(|it| it.number >= tip.0 + LEAD_BLOCKS);
        let stays = if fork.longer {
            !leads && self.pool.vouches_live(tip, endpoint, self.options.look_every())
        } else {
            self.pool.vouched(tip, endpoint)
        };
        if stays {
            endpoint.with_health(|it| it.disagreed(tip.0));
            return Round::Idle;
        }
        if !self.turns.admit(self.options.look_every(), Instant::now()) {
            let because = format!("endpoints go back and forth about block {}", tip.0);
            return Round::Held { because, patient: false };
        }
        let depth = tip.0.saturating_sub(fork.branch.last().map_or(tip.0, |it| it.0)) + 1;
        tracing::info!(chain = %self.pool.chain(), %endpoint, depth, "reorganisation");
        self.ahead.clear();
        self.cursor.turn_to(fork.branch);
        Round::Turned
    }

    async fn deliver(&mut self, mut observation: Observation, without_traces: bool) -> Round {
        let BlockRef { number, hash, parent, .. } = observation.block;
        if without_traces && !observation.txs.is_empty() {
            let because = format!("block {number} cannot be traced; delivered without call trees");
            if !self.say_blind(because).await {
                return Round::Closed;
            }
        }
        let receipts_root = observation.env.receipts_root;
        let views = self.pool.views(number, hash, receipts_root);
        observation.witnesses = views.agree.max(1);
        let tip = Tip { block: observation.block, env: observation.env.clone() };
        let delivered =
            Delivered::new(tip.block, receipts_root, observation.witnesses, Instant::now());
        if self.out.events.send(Ok(SourceEvent::Block(observation))).await.is_err() {
            return Round::Closed;
        }
        self.cursor.delivered(number, hash, parent);
        if let Wanted { number: Some(next), hash: None } = self.cursor.wanted() {
            self.ahead.fill(&self.pool, &self.options, next);
        }
        self.turns.delivered(number, Instant::now());
        self.trace_failures = 0;
        self.blind.clear();
        let best = self.pool.best_head().unwrap_or_default();
        self.out.progress.send_modify(|it| it.delivered(number, best, Instant::now()));
        // Whoever counts witnesses may lag; then these are not counted, which is no loss of blocks.
        let _ = self.out.delivered.try_send(delivered);
        self.out.tip.send_replace(Some(tip));
        Round::Moved
    }
}

impl Gathered {
    /// Takes what an endpoint said; returns the next block if it is one.
    fn take(&mut self, endpoint: Arc<Endpoint>, said: Result<Step, Hold>) -> Option<Observation> {
        match said {
            Ok(Step::Block(it)) => {
                endpoint.note_success();
                return Some(*it);
            }
            Ok(Step::Fork(fork)) => {
                endpoint.note_success();
                // A longer branch says more than another one of the same length.
                if self.fork.as_ref().is_none_or(|it| !it.1.longer && fork.longer) {
                    self.fork = Some((endpoint, fork));
                }
            }
            Ok(Step::Absent) => {
                endpoint.note_success();
                self.absent = true;
            }
            Err(Hold::Fault(fault)) => {
                endpoint.note_fault(&fault);
                self.fault.get_or_insert(fault);
            }
            Err(Hold::Because(because)) => _ = self.because.get_or_insert(because),
        }
        None
    }
}
