//! dYdX v4's withdrawal limits: per period a baseline of `max(minimum, share of TVL)`; capacity returns to the
//! baseline linearly, deposits raise it, and everything is gated for a while after bad debt or an outage.
//! Background knowledge of the documented rules; not yet checked against the chain's code to the unit.

use serde::{Deserialize, Serialize};

use super::{LimitError, elapsed, mul_div};

/// Blocks during which nothing leaves after a negative-equity account could not be deleveraged.
pub const GATE_BLOCKS: u64 = 50;
/// Parts per million in one.
const PPM: u128 = 1_000_000;

/// One period's limiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Length in seconds.
    pub seconds: u64,
    /// Least baseline, base units.
    pub minimum: u128,
    /// Share of TVL, parts per million.
    pub tvl_ppm: u32,
    /// Capacity now.
    pub capacity: u128,
}

/// All periods of one asset and the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DydxLimiter {
    periods: Vec<Period>,
    last: u64,
    gated_until_block: u64,
}

impl DydxLimiter {
    /// The documented pair for an asset with `unit` base units per dollar: 1 % or 1M per hour, 10 % or 10M per day.
    ///
    /// # Errors
    /// Overflow of the minimums.
    pub fn documented(unit: u128, tvl: u128, now: u64) -> Result<Self, LimitError> {
        let million = unit.checked_mul(1_000_000).ok_or(LimitError::Overflow)?;
        let ten = million.checked_mul(10).ok_or(LimitError::Overflow)?;
        let mut periods = vec![
            Period { seconds: 3_600, minimum: million, tvl_ppm: 10_000, capacity: 0 },
            Period { seconds: 86_400, minimum: ten, tvl_ppm: 100_000, capacity: 0 },
        ];
        for p in &mut periods {
            p.capacity = baseline(p, tvl)?;
        }
        Ok(Self { periods, last: now, gated_until_block: 0 })
    }

    /// Most that may leave now.
    #[must_use]
    pub fn available(&self) -> u128 {
        self.periods.iter().map(|p| p.capacity).min().unwrap_or(0)
    }

    /// Moves each capacity towards its baseline.
    ///
    /// # Errors
    /// Time that went back, or overflow.
    pub fn advance(&mut self, tvl: u128, now: u64) -> Result<(), LimitError> {
        let dt = elapsed(self.last, now)?;
        let mut next = self.periods.clone();
        for p in &mut next {
            let base = baseline(p, tvl)?;
            let over = p.capacity.saturating_sub(base);
            // Above the baseline the excess drains at least as fast as the baseline would fill.
            let step = mul_div(base.max(over), dt.min(p.seconds), p.seconds)?;
            p.capacity = if over > 0 {
                p.capacity.saturating_sub(step).max(base)
            } else {
                p.capacity.saturating_add(step).min(base)
            };
        }
        self.periods = next;
        self.last = now;
        Ok(())
    }

    /// A deposit raises every capacity.
    pub fn deposit(&mut self, amount: u128) {
        for p in &mut self.periods {
            p.capacity = p.capacity.saturating_add(amount);
        }
    }

    /// A withdrawal must fit every period.
    ///
    /// # Errors
    /// [`LimitError::RateLimited`] while gated or short of capacity.
    pub fn withdraw(&mut self, amount: u128, block: u64) -> Result<(), LimitError> {
        let available = if block < self.gated_until_block { 0 } else { self.available() };
        if amount > available {
            return Err(LimitError::RateLimited { request: amount, available, wait_seconds: None });
        }
        for p in &mut self.periods {
            p.capacity -= amount;
        }
        Ok(())
    }

    /// Gates everything for [`GATE_BLOCKS`] from `block`.
    pub fn gate(&mut self, block: u64) {
        self.gated_until_block = self.gated_until_block.max(block.saturating_add(GATE_BLOCKS));
    }
}

fn baseline(p: &Period, tvl: u128) -> Result<u128, LimitError> {
    let ppm = u128::from(p.tvl_ppm);
    let whole = (tvl / PPM).checked_mul(ppm).ok_or(LimitError::Overflow)?;
    let share = whole.checked_add(tvl % PPM * ppm / PPM).ok_or(LimitError::Overflow)?;
    Ok(share.max(p.minimum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_binds_first_and_the_gate_closes_everything() {
        let mut l = DydxLimiter::documented(1, 300_000_000, 0).unwrap();
        assert_eq!(l.available(), 3_000_000);
        l.withdraw(3_000_000, 1).unwrap();
        assert!(l.withdraw(1, 1).is_err());
        l.advance(300_000_000, 1_800).unwrap();
        assert_eq!(l.available(), 1_500_000);
        l.gate(10);
        assert!(l.withdraw(1, 59).is_err());
        assert!(l.withdraw(1, 60).is_ok());
    }
}
