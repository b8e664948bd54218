//! Automated market makers among the watched contracts: what a swap or a withdrawal of liquidity by
//! their own rules took and gave is no loss.
//!
//! A pair of the Uniswap-v2 kind tells its reserves after each swap; the swap was fair if their product
//! did not fall. That needs no price. Concentrated liquidity (Uniswap v3) tells amounts only; its swaps
//! and withdrawals are taken at their word, see [`concentrated`].

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, I256, Log, U256, U512, b256};
use cofferdam_core::{Fact, Tx, plan::AssetId};

use crate::{
    flows::{Flow, Payment},
    watch::Ward,
};

/// `Swap(address,address,int256,int256,uint160,uint128,int24)` of Uniswap v3.
const SWAP: B256 = b256!("c42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67");
/// `Burn(address,int24,int24,uint128,uint256,uint256)` of Uniswap v3.
const BURN: B256 = b256!("0c396cd989a39f4459b5fa1aed6a9a8dcdbc45908acfd67e028cd568da98982c");
/// `Collect(address,address,int24,int24,uint128,uint128)` of Uniswap v3.
const COLLECT: B256 = b256!("70935338e69775456a85ddef226c395fb668b63fa0115f5f20610b388e6ca9c0");

/// A swap of a pair with its reserves afterwards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PairSwap {
    /// Reserves before and after.
    pub(crate) before: [U256; 2],
    /// Reserves after it.
    pub(crate) after: [U256; 2],
    paid_in: [U256; 2],
    paid_out: [U256; 2],
}

impl PairSwap {
    /// Whether the product of the reserves did not fall.
    pub(crate) fn is_fair(&self) -> bool {
        product(self.after) >= product(self.before)
    }
}

/// A swap in a pair of the Uniswap-v2 kind, as seen by the one who got its output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trade {
    /// Position among the facts of the transaction.
    pub(crate) at: usize,
    /// Who got the output.
    pub(crate) to: Address,
    /// Which side was paid in: 0 or 1.
    pub(crate) side: usize,
    swap: PairSwap,
}

impl Trade {
    /// Reserves before and after, each with the side that was paid in first.
    pub(crate) fn reserves(&self) -> ([U256; 2], [U256; 2]) {
        let turn = |[a, b]: [U256; 2]| if self.side == 0 { [a, b] } else { [b, a] };
        (turn(self.swap.before), turn(self.swap.after))
    }
}

/// The trades of `tx` by pair, in order. A swap that pays out both sides is none.
pub(crate) fn trades(tx: &Tx) -> BTreeMap<Address, Vec<Trade>> {
    let mut trades: BTreeMap<Address, Vec<Trade>> = BTreeMap::new();
    let mut swaps: BTreeMap<Address, std::vec::IntoIter<PairSwap>> = BTreeMap::new();
    let mut synced = BTreeSet::new();
    for (at, fact) in tx.facts.iter().enumerate() {
        match *fact {
            Fact::PairSync { pair, .. } => {
                synced.insert(pair);
            }
            // As in [`pair_swaps`]: a swap without its reserves is not one of them.
            Fact::PairSwap { pair, to, out0, out1, .. } if synced.remove(&pair) => {
                let left = swaps.entry(pair).or_insert_with(|| pair_swaps(tx, pair).into_iter());
                let Some(swap) = left.next() else { continue };
                let side = usize::from(!out0.is_zero());
                if out0.is_zero() != out1.is_zero() {
                    trades.entry(pair).or_default().push(Trade { at, to, side, swap });
                }
            }
            _ => {}
        }
    }
    trades
}

/// The product of two reserves.
pub(crate) fn product([a, b]: [U256; 2]) -> U512 {
    U512::from(a) * U512::from(b)
}

