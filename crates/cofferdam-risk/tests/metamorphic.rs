//! Metamorphic properties (section 17 of the specification): how outputs must move when inputs move, whatever the
//! numbers are; and that no finite or infinite input makes a public function panic or answer NaN.
#![allow(clippy::unwrap_used, reason = "a failed test should panic")]

use cofferdam_risk::contagion::backing::{Loan, bad_debt};
use cofferdam_risk::numeric::random::Philox;
use cofferdam_risk::pricing::{
    BlackInput, ClmmLeg, IvQuote, OptionKind, PowerPerp, SettlementWindow, implied_vol,
    price_report,
};
use cofferdam_risk::scenario::grid::Book;
use cofferdam_risk::scenario::{
    BookAccount, DeltaGamma, GridConfig, GridInstrument, Leg, PauseInput, pause_report,
};
use cofferdam_risk::solvency::{Account, LossSharing, MICRO, waterfall};
use cofferdam_risk::vol::{MertonJumps, SmilePoint, fit_smile};
use cofferdam_risk::{
    Evidence, EvidenceGroup, StoppingProblem, StoppingTable, fuse, logit, one_shot, posterior_ppb,
    threshold_one_shot, threshold_ppb,
};
use proptest::prelude::*;

fn kind() -> impl Strategy<Value = OptionKind> {
    prop_oneof![Just(OptionKind::Call), Just(OptionKind::Put)]
}

fn legs() -> impl Strategy<Value = Vec<Leg>> {
    let option =
        (kind(), 0.5..2.0_f64, 0.1..2.0_f64, 0.001..1.0_f64).prop_map(|(kind, m, vol, years)| {
            Leg::Option(GridInstrument { kind, strike: 3_000.0 * m, forward: 3_000.0, vol, years })
        });
    let range = (0.1..50.0_f64, 0.3..0.95_f64, 1.05..3.0_f64).prop_map(|(liquidity, a, b)| {
        let leg = ClmmLeg { liquidity, lower: 3_000.0 * a, upper: 3_000.0 * b };
        Leg::Range { price: 3_000.0, leg }
    });
    let leg = prop_oneof![
        4 => option,
        1 => (0.5..2.0_f64).prop_map(|m| Leg::Linear { price: 3_000.0, entry: 3_000.0 * m }),
        1 => (0.5..2.0_f64).prop_map(|m| Leg::Inverse { price: 3_000.0, entry: 3_000.0 * m }),
        1 => Just(Leg::Power { price: 3_000.0, perp: PowerPerp { scale: 1e-4, power: 2.0 } }),
        1 => range,
        1 => Just(Leg::Spot { price: 3_000.0 }),
    ];
    prop::collection::vec(leg, 1..8)
}

fn accounts(legs: usize) -> impl Strategy<Value = Vec<BookAccount>> {
    let position = (0..legs, -50.0..50.0_f64);
    let account = (0.0..1e5_f64, 0.0..50.0_f64, prop::collection::vec(position, 0..6));
    prop::collection::vec(
        account.prop_map(|(usd, coins, positions)| BookAccount { usd, coins, positions }),
        1..6,
    )
}

fn books() -> impl Strategy<Value = (Vec<Leg>, Vec<BookAccount>)> {
    legs().prop_flat_map(|l| {
        let n = l.len();
        (Just(l), accounts(n))
    })
}

fn scaled(accounts: &[BookAccount], by: f64) -> Vec<BookAccount> {
    accounts
        .iter()
        .map(|a| BookAccount {
            usd: by * a.usd,
            coins: by * a.coins,
            positions: a.positions.iter().map(|(i, q)| (*i, by * q)).collect(),
        })
        .collect()
}

const MARKET: MertonJumps =
    MertonJumps { sigma: 0.8, intensity: 12.0, jump_mean: -0.03, jump_sd: 0.06 };

