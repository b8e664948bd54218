//! What the chain says about a Safe and a transaction: read by the rim, judged here, kept in a file for machines that
//! are offline.
//!
//! **Invariant:** every part that could not be had is `None` or absent and becomes a refusal; nothing has a default that
//! looks like an answer.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256, b256};
use cofferdam_core::{ChainId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::quantity;

/// Slot of the singleton: 0.
pub const SLOT_SINGLETON: B256 = B256::ZERO;
/// Slot of the threshold.
pub const SLOT_THRESHOLD: u64 = 4;
/// Slot of the nonce.
pub const SLOT_NONCE: u64 = 5;
/// `keccak256("guard_manager.guard.address")`.
pub const SLOT_GUARD: B256 =
    b256!("4a204f620c8c5ccdca3fd54d003badd85ba500436a431f0cbda4f558c93c34c8");
/// `keccak256("module_manager.module_guard.address")`, since 1.5.0.
pub const SLOT_MODULE_GUARD: B256 =
    b256!("b104e0b93118902c651344349b610029d694cfdec91c589c91ebafbcd0289947");
/// `keccak256("fallback_manager.handler.address")`.
pub const SLOT_FALLBACK: B256 =
    b256!("6c9a6c4a39284e37ed1cf53d337577d14212a4870fb976a4366c693b939918d5");

/// What was read, all at one block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// The chain that answered.
    pub chain: ChainId,
    /// The Safe.
    pub safe: Address,
    /// Height read at.
    pub block: u64,
    /// Its hash.
    pub block_hash: B256,
    /// Its time, in milliseconds.
    pub time: Timestamp,
    /// Who answered, for people; without credentials.
    pub source: String,
    /// The Safe's configuration.
    pub state: SafeState,
    /// The Safe's own answer to `getTransactionHash`.
    pub own_hash: Option<B256>,
    /// Code hash of every account the transaction names; the empty hash for an account without code.
    pub codes: BTreeMap<Address, B256>,
    /// Delays of the policy's timelocks, in seconds.
    pub delays: BTreeMap<Address, Option<u64>>,
    /// Changes of the Safe's configuration in the blocks that were looked at; `None` if they could not be had.
    pub history: Option<History>,
    /// What the transaction would do, in several contexts.
    pub simulations: Vec<Simulation>,
}

/// A Safe's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SafeState {
    /// What `VERSION()` says.
    pub version: String,
    /// Its code.
    pub singleton: Address,
    /// Code hash of the singleton.
    pub singleton_code: B256,
    /// Owners in the Safe's order.
    pub owners: Vec<Address>,
    /// How many must sign.
    #[serde(with = "quantity")]
    pub threshold: U256,
    /// The next nonce.
    #[serde(with = "quantity")]
    pub nonce: U256,
    /// Its guard; zero: none.
    pub guard: Address,
    /// The guard of its modules; zero: none.
    pub module_guard: Address,
    /// Its fallback handler; zero: none.
    pub fallback_handler: Address,
    /// Enabled modules.
    pub modules: Vec<Address>,
}

/// What happened to the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct History {
    /// First block looked at.
    pub from_block: u64,
    /// Changes, oldest first.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// Height.
    pub block: u64,
    /// For people, e.g. `threshold changed to 2`.
    pub what: String,
}

/// What the transaction would do in one context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Simulation {
    /// The context, e.g. `next block`.
    pub context: String,
    /// How it ends.
    pub outcome: Outcome,
    /// What it changes, in order.
    pub effects: Vec<Effect>,
}

/// How a simulated transaction ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Outcome {
    /// The inner call succeeds.
    Succeeds,
    /// The transaction, or its inner call, fails.
    Fails(String),
    /// State was missing: nothing is known.
    Incomplete(String),
}

/// What a simulated transaction changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Effect {
    /// A slot of the Safe's own storage, its nonce aside.
    SafeStorage {
        /// The slot.
        slot: B256,
        /// Before.
        before: B256,
        /// After.
        after: B256,
    },
    /// An allowance given by the Safe.
    Allowance {
        /// The token.
        token: Address,
        /// Who may take.
        spender: Address,
    },
    /// Something of value leaves the Safe.
    Outflow {
        /// The token; zero: ether.
        token: Address,
        /// Who gets it.
        to: Address,
        /// How much, in base units; for a token that is one of a kind, its number.
        #[serde(with = "quantity")]
        amount: U256,
    },
    /// Storage of another contract changes.
    Storage {
        /// The contract.
        contract: Address,
        /// How many slots.
        slots: u64,
    },
}

impl Effect {
    /// What a slot of a Safe's storage holds, for people.
    pub fn slot_name(slot: B256) -> &'static str {
        let number = U256::from_be_bytes(slot.0);
        match slot {
            SLOT_GUARD => "guard",
            SLOT_MODULE_GUARD => "module guard",
            SLOT_FALLBACK => "fallback handler",
            _ if number.is_zero() => "singleton (slot 0)",
            _ if number == U256::from(3) => "number of owners",
            _ if number == U256::from(SLOT_THRESHOLD) => "threshold",
            _ => "owners, modules, messages or approvals",
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    use super::{SLOT_FALLBACK, SLOT_GUARD, SLOT_MODULE_GUARD};

    #[test]
    fn slots_are_the_hashes_of_their_names() {
        assert_eq!(SLOT_GUARD, keccak256("guard_manager.guard.address"));
        assert_eq!(SLOT_MODULE_GUARD, keccak256("module_manager.module_guard.address"));
        assert_eq!(SLOT_FALLBACK, keccak256("fallback_manager.handler.address"));
    }
}
