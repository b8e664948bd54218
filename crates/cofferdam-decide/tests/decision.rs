//! The decision as a responder would read it.
#![expect(clippy::expect_used, reason = "a test may panic")]

use std::{collections::BTreeSet, sync::LazyLock};

use alloy_primitives::{Address, B256};
use cofferdam_core::{
    BlockRef, ChainId, Class, Finding, Probability, Severity, Stage, Timestamp, Usd,
    plan::{EvidenceCard, Mode, Plan, card},
};
use cofferdam_decide::{
    Case, Choice, Decided, PastOrder, Tables, Ties, Waiting, Weighed, decide, render,
};
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

/// A case around one plan, to be varied.
#[derive(Clone)]
struct Setting {
    plan: Plan,
    tables: Tables,
    ties: Ties,
    past: Vec<PastOrder>,
    under_way: BTreeSet<String>,
    waiting: Vec<Waiting>,
}

impl Setting {
    /// The setting of one of the two plans, solved once.
    fn of(plan: &str) -> Self {
        static PLANS: LazyLock<[Setting; 2]> =
            LazyLock::new(|| [Setting::solve(PLAN), Setting::solve(BOOK)]);
        let [first, second] = &*PLANS;
        if plan == PLAN { first.clone() } else { second.clone() }
    }

    fn solve(plan: &str) -> Self {
        let plan: Plan = toml::from_str(plan).expect("a plan");
        let tables = Tables::of(&plan.decision);
        let (past, under_way, waiting) = (vec![], BTreeSet::new(), vec![]);
        Self { plan, tables, ties: Ties::new(), past, under_way, waiting }
    }

