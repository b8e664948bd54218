//! How much simulation of pending transactions an hour may cost, and who may spend it.
//!
//! **Invariant:** what touches a protected account itself is never refused. Everything else is refused
//! from the least to the most telling as the hour's budget runs out, and each refusal is counted.
//!
//! Time is an argument, in milliseconds of any clock that does not run backwards.

use super::prefilter::Class;

/// Slots of the sliding hour.
const SLOTS: usize = 60;
/// Length of one slot.
const SLOT_MS: u64 = 60_000;

/// A budget over the last sixty minutes.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    /// Microseconds an hour.
    limit: u64,
    slots: [Slot; SLOTS],
}

/// One minute.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Which minute since the clock began.
    minute: u64,
    /// Microseconds of simulation.
    spent: u64,
    /// Transactions refused.
    refused: u64,
}

impl Budget {
    /// `limit_ms` milliseconds of simulation an hour.
    pub(crate) fn new(limit_ms: u64) -> Self {
        Self { limit: limit_ms.saturating_mul(1_000), slots: [Slot::default(); SLOTS] }
    }

    /// Whether a transaction of `class` may be simulated now; if not, it is counted. `again` for a
    /// transaction that was simulated before, which even the most telling class must pay for.
    pub(crate) fn admit(&mut self, class: Class, again: bool, now_ms: u64) -> bool {
        let may = match (class, again) {
            (Class::Direct, false) => u64::MAX,
            _ => self.limit / 1_000 * share(class),
        };
        let admitted = self.spent_us(now_ms) < may;
        if !admitted {
            let slot = self.slot(now_ms);
            slot.refused = slot.refused.saturating_add(1);
        }
        admitted
    }

    /// Takes `us` microseconds of simulation.
    pub(crate) fn spend(&mut self, us: u64, now_ms: u64) {
        let slot = self.slot(now_ms);
        slot.spent = slot.spent.saturating_add(us);
    }

    /// Microseconds spent in the last hour.
    pub(crate) fn spent_us(&self, now_ms: u64) -> u64 {
        self.recent(now_ms).fold(0, |sum, it| sum.saturating_add(it.spent))
    }

    /// Transactions refused in the last hour.
    pub(crate) fn refused(&self, now_ms: u64) -> u64 {
        self.recent(now_ms).fold(0, |sum, it| sum.saturating_add(it.refused))
    }

    /// Microseconds an hour.
    pub(crate) fn limit_us(&self) -> u64 {
        self.limit
    }

    fn recent(&self, now_ms: u64) -> impl Iterator<Item = &Slot> {
        let minute = now_ms / SLOT_MS;
        self.slots.iter().filter(move |it| minute.saturating_sub(it.minute) < SLOTS as u64)
    }

    fn slot(&mut self, now_ms: u64) -> &mut Slot {
        let minute = now_ms / SLOT_MS;
        let slot = &mut self.slots[(minute % SLOTS as u64) as usize];
        if slot.minute != minute {
            *slot = Slot { minute, ..Slot::default() };
        }
        slot
    }
}

/// How far into the budget a class may go, in thousandths.
fn share(class: Class) -> u64 {
    match class {
        Class::Known => 500,
        Class::Fresh => 750,
        Class::Novel => 900,
        Class::Reaches | Class::Suspect | Class::Direct => 1_000,
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Class};

    const HOUR: u64 = 3_600_000;

    #[test]
    fn the_least_telling_are_refused_first_and_what_touches_us_never() {
        let classes = [Class::Known, Class::Fresh, Class::Novel, Class::Reaches, Class::Direct];
        for (spent, admitted) in [(0, 5), (500, 4), (750, 3), (900, 2), (1_000, 1), (9_999, 1)] {
            let mut budget = Budget::new(1_000);
            budget.spend(spent * 1_000, 0);
            let mut count = 0;
            for class in classes {
                count += usize::from(budget.admit(class, false, 1));
            }
            assert_eq!(count, admitted, "{spent} ms spent");
            assert_eq!(budget.refused(1), 5 - admitted as u64);
        }
    }

    #[test]
    fn what_is_simulated_again_must_be_paid_for_whatever_it_touches() {
        let mut budget = Budget::new(10);
        assert!(budget.admit(Class::Direct, true, 0));
        budget.spend(10_000, 0);
        assert!(!budget.admit(Class::Direct, true, 0));
        assert!(budget.admit(Class::Direct, false, 0));
    }

    #[test]
    fn an_hour_later_the_budget_is_whole_again() {
        let mut budget = Budget::new(1_000);
        budget.spend(600_000, 0);
        budget.spend(500_000, HOUR / 2);
        assert_eq!(budget.spent_us(HOUR / 2), 1_100_000);
        assert!(!budget.admit(Class::Reaches, false, HOUR - 1));
        assert_eq!(budget.spent_us(HOUR), 500_000);
        assert!(budget.admit(Class::Fresh, false, HOUR));
        assert_eq!((budget.spent_us(2 * HOUR), budget.refused(2 * HOUR)), (0, 0));
    }
}
