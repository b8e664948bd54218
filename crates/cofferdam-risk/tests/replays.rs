//! Incidents of the record, replayed through the models with the published figures as intervals. A replay checks that
//! the arithmetic covers what happened and which action it prefers; it predicts nothing.
#![allow(clippy::unwrap_used, reason = "a failed test should panic")]

use cofferdam_risk::contagion::backing::{
    BackingAlarm, BackingRule, Loan, backing_alarm, backing_ratio, bad_debt,
};
use cofferdam_risk::cost::{ActionCost, Input, Source};
use cofferdam_risk::limiters::{BucketConfig, Hierarchy, Measure, Outflow};
use cofferdam_risk::severity::Drain;
use cofferdam_risk::severity::hazard::Hazard;
use cofferdam_risk::severity::loss::LimiterBound;
use cofferdam_risk::solvency::{Account, LossSharing, MICRO, adl_queue, waterfall};
use cofferdam_risk::{
    Evidence, EvidenceGroup, StoppingProblem, StoppingTable, fuse, net_benefit, threshold_one_shot,
};

/// Share of attacks that are atomic: 56 % of 181 studied ones left a rescue window.
const ATOMIC: f64 = 0.44;
/// Seconds of an Ethereum block.
const BLOCK: f64 = 12.0;

/// Prior of an attack per block at the measured base rate: 317 exploits in five years over about 1,500 protocols.
fn prior() -> f64 {
    Hazard::update(1e-9, 1e-9, 317.0, 7_500.0).unwrap().probability(BLOCK)
}

fn nothing() -> Input {
    Input::exact(0.0)
}

fn guess(low: f64, value: f64, high: f64) -> Input {
    Input { value, low, high, source: Source::Default }
}

fn base_cost() -> ActionCost {
    ActionCost {
        hours: Input::exact(6.0),
        fees_per_hour: nothing(),
        catch_up: nothing(),
        delayed: nothing(),
        opportunity_per_hour: guess(1e-6, 1e-5, 5e-5),
        liquidations: nothing(),
        pause_risk: nothing(),
        lp_flight: nothing(),
        lp_margin_per_month: nothing(),
        lp_months: nothing(),
        fixed: guess(5e3, 2e4, 1e5),
    }
}

/// KelpDAO, 2026-04-18: 116,500 rsETH worth 292 M USD released against nothing at 17:35, 177 to 236 M USD of WETH
/// borrowed against them on Aave until its freeze at 18:52; published bad debt 177 to 196 M USD.
#[test]
fn kelp_unbacked_collateral_costs_what_was_published_and_freezing_it_beats_pausing_everything() {
    let (minted, value) = (116_500.0, 292e6);
    let price = value / minted;
    // Fed the published borrow sizes; redemption is frozen, so the unbacked part is worth nothing.
    let debt_of = |borrowed: f64| {
        bad_debt(&[Loan { collateral: minted, debt: borrowed }], price, 0.0, 0.0).unwrap()
    };
    let (low, high) = (debt_of(177e6), debt_of(236e6));
    assert!(low <= 177e6 && 196e6 <= high, "{low} {high}");
    // Fully backed, the same loans would have been good: the loss is the missing backing and nothing else.
    let sound = bad_debt(&[Loan { collateral: minted, debt: 236e6 }], price, 1.0, 0.02).unwrap();
    assert_eq!(sound, 0.0);

    // The representation was about a fifth of the supply: the first block after the release shows it.
    let rule = BackingRule::default();
    let supply = 647_000_u128;
    assert_eq!(backing_alarm(&rule, Some(backing_ratio(supply, supply)), 0, false), None);
    let after = backing_ratio(supply - 116_500, supply);
    assert_eq!(backing_alarm(&rule, Some(after), 0, false), Some(BackingAlarm::Unbacked));

    // Acting one block after the alarm stops the borrowing, whichever action does it.
    let minutes = 77.0;
    let drained = |t: f64| Drain::Linear { blocks: minutes * 60.0 / BLOCK }.loss(206e6, t, None);
    let saved = drained(1e9) - drained(1.0);
    assert!(saved > 0.99 * 206e6);
    let freeze = ActionCost { delayed: Input::exact(value), ..base_cost() }.price().unwrap();
    let everything = ActionCost {
        fees_per_hour: guess(2e4, 5e4, 1e5),
        delayed: guess(5e9, 20e9, 30e9),
        opportunity_per_hour: guess(1e-6, 1e-5, 5e-5),
        liquidations: guess(0.0, 2e6, 2e7),
        lp_flight: guess(6.6e9, 7.5e9, 8.4e9),
        lp_margin_per_month: guess(1e-4, 3e-4, 1e-3),
        lp_months: guess(1.0, 2.0, 6.0),
        ..base_cost()
    }
    .price()
    .unwrap();
    // Even the dear end of freezing is below the cheap end of pausing.
    assert!(freeze.range.1 < everything.range.0, "{:?} {:?}", freeze.range, everything.range);
    for p in [0.001, 0.01, 0.1, 0.5, 0.99] {
        let of = |cost: f64| net_benefit(p, cost, saved);
        assert!(of(freeze.total) > of(everything.total));
    }
    assert!(
        threshold_one_shot(freeze.total, saved)
            < threshold_one_shot(everything.total, saved) / 50.0
    );
}

