//! The pause engine: simulate the market while trading is frozen, settle what expires inside, and count who ends
//! under water. Stratified in the first step, antithetic, counter-based: same inputs, same bits.

use serde::{Deserialize, Serialize};

use super::fast::{Deviations, FastLegs};
use super::grid::{Book, BookAccount};
use super::leg::Leg;
use crate::error::{RiskError, non_negative, positive};
use crate::numeric::random::Philox;
use crate::pricing::normal::quantile;
use crate::vol::MertonJumps;

/// Most paths.
pub const MAX_PATHS: usize = 2_000_000;
/// Accounts listed by expected shortfall.
const TOP_ACCOUNTS: usize = 10;
/// Bins of the histogram.
const BINS: usize = 48;
/// An expiring option this close to its strike is a pin risk.
const PIN: f64 = 0.005;

/// What to simulate.
#[derive(Debug, Clone, PartialEq)]
pub struct PauseInput<'a> {
    /// Instruments on one underlying.
    pub instruments: &'a [Leg],
    /// Accounts.
    pub accounts: &'a [BookAccount],
    /// Spot.
    pub spot: f64,
    /// Diffusion and jumps of the underlying; the forward is kept a martingale.
    pub market: MertonJumps,
    /// Length of the pause in hours.
    pub hours: f64,
    /// Insurance fund in USD.
    pub fund: f64,
    /// Expected loss without the pause (liquidations with slippage), to subtract.
    pub no_pause_loss: f64,
    /// Paths, rounded up to even.
    pub paths: usize,
}

/// An expiry inside the pause.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InnerExpiry {
    /// Index of the instrument.
    pub instrument: usize,
    /// Hours from now.
    pub hours: f64,
    /// Net quantity over all accounts.
    pub net_quantity: f64,
    /// Whether the forward is within half a percent of the strike now.
    pub pin_risk: bool,
}

/// What a pause can cost. USD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PauseReport {
    /// Length in hours.
    pub hours: f64,
    /// Mean profit of the book.
    pub pnl_mean: f64,
    /// Its standard deviation.
    pub pnl_sd: f64,
    /// Its 1 % and 99 % quantiles.
    pub pnl_range: (f64, f64),
    /// Mean of its worst 2.5 %.
    pub es_975: f64,
    /// Mean of its worst 0.1 %.
    pub es_999: f64,
    /// Expected sum of negative equity.
    pub expected_shortfall: f64,
    /// Standard error of it, ignoring the gain from stratification.
    pub standard_error: f64,
    /// Probability that any account ends under water.
    pub p_shortfall: f64,
    /// Expected payment of the fund.
    pub expected_depletion: f64,
    /// Expected loss beyond the fund.
    pub expected_residual: f64,
    /// Probability that the fund is exhausted.
    pub p_fund_exhausted: f64,
    /// Expected shortfall minus the loss without a pause: the cost of pausing.
    pub pause_risk: f64,
    /// Largest expected shortfalls: account index and USD.
    pub top_accounts: Vec<(usize, f64)>,
    /// What expires inside.
    pub expiries: Vec<InnerExpiry>,
    /// Paths by profit: lower edge in USD and share of the paths, the outer bins open.
    pub histogram: Vec<(f64, f64)>,
}

/// One simulated path's result.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    pnl: f64,
    shortfall: f64,
}

/// Simulates a pause.
///
/// # Errors
/// Inputs outside their domain, no paths or more than [`MAX_PATHS`].
pub fn pause_report(input: &PauseInput<'_>, rng: Philox) -> Result<PauseReport, RiskError> {
    let years = positive("hours", input.hours)? / 8_760.0;
    let fund = non_negative("insurance fund", input.fund)?;
    non_negative("loss without a pause", input.no_pause_loss)?;
    if input.paths == 0 || input.paths > MAX_PATHS {
        return Err(RiskError::OutOfDomain {
            name: "paths",
            value: input.paths as f64,
            domain: "1..=2000000",
        });
    }
    // Validates indices, collateral and prices.
    Book::new(input.instruments, input.accounts, input.spot, fund)?;
    let paths = input.paths.div_ceil(2) * 2;
    let times = event_times(input.instruments, years);
    let base: Vec<f64> =
        input.instruments.iter().map(|i| i.value(1.0, vol(i), 0.0)).collect::<Result<_, _>>()?;
    let mut per_account = vec![0.0; input.accounts.len()];
    let mut outcomes = Vec::with_capacity(paths);
    let mut levels = vec![(0.0, 0.0); times.len()];
    let fast = fast_legs(input.instruments, &times);
    let mut values = vec![0.0; base.len()];
    for path in 0..paths {
        simulate_levels(input, &times, path, paths, rng, &mut levels);
        for (level, (legs, at)) in levels.iter().zip(&fast) {
            legs.value(*level, at, |place, value| values[place] = value)?;
        }
        let end = levels.last().map_or(1.0, |l| l.0);
        outcomes.push(settle(input, end, &values, &base, &mut per_account));
    }
    Ok(summarise(input, fund, outcomes, per_account, years))
}

