//! The endpoints of one chain, the order in which they are tried, and what they agree on.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use alloy_primitives::B256;
use cofferdam_core::{ChainId, ports::SourceError};
use tokio::{sync::watch, time::Instant};

use super::{endpoint::Endpoint, health::Head, status::EndpointStatus};

/// Most endpoints per chain.
pub const ENDPOINTS_MAX: usize = 16;

/// All endpoints of one chain, in order of preference. Shared by block source and state readers,
/// which therefore share connections and health.
#[derive(Debug)]
pub struct EndpointPool {
    chain: ChainId,
    endpoints: Vec<Arc<Endpoint>>,
    /// Changes with every block that an endpoint tells of.
    news: watch::Sender<u64>,
}

/// What the endpoints say about one block.
#[derive(Debug, Default)]
pub(crate) struct Views {
    /// How many independent nodes have it, with its receipts root.
    pub(crate) agree: u16,
    /// How many independent nodes have the same other block at its height; the most of any.
    pub(crate) differ: u16,
    /// The endpoints that have another one.
    pub(crate) others: Vec<Arc<Endpoint>>,
    /// The endpoints that have it.
    pub(crate) same: Vec<Arc<Endpoint>>,
    /// The endpoints that did not tell.
    pub(crate) silent: Vec<Arc<Endpoint>>,
}

