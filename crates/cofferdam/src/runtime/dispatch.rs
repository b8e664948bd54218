//! Orders to the executors of their chains.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use alloy_primitives::{Address, Bytes};
use cofferdam_act::{
    Authorisations, Bid, Executor, FeePolicy, LaneState, Preparation, Race, Readiness, prove,
};
use cofferdam_core::{
    BlockRef, ChainId, Timestamp,
    order::{self, Order, Outcome, Prepared, Sent},
    plan::Action,
    ports::{Boxed, Broadcaster, StateReader},
};
use cofferdam_engine::{Input, State};

use super::Dispatcher;

/// Orders that ended so many blocks ago have nothing in a pool any more.
const REMEMBER_BLOCKS: u64 = 64;

/// What is needed to act on one chain.
pub struct Hand {
    /// Signs and sends.
    pub executor: Executor,
    /// The networks, first one asked first.
    pub network: Arc<dyn Broadcaster>,
    /// Reads effects.
    pub reader: Arc<dyn StateReader>,
}

/// Gas of a dear containment transaction; our own pauses take less than a third of it.
const LANE_GAS: u64 = 300_000;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The executors of every chain, with the authorisations of the plan.
pub struct Hands {
    by_chain: BTreeMap<ChainId, Hand>,
    authorisations: Authorisations,
    clock: Clock,
}

impl Hands {
    /// `clock` tells the time that authorisation windows are compared with.
    pub fn new(
        by_chain: BTreeMap<ChainId, Hand>,
        authorisations: Authorisations,
        clock: Clock,
    ) -> Self {
        Self { by_chain, authorisations, clock }
    }

    /// Takes up what was in flight before a restart: open orders are followed and replaced again, and
    /// the nonces of those that ended lately are respected.
    ///
    /// # Errors
    /// Text for people, if a relayer could not sign.
    pub async fn resume(&self, state: &State) -> Result<usize, String> {
        let mut resumed = 0;
        for it in state.orders.values().filter(|it| !it.sent.is_empty()) {
            let Some(hand) = self.by_chain.get(&it.order.chain) else { continue };
            match (&it.outcome, &it.prepared) {
                (None, Some(prepared)) => {
                    let taken_up = hand.executor.resume(&it.order, prepared, &it.sent).await;
                    resumed += taken_up.map_err(|it| chain_of(&it))?;
                }
                (Some(Outcome::Effective { block, .. }), _) => {
                    let head = state.head(it.order.chain).map_or(u64::MAX, |it| it.number);
                    if head.saturating_sub(block.number) <= REMEMBER_BLOCKS {
                        hand.executor.reserve(&it.sent);
                    }
                }
                _ => hand.executor.reserve(&it.sent),
            }
        }
        Ok(resumed)
    }

    /// Notes a new head, so that a dispatch of this very block asks no node for fees. `base_fee` is in
    /// wei.
    pub fn observe_head(&self, head: BlockRef, base_fee: u64) {
        if let Some(hand) = self.by_chain.get(&head.chain) {
            hand.executor.observe_head(head, base_fee);
        }
    }

    /// Looks after what is in flight; gives what was replaced, to be fed to the engine.
    pub async fn tend(&self, head: BlockRef, base_fee: u64) -> Vec<Input> {
        let Some(hand) = self.by_chain.get(&head.chain) else { return Vec::new() };
        let mut sent = BTreeMap::<_, Vec<Sent>>::new();
        for (key, delivery) in hand.executor.tend(head, base_fee).await {
            sent.entry(key).or_default().push(delivery.sent);
        }
        sent.into_iter().map(|(key, sent)| Input::Replaced { key, sent }).collect()
    }

    /// Proves that `action` would work now and keeps its transaction ready to send.
    pub async fn rehearse(&self, action: &Action) -> Input {
        let now = (self.clock)();
        let because = match self.by_chain.get(&action.call.chain()) {
            None => vec![format!("no executor for {}", action.call.chain())],
            Some(hand) => {
                // What cannot be kept ready is told by the proof, or met again at dispatch.
                if let Err(error) = hand.executor.warm(action, &self.authorisations, now).await {
                    tracing::debug!(action = %action.id, error = %chain_of(&error), "not kept ready");
                }
                self.prove(hand, action, now).await.because
            }
        };
        Input::Readiness { action: action.id.clone(), because }
    }

