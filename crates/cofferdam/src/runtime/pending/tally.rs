//! What is told of pending transactions: counts, and whether the budget is spent.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde::{Deserialize, Serialize};

use super::{NotNow, budget::Budget, prefilter::Class};

/// What became of the pending transactions of one chain since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct PendingCounts {
    /// Told of by a node, each once.
    pub seen: u64,
    /// Payments that run no code and touch nothing watched.
    pub skipped: u64,
    /// Simulations in the context of the next block.
    pub simulated: u64,
    /// Simulations of what was simulated before, after something changed.
    pub again: u64,
    /// Simulations in the second context.
    pub elsewhere: u64,
    /// Could not be included as they are: nonce, fee or funds.
    pub not_includable: u64,
    /// Failed in simulation after they reached a watched account.
    pub probes: u64,
    /// Could not be simulated because state was not to be had.
    pub failed: u64,
    /// Left out because too many waited.
    pub dropped: u64,
    /// Left out because the hour's budget was spent, in the last hour.
    pub over_budget: u64,
    /// Waiting now.
    pub waiting: u64,
    /// Microseconds of simulation in the last hour.
    pub spent_us: u64,
    /// Microseconds of simulation that an hour may cost.
    pub budget_us: u64,
}

/// The counts and the budget of one chain, shared between those who work and those who tell.
#[derive(Clone, Debug)]
pub struct Tally(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    began: Instant,
    inner: Mutex<(PendingCounts, Budget)>,
}

impl Tally {
    /// With `budget_ms` milliseconds of simulation an hour.
    pub fn new(budget_ms: u64) -> Self {
        let inner = Mutex::new((PendingCounts::default(), Budget::new(budget_ms)));
        Self(Arc::new(Shared { began: Instant::now(), inner }))
    }

    /// Milliseconds since it began: the clock of budget and memory.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Counts.
    pub(crate) fn count(&self, change: impl FnOnce(&mut PendingCounts)) {
        change(&mut self.lock().0);
    }

    /// Counts what could not be included.
    pub(crate) fn count_hindrance(&self, why: NotNow) {
        self.count(|it| match why {
            NotNow::Incomplete => it.failed += 1,
            NotNow::Used => {}
            _ => it.not_includable += 1,
        });
    }

    /// See [`Budget::admit`].
    pub(crate) fn admit(&self, class: Class, again: bool) -> bool {
        let now = self.now_ms();
        self.lock().1.admit(class, again, now)
    }

    /// Asks the budget for something that it may refuse.
    #[cfg(test)]
    pub(crate) fn leave_out(&self) {
        assert!(!self.admit(Class::Known, false));
    }

    /// Takes what was spent since `began`.
    pub(crate) fn spend(&self, began: Instant) {
        let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let now = self.now_ms();
        self.lock().1.spend(us, now);
    }

    /// The counts now.
    pub fn read(&self) -> PendingCounts {
        let now = self.now_ms();
        let inner = self.lock();
        PendingCounts {
            over_budget: inner.1.refused(now),
            spent_us: inner.1.spent_us(now),
            budget_us: inner.1.limit_us(),
            ..inner.0
        }
    }

    fn lock(&self) -> MutexGuard<'_, (PendingCounts, Budget)> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingCounts {
    /// What people must know if not all is looked at; `None` if all is well.
    pub fn degraded(&self) -> Option<String> {
        (self.over_budget > 0).then(|| {
            format!(
                "{} pending transactions were not simulated in the last hour: {} s of {} s are spent \
                 (simulation-per-hour); what touches a protected account itself always is",
                self.over_budget,
                self.spent_us / 1_000_000,
                self.budget_us / 1_000_000,
            )
        })
    }

    /// Names and values for Prometheus: counters first, then what can fall.
    pub(crate) fn samples(&self) -> [(&'static str, &'static str, &'static str, u64); 13] {
        let (counter, gauge) = ("counter", "gauge");
        [
            ("seen_total", counter, "told of by a node", self.seen),
            ("skipped_total", counter, "payments that run no code", self.skipped),
            ("simulated_total", counter, "simulated in the next block", self.simulated),
            ("again_total", counter, "simulated again after something changed", self.again),
            ("elsewhere_total", counter, "simulated in a second context", self.elsewhere),
            ("not_includable_total", counter, "not includable as they are", self.not_includable),
            ("probes_total", counter, "failed after reaching a watched account", self.probes),
            ("failed_total", counter, "not simulated for want of state", self.failed),
            ("left_out_total", counter, "left out because too many waited", self.dropped),
            ("over_budget", gauge, "left out for the budget in the last hour", self.over_budget),
            ("waiting", gauge, "waiting to be simulated", self.waiting),
            ("spent_microseconds", gauge, "simulation in the last hour", self.spent_us),
            ("budget_microseconds", gauge, "simulation an hour may cost", self.budget_us),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{Class, Tally};

    #[test]
    fn a_spent_budget_is_told_once_something_was_left_out() {
        let tally = Tally::new(0);
        assert_eq!(tally.read().degraded(), None, "nothing was left out yet");
        assert!(tally.admit(Class::Direct, false));
        assert_eq!(tally.read().degraded(), None);
        assert!(!tally.admit(Class::Reaches, false));
        tally.spend(Instant::now());
        let told = tally.read();
        assert_eq!(told.over_budget, 1);
        assert!(
            told.degraded().is_some_and(|it| it.starts_with("1 pending transactions were not"))
        );
        let plenty = Tally::new(1_000);
        assert!(plenty.admit(Class::Known, false));
        assert_eq!(plenty.read().degraded(), None);
    }
}
