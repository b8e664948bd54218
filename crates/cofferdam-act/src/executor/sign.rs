//! Signing: nonces, fees, EIP-1559 transactions, and the templates that make the night fast.
//!
//! **Invariant:** nothing is sent here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use alloy::{
    consensus::{SignableTransaction as _, TxEip1559},
    eips::eip2718::Encodable2718 as _,
    primitives::{Address, B256, Bytes, TxKind, U256},
};
use cofferdam_core::{
    BlockRef, Timestamp,
    order::{Order, OrderCall, Sent},
    plan::{Action, containment},
    ports::BroadcastError,
};
use futures_util::future::join_all;

use super::{
    DispatchError, Executor, Fees, OverBudget, Preparation, PrepareError, Race, Ready,
    book::{Flight, Hot, Presigned, Slot, Template},
    next_base_fee,
    prepare::Intent,
    reach::unavailable,
};
use crate::{
    bundle::Authorisations,
    signer::{SignError, Signer},
};

/// Longest wait for one signature; a KMS answers in about 100 ms.
const SIGN_TIMEOUT: Duration = Duration::from_secs(2);
/// A head older than this is asked for anew, in milliseconds.
const HEAD_AGE_MAX_MS: u64 = 120_000;
/// A template older than this is not used, in milliseconds.
const HOT_AGE_MAX_MS: u64 = 120_000;
/// A template is not used if its authorisation expires sooner than this, in milliseconds.
const HOT_MARGIN_MS: u64 = 60_000;

impl Executor {
    /// Simulates `action` ahead of time and signs it on idle lanes, so that an order for it can be
    /// sent without asking anything. To be repeated within two minutes. The guardian's event then
    /// carries the zero incident id, because the incident is not known yet.
    ///
    /// # Errors
    /// [`PrepareError`]: the action could not be taken now.
    pub async fn warm(
        &self,
        action: &Action,
        authorisations: &Authorisations,
        now: Timestamp,
    ) -> Result<Preparation, PrepareError> {
        let call = containment::order_call(action);
        let effect = containment::effect_checks(action);
        let (chain, label) = (action.call.chain(), B256::ZERO);
        let intent = Intent { chain, call: &call, effect: &effect, label, now };
        let relayers = self.relayers();
        let intent = &intent;
        let found = self.prepared_by(|network| {
            let (network, relayers) = (Arc::clone(network), &relayers);
            async move { intent.prepare(authorisations, relayers, network.as_ref()).await }
        });
        let found = found.await?;
        if let Preparation::Ready(ready) = &found
            && !ready.held_before
        {
            self.book().keep_hot(Hot { call, effect, ready: ready.clone(), at: now });
            // Signing ahead only saves time: what fails here is met again, and told, at dispatch.
            if let Err(error) = self.presign(ready, now).await {
                tracing::debug!(%error, action = %action.id, "template is not signed ahead");
            }
        }
        Ok(found)
    }

    /// The template for `order`, if a fresh one is kept.
    pub(super) fn hot(&self, order: &Order, now: Timestamp) -> Option<Ready> {
        let book = self.book();
        let same = |it: &&Hot| it.call == order.call && it.effect == order.effect;
        let hot = book.hot.iter().find(same)?;
        let lasts = |until: u64| now.plus_ms(HOT_MARGIN_MS) <= Timestamp::from_secs(until);
        let fresh = now.since_ms(hot.at) <= HOT_AGE_MAX_MS
            && hot.ready.usable_until.is_none_or(lasts)
            && order.chain == self.chain;
        let mut ready = hot.ready.clone();
        ready.key = order.key;
        fresh.then_some(ready)
    }

    /// Signs `order` on lanes other than `spent`, or returns what is in flight for it.
    pub(super) async fn sign_on(
        &self,
        order: &Order,
        ready: &Ready,
        race: Race,
        now: Timestamp,
        spent: &[usize],
    ) -> Result<Vec<Sent>, DispatchError> {
        if order.chain != self.chain {
            let (order, executor) = (order.chain, self.chain);
            return Err(DispatchError::WrongChain { order, executor });
        }
        if ready.key != order.key {
            return Err(DispatchError::WrongOrder);
        }
        if now > order.expires_at {
            return Err(DispatchError::Expired { at: order.expires_at });
        }
        let _turn = self.signing.lock().await;
        let known: Vec<_> = {
            let book = self.book();
            book.of_order(order.key).filter(|it| !it.over).map(|it| it.sent.clone()).collect()
        };
        if !known.is_empty() {
            return Ok(known);
        }
        let eligible = self.lanes_of(&ready.relayers, spent);
        let (nonces, head) = tokio::join!(self.read_nonces(&eligible), self.base_fee(now));
        let (head, base_fee) = head?;
        let slots = self.book().slots(&eligible, self.policy.lanes_per_order.max(1));
        if slots.is_empty() {
            return Err(nonces.err().map_or(DispatchError::NoLane, DispatchError::Network));
        }
        let template = Arc::new(Template::of(ready));
        let priced = self.price(order, &template, &slots, race, base_fee)?;
        let share = order.fee_budget_wei / U256::from(priced.len());
        let sign = |(slot, fees): &(Slot, Fees)| self.take_or_sign(*slot, &template, *fees, share);
        let signing: Vec<_> = priced.iter().map(sign).collect();
        let mut flown = Vec::new();
        let mut failure = None;
        for ((slot, _), signed) in priced.iter().zip(join_all(signing).await) {
            match signed {
                Ok(signed) => {
                    let all = self.lanes_of(&ready.relayers, &[]);
                    let mut flight = self.flight(order, &template, all, *slot, signed);
                    flight.at_height = head.number;
                    flight.held_before = ready.held_before;
                    let private = !race.public && !self.reach.relays.is_empty();
                    let until = head.number.saturating_add(self.policy.private_blocks);
                    flight.private_until = private.then_some(until);
                    flown.push(flight.sent.clone());
                    self.book().record(flight);
                }
                Err(error) => failure = Some(error),
            }
        }
        if let (Some(error), true) = (failure, flown.is_empty()) {
            return Err(error.into());
        }
        // Its authorisation is used up now; the next order needs another one.
        let again = matches!(order.call, OrderCall::Direct { .. });
        self.book().hot.retain(|it| again || it.call != order.call);
        Ok(flown)
    }

