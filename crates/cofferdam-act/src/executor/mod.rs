//! The executor: hands orders to a network through relayer lanes.
//!
//! **Invariants:** an order's key maps to the same transactions until it is over, so dispatching it
//! twice sends the same bytes; a nonce is owned by us, not by the node or a filler; what an order did
//! is read from state at a block, never from a receipt.

mod book;
mod deliver;
mod fees;
mod lanes;
mod mend;
mod prepare;
mod race;
mod reach;
mod resume;
mod settle;
mod sign;
mod tally;
mod tend;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use alloy::primitives::Address;
use cofferdam_core::{
    AccountId, BlockRef, ChainId, OrderKey, Timestamp,
    order::{Order, Prepared, Sent},
    ports::{BroadcastError, Broadcaster, PrivateRelay},
};

use crate::{
    bundle::Authorisations,
    signer::{SignError, Signer},
};
use book::Book;
use reach::Reach;

pub use deliver::{Delivery, DeliveryState};
pub use fees::{FeePolicy, Fees, OverBudget, next_base_fee};
pub use lanes::{LaneState, LaneStatus};
pub(crate) use prepare::{Intent, holds};
pub use prepare::{Preparation, PrepareError, Ready, TX_GAS_MAX, prepare};
pub use race::{Bid, Race};
pub use settle::SettleError;
pub use tally::EndpointStatus;

/// A transaction is offered to builders for so many blocks at once, the next one first.
pub const OFFER_BLOCKS: u64 = 3;

/// How an executor sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How fees are chosen.
    pub fees: FeePolicy,
    /// On how many relayer lanes an order goes out at once, as far as its budget pays for them. The
    /// losers revert cheaply.
    pub lanes_per_order: usize,
    /// For how many blocks an answer to an attack that is not public goes to builders alone.
    pub private_blocks: u64,
}

impl Default for Policy {
    /// Default fees, two lanes, three blocks.
    fn default() -> Self {
        Self { fees: FeePolicy::default(), lanes_per_order: 2, private_blocks: OFFER_BLOCKS }
    }
}

/// What was sent for an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// What was handed out, for the journal.
    pub prepared: Prepared,
    /// One entry per lane.
    pub deliveries: Vec<Delivery>,
}

impl Dispatch {
    /// The transactions, to be journaled.
    pub fn sent(&self) -> impl Iterator<Item = &Sent> {
        self.deliveries.iter().map(|it| &it.sent)
    }

    /// Whether some network accepted one.
    pub fn accepted(&self) -> bool {
        self.deliveries.iter().any(|it| it.state == DeliveryState::Accepted)
    }
}

/// Why an executor cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A network serves another chain.
    #[error("a network serves {actual}, the executor is for {expected}")]
    WrongChain {
        /// The executor's chain.
        expected: ChainId,
        /// The network's chain.
        actual: ChainId,
    },
    /// There is no network.
    #[error("executor for {chain} has no network")]
    NoNetwork {
        /// The chain.
        chain: ChainId,
    },
    /// Two lanes would fight over one nonce.
    #[error("relayer {address} is there twice")]
    RelayerTwice {
        /// The account.
        address: Address,
    },
}

