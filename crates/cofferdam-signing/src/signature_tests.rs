//! Signatures made with real keys, packed and read back.

use alloy_primitives::{Address, B256, Bytes, Signature, U256, eip191_hash_message, keccak256};
use k256::ecdsa::SigningKey;
use proptest::prelude::*;

use super::{Kind, OwnerSignature, SignatureError, pack, unpack};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn address(key: &SigningKey) -> Address {
    Address::from_public_key(key.verifying_key())
}

fn sign(key: &SigningKey, hash: B256) -> Bytes {
    let (signature, parity) = key.sign_prehash_recoverable(hash.as_slice()).unwrap();
    let signature = Signature::from_signature_and_parity(signature, parity.is_y_odd());
    signature.as_bytes().into()
}

fn made(seed: u8, kind: u8, hash: B256) -> OwnerSignature {
    let key = key(seed);
    let owner = address(&key);
    let kind = match kind % 4 {
        0 => Kind::Eip712 { signature: sign(&key, hash) },
        1 => {
            let mut bytes = sign(&key, eip191_hash_message(hash)).to_vec();
            bytes[64] += 4;
            Kind::EthSign { signature: bytes.into() }
        }
        2 => Kind::ApprovedHash,
        _ => Kind::Contract { signature: vec![seed; usize::from(seed) * 3].into() },
    };
    OwnerSignature { owner, kind }
}

proptest! {
    #[test]
    fn what_is_packed_is_read_back_in_order(kinds in proptest::collection::vec(0u8..4, 1..8), shift in 0usize..8) {
        let hash = keccak256("a transaction");
        let mut all: Vec<_> = (1u8..).zip(&kinds).map(|(seed, kind)| made(seed, *kind, hash)).collect();
        let by = shift % all.len();
        all.rotate_left(by);
        let packed = pack(&all, hash).unwrap();
        all.sort_by_key(|it| it.owner);
        prop_assert_eq!(unpack(&packed, all.len(), hash).unwrap(), all);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), count in 0usize..7) {
        let _ = unpack(&bytes, count, keccak256("x"));
    }
}

#[test]
fn a_signature_counts_for_its_key_and_its_hash_only() {
    let hash = keccak256("a transaction");
    let good = made(1, 0, hash);
    assert_eq!(good.verify(hash), Ok(()));
    assert!(matches!(good.verify(keccak256("another")), Err(SignatureError::NotTheirs { .. })));
    let stolen = OwnerSignature { owner: Address::repeat_byte(9), ..good.clone() };
    let actual = good.owner;
    let owner = stolen.owner;
    assert_eq!(stolen.verify(hash), Err(SignatureError::NotTheirs { owner, actual }));
    let Kind::Eip712 { signature } = good.kind else { unreachable!("it is one") };
    let as_message = OwnerSignature { owner: actual, kind: Kind::EthSign { signature } };
    assert!(as_message.verify(hash).is_err(), "one kind is not another");
}

#[test]
fn malleable_short_and_odd_signatures_are_refused() {
    let hash = keccak256("a transaction");
    let good = made(1, 0, hash);
    let Kind::Eip712 { signature } = &good.kind else { unreachable!("it is one") };
    let order: U256 =
        "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141".parse().unwrap();
    let mut upper = signature.to_vec();
    let s = order - U256::from_be_slice(&upper[32..64]);
    upper[32..64].copy_from_slice(&s.to_be_bytes::<32>());
    upper[64] = 55 - upper[64];
    let mut odd = signature.to_vec();
    odd[64] = 0;
    for bytes in [upper, odd, signature[..64].to_vec(), vec![0; 65], vec![255; 65], Vec::new()] {
        let it =
            OwnerSignature { owner: good.owner, kind: Kind::Eip712 { signature: bytes.into() } };
        assert!(it.verify(hash).is_err(), "{it:?}");
        assert!(pack(&[it], hash).is_err());
    }
}

#[test]
fn nobody_counts_twice() {
    let hash = keccak256("a transaction");
    let both = [made(1, 0, hash), made(1, 2, hash)];
    assert_eq!(pack(&both, hash), Err(SignatureError::Twice(both[0].owner)));
}

#[test]
fn packed_bytes_with_an_appendix_or_out_of_order_are_refused() {
    let hash = keccak256("a transaction");
    let packed = pack(&[made(1, 0, hash), made(2, 0, hash)], hash).unwrap();
    let mut more = packed.to_vec();
    more.push(0);
    let swapped = [&packed[65..], &packed[..65]].concat();
    for bytes in [more, swapped, packed[..129].to_vec()] {
        assert!(unpack(&bytes, 2, hash).is_err());
    }
}