/// Expiries inside the pause and its end, ascending, distinct.
fn event_times(instruments: &[Leg], years: f64) -> Vec<f64> {
    let mut times: Vec<f64> =
        instruments.iter().filter_map(Leg::years).filter(|t| *t > 0.0 && *t < years).collect();
    times.push(years);
    times.sort_by(f64::total_cmp);
    times.dedup();
    times
}

/// The legs valued at each event: at their expiry, or at the end.
fn fast_legs<'a>(legs: &'a [Leg], times: &[f64]) -> Vec<(FastLegs<'a>, Deviations)> {
    let end = times.len() - 1;
    let event = |leg: &Leg| {
        let life = leg.years().unwrap_or(f64::INFINITY);
        if life < times[end] { times[..end].partition_point(|t| *t < life).min(end) } else { end }
    };
    let vols: Vec<f64> = legs.iter().map(vol).collect();
    times
        .iter()
        .enumerate()
        .map(|(n, t)| {
            let fast = FastLegs::new(legs, (0..legs.len()).filter(|i| event(&legs[*i]) == n));
            let at = fast.deviations(vols.clone(), *t);
            (fast, at)
        })
        .collect()
}

/// Growth factors of the forward at each event time, and their logarithms.
fn simulate_levels(
    input: &PauseInput<'_>,
    times: &[f64],
    path: usize,
    paths: usize,
    rng: Philox,
    out: &mut [(f64, f64)],
) {
    let m = &input.market;
    let pair = (path / 2) as u64;
    let sign = if path.is_multiple_of(2) { 1.0 } else { -1.0 };
    let compensator = libm::expm1(m.jump_mean + 0.5 * m.jump_sd * m.jump_sd) * m.intensity;
    let (mut log, mut last) = (0.0, 0.0);
    for (step, (t, level)) in times.iter().zip(out.iter_mut()).enumerate() {
        let dt = t - last;
        last = *t;
        let u = rng.uniform(pair, 4 * step as u64);
        let u = if step == 0 { (pair as f64 + u) / (paths / 2) as f64 } else { u };
        let z = sign * quantile(u);
        let jumps = poisson(m.intensity * dt, rng.uniform(pair, 4 * step as u64 + 1));
        let jump = if jumps > 0.0 {
            let z = quantile(rng.uniform(pair, 4 * step as u64 + 2));
            jumps * m.jump_mean + libm::sqrt(jumps) * m.jump_sd * sign * z
        } else {
            0.0
        };
        log += m.sigma * libm::sqrt(dt) * z - (0.5 * m.sigma * m.sigma + compensator) * dt + jump;
        *level = (libm::exp(log), log);
    }
}

/// Poisson draw by inversion; the means here are small.
fn poisson(mean: f64, u: f64) -> f64 {
    let (mut n, mut p) = (0.0, libm::exp(-mean));
    let mut sum = p;
    while u > sum && n < 200.0 {
        n += 1.0;
        p *= mean / n;
        sum += p;
    }
    n
}

fn settle(
    input: &PauseInput<'_>,
    end: f64,
    values: &[f64],
    base: &[f64],
    per_account: &mut [f64],
) -> Outcome {
    let mut out = Outcome { pnl: 0.0, shortfall: 0.0 };
    for (a, sum) in input.accounts.iter().zip(per_account) {
        let mut equity = a.usd + a.coins * input.spot * end;
        out.pnl += a.coins * input.spot * (end - 1.0);
        for (i, q) in &a.positions {
            equity += q * values[*i];
            out.pnl += q * (values[*i] - base[*i]);
        }
        let short = (-equity).max(0.0);
        *sum += short;
        out.shortfall += short;
    }
    out
}

