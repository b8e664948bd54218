//! A neutral snapshot of chain state, as recorded data, drills and tests carry it.
//!
//! **Invariant:** pure data. What a partial snapshot does not hold is [`StateError::Missing`], never
//! zero: only a *complete* snapshot (or a complete account) turns absence into zero.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256};

use crate::ports::{AccountState, StateError, StateSource};

/// State at one block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The accounts it holds.
    pub accounts: BTreeMap<Address, SnapshotAccount>,
    /// Hashes of earlier blocks.
    pub block_hashes: BTreeMap<u64, B256>,
    /// True: an absent account does not exist and an absent slot is zero. False: both are unknown.
    pub complete: bool,
}

/// One account of a [`Snapshot`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotAccount {
    /// Balance, nonce and code.
    pub state: AccountState,
    /// The slots it holds.
    pub storage: BTreeMap<U256, U256>,
    /// True: an absent slot is zero even in a partial snapshot, e.g. an account that is known to be
    /// fresh.
    pub complete: bool,
}

impl Snapshot {
    /// An empty world in which absence means zero.
    pub fn empty() -> Self {
        Self { complete: true, ..Self::default() }
    }

    /// The account at `address`, created empty if absent.
    pub fn account_mut(&mut self, address: Address) -> &mut SnapshotAccount {
        self.accounts.entry(address).or_default()
    }

    /// Adds an account that is known to hold nothing but `balance` (in wei) and `code`, unless there
    /// is one already.
    pub fn add_fresh(&mut self, address: Address, balance: U256, code: Bytes) {
        self.accounts.entry(address).or_insert_with(|| SnapshotAccount {
            state: AccountState { balance, nonce: u64::from(!code.is_empty()), code },
            storage: BTreeMap::new(),
            complete: true,
        });
    }

    /// How many storage slots it holds.
    pub fn slots(&self) -> usize {
        self.accounts.values().map(|it| it.storage.len()).sum()
    }
}

impl StateSource for Snapshot {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        match self.accounts.get(&address) {
            Some(account) => Ok(Some(account.state.clone())),
            None if self.complete => Ok(None),
            None => Err(StateError::Missing),
        }
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        let account = self.accounts.get(&address);
        let complete = self.complete || account.is_some_and(|it| it.complete);
        match account.and_then(|it| it.storage.get(&slot)) {
            Some(value) => Ok(*value),
            None if complete => Ok(U256::ZERO),
            None => Err(StateError::Missing),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.block_hashes.get(&number).copied().ok_or(StateError::Missing)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Bytes, U256};

    use super::Snapshot;
    use crate::ports::{StateError, StateSource};

    #[test]
    fn absence_is_zero_only_where_the_snapshot_says_it_is_complete() {
        let (known, fresh, other) =
            (Address::repeat_byte(1), Address::repeat_byte(2), Address::repeat_byte(3));
        let mut partial = Snapshot::default();
        partial.account_mut(known).storage.insert(U256::from(7), U256::from(8));
        partial.add_fresh(fresh, U256::from(5), Bytes::new());
        assert!(matches!(partial.storage(known, U256::from(7)), Ok(it) if it == U256::from(8)));
        assert!(matches!(partial.storage(known, U256::from(8)), Err(StateError::Missing)));
        assert!(matches!(partial.storage(fresh, U256::from(8)), Ok(U256::ZERO)));
        assert!(matches!(partial.account(other), Err(StateError::Missing)));
        partial.complete = true;
        assert!(matches!(partial.account(other), Ok(None)));
        assert!(matches!(partial.storage(known, U256::from(8)), Ok(U256::ZERO)));
        assert!(matches!(partial.block_hash(1), Err(StateError::Missing)), "a hash is never zero");
    }
}
