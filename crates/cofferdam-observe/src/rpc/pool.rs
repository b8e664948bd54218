//! The endpoints of one chain and the order in which they are tried.

use std::sync::Arc;

use cofferdam_core::{ChainId, ports::SourceError};
use tokio::time::Instant;

use super::{endpoint::Endpoint, health::EndpointStatus};

/// Most endpoints per chain.
pub const ENDPOINTS_MAX: usize = 16;

/// All endpoints of one chain, in order of preference. Shared by block source and state readers,
/// which therefore share connections and health.
#[derive(Debug)]
pub struct EndpointPool {
    chain: ChainId,
    endpoints: Vec<Arc<Endpoint>>,
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
        let endpoints = urls.into_iter().map(|url| Endpoint::parse(chain, url).map(Arc::new));
        let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
        if endpoints.is_empty() || endpoints.len() > ENDPOINTS_MAX {
            return Err(SourceError::Misconfigured {
                what: format!("{chain} has {} endpoints", endpoints.len()),
                hint: format!("give 1 to {ENDPOINTS_MAX} endpoints"),
            });
        }
        Ok(Arc::new(Self { chain, endpoints }))
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
        Self { chain: self.chain, endpoints }
    }

    /// Height of the newest block that any endpoint told of.
    pub(crate) fn best_head(&self) -> Option<u64> {
        self.endpoints.iter().filter_map(|it| it.head()).map(|it| it.number).max()
    }

    /// The order in which to ask for block `wants`. Every endpoint is in it: if all have just
    /// failed, they are asked all the same.
    pub(crate) fn in_order(&self, wants: u64) -> Vec<Arc<Endpoint>> {
        let (best, now) = (self.best_head(), Instant::now());
        let mut order = self.endpoints.clone();
        order.sort_by_cached_key(|it| it.with_health(|health| health.rank(wants, best, now)));
        order
    }
}
