//! Saying the same trouble once, not at every attempt, and changing branches no more often than there
//! is a reason to. No clock: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// The same reason for the same block is repeated after this long.
const SAME_AGAIN: Duration = Duration::from_secs(60);
/// Another reason for the same block is told after this long at the earliest.
const OTHER_AFTER: Duration = Duration::from_secs(10);

/// Changes of branch that are made at once while no higher block is delivered.
const TURNS_MAX: u32 = 3;

/// Remembers what was said last.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Option<(u64, String, Instant)>);

impl Throttle {
    /// Whether this should be said now. If so, it counts as said.
    pub(crate) fn admit(&mut self, from: u64, because: &str, now: Instant) -> bool {
        if let Some((block, reason, at)) = &self.0 {
            let pause = if reason == because { SAME_AGAIN } else { OTHER_AFTER };
            if *block == from && now.duration_since(*at) < pause {
                return false;
            }
        }
        self.0 = Some((from, because.to_owned(), now));
        true
    }

    /// The trouble is over; the next is said at once.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }
}

/// Counts changes of branch that brought no higher block.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    highest: u64,
    tip: u64,
    count: u32,
    last: Option<Instant>,
}

impl Turns {
    /// Whether to turn to another branch now; if that was done too often, then only `pause` after the
    /// last time.
    pub(crate) fn admit(&self, pause: Duration, now: Instant) -> bool {
        let waits = self.last.is_some_and(|it| now.duration_since(it) < pause);
        self.count < TURNS_MAX || !waits
    }

    /// Notes a delivered block, which replaces another one if it is no higher than the last.
    pub(crate) fn delivered(&mut self, number: u64, now: Instant) {
        if number > self.highest {
            (self.highest, self.count) = (number, 0);
        } else if number <= self.tip {
            (self.count, self.last) = (self.count.saturating_add(1), Some(now));
        }
        self.tip = number;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Throttle, Turns};

    #[test]
    fn a_reason_is_said_once_then_rarely_and_again_after_recovery() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        let at = |secs| now + Duration::from_secs(secs);
        assert!(throttle.admit(7, "down", at(0)));
        assert!(!throttle.admit(7, "down", at(1)));
        assert!(!throttle.admit(7, "slow", at(2)));
        assert!(throttle.admit(7, "slow", at(11)));
        assert!(throttle.admit(7, "slow", at(80)));
        assert!(throttle.admit(8, "slow", at(81)));
        throttle.clear();
        assert!(throttle.admit(8, "slow", at(82)));
    }

    #[test]
    fn turns_that_bring_no_higher_block_become_rare() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        let pause = Duration::from_secs(3);
        turns.delivered(7, now);
        for _ in 0..3 {
            assert!(turns.admit(pause, now));
            turns.delivered(6, now);
            turns.delivered(7, now);
        }
        assert!(!turns.admit(pause, now + Duration::from_secs(2)));
        assert!(turns.admit(pause, now + Duration::from_secs(3)));
        turns.delivered(8, now);
        assert!(turns.admit(pause, now));
    }
}
