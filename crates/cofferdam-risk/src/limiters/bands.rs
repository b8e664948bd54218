//! Price bands and liquidation throttles. A band has a moving reference, a short limit state and a graded answer
//! before it halts; a liquidation throttle is advice only, and never blocks deleveraging that helps solvency.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::contagion::cascade::Cascade;
use crate::error::{RiskError, non_negative, positive, probability};

/// Most prices kept for the reference.
pub const WINDOW_MAX: usize = 10_000;

/// Parameters of a band. The defaults are those of the US limit-up limit-down plan for its first tier.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BandRule {
    /// Half-width of the band, as a fraction of the reference.
    pub width: f64,
    /// Seconds the reference averages over.
    pub reference_seconds: u64,
    /// Seconds at the limit before trading halts.
    pub limit_seconds: u64,
    /// Seconds of a halt.
    pub halt_seconds: u64,
    /// Share of the band beyond which a graded throttle begins.
    pub throttle_from: f64,
}

impl Default for BandRule {
    fn default() -> Self {
        Self {
            width: 0.05,
            reference_seconds: 300,
            limit_seconds: 15,
            halt_seconds: 300,
            throttle_from: 0.6,
        }
    }
}

/// What the band says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum BandState {
    /// Trade freely.
    Open,
    /// Slow down: this share of the usual flow is let through, in `(0, 1)`.
    Throttled(f64),
    /// At the limit since this second.
    Limit(u64),
    /// Halted until this second.
    Halted(u64),
}

/// A band in operation.
#[derive(Debug, Clone, PartialEq)]
pub struct PriceBand {
    rule: BandRule,
    prices: VecDeque<(u64, f64)>,
    state: BandState,
}

impl PriceBand {
    /// A band that has seen nothing.
    ///
    /// # Errors
    /// A width that is not in `(0, 1)`, a window of zero, or a throttle start outside `[0, 1]`.
    pub fn new(rule: BandRule) -> Result<Self, RiskError> {
        if positive("band width", rule.width)? >= 1.0 || rule.reference_seconds == 0 {
            return Err(RiskError::OutOfDomain {
                name: "band width",
                value: rule.width,
                domain: "(0, 1) with a window",
            });
        }
        probability("throttle start", rule.throttle_from)?;
        Ok(Self { rule, prices: VecDeque::new(), state: BandState::Open })
    }

    /// Mean price over the window, absent before the first price.
    #[must_use]
    pub fn reference(&self) -> Option<f64> {
        let n = self.prices.len();
        (n > 0).then(|| self.prices.iter().map(|p| p.1).sum::<f64>() / n as f64)
    }

    /// Takes a price at a second and returns the state. A price beyond the limit does not move the reference, so that
    /// a manipulated one cannot carry the band along.
    ///
    /// # Errors
    /// A price that is not positive, or time that goes back.
    pub fn push(&mut self, now: u64, price: f64) -> Result<BandState, RiskError> {
        let price = positive("price", price)?;
        if let Some((last, _)) = self.prices.back().filter(|p| p.0 > now) {
            return Err(RiskError::OutOfDomain {
                name: "time",
                value: now as f64 - *last as f64,
                domain: "ascending",
            });
        }
        let distance = self.reference().map_or(0.0, |r| (price / r - 1.0).abs() / self.rule.width);
        let graded = || {
            let from = self.rule.throttle_from;
            if distance <= from {
                BandState::Open
            } else {
                BandState::Throttled(((1.0 - distance) / (1.0 - from)).max(0.01))
            }
        };
        self.state = match self.state {
            BandState::Halted(until) if now < until => BandState::Halted(until),
            // A halt ends with a fresh reference, as an auction would set it.
            BandState::Halted(_) => {
                self.prices.clear();
                BandState::Open
            }
            BandState::Limit(since) if distance >= 1.0 => {
                if now.saturating_sub(since) >= self.rule.limit_seconds {
                    BandState::Halted(now.saturating_add(self.rule.halt_seconds))
                } else {
                    BandState::Limit(since)
                }
            }
            _ if distance >= 1.0 => BandState::Limit(now),
            _ => graded(),
        };
        if distance < 1.0 || self.prices.is_empty() {
            self.prices.push_back((now, price));
        }
        let oldest = now.saturating_sub(self.rule.reference_seconds);
        while self.prices.len() > 1
            && (self.prices.len() > WINDOW_MAX || self.prices.front().is_some_and(|p| p.0 < oldest))
        {
            self.prices.pop_front();
        }
        Ok(self.state)
    }
}