    /// Looks at the balance and the queue of every relayer on `chain`. A lane that cannot pay is used
    /// only if no other can, and people are told while there still is another.
    pub async fn lanes(&self, chain: ChainId) -> Option<Input> {
        let lanes = self.by_chain.get(&chain)?.executor.lanes(LANE_GAS).await;
        let amiss = lanes.iter().filter(|it| it.state != LaneState::Ready);
        let because = amiss.map(|it| format!("{}: {}", it.relayer.address, it.because)).collect();
        Some(Input::Readiness { action: format!("relayers of {chain}"), because })
    }

    async fn prove(&self, hand: &Hand, action: &Action, now: Timestamp) -> Readiness {
        let (relayers, fees) = (hand.executor.relayers(), FeePolicy::default());
        prove(action, &self.authorisations, &relayers, &*hand.network, fees, now).await
    }

    fn hand(&self, order: &Order) -> Result<&Hand, String> {
        self.by_chain.get(&order.chain).ok_or_else(|| format!("no executor for {}", order.chain))
    }

    async fn send(&self, order: &Order) -> Result<(Prepared, Vec<Sent>), String> {
        let began = Instant::now();
        let mark = |step| {
            let us = began.elapsed().as_micros();
            tracing::trace!(target: "reaction", order = %order.key.short(), us, step);
        };
        let hand = self.hand(order)?;
        let now = (self.clock)();
        let prepared = hand.executor.prepare(order, &self.authorisations, now).await;
        let ready = match prepared.map_err(|it| chain_of(&it))? {
            Preparation::Ready(ready) => ready,
            Preparation::AlreadyEffective { on } => {
                let (to, data) = (Address::ZERO, Bytes::new());
                let key = order.key;
                let (simulated_on, effect_simulated) = (Some(on), Some(true));
                let prepared =
                    Prepared { key, to, data, gas_limit: 0, simulated_on, effect_simulated };
                return Ok((prepared, Vec::new()));
            }
        };
        mark("prepared");
        let bid = order.outbid.map(bid_of);
        let race = Race { bid, ..Race::default() };
        let dispatch = hand.executor.dispatch(order, &ready, race, now).await;
        let dispatch = dispatch.map_err(|it| chain_of(&it))?;
        mark("accepted by a node");
        let sent = dispatch.sent().cloned().collect();
        Ok((dispatch.prepared, sent))
    }
}

impl Dispatcher for Hands {
    fn dispatch<'a>(
        &'a self,
        order: &'a Order,
        _attempt: u32,
    ) -> Boxed<'a, Result<(Prepared, Vec<Sent>), String>> {
        Box::pin(self.send(order))
    }

    fn outbid<'a>(&'a self, order: &'a Order, bid: order::Bid) -> Boxed<'a, Vec<Sent>> {
        Box::pin(async move {
            let Ok(hand) = self.hand(order) else { return Vec::new() };
            let deliveries = hand.executor.outbid(order.key, bid_of(bid)).await;
            deliveries.into_iter().map(|it| it.sent).collect()
        })
    }

    fn settle<'a>(&'a self, order: &'a Order, head: BlockRef) -> Boxed<'a, Option<Outcome>> {
        Box::pin(async move {
            let hand = self.hand(order).ok()?;
            match hand.executor.settle(order, &*hand.reader, &*hand.network, head).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    tracing::warn!(order = %order.key.short(), error = %chain_of(&error), "outcome cannot be told");
                    None
                }
            }
        })
    }
}

impl std::fmt::Debug for Hands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hands").field("chains", &self.by_chain.keys()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Hand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hand").field("executor", &self.executor).finish_non_exhaustive()
    }
}

fn bid_of(bid: order::Bid) -> Bid {
    Bid { tip: bid.max_priority_fee_per_gas, max_fee: bid.max_fee_per_gas }
}

/// An error and its causes in one line.
pub fn chain_of(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut cause = error.source();
    while let Some(it) = cause {
        out.push_str(&format!(": {it}"));
        cause = it.source();
    }
    out
}
