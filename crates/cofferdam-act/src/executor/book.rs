//! The books of the relayer lanes: nonces, transactions in flight, templates. Pure.
//!
//! **Invariant:** a nonce is read from the chain once and owned from then on; no two live
//! transactions for different orders share one, and no nonce is skipped. What stands here holds
//! authorisation signatures that nobody may have seen yet, so nothing of it can be printed.

use std::sync::Arc;

use alloy::primitives::{Address, B256, Bytes, U256};
use cofferdam_core::{
    BlockRef, OrderKey, Timestamp,
    order::{EffectCheck, OrderCall, Sent},
};

use super::{fees::Fees, prepare::Ready};

/// Most transactions of different orders queued on one lane when no lane is idle.
const QUEUE_MAX: usize = 4;
/// Most templates kept.
const HOT_MAX: usize = 256;
/// Most transactions kept that were signed ahead; above it the oldest go.
const PRESIGNED_MAX: usize = 1_024;
/// Most landed flights kept for reorganisations; above it the oldest go.
const LANDED_MAX: usize = 1_024;

/// Everything the executor remembers.
#[derive(Default)]
pub(super) struct Book {
    /// The next nonce of each lane; `None` while it is to be read from the chain.
    pub(super) next: Vec<Option<u64>>,
    /// Lanes that could not pay when last looked at: used only if there is no other.
    pub(super) low: Vec<bool>,
    pub(super) flights: Vec<Flight>,
    pub(super) head: Option<(BlockRef, u64)>,
    pub(super) hot: Vec<Hot>,
    pub(super) presigned: Vec<Presigned>,
}

/// What is signed, but for nonce and fees.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) to: Address,
    pub(super) data: Bytes,
    pub(super) gas_limit: u64,
}

/// A transaction of ours that may land.
#[derive(Clone)]
pub(super) struct Flight {
    pub(super) order: OrderKey,
    pub(super) lane: usize,
    /// The latest version sent.
    pub(super) sent: Sent,
    pub(super) raw: Bytes,
    /// Hashes of every version: any of them may land.
    pub(super) hashes: Vec<B256>,
    pub(super) template: Arc<Template>,
    /// The most the order may cost over all lanes, in wei.
    pub(super) order_budget: U256,
    /// The lanes that may send it.
    pub(super) eligible: Arc<[usize]>,
    /// Height of the head when the latest version was sent.
    pub(super) at_height: u64,
    /// How often it was replaced.
    pub(super) bumps: u32,
    /// The order is over: the nonce may be taken over if this has not landed.
    pub(super) over: bool,
    pub(super) landed: bool,
    pub(super) held_before: bool,
    /// Until the head has this height only builders are told.
    pub(super) private_until: Option<u64>,
}

/// Where the next transaction can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) lane: usize,
    pub(super) nonce: u64,
    /// What a leftover of an order that is over paid: the network wants more than that.
    pub(super) above: Option<Fees>,
}

/// A simulated call kept for reuse.
#[derive(Clone)]
pub(super) struct Hot {
    pub(super) call: OrderCall,
    pub(super) effect: Vec<EffectCheck>,
    pub(super) ready: Ready,
    pub(super) at: Timestamp,
}

/// A transaction signed before it is needed.
#[derive(Clone)]
pub(super) struct Presigned {
    pub(super) lane: usize,
    pub(super) nonce: u64,
    pub(super) template: Arc<Template>,
    pub(super) fees: Fees,
    pub(super) raw: Bytes,
    pub(super) tx: B256,
}

impl Flight {
    pub(super) fn fees(&self) -> Fees {
        Fees { max_fee: self.sent.max_fee_per_gas, tip: self.sent.max_priority_fee_per_gas }
    }

    pub(super) fn live(&self) -> bool {
        !self.landed && !self.over
    }
}

impl Book {
    pub(super) fn new(lanes: usize) -> Self {
        Self { next: vec![None; lanes], low: vec![false; lanes], ..Self::default() }
    }

    /// Sets the chain's word on a lane, never below what is in flight there.
    pub(super) fn set_next(&mut self, lane: usize, chain: u64) {
        // Leftovers below it are in a block, or something else is.
        let used = |it: &&mut Flight| it.lane == lane && it.over && it.sent.nonce < chain;
        self.flights.iter_mut().filter(used).for_each(|it| it.landed = true);
        // What had landed at it or above was reorganised out, and waits again.
        let out = |it: &&mut Flight| it.lane == lane && it.landed && it.sent.nonce >= chain;
        self.flights.iter_mut().filter(out).for_each(|it| it.landed = false);
        self.advance(lane, chain);
    }

