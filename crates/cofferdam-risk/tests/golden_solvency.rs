//! Golden values of the scenario grid, the pause engine and the solvency waterfall.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use cofferdam_risk::numeric::random::Philox;
use cofferdam_risk::pricing::{BlackInput, OptionKind, price_report};
use cofferdam_risk::scenario::grid::Book;
use cofferdam_risk::scenario::shortfall::{
    ClosedForm, Market, short_calls_coin, short_calls_usd, short_puts_coin,
};
use cofferdam_risk::scenario::{
    BookAccount, DeltaGamma, GridConfig, GridInstrument, Leg, PauseInput, VolShift, pause_report,
};
use cofferdam_risk::solvency::{Account, LossSharing, MICRO, adl_queue, waterfall};
use cofferdam_risk::vol::MertonJumps;
use common::{close, json, near, num, shared};
use serde_json::Value;

#[test]
fn scenario_grid_real() {
    let Some(text) = shared("scenario_grid_real.json") else { return };
    let g: Value = serde_json::from_str(&text).unwrap();
    let rows = g["positions"].as_array().unwrap();
    let kind =
        |r: &Value| if r["option_type"] == "call" { OptionKind::Call } else { OptionKind::Put };
    let instruments: Vec<_> = rows
        .iter()
        .map(|r| GridInstrument {
            kind: kind(r),
            strike: num(r, "strike"),
            forward: num(r, "futures_price"),
            vol: num(r, "implied_volatility"),
            years: num(r, "T"),
        })
        .collect();
    let legs: Vec<Leg> = instruments.iter().copied().map(Leg::Option).collect();
    let positions = rows.iter().enumerate().map(|(i, r)| (i, num(r, "qty"))).collect();
    let accounts = [BookAccount { usd: 0.0, coins: 0.0, positions }];
    let book = Book::new(&legs, &accounts, num(&g, "index"), 0.0).unwrap();
    let grid = book.grid(&GridConfig::default(), &[0.0]).unwrap();
    let wanted = g["grid"].as_array().unwrap();
    assert_eq!((grid.regular.len(), wanted.len()), (27, 27));
    let scale = num(&g["greeks"], "value_usd").abs();
    for (cell, want) in grid.regular.iter().zip(wanted) {
        let vol = match cell.vol {
            VolShift::Up => "up",
            VolShift::Same => "same",
            VolShift::Down => "down",
        };
        assert_eq!((want["vol"].as_str().unwrap(), num(want, "spot")), (vol, cell.spot));
        near(
            "pnl usd",
            cell.pnl_usd,
            num(want, "pnl_usd"),
            1e-9 * num(want, "pnl_usd").abs() + 1e-12 * scale,
        );
        near(
            "pnl coin",
            cell.pnl_coin,
            num(want, "pnl_coin"),
            1e-9 * num(want, "pnl_coin").abs() + 1e-9,
        );
    }
    for (cell, want) in grid.tail.iter().zip(g["extended"].as_array().unwrap()) {
        close("tail usd", cell.pnl_usd, num(want, "pnl_usd"), 1e-9);
        close("tail coin", cell.pnl_coin * cell.weight, num(want, "weighted_coin"), 1e-9);
    }
    let worst = grid.regular.iter().map(|c| c.pnl_coin).fold(f64::INFINITY, f64::min);
    close("worst cell", worst, num(&g, "worst_grid_coin"), 1e-9);
    check_greeks(&instruments, rows, &g["greeks"]);
}

fn check_greeks(instruments: &[GridInstrument], rows: &[Value], k: &Value) {
    let (mut delta, mut net, mut vega, mut theta, mut volga, mut vanna) =
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for (i, r) in instruments.iter().zip(rows) {
        let input = BlackInput {
            forward: i.forward,
            strike: i.strike,
            years: i.years,
            vol: i.vol,
            rate: 0.0,
            kind: i.kind,
        };
        let (p, q) = (price_report(&input).unwrap(), num(r, "qty"));
        delta += q * p.usd.delta;
        net += q * p.coin.net_delta;
        vega += q * p.vega_point;
        theta += q * p.usd.theta / 365.0;
        volga += q * p.usd.volga;
        vanna += q * p.usd.vanna;
    }
    close("delta", delta, num(k, "delta_bs_coin"), 1e-9);
    close("net delta", net, num(k, "net_transaction_delta_coin"), 1e-9);
    close("vega", vega, num(k, "vega_usd_per_volpt"), 1e-9);
    close("theta", theta, num(k, "theta_usd_per_day"), 1e-9);
    close("volga", volga, num(k, "volga_usd"), 1e-9);
    close("vanna", vanna, num(k, "vanna_usd"), 1e-9);
}

#[test]
fn delta_gamma_pause() {
    for c in json("delta_gamma_pause.json").as_array().unwrap() {
        let dg = DeltaGamma::new(
            num(c, "delta_coin"),
            num(c, "gamma"),
            num(c, "F"),
            num(c, "sigma"),
            num(c, "hours"),
        )
        .unwrap();
        let m = dg.moments();
        close("mean", m.mean, num(c, "mean"), 1e-12);
        close("sd", m.sd, num(c, "sd"), 1e-12);
        close("skew", m.skew, num(c, "skew"), 1e-12);
        close("excess kurtosis", m.excess_kurtosis, num(c, "exkurt"), 1e-11);
        close("cornish-fisher", dg.cornish_fisher_var(0.99), num(c, "cf_var99"), 1e-12);
        close("exact", -dg.quantile(0.01).unwrap(), num(c, "exact_var99"), 1e-8);
    }
}

