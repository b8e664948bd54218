//! Authorisations signed ahead of time, and the files that hold them.
//!
//! An authorisation is a bearer instrument: whoever holds it can cause the pause it names.
//! **Invariant:** no `Debug` shows a signature, and no error repeats the text of a file.

mod file;
mod verify;

use std::fmt;

use alloy::{
    primitives::{Address, B256, Bytes, U256, aliases::U48, keccak256},
    sol_types::{Eip712Domain, SolStruct, SolValue, eip712_domain},
};
use cofferdam_core::{ChainId, Timestamp, order::OrderCall};
use serde::{Deserialize, Serialize};

use crate::{
    abi,
    signer::{SignError, Signer},
};

pub use file::{Authorisations, BUNDLE_VERSION, Bundle, BundleError};
pub use verify::Invalid;

/// Latest time the contracts can hold, in seconds since the Unix epoch (2^48 − 1).
pub const TIME_MAX: u64 = (1 << 48) - 1;
/// Most signers of one authorisation; quorums on chain are 8-bit and signatures cost gas.
pub const SIGNERS_MAX: usize = 32;
/// Longest calldata that a Safe authorisation may name, in bytes.
pub const DATA_BYTES_MAX: usize = 16_384;

/// One authorisation with its signatures.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Authorisation {
    /// What it allows.
    pub scope: Scope,
    /// Unordered nonce; burnt for each of its signers when used.
    pub nonce: U256,
    /// Last second at which it can be used, Unix time.
    pub deadline: u64,
    /// Epoch of the guardian, or of the Safe in the module, that it was signed for.
    pub epoch: u32,
    /// Signers in ascending order, each with its signature.
    pub signatures: Vec<Endorsement>,
}

/// What an authorisation allows. There is no free calldata: the guardian knows the call by its
/// registered id, the module only takes calls that the Safe has listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "for",
    deny_unknown_fields,
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Scope {
    /// `EmergencyGuardian.pause`.
    Guardian {
        /// The guardian contract.
        guardian: Address,
        /// The registered action.
        action_id: B256,
        /// 0 short, 1 long.
        tier: u8,
        /// First second at which it can be used, Unix time.
        #[serde(default)]
        not_before: u64,
    },
    /// `SafeEmergencyModule.exec`.
    SafeModule {
        /// The module.
        module: Address,
        /// The Safe acted through.
        safe: Address,
        /// The contract the Safe calls.
        to: Address,
        /// The listed calldata.
        data: Bytes,
    },
}

/// One signer's signature.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Endorsement {
    /// Who signed.
    pub signer: Address,
    /// The signature: 65 bytes (r, s, v) of a key, or whatever a contract wants.
    pub signature: Bytes,
    /// Whether the signer is a contract that answers ERC-1271; then only the chain can check it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub contract: bool,
}

/// Nonce, deadline and epoch of an authorisation to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Unordered nonce.
    pub nonce: U256,
    /// Last second at which it can be used, Unix time.
    pub deadline: u64,
    /// Epoch.
    pub epoch: u32,
}

/// Why an authorisation cannot be used now, though it is well made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Its window has not begun.
    #[error("it is valid from {from} on")]
    TooEarly {
        /// First moment of validity.
        from: Timestamp,
    },
    /// Its window is over.
    #[error("it expired at {at}")]
    Expired {
        /// Last moment of validity.
        at: Timestamp,
    },
    /// The epoch was raised (or is not yet reached): every authorisation of another epoch is void.
    #[error("it was signed for epoch {signed}, the contract is at {actual}")]
    WrongEpoch {
        /// Epoch in the authorisation.
        signed: u32,
        /// Epoch on chain.
        actual: u32,
    },
}

