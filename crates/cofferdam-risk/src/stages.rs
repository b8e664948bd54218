//! The stage filter: a hidden Markov model over benign, preparation, in progress and drained, one step per block
//! (forward algorithm). Invariant: the stage probabilities are finite, not negative and sum to one after any evidence.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, finite, non_negative, probability};
use crate::fusion::MAX_LOGIT;

/// How many stages there are.
pub const STAGES: usize = 4;
/// Longest forecast, in blocks.
pub const MAX_BLOCKS: u32 = 100_000;

/// Where an attack stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Nothing is going on.
    Benign,
    /// Funding, deploying, probing.
    Preparation,
    /// Value is leaving.
    InProgress,
    /// All that could leave has left.
    Drained,
}

/// Probabilities of moving on per block.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StageHazards {
    /// An attacker begins to prepare.
    pub prepare: f64,
    /// An attack begins without visible preparation.
    pub strike: f64,
    /// Preparation turns into an attack.
    pub advance: f64,
    /// Preparation is given up.
    pub abandon: f64,
    /// An attack under way finishes; one over the blocks a drain takes.
    pub finish: f64,
    /// A drained pool is refilled and counts as benign again.
    pub refill: f64,
}

/// The filter's state.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StageFilter {
    hazards: StageHazards,
    p: [f64; STAGES],
}

impl StageFilter {
    /// A filter that starts benign up to `prior`, the probability of an attack in progress.
    ///
    /// # Errors
    /// Hazards outside `[0, 1]`, or whose sums out of one stage exceed one; a prior that is no probability.
    pub fn new(hazards: StageHazards, prior: f64) -> Result<Self, RiskError> {
        let h = &hazards;
        for (name, value) in [
            ("hazard of preparation or strike", h.prepare + h.strike),
            ("hazard of advancing or abandoning", h.advance + h.abandon),
            ("hazard of finishing", h.finish),
            ("hazard of refilling", h.refill),
        ] {
            probability(name, value)?;
        }
        for value in [h.prepare, h.strike, h.advance, h.abandon] {
            non_negative("hazard", value)?;
        }
        let prior = probability("prior", prior)?;
        Ok(Self { hazards, p: [1.0 - prior, 0.0, prior, 0.0] })
    }

    /// Takes one block: predicts, then weighs by the log-likelihoods of the block's evidence per stage, in nats
    /// relative to benign. Each is clamped to ±40.
    ///
    /// # Errors
    /// A log-likelihood that is not finite; the state is unchanged.
    pub fn push(&mut self, log_likelihood: [f64; STAGES]) -> Result<[f64; STAGES], RiskError> {
        let mut weights = [0.0; STAGES];
        for (w, l) in weights.iter_mut().zip(log_likelihood) {
            *w = finite("stage evidence", l)?.clamp(-MAX_LOGIT, MAX_LOGIT);
        }
        let top = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut next = self.predicted(self.p);
        for (p, w) in next.iter_mut().zip(weights) {
            *p *= libm::exp(w - top);
        }
        let sum: f64 = next.iter().sum();
        if sum > 0.0 {
            self.p = next.map(|p| p / sum);
        }
        Ok(self.p)
    }

    /// A filter with `preparing` of the probability in preparation before the first block.
    ///
    /// # Errors
    /// As [`StageFilter::new`]; a share that is no probability.
    pub fn preparing(hazards: StageHazards, preparing: f64) -> Result<Self, RiskError> {
        let preparing = probability("preparing", preparing)?;
        Ok(Self { p: [1.0 - preparing, preparing, 0.0, 0.0], ..Self::new(hazards, 0.0)? })
    }

    /// An attack in progress is over with this probability: the part of a first loss that took all at once.
    ///
    /// # Errors
    /// A share that is no probability.
    pub fn finish(&mut self, share: f64) -> Result<(), RiskError> {
        let over = self.p[2] * probability("finished share", share)?;
        self.p[2] -= over;
        self.p[3] += over;
        Ok(())
    }

    /// An attack that was thought to be over is in progress with this probability after all.
    ///
    /// # Errors
    /// A share that is no probability.
    pub fn resume(&mut self, share: f64) -> Result<(), RiskError> {
        let back = self.p[3] * probability("resumed share", share)?;
        self.p[3] -= back;
        self.p[2] += back;
        Ok(())
    }

    /// From now on an attack in progress finishes with this probability per block, clamped to `[0, 1]`.
    pub fn drains(&mut self, finish: f64) {
        self.hazards.finish = if finish.is_nan() { 0.0 } else { finish.clamp(0.0, 1.0) };
    }

    /// The probability of all stages, in the order of [`Stage`].
    #[must_use]
    pub fn probabilities(&self) -> [f64; STAGES] {
        self.p
    }

