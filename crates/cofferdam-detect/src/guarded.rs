//! Guarded state: what only listed operators may change, such as the keys of bridge keepers.

use alloy_primitives::{Address, Bytes, U256, keccak256};
use cofferdam_core::{AccountId, read::StateRead};
use schemars::JsonSchema;
use serde::Deserialize;

/// Words of a dynamic value at its hashed place that are guarded with its slot.
const DYNAMIC_WORDS: u64 = 128;

/// State of one account whose change is a change of control.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Guarded {
    /// The contract.
    pub(crate) account: AccountId,
    /// What it is, for people, e.g. `keeper keys`.
    pub(crate) name: String,
    /// The slots, in hex or decimal; empty: every slot.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) slots: Vec<U256>,
    /// Whether the slots are of `bytes`, `string` or arrays, whose content lies at the slot's hash.
    #[serde(default)]
    dynamic: bool,
    /// A view call whose answer must not change, e.g. `0xaf4a5ebf`; for nodes without state diffs.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    view: Option<Bytes>,
    /// Senders of transactions that may change it.
    #[serde(default)]
    operators: Vec<AccountId>,
}

impl Guarded {
    /// Whether a transaction of `sender` may change it.
    pub(crate) fn allows(&self, sender: Address) -> bool {
        self.operators.iter().any(|it| it.address == sender)
    }

    /// Whether a change of `slot` counts.
    pub(crate) fn covers(&self, slot: U256) -> bool {
        if self.slots.is_empty() {
            return self.view.is_none();
        }
        self.slots.iter().any(|it| {
            let content = U256::from_be_bytes(keccak256(it.to_be_bytes::<32>()).0);
            let offset = slot.wrapping_sub(content);
            *it == slot || (self.dynamic && offset < U256::from(DYNAMIC_WORDS))
        })
    }

    /// The read that tells of a change, if a view is given.
    pub(crate) fn question(&self) -> Option<StateRead> {
        let data = self.view.clone()?;
        Some(StateRead::Call { to: self.account.address, data })
    }
}
