//! Collecting signatures of keys and of a nested Safe.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Signature, U256};
use cofferdam_signing::{
    OwnerSignature, Proposal, SafeVersion,
    collect::{Collected, Signers, collect},
    proposal::{SIGNATURE_FORMAT, SignatureFile, Within},
    signature::unpack,
};
use k256::ecdsa::SigningKey;

use crate::fixture::{proposal, transaction};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn address(seed: u8) -> Address {
    Address::from_public_key(key(seed).verifying_key())
}

fn file(seed: u8, proposal: &Proposal, hash: B256, within: Option<Within>) -> SignatureFile {
    let (signature, parity) = key(seed).sign_prehash_recoverable(hash.as_slice()).unwrap();
    let signature = Signature::from_signature_and_parity(signature, parity.is_y_odd());
    SignatureFile {
        format: SIGNATURE_FORMAT.into(),
        safe_tx_hash: proposal.hashes().signed,
        within,
        signature: OwnerSignature::eip712(address(seed), &signature),
    }
}

const CHILD: Within = Within { safe: Address::repeat_byte(0xc1), version: SafeVersion::V1_5_0 };

fn signers() -> Signers {
    let owners = vec![address(1), address(2), address(3), CHILD.safe];
    Signers { owners, threshold: U256::from(3) }
}

fn gather(proposal: &Proposal, files: &[SignatureFile], approved: &[Address]) -> Collected {
    let child = Signers { owners: vec![address(4), address(5)], threshold: U256::from(2) };
    let approved: BTreeSet<Address> = approved.iter().copied().collect();
    collect(proposal, files, &signers(), &approved, &BTreeMap::from([(CHILD.safe, child)]))
}

#[test]
fn enough_signatures_are_packed_and_one_less_is_not() {
    let proposal = proposal(transaction());
    let hash = proposal.hashes().signed;
    let files: Vec<_> = (1..=3).map(|it| file(it, &proposal, hash, None)).collect();
    let two = gather(&proposal, &files[..2], &[]);
    assert_eq!((two.signed.len(), two.packed.is_none()), (2, true));
    assert_eq!(two.missing.len(), 2);
    let three = gather(&proposal, &files, &[]);
    assert_eq!(three.refused, Vec::<String>::new());
    let packed = three.packed.unwrap();
    assert_eq!(unpack(&packed, 3, hash).unwrap().len(), 3);
    let with_approval = gather(&proposal, &files[..2], &[address(3)]);
    assert!(with_approval.packed.is_some());
}

#[test]
fn a_nested_safe_counts_once_enough_of_its_owners_have_signed() {
    let proposal = proposal(transaction());
    let hash = proposal.hashes().signed;
    let message = CHILD.hashes(&proposal).signed;
    let mut files: Vec<_> = (1..=2).map(|it| file(it, &proposal, hash, None)).collect();
    files.push(file(4, &proposal, message, Some(CHILD)));
    let half = gather(&proposal, &files, &[]);
    assert!(half.packed.is_none() && half.refused[0].contains("1 of 2"), "{:?}", half.refused);
    files.push(file(5, &proposal, message, Some(CHILD)));
    let whole = gather(&proposal, &files, &[]);
    assert!(whole.signed.contains(&CHILD.safe) && whole.packed.is_some(), "{:?}", whole.refused);
}

#[test]
fn strangers_other_transactions_and_repetitions_do_not_count() {
    let proposal = proposal(transaction());
    let hash = proposal.hashes().signed;
    let good = file(1, &proposal, hash, None);
    let stranger = file(9, &proposal, hash, None);
    let mut other = file(2, &proposal, hash, None);
    other.safe_tx_hash = B256::ZERO;
    let mut format = file(2, &proposal, hash, None);
    format.format = "something/1".into();
    let mut forged = file(9, &proposal, hash, None);
    forged.signature.owner = address(2);
    let files = [good.clone(), good, stranger, other, format, forged];
    let found = gather(&proposal, &files, &[address(9)]);
    assert_eq!(found.signed, BTreeSet::from([address(1)]));
    assert_eq!(found.refused.len(), 4, "{:?}", found.refused);
    assert!(found.packed.is_none());
}
