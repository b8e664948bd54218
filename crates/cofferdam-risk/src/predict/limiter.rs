//! Probability that a limiter refuses a legitimate withdrawal within a horizon: recorded outflows resampled by the
//! stationary bootstrap (Politis and Romano 1994), run through the bucket.

use super::{Abstention, Forecast};
use crate::error::{RiskError, non_negative, positive};
use crate::limiters::optimise::Candidate;
use crate::numeric::random::Philox;
use crate::numeric::special::clopper_pearson;

/// Fewest recorded steps that are resampled.
pub const STEPS_MIN: usize = 500;
/// Resamples.
pub const RESAMPLES: u64 = 2_000;

/// One resample of `length` indices into a series of `n`: blocks of geometric length with mean `block`, wrapping.
#[must_use]
pub fn stationary_bootstrap(
    n: usize,
    length: usize,
    block: f64,
    stream: u64,
    rng: Philox,
) -> Vec<usize> {
    let mut out = Vec::with_capacity(length);
    let mut at = 0;
    for i in 0..length {
        let fresh = i == 0 || rng.uniform(stream, 2 * i as u64) * block.max(1.0) < 1.0;
        at = if fresh {
            ((rng.uniform(stream, 2 * i as u64 + 1) * n as f64) as usize).min(n.saturating_sub(1))
        } else {
            (at + 1) % n.max(1)
        };
        out.push(at);
    }
    out
}

/// Forecasts from gross outflows per step of `step_seconds`, oldest first, in USD, a bucket that holds `tokens` now,
/// and mean blocks of an hour.
///
/// # Errors
/// Outflows, tokens or times outside their domain.
pub fn limiter_hit(
    outflows: &[f64],
    step_seconds: f64,
    limit: Candidate,
    tokens: f64,
    horizon_seconds: f64,
    rng: Philox,
) -> Result<Forecast, RiskError> {
    let step = positive("step", step_seconds)?;
    let horizon = positive("horizon", horizon_seconds)?;
    let bucket = non_negative("bucket", limit.bucket)?;
    let rate = non_negative("rate", limit.rate)?;
    let tokens = non_negative("tokens", tokens)?.min(bucket);
    outflows.iter().try_for_each(|x| non_negative("outflow", *x).map(|_| ()))?;
    if outflows.len() < STEPS_MIN {
        let got = outflows.len();
        return Ok(Forecast::Abstained(Abstention::TooLittleHistory { got, want: STEPS_MIN }));
    }
    let steps = libm::ceil(horizon / step) as usize;
    // A horizon longer than the record would only repeat it.
    if steps > outflows.len() {
        let got = outflows.len();
        return Ok(Forecast::Abstained(Abstention::TooLittleHistory { got, want: steps }));
    }
    let block = (3_600.0 / step).max(1.0);
    let mut hits = 0_u64;
    for stream in 0..RESAMPLES {
        let mut left = tokens;
        let picks = stationary_bootstrap(outflows.len(), steps, block, stream, rng);
        hits += u64::from(picks.into_iter().any(|i| {
            left = (left + rate * step).min(bucket);
            let refused = outflows[i] > left;
            left = (left - outflows[i]).max(0.0);
            refused
        }));
    }
    let p = hits as f64 / RESAMPLES as f64;
    // The record holds only so many independent horizons, however often it is resampled.
    let independent = ((outflows.len() / steps.max(1)) as u64).clamp(1, RESAMPLES);
    let seen = libm::round(p * independent as f64) as u64;
    let (low, high) = clopper_pearson(seen.min(independent), independent);
    Ok(Forecast::Probability {
        p,
        low: low.min(p),
        high: high.max(p),
        horizon_seconds: horizon,
        informed: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flows(n: u64) -> Vec<f64> {
        let rng = Philox::new(8);
        (0..n).map(|i| -1_000.0 * libm::log(rng.uniform(0, i))).collect()
    }

    fn ask(flows: &[f64], bucket: f64, rate: f64) -> Forecast {
        let limit = Candidate { bucket, rate };
        limiter_hit(flows, 60.0, limit, bucket, 3_600.0, Philox::new(2)).unwrap()
    }

    #[test]
    fn a_tighter_limit_is_hit_more_often_and_a_closed_one_always() {
        let f = flows(5_000);
        let p = |b, r| ask(&f, b, r).p().unwrap();
        assert_eq!(p(0.0, 0.0), 1.0);
        assert!(p(20_000.0, 15.0) > p(40_000.0, 15.0));
        assert_eq!(p(1e9, 1.0), 0.0);
        let Forecast::Probability { low, high, p, .. } = ask(&f, 1e9, 1.0) else { panic!() };
        assert!(low == 0.0 && p == 0.0 && high > 0.01, "absence of hits in 83 hours is no proof");
    }

    #[test]
    fn little_history_is_an_abstention_not_a_zero() {
        assert!(matches!(
            ask(&flows(100), 1.0, 1.0),
            Forecast::Abstained(Abstention::TooLittleHistory { got: 100, .. })
        ));
        let limit = Candidate { bucket: 1.0, rate: 1.0 };
        assert!(limiter_hit(&[f64::NAN], 60.0, limit, 1.0, 60.0, Philox::new(2)).is_err());
    }

    #[test]
    fn the_bootstrap_keeps_runs_together() {
        let picks = stationary_bootstrap(1_000, 10_000, 50.0, 0, Philox::new(1));
        let joined = picks.windows(2).filter(|w| w[1] == (w[0] + 1) % 1_000).count();
        assert!((joined as f64 / 9_999.0 - 0.98).abs() < 0.01, "{joined}");
    }
}
