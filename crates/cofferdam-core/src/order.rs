//! Orders: one action decided for one incident, bounded by the response plan.
//!
//! **Invariant:** there is no variant with free calldata, value or delegatecall. What an order may
//! do was written in the plan before the incident; the on-chain contracts enforce the same bound.

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, BlockRef, ChainId, IncidentId, OrderKey, Stage, Timestamp,
    plan::{Autonomy, Rung},
    read::StateRead,
};

/// One action decided for one incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Stable identity: derived from incident, action and occurrence.
    pub key: OrderKey,
    /// The incident it answers.
    pub incident: IncidentId,
    /// Id of the action in the plan.
    pub action: String,
    /// Which step of the ladder it is.
    pub rung: Rung,
    /// The chain it runs on.
    pub chain: ChainId,
    /// What exactly is called, up to signatures.
    pub call: OrderCall,
    /// What must be true afterwards, read from state at a block, not from a receipt.
    pub effect: Vec<EffectCheck>,
    /// The least stage its findings must have.
    pub stage: Stage,
    /// Whether it undoes itself by time (a self-expiring pause). Only such an order may be handed to
    /// the network concurrently with its journal write.
    pub self_expiring: bool,
    /// How free the program is to dispatch it.
    pub autonomy: Autonomy,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// Latest time at which it may still be dispatched.
    pub expires_at: Timestamp,
    /// The most that may be spent on fees for it, in wei.
    pub fee_budget_wei: U256,
    /// What the pending transaction that it must precede bids, if it answers one.
    #[serde(default)]
    pub outbid: Option<Bid>,
}

/// What a transaction bids for its place in a block, in wei per gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bid {
    /// Fee cap.
    #[serde(with = "crate::wide")]
    pub max_fee_per_gas: u128,
    /// Tip cap.
    #[serde(with = "crate::wide")]
    pub max_priority_fee_per_gas: u128,
}

/// The call an order makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "via", rename_all = "kebab-case")]
pub enum OrderCall {
    /// `EmergencyGuardian.pause` with a pre-signed EIP-712 authorisation, by any relayer.
    Guardian {
        /// The guardian contract.
        guardian: Address,
        /// The registered action.
        action_id: B256,
        /// 0 short and few signers, 1 long and quorum.
        tier: u8,
    },
    /// A call with fixed calldata by a scoped key that holds the role on the target.
    Direct {
        /// The contract called.
        target: Address,
        /// The exact calldata.
        data: Bytes,
    },
    /// `SafeEmergencyModule.exec` with responder signatures, by any relayer.
    SafeModule {
        /// The module.
        module: Address,
        /// The Safe acted through.
        safe: Address,
        /// The contract the Safe calls.
        target: Address,
        /// The exact calldata.
        data: Bytes,
    },
}

/// A condition on state that proves that an order had its effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectCheck {
    /// What to read.
    pub read: StateRead,
    /// What it must answer.
    pub expect: Expectation,
}

/// What a read must answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// The first word equals this.
    Word(U256),
    /// The first word is greater than this (a `pausedUntil` in the future, say).
    WordAbove(U256),
    /// The call reverts (withdrawals *do* revert).
    Reverts,
}

/// An order as it was handed to the network: what a person can check and what was simulated.
///
/// Before that its calldata is a secret, because it may hold authorisation signatures that anybody could
/// use. Hence executors make one only when they hand it out, and printing it shows no calldata.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// The order.
    pub key: OrderKey,
    /// The contract called by the transaction.
    pub to: Address,
    /// The exact calldata, signatures included.
    pub data: Bytes,
    /// Gas limit: 1.3 times what the simulation used.
    pub gas_limit: u64,
    /// The head it was simulated on.
    pub simulated_on: Option<BlockRef>,
    /// Whether every effect check held after the simulation; `None` if the node could not tell.
    pub effect_simulated: Option<bool>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("key", &self.key)
            .field("to", &self.to)
            .field("data", &format_args!("{} bytes", self.data.len()))
            .field("gas_limit", &self.gas_limit)
            .field("simulated_on", &self.simulated_on)
            .field("effect_simulated", &self.effect_simulated)
            .finish()
    }
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The effect was read from state at `block`.
    Effective {
        /// The transaction, if it was ours.
        tx: Option<B256>,
        /// The first block at which the effect was seen.
        block: BlockRef,
        /// Gas used by our transaction, 0 if it was not ours.
        gas_used: u64,
    },
    /// It cannot have its effect; nothing more will be tried.
    Failed {
        /// Why, for people.
        reason: String,
    },
    /// The order's time ran out.
    Expired,
    /// A person vetoed it.
    Vetoed {
        /// Who.
        by: String,
    },
}

/// A signed transaction handed to the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Relayer lane.
    pub relayer: AccountId,
    /// Its nonce, owned by us.
    pub nonce: u64,
    /// Transaction hash.
    pub tx: B256,
    /// Fee cap per gas, in wei.
    #[serde(with = "crate::wide")]
    pub max_fee_per_gas: u128,
    /// Tip cap per gas, in wei.
    #[serde(with = "crate::wide")]
    pub max_priority_fee_per_gas: u128,
}

impl EffectCheck {
    /// Whether `answer` satisfies the check. An unavailable answer does not.
    pub fn holds(&self, answer: &crate::read::Answer) -> bool {
        match (&self.expect, answer) {
            (Expectation::Reverts, crate::read::Answer::Reverted) => true,
            (Expectation::Word(want), answer) => answer.word(0) == Some(*want),
            (Expectation::WordAbove(floor), answer) => answer.word(0).is_some_and(|it| it > *floor),
            (Expectation::Reverts, _) => false,
        }
    }
}
