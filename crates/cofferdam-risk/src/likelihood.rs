//! From back-tests to evidence: a table of log-likelihood ratios per detector by score bin, the weights at which
//! detectors are stacked, and how evidence fades. Invariant: a table keeps what its windows suggest apart from what
//! they prove, and no weight amplifies.

use crate::error::{RiskError, finite, non_negative, positive, same_length};
use crate::fusion::sigmoid;
use crate::numeric::special::clopper_pearson;

/// Fewest attacks before weights are learned; below it use [`crate::rho_shrink`].
pub const ATTACKS_MIN: usize = 50;
/// Most that a bound says, nats: no count rules out more.
pub const BOUND_MAX: f64 = 20.0;
/// Steps of the weight fit.
const STEPS: usize = 500;

/// The log-likelihood ratio of one score bin, nats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BinRatio {
    /// Best estimate: counts smoothed by Beta(1/2, 1/2).
    pub point: f64,
    /// What the counts prove: both rates at their adverse one-sided 95 % Clopper-Pearson limits.
    pub low: f64,
    /// What the counts do not rule out.
    pub high: f64,
}

/// Ratios by score bin from counts of `(attack, clean)` windows whose score lies in the bin, lowest bin first, of so
/// many windows in all. A higher score is never weaker evidence: what the counts say otherwise is pooled upwards.
///
/// # Errors
/// No attack or no clean window, or more of them in bins than there are.
pub fn bin_ratios(
    bins: &[(u64, u64)],
    (attacks, clean): (u64, u64),
) -> Result<Vec<BinRatio>, RiskError> {
    for (name, n) in [("attack windows", attacks), ("clean windows", clean)] {
        if n == 0 {
            return Err(RiskError::TooFew { name, got: 0, want: 1 });
        }
    }
    let counted = bins
        .iter()
        .fold((0u64, 0u64), |sum, it| (sum.0.saturating_add(it.0), sum.1.saturating_add(it.1)));
    if counted.0 > attacks || counted.1 > clean {
        return Err(RiskError::OutOfDomain {
            name: "windows in bins",
            value: counted.0.max(counted.1) as f64,
            domain: "at most all windows",
        });
    }
    let (n1, n0) = (attacks as f64, clean as f64);
    let ln = |x: f64| if x > 0.0 { libm::log(x) } else { f64::NEG_INFINITY };
    let mut ratios: Vec<BinRatio> = Vec::with_capacity(bins.len());
    for (a, b) in bins {
        let (hit, alarm) = (clopper_pearson(*a, attacks), clopper_pearson(*b, clean));
        let rate = |k: u64, n: f64| libm::log((k as f64 + 0.5) / (n + 1.0));
        let point = rate(*a, n1) - rate(*b, n0);
        let low = (ln(hit.0) - ln(alarm.1)).clamp(-BOUND_MAX, BOUND_MAX).min(point);
        let high = (ln(hit.1) - ln(alarm.0)).clamp(-BOUND_MAX, BOUND_MAX).max(point);
        let before = ratios.last().copied().unwrap_or(BinRatio { point, low, high });
        ratios.push(BinRatio {
            point: point.max(before.point),
            low: low.max(before.low),
            high: high.max(before.high),
        });
    }
    Ok(ratios)
}

/// Evidence that halves every `half_life`, `age` after it was seen.
///
/// # Errors
/// A ratio that is not finite, a negative age, or a half-life of zero.
pub fn faded(llr: f64, age: f64, half_life: f64) -> Result<f64, RiskError> {
    let (llr, age) = (finite("llr", llr)?, non_negative("age", age)?);
    Ok(llr * libm::exp2(-age / positive("half-life", half_life)?))
}