    /// The first nonce from `from` on that none of our flights on the lane holds.
    fn advance(&mut self, lane: usize, from: u64) {
        let ours = self.on_lane(lane).filter(|it| it.sent.nonce >= from && !it.landed);
        // Flights on top of the chain's nonce without a gap stay ours.
        let mut nonces: Vec<_> = ours.map(|it| it.sent.nonce).collect();
        nonces.sort_unstable();
        nonces.dedup();
        let step = |next: u64, nonce: &u64| if *nonce == next { next + 1 } else { next };
        let next = nonces.iter().fold(from, step);
        if let Some(it) = self.next.get_mut(lane) {
            *it = Some(next);
        }
    }

    /// Up to `want` slots on `eligible` lanes that can pay: idle lanes first; if none is idle, one place
    /// in the shortest queue. If none can pay, any.
    pub(super) fn slots(&self, eligible: &[usize], want: usize) -> Vec<Slot> {
        let mut ranked: Vec<(usize, Slot)> = eligible
            .iter()
            .filter_map(|&lane| Some((self.queue(lane), self.slot(lane)?)))
            .filter(|(queue, _)| *queue < QUEUE_MAX)
            .collect();
        let low = |slot: &Slot| self.low.get(slot.lane).copied().unwrap_or_default();
        if ranked.iter().any(|(_, slot)| !low(slot)) {
            ranked.retain(|(_, slot)| !low(slot));
        }
        ranked.sort_by_key(|(queue, slot)| (*queue, slot.lane));
        let idle = ranked.iter().filter(|(queue, _)| *queue == 0).count();
        let take = if idle == 0 { 1 } else { want.min(idle) };
        ranked.into_iter().take(take).map(|(_, slot)| slot).collect()
    }

    /// Takes `flight` in; it replaces what was on its nonce.
    pub(super) fn record(&mut self, flight: Flight) {
        let (lane, nonce) = (flight.lane, flight.sent.nonce);
        self.flights.retain(|it| it.landed || (it.lane, it.sent.nonce) != (lane, nonce));
        self.presigned.retain(|it| (it.lane, it.nonce) != (lane, nonce));
        self.flights.push(flight);
        if let Some(Some(next)) = self.next.get(lane).copied() {
            self.advance(lane, next);
        }
        let landed = self.flights.iter().filter(|it| it.landed).count();
        if landed > LANDED_MAX
            && let Some(oldest) = self.flights.iter().position(|it| it.landed)
        {
            self.flights.remove(oldest);
        }
    }

    /// Gives a nonce back that the network refused to take. Later ones on the lane, if any, wait for
    /// the chain's word.
    pub(super) fn release(&mut self, lane: usize, nonce: u64) {
        self.flights.retain(|it| it.landed || (it.lane, it.sent.nonce) != (lane, nonce));
        let above = self.on_lane(lane).any(|it| it.sent.nonce > nonce && !it.landed);
        if let Some(next) = self.next.get_mut(lane) {
            *next = if above { None } else { next.map(|_| nonce) };
        }
    }

    pub(super) fn of_order(&self, key: OrderKey) -> impl Iterator<Item = &Flight> {
        self.flights.iter().filter(move |it| it.order == key)
    }

    /// What the budget of `flight`'s order leaves for it: all but the worst case of its other lanes.
    pub(super) fn room(&self, flight: &Flight) -> U256 {
        let here = (flight.lane, flight.sent.nonce);
        let others = self.of_order(flight.order).filter(|it| !it.over);
        let others = others.filter(|it| (it.lane, it.sent.nonce) != here);
        let worst = others.map(|it| it.fees().worst_case(it.template.gas_limit));
        flight.order_budget.saturating_sub(worst.fold(U256::ZERO, U256::saturating_add))
    }

    pub(super) fn flight(&mut self, lane: usize, nonce: u64) -> Option<&mut Flight> {
        self.flights.iter_mut().find(|it| it.live() && (it.lane, it.sent.nonce) == (lane, nonce))
    }

    /// Ends an order: what has not landed is a leftover whose nonce can be reused.
    pub(super) fn finish(&mut self, key: OrderKey) {
        for flight in self.flights.iter_mut().filter(|it| it.order == key) {
            flight.over = true;
        }
    }

    pub(super) fn keep_hot(&mut self, hot: Hot) {
        self.hot.retain(|it| it.call != hot.call || it.effect != hot.effect);
        if self.hot.len() >= HOT_MAX {
            self.hot.remove(0);
        }
        self.hot.push(hot);
    }

    /// Keeps `signed` instead of what was signed before to the same contract with the same call.
    pub(super) fn keep_presigned(&mut self, template: &Template, signed: Vec<Presigned>) {
        let same = |it: &Template| it.to == template.to && it.data == template.data;
        self.presigned.retain(|it| !same(&it.template));
        self.presigned.extend(signed);
        let over = self.presigned.len().saturating_sub(PRESIGNED_MAX);
        self.presigned.drain(..over);
    }

