//! LayerZero's rate limiter: what is in flight decays linearly over the window. Reconfiguring checkpoints the
//! amount in flight and never forgives it, so lowering a limit mid-attack is safe.

use serde::{Deserialize, Serialize};

use super::{LimitError, elapsed, mul_div};

/// One destination's storage; the default has limit zero, so an unset peer sends nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LayerZeroLimit {
    limit: u128,
    window: u64,
    in_flight: u128,
    last: u64,
}

impl LayerZeroLimit {
    /// A fresh limit.
    #[must_use]
    pub fn new(limit: u128, window: u64, now: u64) -> Self {
        Self { limit, window, in_flight: 0, last: now }
    }

    /// `(in flight, can be sent)` at `now`.
    ///
    /// # Errors
    /// A time before the last accepted send.
    pub fn state(&self, now: u64) -> Result<(u128, u128), LimitError> {
        let dt = elapsed(self.last, now)?;
        if dt >= self.window {
            return Ok((0, self.limit));
        }
        let decay = mul_div(self.limit, dt, self.window)?;
        let current = self.in_flight.saturating_sub(decay);
        Ok((current, self.limit.saturating_sub(current)))
    }

    /// Sends an amount.
    ///
    /// # Errors
    /// [`LimitError::RateLimited`]; storage is unchanged.
    pub fn send(&mut self, amount: u128, now: u64) -> Result<(), LimitError> {
        let (current, available) = self.state(now)?;
        if amount > available {
            let wait_seconds = self.wait(amount, current, available);
            return Err(LimitError::RateLimited { request: amount, available, wait_seconds });
        }
        self.in_flight = current.checked_add(amount).ok_or(LimitError::Overflow)?;
        self.last = now;
        Ok(())
    }

    /// Upper bound on the wait: decay at `limit / window` per second.
    fn wait(&self, amount: u128, current: u128, available: u128) -> Option<u128> {
        if amount > self.limit || self.limit == 0 {
            return None;
        }
        let short =
            (amount - available).max(current.saturating_add(amount).saturating_sub(self.limit));
        short.checked_mul(u128::from(self.window)).map(|x| x.div_ceil(self.limit))
    }

    /// Changes limit and window after checkpointing what is in flight under the old ones.
    ///
    /// # Errors
    /// A time before the last accepted send.
    pub fn set_limit(&mut self, limit: u128, window: u64, now: u64) -> Result<(), LimitError> {
        let (current, _) = self.state(now)?;
        *self = Self { limit, window, in_flight: current, last: now };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowering_the_limit_keeps_what_is_in_flight() {
        let mut l = LayerZeroLimit::new(1_000, 100, 0);
        l.send(1_000, 0).unwrap();
        l.set_limit(500, 100, 0).unwrap();
        assert_eq!(l.state(0).unwrap(), (1_000, 0));
        assert_eq!(l.state(99).unwrap(), (505, 0));
        assert_eq!(l.state(100).unwrap(), (0, 500));
    }

    #[test]
    fn an_unset_peer_sends_nothing_and_wide_limits_do_not_overflow() {
        assert!(LayerZeroLimit::default().send(1, 10).is_err());
        let wide = LayerZeroLimit::new(u128::MAX, 1_000_000, 0);
        assert_eq!(wide.state(10).unwrap().1, u128::MAX);
    }
}