fn vol(leg: &Leg) -> f64 {
    leg.option().map_or(0.0, |i| i.vol)
}

fn summarise(
    input: &PauseInput<'_>,
    fund: f64,
    mut outcomes: Vec<Outcome>,
    per_account: Vec<f64>,
    years: f64,
) -> PauseReport {
    let n = outcomes.len() as f64;
    let mean = |f: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(f).sum::<f64>() / n;
    let pnl_mean = mean(&|o| o.pnl);
    let expected_shortfall = mean(&|o| o.shortfall);
    let expected_depletion = mean(&|o| o.shortfall.min(fund));
    let spread = mean(&|o| (o.shortfall - expected_shortfall) * (o.shortfall - expected_shortfall));
    let pnl_sd = libm::sqrt(mean(&|o| (o.pnl - pnl_mean) * (o.pnl - pnl_mean)));
    let p_shortfall = mean(&|o| f64::from(u8::from(o.shortfall > 0.0)));
    let p_fund_exhausted = mean(&|o| f64::from(u8::from(o.shortfall > 0.0 && o.shortfall >= fund)));
    outcomes.sort_by(|a, b| a.pnl.total_cmp(&b.pnl));
    let at = |p: f64| outcomes[((p * n) as usize).min(outcomes.len() - 1)].pnl;
    let tail = |p: f64| {
        let k = ((p * n) as usize).max(1);
        outcomes[..k].iter().map(|o| o.pnl).sum::<f64>() / k as f64
    };
    let mut top_accounts: Vec<(usize, f64)> =
        per_account.iter().enumerate().map(|(i, s)| (i, s / n)).filter(|t| t.1 > 0.0).collect();
    top_accounts.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    top_accounts.truncate(TOP_ACCOUNTS);
    PauseReport {
        hours: input.hours,
        pnl_mean,
        pnl_sd,
        pnl_range: (at(0.01), at(0.99)),
        es_975: tail(0.025),
        es_999: tail(0.001),
        expected_shortfall,
        standard_error: libm::sqrt(spread / n),
        p_shortfall,
        expected_depletion,
        expected_residual: expected_shortfall - expected_depletion,
        p_fund_exhausted,
        pause_risk: expected_shortfall - input.no_pause_loss,
        top_accounts,
        expiries: inner_expiries(input, years),
        histogram: histogram(&outcomes),
    }
}

/// Bins of equal width between the 0.1 % and 99.9 % quantiles of sorted outcomes; what lies beyond is in the outer ones.
fn histogram(sorted: &[Outcome]) -> Vec<(f64, f64)> {
    let n = sorted.len();
    let at = |p: f64| sorted[((p * n as f64) as usize).min(n - 1)].pnl;
    let (low, high) = (at(0.001), at(0.999));
    let width = (high - low) / BINS as f64;
    if width <= 0.0 {
        return vec![(low, 1.0)];
    }
    let mut counts = vec![0.0; BINS];
    for o in sorted {
        let bin = ((o.pnl - low) / width).clamp(0.0, BINS as f64 - 1.0) as usize;
        counts[bin] += 1.0 / n as f64;
    }
    counts.into_iter().enumerate().map(|(i, c)| (low + width * i as f64, c)).collect()
}

fn inner_expiries(input: &PauseInput<'_>, years: f64) -> Vec<InnerExpiry> {
    let mut out: Vec<InnerExpiry> = input
        .instruments
        .iter()
        .enumerate()
        .filter_map(|(at, leg)| leg.option().map(|i| (at, i)))
        .filter(|(_, i)| i.years > 0.0 && i.years <= years)
        .map(|(instrument, i)| InnerExpiry {
            instrument,
            hours: i.years * 8_760.0,
            net_quantity: input
                .accounts
                .iter()
                .flat_map(|a| &a.positions)
                .filter(|p| p.0 == instrument)
                .map(|p| p.1)
                .sum(),
            pin_risk: (i.forward / i.strike - 1.0).abs() < PIN,
        })
        .collect();
    out.sort_by(|a, b| a.hours.total_cmp(&b.hours));
    out
}
