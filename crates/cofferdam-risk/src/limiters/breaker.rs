//! Our `WithdrawalCircuitBreaker` (contracts/src/OutflowMeter.sol), to the wei: a leaky bucket per asset whose capacity
//! follows a reference TVL that at most doubles per window. Inflow takes off what was used, and an outflow that does
//! not fit takes such credit back.

use serde::{Deserialize, Serialize};

use super::{LimitError, elapsed};

/// Longest window, in seconds.
pub const WINDOW_MAX: u64 = 30 * 86_400;
/// Basis points in one.
const BPS: u128 = 10_000;

/// Parameters an admin sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerParams {
    /// Part of the reference TVL that may leave per window, basis points.
    pub bps: u16,
    /// What may always leave per window, base units.
    pub min_amount: u128,
    /// Seconds.
    pub window: u64,
}

/// One asset's storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    params: BreakerParams,
    used: u128,
    last: u64,
    tripped_at: u64,
    ref_tvl: u128,
    sampled_at: u64,
    credited: u128,
    credited_at: u64,
}

impl BreakerParams {
    fn validate(&self) -> Result<(), LimitError> {
        let refuse = |reason| Err(LimitError::InvalidConfig { reason });
        match self {
            Self { bps: 0, .. } => refuse("bps is zero"),
            Self { bps, .. } if u128::from(*bps) > BPS => refuse("bps above 10000"),
            Self { window, .. } if *window == 0 || *window > WINDOW_MAX => {
                refuse("window must lie in 1..=30 days")
            }
            _ => Ok(()),
        }
    }
}

impl Breaker {
    /// Registers an asset with a reference TVL.
    ///
    /// # Errors
    /// Parameters the contract refuses; a TVL of zero.
    pub fn register(params: BreakerParams, tvl: u128, now: u64) -> Result<Self, LimitError> {
        params.validate()?;
        let fresh = Self {
            params,
            used: 0,
            last: 0,
            tripped_at: 0,
            ref_tvl: 0,
            sampled_at: 0,
            credited: 0,
            credited_at: 0,
        };
        let mut it = fresh;
        it.reseed(tvl, now)?;
        Ok(it)
    }

    /// What may leave in one window from an empty bucket.
    #[must_use]
    pub fn capacity(&self) -> u128 {
        let bps = u128::from(self.params.bps);
        // floor(tvl * bps / 10000) without leaving 128 bits.
        let part = self.ref_tvl / BPS * bps + self.ref_tvl % BPS * bps / BPS;
        part.max(self.params.min_amount)
    }

    /// `(used, available)` at `now`.
    ///
    /// # Errors
    /// A time before the last change.
    pub fn state(&self, now: u64) -> Result<(u128, u128), LimitError> {
        let cap = self.capacity();
        let used = self.less(self.used, self.last, cap, now)?;
        Ok((used, cap.saturating_sub(used)))
    }

