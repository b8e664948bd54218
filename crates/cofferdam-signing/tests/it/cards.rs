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
    expect_test::expect![[r#"
        MAY BE SIGNED, if the hashes on your device are these

        note  no-expiry            a Safe signature does not expire: only using the nonce up revokes it
        note  simulation           a simulation is evidence, not proof
        note  approved-action      this equals action vault/pause approved on 2026-09-01 (approval 0xd555a36ade1d896254881eb84a88f27a7ceaeab61af2c6e6a822f7c60196addd)

        Safe            eip155:1:0x5a5A5a5a5A5a5a5a5a5A5a5A5A5a5a5A5A5A5A5A
        release         1.4.1
        nonce           7 (the Safe is at 7)
        threshold       3 of 5, afterwards 3
        owner           owner 1 0x0000000000000000000000000000000000000001
        owner           owner 2 0x0000000000000000000000000000000000000002
        owner           owner 3 0x0000000000000000000000000000000000000003
        owner           owner 4 0x0000000000000000000000000000000000000004
        owner           owner 5 0x0000000000000000000000000000000000000005
        code            Safe 1.4.1 0x41675C099F32341bf84BFc5382aF534df5C7461a
        guard           none
        module guard    none
        handler         none
        modules         none
        read from       node.example, block 23000000 0xb1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1
        history         0 changes since block 22949600

        On your device
        domain hash     0x 6803 0795 8aa4 f4ba 71bb 13d4 643a 62db aee8 08dd af5c eba5 3514 fbd6 c1a8 9a26
        message hash    0x 63aa dc5b 6d9c 31a9 d932 5238 9b96 c7f9 d18c 8062 134b 57d3 8c85 19d9 1012 916b
        safeTxHash      0xd60a666093fe3c0d6ff1af3a6ee48f2325a527ccd3a16bfe2711502b753e78d4
        read aloud      timap-kinob-nazuv-gubat-kuzud-pusup

        What it does
          1 CALL vault 0xaAaAaAaaAaAaAaaAaAAAAAAAAaaaAaAaAaaAaaAa
            value     0 wei
            action    vault/pause, approved in advance
            function  pauseFor(uint256)
              uint256 duration = 604800
            raw       0xf3f449c70000000000000000000000000000000000000000000000000000000000093a80

        What the simulations showed
          next block             succeeds
            1 slot of 0xaAaAaAaaAaAaAaaAaAAAAAAAAaaaAaAaAaaAaaAa
          in an hour             succeeds
            1 slot of 0xaAaAaAaaAaAaAaaAaAAAAAAAAaaaAaAaAaaAaaAa
          another builder        succeeds
            1 slot of 0xaAaAaAaaAaAaAaaAaAAAAAAAAaaaAaAaAaaAaaAa

        Where it comes from (as the proposer says)
          proposer      alice
          reason        withdrawals exceed deposits
          incident      INC-1
          step          contain
          action        vault/pause
    "#]].assert_eq(&card.text());
}

#[test]
fn the_bybit_card_begins_with_its_refusal() {
    let values = [Value::Address(STRANGER), Value::Uint(U256::ZERO)];
    let data = call("transfer(address,uint256)", &values).unwrap();
    let operation = Operation::DelegateCall;
    let card = card(&proposal(SafeTx { to: STRANGER, data, operation, ..transaction() }));
    assert!(!card.accepted);
    expect_test::expect![[r#"
        REFUSED for 3 reasons: do not sign

        RED   delegatecall         call 1: DELEGATECALL to 0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE, which governance has not pinned: its code would run as the Safe and can replace the Safe itself, whatever the calldata looks like (Bybit, 2025)
        RED   transfer             call 1: it moves tokens
        RED   not-in-policy        call 1: the policy does not name transfer(address,uint256) on 0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE: anybody can deploy a contract with such a function
        note  no-expiry            a Safe signature does not expire: only using the nonce up revokes it
        note  simulation           a simulation is evidence, not proof
        note  not-pre-approved     governance has approved no action with these bytes: compare it with the incident

        Safe            eip155:1:0x5a5A5a5a5A5a5a5a5a5A5a5A5A5a5a5A5A5A5A5A
        release         1.4.1
        nonce           7 (the Safe is at 7)
        threshold       3 of 5, afterwards 3
        owner           owner 1 0x0000000000000000000000000000000000000001
        owner           owner 2 0x0000000000000000000000000000000000000002
        owner           owner 3 0x0000000000000000000000000000000000000003
        owner           owner 4 0x0000000000000000000000000000000000000004
        owner           owner 5 0x0000000000000000000000000000000000000005
        code            Safe 1.4.1 0x41675C099F32341bf84BFc5382aF534df5C7461a
        guard           none
        module guard    none
        handler         none
        modules         none
        read from       node.example, block 23000000 0xb1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1
        history         0 changes since block 22949600

        On your device
        domain hash     0x 6803 0795 8aa4 f4ba 71bb 13d4 643a 62db aee8 08dd af5c eba5 3514 fbd6 c1a8 9a26
        message hash    0x 8502 3550 f32b 3830 8d50 4672 ea3d e21b 5f52 dcda 3a03 8b79 816a 0360 a1da adbb
        safeTxHash      0x33b882cff7c87875b47414e8b36bc0987ef2a7e305fbe8d25bc89b9499194c10
        read aloud      gavum-maraz-zizam-loduj-riduh-digom

        What it does
          1 DELEGATECALL UNNAMED 0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE
            value     0 wei
            function  transfer(address,uint256)
              address to = 0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE
              uint256 amount = 0
            raw       0xa9059cbb000000000000000000000000eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee0000000000000000000000000000000000000000000000000000000000000000

        What the simulations showed
          next block             succeeds
            1 slot of 0xaAaAaAaaAaAaAaaAaAAAAAAAAaaaAaAaAaaAaaAa
          in an hour             succeeds
            1 slot of 0xaAaAaAaaAaAaAaaAaAAAAAAAAaaaAaAaAaaAaaAa
          another builder        succeeds
            1 slot of 0xaAaAaAaaAaAaAaaAaAAAAAAAAaaaAaAaAaaAaaAa

        Where it comes from (as the proposer says)
          proposer      alice
          reason        withdrawals exceed deposits
          incident      INC-1
          step          contain
          action        not stated
    "#]].assert_eq(&card.text());
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
    expect_test::expect![[r#"
        REFUSED for 1 reason: do not sign

        RED   no-evidence          the Safe's state was not read: nonce, owners, threshold, guard and modules are unknown, and nothing was simulated
        note  no-expiry            a Safe signature does not expire: only using the nonce up revokes it
        note  approved-action      its bytes are those of action vault/pause

        Safe            eip155:1:0x5a5A5a5a5A5a5a5a5a5A5a5A5A5a5a5A5A5A5A5A
        release         1.4.1
        nonce           7 (the Safe's: UNKNOWN)
        owners          UNKNOWN
        threshold       UNKNOWN
        guard, modules  UNKNOWN

        On your device
        domain hash     0x 6803 0795 8aa4 f4ba 71bb 13d4 643a 62db aee8 08dd af5c eba5 3514 fbd6 c1a8 9a26
        message hash    0x 63aa dc5b 6d9c 31a9 d932 5238 9b96 c7f9 d18c 8062 134b 57d3 8c85 19d9 1012 916b
        safeTxHash      0xd60a666093fe3c0d6ff1af3a6ee48f2325a527ccd3a16bfe2711502b753e78d4
        read aloud      timap-kinob-nazuv-gubat-kuzud-pusup

        What it does
          1 CALL vault 0xaAaAaAaaAaAaAaaAaAAAAAAAAaaaAaAaAaaAaaAa
            value     0 wei
            action    vault/pause, approved in advance
            function  pauseFor(uint256)
              uint256 duration = 604800
            raw       0xf3f449c70000000000000000000000000000000000000000000000000000000000093a80

        What the simulations showed
          UNKNOWN: nothing was simulated

        Where it comes from (as the proposer says)
          proposer      alice
          reason        withdrawals exceed deposits
          incident      INC-1
          step          contain
          action        not stated
    "#]].assert_eq(&card.text());
}
