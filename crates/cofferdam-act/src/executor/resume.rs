//! After a restart: what the journal says was sent is still ours.
//!
//! **Invariant:** nothing is asked or sent here, and no nonce that may still carry an order is free.

use std::sync::Arc;

use alloy::primitives::{B256, Bytes, U256};
use cofferdam_core::{
    OrderKey,
    order::{Order, OrderCall, Prepared, Sent},
};

use super::{
    DispatchError, Executor, Fees,
    book::{Flight, Slot, Template},
    prepare::extends,
};

impl Executor {
    /// Restores what was in flight for an open order before a restart, from the journal: signs the
    /// recorded transactions again, so that their nonces stay theirs and replacement goes on. Returns
    /// on how many lanes; those of relayers that are gone are not.
    ///
    /// # Errors
    /// [`DispatchError`].
    pub async fn resume(
        &self,
        order: &Order,
        prepared: &Prepared,
        sent: &[Sent],
    ) -> Result<usize, DispatchError> {
        if prepared.key != order.key {
            return Err(DispatchError::WrongOrder);
        }
        let (to, data) = (prepared.to, prepared.data.clone());
        let template = Arc::new(Template { to, data, gas_limit: prepared.gas_limit });
        let relayers: Vec<_> = match order.call {
            // Who else holds the role is not known any more.
            OrderCall::Direct { .. } => sent.iter().map(|it| it.relayer.address).collect(),
            _ => self.relayers(),
        };
        let _turn = self.signing.lock().await;
        let mut restored = 0;
        for lane in 0..self.signers.len() {
            let here = || sent.iter().filter(|it| self.account(lane) == Some(it.relayer));
            // A higher nonce was taken because the lower one was used; the latest version of it is the
            // dearest.
            let Some(newest) = here().max_by_key(|it| (it.nonce, it.max_fee_per_gas)) else {
                continue;
            };
            let (max_fee, tip) = (newest.max_fee_per_gas, newest.max_priority_fee_per_gas);
            let slot = Slot { lane, nonce: newest.nonce, above: None };
            let signed = self.sign_one(slot, &template, Fees { max_fee, tip }).await?;
            let eligible = self.lanes_of(&relayers, &[]);
            let mut flight = self.flight(order, &template, eligible, slot, signed);
            // Only our own inclusion proves an effect that may have held before.
            flight.held_before = extends(&order.call);
            // Any version may land.
            flight.hashes.extend(here().map(|it| it.tx));
            flight.hashes.sort_unstable();
            flight.hashes.dedup();
            self.book().record(flight);
            restored += 1;
        }
        Ok(restored)
    }

    /// Restores the nonces of an order that was over before a restart: its transactions may still sit in
    /// a pool, so the next order on their lanes outbids them. To be called after [`Self::resume`].
    pub fn reserve(&self, sent: &[Sent]) {
        for it in sent {
            let lane = (0..self.signers.len()).find(|n| self.account(*n) == Some(it.relayer));
            let Some(lane) = lane else { continue };
            let mut book = self.book();
            // Another order may have taken the nonce over.
            if book.flight(lane, it.nonce).is_some() {
                continue;
            }
            let template = Template { to: it.relayer.address, data: Bytes::new(), gas_limit: 0 };
            book.record(Flight {
                order: OrderKey(B256::ZERO),
                lane,
                sent: it.clone(),
                raw: Bytes::new(),
                hashes: vec![it.tx],
                template: Arc::new(template),
                order_budget: U256::ZERO,
                eligible: Arc::new([]),
                at_height: 0,
                bumps: 0,
                over: true,
                landed: false,
                held_before: false,
                private_until: None,
            });
        }
    }
}
