//! The speed table of the risk engines (`cargo run --release -p cofferdam-risk --example speed`), beside QuantLib's C++
//! and numpy/scipy where they are installed (`--peers`; `PYTHON` names the interpreter). One thread throughout.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its table and stops at its first error"
)]

mod batch;

use std::{hint::black_box, path::Path, process::Command, time::Instant};

use cofferdam_risk::book::{
    AccountState, Instrument, MarketState, PoolBook, PositionState, QualityRules, exposure_report,
};
use cofferdam_risk::contagion::clearing::{Recovery, clear};
use cofferdam_risk::contagion::debtrank::{Edge, ImpactNetwork};
use cofferdam_risk::numeric::random::Philox;
use cofferdam_risk::pricing::{
    BlackInput, IvQuote, OptionKind, black_price, implied_vol, price_report,
};
use cofferdam_risk::scenario::grid::Book;
use cofferdam_risk::scenario::{
    BookAccount, GridConfig, GridInstrument, Leg, PauseInput, Shock, VolShift, pause_report,
};
use cofferdam_risk::vol::{MertonJumps, SmilePoint, fit_smile};
use cofferdam_risk::{StoppingProblem, StoppingTable, posterior_ppb};

/// Positions of G10.
const POSITIONS: usize = 1_000_000;
const EXPIRIES: u32 = 24;

struct Timer {
    rows: Vec<(String, f64, &'static str, f64)>,
}

impl Timer {
    /// The fastest of `times` runs, in seconds.
    fn best<T>(times: usize, mut run: impl FnMut() -> T) -> f64 {
        (0..times)
            .map(|_| {
                let start = Instant::now();
                black_box(run());
                start.elapsed().as_secs_f64()
            })
            .fold(f64::INFINITY, f64::min)
    }

