//! Orders to the executors of their chains.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{Address, Bytes};
use cofferdam_act::{Authorisations, Bid, Executor, Preparation, Race};
use cofferdam_core::{
    BlockRef, ChainId, Timestamp,
    order::{Order, Outcome, Prepared, Sent},
    ports::{Boxed, Broadcaster, StateReader},
};

use super::Dispatcher;

/// What is needed to act on one chain.
pub struct Hand {
    /// Signs and sends.
    pub executor: Executor,
    /// The networks, first one asked first.
    pub network: Arc<dyn Broadcaster>,
    /// Reads effects.
    pub reader: Arc<dyn StateReader>,
}

/// The executors of every chain, with the authorisations of the plan.
pub struct Hands {
    by_chain: BTreeMap<ChainId, Hand>,
    authorisations: Authorisations,
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Hands {
    /// `clock` tells the time that authorisation windows are compared with.
    pub fn new(
        by_chain: BTreeMap<ChainId, Hand>,
        authorisations: Authorisations,
        clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Self {
        Self { by_chain, authorisations, clock }
    }

    fn hand(&self, order: &Order) -> Result<&Hand, String> {
        self.by_chain.get(&order.chain).ok_or_else(|| format!("no executor for {}", order.chain))
    }

    async fn send(&self, order: &Order) -> Result<(Prepared, Vec<Sent>), String> {
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
        let bid = order
            .outbid
            .map(|it| Bid { tip: it.max_priority_fee_per_gas, max_fee: it.max_fee_per_gas });
        let race = Race { bid, ..Race::default() };
        let dispatch = hand.executor.dispatch(order, &ready, race, now).await;
        let dispatch = dispatch.map_err(|it| chain_of(&it))?;
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
