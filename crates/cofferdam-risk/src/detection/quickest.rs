//! The recursions. Invariant: each update is a pure function of the last state and one observation.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, finite, probability};
use crate::numeric::special::clopper_pearson;

/// Wald's bounds `(ln((1-beta)/alpha), ln(beta/(1-alpha)))` for error rates `alpha` (false alarm) and `beta` (miss).
///
/// # Errors
/// Error rates outside `(0, 1)` or summing to one or more.
pub fn sprt_bounds(alpha: f64, beta: f64) -> Result<(f64, f64), RiskError> {
    let (a, b) = (probability("alpha", alpha)?, probability("beta", beta)?);
    if a <= 0.0 || b <= 0.0 || a + b >= 1.0 {
        return Err(RiskError::OutOfDomain {
            name: "alpha + beta",
            value: a + b,
            domain: "(0, 1)",
        });
    }
    Ok((libm::log((1.0 - b) / a), libm::log(b / (1.0 - a))))
}

/// One-sided CUSUM `S = max(0, S + x - k)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cusum {
    /// Reference value, half the shift worth detecting.
    pub k: f64,
    /// Current statistic.
    pub value: f64,
}

impl Cusum {
    /// Takes one standardised observation and returns the new statistic.
    ///
    /// # Errors
    /// An observation that is not finite; the state is unchanged.
    pub fn push(&mut self, x: f64) -> Result<f64, RiskError> {
        self.value = (self.value + finite("observation", x)? - self.k).max(0.0);
        Ok(self.value)
    }
}

/// Shiryaev's posterior that the change has happened, under a geometric prior.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shiryaev {
    /// Probability of the change per step.
    pub hazard: f64,
    /// Posterior.
    pub posterior: f64,
}

impl Shiryaev {
    /// Takes the log-likelihood ratio of one observation and returns the new posterior.
    ///
    /// # Errors
    /// A ratio that is not finite, or a hazard outside `[0, 1]`; the state is unchanged.
    pub fn push(&mut self, llr: f64) -> Result<f64, RiskError> {
        let rho = probability("change hazard", self.hazard)?;
        let ratio = libm::exp(finite("llr", llr)?.clamp(-700.0, 700.0));
        let prior = self.posterior + (1.0 - self.posterior) * rho;
        self.posterior = prior * ratio / (prior * ratio + (1.0 - prior));
        Ok(self.posterior)
    }
}

/// Bounds on a detector's log-likelihood ratio `[ln((1-TPR_up)/(1-FPR_lo)), ln(TPR_lo/FPR_up)]` from tested
/// windows, one-sided 95 % Clopper-Pearson. With no false alarm in `n` clean windows the upper bound is close to
/// `ln(TPR n / 3)`: more cannot honestly be claimed.
#[must_use]
pub fn llr_cap(hits: u64, attacks: u64, false_alarms: u64, clean_windows: u64) -> (f64, f64) {
    let (tpr_lo, tpr_up) = clopper_pearson(hits, attacks);
    let (fpr_lo, fpr_up) = clopper_pearson(false_alarms, clean_windows);
    let upper = if tpr_lo > 0.0 { libm::log(tpr_lo / fpr_up).max(0.0) } else { 0.0 };
    let lower =
        if tpr_up < 1.0 { libm::log((1.0 - tpr_up) / (1.0 - fpr_lo)).min(0.0) } else { 0.0 };
    (lower, upper)
}

/// Isolation forest's expected path length `c(n) = 2 H(n-1) - 2 (n-1)/n`, with exact harmonic numbers.
#[must_use]
pub fn iforest_normaliser(n: u32) -> f64 {
    if n < 2 {
        return 0.0;
    }
    let harmonic: f64 = (1..n).rev().map(|i| 1.0 / f64::from(i)).sum();
    2.0 * harmonic - 2.0 * f64::from(n - 1) / f64::from(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_record_is_worth_the_rule_of_three() {
        let (_, cap) = llr_cap(95, 100, 0, 490_000);
        assert!((cap - 12.0).abs() < 0.15, "{cap}");
        assert_eq!(llr_cap(0, 0, 0, 0), (0.0, 0.0));
    }

    #[test]
    fn bad_observations_leave_the_state_alone() {
        let mut c = Cusum { k: 0.5, value: 2.0 };
        assert!(c.push(f64::NAN).is_err());
        assert_eq!(c.value, 2.0);
        assert!(sprt_bounds(0.6, 0.5).is_err());
    }
}