/// Drift, 2026-04-01: signer threshold lowered and time lock removed in the week before, withdrawal guards switched
/// off, then 285 of 309 M USD left in 12 minutes.
#[test]
fn drift_the_change_of_safeguards_alone_passes_the_rate_limit_threshold_before_the_first_withdrawal()
 {
    // No false alarm in half a million clean windows may claim 12 nats, and no more. Three changes of one cause are
    // one group and share that cap.
    let (_, cap) = cofferdam_risk::detection::llr_cap(95, 100, 0, 490_000);
    assert!((cap - 12.0).abs() < 0.2);
    let changes = [6.0, 6.0, 8.0].map(|llr| Evidence::new(llr, 1.0).unwrap()).to_vec();
    let group = EvidenceGroup::new(cap, changes).unwrap();
    let posterior = fuse(prior(), &[group]);

    // Nothing has left yet, so the atomic part is still ahead.
    let (at_risk, blocks) = (309e6, 12.0 * 60.0 / BLOCK);
    let next = Drain::Linear { blocks }.next_block(at_risk, 0.0, None);
    let avoided = ATOMIC * at_risk + (1.0 - ATOMIC) * next;
    let limit = ActionCost {
        hours: Input::exact(2.0),
        delayed: guess(1e6, 5e6, 2e7),
        fixed: guess(5e3, 1.2e4, 5e4),
        ..base_cost()
    }
    .price()
    .unwrap();
    let at = |cost: f64| threshold_one_shot(cost, avoided);
    assert!(posterior > at(limit.total), "{posterior:e} {:e}", at(limit.total));
    assert!(posterior > at(limit.range.1), "even at the dear end: {:e}", at(limit.range.1));
    // A full halt of the venue needs more than this evidence gives.
    assert!(posterior < at(5e6));
    // And without the changes nothing would have been done.
    assert!(prior() < at(limit.range.0));
}

/// A synthetic perpetuals book of 2025-10-10: `longs` of leverage `leverage` against shorts of the same size.
fn october_book(open_interest: f64, leverage: f64) -> Vec<Account> {
    let micro = |x: f64| (x * 1e6).round() as i128;
    let entry = 100.0;
    let mut out = Vec::new();
    for i in 0..400_u32 {
        // Sizes fall like a power law, so that a few accounts matter most.
        let weight = 1.0 / f64::from(i + 1);
        let coins = open_interest / entry * weight / 6.57;
        // Half of the longs are at the given leverage, the rest comfortable.
        let lever = if i % 2 == 0 { leverage } else { 3.0 };
        out.push(Account {
            id: format!("long-{i:03}"),
            size: micro(coins),
            entry: micro(entry * (1.0 - 0.03 * f64::from(i % 4))),
            collateral: micro(coins * entry / lever),
        });
        out.push(Account {
            id: format!("short-{i:03}"),
            size: -micro(coins),
            entry: micro(entry * (1.0 + 0.02 * f64::from(i % 5))),
            collateral: micro(coins * entry / (2.0 + f64::from(i % 9))),
        });
    }
    out
}

