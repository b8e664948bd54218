//! What moved in and out of watched entities in one transaction.
//!
//! **Invariant:** only tokens that the entity lists are believed, and only what the entity's own
//! contracts say about shares: anybody can emit any other log.

use std::collections::BTreeMap;

use alloy_primitives::{Address, I256, U256};
use cofferdam_core::{Fact, Tx, plan::AssetId};

use crate::{
    pools,
    watch::{Ward, Wards},
};

/// The movements of one entity in one transaction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flow {
    /// Per asset of the entity: base units in and out.
    pub(crate) legs: Vec<Leg>,
    /// Every payment out of the entity, in order.
    pub(crate) payments: Vec<Payment>,
    /// Shares burned minus shares minted, per contract of the entity that issues its own.
    pub(crate) burned: BTreeMap<Address, I256>,
}

/// One asset in and out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leg {
    /// Base units received.
    pub(crate) paid_in: U256,
    /// Base units paid out.
    pub(crate) paid_out: U256,
}

/// One payment to an account outside of the entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payment {
    /// Position of the asset.
    pub(crate) asset: usize,
    /// The contract that paid; zero if the asset was issued.
    pub(crate) from: Address,
    /// Who was paid.
    pub(crate) to: Address,
    /// Base units.
    pub(crate) amount: U256,
}

/// One transfer of a token or of native value, before anyone is believed.
struct Move {
    asset: AssetId,
    from: Address,
    to: Address,
    amount: U256,
}

impl Leg {
    /// Net base units out, zero if more came in.
    pub(crate) fn net_out(self) -> U256 {
        self.paid_out.saturating_sub(self.paid_in)
    }

    /// Net base units in, zero if more went out.
    pub(crate) fn net_in(self) -> U256 {
        self.paid_in.saturating_sub(self.paid_out)
    }
}

/// The flows of every entity that `tx` moved something of, by position.
pub(crate) fn flows(wards: &Wards, tx: &Tx) -> BTreeMap<usize, Flow> {
    let mut flows: BTreeMap<usize, Flow> = BTreeMap::new();
    for fact in &tx.facts {
        if let Some(it) = moved(tx, fact) {
            issue(wards, &it, &mut flows);
            transfer(wards, &it, &mut flows);
        }
        market(wards, fact, &mut flows);
    }
    for (position, flow) in &mut flows {
        if let Some(ward) = wards.at(*position) {
            pools::settle(ward, tx, flow);
        }
    }
    flows
}

/// What a set of accounts gained, net, in the assets of `ward`: base units in and out per asset.
pub(crate) fn gained(ward: &Ward, tx: &Tx, accounts: &[Address]) -> Vec<Leg> {
    let mut legs = vec![Leg::default(); ward.assets.len()];
    for it in tx.facts.iter().filter_map(|it| moved(tx, it)) {
        let Some(leg) = ward.asset(it.asset).and_then(|at| legs.get_mut(at)) else { continue };
        if accounts.contains(&it.to) {
            leg.paid_in = leg.paid_in.saturating_add(it.amount);
        }
        if accounts.contains(&it.from) {
            leg.paid_out = leg.paid_out.saturating_add(it.amount);
        }
    }
    legs
}

/// A fact as a movement of value. Wrapping moves the wrapped token from and to nobody.
fn moved(tx: &Tx, fact: &Fact) -> Option<Move> {
    let token = |token: &Address| AssetId::Token(*token);
    let moved = match fact {
        Fact::Transfer { token: it, from, to, amount } => {
            Move { asset: token(it), from: *from, to: *to, amount: *amount }
        }
        Fact::NftTransfer { token: it, from, to, .. } => {
            Move { asset: token(it), from: *from, to: *to, amount: U256::from(1u8) }
        }
        Fact::NativeTransfer { from, to, amount } => {
            Move { asset: AssetId::Native, from: *from, to: *to, amount: *amount }
        }
        Fact::Wrapped { token: it, to, amount }
            if !said_twice(tx, *it, Address::ZERO, *to, *amount) =>
        {
            Move { asset: token(it), from: Address::ZERO, to: *to, amount: *amount }
        }
        Fact::Unwrapped { token: it, from, amount }
            if !said_twice(tx, *it, *from, Address::ZERO, *amount) =>
        {
            Move { asset: token(it), from: *from, to: Address::ZERO, amount: *amount }
        }
        _ => return None,
    };
    Some(moved).filter(|it| it.from != it.to && !it.amount.is_zero())
}

