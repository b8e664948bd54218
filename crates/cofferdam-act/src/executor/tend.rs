//! Tending what is in flight, once per head: replaces what is stuck, renews what builders were offered,
//! notices what landed or was reorganised out.
//!
//! **Invariant:** a replacement keeps its nonce and pays at least 12.5 % more, within the order's
//! budget.

use std::time::Duration;

use cofferdam_core::{BlockRef, OrderKey};
use futures_util::future::join_all;

use super::{
    Bid, Delivery, Executor, Fees,
    book::{Book, Flight},
    next_base_fee,
};

/// Longest time for one transaction; the next head goes on with it.
const TEND_TIMEOUT: Duration = Duration::from_secs(4);
/// After so many replacements another lane is tried too.
const ROTATE_AFTER: u32 = 2;
/// A landed transaction of an order that is over is remembered for so many blocks.
const REMEMBER_BLOCKS: u64 = 64;

impl Executor {
    /// Looks after every transaction in flight, at a new `head` with `base_fee` in wei. What is not
    /// in a block one head after it was sent is replaced: +12.5 %, then +25 %; after two
    /// replacements another lane joins. What only builders know is offered again unchanged, and to
    /// everybody once its time is up. Returns what was sent and for which order, to be journaled.
    /// Cancel-safe.
    pub async fn tend(&self, head: BlockRef, base_fee: u64) -> Vec<(OrderKey, Delivery)> {
        self.observe_head(head, base_fee);
        let flights = {
            let mut book = self.book();
            forget(&mut book, head.number);
            // What landed for an order that is over concerns nobody any more.
            let done = |it: &&Flight| !(it.over && it.landed);
            book.flights.iter().filter(done).cloned().collect::<Vec<_>>()
        };
        let tended = flights.into_iter().map(|it| {
            let order = it.order;
            let one = self.tend_one(it, head.number, base_fee);
            async move {
                let sent = tokio::time::timeout(TEND_TIMEOUT, one).await.unwrap_or_default();
                sent.into_iter().map(move |it| (order, it))
            }
        });
        let sent = join_all(tended).await.into_iter().flatten().collect();
        // What waits behind a missing nonce cannot land, whatever it pays.
        if tokio::time::timeout(TEND_TIMEOUT, self.mend(head.number)).await.is_err() {
            tracing::warn!("nonce gaps could not be looked at in time");
        }
        sent
    }

    /// Raises what is in flight for an order above an attacker's new `bid`, within the order's budget:
    /// they may replace their transaction as we may. Returns what was sent, to be journaled; nothing if
    /// we pay more already.
    pub async fn outbid(&self, key: OrderKey, bid: Bid) -> Vec<Delivery> {
        let (flights, head) = {
            let book = self.book();
            let ours: Vec<_> = book.of_order(key).filter(|it| it.live()).cloned().collect();
            (ours, book.head)
        };
        let Some((head, base_fee)) = head else { return Vec::new() };
        let raised = flights.into_iter().map(|flight| async move {
            let (lane, nonce) = (flight.lane, flight.sent.nonce);
            let (gas, next) = (flight.template.gas_limit, next_base_fee(base_fee));
            let room = self.book().room(&flight);
            let tip = Some(bid.tip_after(base_fee));
            let wanted = Fees::choose(self.policy.fees, tip, next, gas, room).ok()?;
            if flight.fees().tip >= wanted.tip {
                return None;
            }
            // A pool wants the least bump, however little is missing.
            let fees = wanted.at_least(flight.fees().bumped(1));
            if let Err(because) = self.replace(&flight, fees, head.number).await {
                tracing::warn!(%because, order = %key, "attacker is not outbid");
                return None;
            }
            self.deliver_one(lane, nonce).await.ok()
        });
        join_all(raised).await.into_iter().flatten().collect()
    }

    async fn tend_one(&self, flight: Flight, height: u64, base_fee: u64) -> Vec<Delivery> {
        let (lane, nonce) = (flight.lane, flight.sent.nonce);
        // Without an answer nothing is known, so nothing is changed.
        let Ok(landed) = self.reach.inclusion(&flight.hashes).await else { return Vec::new() };
        let landed = landed.is_some();
        {
            let mut book = self.book();
            let same = |it: &&mut Flight| it.sent.tx == flight.sent.tx;
            if let Some(it) = book.flights.iter_mut().find(same) {
                it.landed = landed;
            }
        }
        if landed || flight.over || flight.raw.is_empty() {
            return Vec::new();
        }
        let reorganised = flight.landed;
        if !reorganised && height <= flight.at_height {
            return Vec::new();
        }
        let mut deliveries = Vec::new();
        let private = flight.private_until;
        if private.is_some_and(|until| height >= until)
            && let Some(it) = self.book().flight(lane, nonce)
        {
            it.private_until = None;
            it.at_height = height;
        }
        if !reorganised && private.is_none() {
            let fees = self.raised(&flight, base_fee);
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
    fn raised(&self, flight: &Flight, base_fee: u64) -> Fees {
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
