//! What an attack can cost from here: how fast it drains, how much a limiter lets through, and how large a loss
//! is when the vector is unknown. Unbounded expected loss is never computed: the tail has no mean.

use serde::{Deserialize, Serialize};

use super::gpd::Gpd;
use crate::error::{RiskError, non_negative, positive};
use crate::pricing::normal::cdf;

/// How a drain unfolds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Drain {
    /// All in one transaction.
    Atomic,
    /// Evenly over this many blocks.
    Linear {
        /// Blocks until everything is gone.
        blocks: f64,
    },
    /// `1 - exp(-kappa t)` after `t` blocks.
    Exponential {
        /// Rate per block.
        kappa: f64,
    },
}

/// A limiter in the way: a bucket and what refills it per block.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LimiterBound {
    /// Released at once, in USD.
    pub bucket: f64,
    /// Released per block, in USD.
    pub per_block: f64,
}

impl Drain {
    /// Share gone after `blocks`.
    #[must_use]
    pub fn share(&self, blocks: f64) -> f64 {
        let t = if blocks.is_nan() { 0.0 } else { blocks.max(0.0) };
        match self {
            Self::Atomic => f64::from(u8::from(t > 0.0)),
            Self::Linear { blocks } if *blocks > 0.0 => (t / blocks).min(1.0),
            Self::Linear { .. } => 1.0,
            Self::Exponential { kappa } => -libm::expm1(-kappa.max(0.0) * t),
        }
    }

    /// Loss after `blocks` of a value at risk, not more than the limiter lets through.
    #[must_use]
    pub fn loss(&self, at_risk: f64, blocks: f64, limiter: Option<LimiterBound>) -> f64 {
        let free = at_risk.max(0.0) * self.share(blocks);
        limiter
            .map_or(free, |l| free.min(l.bucket.max(0.0) + l.per_block.max(0.0) * blocks.max(0.0)))
    }

    /// Loss of the next block, which is what acting now instead of one block later avoids.
    #[must_use]
    pub fn next_block(
        &self,
        at_risk: f64,
        blocks_so_far: f64,
        limiter: Option<LimiterBound>,
    ) -> f64 {
        self.loss(at_risk, blocks_so_far + 1.0, limiter)
            - self.loss(at_risk, blocks_so_far, limiter)
    }
}

/// Lognormal body with a generalised Pareto tail, in one currency unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeverityModel {
    /// Mean of the log loss.
    pub mu: f64,
    /// Standard deviation of the log loss.
    pub sigma: f64,
    /// Where the tail begins.
    pub threshold: f64,
    /// Share of losses above the threshold.
    pub tail_share: f64,
    /// Law of the excess.
    pub tail: Gpd,
}

impl SeverityModel {
    /// Loss exceeded with probability `1 - p`; for levels inside the body the lognormal is scaled to its share.
    ///
    /// # Errors
    /// A level outside `(0, 1)`.
    pub fn quantile(&self, p: f64) -> Result<f64, RiskError> {
        if !(p > 0.0 && p < 1.0) {
            return Err(RiskError::OutOfDomain { name: "level", value: p, domain: "(0, 1)" });
        }
        let above = (1.0 - p) / self.tail_share;
        if above <= 1.0 {
            return Ok(self.threshold + self.tail.quantile(1.0 - above));
        }
        let body = cdf(self.z(self.threshold)) * p / (1.0 - self.tail_share);
        Ok(libm::exp(self.mu + self.sigma * crate::pricing::normal::quantile(body)))
    }

    /// `E min(X, cap)`.
    ///
    /// # Errors
    /// A cap that is negative or not finite, or a model without scale.
    pub fn capped_mean(&self, cap: f64) -> Result<f64, RiskError> {
        let cap = non_negative("cap", cap)?;
        positive("severity sigma", self.sigma)?;
        let u = positive("severity threshold", self.threshold)?;
        let below = 1.0 - self.tail_share;
        let mass = cdf(self.z(u));
        // Body: lognormal truncated at u, capped.
        let edge = cap.min(u);
        let inside = self.partial_mean(edge) + edge * (mass - cdf(self.z(edge)));
        let body = below * inside / mass;
        let tail = self.tail_share * (edge + self.tail.capped_mean(cap - u));
        Ok(body + tail)
    }

    fn z(&self, x: f64) -> f64 {
        (libm::log(x.max(f64::MIN_POSITIVE)) - self.mu) / self.sigma
    }

    /// `E[X; X < x]` of the lognormal.
    fn partial_mean(&self, x: f64) -> f64 {
        libm::exp(self.mu + 0.5 * self.sigma * self.sigma) * cdf(self.z(x) - self.sigma)
    }
}

/// Whether two reports of what may be one event disagree by more than a factor of three and need a person.
#[must_use]
pub fn amounts_conflict(a: f64, b: f64) -> bool {
    const RATIO: f64 = 3.0;
    let (low, high) = (a.min(b), a.max(b));
    let usable = a > 0.0 && b > 0.0 && high.is_finite();
    !usable || high > RATIO * low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limiter_bounds_the_drain() {
        let limiter = Some(LimiterBound { bucket: 5.0, per_block: 1.0 });
        assert_eq!(Drain::Atomic.loss(100.0, 1.0, limiter), 6.0);
        assert_eq!(Drain::Linear { blocks: 100.0 }.loss(100.0, 1.0, limiter), 1.0);
        assert_eq!(Drain::Linear { blocks: 10.0 }.next_block(100.0, 10.0, None), 0.0);
        assert_eq!(Drain::Atomic.loss(100.0, 0.0, None), 0.0);
    }

    #[test]
    fn the_same_event_at_a_thousand_times_the_loss_is_a_conflict() {
        assert!(amounts_conflict(104_000_000.0, 94_000.0));
        assert!(!amounts_conflict(100.0, 120.0));
        assert!(amounts_conflict(f64::NAN, 1.0));
    }
}
