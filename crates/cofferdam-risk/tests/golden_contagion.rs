//! Golden values of clearing, DebtRank, pools and the liquidation cascade.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use cofferdam_risk::contagion::cascade::Position;
use cofferdam_risk::contagion::{CpmmPool, Edge, ImpactNetwork, Recovery, cascade, clear};
use common::{close, json, near, num, nums};
use serde_json::Value;

/// A number written as an exact fraction.
fn fraction(v: &Value) -> f64 {
    let s = v.as_str().unwrap();
    s.split_once('/').map_or_else(
        || s.parse().unwrap(),
        |(a, b)| a.parse::<f64>().unwrap() / b.parse::<f64>().unwrap(),
    )
}

#[test]
fn eisenberg_noe() {
    let cases = json("eisenberg_noe.json");
    assert_eq!(cases.as_array().unwrap().len(), 12);
    for c in cases.as_array().unwrap() {
        let name = c["name"].as_str().unwrap();
        let external: Vec<f64> = c["external"].as_array().unwrap().iter().map(fraction).collect();
        let mut owed = Vec::new();
        for (i, row) in c["L"].as_array().unwrap().iter().enumerate() {
            for (j, v) in row.as_array().unwrap().iter().enumerate() {
                if fraction(v) > 0.0 {
                    owed.push((i, j, fraction(v)));
                }
            }
        }
        let got = clear(&external, &owed, Recovery { external: 1.0, claims: 1.0 }).unwrap();
        for (p, want) in got.paid.iter().zip(nums(&c["p_float"])) {
            near(name, *p, want, 1e-12 * (1.0 + want));
        }
        let wanted: Vec<f64> = match c.get("equity") {
            Some(e) => e.as_array().unwrap().iter().map(fraction).collect(),
            None => nums(&c["equity_float"]),
        };
        for (e, want) in got.equity.iter().zip(wanted) {
            near(name, *e, want, 1e-11 * (1.0 + want));
        }
        let defaulted: Vec<usize> = c["defaulted"]
            .as_array()
            .unwrap()
            .iter()
            .map(|x| x.as_u64().unwrap() as usize)
            .collect();
        assert_eq!(got.defaulted, defaulted, "{name}");
    }
}

#[test]
fn debtrank() {
    for c in json("debtrank.json").as_array().unwrap() {
        let mut edges = Vec::new();
        for (from, row) in c["W"].as_array().unwrap().iter().enumerate() {
            for (to, weight) in nums(row).into_iter().enumerate() {
                edges.push(Edge { from, to, weight });
            }
        }
        let net = ImpactNetwork::new(edges, nums(&c["v"])).unwrap();
        let shock = nums(&c["h0"]);
        let got = net.debtrank(&shock).unwrap();
        assert_eq!(got.rounds as u64, c["iters"].as_u64().unwrap(), "{c}");
        near("R", got.rank, num(c, "R"), 1e-9);
        for (a, b) in got.distress.iter().zip(nums(&c["h"])) {
            near("h", *a, b, 1e-12);
        }
        for (a, b) in net.linear(&shock).unwrap().iter().zip(nums(&c["h_linear"])) {
            near("h linear", *a, b, 1e-12);
        }
    }
}

#[test]
fn cpmm() {
    for c in json("cpmm.json").as_array().unwrap() {
        let mut pool = CpmmPool { x: num(c, "x"), y: num(c, "y"), fee: num(c, "fee") };
        close("before", pool.price(), num(c, "spot_before"), 1e-15);
        let dy = pool.sell(num(c, "dx")).unwrap();
        close("dy", dy, num(c, "dy"), 1e-14);
        close("average", dy / num(c, "dx"), num(c, "avg_price"), 1e-14);
        close("after", pool.price(), num(c, "spot_after"), 1e-13);
    }
}

#[test]
fn cpmm_depth() {
    for c in json("cpmm_depth.json").as_array().unwrap() {
        close("depth", CpmmPool::depth(num(c, "delta")).unwrap(), num(c, "dx_over_x"), 1e-13);
    }
}

#[test]
fn liquidation_cascade() {
    for c in json("liquidation_cascade.json").as_array().unwrap() {
        let reserves = nums(&c["pool"]);
        let pool = CpmmPool { x: reserves[0], y: reserves[1], fee: 0.0 };
        let loans: Vec<_> = c["loans"]
            .as_array()
            .unwrap()
            .iter()
            .map(|l| Position { collateral: nums(l)[0], debt: nums(l)[1] })
            .collect();
        let got = cascade(pool, &loans, num(c, "LT"), num(c, "shock")).unwrap();
        let want = &c["result"];
        let text = |v: &Value| v.as_str().unwrap().parse::<f64>().unwrap();
        close("final price", got.final_price, text(&want["final_price"]), 1e-13);
        near("sold", got.total_sold, text(&want["total_sold"]), 1e-12);
        near("bad debt", got.bad_debt, text(&want["bad_debt_round_aggregate"]), 1e-8);
        let rounds = want["rounds"].as_array().unwrap();
        assert_eq!(got.rounds.len(), rounds.len());
        for (r, w) in got.rounds.iter().zip(rounds) {
            close("before", r.price_before, text(&w["price_before"]), 1e-13);
            close("proceeds", r.proceeds, text(&w["proceeds"]), 1e-13);
            close("after", r.price_after, text(&w["price_after"]), 1e-13);
            assert_eq!(serde_json::json!(r.liquidated), w["liquidated"]);
        }
        assert_eq!(serde_json::json!(got.remaining), want["remaining"]);
    }
}
