//! The net state changes of a transaction, from what the EVM hands back.
//!
//! **Invariant:** each list is sorted by its key and holds no no-ops.

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use cofferdam_core::tx::{BalanceChange, CodeChange, StateDiff, StorageChange};
use revm::state::{Account, AccountInfo, EvmState};

use crate::overlay::Overlay;

/// The difference between `before` (the state not committed to yet) and `after`.
pub(crate) fn state_diff(before: &Overlay<'_>, after: &EvmState) -> StateDiff {
    let mut diff = StateDiff::default();
    for (address, account) in after {
        if account.is_touched() {
            account_diff(*address, before.peek(address), account, &mut diff);
        }
    }
    diff.storage.sort_by_key(|it| (it.address, it.slot));
    diff.balances.sort_by_key(|it| it.address);
    diff.codes.sort_by_key(|it| it.address);
    diff
}

fn account_diff(
    address: Address,
    old: Option<&AccountInfo>,
    account: &Account,
    diff: &mut StateDiff,
) {
    let gone = account.is_selfdestructed();
    for (slot, value) in &account.storage {
        let (before, after) =
            (value.original_value, if gone { U256::ZERO } else { value.present_value });
        if before != after {
            diff.storage.push(StorageChange { address, slot: *slot, before, after });
        }
    }
    let before = old.map(|it| it.balance).unwrap_or_default();
    let after = if gone { U256::ZERO } else { account.info.balance };
    if before != after {
        diff.balances.push(BalanceChange { address, before, after });
    }
    let before = old.and_then(code_hash);
    let after = if gone { None } else { code_hash(&account.info) };
    if before != after {
        diff.codes.push(CodeChange { address, before, after });
    }
}

fn code_hash(info: &AccountInfo) -> Option<B256> {
    let none = info.code_hash == KECCAK256_EMPTY || info.code_hash.is_zero();
    (!none).then_some(info.code_hash)
}