/// The swaps of `pair` in `tx`, with reserves from the `Sync` that precedes each.
pub(crate) fn pair_swaps(tx: &Tx, pair: Address) -> Vec<PairSwap> {
    let mut reserves = None;
    let mut swaps = Vec::new();
    for fact in &tx.facts {
        match *fact {
            Fact::PairSync { pair: it, reserve0, reserve1 } if it == pair => {
                reserves = Some([reserve0, reserve1]);
            }
            Fact::PairSwap { pair: it, in0, in1, out0, out1, .. } if it == pair => {
                let Some(after) = reserves.take() else { continue };
                let back = |after: U256, paid_in: U256, paid_out: U256| {
                    after.saturating_add(paid_out).saturating_sub(paid_in)
                };
                let [after0, after1] = after;
                let before = [back(after0, in0, out0), back(after1, in1, out1)];
                swaps.push(PairSwap { before, after, paid_in: [in0, in1], paid_out: [out0, out1] });
            }
            _ => {}
        }
    }
    swaps
}

/// Takes the fair swaps of the entity's pairs out of its flow: what is left was no swap.
pub(crate) fn settle(ward: &Ward, tx: &Tx, flow: &mut Flow) {
    for pair in &ward.accounts {
        let swaps = pair_swaps(tx, *pair);
        if swaps.is_empty() || !swaps.iter().all(PairSwap::is_fair) {
            continue;
        }
        let Some(tokens) = sides(tx, *pair) else { continue };
        for (side, token) in tokens.into_iter().enumerate() {
            let Some(asset) = ward.asset(AssetId::Token(token)) else { continue };
            let sum = |pick: fn(&PairSwap) -> &[U256; 2]| {
                let amounts = swaps.iter().filter_map(|it| pick(it).get(side).copied());
                amounts.fold(U256::ZERO, U256::saturating_add)
            };
            let (paid_in, paid_out) = (sum(|it| &it.paid_in), sum(|it| &it.paid_out));
            let leg = flow.leg(ward, asset);
            leg.paid_in = leg.paid_in.saturating_sub(paid_in);
            leg.paid_out = leg.paid_out.saturating_sub(paid_out);
        }
    }
}

/// The two tokens of a pair, which it orders by address: those it moved in `tx`.
pub(crate) fn sides(tx: &Tx, pair: Address) -> Option<[Address; 2]> {
    let mut tokens: Vec<Address> = Vec::new();
    for fact in &tx.facts {
        if let Fact::Transfer { token, from, to, .. } = fact
            && (*from == pair || *to == pair)
            && *token != pair
            && !tokens.contains(token)
        {
            tokens.push(*token);
        }
    }
    tokens.sort_unstable();
    tokens.try_into().ok()
}

/// Whether a payment is the output of a swap, or liquidity withdrawn with its fees, according to the
/// paying pool itself. Amounts must be exactly those of the event.
pub(crate) fn concentrated(tx: &Tx, payment: &Payment) -> bool {
    let own = || tx.logs.iter().filter(|it| it.address == payment.from);
    let signed = |log: &Log, topic: B256| log.data.topics().first() == Some(&topic);
    let swapped = own().filter(|it| signed(it, SWAP)).any(|it| {
        let out = |index| I256::from_raw(word(it, index)).checked_neg() == amount(payment);
        out(0) || out(1)
    });
    let collected = own().filter(|it| signed(it, COLLECT)).any(|it| {
        // Data: recipient, amount0, amount1.
        word(it, 1) == payment.amount || word(it, 2) == payment.amount
    });
    swapped || (collected && own().any(|it| signed(it, BURN)))
}

fn amount(payment: &Payment) -> Option<I256> {
    I256::try_from(payment.amount).ok()
}

fn word(log: &Log, index: usize) -> U256 {
    let start = index * 32;
    log.data.data.get(start..start + 32).map(U256::from_be_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    #[test]
    fn every_topic_is_the_hash_of_its_signature() {
        for (topic, signature) in [
            (super::SWAP, "Swap(address,address,int256,int256,uint160,uint128,int24)"),
            (super::BURN, "Burn(address,int24,int24,uint128,uint256,uint256)"),
            (super::COLLECT, "Collect(address,address,int24,int24,uint128,uint128)"),
        ] {
            assert_eq!(topic, keccak256(signature), "{signature}");
        }
    }
}
