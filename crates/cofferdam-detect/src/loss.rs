//! How much an entity lost in one transaction, and what speaks for an attack.
//!
//! A payment is no loss as far as
//! 1. other listed assets came in for it, at plan prices with a tolerance (a trade);
//! 2. a pool of the entity swapped by its own invariant ([`crate::pools`]);
//! 3. shares of the entity were burned for it at their worth before the transaction (a withdrawal);
//! 4. a contract of the entity debited its own books by exactly that amount (a withdrawal), or a pool
//!    says that it was a swap or withdrawn liquidity.
//!
//! The fourth rests on what a contract says of itself, which an attack may have corrupted: it does not
//! count when a strong sign of an attack is there.

use alloy_primitives::{Address, U256};
use cofferdam_core::{
    Fact, Tx, Usd,
    finding::Evidence,
    plan::{AssetId, BasisPoints},
};

use crate::{
    Context, Question,
    flows::{self, Flow, Payment},
    pools,
    ratio::{self, mul_div},
    reads, reentry,
    suspicion::{self, Sign},
    watch::{Ward, value},
};

/// The share of a loss that must end with the initiators to call it self-serving.
const SELF_SERVING: BasisPoints = BasisPoints(100_000);
/// Shares may be paid this much above their worth before the transaction: rounding, interest of a block.
const CLAIM_TOLERANCE: BasisPoints = BasisPoints(10_000);

/// How losses are judged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// How far plan prices may be off when an asset came in for another.
    pub(crate) price_tolerance: BasisPoints,
    /// Accounts that are paid in the ordinary course; if not empty, any other is a sign.
    pub(crate) recipients: Vec<Address>,
}

/// A loss of one entity in one transaction.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    /// What was lost, positive.
    pub(crate) value: Usd,
    /// What the entity held before of the assets that left; `None` if unknown.
    pub(crate) held: Option<Usd>,
    /// The contract that paid most.
    pub(crate) subject: Address,
    /// Signs of an attack, strongest first.
    pub(crate) signs: Vec<Sign>,
    /// What left and what came in.
    pub(crate) evidence: Vec<Evidence>,
}

/// The reads that [`assess`] uses: holdings, and the worth of the entity's own shares.
pub(crate) fn questions(ward: &Ward) -> Vec<Question> {
    let mut questions = Vec::new();
    for account in &ward.accounts {
        let mut ask = |read| questions.push(reads::when_touched(read, *account));
        for asset in &ward.assets {
            ask(reads::holding(asset.token, *account));
        }
        ask(reads::view(*account, reads::TOTAL_SUPPLY));
        ask(reads::view(*account, reads::TOTAL_ASSETS));
        ask(reads::view(*account, reads::EXCHANGE_RATE_STORED));
    }
    questions
}

/// What `ward` lost in `tx` by `flow`; `None` if nothing.
pub(crate) fn assess(
    cx: &Context<'_>,
    terms: &Terms,
    ward: &Ward,
    tx: &Tx,
    mut flow: Flow,
    is_ours: &dyn Fn(Address) -> bool,
) -> Option<Loss> {
    excuse(&mut flow, |it| terms.recipients.contains(&it.to));
    unpaid(terms, ward, &flow)?;
    let parties: Vec<Address> = flow.payments.iter().map(|it| it.to).collect();
    let mut signs = Vec::new();
    if suspicion::flash_loan(tx, is_ours) {
        signs.push(Sign::FlashLoan);
    }
    if suspicion::fresh_code(cx, tx, &parties, is_ours) {
        signs.push(Sign::FreshCode);
    }
    let initiators = suspicion::initiators(tx, is_ours);
    if !reentry::reentries(tx, &|it| ward.owns(it), &initiators).is_empty() {
        signs.push(Sign::Reentered);
    }
    if signs.is_empty() {
        let mut debits = debits(ward, tx);
        excuse(&mut flow, |it| debited(&mut debits, ward, it) || pools::concentrated(tx, it));
    }
    let unpaid = unpaid(terms, ward, &flow)?;
    let claim = claim(cx, ward, &flow).unwrap_or(if signs.is_empty() { unpaid } else { Usd::ZERO });
    let value = Some(unpaid.minus(claim)).filter(|it| *it > Usd::ZERO)?;
    if self_serving(ward, tx, &flow, value, is_ours) {
        signs.push(Sign::SelfServing);
    }
    if !terms.recipients.is_empty() {
        signs.push(Sign::UnlistedRecipient);
    }
    Some(Loss {
        value,
        held: held(cx, ward, &flow),
        subject: subject(ward, &flow),
        signs,
        evidence: evidence(ward, &flow),
    })
}

