//! Golden values of the pricing kernel, at the accuracy targets of the specification.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use cofferdam_risk::pricing::{
    BlackInput, ClmmLeg, InversePerp, IvQuote, IvStatus, OptionKind, black_price, implied_vol,
    normal, price_report, settlement,
};
use common::{close, json, near, num, text};

fn kind(cp: f64) -> OptionKind {
    if cp > 0.0 { OptionKind::Call } else { OptionKind::Put }
}

fn rows(name: &str) -> (Vec<String>, Vec<Vec<f64>>) {
    let text = text(name);
    let mut lines = text.lines();
    let head = lines.next().unwrap().split(',').map(str::to_owned).collect();
    let parse = |l: &str| l.split(',').map(|x| x.parse().unwrap()).collect();
    (head, lines.map(parse).collect())
}

#[test]
fn black76_inverse_golden() {
    let (head, rows) = rows("black76_inverse_golden.csv");
    assert_eq!(rows.len(), 705);
    let mut worst = vec![(0.0_f64, 0_usize); head.len()];
    let mut worst_abs = 0.0_f64;
    for (line, v) in rows.iter().enumerate() {
        let input = BlackInput {
            forward: v[0],
            strike: v[1],
            years: v[2],
            vol: v[3],
            kind: kind(v[4]),
            rate: v[5],
        };
        let r = price_report(&input).unwrap();
        let (u, c) = (r.usd, r.coin);
        let got = [
            r.price.value,
            u.delta,
            u.gamma,
            u.vega,
            u.theta,
            u.vanna,
            u.volga,
            u.charm,
            u.speed,
            u.zomma,
            u.dual_delta,
            c.price,
            c.net_delta,
            c.slope,
            c.gamma,
            c.vega,
            c.theta,
            c.vanna,
            c.volga,
        ];
        worst_abs = worst_abs.max((got[0] - v[6]).abs() / v[0]);
        for (i, g) in got.iter().enumerate() {
            let want = v[6 + i];
            if want.abs() > 1e-280 {
                let rel = ((g - want) / want).abs();
                if rel > worst[6 + i].0 {
                    worst[6 + i] = (rel, line + 2);
                }
            }
        }
    }
    let report: Vec<_> = head
        .iter()
        .zip(&worst)
        .skip(6)
        .map(|(h, w)| format!("{h} {:.2e} at line {}", w.0, w.1))
        .collect();
    let bad =
        worst.iter().enumerate().any(|(i, w)| w.0 > if i == 6 || i == 17 { 5e-13 } else { 1e-12 });
    assert!(!bad && worst_abs <= 1e-15, "abs {worst_abs:.2e} {report:#?}");
}

#[test]
fn implied_vol_golden() {
    let (_, rows) = rows("implied_vol_golden.csv");
    assert_eq!(rows.len(), 389);
    let mut refused = 0;
    for v in rows {
        let (f, k, t, s, cp, p) = (v[0], v[1], v[2], v[3], v[4], v[5]);
        let quote =
            IvQuote { forward: f, strike: k, years: t, price: p, half_tick: 0.0, kind: kind(cp) };
        let iv = implied_vol(&quote);
        let Some(got) = iv.mid else {
            assert!(
                matches!(iv.status, IvStatus::AtIntrinsic | IvStatus::AboveMax),
                "{v:?} {iv:?}"
            );
            refused += 1;
            continue;
        };
        let sd = s * t.sqrt();
        let d1 = (f / k).ln() / sd + sd / 2.0;
        let vega = f * normal::pdf(d1) * t.sqrt();
        let cond = p.max((cp * (f - k)).max(0.0)) * f64::EPSILON / (vega * s);
        assert!((got / s - 1.0).abs() <= 1e-12 + 4.0 * cond, "{v:?} {got} cond {cond}");
    }
    assert_eq!(refused, 65);
}