/// 2025-10-10 on one venue: 2.1 bn USD closed by deleveraging in 12 minutes, about 45 to 52 M USD more haircut than
/// needed. The book is ours and synthetic; the published volume must lie between a mild and a severe reading of it.
#[test]
fn october_queue_deleveraging_closes_more_of_fewer_than_sharing_would() {
    let run = |leverage: f64, mark: f64, how| {
        let accounts = october_book(15e9, leverage);
        let mark = (mark * 1e6) as i128;
        let w = waterfall(&accounts, mark, 40_000_000 * MICRO, 0, how).unwrap();
        let closed: f64 = w.haircuts.iter().map(|h| h.closed as f64 * mark as f64 / 1e12).sum();
        (w, closed)
    };
    let (_, mild) = run(10.0, 89.0, LossSharing::Queue);
    let (severe, most) = run(20.0, 84.0, LossSharing::Queue);
    assert!(mild < 2.1e9 && 2.1e9 < most, "{mild:e} {most:e}");

    let (shared, _) = run(20.0, 84.0, LossSharing::ProRata);
    let taken =
        |w: &cofferdam_risk::solvency::Waterfall| w.haircuts.iter().map(|h| h.amount).sum::<i128>();
    // The same loss, but the queue takes everything from a few while sharing takes a little from all.
    assert_eq!(taken(&severe), taken(&shared));
    assert!(severe.haircuts.len() < shared.haircuts.len() / 2);
    let harshest = |w: &cofferdam_risk::solvency::Waterfall| {
        let share = |h: &cofferdam_risk::solvency::Haircut| {
            let upnl = w.accounts.iter().find(|a| a.id == h.id).unwrap().upnl;
            h.amount as f64 / upnl as f64
        };
        w.haircuts.iter().map(share).fold(0.0, f64::max)
    };
    assert!(harshest(&severe) > 0.999 && harshest(&shared) < harshest(&severe));
    // Excess over the fair share, summed over those who paid more than it.
    let fair: std::collections::BTreeMap<_, _> =
        shared.haircuts.iter().map(|h| (h.id.clone(), h.amount)).collect();
    let excess: i128 = severe
        .haircuts
        .iter()
        .map(|h| (h.amount - fair.get(&h.id).copied().unwrap_or(0)).max(0))
        .sum();
    assert!(excess > 0 && excess < taken(&severe));
    let excess_usd = excess as f64 / 1e6;
    let (gentle, _) = run(10.0, 89.0, LossSharing::Queue);
    let (gentle_shared, _) = run(10.0, 89.0, LossSharing::ProRata);
    let gentle_fair: std::collections::BTreeMap<_, _> =
        gentle_shared.haircuts.iter().map(|h| (h.id.clone(), h.amount)).collect();
    let gentle_excess: i128 = gentle
        .haircuts
        .iter()
        .map(|h| (h.amount - gentle_fair.get(&h.id).copied().unwrap_or(0)).max(0))
        .sum();
    assert!(
        (gentle_excess as f64) / 1e6 < 52e6 && 45e6 < excess_usd,
        "{gentle_excess} {excess_usd:e}"
    );
    assert!(!adl_queue(&severe.accounts).is_empty());
}

/// What one response to Nomad would have cost and saved. USD.
struct Outcome {
    lost: f64,
    cost: f64,
}

