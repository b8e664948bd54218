//! How far the walk is, for whoever wants to show it. No clock: the time is an argument.

use tokio::time::Instant;

use super::status::Backfill;

/// Blocks behind the head from which on this is called filling in, and shown.
const BACKFILL_MIN: u64 = 3;

/// Where the walk is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// The newest delivered block.
    pub(crate) delivered: Option<u64>,
    /// Why the next block cannot be had, if it cannot.
    pub(crate) holding: Option<String>,
    filling: Option<(u64, u64, Instant)>,
}

impl Progress {
    /// Notes a delivered block while `head` is the newest one known.
    pub(crate) fn delivered(&mut self, number: u64, head: u64, now: Instant) {
        self.delivered = Some(number);
        self.holding = None;
        let left = head.saturating_sub(number);
        self.filling = match self.filling {
            _ if left == 0 => None,
            Some((from, done, since)) => Some((from, done.saturating_add(1), since)),
            None if left >= BACKFILL_MIN => Some((number, 1, now)),
            None => None,
        };
    }

    /// Notes that nothing is in the way now; `true` if something was.
    pub(crate) fn recovered(&mut self) -> bool {
        self.holding.take().is_some()
    }

    /// The filling in of missed blocks under way while `head` is the newest one known.
    pub(crate) fn backfill(&self, head: Option<u64>, now: Instant) -> Option<Backfill> {
        let (from, done, since) = self.filling?;
        let elapsed = now.saturating_duration_since(since).as_millis();
        Some(Backfill {
            from,
            done,
            left: head?.saturating_sub(self.delivered?),
            elapsed_ms: u64::try_from(elapsed).unwrap_or(u64::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Progress;

    #[test]
    fn filling_in_begins_when_blocks_are_missing_and_ends_at_the_head() {
        let (mut progress, now) = (Progress::default(), Instant::now());
        progress.delivered(10, 11, now);
        assert_eq!(progress.backfill(Some(11), now), None);
        progress.delivered(11, 100, now);
        progress.delivered(12, 100, now);
        let filled = progress.backfill(Some(101), now + Duration::from_secs(2));
        let filled = filled.map(|it| (it.from, it.done, it.left, it.elapsed_ms));
        assert_eq!(filled, Some((11, 2, 89, 2_000)));
        progress.delivered(101, 101, now);
        assert_eq!(progress.backfill(Some(101), now), None);
    }
}
