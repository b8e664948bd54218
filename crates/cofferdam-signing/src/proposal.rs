//! What signers exchange: a proposed transaction and signatures, one file each.
//!
//! **Invariant:** a file is a claim. Hashes in it are compared with our own, signatures in it are recovered; nothing in it
//! is believed.

use alloy_primitives::{Address, B256, U256};
use cofferdam_core::{ChainId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Hashes, OwnerSignature, SafeDomain, SafeTx, SafeVersion};

/// The format of proposals.
pub const PROPOSAL_FORMAT: &str = "cofferdam-safe-proposal/1";
/// The format of signatures.
pub const SIGNATURE_FORMAT: &str = "cofferdam-safe-signature/1";

/// A proposed transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proposal {
    /// [`PROPOSAL_FORMAT`].
    pub format: String,
    /// The chain.
    pub chain: ChainId,
    /// The Safe.
    pub safe: Address,
    /// The Safe's release, as the proposer read it.
    pub version: SafeVersion,
    /// The transaction.
    pub transaction: SafeTx,
    /// Hashes as the proposer (or the Transaction Service) computed them; absent parts are refusals.
    #[serde(default)]
    pub claimed: Claimed,
    /// Where it comes from.
    #[serde(default)]
    pub provenance: Provenance,
}

/// Hashes somebody else computed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Claimed {
    /// Domain separator.
    pub domain: Option<B256>,
    /// Struct hash.
    pub message: Option<B256>,
    /// What is signed.
    pub safe_tx_hash: Option<B256>,
}

/// Who proposes, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provenance {
    /// Who.
    pub proposer: Option<String>,
    /// When, in milliseconds.
    pub proposed_at: Option<Timestamp>,
    /// Why, in the proposer's words.
    pub reason: Option<String>,
    /// The incident it belongs to.
    pub incident: Option<String>,
    /// The playbook's step.
    pub step: Option<String>,
    /// Alerts it answers.
    #[serde(default)]
    pub alerts: Vec<String>,
    /// The action, approved in advance, that it claims to be.
    pub action: Option<String>,
    /// The ladder it is a rung of.
    pub ladder: Option<Rung>,
}

/// A place in a ladder of transactions signed in advance: the same call for nonces `first` to `last`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rung {
    /// First nonce.
    #[serde(with = "crate::quantity")]
    pub first: U256,
    /// Last nonce.
    #[serde(with = "crate::quantity")]
    pub last: U256,
}

/// One owner's signature of a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignatureFile {
    /// [`SIGNATURE_FORMAT`].
    pub format: String,
    /// The proposal's hash.
    pub safe_tx_hash: B256,
    /// The nested Safe on whose behalf it is, which is an owner of the Safe.
    pub within: Option<Within>,
    /// The signature: of the proposal's hash, or of the nested Safe's message.
    pub signature: OwnerSignature,
}

/// A Safe that is an owner of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Within {
    /// Its address.
    pub safe: Address,
    /// Its release.
    pub version: SafeVersion,
}

impl Proposal {
    /// A proposal with our own hashes in it.
    pub fn new(domain: SafeDomain, transaction: SafeTx, provenance: Provenance) -> Self {
        let hashes = domain.transaction(&transaction);
        Self {
            format: PROPOSAL_FORMAT.into(),
            chain: domain.chain,
            safe: domain.safe,
            version: domain.version,
            transaction,
            claimed: Claimed {
                domain: Some(hashes.domain),
                message: Some(hashes.message),
                safe_tx_hash: Some(hashes.signed),
            },
            provenance,
        }
    }

    /// What its hashes are made of.
    pub fn domain(&self) -> SafeDomain {
        SafeDomain { version: self.version, chain: self.chain, safe: self.safe }
    }

    /// Its hashes, computed here.
    pub fn hashes(&self) -> Hashes {
        self.domain().transaction(&self.transaction)
    }

    /// Name of its file, without extension: nonce and the first bytes of its hash.
    pub fn stem(&self) -> String {
        let hash = self.hashes().signed.to_string();
        let head = hash.get(2..10).unwrap_or_default();
        format!("{:0>6}-{head}", self.transaction.nonce.to_string())
    }
}

impl Within {
    /// What the nested Safe's owners sign for `proposal`.
    pub fn hashes(&self, proposal: &Proposal) -> Hashes {
        let domain = SafeDomain { version: self.version, chain: proposal.chain, safe: self.safe };
        domain.as_owner_of(&proposal.domain(), &proposal.hashes())
    }
}
