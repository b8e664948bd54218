//! Restitution to the wei.

use alloy_primitives::{Address, U256, address, b256, keccak256};
use cofferdam_recovery::{
    ClaimError, Claims, MerkleError, Snapshot,
    merkle::{units, verify},
};
use proptest::prelude::*;

const ONE: &str = "0x1111111111111111111111111111111111111111";
const TWO: &str = "0x2222222222222222222222222222222222222222";

fn read(text: &str) -> Result<Claims, ClaimError> {
    Claims::read(text)
}

#[test]
fn the_example_of_openzeppelin_has_its_root() {
    // README of @openzeppelin/merkle-tree: two values and the root that it prints.
    let text = format!("address,amount\n{ONE},5000000000000000000\n{TWO},2500000000000000000\n");
    let snapshot = Snapshot::of(read(&text).unwrap());
    let root = b256!("d4dee0beab2d53f2cc83e567171bd2820e49898130a22622b10ead383e90bd77");
    assert_eq!(snapshot.root(), root);
    assert_eq!(snapshot.claims().total(), U256::from(7_500_000_000_000_000_000_u64));
    let proof = snapshot.proof(address!("1111111111111111111111111111111111111111")).unwrap();
    assert_eq!(
        proof.siblings,
        [b256!("b92c48e9d7abe27fd8dfd6b5dfdbfb1c9a463f80c712b66f3a5180a090cccafc")]
    );
    assert!(verify(root, &proof));
    let stranger = Address::repeat_byte(3);
    assert_eq!(snapshot.proof(stranger), Err(MerkleError::Absent(stranger)));
}

#[test]
fn claims_are_refused_where_money_would_go_astray() {
    let one: Address = ONE.parse().unwrap();
    assert_eq!(read(""), Err(ClaimError::Empty));
    assert_eq!(read("address,amount\n"), Err(ClaimError::Empty));
    assert_eq!(read(ONE), Err(ClaimError::Shape(1)));
    assert_eq!(read(&format!("{ONE},1,2")), Err(ClaimError::Shape(1)));
    assert_eq!(read(&format!("# a\n\n{ONE},0")), Err(ClaimError::Zero { line: 3, account: one }));
    let twice = format!("{ONE},1\n{TWO},1\n{ONE},1");
    let duplicate = ClaimError::Duplicate { line: 3, first: 1, account: one };
    assert_eq!(read(&twice), Err(duplicate));
    let zero = format!("{},1", Address::ZERO);
    assert_eq!(read(&zero), Err(ClaimError::ZeroAddress(1)));
    for amount in ["-1", "1.5", "0x10", "1e18", "", "1_000", "١"] {
        let it = read(&format!("{ONE},{amount}"));
        assert!(matches!(it, Err(ClaimError::Amount { line: 1, .. })), "{amount}: {it:?}");
    }
    let max = U256::MAX;
    assert_eq!(read(&format!("{ONE},{max}\n{TWO},1")), Err(ClaimError::Overflow(2)));
    assert_eq!(read(&format!("{ONE},{max}0")), Err(ClaimError::Overflow(1)));
    for address in [
        "1111111111111111111111111111111111111111",
        "0x11",
        "0X1111111111111111111111111111111111111111",
        "vitalik.eth",
    ] {
        let it = read(&format!("{address},1"));
        assert!(matches!(it, Err(ClaimError::Address { mixed: false, .. })), "{address}: {it:?}");
    }
    // One letter of EIP-55's example in the other case.
    let good = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    assert!(read(&format!("{good},1")).is_ok());
    assert!(read(&format!("{},1", good.to_lowercase())).is_ok());
    let it = read(&format!("{},1", good.replace("5aAe", "5aae")));
    assert!(matches!(it, Err(ClaimError::Address { mixed: true, .. })), "{it:?}");
    let claims = read(&format!("{ONE},7")).unwrap();
    assert!(claims.covered_by(U256::from(7)).is_ok());
    let (total, assets) = (U256::from(7), U256::from(6));
    assert_eq!(claims.covered_by(assets), Err(ClaimError::Uncovered { total, assets }));
}

#[test]
fn a_sum_is_shown_exactly() {
    assert_eq!(units(U256::from(1), 18), "0.000000000000000001");
    assert_eq!(units(U256::from(7_500_000), 6), "7.5");
    assert_eq!(units(U256::from(7_000_000), 6), "7");
    assert_eq!(units(U256::from(42), 0), "42");
}

proptest! {
    /// In whatever order claims come: one tree, every proof leads to its root, and no other claim's does.
    #[test]
    fn every_claim_is_proved_and_no_other(
        mut rows in proptest::collection::btree_map(any::<[u8; 20]>(), 1_u128.., 1..40)
            .prop_map(|it| it.into_iter().collect::<Vec<_>>()),
        turn in any::<prop::sample::Index>(),
    ) {
        let claims = |rows: &[([u8; 20], u128)]| {
            let row = |(index, (account, amount)): (usize, &([u8; 20], u128))| {
                (index + 1, Address::from(*account), U256::from(*amount))
            };
            Claims::of(rows.iter().enumerate().map(row).collect())
        };
        prop_assume!(rows.iter().all(|it| it.0 != [0; 20]));
        let snapshot = Snapshot::of(claims(&rows).unwrap());
        let total: U256 = rows.iter().map(|it| U256::from(it.1)).sum();
        prop_assert_eq!(snapshot.claims().total(), total);
        for (account, amount) in &rows {
            let mut proof = snapshot.proof(Address::from(*account)).unwrap();
            prop_assert_eq!(proof.claim.amount, U256::from(*amount));
            prop_assert!(verify(snapshot.root(), &proof));
            proof.claim.amount += U256::from(1);
            prop_assert!(!verify(snapshot.root(), &proof));
            proof.leaf = keccak256(proof.leaf);
            prop_assert!(!verify(snapshot.root(), &proof));
        }
        let by = turn.index(rows.len());
        rows.rotate_left(by);
        prop_assert_eq!(&Snapshot::of(claims(&rows).unwrap()), &snapshot);
        prop_assert_eq!(snapshot.dump()["tree"].as_array().unwrap().len(), 2 * rows.len() - 1);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "(?s).{0,300}") {
        let _ = Claims::read(&text);
    }
}