/// Weights in `[0, 1]` for detectors, by L2-penalised logistic regression on out-of-fold ratios around the prior's
/// log-odds: rows of ratios per window, labels, and the penalty on deviations from one.
///
/// # Errors
/// Uneven rows, ratios that are not finite, or fewer than [`ATTACKS_MIN`] attacks.
pub fn stacking_weights(
    rows: &[Vec<f64>],
    labels: &[bool],
    prior_logit: f64,
    penalty: f64,
) -> Result<Vec<f64>, RiskError> {
    same_length("labels", labels.len(), rows.len())?;
    let penalty = non_negative("penalty", penalty)?;
    let attacks = labels.iter().filter(|y| **y).count();
    if attacks < ATTACKS_MIN {
        return Err(RiskError::TooFew {
            name: "stacking weights",
            got: attacks,
            want: ATTACKS_MIN,
        });
    }
    let n = rows.first().map_or(0, Vec::len);
    let mut scale = 0.0_f64;
    for row in rows {
        same_length("detectors", row.len(), n)?;
        let mut size = 0.0;
        for x in row {
            size += finite("llr", *x)? * x;
        }
        scale += size;
    }
    finite("prior log-odds", prior_logit)?;
    let mut w = vec![1.0; n];
    // Gradient steps no longer than the inverse of the curvature's bound, projected onto the box.
    let step = 1.0 / (0.25 * scale + penalty).max(f64::MIN_POSITIVE);
    for _ in 0..STEPS {
        let mut gradient: Vec<f64> = w.iter().map(|w| penalty * (w - 1.0)).collect();
        for (row, y) in rows.iter().zip(labels) {
            let z = prior_logit + row.iter().zip(&w).map(|(x, w)| x * w).sum::<f64>();
            let residual = sigmoid(z) - f64::from(u8::from(*y));
            for (g, x) in gradient.iter_mut().zip(row) {
                *g += residual * x;
            }
        }
        let mut moved = 0.0_f64;
        for (w, g) in w.iter_mut().zip(&gradient) {
            let next = (*w - step * g).clamp(0.0, 1.0);
            moved = moved.max((next - *w).abs());
            *w = next;
        }
        if moved < 1e-12 {
            break;
        }
    }
    Ok(w)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::random::Philox;

    #[test]
    fn a_bin_tells_what_its_windows_suggest_from_what_they_prove() {
        let [low, high] = bin_ratios(&[(5, 40), (90, 1)], (100, 49_000)).unwrap()[..] else {
            panic!("two bins");
        };
        assert!((high.point - libm::log(90.5 / 101.0 * 49_001.0 / 1.5)).abs() < 1e-12);
        // 90 of 100 prove a rate of 83.6 %, one of 49,000 rules out less than 1 in 10,329.
        assert!((high.low - libm::log(0.8363 * 10_329.0)).abs() < 5e-3, "{high:?}");
        assert!(high.low < high.point && high.point < high.high && low.point < high.point);
        let clean = bin_ratios(&[(3, 0)], (3, 1_000)).unwrap()[0];
        assert_eq!(clean.high, BOUND_MAX, "nothing rules out that it never errs");
        assert!(clean.low < libm::log(1_000.0 / 3.0), "the rule of three");
        let falls = bin_ratios(&[(9, 0), (1, 9)], (10, 100)).unwrap();
        assert_eq!(falls[0], falls[1], "a higher score is never weaker evidence");
        assert!(bin_ratios(&[], (0, 1)).is_err() && bin_ratios(&[(2, 0)], (1, 1)).is_err());
    }

    #[test]
    fn two_detectors_that_say_the_same_are_not_counted_twice() {
        let rng = Philox::new(21);
        let labels: Vec<bool> = (0..4_000).map(|i| i % 10 == 0).collect();
        let rows: Vec<Vec<f64>> = labels
            .iter()
            .zip(0..)
            .map(|(y, i)| {
                // LLR of a unit-variance normal shifted by two.
                let x = rng.normal(0, i) + if *y { 2.0 } else { 0.0 };
                let llr = 2.0 * x - 2.0;
                vec![llr, llr]
            })
            .collect();
        let w = stacking_weights(&rows, &labels, crate::logit(0.1), 0.1).unwrap();
        assert!((w[0] + w[1] - 1.0).abs() < 0.1, "{w:?}");
        let single: Vec<Vec<f64>> = rows.iter().map(|r| vec![r[0]]).collect();
        let w = stacking_weights(&single, &labels, crate::logit(0.1), 0.1).unwrap();
        assert!(w[0] > 0.9 && w[0] <= 1.0, "{w:?}");
        assert!(stacking_weights(&single[..100], &labels[..100], 0.0, 0.1).is_err());
    }

    #[test]
    fn evidence_halves_every_half_life() {
        assert_eq!(faded(8.0, 20.0, 10.0).unwrap(), 2.0);
        assert!(faded(8.0, -1.0, 10.0).is_err() && faded(8.0, 1.0, 0.0).is_err());
    }
}
