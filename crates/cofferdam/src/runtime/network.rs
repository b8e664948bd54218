//! A network endpoint that is connected when it is first needed, and again when it was lost.
//!
//! **Invariant:** an endpoint that is down, at start or later, is no reason not to start: the others
//! carry orders meanwhile.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256};
use cofferdam_act::{ConnectError, RpcBroadcaster};
use cofferdam_core::{
    BlockRef, ChainId,
    ports::{Boxed, BroadcastError, Broadcaster, Call, Inclusion, Simulated},
};
use tokio::sync::Mutex;

/// A [`Broadcaster`] over one endpoint of the plan.
pub struct LateNetwork {
    url: String,
    chain: ChainId,
    connected: Mutex<Option<Arc<RpcBroadcaster>>>,
}

impl LateNetwork {
    /// An endpoint that is not asked anything yet. `url` is resolved: no `env:`.
    pub fn new(url: String, chain: ChainId) -> Self {
        Self { url, chain, connected: Mutex::new(None) }
    }

    async fn get(&self) -> Result<Arc<RpcBroadcaster>, BroadcastError> {
        let mut connected = self.connected.lock().await;
        if let Some(it) = &*connected {
            return Ok(it.clone());
        }
        let fresh = RpcBroadcaster::open(self.url.clone(), self.chain).await;
        let fresh = fresh.map_err(|it| match it {
            ConnectError::WrongChain { .. } => BroadcastError::Refused { reason: it.to_string() },
            other => BroadcastError::Unavailable(other.into()),
        });
        let fresh = Arc::new(fresh?);
        *connected = Some(fresh.clone());
        Ok(fresh)
    }

    /// Passes `answer` on; a connection that failed is given up, so that the next call connects anew.
    async fn noting<T>(
        &self,
        network: Arc<RpcBroadcaster>,
        answer: Result<T, BroadcastError>,
    ) -> Result<T, BroadcastError> {
        if matches!(answer, Err(BroadcastError::Unavailable(_))) {
            let mut connected = self.connected.lock().await;
            if connected.as_ref().is_some_and(|it| Arc::ptr_eq(it, &network)) {
                *connected = None;
            }
        }
        answer
    }
}

impl Broadcaster for LateNetwork {
    fn chain(&self) -> ChainId {
        self.chain
    }

    fn send(&self, raw: Bytes) -> Boxed<'_, Result<B256, BroadcastError>> {
        Box::pin(async move {
            let network = self.get().await?;
            self.noting(network.clone(), network.send(raw).await).await
        })
    }

    fn simulate<'a>(&'a self, call: &'a Call) -> Boxed<'a, Result<Simulated, BroadcastError>> {
        Box::pin(async move {
            let network = self.get().await?;
            self.noting(network.clone(), network.simulate(call).await).await
        })
    }

    fn account(&self, address: Address) -> Boxed<'_, Result<(u64, U256), BroadcastError>> {
        Box::pin(async move {
            let network = self.get().await?;
            self.noting(network.clone(), network.account(address).await).await
        })
    }

    fn head(&self) -> Boxed<'_, Result<(BlockRef, u64), BroadcastError>> {
        Box::pin(async move {
            let network = self.get().await?;
            self.noting(network.clone(), network.head().await).await
        })
    }

    fn inclusion(&self, tx: B256) -> Boxed<'_, Result<Option<Inclusion>, BroadcastError>> {
        Box::pin(async move {
            let network = self.get().await?;
            self.noting(network.clone(), network.inclusion(tx).await).await
        })
    }
}

impl std::fmt::Debug for LateNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a key.
        f.debug_struct("LateNetwork").field("chain", &self.chain).finish_non_exhaustive()
    }
}
