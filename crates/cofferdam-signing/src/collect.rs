//! Collecting signatures: who has signed, who is missing, and the packed signatures once they are enough.
//!
//! **Invariant:** a signature counts only for an owner of the Safe as the chain has it now, only if it recovers to that
//! owner, and once. A nested Safe counts when enough of its own owners have signed its message.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::Serialize;

use crate::{
    Kind, OwnerSignature, SignatureError,
    proposal::{Proposal, SIGNATURE_FORMAT, SignatureFile, Within},
    signature,
};

/// Most signature files of one proposal.
pub const FILES_MAX: usize = 500;

/// Owners and threshold of a Safe, at one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signers {
    /// Its owners.
    pub owners: Vec<Address>,
    /// How many must sign.
    pub threshold: U256,
}

/// What has been collected.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Collected {
    /// Owners whose signature counts.
    pub signed: BTreeSet<Address>,
    /// Owners who have not signed.
    pub missing: BTreeSet<Address>,
    /// Signatures needed.
    pub threshold: String,
    /// Files that do not count, with the reason.
    pub refused: Vec<String>,
    /// Packed signatures, once they are enough.
    pub packed: Option<Bytes>,
}

/// Sums signature files up. `approved` are owners who have called `approveHash`, `nested` the signers of owners that are
/// Safes themselves.
pub fn collect(
    proposal: &Proposal,
    files: &[SignatureFile],
    signers: &Signers,
    approved: &BTreeSet<Address>,
    nested: &BTreeMap<Address, Signers>,
) -> Collected {
    let hash = proposal.hashes().signed;
    let mut counted: BTreeMap<Address, OwnerSignature> = BTreeMap::new();
    let mut inner: BTreeMap<Within, Vec<OwnerSignature>> = BTreeMap::new();
    let mut refused = Vec::new();
    if files.len() > FILES_MAX {
        refused.push(format!("there are {} files, only {FILES_MAX} were read", files.len()));
    }
    for file in files.iter().take(FILES_MAX) {
        let outcome = match file.within {
            None => one(file, hash, &signers.owners).map(|it| {
                counted.insert(it.owner, it);
            }),
            Some(within) => {
                let owners = nested.get(&within.safe).map(|it| it.owners.as_slice());
                let message = within.hashes(proposal).signed;
                let known =
                    owners.ok_or_else(|| format!("the owners of {} are unknown", within.safe));
                known
                    .and_then(|owners| member(file, hash, message, owners))
                    .map(|it| inner.entry(within).or_default().push(it))
            }
        };
        if let Err(why) = outcome {
            refused.push(format!("{}: {why}", file.signature.owner));
        }
    }
    for owner in approved.iter().filter(|it| signers.owners.contains(it)) {
        let approval = OwnerSignature { owner: *owner, kind: Kind::ApprovedHash };
        counted.entry(*owner).or_insert(approval);
    }
    for (within, members) in inner {
        match assemble(proposal, &within, members, signers, nested) {
            Ok(it) => {
                counted.insert(it.owner, it);
            }
            Err(why) => refused.push(format!("{}: {why}", within.safe)),
        }
    }
    let signed: BTreeSet<Address> = counted.keys().copied().collect();
    let all: BTreeSet<Address> = signers.owners.iter().copied().collect();
    let enough = !signers.threshold.is_zero() && U256::from(counted.len()) >= signers.threshold;
    let needed = usize::try_from(signers.threshold).unwrap_or(usize::MAX);
    let chosen: Vec<OwnerSignature> = counted.into_values().take(needed).collect();
    let packed = enough.then(|| signature::pack(&chosen, hash));
    let packed = packed.and_then(|it| it.map_err(|it| refused.push(it.to_string())).ok());
    Collected {
        missing: all.difference(&signed).copied().collect(),
        signed,
        threshold: signers.threshold.to_string(),
        refused,
        packed,
    }
}

fn one(file: &SignatureFile, hash: B256, owners: &[Address]) -> Result<OwnerSignature, String> {
    if !matches!(file.signature.kind, Kind::Eip712 { .. } | Kind::EthSign { .. }) {
        return Err("a file can hold a key's signature; approved hashes are read from the chain, nested Safes by their owners".into());
    }
    member(file, hash, hash, owners)
}

fn member(
    file: &SignatureFile,
    hash: B256,
    signed: B256,
    owners: &[Address],
) -> Result<OwnerSignature, String> {
    if file.format != SIGNATURE_FORMAT {
        return Err(format!("its format is not {SIGNATURE_FORMAT}"));
    }
    if file.safe_tx_hash != hash {
        return Err("it is for another transaction".into());
    }
    if !owners.contains(&file.signature.owner) {
        return Err("they are no owner now".into());
    }
    file.signature.verify(signed).map_err(|it: SignatureError| it.to_string())?;
    Ok(file.signature.clone())
}

fn assemble(
    proposal: &Proposal,
    within: &Within,
    members: Vec<OwnerSignature>,
    signers: &Signers,
    nested: &BTreeMap<Address, Signers>,
) -> Result<OwnerSignature, String> {
    if !signers.owners.contains(&within.safe) {
        return Err("it is no owner of this Safe".into());
    }
    let rules = nested.get(&within.safe).ok_or("its owners are unknown")?;
    let distinct: BTreeMap<Address, OwnerSignature> =
        members.into_iter().map(|it| (it.owner, it)).collect();
    let needed = usize::try_from(rules.threshold).unwrap_or(usize::MAX);
    if needed == 0 || distinct.len() < needed {
        return Err(format!("{} of {} of its owners have signed", distinct.len(), rules.threshold));
    }
    let chosen: Vec<OwnerSignature> = distinct.into_values().take(needed).collect();
    let message = within.hashes(proposal).signed;
    let signature = signature::pack(&chosen, message).map_err(|it| it.to_string())?;
    Ok(OwnerSignature { owner: within.safe, kind: Kind::Contract { signature } })
}