/// Some wrapped tokens say a mint or burn a second time, as a transfer.
fn said_twice(tx: &Tx, token: Address, from: Address, to: Address, amount: U256) -> bool {
    let twin = Fact::Transfer { token, from, to, amount };
    tx.facts.contains(&twin)
}

fn transfer(wards: &Wards, it: &Move, flows: &mut BTreeMap<usize, Flow>) {
    let (payer, payee) = (wards.position(it.from), wards.position(it.to));
    if payer == payee {
        return;
    }
    if let Some((ward, at)) = payer.and_then(|at| Some((wards.at(at)?, at)))
        && let Some(asset) = ward.asset(it.asset)
        && !(it.to == Address::ZERO && issues(ward, it.asset))
    {
        flows.entry(at).or_default().pay(ward, asset, it);
    }
    if let Some((ward, at)) = payee.and_then(|at| Some((wards.at(at)?, at)))
        && let Some(asset) = ward.asset(it.asset)
        && !(it.from == Address::ZERO && issues(ward, it.asset))
    {
        let leg = flows.entry(at).or_default().leg(ward, asset);
        leg.paid_in = leg.paid_in.saturating_add(it.amount);
    }
}

/// A token issued by one of the entity's own contracts is a claim on it: issuing it to somebody is
/// paying out, taking it back is being paid. If it is not listed as an asset it is a share instead.
fn issue(wards: &Wards, it: &Move, flows: &mut BTreeMap<usize, Flow>) {
    let AssetId::Token(token) = it.asset else { return };
    let Some(position) = wards.position(token) else { return };
    let Some(ward) = wards.at(position) else { return };
    let (minted, burned) = (it.from == Address::ZERO, it.to == Address::ZERO);
    if minted == burned {
        return;
    }
    match ward.asset(it.asset) {
        Some(asset) if minted && !ward.owns(it.to) => {
            flows.entry(position).or_default().pay(ward, asset, it);
        }
        Some(asset) if burned && !ward.owns(it.from) => {
            let leg = flows.entry(position).or_default().leg(ward, asset);
            leg.paid_in = leg.paid_in.saturating_add(it.amount);
        }
        Some(_) => {}
        None => flows.entry(position).or_default().burn(token, it.amount, burned),
    }
}

fn issues(ward: &Ward, asset: AssetId) -> bool {
    matches!(asset, AssetId::Token(token) if ward.owns(token))
}

/// Compound-style markets say the shares they issue and take back in events of their own.
fn market(wards: &Wards, fact: &Fact, flows: &mut BTreeMap<usize, Flow>) {
    let (market, tokens, burned) = match fact {
        Fact::MarketMint { market, tokens, .. } => (*market, *tokens, false),
        Fact::MarketRedeem { market, tokens, .. } => (*market, *tokens, true),
        _ => return,
    };
    if let Some(position) = wards.position(market) {
        flows.entry(position).or_default().burn(market, tokens, burned);
    }
}

impl Flow {
    pub(crate) fn leg(&mut self, ward: &Ward, asset: usize) -> &mut Leg {
        let count = ward.assets.len().max(asset + 1);
        if self.legs.len() < count {
            self.legs.resize(count, Leg::default());
        }
        #[expect(clippy::indexing_slicing, reason = "resized to hold it two lines above")]
        &mut self.legs[asset]
    }

    fn pay(&mut self, ward: &Ward, asset: usize, it: &Move) {
        let leg = self.leg(ward, asset);
        leg.paid_out = leg.paid_out.saturating_add(it.amount);
        self.payments.push(Payment { asset, from: it.from, to: it.to, amount: it.amount });
    }

    fn burn(&mut self, issuer: Address, amount: U256, burned: bool) {
        let amount = I256::try_from(amount).unwrap_or(I256::MAX);
        let change = if burned { amount } else { -amount };
        let sum = self.burned.entry(issuer).or_default();
        *sum = sum.saturating_add(change);
    }
}