fn text(c: &Value, key: &str) -> f64 {
    c[key].as_str().unwrap().parse().unwrap()
}

#[test]
fn pause_shortfall_closed_form() {
    for c in json("pause_shortfall_closed_form.json").as_array().unwrap() {
        let q = num(c, "q");
        if c["kind"].as_str().unwrap().contains("never") {
            let m = Market { forward: 60_000.0, vol: 1.0, years: 0.01 };
            let got = short_calls_coin(q, text(c, "K"), text(c, "coll_coin"), m).unwrap();
            assert_eq!((got.expected, got.bankrupt_at), (0.0, None));
            continue;
        }
        let m = Market {
            forward: text(c, "F"),
            vol: text(c, "sigma"),
            years: num(c, "hours") / 8_760.0,
        };
        let puts = c.get("coll_coin").is_some();
        let (got, account, kind): (ClosedForm, _, _) = if puts {
            let coins = text(c, "coll_coin");
            let account = BookAccount { usd: 0.0, coins, positions: vec![(0, -q)] };
            (short_puts_coin(q, text(c, "K"), coins, m).unwrap(), account, OptionKind::Put)
        } else {
            let usd = text(c, "coll_usd");
            let account = BookAccount { usd, coins: 0.0, positions: vec![(0, -q)] };
            (short_calls_usd(q, text(c, "K"), usd, m).unwrap(), account, OptionKind::Call)
        };
        close("bankrupt at", got.bankrupt_at.unwrap(), text(c, "bankrupt_spot"), 1e-14);
        close("probability", got.probability, text(c, "prob_bankrupt"), 1e-12);
        close("expected", got.expected, text(c, "expected_shortfall_usd"), 1e-12);
        // The simulation against the closed form.
        let instruments = [Leg::Option(GridInstrument {
            kind,
            strike: text(c, "K"),
            forward: m.forward,
            vol: m.vol,
            years: m.years,
        })];
        let input = PauseInput {
            instruments: &instruments,
            accounts: &[account],
            spot: m.forward,
            market: MertonJumps { sigma: m.vol, intensity: 0.0, jump_mean: 0.0, jump_sd: 0.0 },
            hours: num(c, "hours"),
            fund: 0.0,
            no_pause_loss: 0.0,
            paths: 20_000,
        };
        let sim = pause_report(&input, Philox::new(2_041)).unwrap();
        assert!(
            (sim.expected_shortfall - got.expected).abs() <= 3.0 * sim.standard_error,
            "{sim:?}"
        );
        near("simulated probability", sim.p_shortfall, got.probability, 2e-3);
        assert_eq!(sim, pause_report(&input, Philox::new(2_041)).unwrap());
        assert_eq!(sim.expiries.len(), 1);
    }
}

#[test]
fn adl_waterfall() {
    let g = json("adl_waterfall.json");
    let micro = |v: f64| (v * 1e6).round() as i128;
    let rows = g["accounts"].as_array().unwrap();
    let accounts: Vec<_> = rows
        .iter()
        .map(|r| Account {
            id: r["id"].as_str().unwrap().to_owned(),
            size: micro(num(r, "side") * num(r, "size")),
            entry: micro(num(r, "entry")),
            collateral: micro(num(r, "coll")),
        })
        .collect();
    let w = waterfall(
        &accounts,
        micro(num(&g, "mark")),
        micro(num(&g, "insurance")),
        0,
        LossSharing::ProRata,
    )
    .unwrap();
    assert_eq!(w.shortfall, micro(num(&g, "total_shortfall")));
    assert_eq!(w.fund_paid, micro(num(&g, "insurance_paid")));
    assert_eq!(w.residual, micro(num(&g, "residual")));
    assert_eq!(w.haircuts.iter().map(|h| h.amount).sum::<i128>(), w.residual);
    for (m, r) in w.accounts.iter().zip(rows) {
        assert_eq!((m.upnl, m.equity), (micro(num(r, "upnl")), micro(num(r, "equity"))));
        assert!((m.bankruptcy_price.unwrap() - micro(num(r, "bankruptcy_price"))).abs() <= 1);
        if let Some(rank) = r.get("adl_rank") {
            close("rank", m.adl_rank.unwrap(), rank.as_f64().unwrap(), 1e-12);
            close("ratio rank", m.ratio_rank.unwrap(), num(r, "hl_index"), 1e-12);
            let cut = w.haircuts.iter().find(|h| h.id == m.id).unwrap();
            assert!((cut.amount - micro(num(r, "prorata_haircut"))).abs() <= 1);
        }
    }
    let order: Vec<_> =
        adl_queue(&w.accounts).into_iter().map(|i| w.accounts[i].id.clone()).collect();
    let wanted: Vec<_> =
        g["queue_order"].as_array().unwrap().iter().map(|x| x.as_str().unwrap()).collect();
    assert_eq!(order, wanted);
    let queue =
        waterfall(&accounts, 54_000 * MICRO, 15_000 * MICRO, 0, LossSharing::Queue).unwrap();
    assert_eq!(queue.haircuts[0].amount, 20_000 * MICRO);
    assert_eq!(queue.haircuts[1].amount, 5_000 * MICRO);
}