/// Why an order was not sent.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The caller mixed chains up.
    #[error("order is for {order}, the executor is for {executor}")]
    WrongChain {
        /// The order's chain.
        order: ChainId,
        /// The executor's chain.
        executor: ChainId,
    },
    /// The caller mixed orders up.
    #[error("what was prepared belongs to another order")]
    WrongOrder,
    /// The order's time ran out.
    #[error("order expired at {at}")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// No relayer can send: none is eligible, every queue is full, or no nonce could be read.
    #[error("no relayer lane is free for the order")]
    NoLane,
    /// The order's fee budget is too small for the next block.
    #[error("order is not sent")]
    Budget(#[from] OverBudget),
    /// The network did not answer what has to be known first.
    #[error("network did not tell what sending needs")]
    Network(#[from] BroadcastError),
    /// No signer signed.
    #[error("no relayer signed")]
    Sign(#[from] SignError),
    /// Every network refused every lane for good.
    #[error("no network took the order: {because}")]
    Refused {
        /// Their words.
        because: String,
    },
}

/// Sends the orders of one chain.
pub struct Executor {
    chain: ChainId,
    reach: Reach,
    signers: Vec<Arc<dyn Signer>>,
    policy: Policy,
    book: Mutex<Book>,
    /// One order is signed at a time, so that reading and taking a nonce is one step.
    signing: tokio::sync::Mutex<()>,
}

impl Executor {
    /// An executor with one lane per signer. Transactions go to every network at once; questions go
    /// to the first that answers.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(
        chain: ChainId,
        networks: Vec<Arc<dyn Broadcaster>>,
        signers: Vec<Arc<dyn Signer>>,
        policy: Policy,
    ) -> Result<Self, SetupError> {
        if networks.is_empty() {
            return Err(SetupError::NoNetwork { chain });
        }
        if let Some(actual) = networks.iter().map(|it| it.chain()).find(|it| *it != chain) {
            return Err(SetupError::WrongChain { expected: chain, actual });
        }
        let mut seen = BTreeMap::new();
        for signer in &signers {
            let address = signer.address();
            if seen.insert(address, ()).is_some() {
                return Err(SetupError::RelayerTwice { address });
            }
        }
        let book = Mutex::new(Book::new(signers.len()));
        let (reach, signing) = (Reach::new(networks), tokio::sync::Mutex::new(()));
        Ok(Self { chain, reach, signers, policy, book, signing })
    }

    /// Adds block builders and private relays.
    ///
    /// # Errors
    /// [`SetupError::WrongChain`].
    pub fn with_relays(mut self, relays: Vec<Arc<dyn PrivateRelay>>) -> Result<Self, SetupError> {
        let expected = self.chain;
        if let Some(actual) = relays.iter().map(|it| it.chain()).find(|it| *it != expected) {
            return Err(SetupError::WrongChain { expected, actual });
        }
        self.reach.add_relays(relays);
        Ok(self)
    }

    /// The chain it serves.
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    /// The relayers, in the order of their lanes.
    pub fn relayers(&self) -> Vec<Address> {
        self.signers.iter().map(|it| it.address()).collect()
    }

    /// Prepares `order` on the first network that can tell, or takes the template that
    /// [`Self::warm`] keeps for it: then nothing is asked.
    ///
    /// # Errors
    /// [`PrepareError`].
    pub async fn prepare(
        &self,
        order: &Order,
        authorisations: &Authorisations,
        now: Timestamp,
    ) -> Result<Preparation, PrepareError> {
        if let Some(ready) = self.hot(order, now) {
            return Ok(Preparation::Ready(ready));
        }
        let relayers = self.relayers();
        let asking = self.prepared_by(|network| {
            let (network, relayers) = (Arc::clone(network), &relayers);
            async move { prepare(order, authorisations, relayers, network.as_ref(), now).await }
        });
        asking.await
    }

    /// What the first network says that can tell; a slow one is not waited for.
    async fn prepared_by<'a, F>(
        &'a self,
        ask: impl Fn(&'a Arc<dyn Broadcaster>) -> F,
    ) -> Result<Preparation, PrepareError>
    where
        F: Future<Output = Result<Preparation, PrepareError>> + 'a,
    {
        let again =
            |it: &PrepareError| matches!(it, PrepareError::Network(BroadcastError::Unavailable(_)));
        let late = || PrepareError::Network(reach::unavailable("no answer in time"));
        self.reach.first(ask, again, late).await
    }

    /// Signs and sends `order` on the route that `race` asks for. Calling it again before the order is
    /// over sends the same bytes again. Returns with the first acceptance; other endpoints and lanes are
    /// still told, and [`Self::tend`] looks after them.
    ///
    /// `Ok` with no delivery accepted means that every answer was lost: the transactions may or may
    /// not be on their way, and calling again is safe.
    ///
    /// # Errors
    /// [`DispatchError`]; nothing is in flight then.
    pub async fn dispatch(
        &self,
        order: &Order,
        ready: &Ready,
        race: Race,
        now: Timestamp,
    ) -> Result<Dispatch, DispatchError> {
        let mut refused: Vec<(usize, String)> = Vec::new();
        loop {
            let spent: Vec<_> = refused.iter().map(|(lane, _)| *lane).collect();
            match self.sign_on(order, ready, race, now, &spent).await {
                Err(DispatchError::NoLane) if !refused.is_empty() => {
                    let because = refused.into_iter().map(|(_, it)| it).collect::<Vec<_>>();
                    return Err(DispatchError::Refused { because: because.join("; ") });
                }
                other => drop(other?),
            }
            let (deliveries, failed) = self.deliver(order.key).await;
            if !deliveries.is_empty() {
                return Ok(Dispatch { prepared: ready.revealed(), deliveries });
            }
            // Refused for good on these lanes: rotate to the others. Each turn spends a lane.
            refused.extend(failed);
            if refused.len() >= self.signers.len() {
                let because = refused.into_iter().map(|(_, it)| it).collect::<Vec<_>>();
                return Err(DispatchError::Refused { because: because.join("; ") });
            }
        }
    }

    /// Signs `order` without sending it, so that nonces and hashes can be journaled first; then
    /// [`Self::dispatch`] sends exactly these.
    ///
    /// # Errors
    /// [`DispatchError`].
    pub async fn sign(
        &self,
        order: &Order,
        ready: &Ready,
        race: Race,
        now: Timestamp,
    ) -> Result<Vec<Sent>, DispatchError> {
        self.sign_on(order, ready, race, now, &[]).await
    }

    /// Notes a new head, so that fees need not be asked for. `base_fee` is the head's, in wei.
    pub fn observe_head(&self, head: BlockRef, base_fee: u64) {
        if head.chain == self.chain {
            self.book().head = Some((head, base_fee));
        }
    }

    /// Ends an order that was vetoed or expired: it is not replaced any more, and what it left in the
    /// pool is outbid by the next order on its lane. [`Self::settle`] does this by itself.
    pub fn finish(&self, key: OrderKey) {
        self.book().finish(key);
    }

    /// The transactions now in flight for an order.
    pub fn in_flight(&self, key: OrderKey) -> Vec<Sent> {
        let book = self.book();
        book.of_order(key).filter(|it| !it.over && !it.landed).map(|it| it.sent.clone()).collect()
    }

    /// How each endpoint has answered: networks in their order, then relays.
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        self.reach.statuses()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Every change of the books is complete before anything that could panic.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn account(&self, lane: usize) -> Option<AccountId> {
        let address = self.signers.get(lane)?.address();
        Some(AccountId { chain: self.chain, address })
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("chain", &self.chain)
            .field("networks", &self.reach.networks.len())
            .field("relays", &self.reach.relays.len())
            .field("relayers", &self.relayers())
            .finish_non_exhaustive()
    }
}
