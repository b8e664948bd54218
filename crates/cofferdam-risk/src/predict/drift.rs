//! Drift: whether the inputs still look like the training data (population stability index), and whether the model's
//! log-loss has risen above what its card promises (an e-process). Once drifted, the rules answer until a person resets.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, finite, positive, probability};

/// Above this the population is called different.
pub const PSI_DIFFERENT: f64 = 0.25;
/// Evidence at which the e-process stops the model: one false stop in a thousand models.
pub const STOP_AT: f64 = 1_000.0;

/// Population stability index of two samples over the deciles of the first. Shares are kept above half a case.
///
/// # Errors
/// Fewer than ten cases on either side, or values that are not finite.
pub fn population_stability(trained: &[f64], live: &[f64]) -> Result<f64, RiskError> {
    const BINS: usize = 10;
    for (name, xs) in [("training sample", trained), ("live sample", live)] {
        if xs.len() < BINS {
            return Err(RiskError::TooFew { name, got: xs.len(), want: BINS });
        }
        xs.iter().try_for_each(|x| finite("feature", *x).map(|_| ()))?;
    }
    let mut sorted = trained.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut edges: Vec<f64> = (1..BINS).map(|i| sorted[i * sorted.len() / BINS]).collect();
    edges.dedup();
    let shares = |xs: &[f64]| {
        let mut counts = vec![0.0; edges.len() + 1];
        for x in xs {
            counts[edges.partition_point(|e| e <= x)] += 1.0;
        }
        let n = xs.len() as f64;
        counts.into_iter().map(|c: f64| c.max(0.5) / n).collect::<Vec<_>>()
    };
    let (a, b) = (shares(trained), shares(live));
    Ok(a.iter().zip(&b).map(|(a, b)| (b - a) * libm::log(b / a)).sum())
}

/// An e-process against "the mean log-loss is at most what the card promises".
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DriftMonitor {
    promised: f64,
    cap: f64,
    bet: f64,
    log_evidence: f64,
    drifted: bool,
}

impl DriftMonitor {
    /// A monitor for a promised mean log-loss; single losses are capped at `cap` nats, which only makes it slower.
    ///
    /// # Errors
    /// A promise or cap that is not positive, or a cap not above the promise.
    pub fn new(promised: f64, cap: f64) -> Result<Self, RiskError> {
        let promised = positive("promised log-loss", promised)?;
        if positive("cap", cap)? <= promised {
            return Err(RiskError::OutOfDomain {
                name: "cap",
                value: cap,
                domain: "above the promise",
            });
        }
        // Half of the largest bet that can never lose everything.
        let bet = 0.5 / promised;
        Ok(Self { promised, cap, bet, log_evidence: 0.0, drifted: false })
    }

    /// Takes a forecast and its outcome; returns whether the model has drifted, which is for good.
    ///
    /// # Errors
    /// A forecast that is no probability; the state is unchanged.
    pub fn push(&mut self, forecast: f64, outcome: bool) -> Result<bool, RiskError> {
        let p = probability("forecast", forecast)?.clamp(1e-12, 1.0 - 1e-12);
        let loss = if outcome { -libm::log(p) } else { -libm::log1p(-p) };
        // Each factor has mean at most one while the promise holds: capping only lowers the loss.
        let factor = 1.0 + self.bet * (loss.min(self.cap) - self.promised);
        self.log_evidence += libm::log(factor);
        self.drifted |= self.log_evidence >= libm::log(STOP_AT);
        Ok(self.drifted)
    }

    /// Whether the rules must answer instead.
    #[must_use]
    pub fn drifted(&self) -> bool {
        self.drifted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::random::Philox;

    #[test]
    fn the_same_population_is_stable_and_a_shifted_one_is_not() {
        let rng = Philox::new(11);
        let sample =
            |s, shift: f64| (0..2_000).map(|i| rng.normal(s, i) + shift).collect::<Vec<_>>();
        assert!(population_stability(&sample(0, 0.0), &sample(1, 0.0)).unwrap() < 0.05);
        assert!(population_stability(&sample(0, 0.0), &sample(1, 1.0)).unwrap() > PSI_DIFFERENT);
        assert!(population_stability(&[1.0; 100], &[1.0; 100]).unwrap() < 1e-9);
        assert!(population_stability(&[1.0], &[1.0]).is_err());
    }

    #[test]
    fn a_model_that_keeps_its_promise_is_kept_and_one_that_lies_is_stopped() {
        let rng = Philox::new(12);
        let run = |truth: f64| {
            // The promise is the entropy of the honest model.
            let promised = -(0.1 * libm::log(0.1) + 0.9 * libm::log(0.9));
            let mut m = DriftMonitor::new(promised, 5.0).unwrap();
            (0..5_000).find(|i| m.push(0.1, rng.uniform(0, *i) < truth).unwrap())
        };
        assert_eq!(run(0.1), None);
        assert!(run(0.4).is_some_and(|at| at < 200));
        let mut m = DriftMonitor::new(0.3, 5.0).unwrap();
        assert!(m.push(1.5, true).is_err() && !m.drifted());
        assert!(DriftMonitor::new(0.3, 0.2).is_err());
    }
}
