//! From the prestate tracer's diff mode to [`StateDiff`]. Pure.
//!
//! As geth defines it: `pre` holds the accounts that changed, `post` their changed fields; a zero
//! slot is left out; an account in `pre` alone was destroyed, in `post` alone created.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use cofferdam_core::tx::{BalanceChange, CodeChange, StateDiff, StorageChange};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct RpcDiff {
    pre: BTreeMap<Address, RpcAccount>,
    post: BTreeMap<Address, RpcAccount>,
}

#[derive(Debug, Default, Deserialize)]
struct RpcAccount {
    balance: Option<U256>,
    code: Option<Bytes>,
    #[serde(default)]
    storage: BTreeMap<B256, B256>,
}

impl RpcDiff {
    pub(crate) fn into_diff(self) -> StateDiff {
        let mut diff = StateDiff::default();
        let none = RpcAccount::default();
        let mut addresses: Vec<_> = self.pre.keys().chain(self.post.keys()).copied().collect();
        addresses.sort_unstable();
        addresses.dedup();
        for address in addresses {
            let pre = self.pre.get(&address).unwrap_or(&none);
            account(address, pre, self.post.get(&address), &mut diff);
        }
        diff
    }
}

fn account(address: Address, pre: &RpcAccount, post: Option<&RpcAccount>, diff: &mut StateDiff) {
    let before = pre.balance.unwrap_or_default();
    let after = post.map_or(U256::ZERO, |it| it.balance.unwrap_or(before));
    if before != after {
        diff.balances.push(BalanceChange { address, before, after });
    }
    let before = code_hash(pre.code.as_ref());
    let after = post.and_then(|it| it.code.as_ref().map_or(before, |code| code_hash(Some(code))));
    if before != after {
        diff.codes.push(CodeChange { address, before, after });
    }
    let empty = BTreeMap::new();
    let later = post.map_or(&empty, |it| &it.storage);
    let mut slots: Vec<_> = pre.storage.keys().chain(later.keys()).copied().collect();
    slots.sort_unstable();
    slots.dedup();
    for slot in slots {
        let before = word(pre.storage.get(&slot));
        let after = word(later.get(&slot));
        if before != after {
            diff.storage.push(StorageChange { address, slot: slot.into(), before, after });
        }
    }
}

fn word(value: Option<&B256>) -> U256 {
    value.copied().unwrap_or_default().into()
}

fn code_hash(code: Option<&Bytes>) -> Option<B256> {
    code.filter(|it| !it.is_empty()).map(keccak256)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{U256, address, keccak256};
    use serde_json::json;

    use super::RpcDiff;

    #[test]
    fn changes_are_net_and_sorted() -> Result<(), serde_json::Error> {
        let word = |it: u8| format!("0x{it:064x}");
        let json = json!({
            "pre": {
                "0x00000000000000000000000000000000000000bb": {"balance": "0x5", "code": "0x6001", "storage": {word(2): word(9)}},
                "0x00000000000000000000000000000000000000aa": {"balance": "0x7", "nonce": 1},
                "0x00000000000000000000000000000000000000dd": {"balance": "0x3", "code": "0x6002", "storage": {word(1): word(1)}},
            },
            "post": {
                "0x00000000000000000000000000000000000000aa": {"balance": "0x6", "nonce": 2},
                "0x00000000000000000000000000000000000000bb": {"storage": {word(1): word(4)}},
                "0x00000000000000000000000000000000000000cc": {"balance": "0x1", "code": "0x6003"},
            },
        });
        let diff = serde_json::from_value::<RpcDiff>(json)?.into_diff();
        let balances: Vec<_> = diff.balances.iter().map(|it| (it.before, it.after)).collect();
        let u = U256::from;
        assert_eq!(balances, [(u(7), u(6)), (u(0), u(1)), (u(3), u(0))]);
        let storage: Vec<_> =
            diff.storage.iter().map(|it| (it.slot, it.before, it.after)).collect();
        assert_eq!(storage, [(u(1), u(0), u(4)), (u(2), u(9), u(0)), (u(1), u(1), u(0))]);
        let codes: Vec<_> = diff.codes.iter().map(|it| (it.address, it.before, it.after)).collect();
        let (c, d) = (
            address!("00000000000000000000000000000000000000cc"),
            address!("00000000000000000000000000000000000000dd"),
        );
        assert_eq!(
            codes,
            [(c, None, Some(keccak256([0x60, 3]))), (d, Some(keccak256([0x60, 2])), None)]
        );
        Ok(())
    }
}
