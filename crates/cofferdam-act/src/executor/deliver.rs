//! Delivery: every network at once, and what to do with each answer.
//!
//! **Invariant:** a lost answer is never taken for a refusal, and bytes that may be on their way are
//! kept so that sending again sends the same.

use std::{sync::Arc, time::Duration};

use alloy::primitives::{B256, Bytes};
use cofferdam_core::{
    OrderKey,
    order::Sent,
    ports::{BroadcastError, Inclusion},
};
use futures_util::future::join_all;

use super::{
    Executor, Fees,
    book::{Flight, Slot},
    sign::unavailable,
};

/// Longest wait for a network's answer.
const SEND_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the other networks may still say yes after one said no.
const GRACE: Duration = Duration::from_millis(250);
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

/// The answers of all networks in one, best first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Accepted,
    NonceTooLow,
    Underpriced,
    Refused(String),
    Unknown(String),
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
        let one = |(lane, sent, landed): (usize, Sent, bool)| async move {
            if landed {
                return Ok(Delivery { sent, state: DeliveryState::Accepted });
            }
            self.deliver_one(lane, sent.nonce).await.map_err(|it| (lane, it))
        };
        let mut done = (Vec::new(), Vec::new());
        for result in join_all(flights.into_iter().map(one)).await {
            match result {
                Ok(delivery) => done.0.push(delivery),
                Err(refused) => done.1.push(refused),
            }
        }
        done
    }

    pub(super) async fn deliver_one(&self, lane: usize, nonce: u64) -> Result<Delivery, String> {
        let mut nonce = nonce;
        for _ in 0..TRIES_MAX {
            let known = self.book().flight(lane, nonce).cloned();
            let Some(flight) = known else { return Err("it was replaced meanwhile".into()) };
            let sent = flight.sent.clone();
            let accepted = Delivery { sent: sent.clone(), state: DeliveryState::Accepted };
            match self.fan_out(&flight.raw).await {
                Verdict::Accepted => return Ok(accepted),
                Verdict::Unknown(because) => {
                    return Ok(Delivery { sent, state: DeliveryState::Unknown { because } });
                }
                Verdict::NonceTooLow => match self.landed(&flight.hashes).await {
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

    /// The inclusion of any of `hashes`, from the first network that has it.
    pub(super) async fn landed(
        &self,
        hashes: &[B256],
    ) -> Result<Option<(B256, Inclusion)>, BroadcastError> {
        let mut told = None;
        for network in &self.networks {
            for hash in hashes.iter().rev() {
                match network.inclusion(*hash).await {
                    Ok(Some(inclusion)) => return Ok(Some((*hash, inclusion))),
                    Ok(None) => told = Some(Ok(None)),
                    Err(error) => told = told.or(Some(Err(error))),
                }
            }
        }
        told.unwrap_or_else(|| Err(unavailable("there is no network")))
    }

    /// Somebody else used the nonce: reads the lane's anew and signs again.
    async fn renumber(&self, flight: Flight) -> Result<u64, String> {
        let _turn = self.signing.lock().await;
        let (lane, old) = (flight.lane, flight.sent.nonce);
        {
            let mut book = self.book();
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

    /// Hands `raw` to every network in parallel and returns with the first yes; the others go on.
    async fn fan_out(&self, raw: &Bytes) -> Verdict {
        let (tell, mut answers) = tokio::sync::mpsc::channel(self.networks.len().max(1));
        for network in &self.networks {
            let (network, raw, tell) = (Arc::clone(network), raw.clone(), tell.clone());
            tokio::spawn(async move {
                let sending = tokio::time::timeout(SEND_TIMEOUT, network.send(raw));
                let late = |_| unavailable("no answer in time");
                let answer = sending.await.map_err(late).and_then(|it| it);
                // Nobody listens any more once another network took it.
                let _ = tell.send(verdict(answer)).await;
            });
        }
        drop(tell);
        let mut worst: Option<Verdict> = None;
        loop {
            let decided = worst.as_ref().is_some_and(|it| !matches!(it, Verdict::Unknown(_)));
            let patience = if decided { GRACE } else { SEND_TIMEOUT * 2 };
            match tokio::time::timeout(patience, answers.recv()).await {
                Ok(Some(Verdict::Accepted)) => return Verdict::Accepted,
                Ok(Some(answer)) => {
                    worst = Some(match worst {
                        Some(it) => it.min(answer),
                        None => answer,
                    });
                }
                Ok(None) | Err(_) => {
                    return worst.unwrap_or_else(|| Verdict::Unknown("no network answered".into()));
                }
            }
        }
    }
}

fn verdict(answer: Result<B256, BroadcastError>) -> Verdict {
    match answer {
        Ok(_) | Err(BroadcastError::AlreadyKnown) => Verdict::Accepted,
        Err(BroadcastError::NonceTooLow) => Verdict::NonceTooLow,
        Err(BroadcastError::Underpriced) => Verdict::Underpriced,
        Err(error @ BroadcastError::Unavailable(_)) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            Verdict::Unknown(cause.unwrap_or_else(|| error.to_string()))
        }
        Err(error) => Verdict::Refused(error.to_string()),
    }
}
