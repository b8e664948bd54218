//! Platt scaling `p = 1/(1 + exp(A s + B))` with his smoothed targets, by Newton's method. For fewer than about
//! 200 positives; above that isotonic regression has enough data.

use serde::{Deserialize, Serialize};

use super::check;
use crate::error::RiskError;

const MAX_STEPS: usize = 100;

/// A fitted sigmoid.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Platt {
    /// Slope; negative when higher scores mean attack.
    pub a: f64,
    /// Offset.
    pub b: f64,
}

impl Platt {
    /// Fits scores and labels.
    ///
    /// # Errors
    /// Uneven lengths, scores that are not finite, one class only, or no convergence.
    pub fn fit(scores: &[f64], labels: &[bool]) -> Result<Self, RiskError> {
        let (positives, negatives) = check(scores, labels)?;
        let (np, nn) = (positives as f64, negatives as f64);
        let (high, low) = ((np + 1.0) / (np + 2.0), 1.0 / (nn + 2.0));
        let target = |y: bool| if y { high } else { low };
        let mut fit = Self { a: 0.0, b: libm::log((nn + 1.0) / (np + 1.0)) };
        let mut loss = fit.loss(scores, labels, &target);
        for _ in 0..MAX_STEPS {
            let (mut ga, mut gb, mut haa, mut hab, mut hbb) = (0.0, 0.0, 1e-12, 0.0, 1e-12);
            for (s, y) in scores.iter().zip(labels) {
                let p = fit.probability(*s);
                let (d, v) = (target(*y) - p, p * (1.0 - p));
                ga += s * d;
                gb += d;
                haa += s * s * v;
                hab += s * v;
                hbb += v;
            }
            let det = haa * hbb - hab * hab;
            let (da, db) = (-(hbb * ga - hab * gb) / det, -(haa * gb - hab * ga) / det);
            let mut t = 1.0;
            let next = loop {
                let next = Self { a: fit.a + t * da, b: fit.b + t * db };
                let value = next.loss(scores, labels, &target);
                // Near the optimum the loss is flat to rounding and must not stop a good step.
                if value <= loss * (1.0 + 1e-13) || t < 1e-10 {
                    loss = value;
                    break next;
                }
                t *= 0.5;
            };
            fit = next;
            if da.abs().max(db.abs()) < 1e-12 * (1.0 + fit.a.abs() + fit.b.abs()) || t < 1e-10 {
                return Ok(fit);
            }
        }
        Err(RiskError::NoConvergence { name: "platt", iterations: MAX_STEPS })
    }

    /// Calibrated probability of a score.
    #[must_use]
    pub fn probability(&self, score: f64) -> f64 {
        crate::fusion::sigmoid(-(self.a * score + self.b))
    }

    fn loss(&self, scores: &[f64], labels: &[bool], target: &dyn Fn(bool) -> f64) -> f64 {
        scores
            .iter()
            .zip(labels)
            .map(|(s, y)| {
                let z = self.a * s + self.b;
                // ln(1 + e^z) - (1 - t) z, without overflow.
                let soft = z.max(0.0) + libm::log1p(libm::exp(-z.abs()));
                soft - (1.0 - target(*y)) * z
            })
            .sum()
    }
}
