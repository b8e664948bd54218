//! OpenZeppelin's `RateLimiter` (contracts 5.7), both strategies. New settings apply from the entry's last update on,
//! so a faster refill gives back at once what was used before; `sync` first avoids that.

use serde::{Deserialize, Serialize};

use super::{LimitError, mul_div};

/// A refilling bucket with one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RefillingBucket {
    capacity: u128,
    window: u64,
    last_used: u128,
    last: u64,
}

impl RefillingBucket {
    /// Sets capacity and window; the entry is untouched.
    pub fn update_settings(&mut self, window: u64, capacity: u128) {
        (self.capacity, self.window) = (capacity, window);
    }

    /// `(used, available)`; a window of zero refills in a second.
    ///
    /// # Errors
    /// A time before the last update.
    pub fn state(&self, now: u64) -> Result<(u128, u128), LimitError> {
        let dt = super::elapsed(self.last, now)?;
        let refill = mul_div(self.capacity, dt, self.window.max(1)).unwrap_or(u128::MAX);
        let used = self.last_used.saturating_sub(refill);
        Ok((used, self.capacity.saturating_sub(used)))
    }

    /// Consumes if it fits; zero always does and changes nothing.
    ///
    /// # Errors
    /// A time before the last update, or a sum beyond 128 bits.
    pub fn try_consume(&mut self, quantity: u128, now: u64) -> Result<bool, LimitError> {
        if quantity == 0 {
            return Ok(true);
        }
        let (used, available) = self.state(now)?;
        if quantity > available {
            return Ok(false);
        }
        self.last_used = used.checked_add(quantity).ok_or(LimitError::Overflow)?;
        self.last = now;
        Ok(true)
    }

    /// Settles the refill up to now.
    ///
    /// # Errors
    /// A time before the last update.
    pub fn sync(&mut self, now: u64) -> Result<(), LimitError> {
        (self.last_used, self.last) = (self.state(now)?.0, now);
        Ok(())
    }

    /// Makes everything available.
    pub fn reset(&mut self) {
        (self.last_used, self.last) = (0, 0);
    }
}

/// A sliding window with one entry: checkpoints of the running total.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SlidingWindow {
    limit: u128,
    window: u64,
    trace: Vec<(u64, u128)>,
}

impl SlidingWindow {
    /// Sets limit and window; the history is untouched.
    pub fn update_settings(&mut self, window: u64, limit: u128) {
        (self.limit, self.window) = (limit, window);
    }

    fn latest(&self) -> u128 {
        self.trace.last().map_or(0, |c| c.1)
    }

    /// `(used, available)` over the window that ends now.
    #[must_use]
    pub fn state(&self, now: u64) -> (u128, u128) {
        let from = now.saturating_sub(self.window.max(1));
        let at = self.trace.partition_point(|c| c.0 <= from);
        let before = at.checked_sub(1).map_or(0, |i| self.trace[i].1);
        let used = self.latest().saturating_sub(before);
        (used, self.limit.saturating_sub(used))
    }

    /// Consumes if it fits; zero always does and changes nothing.
    ///
    /// # Errors
    /// A time before the last checkpoint, or a total beyond 128 bits.
    pub fn try_consume(&mut self, quantity: u128, now: u64) -> Result<bool, LimitError> {
        if quantity == 0 {
            return Ok(true);
        }
        let (used, available) = self.state(now);
        if quantity > available {
            return Ok(false);
        }
        if used == 0 {
            self.reset();
        }
        let total = self.latest().checked_add(quantity).ok_or(LimitError::Overflow)?;
        match self.trace.last_mut() {
            Some((last, _)) if *last > now => {
                return Err(LimitError::TimeWentBack { last: *last, now });
            }
            Some((last, value)) if *last == now => *value = total,
            _ => self.trace.push((now, total)),
        }
        Ok(true)
    }

    /// Forgets the history.
    pub fn reset(&mut self) {
        self.trace.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faster_refill_applies_to_the_past_unless_synced_first() {
        let mut b = RefillingBucket::default();
        assert_eq!(b.state(9).unwrap(), (0, 0));
        b.update_settings(100, 100);
        assert!(b.try_consume(100, 1_000).unwrap() && !b.try_consume(1, 1_000).unwrap());
        let mut synced = b;
        synced.sync(1_010).unwrap();
        b.update_settings(10, 100);
        synced.update_settings(10, 100);
        assert_eq!((b.state(1_010).unwrap().0, synced.state(1_010).unwrap().0), (0, 90));
        b.reset();
        assert_eq!(b.state(1_010).unwrap(), (0, 100));
    }

    #[test]
    fn the_window_slides_and_a_quiet_one_forgets() {
        let mut w = SlidingWindow::default();
        w.update_settings(10, 100);
        assert!(w.try_consume(60, 100).unwrap() && w.try_consume(40, 105).unwrap());
        assert!(!w.try_consume(1, 109).unwrap());
        assert_eq!(w.state(110), (40, 60));
        assert!(w.try_consume(5, 200).unwrap());
        assert_eq!(w.trace.len(), 1);
    }
}