    fn row(&mut self, what: &str, seconds: f64, unit: &'static str, target: f64) {
        let scale = match unit {
            "ns" => 1e9,
            "us" => 1e6,
            _ => 1e3,
        };
        let measured = seconds * scale;
        let verdict = if measured <= target { "met" } else { "MISSED" };
        println!("{what:58} {measured:>10.2} {unit:2} target {target:>8} {verdict}");
        self.rows.push((what.to_owned(), measured, unit, target));
    }
}

fn inputs(n: usize) -> Vec<BlackInput> {
    let rng = Philox::new(10);
    (0..n as u64)
        .map(|i| {
            let u = |k| rng.uniform(i, k);
            let expiry = (u(0) * f64::from(EXPIRIES)) as u32;
            let years = 0.02 + 0.08 * f64::from(expiry);
            let vol = 0.3 + 0.9 * u(1);
            let forward = 60_000.0 * (1.0 + 0.001 * f64::from(expiry));
            let strike = forward * libm::exp((6.0 * u(2) - 3.0) * vol * libm::sqrt(years));
            let kind = if u(3) < 0.5 { OptionKind::Call } else { OptionKind::Put };
            BlackInput { forward, strike, years, vol, rate: 0.0, kind }
        })
        .collect()
}

fn pricing(t: &mut Timer, all: &[BlackInput]) -> f64 {
    let some = &all[..20_000];
    let per = |seconds: f64| seconds / some.len() as f64;
    t.row(
        "Black price, one at a time (no target)",
        per(Timer::best(5, || some.iter().map(|i| black_price(i).unwrap().value).sum::<f64>())),
        "ns",
        f64::INFINITY,
    );
    t.row(
        "19 quantities in both numeraires, one at a time (no target)",
        per(Timer::best(5, || {
            some.iter().map(|i| price_report(i).unwrap().usd.delta).sum::<f64>()
        })),
        "ns",
        f64::INFINITY,
    );
    let quotes: Vec<IvQuote> = some
        .iter()
        .map(|i| IvQuote {
            forward: i.forward,
            strike: i.strike,
            years: i.years,
            price: black_price(i).unwrap().value,
            half_tick: 0.0,
            kind: i.kind,
        })
        .collect();
    t.row(
        "implied volatility",
        per(Timer::best(3, || quotes.iter().filter_map(|q| implied_vol(q).mid).sum::<f64>())),
        "ns",
        500.0,
    );
    batch::batch(t, all)
}

fn legs(n: usize) -> Vec<Leg> {
    inputs(n)
        .iter()
        .map(|i| {
            Leg::Option(GridInstrument {
                kind: i.kind,
                strike: i.strike,
                forward: i.forward,
                vol: i.vol,
                years: i.years,
            })
        })
        .collect()
}

fn accounts(n: u64, each: u64, legs: usize) -> Vec<BookAccount> {
    let rng = Philox::new(11);
    (0..n)
        .map(|a| BookAccount {
            usd: 1e6,
            coins: 3.0,
            positions: (0..each)
                .map(|p| {
                    (
                        (rng.uniform(a, 2 * p) * legs as f64) as usize,
                        2.0 * rng.uniform(a, 2 * p + 1) - 1.0,
                    )
                })
                .collect(),
        })
        .collect()
}

/// A pool whose accounts are the first thousand of the crowd.
fn pool_book(few: &[Leg], crowd: &[BookAccount]) -> PoolBook {
    PoolBook {
        pool: "bench".into(),
        asset: "BTC".into(),
        market: MarketState {
            index: 60_000.0,
            index_age_ms: 0,
            chain_age_ms: 0,
            venues: vec![],
            block: None,
        },
        instruments: few
            .iter()
            .enumerate()
            .map(|(i, l)| Instrument {
                id: format!("i{i}"),
                leg: *l,
                quote: None,
                open_interest: None,
            })
            .collect(),
        accounts: crowd
            .iter()
            .take(1_000)
            .enumerate()
            .map(|(i, a)| {
                let mut held: std::collections::BTreeMap<usize, f64> =
                    std::collections::BTreeMap::new();
                for (p, q) in &a.positions {
                    *held.entry(*p).or_default() += q;
                }
                let positions = held
                    .into_iter()
                    .map(|(p, quantity)| PositionState { instrument: format!("i{p}"), quantity })
                    .collect();
                AccountState { id: format!("a{i}"), usd: a.usd, coins: a.coins, positions }
            })
            .collect(),
        fund_usd: 1e7,
    }
}

fn engines(t: &mut Timer) {
    let config = GridConfig::default();
    let two_thousand = legs(2_000);
    let nobody =
        [BookAccount { usd: 0.0, coins: 0.0, positions: (0..2_000).map(|i| (i, 1.0)).collect() }];
    let book = Book::new(&two_thousand, &nobody, 60_000.0, 1e7).unwrap();
    let times = [0.0, 1e-3, 2e-3];
    // 27 cells at each of three times, and 24 tails.
    let mut shocks = Vec::new();
    for elapsed in times {
        for spot in cofferdam_risk::scenario::grid::SPOT_MOVES {
            for vol in [VolShift::Up, VolShift::Same, VolShift::Down] {
                shocks.push(Shock { spot, vol, elapsed, weight: 1.0 });
            }
        }
    }
    for n in 0..24 {
        let spot = -0.66 + 0.05 * f64::from(n);
        shocks.push(Shock { spot, vol: VolShift::Up, elapsed: 0.0, weight: 1.0 });
    }
    let cells = |b: &Book<'_>| b.cells(&config, &shocks).unwrap();
    t.row("2,000 instruments x 105 cells", Timer::best(3, || cells(&book)), "ms", 15.0);
    let few = legs(200);
    let crowd = accounts(10_000, 20, 200);
    let crowded = Book::new(&few, &crowd, 60_000.0, 1e7).unwrap();
    t.row(
        "10,000 accounts x 20 positions x 105 cells",
        Timer::best(3, || cells(&crowded)),
        "ms",
        20.0,
    );
    let pool = pool_book(&few, &crowd);
    let compiled = pool.compile(&QualityRules::default()).unwrap();
    t.row(
        "exposure report and grid, 200 instruments, 1,000 accounts",
        Timer::best(3, || {
            let e = exposure_report(&compiled).unwrap();
            let g = Book::new(&compiled.legs, &compiled.accounts, compiled.spot, compiled.fund)
                .unwrap()
                .grid(&config, &times)
                .unwrap();
            (e, g)
        }),
        "ms",
        100.0,
    );
    pauses(t, &few);
    decisions(t);
}

fn pauses(t: &mut Timer, few: &[Leg]) {
    let market = MertonJumps { sigma: 0.6, intensity: 12.0, jump_mean: -0.03, jump_sd: 0.06 };
    let netted = accounts(20, 10, 200);
    for (paths, target) in [(10_000, 150.0), (100_000, 1_000.0)] {
        let input = PauseInput {
            instruments: few,
            accounts: &netted,
            spot: 60_000.0,
            market,
            hours: 6.0,
            fund: 1e6,
            no_pause_loss: 0.0,
            paths,
        };
        t.row(
            &format!("pause, {paths} paths x 200 instruments"),
            Timer::best(1, || pause_report(&input, Philox::new(1)).unwrap()),
            "ms",
            target,
        );
    }
}

fn decisions(t: &mut Timer) {
    let groups: Vec<(i32, Vec<i32>)> =
        (0..8).map(|g| (9_000, vec![g * 500, 1_200, -300])).collect();
    t.row(
        "posterior update",
        Timer::best(50, || {
            (0..1_000).map(|_| u64::from(posterior_ppb(black_box(16), &groups))).sum::<u64>()
        }) / 1e3,
        "us",
        50.0,
    );
    let problem = StoppingProblem {
        cost_false: 2e5,
        loss_per_block: 1e6,
        blocks: 100,
        evidence_per_block: 1.5,
    };
    t.row(
        "stopping table, 4,001 x 100",
        Timer::best(3, || StoppingTable::solve(problem).unwrap()),
        "ms",
        50.0,
    );
    let table = StoppingTable::solve(problem).unwrap();
    t.row(
        "stopping table, one lookup",
        Timer::best(20, || (0..10_000).filter(|i| table.acts(100, f64::from(*i) * 1e-4)).count())
            / 1e4,
        "us",
        1.0,
    );
}

fn networks(t: &mut Timer) {
    let rng = Philox::new(12);
    let (n, m) = (2_000_u64, 20_000_u64);
    let pick = |i: u64, k: u64| (rng.uniform(i, k) * n as f64) as usize;
    let edges: Vec<(usize, usize, f64)> = (0..m)
        .map(|i| (pick(i, 0), pick(i, 1), 10.0 * rng.uniform(i, 2)))
        .filter(|e| e.0 != e.1)
        .collect();
    let external: Vec<f64> = (0..n).map(|i| 60.0 * rng.uniform(1 << 40, i)).collect();
    let full = Recovery { external: 1.0, claims: 1.0 };
    t.row(
        "Eisenberg-Noe, 2,000 nodes, 20,000 edges",
        Timer::best(3, || clear(&external, &edges, full).unwrap()),
        "ms",
        50.0,
    );
    let impact: Vec<Edge> = edges
        .iter()
        .map(|(from, to, w)| Edge { from: *from, to: *to, weight: w / 150.0 })
        .collect();
    let network = ImpactNetwork::new(impact, vec![1.0; n as usize]).unwrap();
    let mut shock = vec![0.0; n as usize];
    shock[0] = 1.0;
    t.row(
        "linear DebtRank, 2,000 nodes, 20,000 edges",
        Timer::best(3, || network.linear(&shock).unwrap()),
        "ms",
        50.0,
    );
    let small: Vec<Edge> = edges
        .iter()
        .take(500)
        .map(|(from, to, w)| Edge { from: from % 200, to: to % 200, weight: w / 100.0 })
        .collect();
    let small = ImpactNetwork::new(small, vec![1.0; 200]).unwrap();
    let mut shock = vec![0.0; 200];
    shock[..20].fill(0.5);
    t.row(
        "cut value of each of 500 edges",
        Timer::best(3, || small.edge_cut_values(&shock).unwrap()),
        "ms",
        2_000.0,
    );
    let points: Vec<SmilePoint> = (-12..=12)
        .map(|i| {
            let k = f64::from(i) * 0.04;
            SmilePoint {
                k,
                vol: 0.55 + 0.3 * k * k - 0.1 * k + 0.002 * rng.uniform(7, (i + 12) as u64),
                weight: 1.0,
            }
        })
        .collect();
    t.row(
        "SVI, one expiry of 25 quotes (60 ms are 30 expiries)",
        Timer::best(5, || fit_smile(&points, 0.1).unwrap()),
        "ms",
        2.0,
    );
}

fn peers(ours: f64) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/speed");
    let binary = std::env::temp_dir().join(format!("cofferdam-quantlib-{}", std::process::id()));
    let built = Command::new("g++")
        .args(["-O3", "-march=native", "-std=c++17", "-o"])
        .arg(&binary)
        .arg(here.join("quantlib.cpp"))
        .arg("-lQuantLib")
        .status();
    if built.is_ok_and(|s| s.success()) {
        peer(
            "QuantLib C++ (Debian), BlackCalculator",
            Command::new(&binary).arg(POSITIONS.to_string()),
            ours,
        );
        let _ = std::fs::remove_file(&binary);
    } else {
        println!("skipped: QuantLib C++ is not here (apt-get install libquantlib0-dev g++)");
    }
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    peer(
        "numpy and scipy, vectorised",
        Command::new(python).arg(here.join("numpy_peer.py")).arg(POSITIONS.to_string()),
        ours,
    );
}

fn peer(name: &str, command: &mut Command, ours: f64) {
    match command.output() {
        Ok(o) if o.status.success() => {
            let text = String::from_utf8_lossy(&o.stdout);
            let seconds: f64 = text.trim().parse().unwrap();
            println!(
                "{name:58} {:>10.2} ms  ours {:.2} ms: {:.1} times faster",
                seconds * 1e3,
                ours * 1e3,
                seconds / ours
            );
        }
        Ok(o) => println!(
            "skipped: {name}: {}",
            String::from_utf8_lossy(&o.stderr).lines().last().unwrap_or_default()
        ),
        Err(e) => println!("skipped: {name}: {e}"),
    }
}

fn main() {
    let all = inputs(POSITIONS);
    let mut timer = Timer { rows: Vec::new() };
    let ours = pricing(&mut timer, &all);
    engines(&mut timer);
    networks(&mut timer);
    let met = timer.rows.iter().filter(|r| r.1 <= r.3).count();
    println!("{met} of {} targets met", timer.rows.len());
    if std::env::args().any(|a| a == "--peers") {
        println!("\nG10: a million positions, price and five Greeks");
        peers(ours);
    }
}
