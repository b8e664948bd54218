//! Times the parts of a decision that stand between a finding and an order: `cargo run --release -p
//! cofferdam-decide --example latency`. One line a part: name, best of several rounds, unit, bar.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a measurement for people")]

use std::{collections::BTreeSet, hint::black_box, time::Instant};

use alloy_primitives::{Address, B256};
use cofferdam_core::{
    BlockRef, ChainId, Class, Finding, Severity, Stage, Timestamp, Usd,
    plan::{Mode, Plan},
};
use cofferdam_decide::{Case, Tables, Ties, Weighed, decide};
use cofferdam_risk::{
    progress::{BlockEvidence, StageModel, stages_ppb},
    waiting::{Stand, WaitingTable},
};

const ROUNDS: usize = 15;
const FINDINGS: u64 = 12;

const PLAN: &str = r#"
version = 1
name = "Latency"
[[chains]]
id = "eip155:31337"
[[entities]]
id = "pool"
accounts = ["eip155:31337:0x00000000000000000000000000000000000000aa"]
value-at-risk = "61000000 usd"
[[actions]]
id = "pause"
rung = "pause-market"
contains = ["pool"]
call = { via = "direct", target = "eip155:31337:0x00000000000000000000000000000000000000aa", function = "pause", relayer = "one" }
autonomy = { level = "act" }
cost = { fixed = "15000 usd", per-hour = "4000 usd", duration = "6h", pause-risk = "74000 usd" }
"#;

fn main() {
    row("threshold and value of waiting, lookup", lookup(), "ns", 1_000.0);
    row("posterior by stage, 12 blocks of evidence over 300", posterior() / 1e3, "µs", 50.0);
    row("whole decision with its ledger, 12 findings", decision() / 1e3, "µs", 500.0);
    row("tables of a plan, drain of 10 blocks", tables(10) / 1e6, "ms", 50.0);
    row("tables of a plan, drain of 100 blocks", tables(100) / 1e6, "ms", 50.0);
}

fn row(name: &str, value: f64, unit: &str, bar: f64) {
    let pass = if value <= bar { "yes" } else { "NO" };
    println!("{name}\t{value:.1}\t{unit}\t{bar}\t{pass}");
}

/// Nanoseconds of one call: the best round of `times` calls each.
fn best(times: u32, mut call: impl FnMut(u32)) -> f64 {
    let round = |_| {
        let start = Instant::now();
        (0..times).for_each(&mut call);
        start.elapsed().as_nanos() as f64 / f64::from(times)
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

fn lookup() -> f64 {
    let table = WaitingTable::solve(100, 1_500).expect("in range");
    best(20_000, |i| {
        let stand = Stand {
            cost: 200_000_000_000,
            next: i128::from(i) * 1_000_000_000,
            later: 1_000_000_000_000,
            later_blocks: u64::from(i % 99),
        };
        black_box(table.threshold_ppb(black_box(&stand)));
        black_box(table.waiting_micro_usd(black_box(&stand), i));
    })
}

fn posterior() -> f64 {
    let model =
        StageModel { prior_ppb: 16, atomic_ppm: 440_000, drain_blocks: 10, preparation_blocks: 10 };
    let blocks: Vec<BlockEvidence> = (0..FINDINGS)
        .map(|i| BlockEvidence { age: 300 - 25 * i, suspicion: 900, harm: 1_500, loss: i > 8 })
        .collect();
    best(2_000, |_| {
        black_box(stages_ppb(&model, black_box(&blocks)));
    })
}

fn finding(number: u64) -> Finding {
    let block = BlockRef {
        chain: ChainId(31_337),
        number,
        hash: B256::with_last_byte(number as u8),
        parent: B256::ZERO,
        time: Timestamp::from_secs(12 * number),
    };
    let rule = format!("rule-{}", number % 5);
    Finding {
        id: Finding::id_of(block.chain, &rule, block.hash, Address::repeat_byte(0xaa)),
        detector: "outflow".into(),
        entity: "pool".into(),
        severity: Severity::Critical,
        class: if number.is_multiple_of(2) { Class::Damage } else { Class::Suspicion },
        stage: Stage::Provisional,
        block,
        tx: None,
        subject: Address::repeat_byte(0xaa),
        actors: vec![Address::repeat_byte((number % 3) as u8)],
        llr_millinats: 4_000,
        group: format!("group-{}", number % 3),
        loss: Usd::whole(100_000),
        summary: "net outflow".into(),
        evidence: vec![],
        rule,
    }
}

fn decision() -> f64 {
    let plan: Plan = toml::from_str(PLAN).expect("a plan");
    let tables = Tables::of(&plan.decision);
    let findings: Vec<Finding> = (0..FINDINGS).map(finding).collect();
    let weigh = |it| Weighed { finding: it, mode: Mode::Automatic, age: 20 - it.block.number };
    let findings: Vec<Weighed<'_>> = findings.iter().map(weigh).collect();
    let (none, ties) = (BTreeSet::new(), Ties::new());
    let case = Case {
        now: Timestamp::from_secs(300),
        plan: &plan,
        tables: &tables,
        entity: &plan.entities[0],
        chain: ChainId(31_337),
        holdings: None,
        findings: &findings,
        ties: &ties,
        past: &[],
        under_way: &none,
        waiting: &[],
    };
    best(500, |_| {
        black_box(decide(black_box(&case)));
    })
}

fn tables(blocks: usize) -> f64 {
    best(3, |_| {
        black_box(WaitingTable::solve(2 * blocks, 1_500).expect("in range"));
    })
}