    fn predicted(&self, p: [f64; STAGES]) -> [f64; STAGES] {
        let h = &self.hazards;
        let [benign, prep, running, drained] = p;
        [
            benign * (1.0 - h.prepare - h.strike) + prep * h.abandon + drained * h.refill,
            prep * (1.0 - h.advance - h.abandon) + benign * h.prepare,
            running * (1.0 - h.finish) + benign * h.strike + prep * h.advance,
            drained * (1.0 - h.refill) + running * h.finish,
        ]
    }

    /// Probability of a stage.
    #[must_use]
    pub fn probability(&self, stage: Stage) -> f64 {
        self.p[stage as usize]
    }

    /// The likeliest stage; the later one on a tie.
    #[must_use]
    pub fn likeliest(&self) -> Stage {
        let all = [Stage::Benign, Stage::Preparation, Stage::InProgress, Stage::Drained];
        all.into_iter()
            .max_by(|a, b| self.probability(*a).total_cmp(&self.probability(*b)))
            .unwrap_or(Stage::Benign)
    }

    /// Probability that value starts leaving within `blocks` from now, or is leaving already. What has been drained
    /// before does not count.
    ///
    /// # Errors
    /// More than [`MAX_BLOCKS`].
    pub fn drain_within(&self, blocks: u32) -> Result<f64, RiskError> {
        if blocks > MAX_BLOCKS {
            return Err(RiskError::OutOfDomain {
                name: "blocks",
                value: f64::from(blocks),
                domain: "0..=100000",
            });
        }
        // In progress is made absorbing: what has reached it within the horizon has drained something.
        let h = &self.hazards;
        let [mut benign, mut prep, mut hit, mut drained] = self.p;
        for _ in 0..blocks {
            hit += benign * h.strike + prep * h.advance;
            let stay = benign * (1.0 - h.prepare - h.strike);
            let back = prep * h.abandon + drained * h.refill;
            prep = prep * (1.0 - h.advance - h.abandon) + benign * h.prepare;
            benign = stay + back;
            drained *= 1.0 - h.refill;
        }
        Ok(hit.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HAZARDS: StageHazards = StageHazards {
        prepare: 2e-8,
        strike: 1e-8,
        advance: 1e-3,
        abandon: 1e-3,
        finish: 0.01,
        refill: 0.0,
    };

    #[test]
    fn preparation_raises_the_chance_of_a_drain_before_anything_is_lost() {
        let mut f = StageFilter::new(HAZARDS, 1.6e-8).unwrap();
        let calm = f.drain_within(100).unwrap();
        f.push([0.0, 15.0, 0.0, 0.0]).unwrap();
        assert!(f.probability(Stage::InProgress) < 1e-6);
        assert!(f.drain_within(100).unwrap() > 1e3 * calm);
        assert!(f.drain_within(1_000).unwrap() > f.drain_within(100).unwrap());
        for _ in 0..3 {
            f.push([0.0, 1.0, 9.0, 0.0]).unwrap();
        }
        assert_eq!(f.likeliest(), Stage::InProgress);
        for _ in 0..20 {
            f.push([0.0, 0.0, 0.0, 3.0]).unwrap();
        }
        assert_eq!(f.likeliest(), Stage::Drained);
        assert!(f.drain_within(MAX_BLOCKS + 1).is_err());
    }

    #[test]
    fn without_hazards_the_filter_is_bayes_rule() {
        let still = StageHazards {
            prepare: 0.0,
            strike: 0.0,
            advance: 0.0,
            abandon: 0.0,
            finish: 0.0,
            refill: 0.0,
        };
        let mut f = StageFilter::new(still, 1e-6).unwrap();
        f.push([0.0, 0.0, 9.9, 0.0]).unwrap();
        let want = crate::sigmoid(crate::logit(1e-6) + 9.9);
        assert!((f.probability(Stage::InProgress) - want).abs() < 1e-15);
        assert!(f.push([f64::NAN, 0.0, 0.0, 0.0]).is_err());
        assert!(
            StageFilter::new(StageHazards { prepare: 0.7, strike: 0.7, ..still }, 0.1).is_err()
        );
        assert!(
            StageFilter::new(StageHazards { prepare: 0.7, strike: -0.2, ..still }, 0.1).is_err()
        );
    }

    proptest! {
        #[test]
        fn the_stages_always_sum_to_one(
            evidence in prop::collection::vec(prop::array::uniform4(-1e6..1e6_f64), 1..40),
        ) {
            let mut f = StageFilter::new(StageHazards { refill: 0.1, ..HAZARDS }, 0.01).unwrap();
            for e in evidence {
                let p = f.push(e).unwrap();
                prop_assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                prop_assert!(p.iter().all(|x| *x >= 0.0));
                let d = f.drain_within(50).unwrap();
                prop_assert!((0.0..=1.0).contains(&d));
            }
        }
    }
}