    /// Signs the transaction for `slot`.
    pub(super) async fn sign_one(
        &self,
        slot: Slot,
        template: &Template,
        fees: Fees,
    ) -> Result<Signed, SignError> {
        let Some(signer) = self.signers.get(slot.lane) else {
            let source = "there is no such lane".into();
            return Err(SignError { address: template.to, source });
        };
        let tx = TxEip1559 {
            chain_id: self.chain.0,
            nonce: slot.nonce,
            gas_limit: template.gas_limit,
            max_fee_per_gas: fees.max_fee,
            max_priority_fee_per_gas: fees.tip,
            to: TxKind::Call(template.to),
            value: U256::ZERO,
            access_list: Default::default(),
            input: template.data.clone(),
        };
        let signing = tokio::time::timeout(SIGN_TIMEOUT, signer.sign_hash(tx.signature_hash()));
        let late = |_| SignError {
            address: signer.address(),
            source: format!("no signature within {SIGN_TIMEOUT:?}").into(),
        };
        let signed = tx.into_signed(signing.await.map_err(late)??);
        Ok(Signed { tx: *signed.hash(), raw: signed.encoded_2718().into(), fees })
    }

    /// The head and its base fee: what was observed, or the first network's answer.
    pub(super) async fn base_fee(&self, now: Timestamp) -> Result<(BlockRef, u64), BroadcastError> {
        let seen = self.book().head;
        if let Some(seen) = seen.filter(|(head, _)| now.since_ms(head.time) <= HEAD_AGE_MAX_MS) {
            return Ok(seen);
        }
        let again = |it: &BroadcastError| matches!(it, BroadcastError::Unavailable(_));
        let late = || unavailable("no network told its head in time");
        let head = self.reach.first(|network| network.head(), again, late).await?;
        self.book().head = Some(head);
        Ok(head)
    }

