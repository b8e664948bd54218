//! Evidence fusion in log-odds: a prior plus one capped sum of weighted log-likelihood ratios per group of
//! detectors that fire for the same cause. Invariant: one group can never move the posterior by more than
//! its cap, and the result is never NaN and never certain.

use crate::error::{RiskError, finite, probability};

/// Largest log-odds used internally, in nats; beyond it a probability differs from 0 or 1 by less than 1e-17.
pub const MAX_LOGIT: f64 = 40.0;

/// One detector's contribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    llr: f64,
    weight: f64,
}

impl Evidence {
    /// A log-likelihood ratio in nats (`ln P(e|attack)/P(e|benign)`) at its stacking weight.
    ///
    /// # Errors
    /// A ratio that is not finite, or a weight outside `[0, 1]`: stacking may discount evidence, never amplify it.
    pub fn new(llr: f64, weight: f64) -> Result<Self, RiskError> {
        Ok(Self { llr: finite("llr", llr)?, weight: probability("evidence weight", weight)? })
    }
}

/// Detectors that share a cause, capped together.
#[derive(Debug, Clone, PartialEq)]
pub struct EvidenceGroup {
    cap: f64,
    items: Vec<Evidence>,
}

impl EvidenceGroup {
    /// A group whose sum is clipped to `[-cap, cap]` nats.
    ///
    /// # Errors
    /// A cap that is NaN or negative. An infinite cap is allowed and means independence.
    pub fn new(cap: f64, items: Vec<Evidence>) -> Result<Self, RiskError> {
        if cap.is_nan() {
            return Err(RiskError::NotFinite { name: "group cap" });
        }
        if cap < 0.0 {
            return Err(RiskError::OutOfDomain {
                name: "group cap",
                value: cap,
                domain: "[0, inf]",
            });
        }
        Ok(Self { cap, items })
    }

    /// The capped, weighted sum in nats.
    #[must_use]
    pub fn llr(&self) -> f64 {
        let sum: f64 = self.items.iter().map(|e| e.weight * e.llr).sum();
        // Two finite ratios of opposite huge size could in principle meet as inf - inf.
        if sum.is_nan() { 0.0 } else { sum.clamp(-self.cap, self.cap) }
    }
}

/// Log-odds of `p` in nats, clamped to ±[`MAX_LOGIT`]; NaN reads as the lower clamp.
#[must_use]
pub fn logit(p: f64) -> f64 {
    if p.is_nan() || p <= 0.0 {
        return -MAX_LOGIT;
    }
    if p >= 1.0 {
        return MAX_LOGIT;
    }
    (libm::log(p) - libm::log1p(-p)).clamp(-MAX_LOGIT, MAX_LOGIT)
}

/// The probability with log-odds `z`, after clamping to ±[`MAX_LOGIT`]; NaN reads as the lower clamp.
#[must_use]
pub fn sigmoid(z: f64) -> f64 {
    let z = if z.is_nan() { -MAX_LOGIT } else { z.clamp(-MAX_LOGIT, MAX_LOGIT) };
    if z >= 0.0 {
        1.0 / (1.0 + libm::exp(-z))
    } else {
        let e = libm::exp(z);
        e / (1.0 + e)
    }
}

/// Posterior probability of an attack after all groups. A prior outside `[0, 1]` or NaN is clamped; use
/// [`try_fuse`] where that should be an error.
#[must_use]
pub fn fuse(prior: f64, groups: &[EvidenceGroup]) -> f64 {
    let sum: f64 = groups.iter().map(EvidenceGroup::llr).sum();
    sigmoid(logit(prior) + if sum.is_nan() { 0.0 } else { sum })
}

/// [`fuse`] that refuses a prior that is not a probability.
///
/// # Errors
/// A prior that is NaN or outside `[0, 1]`.
pub fn try_fuse(prior: f64, groups: &[EvidenceGroup]) -> Result<f64, RiskError> {
    Ok(fuse(probability("prior", prior)?, groups))
}

/// The effective-sample shrink `sum / (1 + rho (n - 1))`, the fallback while there are too few positives to
/// learn stacking weights. `rho` is the mean correlation of the detectors, clamped to `[0, 1]`.
#[must_use]
pub fn rho_shrink(llrs: &[f64], rho: f64) -> f64 {
    if llrs.is_empty() {
        return 0.0;
    }
    let rho = if rho.is_nan() { 1.0 } else { rho.clamp(0.0, 1.0) };
    let extra = (llrs.len() - 1) as f64;
    llrs.iter().filter(|x| x.is_finite()).sum::<f64>() / (1.0 + rho * extra)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group(cap: f64, llrs: &[f64]) -> EvidenceGroup {
        let items = llrs.iter().map(|l| Evidence::new(*l, 1.0).unwrap()).collect();
        EvidenceGroup::new(cap, items).unwrap()
    }

    #[test]
    fn a_group_never_moves_the_log_odds_beyond_its_cap() {
        let p = fuse(0.001, &[group(3.0, &[5.0, 9.0])]);
        assert!((logit(p) - logit(0.001) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_that_is_not_a_number_gets_in() {
        assert!(Evidence::new(f64::NAN, 1.0).is_err());
        assert!(Evidence::new(1.0, 1.5).is_err());
        assert!(EvidenceGroup::new(-1.0, Vec::new()).is_err());
        assert!(try_fuse(f64::NAN, &[]).is_err());
        assert!(fuse(f64::NAN, &[]) < 1e-16);
    }

    proptest! {
        #[test]
        fn adding_positive_evidence_never_lowers_the_posterior(
            prior in 1e-12..1.0_f64, a in -20.0..20.0_f64, b in 0.0..20.0_f64, cap in 0.0..30.0_f64,
        ) {
            let before = fuse(prior, &[group(cap, &[a])]);
            let after = fuse(prior, &[group(cap, &[a]), group(cap, &[b])]);
            prop_assert!(after >= before);
        }

        #[test]
        fn logit_and_sigmoid_are_inverse(z in -30.0..30.0_f64) {
            // Near one the probability itself carries only 2^-53 absolute precision.
            let tol = 1e-12 + 4.0 * f64::EPSILON * libm::exp(z.max(0.0));
            prop_assert!((logit(sigmoid(z)) - z).abs() <= tol);
        }
    }
}