impl EndpointPool {
    /// A pool over `urls` (see [`Endpoint::parse`]), the preferred one first. Opens no connection.
    ///
    /// # Errors
    /// [`SourceError::Misconfigured`] if there is no URL, too many, or a wrong one.
    pub fn new<'a>(
        chain: ChainId,
        urls: impl IntoIterator<Item = &'a str>,
    ) -> Result<Arc<Self>, SourceError> {
        let endpoints = urls.into_iter().map(|url| Endpoint::parse(chain, url));
        Self::of(chain, endpoints.collect::<Result<Vec<_>, _>>()?)
    }

    /// A pool of `endpoints`, the preferred one first.
    ///
    /// # Errors
    /// [`SourceError::Misconfigured`] if there is none or too many.
    pub fn of(chain: ChainId, endpoints: Vec<Endpoint>) -> Result<Arc<Self>, SourceError> {
        if endpoints.is_empty() || endpoints.len() > ENDPOINTS_MAX {
            return Err(SourceError::Misconfigured {
                what: format!("{chain} has {} endpoints", endpoints.len()),
                hint: format!("give 1 to {ENDPOINTS_MAX} endpoints"),
            });
        }
        let endpoints = endpoints.into_iter().map(Arc::new).collect();
        Ok(Arc::new(Self { chain, endpoints, news: watch::Sender::new(0) }))
    }

    /// The chain.
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    /// How each endpoint fares, in order of preference.
    pub fn statuses(&self) -> Vec<EndpointStatus> {
        let best = self.best_head();
        self.endpoints.iter().map(|it| it.status(best)).collect()
    }

    pub(crate) fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// The same places with connections and health of their own.
    pub(crate) fn fresh(&self) -> Self {
        let endpoints = self.endpoints.iter().map(|it| Arc::new(it.fresh())).collect();
        Self { chain: self.chain, endpoints, news: watch::Sender::new(0) }
    }

    /// Wakes whoever waits for news.
    pub(crate) fn tell_news(&self) {
        self.news.send_modify(|it| *it = it.wrapping_add(1));
    }

    /// Changes with every block that an endpoint tells of.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Height of the newest block that any endpoint told of.
    pub(crate) fn best_head(&self) -> Option<u64> {
        self.endpoints.iter().filter_map(|it| it.head()).map(|it| it.number).max()
    }

    /// The same without the endpoints that were caught lying: whether a block was announced must not
    /// be for one of them to say.
    pub(crate) fn announced_head(&self) -> Option<u64> {
        self.honest().filter_map(|it| it.head()).map(|it| it.number).max()
    }

    /// The endpoints that were not caught lying.
    pub(crate) fn honest(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        let now = Instant::now();
        self.endpoints.iter().filter(move |it| !it.with_health(|health| health.is_demoted(now)))
    }

    /// The order in which to ask for block `wants`. Every endpoint is in it: if all have just
    /// failed, they are asked all the same.
    pub(crate) fn in_order(&self, wants: u64) -> Vec<Arc<Endpoint>> {
        let (best, now) = (self.best_head(), Instant::now());
        let mut order = self.endpoints.clone();
        order.sort_by_cached_key(|it| it.with_health(|health| health.rank(wants, best, now)));
        order
    }

    /// The shortest time after which some endpoint may be asked, if all asked for a pause.
    pub(crate) fn pause(&self) -> Option<Duration> {
        let now = Instant::now();
        let pauses = self.endpoints.iter().map(|it| it.with_health(|health| health.pause(now)));
        pauses.collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    /// What the endpoints say about the block `hash` at `number` with `receipts_root`.
    pub(crate) fn views(&self, number: u64, hash: B256, receipts_root: Option<B256>) -> Views {
        let mut views = Views::default();
        let (mut agree, mut differ) = (BTreeSet::new(), Vec::<(B256, BTreeSet<&str>)>::new());
        for endpoint in &self.endpoints {
            let Some(told) = endpoint.with_health(|it| it.told_of(number)) else {
                views.silent.push(Arc::clone(endpoint));
                continue;
            };
            if told.hash == hash && told.receipts_root == receipts_root {
                agree.insert(endpoint.node());
                views.same.push(Arc::clone(endpoint));
                continue;
            }
            if told.hash == hash && told.receipts_root.is_none() {
                views.silent.push(Arc::clone(endpoint));
                continue;
            }
            match differ.iter_mut().find(|it| it.0 == told.hash) {
                Some((_, nodes)) => _ = nodes.insert(endpoint.node()),
                None => differ.push((told.hash, BTreeSet::from([endpoint.node()]))),
            }
            views.others.push(Arc::clone(endpoint));
        }
        let count = |it: usize| u16::try_from(it).unwrap_or(u16::MAX);
        views.agree = count(agree.len());
        views.differ = count(differ.iter().map(|it| it.1.len()).max().unwrap_or_default());
        views
    }

    /// Whether an endpoint other than `but`, working and with a head told of within `span`, is at
    /// block `tip` or just above it.
    pub(crate) fn vouches_live(&self, tip: (u64, B256), but: &Endpoint, span: Duration) -> bool {
        let now = Instant::now();
        self.others(but).any(|it| {
            it.with_health(|health| {
                health.usable(now)
                    && health.is_fresh(now, span)
                    && health.head().is_some_and(|head| is_on(head, tip))
            })
        })
    }

    /// Whether the last word of an endpoint other than `but`, however long ago, was block `tip` or
    /// the one above it. One that was caught lying does not count.
    pub(crate) fn vouched(&self, tip: (u64, B256), but: &Endpoint) -> bool {
        let now = Instant::now();
        self.others(but).any(|it| {
            it.with_health(|health| {
                !health.is_demoted(now) && health.head().is_some_and(|head| is_on(head, tip))
            })
        })
    }

    /// When an endpoint first told of block `hash`.
    pub(crate) fn told_at(&self, hash: B256) -> Option<Instant> {
        self.endpoints.iter().filter_map(|it| it.with_health(|health| health.told_at(hash))).min()
    }

    fn others<'a>(&'a self, but: &'a Endpoint) -> impl Iterator<Item = &'a Arc<Endpoint>> {
        self.endpoints.iter().filter(move |it| it.label() != but.label())
    }
}

/// Whether `head` is the block `tip` or a child of it.
fn is_on(head: Head, (number, hash): (u64, B256)) -> bool {
    (head.number == number && head.hash == hash)
        || (head.number == number.saturating_add(1) && head.parent == hash)
}