/// Takes the payments that `ordinary` accepts out of the flow.
fn excuse(flow: &mut Flow, mut ordinary: impl FnMut(&Payment) -> bool) {
    let Flow { legs, payments, .. } = flow;
    payments.retain(|it| {
        let excused = ordinary(it);
        if excused && let Some(leg) = legs.get_mut(it.asset) {
            leg.paid_out = leg.paid_out.saturating_sub(it.amount);
        }
        !excused
    });
}

/// Value paid out beyond the value that came in; `None` if there is none.
fn unpaid(terms: &Terms, ward: &Ward, flow: &Flow) -> Option<Usd> {
    let (mut out, mut paid) = (Usd::ZERO, Usd::ZERO);
    for (asset, leg) in ward.assets.iter().zip(&flow.legs) {
        out = out.plus(value(asset, leg.net_out()));
        paid = paid.plus(value(asset, leg.net_in()));
    }
    let paid = share(paid, BasisPoints(terms.price_tolerance.0.saturating_add(ratio::ONE)));
    Some(out.minus(paid)).filter(|it| *it > Usd::ZERO)
}

fn share(amount: Usd, share: BasisPoints) -> Usd {
    let amount = U256::from(u128::try_from(amount.0).unwrap_or(0));
    Usd(i128::try_from(share.of(amount)).unwrap_or(i128::MAX))
}

/// Slots of the entity that fell, by how much: its own books.
fn debits(ward: &Ward, tx: &Tx) -> Vec<(Address, U256)> {
    let fell = |it: &Fact| match it {
        Fact::StorageChanged { address, before, after, .. } if ward.owns(*address) => {
            before.checked_sub(*after).map(|by| (*address, by))
        }
        _ => None,
    };
    tx.facts.iter().filter_map(fell).collect()
}

/// Whether the entity's books were debited by exactly the payment; each debit serves once. A token's
/// own ledger is no such book: it falls with every transfer.
fn debited(debits: &mut Vec<(Address, U256)>, ward: &Ward, it: &Payment) -> bool {
    let token = ward.assets.get(it.asset).map(|it| it.token);
    let fits =
        |(book, by): &(Address, U256)| *by == it.amount && token != Some(AssetId::Token(*book));
    match debits.iter().position(fits) {
        Some(at) => {
            debits.swap_remove(at);
            true
        }
        None => false,
    }
}

/// What the shares burned were worth before the transaction; `None` if shares were burned and their
/// worth is unknown.
fn claim(cx: &Context<'_>, ward: &Ward, flow: &Flow) -> Option<Usd> {
    let mut sum = Usd::ZERO;
    for (issuer, burned) in &flow.burned {
        if burned.is_positive() {
            sum = sum.plus(worth(cx, ward, flow, *issuer, burned.into_raw())?);
        }
    }
    Some(share(sum, BasisPoints(CLAIM_TOLERANCE.0.saturating_add(ratio::ONE))))
}

/// The worth of `shares` of `issuer` by its own books, or pro rata of what it holds, whichever is more.
fn worth(cx: &Context<'_>, ward: &Ward, flow: &Flow, issuer: Address, shares: U256) -> Option<Usd> {
    let read = |selector| reads::pair(cx, &reads::view(issuer, selector)).before;
    let mantissa = U256::from(10u8).pow(U256::from(18u8));
    let supply = read(reads::TOTAL_SUPPLY).filter(|it| !it.is_zero());
    let by_rate = read(reads::EXCHANGE_RATE_STORED).and_then(|it| mul_div(shares, it, mantissa));
    let by_assets = read(reads::TOTAL_ASSETS)
        .zip(supply)
        .and_then(|(assets, supply)| mul_div(shares, assets, supply));
    let underlying = flow
        .payments
        .iter()
        .filter(|it| it.from == issuer)
        .filter_map(|it| ward.assets.get(it.asset).map(|asset| (value(asset, it.amount), asset)))
        .max_by_key(|it| it.0)
        .map(|it| it.1);
    let in_books = by_rate.max(by_assets).zip(underlying).map(|(it, asset)| value(asset, it));
    let pro_rata = supply.and_then(|supply| {
        ward.assets.iter().try_fold(Usd::ZERO, |sum, asset| {
            // An asset whose holding is unknown adds nothing.
            let held = reads::pair(cx, &reads::holding(asset.token, issuer)).before;
            let part = mul_div(held.unwrap_or_default(), shares, supply)?;
            Some(sum.plus(value(asset, part)))
        })
    });
    in_books.max(pro_rata)
}

