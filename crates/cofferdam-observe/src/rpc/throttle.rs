//! Saying the same trouble once, not at every attempt. No clock: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// The same reason for the same block is repeated after this long.
const SAME_AGAIN: Duration = Duration::from_secs(60);
/// Another reason for the same block is told after this long at the earliest.
const OTHER_AFTER: Duration = Duration::from_secs(10);

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Throttle;

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
}
