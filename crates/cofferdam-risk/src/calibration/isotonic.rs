//! Isotonic regression by pooling adjacent violators, and Venn-Abers intervals built on it.

use serde::{Deserialize, Serialize};

use super::check;
use crate::error::{RiskError, finite};

/// A monotone step fit with linear interpolation between scores, flat beyond the ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Isotonic {
    scores: Vec<f64>,
    values: Vec<f64>,
}

impl Isotonic {
    /// Fits scores and labels; equal scores share one value.
    ///
    /// # Errors
    /// Uneven lengths, scores that are not finite, or one class only.
    pub fn fit(scores: &[f64], labels: &[bool]) -> Result<Self, RiskError> {
        check(scores, labels)?;
        let mut pairs: Vec<(f64, bool)> =
            scores.iter().copied().zip(labels.iter().copied()).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(pool(&pairs))
    }

    /// Calibrated probability of a score.
    #[must_use]
    pub fn probability(&self, score: f64) -> f64 {
        let i = self.scores.partition_point(|s| *s < score);
        match (i.checked_sub(1), self.scores.get(i)) {
            (None, _) => self.values.first().copied().unwrap_or(0.5),
            (Some(last), None) => self.values[last],
            (Some(below), Some(above)) => {
                let (x0, y0) = (self.scores[below], self.values[below]);
                let t = (score - x0) / (above - x0);
                y0 + t * (self.values[i] - y0)
            }
        }
    }
}

/// Pools sorted pairs.
fn pool(pairs: &[(f64, bool)]) -> Isotonic {
    // Blocks of (sum, count, distinct scores).
    let mut scores: Vec<f64> = Vec::new();
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for (s, y) in pairs {
        let y = f64::from(u8::from(*y));
        if scores.last() == Some(s)
            && let Some(block) = blocks.last_mut()
        {
            // Ties were opened as their own block below, or already pooled: either way they share it.
            block.0 += y;
            block.1 += 1.0;
        } else {
            scores.push(*s);
            blocks.push((y, 1.0, 1));
            continue;
        }
    }
    let mut merged: Vec<(f64, f64, usize)> = Vec::with_capacity(blocks.len());
    for block in blocks {
        merged.push(block);
        while merged.len() > 1 {
            let (last, before) = (merged[merged.len() - 1], merged[merged.len() - 2]);
            if before.0 * last.1 < last.0 * before.1 {
                break;
            }
            merged.pop();
            let top = merged.len() - 1;
            merged[top] = (before.0 + last.0, before.1 + last.1, before.2 + last.2);
        }
    }
    let values = merged.iter().flat_map(|b| core::iter::repeat_n(b.0 / b.1, b.2)).collect();
    Isotonic { scores, values }
}

/// Venn-Abers interval `(p0, p1)` of a score: isotonic fits with the score added once as benign, once as attack
/// (Vovk and Petej 2014). Wider where there is little data.
///
/// # Errors
/// As [`Isotonic::fit`]; a score that is not finite.
pub fn venn_abers(scores: &[f64], labels: &[bool], score: f64) -> Result<(f64, f64), RiskError> {
    check(scores, labels)?;
    finite("score", score)?;
    let mut pairs: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    pairs.push((score, false));
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let benign = pool(&pairs).probability(score);
    // The added one is the first benign pair at that score; ties pool, so which of them turns does not matter.
    if let Some(p) = pairs.iter_mut().find(|p| p.0 == score && !p.1) {
        p.1 = true;
    }
    Ok((benign, pool(&pairs).probability(score)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_fit_is_monotone_and_keeps_the_mean(
            data in prop::collection::vec((-5_i32..5, prop::bool::ANY), 4..60),
        ) {
            let scores: Vec<f64> = data.iter().map(|d| f64::from(d.0)).collect();
            let labels: Vec<bool> = data.iter().map(|d| d.1).collect();
            if let Ok(fit) = Isotonic::fit(&scores, &labels) {
                prop_assert!(fit.values.windows(2).all(|w| w[0] <= w[1]));
                let mean: f64 = scores.iter().map(|s| fit.probability(*s)).sum();
                prop_assert!((mean - labels.iter().filter(|y| **y).count() as f64).abs() < 1e-9);
                let (p0, p1) = venn_abers(&scores, &labels, 0.5).unwrap();
                prop_assert!((0.0..=1.0).contains(&p0) && p0 <= p1 && p1 <= 1.0);
            }
        }
    }
}