/// Nomad, 2022-08-01: 190 M USD left over about 150 minutes, copied by hundreds of senders. Evidence, posterior,
/// sequential decision, containment and its price, end to end, beside what others would have done.
#[test]
fn nomad_contained_in_one_block_keeps_nearly_everything_and_a_limiter_keeps_most_of_the_rest() {
    let (value, minutes) = (190e6, 150.0);
    let blocks = minutes * 60.0 / BLOCK;
    let drain = Drain::Linear { blocks };
    // First fraudulent message: paid without a matching deposit (backing), and an outflow far beyond the history.
    let backing = EvidenceGroup::new(12.0, vec![Evidence::new(14.0, 1.0).unwrap()]).unwrap();
    let outflow = EvidenceGroup::new(9.0, vec![Evidence::new(9.5, 1.0).unwrap()]).unwrap();
    let posterior = fuse(prior(), &[backing, outflow]);
    assert!(posterior > 0.9, "{posterior}");

    // Cost of pausing the bridge for a day, false or not.
    let pause = ActionCost {
        hours: Input::exact(24.0),
        fees_per_hour: guess(50.0, 200.0, 1_000.0),
        delayed: guess(2e6, 8e6, 3e7),
        lp_flight: guess(0.0, 5e6, 2e7),
        lp_margin_per_month: guess(1e-3, 3e-3, 5e-3),
        lp_months: guess(1.0, 3.0, 6.0),
        ..base_cost()
    }
    .price()
    .unwrap();
    let table = StoppingTable::solve(StoppingProblem {
        cost_false: pause.total,
        loss_per_block: value / blocks,
        blocks: blocks as usize,
        evidence_per_block: 1.0,
    })
    .unwrap();
    assert!(table.acts(blocks as usize, posterior));
    assert!(table.cost_of_waiting(blocks as usize, posterior) > 0.0);
    // The day before, nothing would have been done.
    assert!(!table.acts(blocks as usize, prior()));

    let contained = |seconds: f64, limiter: Option<LimiterBound>| Outcome {
        lost: drain.loss(value, seconds / BLOCK, limiter),
        cost: pause.total,
    };
    let never = Outcome { lost: value, cost: 0.0 };
    let one_block = contained(BLOCK, None);
    let poller = contained(174.0, None);
    let human = contained(30.0 * 60.0, None);
    let limiter = Some(LimiterBound { bucket: 2e6, per_block: 1e5 });
    let human_limited = contained(30.0 * 60.0, limiter);
    for (better, worse) in
        [(&one_block, &poller), (&poller, &human), (&human_limited, &human), (&human, &never)]
    {
        assert!(better.lost + better.cost < worse.lost + worse.cost);
    }
    assert!(one_block.lost <= 0.002 * value);
    assert!((0.15..0.25).contains(&(human.lost / value)), "{}", human.lost / value);
    assert!(human_limited.lost <= 17e6 + 1.0);
    let saved = value - one_block.lost - one_block.cost;
    assert!(saved > 0.99 * value, "{saved}");
    assert!(one_block.cost < 2e5, "{:?}", pause);
}

/// The same limiter as the integer model enforces it: what the closed form promises is what the buckets let out.
#[test]
fn nomad_the_integer_limiter_releases_no_more_than_the_closed_form() {
    let mut h = Hierarchy::default();
    // 2 M USD at once and 100,000 USD a block, in micro-USD.
    let config = BucketConfig {
        measure: Measure::MicroUsd,
        capacity: 2_000_000_000_000,
        rate: 100_000_000_000 / 12,
        raise_delay: 86_400,
    };
    h.add("bridge", config, 0).unwrap();
    let mut out = 0_u128;
    // Hundreds of senders, each asking for 200,000 USD again and again for half an hour.
    for second in 0..1_800 {
        let wish = Outflow {
            units: 200_000_000_000,
            price_short: 1_000_000,
            price_long: 1_000_000,
            decimals: 6,
        };
        if h.withdraw(&["bridge"], &wish, second).is_ok() {
            out += wish.micro_usd().unwrap();
        }
    }
    let bound = 2_000_000_000_000 + 100_000_000_000 * 150;
    assert!(out <= bound && out >= bound - 200_000_000_000, "{out} {bound}");
}
