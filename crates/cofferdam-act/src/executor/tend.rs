//! Tending what is in flight, once per head: replaces what is stuck, notices what landed or was
//! reorganised out.
//!
//! **Invariant:** a replacement keeps its nonce and pays at least 12.5 % more, within the order's
//! budget.

use cofferdam_core::BlockRef;
use futures_util::future::join_all;

use super::{
    Delivery, Executor, Fees,
    book::{Book, Flight},
    next_base_fee,
};

/// After so many replacements another lane is tried too.
const ROTATE_AFTER: u32 = 2;
/// A landed transaction of an order that is over is remembered for so many blocks.
const REMEMBER_BLOCKS: u64 = 64;

impl Executor {
    /// Looks after every transaction in flight, at a new `head` with `base_fee` in wei. What is not
    /// in a block one head after it was sent is replaced: +12.5 %, then +25 %; after two
    /// replacements another lane joins. Returns what was sent, to be journaled.
    pub async fn tend(&self, head: BlockRef, base_fee: u64) -> Vec<Delivery> {
        self.observe_head(head, base_fee);
        let flights = {
            let mut book = self.book();
            forget(&mut book, head.number);
            book.flights.clone()
        };
        let tended = flights.into_iter().map(|it| self.tend_one(it, head.number, base_fee));
        join_all(tended).await.into_iter().flatten().collect()
    }

    async fn tend_one(&self, flight: Flight, height: u64, base_fee: u64) -> Vec<Delivery> {
        let (lane, nonce) = (flight.lane, flight.sent.nonce);
        // Without an answer nothing is known, so nothing is changed.
        let Ok(landed) = self.landed(&flight.hashes).await else { return Vec::new() };
        let landed = landed.is_some();
        {
            let mut book = self.book();
            let same = |it: &&mut Flight| it.sent.tx == flight.sent.tx;
            if let Some(it) = book.flights.iter_mut().find(same) {
                it.landed = landed;
            }
        }
        if landed || flight.over {
            return Vec::new();
        }
        let reorganised = flight.landed;
        if !reorganised && height <= flight.at_height {
            return Vec::new();
        }
        let mut deliveries = Vec::new();
        if !reorganised {
            let fees = self.outbid(&flight, base_fee);
            // Beyond the budget the same bytes are sent again: a pool may have dropped them.
            if let Err(because) = self.replace(&flight, fees, height).await {
                tracing::warn!(%because, order = %flight.order, "transaction is not replaced");
            } else if flight.bumps + 1 >= ROTATE_AFTER {
                let raised = self.book().flight(lane, nonce).cloned();
                if let Some(raised) = raised {
                    deliveries.extend(self.rotate(&raised, height).await);
                }
            }
        }
        deliveries.extend(self.deliver_one(lane, nonce).await.ok());
        deliveries
    }

    /// The price of the next replacement: the bump, or what the base fee asks for by now.
    fn outbid(&self, flight: &Flight, base_fee: u64) -> Fees {
        let bumped = flight.fees().bumped(flight.bumps + 1);
        let (gas, next) = (flight.template.gas_limit, next_base_fee(base_fee));
        let room = self.book().room(flight);
        match Fees::choose(self.policy.fees, None, next, gas, room) {
            Ok(now) if bumped.at_least(now).worst_case(gas) <= room => bumped.at_least(now),
            _ => bumped,
        }
    }

    /// Sends the order on one more idle lane, if the budget has room for it.
    async fn rotate(&self, flight: &Flight, height: u64) -> Option<Delivery> {
        let fees = flight.fees();
        let turn = self.signing.lock().await;
        // The lanes' nonces may not have been read so far.
        self.read_nonces(&flight.eligible).await.ok()?;
        let cost = fees.worst_case(flight.template.gas_limit);
        let slot = {
            let book = self.book();
            let ours = book.of_order(flight.order).filter(|it| !it.over);
            let used: Vec<_> = ours.map(|it| it.lane).collect();
            if cost.saturating_add(cost) > book.room(flight) {
                return None;
            }
            let free: Vec<_> =
                flight.eligible.iter().copied().filter(|it| !used.contains(it)).collect();
            book.slots(&free, 1).into_iter().next().filter(|it| it.above.is_none())?
        };
        let signed = self.sign_one(slot, &flight.template, fees).await.ok()?;
        let mut fresh = Flight { lane: slot.lane, raw: signed.raw, ..flight.clone() };
        fresh.sent.relayer = self.account(slot.lane)?;
        fresh.sent.nonce = slot.nonce;
        fresh.sent.tx = signed.tx;
        fresh.sent.max_fee_per_gas = fees.max_fee;
        fresh.sent.max_priority_fee_per_gas = fees.tip;
        fresh.hashes = vec![signed.tx];
        (fresh.bumps, fresh.at_height) = (0, height);
        self.book().record(fresh);
        drop(turn);
        self.deliver_one(slot.lane, slot.nonce).await.ok()
    }
}

fn forget(book: &mut Book, height: u64) {
    let old =
        |it: &Flight| it.over && it.landed && height > it.at_height.saturating_add(REMEMBER_BLOCKS);
    book.flights.retain(|it| !old(it));
}