fn pause(
    legs: &[Leg],
    accounts: &[BookAccount],
    fund: f64,
) -> cofferdam_risk::scenario::PauseReport {
    let input = PauseInput {
        instruments: legs,
        accounts,
        spot: 3_000.0,
        market: MARKET,
        hours: 24.0,
        fund,
        no_pause_loss: 0.0,
        paths: 200,
    };
    pause_report(&input, Philox::new(1)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn doubling_all_quantities_doubles_profit_and_shortfall((legs, accounts) in books(), fund in 0.0..1e6_f64) {
        let twice = scaled(&accounts, 2.0);
        let config = GridConfig::default();
        let one = Book::new(&legs, &accounts, 3_000.0, fund).unwrap().grid(&config, &[0.0]).unwrap();
        let two = Book::new(&legs, &twice, 3_000.0, 2.0 * fund).unwrap().grid(&config, &[0.0]).unwrap();
        for (a, b) in one.regular.iter().chain(&one.tail).zip(two.regular.iter().chain(&two.tail)) {
            let close = |x: f64, y: f64| (2.0 * x - y).abs() <= 1e-9 * (1.0 + y.abs());
            prop_assert!(close(a.pnl_usd, b.pnl_usd) && close(a.pnl_coin, b.pnl_coin), "{a:?} {b:?}");
            prop_assert!(close(a.shortfall, b.shortfall) && close(a.fund_left, b.fund_left));
            prop_assert_eq!(a.insolvent, b.insolvent);
        }
    }

    #[test]
    fn adding_fund_money_never_raises_what_is_left_uncovered(
        (legs, accounts) in books(), fund in 0.0..1e6_f64, more in 0.0..1e6_f64,
    ) {
        let (a, b) = (pause(&legs, &accounts, fund), pause(&legs, &accounts, fund + more));
        prop_assert!(b.expected_residual <= a.expected_residual + 1e-9 * (1.0 + a.expected_residual));
        prop_assert!(b.p_fund_exhausted <= a.p_fund_exhausted);
        prop_assert!((a.expected_shortfall - b.expected_shortfall).abs() <= 1e-9 * (1.0 + a.expected_shortfall));
        prop_assert!((a.expected_depletion + a.expected_residual - a.expected_shortfall).abs() < 1e-6 * (1.0 + a.expected_shortfall));
    }

    #[test]
    fn the_waterfall_leaves_less_uncovered_with_a_larger_fund_and_nobody_without_a_position_pays(
        rows in prop::collection::vec((-50_i128..50, 1_i128..200, 0_i128..3_000), 1..12),
        fund in 0_i128..1_000_000_000_000, more in 0_i128..1_000_000_000_000, queue in prop::bool::ANY,
    ) {
        let accounts: Vec<Account> = rows.iter().enumerate().map(|(i, (size, entry, coll))| Account {
            id: format!("{i:02}"), size: size * MICRO, entry: entry * MICRO, collateral: coll * MICRO,
        }).collect();
        let how = if queue { LossSharing::Queue } else { LossSharing::ProRata };
        let a = waterfall(&accounts, 100 * MICRO, fund, 0, how).unwrap();
        let b = waterfall(&accounts, 100 * MICRO, fund + more, 0, how).unwrap();
        prop_assert!(b.residual <= a.residual && b.uncovered <= a.uncovered);
        for h in &a.haircuts {
            prop_assert!(accounts.iter().any(|x| x.id == h.id && x.size != 0));
        }
    }

    #[test]
    fn a_dearer_action_never_needs_less_certainty(c in 0.0..1e9_f64, dc in 0.0..1e9_f64, a in 0.0..1e9_f64) {
        prop_assert!(threshold_one_shot(c + dc, a) >= threshold_one_shot(c, a));
        let micro = |x: f64| (x * 1e6) as i128;
        prop_assert!(threshold_ppb(micro(c + dc), micro(a)) >= threshold_ppb(micro(c), micro(a)));
    }

    #[test]
    fn more_at_stake_or_more_certainty_never_turns_act_into_wait(
        p in 0.0..1.0_f64, dp in 0.0..1.0_f64, c in 0.0..1e9_f64, a in 0.0..1e9_f64, da in 0.0..1e9_f64,
    ) {
        let act = one_shot(p, c, a).unwrap().act;
        prop_assert!(!act || one_shot((p + dp).min(1.0), c, a).unwrap().act);
        prop_assert!(!act || one_shot(p, c, a + da).unwrap().act);
    }

    #[test]
    fn independent_evidence_for_an_attack_never_lowers_the_posterior_and_caps_hold(
        prior in 1_u32..1_000_000_000, groups in prop::collection::vec((0_i32..30_000, prop::collection::vec(-30_000_i32..30_000, 0..5)), 0..6),
        extra in 0_i32..30_000, cap in 0_i32..30_000,
    ) {
        let before = posterior_ppb(prior, &groups);
        let mut with = groups.clone();
        with.push((cap, vec![extra]));
        prop_assert!(posterior_ppb(prior, &with) >= before);
        // The whole move is bounded by the sum of the caps.
        let items = |g: &(i32, Vec<i32>)| {
            let items = g.1.iter().map(|l| Evidence::new(f64::from(*l) / 1e3, 1.0).unwrap()).collect();
            EvidenceGroup::new(f64::from(g.0) / 1e3, items).unwrap()
        };
        let p = f64::from(prior) / 1e9;
        let moved = logit(fuse(p, &groups.iter().map(items).collect::<Vec<_>>())) - logit(p);
        let bound: f64 = groups.iter().map(|g| f64::from(g.0) / 1e3).sum();
        // Near one the probability itself carries only 2^-53 absolute precision.
        let precision = 1e-9 + f64::EPSILON * libm::exp((logit(p).abs() + bound).min(36.0));
        prop_assert!(moved.abs() <= bound + 4.0 * precision, "{moved} {bound}");
    }

    #[test]
    fn bad_debt_never_falls_when_backing_or_price_do(
        loans in prop::collection::vec((0.0..1e4_f64, 0.0..1e7_f64), 0..10), b in 0.0..1.0_f64, db in 0.0..1.0_f64,
    ) {
        let loans: Vec<Loan> = loans.iter().map(|(collateral, debt)| Loan { collateral: *collateral, debt: *debt }).collect();
        let at = |b: f64, price: f64| bad_debt(&loans, price, b, 0.0).unwrap();
        prop_assert!(at((b - db).max(0.0), 2_000.0) >= at(b, 2_000.0));
        prop_assert!(at(b, 1_000.0) >= at(b, 2_000.0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_sequential_rule_moves_with_cost_loss_and_certainty(
        c in 1e4..1e7_f64, factor in 1.0..10.0_f64, l in 1e6..1e9_f64, blocks in 1_usize..30, mu in 0.3..3.0_f64, p in 0.0..1.0_f64,
    ) {
        let solve = |cost_false: f64, l: f64| {
            StoppingTable::solve(StoppingProblem { cost_false, loss_per_block: l / blocks as f64, blocks, evidence_per_block: mu }).unwrap()
        };
        let (base, dear, more) = (solve(c, l), solve(c * factor, l), solve(c, l * factor));
        for n in 1..=blocks {
            prop_assert!(dear.threshold(n) >= base.threshold(n) * (1.0 - 1e-9));
            prop_assert!(more.threshold(n) <= base.threshold(n) * (1.0 + 1e-9));
            prop_assert!(!base.acts(n, p) || more.acts(n, p));
            prop_assert!(!base.acts(n, p) || base.acts(n, (p + 0.1).min(1.0)));
        }
    }
}

/// Any float, with the awkward ones often.
fn anything() -> impl Strategy<Value = f64> {
    prop_oneof![
        2 => any::<f64>(),
        2 => -10.0..1e6_f64,
        1 => prop::sample::select(vec![0.0, -0.0, 1.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, f64::MAX, f64::EPSILON]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn pricing_never_panics_and_never_answers_nan(
        forward in anything(), strike in anything(), years in anything(), vol in anything(), rate in anything(), kind in kind(), price in anything(),
    ) {
        let input = BlackInput { forward, strike, years, vol, rate, kind };
        if let Ok(r) = price_report(&input) {
            let u = r.usd;
            for x in [r.price.value, u.delta, u.gamma, u.vega, u.theta, u.vanna, u.volga, u.charm, u.speed, u.zomma, u.dual_delta,
                r.coin.price, r.coin.net_delta, r.coin.gamma, r.coin.vega, r.coin.theta, r.coin.vanna, r.coin.volga, r.theta_day] {
                prop_assert!(x.is_finite(), "{input:?} {r:?}");
            }
            prop_assert!(r.price.value >= 0.0 && u.gamma >= 0.0 && u.vega >= 0.0);
        }
        let iv = implied_vol(&IvQuote { forward, strike, years, price, half_tick: vol, kind });
        prop_assert!(iv.mid.is_none_or(|v| v.is_finite() && v >= 0.0));
        let window = SettlementWindow { length: years, running_average: strike };
        if let Ok(w) = window.effective(forward, vol, years.abs()) {
            prop_assert!(w.variance >= 0.0);
        }
    }

    #[test]
    fn legs_and_closed_forms_never_panic_and_never_answer_nan(
        a in anything(), b in anything(), c in anything(), d in anything(), shock in anything(),
    ) {
        let all = [
            Leg::Linear { price: a, entry: b },
            Leg::Inverse { price: a, entry: b },
            Leg::Power { price: a, perp: PowerPerp { scale: b, power: c } },
            Leg::Range { price: a, leg: ClmmLeg { liquidity: b, lower: c, upper: d } },
            Leg::Spot { price: a },
        ];
        for leg in all {
            if leg.validate().is_ok() && let Ok(v) = leg.value(shock, 0.5, 0.0) {
                prop_assert!(v.is_finite());
            }
        }
        if let Ok(x) = DeltaGamma::new(a, b, c, d, shock) {
            let _ = x.quantile(0.01);
        }
        let _ = threshold_one_shot(a, b);
        let _ = one_shot(a, b, c);
        let _ = fuse(a, &[]);
        let _ = fit_smile(&[SmilePoint { k: a, vol: b, weight: c }; 6], d);
    }
}
