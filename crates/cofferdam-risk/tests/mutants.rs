//! Exact values that pin the decision and the kernel where a changed operator would otherwise go unnoticed
//! (`cargo xtask mutate risk` found each).
#![allow(clippy::unwrap_used, reason = "a failed test should panic")]

use cofferdam_risk::door::{acts, net_benefit_micro_usd, threshold_ppb};
use cofferdam_risk::pricing::normal::quantile;
use cofferdam_risk::pricing::{
    BatchBook, BatchExpiry, BatchOption, BlackInput, OptionKind, PowerPerp, SettlementWindow,
    black_price, price_report,
};
use cofferdam_risk::threshold_one_shot;
use proptest::prelude::*;

#[test]
fn nothing_to_gain_and_nothing_to_pay_is_no_reason_to_act() {
    assert_eq!(threshold_one_shot(0.0, 0.0), 1.0);
    assert_eq!(threshold_one_shot(f64::INFINITY, f64::INFINITY), 1.0);
    assert_eq!(threshold_one_shot(0.0, 5.0), 0.0);
    assert_eq!(threshold_one_shot(5.0, f64::INFINITY), 0.0);
    assert_eq!(threshold_one_shot(1.0, 3.0), 0.25);
}

#[test]
fn net_benefit_is_exact_and_rounds_against_acting() {
    // A quarter of 1,000 less three quarters of 100.
    assert_eq!(net_benefit_micro_usd(250_000_000, 100, 1_000), 175);
    // 0.25 x 3 = 0.75 rounds down to 0, 0.75 x 3 = 2.25 rounds up to 3.
    assert_eq!(net_benefit_micro_usd(250_000_000, 3, 3), -3);
    assert_eq!(net_benefit_micro_usd(2_000_000_000, 7, 9), 9);
    assert_eq!(net_benefit_micro_usd(500_000_000, -8, -8), 0);
    assert!(acts(250_000_000, 100, 1_000) && !acts(250_000_000, 400, 1_000));
    assert!(!acts(0, 0, 1_000) && acts(1_000_000_000, 1 << 90, 1 << 80));
    assert_eq!(threshold_ppb(1, 3), 250_000_000);
    assert_eq!(threshold_ppb(1, 2), 333_333_334);
}

/// Any float, with the awkward ones often.
fn anything() -> impl Strategy<Value = f64> {
    prop_oneof![
        2 => any::<f64>(),
        3 => 1e-3..1e6_f64,
        1 => prop::sample::select(vec![0.0, 1.0, f64::MIN_POSITIVE, f64::MAX, 1e-90, 1e90, 1e-160, 1e160]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_batch_of_anything_answers_as_the_scalar_kernel_or_refuses(
        forward in anything(), years in anything(), strikes in prop::collection::vec((anything(), anything(), any::<bool>()), 1..70),
    ) {
        let Ok(expiry) = BatchExpiry::new(forward, years) else { return Ok(()) };
        let kind = |call: bool| if call { OptionKind::Call } else { OptionKind::Put };
        let kept: Vec<(f64, f64, bool)> = strikes
            .into_iter()
            .filter(|(k, v, call)| BatchOption::new(kind(*call), *k, *v, 0).is_ok())
            .collect();
        let options: Vec<BatchOption> =
            kept.iter().map(|(k, v, call)| BatchOption::new(kind(*call), *k, *v, 0).unwrap()).collect();
        let book = BatchBook::new(vec![expiry], &options).unwrap();
        let mut seen = 0;
        let priced = book.each_full_block(|places, block, higher| {
            for (lane, place) in places.iter().enumerate() {
                seen += 1;
                let (strike, vol, call) = kept[*place as usize];
                let g = block.get(lane).unwrap();
                for x in [g.value, g.delta, g.gamma, g.vega, g.theta, g.dual_delta] {
                    assert!(x.is_finite(), "{forward} {years} {strike} {vol}: {g:?}");
                }
                assert!(higher.columns().iter().all(|c| !c[lane].is_nan()));
                assert!(g.value >= 0.0 && g.gamma >= 0.0 && g.delta.abs() <= 1.0);
                let input = BlackInput { forward, strike, years, vol, rate: 0.0, kind: kind(call) };
                let want = price_report(&input).unwrap().price.value;
                assert!((g.value - want).abs() <= 1e-9 * forward.max(strike), "{input:?} {g:?} {want}");
            }
        });
        prop_assert!(priced.is_err() || seen == kept.len());
    }
}

fn near_strike(years: f64, strike: f64, vol: f64) -> BlackInput {
    BlackInput { forward: 100.0, strike, years, vol, rate: 0.0, kind: OptionKind::Call }
}

#[test]
fn pin_risk_needs_both_the_strike_and_the_hour() {
    assert!(near_strike(1e-6, 100.1, 0.5).pin_risk());
    assert!(!near_strike(1.0, 100.1, 0.5).pin_risk(), "far from expiry");
    assert!(!near_strike(1e-6, 110.0, 0.5).pin_risk(), "far from the strike");
}

#[test]
fn underflow_is_a_time_value_that_is_there_and_cannot_be_written() {
    assert!(!black_price(&near_strike(1.0, 110.0, 0.5)).unwrap().underflow);
    assert!(!black_price(&near_strike(1.0, 110.0, 0.0)).unwrap().underflow, "no time value at all");
    assert!(black_price(&near_strike(1.0, 1e6, 0.01)).unwrap().underflow);
}

#[test]
fn an_expired_option_moves_with_its_forward_in_both_numeraires() {
    let r = price_report(&near_strike(0.0, 80.0, 0.5)).unwrap();
    assert_eq!((r.usd.delta, r.usd.dual_delta), (1.0, -1.0));
    assert_eq!(r.coin.price, 0.2);
    // 80 / 100 coins for each, and its derivatives: d/dF of 1 - K / F.
    assert_eq!((r.coin.net_delta, r.coin.slope, r.coin.gamma), (0.8, 0.008, -0.000_16));
}

#[test]
fn the_quantile_is_infinite_at_its_ends_and_undefined_beyond() {
    assert_eq!((quantile(0.0), quantile(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
    assert!(
        quantile(-1e-9).is_nan() && quantile(1.0 + 1e-9).is_nan() && quantile(f64::NAN).is_nan()
    );
    assert!(quantile(0.3) < 0.0 && quantile(0.7) > 0.0);
}

#[test]
fn a_power_perpetual_has_the_greeks_of_a_power() {
    let perp = PowerPerp { scale: 0.5, power: 3.0 };
    assert_eq!(perp.at(4.0).unwrap(), (32.0, 24.0, 12.0));
}

#[test]
fn inside_the_settlement_window_the_volatility_is_that_of_the_variance_left() {
    let window = SettlementWindow { length: 0.1, running_average: 100.0 };
    let (adjusted, eff) = window.adjust(&near_strike(0.05, 100.0, 0.6)).unwrap();
    assert!((adjusted.vol * adjusted.vol * 0.05 - eff.variance).abs() < 1e-15);
    assert!((adjusted.vol / (0.6 * 0.5 / 3_f64.sqrt()) - 1.0).abs() < 1e-12);
}

/// Found by the fuzz target `pricing`.
#[test]
fn a_time_value_out_of_range_is_refused() {
    let input = BlackInput {
        forward: 1.783_886_602_456_018_8e127,
        strike: 2.295_563_782_363_5e-310,
        years: 1.276_163_950_736_888_4e130,
        vol: 2.391_801_093_599_375_2e281,
        rate: 1.783_886_751_653_337_8e127,
        kind: OptionKind::Put,
    };
    assert!(black_price(&input).is_err());
}