    /// Reads the nonces of those `lanes` that have none yet, from every network: what more than half of
    /// them say, else what most say in time, on a tie the network listed first.
    pub(super) async fn read_nonces(&self, lanes: &[usize]) -> Result<(), BroadcastError> {
        let unread: Vec<_> = {
            let book = self.book();
            let unread = |lane: &&usize| book.next.get(**lane).is_some_and(Option::is_none);
            lanes.iter().filter(unread).copied().collect()
        };
        let ask = |lane: usize| async move {
            let address = self.signers.get(lane).map(|it| it.address()).unwrap_or_default();
            (lane, self.account_of(address).await.map(|(nonce, _)| nonce))
        };
        let mut failure = None;
        for (lane, nonce) in join_all(unread.into_iter().map(ask)).await {
            match nonce {
                Ok(nonce) => self.book().set_next(lane, nonce),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Nonce and balance of `address`, as most networks tell them.
    pub(super) async fn account_of(&self, address: Address) -> Result<(u64, U256), BroadcastError> {
        let half = self.reach.networks.len() / 2;
        let agree = |answers: &[Told]| votes(answers).values().any(|it| *it > half);
        majority(self.reach.all(|network| network.account(address), agree).await)
    }

    /// The lanes of `relayers`, without those that are `spent`.
    pub(super) fn lanes_of(&self, relayers: &[Address], spent: &[usize]) -> Vec<usize> {
        let may = |it: &Arc<dyn Signer>| relayers.contains(&it.address());
        let lanes = self.signers.iter().enumerate().filter(|(_, it)| may(it));
        lanes.map(|(lane, _)| lane).filter(|it| !spent.contains(it)).collect()
    }

    /// Fees for as many of `slots` as the budget pays for in full; for the first one less if need be.
    fn price(
        &self,
        order: &Order,
        template: &Template,
        slots: &[Slot],
        race: Race,
        base_fee: u64,
    ) -> Result<Vec<(Slot, Fees)>, OverBudget> {
        let (gas, next) = (template.gas_limit, next_base_fee(base_fee));
        let tip = race.tip_to_beat(base_fee);
        let choose = |budget| Fees::choose(self.policy.fees, tip, next, gas, budget);
        let above = |slot: &Slot, fees: Fees| match slot.above {
            Some(old) => fees.at_least(old.bumped(1)),
            None => fees,
        };
        let budget = order.fee_budget_wei;
        for count in (2..=slots.len()).rev() {
            let share = budget / U256::from(count);
            let full = choose(U256::MAX)?;
            let priced: Vec<_> =
                slots.iter().take(count).map(|it| (*it, above(it, full))).collect();
            if priced.iter().all(|(_, fees)| fees.worst_case(gas) <= share) {
                return Ok(priced);
            }
        }
        let mut short = OverBudget { needed: U256::ZERO, budget };
        for slot in slots {
            let fees = above(slot, choose(budget)?);
            if fees.worst_case(gas) <= budget {
                return Ok(vec![(*slot, fees)]);
            }
            short.needed = fees.worst_case(gas);
        }
        Err(short)
    }

    async fn take_or_sign(
        &self,
        slot: Slot,
        template: &Template,
        fees: Fees,
        share: U256,
    ) -> Result<Signed, SignError> {
        let kept = {
            let book = self.book();
            let fits = |it: &&Presigned| {
                (it.lane, it.nonce) == (slot.lane, slot.nonce)
                    && *it.template == *template
                    && it.fees.serve(fees)
                    && it.fees.worst_case(template.gas_limit) <= share
            };
            book.presigned.iter().find(fits).cloned()
        };
        match kept {
            Some(it) => Ok(Signed { tx: it.tx, raw: it.raw, fees: it.fees }),
            None => self.sign_one(slot, template, fees).await,
        }
    }

    async fn presign(&self, ready: &Ready, now: Timestamp) -> Result<(), DispatchError> {
        let _turn = self.signing.lock().await;
        let eligible = self.lanes_of(&ready.relayers, &[]);
        self.read_nonces(&eligible).await?;
        let (_, base_fee) = self.base_fee(now).await?;
        let template = Arc::new(Template::of(ready));
        // With room for the base fee to double before it must be signed anew.
        let next = next_base_fee(base_fee).saturating_mul(2);
        let fees = Fees::choose(self.policy.fees, None, next, template.gas_limit, U256::MAX)?;
        let slots = self.book().slots(&eligible, self.policy.lanes_per_order.max(1));
        let mut signed = Vec::new();
        for slot in slots.into_iter().filter(|it| it.above.is_none()) {
            let Signed { tx, raw, .. } = self.sign_one(slot, &template, fees).await?;
            let (Slot { lane, nonce, .. }, template) = (slot, Arc::clone(&template));
            signed.push(Presigned { lane, nonce, template, fees, raw, tx });
        }
        self.book().keep_presigned(&template, signed);
        Ok(())
    }

    pub(super) fn flight(
        &self,
        order: &Order,
        template: &Arc<Template>,
        eligible: Vec<usize>,
        slot: Slot,
        signed: Signed,
    ) -> Flight {
        let Signed { tx, raw, fees } = signed;
        let address = self.signers.get(slot.lane).map(|it| it.address()).unwrap_or_default();
        Flight {
            order: order.key,
            lane: slot.lane,
            sent: Sent {
                relayer: cofferdam_core::AccountId { chain: self.chain, address },
                nonce: slot.nonce,
                tx,
                max_fee_per_gas: fees.max_fee,
                max_priority_fee_per_gas: fees.tip,
            },
            raw,
            hashes: vec![tx],
            template: Arc::clone(template),
            order_budget: order.fee_budget_wei,
            eligible: eligible.into(),
            at_height: 0,
            bumps: 0,
            over: false,
            landed: false,
            held_before: false,
            private_until: None,
        }
    }
}

/// A signed transaction.
pub(super) struct Signed {
    pub(super) tx: B256,
    pub(super) raw: Bytes,
    pub(super) fees: Fees,
}

impl Template {
    fn of(ready: &Ready) -> Self {
        Self { to: ready.to, data: ready.data.clone(), gas_limit: ready.gas_limit }
    }
}

/// What a network says of an account.
type Told = Result<(u64, U256), BroadcastError>;

fn votes(answers: &[Told]) -> BTreeMap<u64, usize> {
    let mut votes = BTreeMap::new();
    for (nonce, _) in answers.iter().flatten() {
        *votes.entry(*nonce).or_default() += 1;
    }
    votes
}

fn majority(answers: Vec<Told>) -> Told {
    let votes = votes(&answers);
    let most = votes.values().max().copied();
    let wins = |it: &Told| matches!(it, Ok((nonce, _)) if votes.get(nonce).copied() == most);
    match answers.iter().position(wins) {
        Some(winner) => answers.into_iter().nth(winner),
        None => answers.into_iter().next_back(),
    }
    .unwrap_or_else(|| Err(unavailable("there is no network")))
}