/// What a liquidation throttle looks at. USD.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LiquidationQueue {
    /// Waiting to be liquidated.
    pub queued: f64,
    /// Sold before the price falls 2 %.
    pub depth_two_percent: f64,
    /// Difference of the oracle from the median of venues, as a fraction.
    pub oracle_gap: f64,
}

/// Limits of the throttle; off by default, because a throttle that is wrong lets bad debt grow.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ThrottleRule {
    /// Whether advice may be given at all.
    pub enabled: bool,
    /// Queue over depth beyond which liquidations would move the price too far.
    pub queue_over_depth: f64,
    /// Oracle difference beyond which the price is doubted.
    pub oracle_gap: f64,
}

impl Default for ThrottleRule {
    fn default() -> Self {
        Self { enabled: false, queue_over_depth: 1.0, oracle_gap: 0.005 }
    }
}

/// Advice on liquidations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum ThrottleAdvice {
    /// Let them run.
    Run,
    /// Slow them to this share of the depth per block; repaying and topping up stay open.
    Throttle(f64),
}

/// Advises on a queue, given the cascade it would cause and the bad debt expected while it is throttled.
///
/// # Errors
/// Amounts that are negative or not finite, or a depth of zero.
pub fn liquidation_advice(
    rule: &ThrottleRule,
    queue: &LiquidationQueue,
    cascade: &Cascade,
    throttled_bad_debt: f64,
) -> Result<ThrottleAdvice, RiskError> {
    let ratio = non_negative("liquidation queue", queue.queued)?
        / positive("market depth", queue.depth_two_percent)?;
    let gap = non_negative("oracle gap", queue.oracle_gap)?;
    let throttled = non_negative("bad debt under a throttle", throttled_bad_debt)?;
    let needed = ratio > rule.queue_over_depth && gap > rule.oracle_gap;
    let helps = throttled < cascade.bad_debt;
    if rule.enabled && needed && helps {
        return Ok(ThrottleAdvice::Throttle(rule.queue_over_depth));
    }
    Ok(ThrottleAdvice::Run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_slows_limits_halts_and_reopens_on_a_fresh_reference() {
        let mut band = PriceBand::new(BandRule::default()).unwrap();
        for t in 0..60 {
            assert_eq!(band.push(t, 100.0).unwrap(), BandState::Open);
        }
        assert!(
            matches!(band.push(60, 104.0).unwrap(), BandState::Throttled(f) if f > 0.0 && f < 1.0)
        );
        assert_eq!(band.push(61, 106.0).unwrap(), BandState::Limit(61));
        assert_eq!(band.push(70, 106.0).unwrap(), BandState::Limit(61));
        assert_eq!(band.push(76, 106.0).unwrap(), BandState::Halted(376));
        assert_eq!(band.push(300, 120.0).unwrap(), BandState::Halted(376));
        assert_eq!(band.push(376, 106.0).unwrap(), BandState::Open);
        assert_eq!(band.reference(), Some(106.0));
        assert!(band.push(1, 106.0).is_err() && band.push(400, f64::NAN).is_err());
    }

    #[test]
    fn a_price_beyond_the_limit_cannot_drag_the_band_along() {
        let mut band = PriceBand::new(BandRule::default()).unwrap();
        band.push(0, 100.0).unwrap();
        band.push(1, 1_000.0).unwrap();
        assert_eq!(band.reference(), Some(100.0));
        assert_eq!(band.push(2, 100.0).unwrap(), BandState::Open);
    }

    #[test]
    fn liquidations_run_unless_a_throttle_is_wanted_needed_and_better() {
        let cascade = Cascade {
            rounds: Vec::new(),
            final_price: 1.0,
            total_sold: 0.0,
            bad_debt: 100.0,
            remaining: Vec::new(),
        };
        let rule = ThrottleRule { enabled: true, ..ThrottleRule::default() };
        let queue = LiquidationQueue { queued: 10.0, depth_two_percent: 5.0, oracle_gap: 0.02 };
        let ask = |r: &ThrottleRule, q: &LiquidationQueue, bad| {
            liquidation_advice(r, q, &cascade, bad).unwrap()
        };
        assert_eq!(ask(&rule, &queue, 50.0), ThrottleAdvice::Throttle(1.0));
        assert_eq!(ask(&ThrottleRule::default(), &queue, 50.0), ThrottleAdvice::Run);
        assert_eq!(ask(&rule, &queue, 150.0), ThrottleAdvice::Run);
        let calm = LiquidationQueue { oracle_gap: 0.0, ..queue };
        assert_eq!(ask(&rule, &calm, 50.0), ThrottleAdvice::Run);
    }
}