    fn decide(&self, findings: &[Weighed<'_>]) -> Decided {
        decide(&Case {
            now: NOW,
            plan: &self.plan,
            tables: &self.tables,
            entity: &self.plan.entities[0],
            chain: ChainId(31337),
            holdings: None,
            findings,
            ties: &self.ties,
            past: &self.past,
            under_way: &self.under_way,
            waiting: &self.waiting,
        })
    }
}

const NOW: Timestamp = Timestamp(84_500);

fn run(finding: &Finding, mode: Mode, past: &[PastOrder]) -> (String, Option<Choice>) {
    let setting = Setting { past: past.to_vec(), ..Setting::of(PLAN) };
    let it = setting.decide(&[Weighed { finding, mode, age: 0 }]);
    (render::ledger(&it.ledger), it.choice)
}

#[test]
fn a_critical_loss_pauses_the_market_and_not_the_protocol() {
    let (text, choice) =
        run(&finding(Class::Damage, Severity::Critical, 21_000, 300_000), Mode::Automatic, &[]);
    assert_eq!(choice, Some(Choice { action: "pause-vault".into(), automatic: true }));
    expect![[r#"
        decision at 1970-01-01T00:01:24.500Z
          prior per block                 0.0000016 % [0.0000005 % … 0.0000048 %] plan: decision.prior-ppb, 3 times less or more
          evidence: value                 +20.000 nat                      findings of drain, expert judgement, capped at +20.000 nat
          stage: preparation              0.0000008 % [0.0000007 % … 0.0000009 %] suspicion before a loss
          stage: in progress              49.60 % [39.65 % … 53.69 %]      harm, less what took all at once
          stage: drained                  38.97 % [31.15 % … 42.18 %]      atomic share of the first loss, and quiet since
          posterior                       49.60 % [39.65 % … 53.69 %]      in progress, or begins before the next block
          value at risk                   $1,000,000                       plan: value-at-risk of vault
          already lost                    $300,000                         findings of class damage in blocks
          still there                     $700,000                         value at risk less loss
          loss per block while it drains  $198,333 [$76,520 … $700,000]    one block with a loss, half a block as planned
          blocks until all is gone        4 blocks                         still there by loss per block
          loss in the next block if real  $198,333 [$76,520 … $700,000]    one block of the drain; all at once is over
          cost of pause-vault             $4,000 [$2,000 … $6,000]         plan: fixed $2,000 + fees $2,000 for 4h
          cost of pause-all               $40,000 [$20,000 … $60,000]      plan: fixed $20,000 + fees $20,000 for 4h
          false alarms left               4                                plan: 4 in 90d, less 0.00 doubted
          action             next block        saves                     cost      threshold      waiting          net  verdict
          pause-vault          $198,333     $700,000          $2,000 … $6,000         1.03 %      $98,383     $345,249  act
          pause-all            $198,333     $700,000        $20,000 … $60,000         9.50 %      $96,382     $327,108  another is better
          waiting: what one more block costs over acting now; negative: waiting is better
          → pause-vault
            pause-vault would not be worth it below a posterior of 1.03 %, above a cost of $375,065, or if it saved less than $2,115 in the next block
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
    let doubt = Probability(100_000_000);
    let mut used =
        PastOrder { action: "pause-vault".into(), at: Timestamp(0), automatic: true, doubt };
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

/// A pool with an options book: everything that a pause costs, an expiry inside it, a limiter on the way out.
const BOOK: &str = r#"
version = 1
name = "Example"
[[chains]]
id = "eip155:31337"
block-time = "12s"
[[entities]]
id = "pool"
accounts = ["eip155:31337:0x00000000000000000000000000000000000000aa"]
value-at-risk = "61000000 usd"
outlet = { capacity = "4000000 usd", per-hour = "3000000 usd" }
[[actions]]
id = "limit"
rung = "limit"
contains = ["pool"]
call = { via = "direct", target = "eip155:31337:0x00000000000000000000000000000000000000aa", function = "pause", relayer = "one" }
autonomy = { level = "act" }
stops = "58 %"
cost = { fixed = "5000 usd", per-hour = "600 usd", catch-up = "80 %", duration = "12h" }
[[actions]]
id = "pause-pool"
rung = "pause-market"
contains = ["pool"]
call = { via = "direct", target = "eip155:31337:0x00000000000000000000000000000000000000aa", function = "pause", relayer = "one" }
autonomy = { level = "act" }
stops = "96 %"
success = "98 %"
cost = { fixed = "15000 usd", per-hour = "4000 usd", catch-up = "30 %", duration = "6h", delayed = "9000000 usd", opportunity = "0.1 bps", liquidations = "20000 usd", pause-risk = "74000 usd", lp-flight = "5000000 usd", lp-margin = "20 bps", lp-months = 2, expiry = { first = 28800, every = "1d", loss = "31000 usd" } }
[[actions]]
id = "pause-protocol"
rung = "pause-protocol"
contains = ["pool"]
call = { via = "direct", target = "eip155:31337:0x00000000000000000000000000000000000000ab", function = "pause", relayer = "one" }
effect-blocks = 2
cost = { fixed = "200000 usd", per-hour = "500000 usd", duration = "6h" }
"#;

fn at(number: u64, class: Class, group: &str, llr: i32, loss: i128, actor: u8) -> Finding {
    let mut it = finding(class, Severity::Critical, llr, loss);
    it.block.number = number;
    it.block.hash = B256::with_last_byte(number as u8);
    it.rule = group.into();
    it.group = group.into();
    it.actors = vec![Address::repeat_byte(actor)];
    it.id = Finding::id_of(it.block.chain, group, it.block.hash, it.subject);
    it
}

/// With the head at block 20.
fn weighed(findings: &[Finding]) -> Vec<Weighed<'_>> {
    let weigh =
        |finding| Weighed { finding, mode: Mode::Automatic, age: 20 - finding.block.number };
    findings.iter().map(weigh).collect()
}

#[test]
fn the_ledger_shows_every_term_with_its_unit_source_and_interval() {
    let findings = [
        at(12, Class::Suspicion, "funding", 4_000, 0, 1),
        at(18, Class::Damage, "value", 14_000, 900_000, 1),
        at(20, Class::Damage, "value", 14_000, 1_100_000, 1),
        at(19, Class::Suspicion, "bridge", 3_000, 0, 9),
    ];
    let it = Setting::of(BOOK).decide(&weighed(&findings));
    expect![[r#"
        decision at 1970-01-01T00:01:24.500Z
          prior per block                 0.0000016 % [0.0000005 % … 0.0000048 %] plan: decision.prior-ppb, 3 times less or more
          evidence: funding               +4.000 nat                       findings of funding, expert judgement, capped at +20.000 nat
          evidence: value                 +14.000 nat                      findings of value, expert judgement, capped at +20.000 nat
          attackers                       2                                unrelated accounts; the strongest evidence against one of them counts
          stage: preparation              0.0000406 % [0.0000266 % … 0.0000484 %] suspicion before a loss
          stage: in progress              73.82 % [48.30 % … 87.89 %]      harm, less what took all at once
          stage: drained                  2.16 % [1.41 % … 2.57 %]         atomic share of the first loss, and quiet since
          posterior                       73.82 % [48.30 % … 87.89 %]      in progress, or begins before the next block
          value at risk                   $61,000,000                      plan: value-at-risk of pool
          already lost                    $2,000,000                       findings of class damage in blocks
          still there                     $59,000,000                      value at risk less loss
          loss per block while it drains  $1,424,305 [$709,734 … $2,030,000] 2 blocks with losses; exponential fits better
          blocks until all is gone        41 blocks                        still there by loss per block
          most that gets out              $2,030,000                       plan: outlet of the entity
          loss in the next block if real  $1,424,305 [$709,734 … $2,030,000] one block of the drain; all at once is over
          cost of limit                   $6,440 [$3,220 … $9,660]         plan: fixed $5,000 + fees $1,440 for 12h
          cost of pause-pool              $146,340 [$73,170 … $219,510]    plan: fixed $15,000 + fees $16,800 + held-up withdrawals $540.00 + liquidations not averted $20,000 + pause risk $74,000 + liquidity leaving $20,000 for 6h
          cost of pause-protocol          $3,200,000 [$1,600,000 … $4,800,000] plan: fixed $200,000 + fees $3,000,000 for 6h
          false alarms left               4                                plan: 4 in 90d, less 0.00 doubted
          action             next block        saves                     cost      threshold      waiting          net  verdict
          limit                $826,097  $33,869,983          $3,220 … $9,660         0.37 %     $609,852  $25,002,259  another is better
          pause-pool         $1,339,986  $54,939,448       $73,170 … $219,510         4.95 %     $988,976  $40,519,816  act
          pause-protocol     $1,424,305  $56,972,217  $1,600,000 … $4,800,000        51.72 %     $817,770  $41,221,126  another is better
          waiting: what one more block costs over acting now; negative: waiting is better
          → pause-pool
            pause-pool would not be worth it below a posterior of 4.95 %, above a cost of $7,922,633, or if it saved less than $24,751 in the next block
    "#]].assert_eq(&render::ledger(&it.ledger));
}

#[test]
fn below_the_threshold_the_ledger_says_what_would_change_it() {
    let findings = [at(20, Class::Damage, "value", 9_000, 900_000, 1)];
    let it = Setting::of(BOOK).decide(&weighed(&findings));
    assert_eq!(it.choice, None);
    expect![[r#"
        limit becomes worth it at a posterior of 0.20 % (now 0.0072609 %), below a cost of $230.79, or if it saved more than $42,303,253 in the next block
        pause-pool becomes worth it at a posterior of 2.76 % (now 0.0072609 %), below a cost of $374.36, or if it saved more than $961,282,114 in the next block
        pause-protocol becomes worth it at a posterior of 36.86 % (now 0.0072609 %), below a cost of $397.92, or if it saved more than $21,020,245,449 in the next block"#]].assert_eq(&it.ledger.flips.join("\n"));
}

#[test]
fn unrelated_accounts_are_not_added_up() {
    let apart = [
        at(19, Class::Suspicion, "one", 9_000, 0, 1),
        at(20, Class::Suspicion, "two", 9_000, 0, 2),
    ];
    let together = [apart[0].clone(), at(20, Class::Suspicion, "two", 9_000, 0, 1)];
    let posterior = |it: &[Finding]| Setting::of(BOOK).decide(&weighed(it)).ledger.posterior;
    assert!(posterior(&together).0 > 1_000 * posterior(&apart).0 / 2);
}

#[test]
fn accounts_that_one_account_funded_are_one_attacker() {
    let findings = [
        at(19, Class::Suspicion, "one", 9_000, 0, 1),
        at(20, Class::Suspicion, "two", 9_000, 0, 2),
        at(20, Class::Suspicion, "three", 9_000, 0, 3),
    ];
    let mut setting = Setting::of(BOOK);
    let apart = setting.decide(&weighed(&findings)).ledger;
    let funder = Address::repeat_byte(0xf0);
    for account in [1, 2] {
        setting.ties.insert(Address::repeat_byte(account), [funder].into());
    }
    let tied = setting.decide(&weighed(&findings)).ledger;
    assert!(tied.posterior.0 > 1_000 * apart.posterior.0 / 2);
    let term = tied.terms.iter().find(|it| it.name == "accounts of the attacker").expect("told");
    assert_eq!(term.value.to_string(), "2");
    assert_eq!(term.source, "1 of them joined by who created or funded them");
}

/// A card by which a `value` finding of `outflow` is worth 18 nats, and proved to be worth `low`.
fn card(low: i32) -> EvidenceCard {
    let (from, attacks, clean, llr, high) = (19_000, 20, 0, 18_000, 19_000);
    let bins = vec![card::ScoreBin { from, attacks, clean, llr, low, high }];
    let weight = "100 %".parse().expect("a share");
    let table = card::ScoreTable { detector: "outflow".into(), weight, bins };
    let basis = card::Basis::Measured;
    EvidenceCard { basis, tables: vec![table], ..EvidenceCard::expert() }
}

#[test]
fn what_may_act_without_a_person_is_what_the_counts_prove() {
    let findings = [at(20, Class::Damage, "value", 19_000, 900_000, 1)];
    let mut setting = Setting::of(BOOK);
    let judged = setting.decide(&weighed(&findings));
    assert!(judged.choice.is_some_and(|it| it.automatic), "judgement as it is stated");
    setting.plan.evidence = Some(card(17_500));
    let proved = setting.decide(&weighed(&findings));
    assert!(proved.choice.is_some_and(|it| it.automatic), "{:?}", proved.ledger.flips);
    setting.plan.evidence = Some(card(8_000));
    let it = setting.decide(&weighed(&findings));
    assert_eq!(it.ledger.posterior, proved.ledger.posterior, "shown is the best estimate");
    assert!(it.choice.is_some_and(|it| !it.automatic), "proposed to a person");
    let lines: Vec<String> = render::ledger(&it.ledger)
        .lines()
        .filter(|it| it.contains("evidence") || it.contains("proved"))
        .map(|it| it.trim().to_owned())
        .collect();
    expect![[r#"
        evidence: value                 +18.000 nat [+8.000 nat … +19.000 nat] findings of value, by counts, capped at +20.000 nat
        posterior, proved               0.0026723 %                      by the lower bounds of the evidence card: what may act without a person
        limit is only proposed: the counts behind its evidence prove a posterior of 0.0026723 % only
        pause-pool is only proposed: the counts behind its evidence prove a posterior of 0.0026723 % only"#]].assert_eq(&lines.join("\n"));
}

#[test]
fn calibrated_evidence_and_its_bounds_are_in_the_ledger() {
    let findings = [
        at(19, Class::Suspicion, "one", 9_000, 0, 1),
        at(20, Class::Damage, "value", 19_000, 900_000, 1),
    ];
    let mut setting = Setting::of(BOOK);
    let plain = setting.decide(&weighed(&findings)).ledger.posterior;
    let knot = card::Knot { evidence: 30_000, llr: 15_000, low: 12_000, high: 20_000 };
    setting.plan.evidence = Some(EvidenceCard { calibration: vec![knot], ..card(17_500) });
    let it = setting.decide(&weighed(&findings)).ledger;
    assert!(it.posterior < plain);
    let term = it.terms.iter().find(|it| it.name == "evidence, calibrated").expect("told");
    let (low, high) = term.interval.expect("bounds");
    assert_eq!(
        [low, term.value, high].map(|it| it.to_string()),
        ["+7.200 nat", "+9.000 nat", "+12.000 nat"]
    );
}

#[test]
fn a_drain_that_stopped_is_not_paused_and_one_that_goes_on_is() {
    let first = at(2, Class::Damage, "value", 17_000, 900_000, 1);
    let last = at(20, Class::Damage, "value", 17_000, 900_000, 1);
    let weigh = |finding, age| Weighed { finding, mode: Mode::Automatic, age };
    let setting = Setting::of(BOOK);
    assert_eq!(setting.decide(&[weigh(&first, 90)]).choice, None);
    assert!(setting.decide(&[weigh(&first, 90), weigh(&last, 0)]).choice.is_some());
}

#[test]
fn what_waits_is_given_up_only_well_below_its_threshold_and_after_its_dwell() {
    let mut setting = Setting::of(PLAN);
    setting.under_way.insert("pause-vault".into());
    let waits = |since| vec![Waiting { action: "pause-vault".into(), since }];
    setting.plan.decision.dwell = cofferdam_core::plan::DurationText(60_000);
    let decide = |setting: &Setting, llr| {
        let finding = finding(Class::Control, Severity::Critical, llr, 0);
        let it = setting.decide(&[Weighed { finding: &finding, mode: Mode::OneClick, age: 0 }]);
        (it.withdraw, it.ledger)
    };
    setting.waiting = waits(Timestamp(0));
    let (withdraw, ledger) = decide(&setting, 8_000);
    assert_eq!(withdraw, ["pause-vault"]);
    // Between the two thresholds it is kept.
    let line = ledger.options.iter().find(|it| it.action == "pause-vault").expect("weighed");
    assert_eq!(line.room.exit.0, line.threshold.0 / 3);
    let between = (8_000..20_000).step_by(100).find(|llr| {
        let posterior = decide(&setting, *llr).1.posterior;
        line.room.exit <= posterior && posterior < line.threshold
    });
    assert!(decide(&setting, between.expect("such evidence")).0.is_empty());
    setting.waiting = waits(Timestamp(NOW.0 - 59_000));
    assert!(decide(&setting, 8_000).0.is_empty(), "dwell");
}

#[test]
fn spent_false_alarms_and_dear_actions_are_only_proposed() {
    let findings = [at(20, Class::Damage, "value", 19_000, 900_000, 1)];
    let run = |setting: &Setting| setting.decide(&weighed(&findings));
    let mut setting = Setting::of(BOOK);
    assert!(run(&setting).choice.is_some_and(|it| it.automatic));
    let other = |doubt| PastOrder {
        action: "elsewhere".into(),
        at: Timestamp(1_000),
        automatic: true,
        doubt,
    };
    setting.past = vec![other(Probability::CERTAIN); 4];
    let it = run(&setting);
    assert!(it.choice.is_some_and(|it| !it.automatic));
    assert!(
        it.ledger.flips.iter().any(|it| it.ends_with("4 false alarms in 90d are spent")),
        "{:?}",
        it.ledger.flips
    );
    setting.past = vec![other(Probability::NEVER); 40];
    assert!(run(&setting).choice.is_some_and(|it| it.automatic));
    for action in &mut setting.plan.actions {
        action.budget.cost_max = Some("1000 usd".parse().expect("an amount"));
    }
    assert!(run(&setting).choice.is_some_and(|it| !it.automatic));
}

proptest! {
    /// `risk.md` §17 through the whole decision: more at stake or more certainty never turns *act* into *wait*,
    /// a dearer action never needs less certainty.
    #[test]
    fn the_whole_decision_moves_the_right_way(
        llr in 5_000..20_000_i32, more in 0..8_000_i32, loss in 0..900_000_i128, dearer in 1..50_i128,
    ) {
        let decide = |setting: &Setting, llr| {
            let it = finding(Class::Damage, Severity::Critical, llr, loss);
            setting.decide(&[Weighed { finding: &it, mode: Mode::Automatic, age: 0 }])
        };
        let plain = Setting::of(PLAN);
        let at = |it: &Decided| it.ledger.options[0].clone();
        let base = decide(&plain, llr);
        prop_assert!(base.choice.is_none() || decide(&plain, llr + more).choice.is_some());
        let mut dear = Setting::of(PLAN);
        for action in &mut dear.plan.actions {
            action.cost.fixed.0 = Usd(action.cost.fixed.0.0 * dearer);
        }
        prop_assert!(at(&decide(&dear, llr)).threshold >= at(&base).threshold);
        let mut rich = Setting::of(PLAN);
        rich.plan.entities[0].value_at_risk = Some("5000000 usd".parse().expect("an amount"));
        prop_assert!(base.choice.is_none() || decide(&rich, llr).choice.is_some());
    }

    /// Before anything is lost the full rule acts no later than the one-shot rule of the same plan.
    #[test]
    fn before_a_loss_it_acts_no_later_than_the_one_shot_rule(llr in 0..22_000_i32, pending in 0..1_000_000_i128) {
        let mut harm = finding(Class::Damage, Severity::Critical, llr, pending);
        harm.stage = Stage::Pending;
        let mut setting = Setting::of(PLAN);
        for action in &mut setting.plan.actions {
            action.stage = Stage::Pending;
        }
        let mut first = Setting::of(PLAN);
        first.plan = setting.plan.clone();
        first.plan.decision.policy = cofferdam_core::plan::Policy::OneShot;
        let case = [Weighed { finding: &harm, mode: Mode::Automatic, age: 0 }];
        prop_assert!(first.decide(&case).choice.is_none() || setting.decide(&case).choice.is_some());
    }
}
