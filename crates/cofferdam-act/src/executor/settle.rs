//! Learning an order's outcome from the chain.
//!
//! **Invariant:** *effective* means that state at a block says so. A receipt only tells whose
//! transaction it was and what it cost.

use cofferdam_core::{
    BlockRef, ChainId,
    order::{Order, Outcome},
    ports::{BroadcastError, Broadcaster, Inclusion, SourceError, StateReader},
};

use super::{Executor, book::Flight, holds};

/// Why an outcome could not be told. Each of these is to be asked again; none is an outcome.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The caller mixed chains up.
    #[error("order is for {order}, the block is on {block}")]
    WrongChain {
        /// The order's chain.
        order: ChainId,
        /// The block's chain.
        block: ChainId,
    },
    /// State at the block could not be read.
    #[error("state at block {block} cannot be read")]
    Blind {
        /// Its height.
        block: u64,
        /// The cause, if the reader failed as a whole.
        #[source]
        source: Option<SourceError>,
    },
    /// Inclusions could not be read.
    #[error("inclusion of the order's transactions cannot be read")]
    Network(#[source] BroadcastError),
}

impl Executor {
    /// The outcome of `order` as of block `at`; `None` while it is open. Reads the effect from state
    /// at the block.
    ///
    /// # Errors
    /// [`SettleError`]: nothing can be told now.
    pub async fn settle(
        &self,
        order: &Order,
        reader: &dyn StateReader,
        network: &dyn Broadcaster,
        at: BlockRef,
    ) -> Result<Option<Outcome>, SettleError> {
        if order.chain != self.chain || at.chain != self.chain {
            return Err(SettleError::WrongChain { order: order.chain, block: at.chain });
        }
        let blind = |source| SettleError::Blind { block: at.number, source };
        let reads: Vec<_> = order.effect.iter().map(|it| it.read.clone()).collect();
        let answers = reader.read(&at, &reads).await.map_err(|it| blind(Some(it)))?;
        let effective = holds(&order.effect, &answers).filter(|_| !order.effect.is_empty());
        let effective = effective.ok_or_else(|| blind(None))?;
        let flights: Vec<Flight> = {
            let book = self.book();
            book.of_order(order.key).filter(|it| !it.over).cloned().collect()
        };
        let mut landed = Vec::new();
        for flight in &flights {
            landed.extend(inclusion(flight, network, at).await.map_err(SettleError::Network)?);
        }
        let outcome = judge(order, at, effective, &flights, &landed);
        if outcome.is_some() {
            self.finish(order.key);
        }
        Ok(outcome)
    }
}

type Landed = (alloy::primitives::B256, Inclusion);

async fn inclusion(
    flight: &Flight,
    network: &dyn Broadcaster,
    at: BlockRef,
) -> Result<Option<Landed>, BroadcastError> {
    for hash in flight.hashes.iter().rev() {
        if let Some(it) = network.inclusion(*hash).await?
            && it.block.number <= at.number
        {
            return Ok(Some((*hash, it)));
        }
    }
    Ok(None)
}

fn judge(
    order: &Order,
    at: BlockRef,
    effective: bool,
    flights: &[Flight],
    landed: &[Landed],
) -> Option<Outcome> {
    let success = landed.iter().find(|(_, it)| it.succeeded);
    let failed = |reason: String| Some(Outcome::Failed { reason });
    // What held before proves nothing: then our own transaction must have landed.
    let proved = success.is_some() || !flights.iter().any(|it| it.held_before);
    match (effective, success) {
        (true, ours) if proved => {
            let (tx, gas_used) = ours.map_or((None, 0), |(tx, it)| (Some(*tx), it.gas_used));
            Some(Outcome::Effective { tx, block: at, gas_used })
        }
        (false, Some((_, it))) => {
            let block = it.block.number;
            failed(format!("included in block {block}, but state shows no effect at {}", at.number))
        }
        _ if !flights.is_empty() && landed.len() == flights.len() => {
            failed(format!("all {} transactions reverted on chain", landed.len()))
        }
        _ if at.time > order.expires_at => Some(Outcome::Expired),
        _ => None,
    }
}
