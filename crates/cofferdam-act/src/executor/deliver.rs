//! Delivery: every network at once, and what to do with each answer.
//!
//! **Invariant:** a lost answer is never taken for a refusal, and bytes that may be on their way are
//! kept so that sending again sends the same.

use std::time::Duration;

use cofferdam_core::{OrderKey, order::Sent};
use futures_util::{StreamExt as _, stream::FuturesUnordered};

use super::{
    Executor, Fees,
    book::{Flight, Slot},
    reach::{Route, Verdict},
};

/// How long the other lanes may take after one was accepted. What they send goes on, and
/// [`Executor::tend`] looks after it.
const LANES_GRACE: Duration = Duration::from_millis(20);
/// Most versions of one transaction tried in one delivery.
const TRIES_MAX: usize = 4;

/// A transaction handed to the networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The transaction.
    pub sent: Sent,
    /// What became of it so far.
    pub state: DeliveryState,
}

/// What the networks said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// At least one has it in its pool, or it is in a block already.
    Accepted,
    /// No answer arrived: it may or may not be on its way.
    Unknown {
        /// Why, for people.
        because: String,
    },
}

impl Executor {
    /// Sends what is in flight for an order. Returns what was delivered, and the lanes that were
    /// refused for good with the networks' words; their nonces are free again.
    pub(super) async fn deliver(&self, key: OrderKey) -> (Vec<Delivery>, Vec<(usize, String)>) {
        let flights: Vec<_> = {
            let book = self.book();
            let ours = book.of_order(key).filter(|it| !it.over);
            ours.map(|it| (it.lane, it.sent.clone(), it.landed)).collect()
        };
        let one = |(index, (lane, sent, landed)): (usize, &(usize, Sent, bool))| {
            let (lane, sent, landed) = (*lane, sent.clone(), *landed);
            async move {
                if landed {
                    return (index, Ok(Delivery { sent, state: DeliveryState::Accepted }));
                }
                (index, self.deliver_one(lane, sent.nonce).await.map_err(|it| (lane, it)))
            }
        };
        let mut running: FuturesUnordered<_> = flights.iter().enumerate().map(one).collect();
        let mut done: Vec<Option<_>> = flights.iter().map(|_| None).collect();
        let mut accepted = false;
        loop {
            let patience = if accepted { LANES_GRACE } else { Duration::MAX };
            let Ok(Some((index, answer))) = tokio::time::timeout(patience, running.next()).await
            else {
                break;
            };
            accepted |= matches!(&answer, Ok(it) if it.state == DeliveryState::Accepted);
            if let Some(it) = done.get_mut(index) {
                *it = Some(answer);
            }
        }
        drop(running);
        let (mut deliveries, mut refused) = (Vec::new(), Vec::new());
        for (answer, (lane, sent, _)) in done.into_iter().zip(flights) {
            match answer {
                Some(Ok(delivery)) => deliveries.push(delivery),
                Some(Err(it)) => refused.push(it),
                None => {
                    // It may have been signed anew meanwhile.
                    let newest = self.book().flight(lane, sent.nonce).map(|it| it.sent.clone());
                    let because = "no answer yet; another lane was accepted".to_owned();
                    let state = DeliveryState::Unknown { because };
                    deliveries.push(Delivery { sent: newest.unwrap_or(sent), state });
                }
            }
        }
        (deliveries, refused)
    }

