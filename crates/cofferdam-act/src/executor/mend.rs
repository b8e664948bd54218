//! Mending nonce gaps: a transaction cannot land while a lower nonce of its relayer is missing.
//!
//! That happens when the order below was vetoed and its transaction fell out of the pools, or when a
//! transaction was never journaled because the process died. The missing nonce is then used up by a
//! transaction of the relayer to itself, without value or data, which does nothing.
//!
//! **Invariant:** what was vetoed is not sent again, and filling costs within the budget of the order
//! that waits.

use std::sync::Arc;

use alloy::primitives::{Address, B256, Bytes};
use cofferdam_core::OrderKey;
use futures_util::future::join_all;

use super::{
    Executor, Fees,
    book::{Flight, Slot, Template},
    reach::Route,
};

/// Gas of a transaction that does nothing.
const IDLE_GAS: u64 = 21_000;
/// Most nonces filled on a lane at one head.
const GAPS_MAX: usize = 4;

impl Executor {
    /// Fills what is missing below the transactions that wait since before the head of `height`.
    pub(super) async fn mend(&self, height: u64) {
        let waiting: Vec<Flight> = {
            let book = self.book();
            let lowest = |lane: usize| {
                let here = book.flights.iter().filter(|it| it.lane == lane && it.live());
                here.min_by_key(|it| it.sent.nonce).cloned()
            };
            (0..self.signers.len()).filter_map(lowest).collect()
        };
        let waited = waiting.into_iter().filter(|it| it.at_height <= height || it.bumps > 0);
        join_all(waited.map(|it| self.mend_below(it, height))).await;
    }

    async fn mend_below(&self, waiting: Flight, height: u64) {
        let lane = waiting.lane;
        let Some(relayer) = self.account(lane).map(|it| it.address) else { return };
        let Ok((chain, _)) = self.account_of(relayer).await else { return };
        for nonce in (chain..waiting.sent.nonce).take(GAPS_MAX) {
            let there = {
                let book = self.book();
                book.flights.iter().find(|it| (it.lane, it.sent.nonce) == (lane, nonce)).cloned()
            };
            // What landed and was reorganised out looks after itself.
            if there.as_ref().is_some_and(|it| !it.over) {
                continue;
            }
            // A node that lags does not know yet that it is in.
            if let Some(it) = &there
                && !matches!(self.reach.inclusion(&it.hashes).await, Ok(None))
            {
                continue;
            }
            if let Err(because) = self.fill(&waiting, there, relayer, nonce, height).await {
                tracing::warn!(%because, order = %waiting.order, nonce, "nonce gap is not filled");
                return;
            }
        }
    }

    async fn fill(
        &self,
        waiting: &Flight,
        there: Option<Flight>,
        relayer: Address,
        nonce: u64,
        height: u64,
    ) -> Result<(), String> {
        let bumped = |it: &Flight| it.fees().bumped(it.bumps + 1);
        let fees = match &there {
            Some(it) => waiting.fees().at_least(bumped(it)),
            None => waiting.fees(),
        };
        if fees.worst_case(IDLE_GAS) > self.room_beside(waiting) {
            return Err("it would be beyond the order's fee budget".into());
        }
        let template = Arc::new(Template { to: relayer, data: Bytes::new(), gas_limit: IDLE_GAS });
        let slot = Slot { lane: waiting.lane, nonce, above: None };
        let signed = {
            let _turn = self.signing.lock().await;
            let signed = self.sign_one(slot, &template, fees).await.map_err(|it| it.to_string())?;
            let mut filler = Flight {
                order: OrderKey(B256::ZERO),
                raw: signed.raw.clone(),
                hashes: there.as_ref().map(|it| it.hashes.clone()).unwrap_or_default(),
                template,
                at_height: height,
                bumps: there.map_or(0, |it| it.bumps + 1),
                over: true,
                landed: false,
                private_until: None,
                ..waiting.clone()
            };
            filler.hashes.push(signed.tx);
            filler.sent.nonce = nonce;
            filler.sent.tx = signed.tx;
            filler.sent.max_fee_per_gas = fees.max_fee;
            filler.sent.max_priority_fee_per_gas = fees.tip;
            self.book().record(filler);
            signed
        };
        // Whatever is said, the next head tells whether it is in.
        self.reach.fan_out(&signed.raw, Route::Everybody, height.saturating_add(1)).await;
        Ok(())
    }

    /// What the budget leaves beside all that waits for the order.
    fn room_beside(&self, waiting: &Flight) -> alloy::primitives::U256 {
        let own = Fees::worst_case(waiting.fees(), waiting.template.gas_limit);
        self.book().room(waiting).saturating_sub(own)
    }
}
