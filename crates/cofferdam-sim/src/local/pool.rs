//! The local chain's pool of pending transactions.
//!
//! **Invariant:** at most one transaction per sender and nonce; a replacement pays at least a tenth
//! more, both as fee cap and as tip, as public pools demand.

use std::collections::{BTreeMap, HashMap};

use alloy_primitives::{Address, B256, U256};
use cofferdam_core::{Tx, ports::BroadcastError};

/// Transactions in the pool.
pub const POOL_TXS_MAX: usize = 10_000;
/// Transactions of one sender in the pool.
pub const POOL_SENDER_TXS_MAX: usize = 256;
/// What a replacement must pay more, in percent.
pub const REPLACEMENT_PERCENT: u128 = 10;

/// A pending transaction.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) tx: Tx,
    /// Order of arrival.
    pub(crate) arrival: u64,
    /// Not told to subscribers of pending transactions.
    pub(crate) private: bool,
}

/// The pool.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    senders: BTreeMap<Address, BTreeMap<u64, Waiting>>,
    by_hash: HashMap<B256, (Address, u64)>,
    arrivals: u64,
}

impl Pool {
    /// Accepts `tx`, whose sender has `nonce` and `balance` at the head.
    pub(crate) fn add(
        &mut self,
        tx: Tx,
        private: bool,
        nonce: u64,
        balance: U256,
    ) -> Result<(), BroadcastError> {
        if self.by_hash.contains_key(&tx.hash) {
            return Err(BroadcastError::AlreadyKnown);
        }
        if tx.nonce < nonce {
            return Err(BroadcastError::NonceTooLow);
        }
        let fee = U256::from(tx.gas_limit).saturating_mul(U256::from(tx.max_fee_per_gas));
        if balance < fee.saturating_add(tx.value) {
            return Err(BroadcastError::InsufficientFunds);
        }
        let refused = |reason: &str| BroadcastError::Refused { reason: reason.to_owned() };
        let ours = self.senders.get(&tx.from);
        match ours.and_then(|it| it.get(&tx.nonce)) {
            Some(old) if !replaces(&tx, &old.tx) => return Err(BroadcastError::Underpriced),
            Some(old) => {
                let old = old.tx.hash;
                self.remove(old);
            }
            None if self.by_hash.len() >= POOL_TXS_MAX => return Err(refused("pool is full")),
            None if ours.is_some_and(|it| it.len() >= POOL_SENDER_TXS_MAX) => {
                return Err(refused("sender has too many pending transactions"));
            }
            None => {}
        }
        self.arrivals += 1;
        self.by_hash.insert(tx.hash, (tx.from, tx.nonce));
        let waiting = Waiting { arrival: self.arrivals, private, tx };
        self.senders.entry(waiting.tx.from).or_default().insert(waiting.tx.nonce, waiting);
        Ok(())
    }

    /// The pending transaction with `hash`.
    pub(crate) fn get(&self, hash: &B256) -> Option<&Waiting> {
        let (from, nonce) = self.by_hash.get(hash)?;
        self.senders.get(from)?.get(nonce)
    }

    /// Takes a transaction out.
    pub(crate) fn remove(&mut self, hash: B256) -> Option<Waiting> {
        let (from, nonce) = self.by_hash.remove(&hash)?;
        let ours = self.senders.get_mut(&from)?;
        let waiting = ours.remove(&nonce);
        if ours.is_empty() {
            self.senders.remove(&from);
        }
        waiting
    }

    /// Takes out every transaction of `sender` below `nonce`.
    pub(crate) fn forget_below(&mut self, sender: Address, nonce: u64) {
        let Some(ours) = self.senders.get(&sender) else { return };
        let stale: Vec<_> = ours.range(..nonce).map(|(_, it)| it.tx.hash).collect();
        for hash in stale {
            self.remove(hash);
        }
    }

    /// The next transaction of each sender, given its next nonce: best tip first, then first come.
    pub(crate) fn best(
        &self,
        base_fee: u64,
        next_nonce: impl Fn(Address) -> Option<u64>,
        fits: impl Fn(&Tx) -> bool,
    ) -> Option<&Waiting> {
        let next = self.senders.iter().filter_map(|(sender, ours)| {
            let waiting = ours.get(&next_nonce(*sender)?)?;
            let tip = effective_tip(&waiting.tx, base_fee)?;
            fits(&waiting.tx).then_some((tip, waiting))
        });
        next.max_by_key(|(tip, it)| (*tip, std::cmp::Reverse(it.arrival))).map(|it| it.1)
    }