#[test]
fn implied_volatility_agrees_with_an_independent_solver() {
    use implied_vol::{DefaultSpecialFn, ImpliedBlackVolatility};
    for i in 0..2_000_u32 {
        let vol = 0.05 + f64::from(i % 50) * 0.05;
        let strike = 100.0 * (-1.5 + f64::from(i / 50) * 0.075).exp();
        let kind = if strike > 100.0 { OptionKind::Call } else { OptionKind::Put };
        let input = BlackInput { forward: 100.0, strike, years: 0.25, vol, rate: 0.0, kind };
        let price = black_price(&input).unwrap().value;
        if price < 1e-250 {
            continue;
        }
        let theirs = ImpliedBlackVolatility::builder()
            .option_price(price)
            .forward(100.0)
            .strike(strike)
            .expiry(0.25)
            .is_call(kind == OptionKind::Call)
            .build()
            .unwrap()
            .calculate::<DefaultSpecialFn>()
            .unwrap();
        let quote = IvQuote { forward: 100.0, strike, years: 0.25, price, half_tick: 0.0, kind };
        close(
            "implied volatility",
            cofferdam_risk::pricing::implied_vol(&quote).mid.unwrap(),
            theirs,
            2e-14,
        );
    }
}

/// Generalised Black-Scholes with cost of carry `b` is Black-76 on `S e^{bT}`.
#[test]
fn haug_table() {
    for case in json("haug_table.json").as_array().unwrap() {
        let (s, t, r, b, vol) =
            (num(case, "S"), num(case, "T"), num(case, "r"), num(case, "b"), num(case, "sigma"));
        let sign = num(case, "cp");
        let carry = (b * t).exp();
        let input = BlackInput {
            forward: s * carry,
            strike: num(case, "X"),
            years: t,
            vol,
            rate: r,
            kind: kind(sign),
        };
        let p = price_report(&input).unwrap();
        let got = match case["quantity"].as_str().unwrap() {
            "price" => p.price.value,
            "delta" => p.usd.delta * carry,
            "gamma" => p.usd.gamma * carry * carry,
            "vega" => p.usd.vega,
            "volga" => p.usd.volga,
            // The forward itself drifts: dV/dt at constant S adds -b S dV/dS.
            "theta" => p.usd.theta - b * s * carry * p.usd.delta,
            // At constant S with b = r: rho = K T e^{-rT} N(d2).
            "rho" => -p.usd.dual_delta * input.strike * t,
            other => panic!("{other}"),
        };
        let name = case["name"].as_str().unwrap();
        close(name, got, case["mpmath"].as_str().unwrap().parse().unwrap(), 1e-12);
        assert_eq!(format!("{got:.4}"), case["haug_printed"].as_str().unwrap(), "{name}");
    }
}

fn field(v: &serde_json::Value, key: &str) -> f64 {
    v[key].as_str().unwrap().parse().unwrap()
}

#[test]
fn univ3_lp() {
    for c in json("univ3_lp.json").as_array().unwrap() {
        let leg =
            ClmmLeg { liquidity: field(c, "L"), lower: field(c, "pa"), upper: field(c, "pb") };
        let v = leg.at(field(c, "P")).unwrap();
        for (name, got) in [
            ("x", v.coins),
            ("y", v.usd),
            ("value", v.value),
            ("delta", v.delta),
            ("gamma", v.gamma),
        ] {
            close(name, got, field(c, name), 1e-14);
        }
    }
}

#[test]
fn inverse_perp() {
    for c in json("inverse_perp.json").as_array().unwrap() {
        let perp = InversePerp {
            notional_usd: num(c, "side") * num(c, "notional_usd"),
            entry: num(c, "entry"),
        };
        let v = perp.mark(num(c, "mark")).unwrap();
        close("coin", v.coin, num(c, "pnl_coin"), 2e-15);
        close("usd", v.usd, num(c, "pnl_usd"), 2e-15);
        close("usd delta", v.usd_delta, num(c, "usd_measure_delta_coin"), 1e-15);
        close("coin delta", v.coin_delta, num(c, "coin_measure_net_delta_coin"), 1e-15);
        close("slope", v.coin_slope, num(c, "dPnlCoin_dF"), 1e-15);
    }
}

#[test]
fn deribit_delta_decay() {
    let c = json("deribit_delta_decay.json");
    let elapsed = num(&c, "minutes_in") / 30.0;
    let got = settlement::decayed_net_delta(num(&c, "delta"), num(&c, "mark"), elapsed);
    near("net delta", got, num(&c, "net_delta"), 1e-15);
}
