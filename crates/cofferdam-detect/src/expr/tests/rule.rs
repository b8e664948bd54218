//! Rules, from settings and observations to findings.

use alloy_primitives::hex;
use cofferdam_core::ChainId;
use expect_test::{Expect, expect};

use crate::{
    BuildError, RuleSet,
    expr::Signature,
    fixture::{VAULT, check as check_detector, parse, plan},
};

fn check(settings: &str, blocks: &str, expect: Expect) {
    check_detector("expression", settings, blocks, expect);
}

fn built(settings: &str) -> Result<RuleSet, BuildError> {
    let rule = "[[rules]]\nid = \"r\"\ndetector = \"expression\"\n[rules.settings]\n";
    RuleSet::build(&plan(&format!("{VAULT}\n{rule}{settings}")), ChainId(1))
}

fn refuses(settings: &str, expect: Expect) {
    match built(settings).map(|_| ()) {
        Err(BuildError::Unusable { what, hint, .. }) => {
            expect.assert_eq(&format!("{what}\nhint: {hint}"));
        }
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn state_is_compared_with_the_parent_block() {
    let settings = r#"
        when = "touched"
        let = { tvl = "call(self, \"totalAssets()(uint256)\")" }
        if = "tvl < 90% of before(tvl)"
        summary = "assets of {self} fell from {before(tvl):18} to {tvl:18}"
    "#;
    let blocks = "
        block 7
          read view 0xaa 0x01e1d114 1000e18 -> 899e18
          read view 0xab 0x01e1d114 1000e18 -> 1000e18
          tx 0xee -> 0xaa
        block 8
          read view 0xaa 0x01e1d114 899e18 -> 899e18
          read view 0xab 0x01e1d114 1000e18 -> 0
          tx 0xee -> 0xaa
        block 9
          read view 0xaa 0x01e1d114 899e18 -> ?
          tx 0xee -> 0xaa
        block 10
          read view 0xaa 0x01e1d114 899e18 -> !
          tx 0xee -> 0xaa
    ";
    check(
        settings,
        blocks,
        expect![[r#"
        7 medium expression 0xaa $0.00: assets of 0x00000000000000000000000000000000000000AA fell from 1000 to 899
        9 medium expression 0xaa $0.00: rule could not be evaluated: the state was not available
        9 medium blind 0xaa $0.00: 1 of 1 state reads unavailable
        10 high expression 0xaa $0.00: rule could not be evaluated: the call reverted
    "#]],
    );
}

#[test]
fn state_is_asked_for_only_when_a_contract_is_touched() {
    let condition = r#"if = "balance(self) < before(balance(self))""#;
    let rules = built(condition).unwrap();
    let txs = |text: &str| parse(&format!("block 7\n{text}"))[0].txs.clone();
    assert_eq!(rules.wanted(&txs("tx 0xee -> 0xec")), []);
    assert_eq!(rules.wanted(&txs("tx 0xee -> 0xaa")).len(), 2);
    let every = built(&format!("when = \"block\"\n{condition}")).unwrap();
    assert_eq!(every.wanted(&[]).len(), 2);
}

#[test]
fn a_rule_on_every_block_needs_no_transaction() {
    let settings = r#"
        when = "block"
        if = "call(self, \"paused()(bool)\") and not before(call(self, \"paused()(bool)\"))"
        contracts = ["eip155:1:0x00000000000000000000000000000000000000aa"]
        severity = "info"
        summary = "{self} paused by block {block.number}"
    "#;
    let blocks = "
        block 7
          read view 0xaa 0x5c975abb 0 -> 1
        block 8
          read view 0xaa 0x5c975abb 1 -> 1
    ";
    check(
        settings,
        blocks,
        expect![[r#"
        7 info expression 0xaa $0.00: 0x00000000000000000000000000000000000000AA paused by block 7
    "#]],
    );
}

#[test]
fn a_log_is_matched_by_signature_and_emitter() {
    let topic = Signature::parse("Drained(address,uint256)").unwrap().topic();
    let settings = r#"
        when = "log"
        event = "Drained(address who, uint256 amount)"
        if = "amount > 5 and who != tx.from"
        summary = "{who} drained {amount}"
    "#;
    let blocks = format!(
        "
        block 7
          tx 0xee -> 0xec
            log 0xaa {topic} 0xef,6
        block 8
          tx 0xee -> 0xec
            log 0xaa {topic} 0xef,5
            log 0x99 {topic} 0xef,6
        block 9
          tx 0xee -> 0xec
            log 0xaa {topic} 0xef
    "
    );
    check(
        settings,
        &blocks,
        expect![[r#"
        7 medium expression 0xaa $0.00: 0x00000000000000000000000000000000000000EF drained 6
        9 high expression 0xaa $0.00: rule could not be evaluated: the log or calldata does not have the declared shape
    "#]],
    );
}

#[test]
fn a_call_is_matched_in_the_call_tree_and_a_missing_tree_is_blind() {
    let selector = hex::encode(Signature::parse("borrow(uint256)").unwrap().selector());
    let settings = r#"
        when = "call"
        function = "borrow(uint256 amount)"
        if = "amount >= 10 and call.from != tx.from"
        summary = "{call.from} borrowed {amount}"
    "#;
    let data = |amount: u64| format!("0x{selector}{amount:064x}");
    let (ten, nine) = (data(10), data(9));
    let blocks = format!(
        "
        block 7
          tx 0xee -> 0xec
            call 0xec 0xaa {ten}
        block 8
          tx 0xee -> 0xec
            call 0xec 0xaa {nine}
            call 0xec 0x99 {ten}
            call 0xee 0xaa {ten}
            delegatecall 0xec 0xaa {ten}
        block 9
          tx 0xee -> 0xaa untraced input {ten}
        block 10
          tx 0xee -> 0xec
            call 0xec 0xaa 0x{selector}
    "
    );
    check(
        settings,
        &blocks,
        expect![[r#"
        7 medium expression 0xaa $0.00: 0x00000000000000000000000000000000000000ec borrowed 10
        9 medium expression 0xaa $0.00: rule could not be evaluated: the call tree and state diff were not available
        10 high expression 0xaa $0.00: rule could not be evaluated: the log or calldata does not have the declared shape
    "#]],
    );
}

#[test]
fn windows_add_up_over_blocks_and_survive_a_restart() {
    let settings = r#"
        if = "from in entity.accounts and sum(amount, 1m) by to > 100"
        summary = "{to} took {sum(amount, 1m) by to} within a minute"
    "#;
    // The fixture gives every memo a trip through text after each block.
    let blocks = "
        block 7 time 100
          tx 0xee -> 0xec
            transfer 0x70 60 from 0xaa to 0xee
            transfer 0x70 60 from 0xaa to 0xef
        block 8 time 112
          tx 0xee -> 0xec
            transfer 0x70 41 from 0xab to 0xee
        block 9 time 160
          tx 0xee -> 0xec
            transfer 0x70 41 from 0xab to 0xef
    ";
    check(
        settings,
        blocks,
        expect![[r#"
        8 medium expression 0xab $0.00: 0x00000000000000000000000000000000000000eE took 101 within a minute
    "#]],
    );
}

#[test]
fn a_full_window_is_blind_and_not_silent() {
    let settings = r#"if = "sum(amount, 1h) by amount > 1e30""#;
    let transfers = |from: u32| -> String {
        let lines =
            (from..from + 1_024).map(|it| format!("transfer 0x70 {it} from 0xaa to 0xee\n"));
        lines.collect()
    };
    let blocks = format!(
        "block 7\n tx 0xee -> 0xec\n{}block 8\n tx 0xee -> 0xec\n{}",
        { transfers(1) },
        transfers(2)
    );
    check(
        settings,
        &blocks,
        expect![[r#"
        8 high expression 0xaa $0.00: rule could not be evaluated: the window has reached its limit of 1024 keys
    "#]],
    );
}

#[test]
fn a_memo_of_other_windows_is_refused_and_leaves_the_rule_as_built() {
    let of = |window: &str| built(&format!("if = \"sum(amount, {window}) > 100\"")).unwrap();
    let blocks = parse("block 7\n tx 0xee -> 0xec\n transfer 0x70 60 from 0xaa to 0xee");
    let mut short = of("1m");
    let changed = short.observe(&blocks[0]).changed;
    let (rule, before, after) = &changed[0];
    assert_eq!((rule.as_str(), before), ("r", &None));
    let mut long = of("2m");
    long.recall("r", Some(after));
    assert_eq!(long.observe(&blocks[0]).findings, []);
    short.recall("r", None);
    assert_eq!(short.observe(&blocks[0]).findings, []);
    short.recall("r", Some(after));
    assert_eq!(short.observe(&blocks[0]).findings.len(), 1);
}

#[test]
fn settings_that_cannot_work_are_refused_with_a_hint() {
    refuses(
        "if = \"amonut > 5\"",
        expect![[r#"
        unknown name `amonut`
         --> if, line 1, column 1
          |
        1 | amonut > 5
          | ^^^^^^
        hint: did you mean `amount`?"#]],
    );
    refuses(
        "when = \"transfers\"\nif = \"true\"",
        expect![[r#"
        `when = "transfers"` is nothing that happens
        hint: one of: log, call, transaction, touched, block, transfer, nft-transfer, multi-transfer, native-transfer, approval, wrapped, unwrapped, flash-loan, pair-swap, pair-sync, vault-deposit, vault-withdraw, market-mint, market-redeem, market-borrow, upgraded, admin-changed, beacon-upgraded, ownership-transferred, role-granted, role-revoked, paused, unpaused, created, delegated, storage-changed, code-changed"#]],
    );
    refuses(
        "when = \"log\"\nif = \"true\"",
        expect![[r#"
        `event` and `when = "log"` belong together
        hint: give both or neither; `when` is `log`"#]],
    );
    refuses(
        "when = \"log\"\nevent = \"E(uint a\"\nif = \"a > 5\"",
        expect![[r#"
        expected `,` or `)`
         --> event, line 1, column 9
          |
        1 | E(uint a
          |         ^
        hint: see the page of the detector"#]],
    );
    refuses(
        "class = \"blind\"\nif = \"amount > 5\"",
        expect![[r#"
        findings of class `blind` are made by the detector itself
        hint: choose `damage`, `control`, `suspicion` or `defence`"#]],
    );
    refuses(
        "llr-millinats = 20_001\nif = \"amount > 5\"",
        expect![[r#"
        `llr-millinats` is beyond ±20000
        hint: no single rule can claim more (risk model, evidence cap)"#]],
    );
    refuses(
        "contracts = [\"eip155:2:0x00000000000000000000000000000000000000aa\"]\nif = \"amount > 5\"",
        expect![[r#"
            it looks at no contract on any chain of the plan
            hint: check the chains of `contracts`"#]],
    );
    refuses(
        "if = \"amount > 5\"\nsummary = \"{amuont} left\"",
        expect![[r#"
        unknown name `amuont`
         --> summary, line 1, column 2
          |
        1 | {amuont} left
          |  ^^^^^^
        hint: did you mean `amount`?"#]],
    );
    assert!(matches!(built("if = 5").map(|_| ()), Err(BuildError::Settings { .. })));
    assert!(matches!(built("").map(|_| ()), Err(BuildError::Settings { .. })));
}

#[test]
fn what_was_not_looked_into_raises_nothing_for_a_rule_that_needs_no_trace() {
    let blocks = "
        block 7
          tx 0xee -> 0xec untraced
            transfer 0x70 5 from 0xaa to 0xee
    ";
    check(r#"if = "amount > 5""#, blocks, expect![[""]]);
    check(
        "when = \"native-transfer\"\nif = \"amount > 5\"",
        blocks,
        expect![[r#"
        7 medium expression 0xaa $0.00: rule could not be evaluated: the call tree and state diff were not available
    "#]],
    );
}