/// What the entity held before of the assets that left; `None` if any of it is unknown.
fn held(cx: &Context<'_>, ward: &Ward, flow: &Flow) -> Option<Usd> {
    let mut sum = Usd::ZERO;
    for (at, (asset, leg)) in ward.assets.iter().zip(&flow.legs).enumerate() {
        if leg.net_out().is_zero() {
            continue;
        }
        let mut known = false;
        let payers = flow.payments.iter().filter(|it| it.asset == at).map(|it| it.from);
        let payers: Vec<Address> = payers.collect();
        if let AssetId::Token(token) = asset.token
            && ward.owns(token)
        {
            let supply = reads::pair(cx, &reads::view(token, reads::TOTAL_SUPPLY)).before;
            sum = sum.plus(value(asset, supply.unwrap_or_default()));
            known |= supply.is_some();
        } else {
            for account in &ward.accounts {
                match reads::pair(cx, &reads::holding(asset.token, *account)).before {
                    Some(held) => {
                        sum = sum.plus(value(asset, held));
                        known = true;
                    }
                    None if payers.contains(account) => return None,
                    None => {}
                }
            }
        }
        if !known {
            return None;
        }
    }
    Some(sum).filter(|it| *it > Usd::ZERO)
}

/// Whether those who started the transaction keep a good part of what was lost, or were paid it. What a
/// service sends itself is its business.
fn self_serving(
    ward: &Ward,
    tx: &Tx,
    flow: &Flow,
    lost: Usd,
    is_ours: &dyn Fn(Address) -> bool,
) -> bool {
    if suspicion::is_service(tx) {
        return false;
    }
    let initiators = suspicion::initiators(tx, is_ours);
    let gain = gain(ward, tx, &initiators);
    let paid = flow.payments.iter().filter(|it| initiators.contains(&it.to));
    let paid = paid.filter_map(|it| Some(value(ward.assets.get(it.asset)?, it.amount)));
    let paid = paid.fold(Usd::ZERO, Usd::plus);
    gain.max(paid) >= share(lost, SELF_SERVING)
}

/// What `accounts` gained in the assets of `ward`, net, at plan prices.
pub(crate) fn gain(ward: &Ward, tx: &Tx, accounts: &[Address]) -> Usd {
    let legs = flows::gained(ward, tx, accounts);
    ward.assets.iter().zip(legs).fold(Usd::ZERO, |sum, (asset, leg)| {
        sum.plus(value(asset, leg.net_in())).minus(value(asset, leg.net_out()))
    })
}

fn subject(ward: &Ward, flow: &Flow) -> Address {
    let biggest = flow.payments.iter().max_by_key(|it| {
        ward.assets.get(it.asset).map(|asset| value(asset, it.amount)).unwrap_or_default()
    });
    let payer = biggest.map(|it| match ward.assets.get(it.asset).map(|it| it.token) {
        Some(AssetId::Token(token)) if it.from == Address::ZERO => token,
        _ => it.from,
    });
    payer.or_else(|| ward.accounts.first().copied()).unwrap_or_default()
}

fn evidence(ward: &Ward, flow: &Flow) -> Vec<Evidence> {
    let mut lines = Vec::new();
    for (asset, leg) in ward.assets.iter().zip(&flow.legs) {
        for (label, amount) in [("out", leg.net_out()), ("in", leg.net_in())] {
            if !amount.is_zero() {
                let text = format!("{amount} base units ({})", value(asset, amount));
                lines.push(Evidence::new(format!("{} {label}", asset.symbol), text));
            }
        }
    }
    lines
}
