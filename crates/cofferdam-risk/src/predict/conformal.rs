//! Mondrian conformal prediction: calibrated separately per class, so that the rare class keeps its own error rate.
//! Where the set is empty or holds both classes there is no answer.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, finite, probability};

/// Fewest calibration cases per class.
pub const CASES_MIN: usize = 20;

/// Calibrated scores by class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mondrian {
    /// Scores of benign cases, ascending.
    benign: Vec<f64>,
    /// Scores of attacks, ascending.
    attack: Vec<f64>,
}

/// What can be said at an error rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PredictionSet {
    /// Benign only.
    Benign,
    /// Attack only.
    Attack,
    /// Either: abstain.
    Both,
    /// Neither: out of distribution, abstain.
    Neither,
}

impl Mondrian {
    /// Calibrates on held-out scores (higher means attack).
    ///
    /// # Errors
    /// Scores that are not finite, or fewer than [`CASES_MIN`] of a class.
    pub fn calibrate(scores: &[f64], labels: &[bool]) -> Result<Self, RiskError> {
        crate::calibration::check(scores, labels)?;
        let class = |wanted: bool| {
            let mut out: Vec<f64> =
                scores.iter().zip(labels).filter(|(_, y)| **y == wanted).map(|(s, _)| *s).collect();
            out.sort_by(f64::total_cmp);
            out
        };
        let (benign, attack) = (class(false), class(true));
        let got = benign.len().min(attack.len());
        if got < CASES_MIN {
            return Err(RiskError::TooFew { name: "conformal calibration", got, want: CASES_MIN });
        }
        Ok(Self { benign, attack })
    }

    /// `(p_benign, p_attack)` of a score: the share of each class at least as odd.
    ///
    /// # Errors
    /// A score that is not finite.
    pub fn p_values(&self, score: f64) -> Result<(f64, f64), RiskError> {
        let s = finite("score", score)?;
        let above = self.benign.len() - self.benign.partition_point(|b| *b < s);
        let below = self.attack.partition_point(|a| *a <= s);
        let p = |odd: usize, n: usize| (odd + 1) as f64 / (n + 1) as f64;
        Ok((p(above, self.benign.len()), p(below, self.attack.len())))
    }

    /// Classes that cannot be ruled out at error rate `alpha`, per class.
    ///
    /// # Errors
    /// A score that is not finite, or a rate outside `[0, 1]`.
    pub fn set(&self, score: f64, alpha: f64) -> Result<PredictionSet, RiskError> {
        let alpha = probability("error rate", alpha)?;
        let (benign, attack) = self.p_values(score)?;
        Ok(match (benign > alpha, attack > alpha) {
            (true, false) => PredictionSet::Benign,
            (false, true) => PredictionSet::Attack,
            (true, true) => PredictionSet::Both,
            (false, false) => PredictionSet::Neither,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::random::Philox;

    #[test]
    fn each_class_is_missed_no_more_often_than_asked() {
        let rng = Philox::new(6);
        let score = |y: bool, i| rng.normal(u64::from(y), i) + if y { 2.0 } else { 0.0 };
        let labels: Vec<bool> = (0..600).map(|i| i % 6 == 0).collect();
        let scores: Vec<f64> = labels.iter().zip(0..).map(|(y, i)| score(*y, i)).collect();
        let m = Mondrian::calibrate(&scores, &labels).unwrap();
        for class in [false, true] {
            let missed = (10_000..14_000)
                .filter(|i| {
                    let set = m.set(score(class, *i), 0.1).unwrap();
                    let other = if class { PredictionSet::Benign } else { PredictionSet::Attack };
                    set == other || set == PredictionSet::Neither
                })
                .count();
            assert!(missed < 600, "{class} {missed}");
        }
        assert_eq!(m.set(-4.0, 0.1).unwrap(), PredictionSet::Benign);
        assert_eq!(m.set(6.0, 0.1).unwrap(), PredictionSet::Attack);
        assert_eq!(m.set(1.0, 0.01).unwrap(), PredictionSet::Both);
        assert!(Mondrian::calibrate(&scores[..30], &labels[..30]).is_err());
        assert!(m.set(f64::NAN, 0.1).is_err());
    }
}
