//! From back-tests to evidence: a table of log-likelihood ratios per detector by score bin, the weights at which
//! detectors are stacked, and how evidence fades. Invariant: no table claims more than its clean windows allow, and no
//! weight amplifies.

use serde::{Deserialize, Serialize};

use crate::detection::llr_cap;
use crate::error::{RiskError, finite, non_negative, positive, same_length};
use crate::fusion::sigmoid;

/// Fewest attacks before weights are learned; below it use [`crate::rho_shrink`].
pub const ATTACKS_MIN: usize = 50;
/// Steps of the weight fit.
const STEPS: usize = 500;

/// Log-likelihood ratios by score bin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlrTable {
    /// Upper edges of all bins but the last, ascending.
    edges: Vec<f64>,
    /// One ratio per bin, nats, never falling with the score.
    llr: Vec<f64>,
    /// Ratio of a live detector that says nothing.
    silent: f64,
}

impl LlrTable {
    /// Tabulates scores of attack and clean windows; `None` is a window in which the live detector said nothing. Counts
    /// are smoothed by Beta(1/2, 1/2) and ratios clipped to what the windows can prove (one-sided 95 %).
    ///
    /// # Errors
    /// No attack or no clean window, edges that do not ascend, or scores that are not finite.
    pub fn fit(
        edges: &[f64],
        attack: &[Option<f64>],
        clean: &[Option<f64>],
    ) -> Result<Self, RiskError> {
        for (name, n) in [("attack windows", attack.len()), ("clean windows", clean.len())] {
            if n == 0 {
                return Err(RiskError::TooFew { name, got: 0, want: 1 });
            }
        }
        edges.iter().try_for_each(|e| finite("score edge", *e).map(|_| ()))?;
        if let Some(w) = edges.windows(2).find(|w| w[0] >= w[1]) {
            return Err(RiskError::OutOfDomain {
                name: "score edge",
                value: w[1],
                domain: "ascending",
            });
        }
        let count = |windows: &[Option<f64>]| -> Result<(Vec<f64>, f64), RiskError> {
            let (mut bins, mut silent) = (vec![0.0; edges.len() + 1], 0.0);
            for score in windows {
                match score {
                    Some(s) => {
                        let s = finite("score", *s)?;
                        bins[edges.partition_point(|e| *e <= s)] += 1.0;
                    }
                    None => silent += 1.0,
                }
            }
            Ok((bins, silent))
        };
        let ((hits, quiet_hits), (alarms, quiet)) = (count(attack)?, count(clean)?);
        let (n1, n0) = (attack.len() as f64, clean.len() as f64);
        let ratio =
            |a: f64, b: f64| libm::log((a + 0.5) / (n1 + 1.0)) - libm::log((b + 0.5) / (n0 + 1.0));
        let fired = (attack.len() as f64 - quiet_hits, clean.len() as f64 - quiet);
        let (low, high) =
            llr_cap(fired.0 as u64, attack.len() as u64, fired.1 as u64, clean.len() as u64);
        let mut llr: Vec<f64> =
            hits.iter().zip(&alarms).map(|(a, b)| ratio(*a, *b).clamp(low, high)).collect();
        // A higher score is never weaker evidence: pool what says otherwise.
        for i in 1..llr.len() {
            llr[i] = llr[i].max(llr[i - 1]);
        }
        let silent = ratio(quiet_hits, quiet).clamp(low, 0.0);
        Ok(Self { edges: edges.to_vec(), llr, silent })
    }

    /// The ratio of a score; of a live detector that said nothing for `None`. A dead detector contributes nothing and
    /// must not be asked.
    #[must_use]
    pub fn ratio(&self, score: Option<f64>) -> f64 {
        match score {
            // NaN is no evidence.
            Some(s) if s.is_nan() => 0.0,
            Some(s) => self.llr[self.edges.partition_point(|e| *e <= s)],
            None => self.silent,
        }
    }
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
    fn a_table_claims_what_its_windows_prove_and_silence_counts_a_little_against() {
        let attack: Vec<_> = (0..100).map(|i| (i < 95).then_some(f64::from(i % 10))).collect();
        let mut clean = vec![None; 49_000];
        clean[0] = Some(0.5);
        let t = LlrTable::fit(&[1.0, 5.0], &attack, &clean).unwrap();
        let (_, cap) = llr_cap(95, 100, 1, 49_000);
        assert!(t.ratio(Some(9.0)) <= cap && t.ratio(Some(9.0)) > 8.0, "{t:?}");
        assert!(
            t.ratio(Some(0.0)) <= t.ratio(Some(3.0)) && t.ratio(Some(3.0)) <= t.ratio(Some(9.0))
        );
        assert!(t.ratio(None) < 0.0 && t.ratio(None) > -4.0);
        assert_eq!(t.ratio(Some(f64::NAN)), 0.0);
        assert!(LlrTable::fit(&[1.0, 1.0], &attack, &clean).is_err());
        assert!(LlrTable::fit(&[], &[], &clean).is_err());
        assert!(LlrTable::fit(&[], &[Some(f64::NAN)], &clean).is_err());
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
