//! Base rates: a Gamma-Poisson rate per class and the probability of an attack per block. Priors are brutal
//! (tens of exploits a year over thousands of protocols), so the prior is always shown with its interval.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, non_negative, positive};
use crate::numeric::special::bisect;

/// Seconds in a year of 365 days.
pub const SECONDS_PER_YEAR: f64 = 31_536_000.0;

/// A posterior `Gamma(shape, exposure)` over a rate per protocol-year.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Hazard {
    /// Prior shape plus events.
    pub shape: f64,
    /// Prior exposure plus protocol-years observed.
    pub exposure: f64,
}

impl Hazard {
    /// Updates a `Gamma(a, b)` prior by `events` in `protocol_years`.
    ///
    /// # Errors
    /// A prior that is not positive, or negative counts.
    pub fn update(a: f64, b: f64, events: f64, protocol_years: f64) -> Result<Self, RiskError> {
        let shape = positive("prior shape", a)? + non_negative("events", events)?;
        let exposure =
            positive("prior exposure", b)? + non_negative("protocol years", protocol_years)?;
        Ok(Self { shape, exposure })
    }

    /// Mean events per protocol-year.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.shape / self.exposure
    }

    /// Probability of at least one event in `seconds`.
    #[must_use]
    pub fn probability(&self, seconds: f64) -> f64 {
        -libm::expm1(-self.rate() * seconds.max(0.0) / SECONDS_PER_YEAR)
    }

    /// Equal-tailed interval of the rate at `coverage`, from the Gamma posterior.
    #[must_use]
    pub fn interval(&self, coverage: f64) -> (f64, f64) {
        let tail = 0.5 * (1.0 - coverage.clamp(0.0, 1.0));
        let high = (self.shape + 40.0 * libm::sqrt(self.shape) + 800.0) / self.exposure;
        let at = |p: f64| bisect(0.0, high, |r| gamma_cdf(self.shape, r * self.exposure) < p);
        (at(tail), at(1.0 - tail))
    }
}

/// Regularised lower incomplete gamma `P(a, x)`: series below `a + 1`, continued fraction above.
#[must_use]
pub fn gamma_cdf(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let front = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum, mut k) = (1.0 / a, 1.0 / a, a);
        for _ in 0..10_000 {
            k += 1.0;
            term *= x / k;
            sum += term;
            if term < sum * 1e-16 {
                break;
            }
        }
        return (front * sum).min(1.0);
    }
    let (mut b, mut c) = (x + 1.0 - a, 1e300);
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..10_000 {
        let i = f64::from(i);
        let an = -i * (i - a);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    (1.0 - front * h).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_base_rate_gives_the_published_block_prior() {
        let h = Hazard::update(1e-9, 1e-9, 317.0, 5.0 * 1_500.0).unwrap();
        assert!((h.probability(12.0) / 1.6e-8 - 1.0).abs() < 0.02, "{}", h.probability(12.0));
        assert!((crate::logit(h.probability(12.0)) + 17.9).abs() < 0.1);
        let (low, high) = h.interval(0.95);
        assert!(low < h.rate() && h.rate() < high && high / low < 1.3);
    }

    #[test]
    fn the_incomplete_gamma_matches_the_poisson_law() {
        // P(N < 3 | mean 2) = 1 - P(3, 2).
        let poisson = libm::exp(-2.0) * (1.0 + 2.0 + 2.0);
        assert!((1.0 - gamma_cdf(3.0, 2.0) - poisson).abs() < 1e-14);
        assert!((1.0 - gamma_cdf(3.0, 9.0) - libm::exp(-9.0) * (1.0 + 9.0 + 40.5)).abs() < 1e-14);
    }
}
