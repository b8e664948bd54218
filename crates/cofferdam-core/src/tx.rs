//! One transaction as executed (or simulated): what the rim hands to the pure middle.
//!
//! **Invariant:** nothing here is trusted to be well formed; all of it may have been made by an
//! attacker. Readers use checked access only.

use alloy_primitives::{Address, B256, Bytes, Log, U256};
use serde::{Deserialize, Serialize};

use crate::{Fact, evidence::Tracing};

/// A transaction with everything that could be learnt about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tx {
    /// Transaction hash.
    pub hash: B256,
    /// Position in its block; 0 for a pending transaction.
    pub index: u32,
    /// Sender.
    pub from: Address,
    /// Callee, `None` for a creation.
    pub to: Option<Address>,
    /// Sender's nonce.
    pub nonce: u64,
    /// Native value sent, in wei.
    pub value: U256,
    /// Calldata or init code.
    pub input: Bytes,
    /// Gas limit.
    pub gas_limit: u64,
    /// What else execution needs to know: envelope type, access list and the like.
    pub envelope: Envelope,
    /// Gas used according to the receipt (or the simulation, for a pending transaction).
    pub gas_used: u64,
    /// Fee cap per gas in wei (gas price for legacy transactions).
    pub max_fee_per_gas: u128,
    /// Tip cap per gas in wei (gas price for legacy transactions).
    pub max_priority_fee_per_gas: u128,
    /// Whether execution succeeded. A reverted transaction has no logs and no effects.
    pub succeeded: bool,
    /// Address of the contract created by a top-level creation.
    pub created: Option<Address>,
    /// Logs in order.
    pub logs: Vec<Log>,
    /// Call tree as a flat list in call order; empty unless `tracing` has one.
    pub frames: Vec<Frame>,
    /// State changes; empty unless `tracing` has them.
    pub diff: StateDiff,
    /// Where `frames` and `diff` came from and whether they are complete.
    pub tracing: Tracing,
    /// What happened, decoded once by [`crate::decode::facts`].
    pub facts: Vec<Fact>,
    /// Writes of what a re-entry had used in between; only our own execution tells them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale_writes: Vec<StaleWrite>,
}

/// A contract wrote a slot that code below it, which came back to it through somebody else, had read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaleWrite {
    /// The contract.
    pub address: Address,
    /// The slot.
    pub slot: U256,
    /// Index in [`Tx::frames`] of the earlier entry.
    pub outer: u32,
    /// Index of the frame that came back.
    pub inner: u32,
}

/// The parts of a transaction that only execution needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// EIP-2718 type: 0 legacy, 1 EIP-2930, 2 EIP-1559, 3 EIP-4844, 4 EIP-7702.
    pub kind: u8,
    /// EIP-2930 access list.
    pub access_list: Vec<(Address, Vec<B256>)>,
    /// EIP-7702 authorisations, signer recovered; `None` if the signature is invalid.
    pub authorizations: Vec<Authorization>,
    /// EIP-4844 versioned hashes.
    pub blob_hashes: Vec<B256>,
    /// EIP-4844 fee cap per blob gas in wei.
    pub max_fee_per_blob_gas: u128,
}

/// One EIP-7702 authorisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    /// Chain it is valid on; 0 means every chain.
    pub chain_id: U256,
    /// The code delegated to.
    pub address: Address,
    /// Nonce of the authority.
    pub nonce: u64,
    /// Who signed.
    pub authority: Option<Address>,
}

/// One call or creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Index of the calling frame in [`Tx::frames`]; `None` for the root.
    pub parent: Option<u32>,
    /// 0 for the root.
    pub depth: u16,
    /// Which opcode made it.
    pub kind: CallKind,
    /// The caller. For a delegate call: the account whose storage is used.
    pub from: Address,
    /// The callee (for a delegate call: the account whose code runs; for a creation: the new address).
    pub to: Address,
    /// Native value in wei.
    pub value: U256,
    /// Calldata or init code.
    pub input: Bytes,
    /// Return data.
    pub output: Bytes,
    /// False if this frame itself reverted.
    pub succeeded: bool,
    /// True if this frame or any frame above it reverted: it has no lasting effect.
    pub undone: bool,
}

/// The opcode that opened a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallKind {
    /// CALL, and the transaction's own entry.
    Call,
    /// STATICCALL.
    StaticCall,
    /// DELEGATECALL.
    DelegateCall,
    /// CALLCODE.
    CallCode,
    /// CREATE or CREATE2.
    Create,
    /// SELFDESTRUCT, moving the balance to `to`.
    SelfDestruct,
}

/// Net state changes of one transaction. Each list is sorted by its key and holds no no-ops.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDiff {
    /// Changed storage slots.
    pub storage: Vec<StorageChange>,
    /// Changed native balances (fees of the sender and the block's beneficiary included).
    pub balances: Vec<BalanceChange>,
    /// Changed code: creations, self-destructs and EIP-7702 delegations.
    pub codes: Vec<CodeChange>,
}

/// One storage slot before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageChange {
    /// The account.
    pub address: Address,
    /// The slot.
    pub slot: U256,
    /// Value before the transaction.
    pub before: U256,
    /// Value after it.
    pub after: U256,
}

/// One native balance before and after, in wei.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceChange {
    /// The account.
    pub address: Address,
    /// Balance before the transaction.
    pub before: U256,
    /// Balance after it.
    pub after: U256,
}

/// An account's code hash before and after; `None` means no code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeChange {
    /// The account.
    pub address: Address,
    /// Hash before.
    pub before: Option<B256>,
    /// Hash after.
    pub after: Option<B256>,
}

impl Frame {
    /// The function selector, if there are at least four bytes of input.
    pub fn selector(&self) -> Option<[u8; 4]> {
        selector(&self.input)
    }
}

impl Tx {
    /// The function selector of the top-level call.
    pub fn selector(&self) -> Option<[u8; 4]> {
        self.to.and_then(|_| selector(&self.input))
    }

    /// The account that acts: what the sender called with code of its own choosing is told by the
    /// frames; without them the sender itself.
    pub fn calls(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().filter(|it| !it.undone)
    }
}

/// The first four bytes of `input`.
pub fn selector(input: &[u8]) -> Option<[u8; 4]> {
    input.first_chunk::<4>().copied()
}
