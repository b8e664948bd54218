//! How complete our knowledge is. Incomplete knowledge is never evidence and never silence.

use alloy_primitives::{Address, U256};
use serde::{Deserialize, Serialize};

/// Where a call tree and state diff came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tracing {
    /// Not asked for, or not to be had: `frames` and `diff` are empty.
    #[default]
    None,
    /// Served by a node, which we believe as far as its receipts agree.
    Node,
    /// Our own re-execution, whose gas, status and logs equal the receipt's.
    Reexecuted,
    /// Our own simulation of a transaction that is not in a block yet, all state present.
    Simulated,
    /// Re-execution or simulation read state that was not available. `frames` and `diff` may be
    /// filled but are not evidence; detectors must not raise findings from them.
    Incomplete {
        /// The first reads that were missing, at most [`MISSING_READS_MAX`].
        missing: Vec<MissingRead>,
        /// How many reads were missing in all.
        count: u64,
    },
    /// Re-execution finished with another result than the receipt: a *blind* finding.
    Mismatch {
        /// What differs, e.g. `gas used: receipt 21000, re-execution 23000`.
        difference: String,
    },
}

/// How many missing reads are listed; the rest are only counted.
pub const MISSING_READS_MAX: usize = 16;

/// A state read that could not be answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingRead {
    /// Balance, nonce and code of an account.
    Account(Address),
    /// A storage slot.
    Slot(Address, U256),
    /// The hash of an old block.
    BlockHash(u64),
}

impl Tracing {
    /// Whether frames and diff may be used as evidence.
    pub fn is_evidence(&self) -> bool {
        matches!(self, Self::Node | Self::Reexecuted | Self::Simulated)
    }
}