    fn on_lane(&self, lane: usize) -> impl Iterator<Item = &Flight> {
        self.flights.iter().filter(move |it| it.lane == lane)
    }

    fn queue(&self, lane: usize) -> usize {
        self.on_lane(lane).filter(|it| it.live()).count()
    }

    fn slot(&self, lane: usize) -> Option<Slot> {
        let next = (*self.next.get(lane)?)?;
        let leftovers = self.on_lane(lane).filter(|it| it.over && !it.landed);
        let leftover = leftovers.filter(|it| it.sent.nonce < next).min_by_key(|it| it.sent.nonce);
        Some(match leftover {
            Some(it) => Slot { lane, nonce: it.sent.nonce, above: Some(it.fees()) },
            None => Slot { lane, nonce: next, above: None },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use alloy::primitives::{Address, B256, Bytes, U256};
    use cofferdam_core::{AccountId, ChainId, OrderKey, order::Sent};

    use super::{Book, Flight, Slot, Template};

    fn flight(order: u8, lane: usize, nonce: u64) -> Flight {
        let tx = B256::repeat_byte(order);
        let relayer = AccountId { chain: ChainId(1), address: Address::ZERO };
        let (max_fee_per_gas, max_priority_fee_per_gas) = (10, 1);
        let template = Template { to: Address::ZERO, data: Bytes::new(), gas_limit: 21_000 };
        Flight {
            order: OrderKey(tx),
            lane,
            sent: Sent { relayer, nonce, tx, max_fee_per_gas, max_priority_fee_per_gas },
            raw: Bytes::new(),
            hashes: vec![tx],
            template: Arc::new(template),
            order_budget: U256::MAX,
            eligible: Arc::new([]),
            at_height: 0,
            bumps: 0,
            over: false,
            landed: false,
            held_before: false,
            private_until: None,
        }
    }

    fn book() -> Book {
        let mut book = Book::new(3);
        (0..3).for_each(|lane| book.set_next(lane, 5));
        book
    }

    #[test]
    fn idle_lanes_come_first_and_a_busy_one_queues_only_if_there_is_no_other() {
        let mut book = book();
        book.record(flight(1, 0, 5));
        let lanes =
            |slots: Vec<Slot>| slots.iter().map(|it| (it.lane, it.nonce)).collect::<Vec<_>>();
        assert_eq!(lanes(book.slots(&[0, 1, 2], 2)), [(1, 5), (2, 5)]);
        assert_eq!(lanes(book.slots(&[0], 2)), [(0, 6)]);
        for nonce in 6..9 {
            book.record(flight(nonce as u8, 0, nonce));
        }
        assert!(book.slots(&[0], 1).is_empty());
    }

    #[test]
    fn the_nonce_of_an_order_that_is_over_is_taken_over_and_never_skipped() {
        let mut book = book();
        book.record(flight(1, 0, 5));
        book.finish(OrderKey(B256::repeat_byte(1)));
        let slot = book.slots(&[0], 1)[0];
        assert_eq!((slot.nonce, slot.above.map(|it| it.max_fee)), (5, Some(10)));
        book.record(flight(2, 0, 5));
        assert_eq!(book.slots(&[0], 1)[0].nonce, 6);
        assert_eq!(book.flights.len(), 1);
    }

    #[test]
    fn a_nonce_that_was_reorganised_out_still_belongs_to_its_order() {
        let mut book = book();
        book.record(flight(1, 0, 5));
        book.flights[0].landed = true;
        assert_eq!(book.slots(&[0], 1)[0].nonce, 6);
        book.set_next(0, 5);
        assert!(!book.flights[0].landed);
        assert_eq!(book.slots(&[0], 1)[0].nonce, 6);
        // The chain is past it: what an order that is over left there is in.
        book.finish(OrderKey(B256::repeat_byte(1)));
        book.set_next(0, 6);
        assert!(book.flights[0].landed);
        assert_eq!(book.slots(&[0], 1), [Slot { lane: 0, nonce: 6, above: None }]);
    }

    #[test]
    fn a_refused_nonce_is_free_again() {
        let mut book = book();
        book.record(flight(1, 0, 5));
        book.release(0, 5);
        assert_eq!(book.slots(&[0], 1), [Slot { lane: 0, nonce: 5, above: None }]);
        book.record(flight(1, 0, 5));
        book.record(flight(2, 0, 6));
        book.release(0, 5);
        assert!(book.slots(&[0], 1).is_empty(), "a gap waits for the chain's word");
        book.set_next(0, 5);
        assert_eq!(book.slots(&[0], 1)[0].nonce, 5);
        book.record(flight(3, 0, 5));
        assert_eq!(book.slots(&[0], 1)[0].nonce, 7, "the queue on top is still there");
    }
}
