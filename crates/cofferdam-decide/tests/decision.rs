//! The decision as a responder would read it.
#![expect(clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};
use cofferdam_core::{
    BlockRef, ChainId, Class, Finding, Severity, Stage, Timestamp, Usd,
    plan::{Mode, Plan},
};
use cofferdam_decide::{Case, Choice, PastOrder, Weighed, decide, render};
use expect_test::expect;
use proptest::prelude::*;

const PLAN: &str = r#"
version = 1
name = "Example"
[[entities]]
id = "vault"
accounts = ["eip155:31337:0x00000000000000000000000000000000000000aa"]
value-at-risk = "1000000 usd"
[[actions]]
id = "pause-vault"
rung = "pause-market"
contains = ["vault"]
call = { via = "direct", target = "eip155:31337:0x00000000000000000000000000000000000000aa", function = "pause", relayer = "one" }
autonomy = { level = "act" }
cost = { fixed = "2000 usd", per-hour = "500 usd", duration = "4h" }
[[actions]]
id = "pause-all"
rung = "pause-protocol"
contains = ["vault"]
call = { via = "direct", target = "eip155:31337:0x00000000000000000000000000000000000000ab", function = "pause", relayer = "one" }
cost = { fixed = "20000 usd", per-hour = "5000 usd", duration = "4h" }
"#;

fn finding(class: Class, severity: Severity, llr: i32, loss: i128) -> Finding {
    let block = BlockRef {
        chain: ChainId(31337),
        number: 7,
        hash: B256::repeat_byte(7),
        parent: B256::ZERO,
        time: Timestamp(84_000),
    };
    Finding {
        id: Finding::id_of(block.chain, "drain", block.hash, Address::repeat_byte(0xaa)),
        detector: "outflow".into(),
        rule: "drain".into(),
        entity: "vault".into(),
        severity,
        class,
        stage: Stage::Provisional,
        block,
        tx: None,
        subject: Address::repeat_byte(0xaa),
        actors: vec![],
        llr_millinats: llr,
        group: "value".into(),
        loss: Usd::whole(loss),
        summary: "net outflow of 30 % of the vault".into(),
        evidence: vec![],
    }
}

fn run(finding: &Finding, mode: Mode, past: &[PastOrder]) -> (String, Option<Choice>) {
    let plan: Plan = toml::from_str(PLAN).expect("a plan");
    let findings = [Weighed { finding, mode }];
    let case = Case {
        now: Timestamp(84_500),
        plan: &plan,
        entity: &plan.entities[0],
        holdings: None,
        findings: &findings,
        blocks_since_loss: 1,
        past,
        under_way: &BTreeSet::new(),
    };
    let (ledger, choice) = decide(&case);
    (render::ledger(&ledger), choice)
}

#[test]
fn a_critical_loss_pauses_the_market_and_not_the_protocol() {
    let (text, choice) =
        run(&finding(Class::Damage, Severity::Critical, 21_000, 300_000), Mode::Automatic, &[]);
    assert_eq!(choice, Some(Choice { action: "pause-vault".into(), automatic: true }));
    expect![[r#"
        decision at 1970-01-01T00:01:24.500Z
          prior per block                 0.0000016 %                      plan: decision.prior-ppb
          evidence: value                 +20.000 nat                      findings of drain, capped at +20.000 nat
          posterior                       88.58 %                          prior and evidence (Bayes)
          value at risk                   $1,000,000                       plan: value-at-risk of vault
          already lost                    $300,000                         findings of class damage in blocks
          still there                     $700,000                         value at risk less loss
          blocks a drain takes            10 blocks                        plan: decision.drain-blocks
          loss in the next block if real  $168,000 [$70,000 … $700,000]    observed rate or even drain of the rest; the atomic part is sunk
          cost of pause-vault             $4,000 [$2,000 … $4,000]         plan: fixed 2000 usd + 500 usd an hour for 4h
          cost of pause-all               $40,000 [$20,000 … $40,000]      plan: fixed 20000 usd + 5000 usd an hour for 4h
          action                      avoided         cost      threshold            net  verdict
          pause-vault                $168,000       $4,000         2.32 %       $148,371  act
          pause-all                  $168,000      $40,000        19.23 %       $144,262  another is better
          → pause-vault
            pause-vault would not be worth it below a posterior of 2.32 %
    "#]].assert_eq(&text);
}

#[test]
fn suspicion_alone_never_acts() {
    let (_, choice) =
        run(&finding(Class::Suspicion, Severity::Critical, 30_000, 0), Mode::Automatic, &[]);
    assert_eq!(choice, None);
}

#[test]
fn a_weak_finding_is_below_the_threshold() {
    let (_, choice) =
        run(&finding(Class::Damage, Severity::High, 5_000, 1_000), Mode::Automatic, &[]);
    assert_eq!(choice, None);
}

#[test]
fn shadow_rules_do_not_count() {
    let (_, choice) =
        run(&finding(Class::Damage, Severity::Critical, 30_000, 300_000), Mode::Shadow, &[]);
    assert_eq!(choice, None);
}

#[test]
fn one_click_rules_and_an_exhausted_budget_only_propose() {
    let critical = finding(Class::Damage, Severity::Critical, 30_000, 300_000);
    let proposed = |choice: Option<Choice>| choice.is_some_and(|it| !it.automatic);
    assert!(proposed(run(&critical, Mode::OneClick, &[]).1));
    let mut used = PastOrder { action: "pause-vault".into(), at: Timestamp(0), automatic: true };
    assert!(
        run(&critical, Mode::Automatic, &[used.clone()])
            .1
            .is_some_and(|it| it.action == "pause-all"),
        "cooldown"
    );
    used.at = Timestamp(84_500);
    assert!(run(&critical, Mode::Automatic, &[used]).1.is_some_and(|it| !it.automatic));
}

proptest! {
    #[test]
    fn more_evidence_never_undoes_an_action(llr in 0..40_000_i32, more in 0..10_000_i32, loss in 0..2_000_000_i128) {
        let act = |llr| run(&finding(Class::Damage, Severity::Critical, llr, loss), Mode::Automatic, &[]).1.is_some();
        prop_assert!(!act(llr) || act(llr.saturating_add(more)));
    }
}
