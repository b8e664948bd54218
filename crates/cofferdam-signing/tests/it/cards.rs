//! The card as text: red flags first, nothing left out.

use alloy_primitives::U256;
use cofferdam_signing::{Card, Case, Operation, SafeTx, abi::Value, exec::call};

use crate::fixture::{NOW, STRANGER, evidence, policy, proposal, transaction};

fn card(proposal: &cofferdam_signing::Proposal) -> Card {
    let (policy, evidence) = (policy(), evidence(proposal));
    Card::of(&Case {
        proposal,
        policy: Some(&policy),
        evidence: Some(&evidence),
        registry: None,
        now: NOW,
    })
}

#[test]
fn a_pause_that_was_approved_in_advance() {
    let mut proposal = proposal(transaction());
    proposal.provenance.action = Some("vault/pause".into());
    let card = card(&proposal);
    assert!(card.accepted);
    expect_test::expect![[""]].assert_eq(&card.text());
}

#[test]
fn the_bybit_card_begins_with_its_refusal() {
    let values = [Value::Address(STRANGER), Value::Uint(U256::ZERO)];
    let data = call("transfer(address,uint256)", &values).unwrap();
    let operation = Operation::DelegateCall;
    let card = card(&proposal(SafeTx { to: STRANGER, data, operation, ..transaction() }));
    assert!(!card.accepted);
    expect_test::expect![[""]].assert_eq(&card.text());
}

#[test]
fn a_card_without_evidence_says_what_is_unknown() {
    let proposal = proposal(transaction());
    let policy = policy();
    let case = Case {
        proposal: &proposal,
        policy: Some(&policy),
        evidence: None,
        registry: None,
        now: NOW,
    };
    let card = Card::of(&case);
    assert!(!card.accepted);
    expect_test::expect![[""]].assert_eq(&card.text());
}