/// Why an authorisation could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthoriseError {
    /// What was asked for is not sound.
    #[error("authorisation is not sound")]
    Invalid(#[from] Invalid),
    /// A signer failed.
    #[error("authorisation is not signed")]
    Sign(#[from] SignError),
}

impl Authorisation {
    /// Signs `scope` under `terms` with every signer.
    ///
    /// # Errors
    /// [`AuthoriseError`]: the terms are not sound, or a signer failed.
    pub async fn sign(
        chain: ChainId,
        scope: Scope,
        terms: Terms,
        signers: &[&dyn Signer],
    ) -> Result<Self, AuthoriseError> {
        let Terms { nonce, deadline, epoch } = terms;
        let mut made = Self { scope, nonce, deadline, epoch, signatures: Vec::new() };
        let digest = made.digest(chain);
        for signer in signers {
            let signature = Bytes::copy_from_slice(&signer.sign_hash(digest).await?.as_bytes());
            let signer = signer.address();
            made.signatures.push(Endorsement { signer, signature, contract: false });
        }
        made.signatures.sort_by_key(|it| it.signer);
        made.verify(chain)?;
        Ok(made)
    }

    /// The EIP-712 digest that its signers sign.
    pub fn digest(&self, chain: ChainId) -> B256 {
        let deadline = U48::saturating_from(self.deadline);
        match &self.scope {
            Scope::Guardian { guardian, action_id, tier, not_before } => {
                let terms = abi::PauseAuth {
                    actionId: *action_id,
                    tier: *tier,
                    nonce: self.nonce,
                    notBefore: U48::saturating_from(*not_before),
                    deadline,
                    epoch: self.epoch,
                };
                terms.eip712_signing_hash(&domain("EmergencyGuardian", chain, *guardian))
            }
            Scope::SafeModule { module, safe, to, data } => {
                let terms = abi::EmergencyCall {
                    safe: *safe,
                    to: *to,
                    data: data.clone(),
                    nonce: self.nonce,
                    deadline,
                    epoch: self.epoch,
                };
                terms.eip712_signing_hash(&domain("SafeEmergencyModule", chain, *module))
            }
        }
    }

    /// Whether it can be used at `now`, against a contract at `epoch` if that is known.
    ///
    /// # Errors
    /// [`Unusable`] says why not.
    pub fn usable(&self, now: Timestamp, epoch: Option<u32>) -> Result<(), Unusable> {
        let from = Timestamp::from_secs(self.not_before());
        // The second named by the deadline still counts, to its end.
        let at = Timestamp::from_secs(self.deadline.saturating_add(1));
        if now < from {
            return Err(Unusable::TooEarly { from });
        }
        if now >= at {
            return Err(Unusable::Expired { at: Timestamp::from_secs(self.deadline) });
        }
        match epoch {
            Some(actual) if actual != self.epoch => {
                Err(Unusable::WrongEpoch { signed: self.epoch, actual })
            }
            _ => Ok(()),
        }
    }

    /// First second at which it can be used, Unix time.
    pub fn not_before(&self) -> u64 {
        match self.scope {
            Scope::Guardian { not_before, .. } => not_before,
            Scope::SafeModule { .. } => 0,
        }
    }

    /// Whether it allows `call`.
    pub fn covers(&self, call: &OrderCall) -> bool {
        match (&self.scope, call) {
            (
                Scope::Guardian { guardian, action_id, tier, .. },
                OrderCall::Guardian { guardian: g, action_id: a, tier: t },
            ) => guardian == g && action_id == a && tier == t,
            (
                Scope::SafeModule { module, safe, to, data },
                OrderCall::SafeModule { module: m, safe: s, target, data: d },
            ) => module == m && safe == s && to == target && data == d,
            _ => false,
        }
    }

    /// The contract that takes it.
    pub fn contract(&self) -> Address {
        match self.scope {
            Scope::Guardian { guardian, .. } => guardian,
            Scope::SafeModule { module, .. } => module,
        }
    }
}

/// Key of a Safe's rule in the module: `keccak256(abi.encode(to, keccak256(data)))`.
pub(crate) fn rule_id(to: Address, data: &[u8]) -> B256 {
    keccak256((to, keccak256(data)).abi_encode())
}

fn domain(name: &'static str, chain: ChainId, contract: Address) -> Eip712Domain {
    eip712_domain! {
        name: name,
        version: "1",
        chain_id: chain.0,
        verifying_contract: contract,
    }
}

impl fmt::Debug for Authorisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorisation")
            .field("scope", &self.scope)
            .field("nonce", &self.nonce)
            .field("deadline", &self.deadline)
            .field("epoch", &self.epoch)
            .field("signatures", &self.signatures)
            .finish()
    }
}

impl fmt::Debug for Endorsement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endorsement({}, …)", self.signer)
    }
}