    /// Whether an outflow was refused and none has fitted since.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        self.tripped_at != 0
    }

    /// Takes an outflow: true if it fits, false if it is queued. `held` is what the protected contracts hold after the
    /// amount has left them.
    ///
    /// # Errors
    /// A time before the last change.
    pub fn outflow(&mut self, amount: u128, held: u128, now: u64) -> Result<bool, LimitError> {
        let mut next = *self;
        next.sample(amount, held, now)?;
        let cap = next.capacity();
        let used = next.less(next.used, next.last, cap, now)?;
        let fits = amount <= cap && used <= cap - amount;
        if fits {
            (next.used, next.last, next.tripped_at) = (used + amount, now, 0);
        } else {
            next.uncredit(amount, used, cap, now)?;
            if next.tripped_at == 0 {
                next.tripped_at = now;
            }
        }
        *self = next;
        Ok(fits)
    }

    /// Credits an inflow.
    ///
    /// # Errors
    /// A time before the last change.
    pub fn inflow(&mut self, amount: u128, now: u64) -> Result<(), LimitError> {
        let cap = self.capacity();
        let used = self.less(self.used, self.last, cap, now)?;
        let credit = amount.min(used);
        if credit != 0 {
            let sum = self.less(self.credited, self.credited_at, cap, now)?.saturating_add(credit);
            (self.credited, self.credited_at) = (sum.min(cap), now);
        }
        (self.used, self.last) = (used - credit, now);
        Ok(())
    }

    /// Sets new parameters; what has drained so far is settled at the old capacity.
    ///
    /// # Errors
    /// Parameters the contract refuses, or a time before the last change.
    pub fn set_params(&mut self, params: BreakerParams, now: u64) -> Result<(), LimitError> {
        params.validate()?;
        self.drain(now)?;
        self.params = params;
        Ok(())
    }

    /// Sets the reference TVL anew.
    ///
    /// # Errors
    /// A TVL of zero, or a time before the last change.
    pub fn reseed(&mut self, tvl: u128, now: u64) -> Result<(), LimitError> {
        if tvl == 0 {
            return Err(LimitError::InvalidConfig { reason: "tvl is zero" });
        }
        self.drain(now)?;
        (self.ref_tvl, self.sampled_at) = (tvl, now);
        Ok(())
    }

    fn sample(&mut self, amount: u128, held: u128, now: u64) -> Result<(), LimitError> {
        if now < self.sampled_at.saturating_add(self.params.window) || amount == 0 {
            return Ok(());
        }
        let most = self.ref_tvl.saturating_mul(2);
        let tvl = held.saturating_add(amount).min(most);
        self.drain(now)?;
        (self.ref_tvl, self.sampled_at) = (tvl, now);
        Ok(())
    }

    fn drain(&mut self, now: u64) -> Result<(), LimitError> {
        self.used = self.less(self.used, self.last, self.capacity(), now)?;
        self.last = now;
        Ok(())
    }

    fn uncredit(
        &mut self,
        amount: u128,
        used: u128,
        cap: u128,
        now: u64,
    ) -> Result<(), LimitError> {
        let credit = self.less(self.credited, self.credited_at, cap, now)?;
        if credit == 0 {
            return Ok(());
        }
        let taken = amount.min(credit);
        (self.credited, self.credited_at) = (credit - taken, now);
        if used < cap {
            (self.used, self.last) = (used.saturating_add(taken).min(cap), now);
        }
        Ok(())
    }

    /// `amount` as of `since`, drained at one capacity per window.
    fn less(&self, amount: u128, since: u64, cap: u128, now: u64) -> Result<u128, LimitError> {
        let dt = elapsed(since, now)?;
        // What overflows 128 bits has drained everything.
        let drained = super::mul_div(cap, dt, self.params.window).unwrap_or(u128::MAX);
        Ok(amount.saturating_sub(drained))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: BreakerParams = BreakerParams { bps: 1_000, min_amount: 10, window: 100 };

    #[test]
    fn what_does_not_fit_is_queued_and_the_bucket_drains() {
        let mut b = Breaker::register(PARAMS, 1_000, 5).unwrap();
        assert_eq!(b.capacity(), 100);
        assert!(b.outflow(60, 940, 5).unwrap());
        assert!(!b.outflow(41, 899, 5).unwrap() && b.is_triggered());
        assert_eq!(b.state(30).unwrap(), (35, 65));
        assert!(b.outflow(41, 899, 30).unwrap() && !b.is_triggered());
    }

    #[test]
    fn depositing_and_withdrawing_gains_no_headroom() {
        let mut b = Breaker::register(PARAMS, 1_000, 5).unwrap();
        assert!(b.outflow(80, 920, 5).unwrap());
        b.inflow(80, 5).unwrap();
        assert_eq!(b.state(5).unwrap().0, 0);
        assert!(!b.outflow(101, 819, 5).unwrap());
        assert_eq!(b.state(5).unwrap().0, 80);
    }

    #[test]
    fn a_flash_deposit_at_most_doubles_the_reference_once_per_window() {
        let mut b = Breaker::register(PARAMS, 1_000, 5).unwrap();
        assert!(b.outflow(1, 1_000_000, 105).unwrap());
        assert_eq!(b.capacity(), 200);
        assert!(b.outflow(1, 1_000_000, 106).unwrap());
        assert_eq!(b.capacity(), 200);
        assert!(Breaker::register(PARAMS, 0, 5).is_err());
        assert!(Breaker::register(BreakerParams { bps: 0, ..PARAMS }, 1, 5).is_err());
        assert!(b.state(1).is_err());
    }
}