    /// The first public transaction that arrived after `arrival`.
    pub(crate) fn public_after(&self, arrival: u64) -> Option<&Waiting> {
        let all = self.senders.values().flat_map(BTreeMap::values);
        all.filter(|it| !it.private && it.arrival > arrival).min_by_key(|it| it.arrival)
    }

    /// All senders.
    pub(crate) fn senders(&self) -> impl Iterator<Item = Address> {
        self.senders.keys().copied()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_hash.len()
    }
}

/// What the block's builder gets per gas; `None` if the fee cap is below the base fee.
pub(crate) fn effective_tip(tx: &Tx, base_fee: u64) -> Option<u128> {
    let room = tx.max_fee_per_gas.checked_sub(u128::from(base_fee))?;
    Some(room.min(tx.max_priority_fee_per_gas))
}

fn replaces(new: &Tx, old: &Tx) -> bool {
    let bumped = |new: u128, old: u128| {
        let needed = old.saturating_add(old.saturating_mul(REPLACEMENT_PERCENT).div_ceil(100));
        new >= needed.max(old.saturating_add(1))
    };
    bumped(new.max_fee_per_gas, old.max_fee_per_gas)
        && bumped(new.max_priority_fee_per_gas, old.max_priority_fee_per_gas)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256, U256};
    use cofferdam_core::{Tx, ports::BroadcastError};

    use super::Pool;

    fn tx(hash: u8, from: u8, nonce: u64, fee: u128, tip: u128) -> Tx {
        let (hash, from) = (B256::repeat_byte(hash), Address::repeat_byte(from));
        let (max_fee_per_gas, max_priority_fee_per_gas) = (fee, tip);
        Tx { hash, from, nonce, max_fee_per_gas, max_priority_fee_per_gas, ..Tx::default() }
    }

    #[test]
    fn a_replacement_must_pay_a_tenth_more() {
        let mut pool = Pool::default();
        let mut add = |tx| pool.add(tx, false, 5, U256::MAX);
        assert!(add(tx(1, 1, 5, 100, 10)).is_ok());
        assert!(matches!(add(tx(1, 1, 5, 100, 10)), Err(BroadcastError::AlreadyKnown)));
        assert!(matches!(add(tx(2, 1, 5, 109, 20)), Err(BroadcastError::Underpriced)));
        assert!(matches!(add(tx(2, 1, 5, 110, 10)), Err(BroadcastError::Underpriced)));
        assert!(matches!(add(tx(3, 1, 4, 110, 11)), Err(BroadcastError::NonceTooLow)));
        assert!(add(tx(2, 1, 5, 110, 11)).is_ok());
        assert_eq!(pool.len(), 1);
    }

    #[test]
    fn the_best_tip_goes_first_and_nonces_stay_in_order() {
        let mut pool = Pool::default();
        for it in
            [tx(1, 1, 0, 100, 1), tx(2, 1, 1, 100, 50), tx(3, 2, 0, 100, 9), tx(4, 3, 0, 9, 9)]
        {
            assert!(pool.add(it, false, 0, U256::MAX).is_ok());
        }
        let best = |pool: &Pool, nonce: u64| {
            let first = Address::repeat_byte(1);
            let nonces = |it| Some(if it == first { nonce } else { 0 });
            pool.best(10, nonces, |_| true).map(|it| it.tx.hash)
        };
        assert_eq!(
            best(&pool, 0),
            Some(B256::repeat_byte(3)),
            "fee cap of 9 is below the base fee"
        );
        assert_eq!(best(&pool, 1), Some(B256::repeat_byte(2)));
    }

    #[test]
    fn a_sender_who_cannot_pay_is_refused() {
        let mut poor = tx(1, 1, 0, 100, 1);
        poor.gas_limit = 21_000;
        let added = Pool::default().add(poor, false, 0, U256::from(2_099_999));
        assert!(matches!(added, Err(BroadcastError::InsufficientFunds)));
    }
}
