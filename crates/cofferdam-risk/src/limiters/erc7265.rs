//! The reference implementation behind ERC-7265 (DeFi Circuit Breaker v1, `LimiterLib`), quirks kept: it meters
//! *net* flow, so inflows mask outflows; expired nodes are never deleted; and a negative total is compared as a
//! huge unsigned number. Metering, not refusing: the caller acts on [`Erc7265::status`].

use std::collections::BTreeMap;

use super::{LimitError, elapsed};

/// Basis points in one.
pub const BPS: i128 = 10_000;

/// What the limiter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitStatus {
    /// No limit was ever set.
    Uninitialized,
    /// Too little liquidity to enforce.
    Inactive,
    /// Within limits.
    Ok,
    /// Net outflow in the period is too large.
    Triggered,
}

/// One token's storage. The list is the contract's: nodes by tick timestamp, linked by `next`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erc7265 {
    min_retained_bps: i128,
    begin_threshold: u128,
    period: u64,
    tick: u64,
    total: i128,
    in_period: i128,
    head: u64,
    tail: u64,
    nodes: BTreeMap<u64, (i128, u64)>,
}

impl Erc7265 {
    /// A limiter that keeps at least `min_retained_bps` of the liquidity over `period` seconds.
    ///
    /// # Errors
    /// Basis points of zero or above 10,000, or a tick of zero.
    pub fn new(
        min_retained_bps: u16,
        begin_threshold: u128,
        period: u64,
        tick: u64,
    ) -> Result<Self, LimitError> {
        let refuse = |reason| Err(LimitError::InvalidConfig { reason });
        if min_retained_bps == 0 || i128::from(min_retained_bps) > BPS {
            return refuse("retained share must lie in 1..=10000 bps");
        }
        if tick == 0 {
            return refuse("tick length is zero");
        }
        Ok(Self {
            min_retained_bps: i128::from(min_retained_bps),
            begin_threshold,
            period,
            tick,
            total: 0,
            in_period: 0,
            head: 0,
            tail: 0,
            nodes: BTreeMap::new(),
        })
    }

    /// Liquidity outside the period.
    #[must_use]
    pub fn total(&self) -> i128 {
        self.total
    }

    /// Net flow inside the period.
    #[must_use]
    pub fn in_period(&self) -> i128 {
        self.in_period
    }

    /// Records an inflow (positive) or outflow (negative).
    ///
    /// # Errors
    /// Overflow or time before the head of the list, where the contract reverts; nothing changes.
    pub fn record(&mut self, amount: i128, now: u64) -> Result<(), LimitError> {
        let mut next = self.clone();
        next.record_inner(amount, now)?;
        *self = next;
        Ok(())
    }

    fn record_inner(&mut self, amount: i128, now: u64) -> Result<(), LimitError> {
        let tick = now - now % self.tick;
        self.in_period = self.in_period.checked_add(amount).ok_or(LimitError::Overflow)?;
        if self.head == 0 {
            (self.head, self.tail) = (tick, tick);
            self.nodes.insert(tick, (amount, 0));
            return Ok(());
        }
        if elapsed(self.head, now)? >= self.period {
            self.sync(now)?;
        }
        if self.tail == tick {
            let node = self.nodes.entry(tick).or_default();
            node.0 = node.0.checked_add(amount).ok_or(LimitError::Overflow)?;
        } else {
            self.nodes.entry(self.tail).or_default().1 = tick;
            self.nodes.insert(tick, (amount, 0));
            self.tail = tick;
        }
        Ok(())
    }

    /// Folds nodes older than the period into the total. As in the contract nothing is deleted, and an emptied
    /// list restarts at the current second rather than the current tick.
    ///
    /// # Errors
    /// Overflow, or a list that runs ahead of time.
    pub fn sync(&mut self, now: u64) -> Result<(), LimitError> {
        let (mut head, mut change) = (self.head, 0_i128);
        // The stored links could form a cycle when the period is shorter than the tick; the contract would run out
        // of gas, which is a revert.
        let mut left = self.nodes.len() + 1;
        while head != 0 && elapsed(head, now)? >= self.period {
            if left == 0 {
                return Err(LimitError::Overflow);
            }
            left -= 1;
            let (amount, next) = self.nodes.get(&head).copied().unwrap_or_default();
            change = change.checked_add(amount).ok_or(LimitError::Overflow)?;
            head = next;
        }
        let total = self.total.checked_add(change).ok_or(LimitError::Overflow)?;
        self.in_period = self.in_period.checked_sub(change).ok_or(LimitError::Overflow)?;
        self.total = total;
        if head == 0 {
            (self.head, self.tail) = (now, now);
        } else {
            self.head = head;
        }
        Ok(())
    }

    /// Whether the limit is breached.
    ///
    /// # Errors
    /// Overflow, where the contract reverts.
    pub fn status(&self) -> Result<LimitStatus, LimitError> {
        // uint256(int256): a negative total is larger than any threshold, so the check never calls it inactive.
        let inactive = u128::try_from(self.total).is_ok_and(|t| self.begin_threshold > t);
        if inactive {
            return Ok(LimitStatus::Inactive);
        }
        let future = self.total.checked_add(self.in_period).ok_or(LimitError::Overflow)?;
        let scaled = self.total.checked_mul(self.min_retained_bps).ok_or(LimitError::Overflow)?;
        Ok(if future < scaled / BPS { LimitStatus::Triggered } else { LimitStatus::Ok })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflows_mask_outflows_within_the_period() {
        let mut l = Erc7265::new(7_000, 100, 3_600, 60).unwrap();
        l.record(1_000, 10_000).unwrap();
        l.record(0, 20_000).unwrap();
        assert_eq!((l.total(), l.in_period()), (1_000, 0));
        l.record(-300, 20_060).unwrap();
        assert_eq!(l.status().unwrap(), LimitStatus::Ok);
        l.record(-1, 20_060).unwrap();
        assert_eq!(l.status().unwrap(), LimitStatus::Triggered);
        l.record(500, 20_061).unwrap();
        assert_eq!(l.status().unwrap(), LimitStatus::Ok);
    }

    #[test]
    fn a_small_pool_is_inactive_and_a_negative_one_is_not() {
        let mut l = Erc7265::new(7_000, 100, 3_600, 60).unwrap();
        assert_eq!(l.status().unwrap(), LimitStatus::Inactive);
        l.record(-50, 10_000).unwrap();
        l.sync(20_000).unwrap();
        assert_eq!(l.total(), -50);
        assert_eq!(l.status().unwrap(), LimitStatus::Triggered);
    }
}
