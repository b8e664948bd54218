//! The pending transactions of each sender by nonce, so that one is simulated on what must come before it.
//!
//! **Invariant:** bounded in senders, in transactions per sender and in bytes; the sender that was
//! quiet longest is forgotten first.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
};

use alloy_primitives::Address;
use cofferdam_core::Tx;
use lru::LruCache;

/// Senders remembered.
const SENDERS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(16_383);
/// Transactions remembered per sender, and applied before one of his: as many as public pools keep.
pub(crate) const PREDECESSORS_MAX: usize = 64;
/// Bytes of calldata remembered.
const BYTES_MAX: usize = 64 << 20;

/// The pool as far as we were told of it.
#[derive(Debug)]
pub(crate) struct Senders {
    by_sender: LruCache<Address, Pool>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Pool {
    by_nonce: BTreeMap<u64, Tx>,
    /// Nonces that wait for one below them.
    waiting: BTreeSet<u64>,
}

/// What must come before a transaction is not known, or is more than is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap;

impl Default for Senders {
    fn default() -> Self {
        Self { by_sender: LruCache::new(SENDERS_MAX), bytes: 0 }
    }
}

impl Senders {
    /// Remembers `tx` in place of one with the same nonce, unless that one bids more. Gives the later
    /// ones of the sender that waited, and no longer wait for this one.
    pub(crate) fn insert(&mut self, tx: &Tx) -> Vec<Tx> {
        if self.by_sender.get(&tx.from).is_none()
            && let Some((_, gone)) = self.by_sender.push(tx.from, Pool::default())
        {
            self.bytes -= gone.bytes();
        }
        let mut unblocked = Vec::new();
        if let Some(pool) = self.by_sender.get_mut(&tx.from) {
            let before = pool.bytes();
            pool.insert(tx);
            self.bytes = self.bytes - before + pool.bytes();
            unblocked = pool.unblock(tx.nonce);
        }
        while self.bytes > BYTES_MAX {
            let Some((_, gone)) = self.by_sender.pop_lru() else { break };
            self.bytes -= gone.bytes();
        }
        unblocked
    }

    /// What `sender` must have included before a transaction with nonce `until`, if its account's
    /// nonce is `from`. What is older is forgotten. A transaction that has to wait is remembered as
    /// waiting.
    ///
    /// # Errors
    /// [`Gap`] if one is not known or there are more than [`PREDECESSORS_MAX`].
    pub(crate) fn before(
        &mut self,
        sender: Address,
        from: u64,
        until: u64,
    ) -> Result<Vec<Tx>, Gap> {
        if until == from {
            return Ok(Vec::new());
        }
        let Some(pool) = self.by_sender.get_mut(&sender) else { return Err(Gap) };
        let kept = pool.by_nonce.split_off(&from);
        let gone = std::mem::replace(&mut pool.by_nonce, kept);
        self.bytes -= gone.values().map(|it| it.input.len()).sum::<usize>();
        pool.waiting = pool.waiting.split_off(&from);
        let wanted = usize::try_from(until.saturating_sub(from)).unwrap_or(usize::MAX);
        let found: Vec<Tx> =
            pool.by_nonce.range(from..until.max(from)).map(|it| it.1.clone()).collect();
        if wanted > PREDECESSORS_MAX || found.len() != wanted {
            pool.waiting.insert(until);
            return Err(Gap);
        }
        Ok(found)
    }
}

impl Pool {
    fn bytes(&self) -> usize {
        self.by_nonce.values().map(|it| it.input.len()).sum()
    }

    fn insert(&mut self, tx: &Tx) {
        let known = self.by_nonce.get(&tx.nonce);
        if known.is_some_and(|it| it.max_priority_fee_per_gas > tx.max_priority_fee_per_gas) {
            return;
        }
        self.by_nonce.insert(tx.nonce, tx.clone());
        if self.by_nonce.len() > PREDECESSORS_MAX {
            self.by_nonce.pop_last();
        }
    }

    /// The waiting ones that follow `nonce` without a gap.
    fn unblock(&mut self, nonce: u64) -> Vec<Tx> {
        let mut out = Vec::new();
        let mut next = nonce.saturating_add(1);
        while let Some(tx) = self.by_nonce.get(&next) {
            if self.waiting.remove(&next) {
                out.push(tx.clone());
            }
            next = next.saturating_add(1);
        }
        out
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may panic")]
mod tests {
    use alloy_primitives::Address;
    use cofferdam_core::Tx;

    use super::{Gap, PREDECESSORS_MAX, Senders};

    const SENDER: Address = Address::repeat_byte(0xee);

    fn tx(nonce: u64, tip: u128) -> Tx {
        Tx { from: SENDER, nonce, max_priority_fee_per_gas: tip, ..Tx::default() }
    }

    fn nonces(txs: &[Tx]) -> Vec<(u64, u128)> {
        txs.iter().map(|it| (it.nonce, it.max_priority_fee_per_gas)).collect()
    }

    #[test]
    fn what_comes_before_is_the_dearest_of_each_nonce() {
        let mut pool = Senders::default();
        for it in [tx(4, 1), tx(5, 9), tx(5, 2), tx(6, 3), tx(6, 4), tx(7, 1)] {
            pool.insert(&it);
        }
        let before = pool.before(SENDER, 5, 7).expect("no gap");
        assert_eq!(nonces(&before), [(5, 9), (6, 4)]);
        assert_eq!(pool.before(SENDER, 5, 5), Ok(vec![]));
        assert_eq!(pool.before(Address::ZERO, 0, 1), Err(Gap), "nothing is known of others");
    }

    #[test]
    fn a_gap_is_no_gap_any_more_once_it_is_filled() {
        let mut pool = Senders::default();
        assert!(pool.insert(&tx(2, 1)).is_empty());
        assert!(pool.insert(&tx(3, 1)).is_empty());
        assert_eq!(pool.before(SENDER, 1, 2), Err(Gap));
        assert_eq!(pool.before(SENDER, 1, 3), Err(Gap));
        assert_eq!(nonces(&pool.insert(&tx(1, 1))), [(2, 1), (3, 1)]);
        assert_eq!(nonces(&pool.before(SENDER, 1, 3).expect("no gap")), [(1, 1), (2, 1)]);
        assert!(pool.insert(&tx(1, 2)).is_empty(), "nobody waits now");
    }

    #[test]
    fn no_more_are_applied_than_pools_keep() {
        let mut pool = Senders::default();
        for nonce in 0..100 {
            pool.insert(&tx(nonce, 1));
        }
        let most = PREDECESSORS_MAX as u64;
        assert_eq!(pool.before(SENDER, 0, most - 1).map(|it| it.len()), Ok(PREDECESSORS_MAX - 1));
        assert_eq!(pool.before(SENDER, 0, most + 1), Err(Gap));
    }

    #[test]
    fn bytes_are_counted_down_to_nothing() {
        let mut pool = Senders::default();
        for nonce in 0..10 {
            pool.insert(&Tx { input: vec![0; 100].into(), ..tx(nonce, 1) });
        }
        assert_eq!(pool.bytes, 1_000);
        assert!(pool.before(SENDER, 8, 9).is_ok());
        assert_eq!(pool.bytes, 200);
        pool.insert(&tx(9, 5));
        assert_eq!(pool.bytes, 100);
    }
}