    pub(super) async fn deliver_one(&self, lane: usize, nonce: u64) -> Result<Delivery, String> {
        let mut nonce = nonce;
        for _ in 0..TRIES_MAX {
            let known = self.book().flight(lane, nonce).cloned();
            let Some(flight) = known else { return Err("it was replaced meanwhile".into()) };
            let sent = flight.sent.clone();
            let accepted = Delivery { sent: sent.clone(), state: DeliveryState::Accepted };
            let (route, next_block) = self.route(&flight);
            match self.reach.fan_out(&flight.raw, route, next_block).await {
                Verdict::Accepted => return Ok(accepted),
                // No builder took it: containment is worth more than silence.
                _ if route == Route::Builders => {
                    tracing::warn!(order = %flight.order, "no builder took it, so it goes public");
                    if let Some(it) = self.book().flight(lane, nonce) {
                        it.private_until = None;
                    }
                }
                Verdict::Unknown(because) => {
                    return Ok(Delivery { sent, state: DeliveryState::Unknown { because } });
                }
                Verdict::NonceTooLow => match self.reach.inclusion(&flight.hashes).await {
                    Ok(Some(_)) => {
                        if let Some(it) = self.book().flight(lane, nonce) {
                            it.landed = true;
                        }
                        return Ok(accepted);
                    }
                    Ok(None) => nonce = self.renumber(flight).await?,
                    Err(error) => {
                        let because = format!("nonce is used, by whom is not known: {error}");
                        return Ok(Delivery { sent, state: DeliveryState::Unknown { because } });
                    }
                },
                Verdict::Underpriced => {
                    let fees = flight.fees().bumped(flight.bumps + 1);
                    self.replace(&flight, fees, flight.at_height).await?;
                }
                Verdict::Broke if flight.hashes.len() == 1 => {
                    let mut book = self.book();
                    if let Some(it) = book.low.get_mut(lane) {
                        *it = true;
                    }
                    book.release(lane, nonce);
                    return Err("relayer has insufficient funds".into());
                }
                Verdict::Broke => {
                    let because = "relayer cannot pay for the replacement".to_owned();
                    return Ok(Delivery { sent, state: DeliveryState::Unknown { because } });
                }
                // An earlier version may still be in a pool.
                Verdict::Refused(because) if flight.hashes.len() > 1 => {
                    return Ok(Delivery { sent, state: DeliveryState::Unknown { because } });
                }
                Verdict::Refused(because) => {
                    self.book().release(lane, nonce);
                    return Err(because);
                }
            }
        }
        self.book().release(lane, nonce);
        Err(format!("no version of {TRIES_MAX} was taken"))
    }

    /// Who is told of `flight` now, and the next block.
    fn route(&self, flight: &Flight) -> (Route, u64) {
        let head = self.book().head.map_or(0, |(head, _)| head.number).max(flight.at_height);
        let private = flight.private_until.is_some_and(|until| head < until);
        (if private { Route::Builders } else { Route::Everybody }, head.saturating_add(1))
    }

    /// Signs `flight` again at the same nonce with other fees.
    pub(super) async fn replace(
        &self,
        flight: &Flight,
        fees: Fees,
        at_height: u64,
    ) -> Result<(), String> {
        let (lane, nonce) = (flight.lane, flight.sent.nonce);
        let beyond = || Err("a replacement is beyond the order's fee budget".to_owned());
        let cost = fees.worst_case(flight.template.gas_limit);
        if cost > self.book().room(flight) {
            return beyond();
        }
        let slot = Slot { lane, nonce, above: None };
        let signed = self.sign_one(slot, &flight.template, fees).await;
        let signed = signed.map_err(|it| it.to_string())?;
        let mut book = self.book();
        // Another lane may have been raised while this one was signed.
        if cost > book.room(flight) {
            return beyond();
        }
        if let Some(it) = book.flight(lane, nonce) {
            it.raw = signed.raw;
            it.sent.tx = signed.tx;
            it.sent.max_fee_per_gas = fees.max_fee;
            it.sent.max_priority_fee_per_gas = fees.tip;
            it.hashes.push(signed.tx);
            it.bumps += 1;
            it.at_height = at_height;
        }
        Ok(())
    }

    /// Somebody else used the nonce: reads the lane's anew and signs again.
    async fn renumber(&self, flight: Flight) -> Result<u64, String> {
        let _turn = self.signing.lock().await;
        let (lane, old) = (flight.lane, flight.sent.nonce);
        {
            let mut book = self.book();
            // Who held the turn before may have done it, or the order may be over.
            if book.flight(lane, old).is_none_or(|it| it.sent.tx != flight.sent.tx) {
                return Err("it was replaced meanwhile".into());
            }
            book.release(lane, old);
            if let Some(next) = book.next.get_mut(lane) {
                *next = None;
            }
        }
        self.read_nonces(&[lane]).await.map_err(|it| it.to_string())?;
        let next = self.book().next.get(lane).copied().flatten();
        let nonce = next.ok_or("the lane's nonce could not be read")?;
        let slot = Slot { lane, nonce, above: None };
        let signed = self.sign_one(slot, &flight.template, flight.fees()).await;
        let signed = signed.map_err(|it| it.to_string())?;
        let mut fresh = Flight { raw: signed.raw, ..flight };
        fresh.sent.nonce = nonce;
        fresh.sent.tx = signed.tx;
        fresh.hashes.push(signed.tx);
        self.book().record(fresh);
        Ok(nonce)
    }
}
