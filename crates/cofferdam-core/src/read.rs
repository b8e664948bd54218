//! State reads: what a rule wants to know about the state before and after, and the answers.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};

use crate::Tx;

/// One question about state. Asked at the block and at its parent (for a pending transaction:
/// after and before its simulation).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateRead {
    /// A view call: return data of `to` called with `data` by the zero address.
    Call {
        /// The contract.
        to: Address,
        /// The calldata.
        data: Bytes,
    },
    /// A storage slot.
    Storage {
        /// The contract.
        address: Address,
        /// The slot.
        slot: U256,
    },
    /// Native balance in wei.
    Balance(Address),
    /// Hash of the code, zero if none.
    CodeHash(Address),
    /// What calls would do that nobody has made yet. Only our own EVM can tell.
    Rehearsal(Box<Rehearsal>),
}

/// Calls that may be made one day, to be tried on the state as it is, in one block.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rehearsal {
    /// Who makes them.
    pub from: Address,
    /// Time of that block in seconds since the Unix epoch …
    pub time: u64,
    /// … but not before this many seconds after the block that they are tried on.
    pub after: u64,
    /// Whether the caller is given the native value that it lacks.
    pub funded: bool,
    /// The calls in order, at most [`REHEARSED_CALLS_MAX`]; if one fails, none has an effect.
    pub calls: Vec<RehearsedCall>,
    /// What to read before the first and after the last of them; no rehearsals.
    pub reads: Vec<StateRead>,
}

/// One call of a [`Rehearsal`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RehearsedCall {
    /// The callee.
    pub to: Address,
    /// Native value in wei.
    pub value: U256,
    /// The calldata.
    pub data: Bytes,
    /// Whether the code of `to` runs as the caller's own (DELEGATECALL).
    #[serde(default)]
    pub delegated: bool,
}

/// Calls of one [`Rehearsal`]; one with more is not tried.
pub const REHEARSED_CALLS_MAX: usize = 64;

/// What the calls of a [`Rehearsal`] would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsed {
    /// All of them as one simulated transaction without a hash: frames, logs, changes, facts.
    pub tx: Tx,
    /// The answers to [`Rehearsal::reads`].
    pub readings: Readings,
}

/// The answer to one [`StateRead`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The bytes returned; a slot, balance or hash is 32 bytes big-endian.
    Bytes(Bytes),
    /// The call reverted.
    Reverted,
    /// What a rehearsal did.
    Rehearsed(Box<Rehearsed>),
    /// State was not available: *incomplete*, to be treated as blind, never as zero.
    Unavailable,
}

/// Both answers to one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// At the parent block (before the pending transaction).
    pub before: Answer,
    /// At the block (after the pending transaction).
    pub after: Answer,
}

/// Answers by question, in a fixed order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings(BTreeMap<StateRead, Reading>);

impl Readings {
    /// The reading of `question`, or `None` if it was not asked.
    pub fn get(&self, question: &StateRead) -> Option<&Reading> {
        self.0.get(question)
    }

    /// Records an answer.
    pub fn insert(&mut self, question: StateRead, reading: Reading) {
        self.0.insert(question, reading);
    }

    /// Every reading, sorted by question.
    pub fn iter(&self) -> impl Iterator<Item = (&StateRead, &Reading)> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(StateRead, Reading)> for Readings {
    fn from_iter<T: IntoIterator<Item = (StateRead, Reading)>>(iter: T) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl Answer {
    /// The `index`-th 32-byte word of the returned bytes.
    pub fn word(&self, index: usize) -> Option<U256> {
        let Self::Bytes(bytes) = self else { return None };
        let start = index.checked_mul(32)?;
        let word = bytes.get(start..start.checked_add(32)?)?;
        Some(U256::from_be_slice(word))
    }

    /// A 32-byte answer holding `value`.
    pub fn of(value: U256) -> Self {
        Self::Bytes(Bytes::copy_from_slice(&value.to_be_bytes::<32>()))
    }

    /// A 32-byte answer holding `hash`.
    pub fn of_hash(hash: B256) -> Self {
        Self::Bytes(Bytes::copy_from_slice(hash.as_slice()))
    }
}

// JSON maps need text keys, hence a list of pairs.
impl Serialize for Readings {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter())
    }
}

impl<'de> Deserialize<'de> for Readings {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(StateRead, Reading)>::deserialize(deserializer)?;
        Ok(pairs.into_iter().collect())
    }
}
