//! Sliding windows over the events of a rule: sums, counts, extremes and first values by key.
//!
//! **Invariant:** a window's value is exact or a fault. Keys and entries are bounded; an event that
//! does not fit is refused with a fault and leaves the window as it was. Time is that of the blocks.

use std::collections::{BTreeMap, VecDeque};

use alloy_primitives::{U256, U512};
use serde::{Deserialize, Serialize};

use super::{error::Fault, int::Int};

/// The longest window, in seconds.
pub(crate) const WINDOW_SECS_MAX: u64 = 30 * 86_400;

/// The most keys that one window tells apart.
pub(crate) const WINDOW_KEYS_MAX: usize = 1_024;

/// The most entries that one window holds over all keys. Events of one key at one time share one.
pub(crate) const WINDOW_ENTRIES_MAX: usize = 16_384;

/// What a window computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Sum,
    Count,
    Min,
    Max,
    First,
}

/// A window and what it holds.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    aggregate: Aggregate,
    millis: u64,
    now: u64,
    series: BTreeMap<Int, Series>,
    entries: usize,
}

/// The entries of one key, oldest first, times strictly rising.
#[derive(Clone, Debug, Default)]
struct Series {
    points: VecDeque<(u64, Int)>,
    /// Sum of the positive points. Cannot overflow: entries are bounded and have 256 bits each.
    plus: U512,
    /// Sum of the magnitudes of the negative points.
    minus: U512,
}

/// What a window holds, as written to the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WindowMemo {
    now: u64,
    series: Vec<(Int, Vec<(u64, Int)>)>,
}

impl Window {
    pub(crate) fn new(aggregate: Aggregate, millis: u64) -> Self {
        Self { aggregate, millis, now: 0, series: BTreeMap::new(), entries: 0 }
    }

    /// Takes in an event of `key` at `time` (milliseconds) and gives the value over the last
    /// `millis`, this event included. A count counts the events whose `value` is not zero.
    ///
    /// # Errors
    /// A limit or [`Fault::Overflow`]; the event is then not in the window.
    pub(crate) fn observe(&mut self, time: u64, key: Int, value: Int) -> Result<Int, Fault> {
        self.advance(time);
        let aggregate = self.aggregate;
        if matches!(aggregate, Aggregate::Sum | Aggregate::Count) && value == Int::ZERO {
            return self.series.get(&key).map_or(Ok(Int::ZERO), |it| it.value(aggregate));
        }
        let known = self.series.contains_key(&key);
        if !known && self.series.len() >= WINDOW_KEYS_MAX {
            return Err(Fault::Keys);
        }
        let now = self.now;
        let room = self.entries < WINDOW_ENTRIES_MAX;
        let series = self.series.entry(key).or_default();
        let before = series.points.len();
        let added = series.add(aggregate, now, value, room);
        self.entries = (self.entries + series.points.len()).saturating_sub(before);
        let value = added.and_then(|()| series.value(aggregate));
        if series.points.is_empty() {
            self.series.remove(&key);
        }
        value
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.aggregate, self.millis);
    }

    /// What it holds.
    pub(crate) fn memo(&self) -> WindowMemo {
        let series = self.series.iter();
        let series = series.map(|(key, it)| (*key, it.points.iter().copied().collect()));
        WindowMemo { now: self.now, series: series.collect() }
    }

    /// Takes back what [`Window::memo`] gave; says why not if it cannot be from there.
    ///
    /// # Errors
    /// Times that do not rise, a key twice, or more than the limits allow; nothing is changed then.
    pub(crate) fn recall(&mut self, memo: &WindowMemo) -> Result<(), &'static str> {
        let mut fresh = Self::new(self.aggregate, self.millis);
        fresh.now = memo.now;
        for (key, points) in &memo.series {
            let mut series = Series::default();
            for (time, value) in points {
                if *time > memo.now || series.points.back().is_some_and(|it| it.0 >= *time) {
                    return Err("times of a window do not rise");
                }
                series.push(*time, *value);
            }
            fresh.entries += points.len();
            if points.is_empty() || fresh.series.insert(*key, series).is_some() {
                return Err("a key of a window is empty or there twice");
            }
        }
        if fresh.entries > WINDOW_ENTRIES_MAX || fresh.series.len() > WINDOW_KEYS_MAX {
            return Err("a window holds more than its limits");
        }
        *self = fresh;
        Ok(())
    }

    /// Moves to `time` and drops what is older than the window. Time never goes back.
    fn advance(&mut self, time: u64) {
        if time <= self.now {
            return;
        }
        self.now = time;
        let (millis, mut dropped) = (self.millis, 0);
        self.series.retain(|_, series| {
            while series.points.front().is_some_and(|it| it.0.saturating_add(millis) <= time) {
                series.pop();
                dropped += 1;
            }
            !series.points.is_empty()
        });
        self.entries = self.entries.saturating_sub(dropped);
    }
}

impl Series {
    fn push(&mut self, time: u64, value: Int) {
        self.total_mut(value, |total, it| total.wrapping_add(it));
        self.points.push_back((time, value));
    }

    fn pop(&mut self) {
        if let Some((_, value)) = self.points.pop_front() {
            self.total_mut(value, |total, it| total.wrapping_sub(it));
        }
    }

    fn total_mut(&mut self, value: Int, with: fn(U512, U512) -> U512) {
        let total = if value.is_negative() { &mut self.minus } else { &mut self.plus };
        *total = with(*total, U512::from(value.magnitude()));
    }

    fn add(&mut self, of: Aggregate, now: u64, value: Int, room: bool) -> Result<(), Fault> {
        let same_time = self.points.back().is_some_and(|it| it.0 == now);
        let room = if room { Ok(()) } else { Err(Fault::Entries) };
        match of {
            Aggregate::Sum | Aggregate::Count => {
                let step = if of == Aggregate::Count { Int::ONE } else { value };
                let last = self.points.back().filter(|_| same_time).map_or(Int::ZERO, |it| it.1);
                let merged = last.add(step)?;
                // A total that does not fit would be a fault of every later event, too: refused.
                self.total_with(step)?;
                if same_time {
                    self.points.pop_back();
                    self.total_mut(last, |total, it| total.wrapping_sub(it));
                } else {
                    room?;
                }
                self.push(now, merged);
            }
            Aggregate::First if same_time => {}
            Aggregate::First => {
                room?;
                self.points.push_back((now, value));
            }
            Aggregate::Min | Aggregate::Max => {
                // What an event at least as extreme outlives can never be the extreme again.
                let outdone =
                    |it: Int| if of == Aggregate::Max { it <= value } else { it >= value };
                let kept = self.points.iter().rposition(|it| !outdone(it.1)).map_or(0, |it| it + 1);
                if kept == self.points.len() && same_time {
                    return Ok(());
                }
                if kept == self.points.len() {
                    room?;
                }
                self.points.truncate(kept);
                if self.points.back().is_none_or(|it| it.0 < now) {
                    self.points.push_back((now, value));
                }
            }
        }
        Ok(())
    }

    fn total_with(&self, step: Int) -> Result<Int, Fault> {
        let mut copy = Self { points: VecDeque::new(), plus: self.plus, minus: self.minus };
        copy.total_mut(step, |total, it| total.wrapping_add(it));
        copy.total()
    }

    fn total(&self) -> Result<Int, Fault> {
        let (gap, negative) = match self.plus >= self.minus {
            true => (self.plus.wrapping_sub(self.minus), false),
            false => (self.minus.wrapping_sub(self.plus), true),
        };
        let magnitude = U256::checked_from_limbs_slice(gap.as_limbs()).ok_or(Fault::Overflow)?;
        Ok(Int::signed(magnitude, negative))
    }

    fn value(&self, of: Aggregate) -> Result<Int, Fault> {
        match of {
            Aggregate::Sum | Aggregate::Count => self.total(),
            _ => Ok(self.points.front().map_or(Int::ZERO, |it| it.1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Aggregate, Fault, Int, WINDOW_ENTRIES_MAX, WINDOW_KEYS_MAX, Window};

    const ALL: [Aggregate; 5] =
        [Aggregate::Sum, Aggregate::Count, Aggregate::Min, Aggregate::Max, Aggregate::First];

    fn int(value: i64) -> Int {
        let magnitude = Int::from(value.unsigned_abs());
        if value < 0 { magnitude.neg() } else { magnitude }
    }

    /// The same by keeping every event for ever.
    fn naive(of: Aggregate, millis: u64, events: &[(u64, u8, i64)]) -> i64 {
        let (now, key, _) = events.last().copied().unwrap();
        let inside = events.iter().filter(|it| it.1 == key && it.0 + millis > now);
        let mut values = inside.map(|it| it.2);
        match of {
            Aggregate::Sum => values.sum(),
            Aggregate::Count => values.filter(|it| *it != 0).count() as i64,
            Aggregate::Min => values.min().unwrap(),
            Aggregate::Max => values.max().unwrap(),
            Aggregate::First => values.next().unwrap(),
        }
    }

    proptest! {
        #[test]
        fn every_window_equals_one_that_keeps_everything(
            steps in prop::collection::vec((0_u64..4, 0_u8..3, -5_i64..6), 1..60),
            millis in 1_u64..12,
            cut in 0_usize..60,
        ) {
            for of in ALL {
                let (mut window, mut events, mut now) = (Window::new(of, millis), Vec::new(), 100);
                for (index, (step, key, value)) in steps.iter().enumerate() {
                    now += step;
                    events.push((now, *key, *value));
                    if index == cut {
                        // A restart in between changes nothing.
                        let memo = serde_json::to_string(&window.memo()).unwrap();
                        let mut fresh = Window::new(of, millis);
                        fresh.recall(&serde_json::from_str(&memo).unwrap()).unwrap();
                        prop_assert_eq!(fresh.memo(), window.memo());
                        window = fresh;
                    }
                    let found = window.observe(now, int(i64::from(*key)), int(*value));
                    prop_assert_eq!(found, Ok(int(naive(of, millis, &events))), "{:?}", of);
                }
            }
        }
    }

    #[test]
    fn a_new_key_beyond_the_limit_is_refused_until_old_ones_leave() {
        let mut window = Window::new(Aggregate::Sum, 10);
        for key in 0..WINDOW_KEYS_MAX {
            assert!(window.observe(1, Int::from(key as u64), Int::ONE).is_ok());
        }
        assert_eq!(window.observe(1, Int::ONE.neg(), Int::ONE), Err(Fault::Keys));
        assert_eq!(window.observe(1, Int::ONE, Int::ONE), Ok(Int::from(2)));
        assert_eq!(window.observe(11, Int::ONE.neg(), Int::ONE), Ok(Int::ONE));
    }

    #[test]
    fn an_entry_beyond_the_limit_is_refused_and_leaves_the_window_as_it_was() {
        let limit = WINDOW_ENTRIES_MAX as u64;
        let mut window = Window::new(Aggregate::Sum, limit * 2);
        for time in 1..=limit {
            assert_eq!(window.observe(time, Int::ZERO, Int::ONE), Ok(Int::from(time)));
        }
        let full = window.memo();
        assert_eq!(window.observe(limit, Int::ZERO, Int::ONE), Ok(Int::from(limit + 1)));
        assert_eq!(window.observe(limit + 1, Int::ZERO, Int::ONE), Err(Fault::Entries));
        assert_eq!(window.observe(limit + 1, Int::ONE, Int::ONE), Err(Fault::Entries));
        assert_eq!(window.memo().series.len(), full.series.len());
    }

    #[test]
    fn a_sum_that_does_not_fit_is_a_fault_and_the_next_event_is_not_harmed() {
        let top = Int::unsigned(alloy_primitives::U256::MAX);
        let mut window = Window::new(Aggregate::Sum, 10);
        assert_eq!(window.observe(1, Int::ZERO, top), Ok(top));
        assert_eq!(window.observe(2, Int::ZERO, Int::ONE), Err(Fault::Overflow));
        assert_eq!(window.observe(2, Int::ZERO, Int::ONE.neg()), top.sub(Int::ONE));
    }

    #[test]
    fn a_memo_that_no_window_wrote_is_refused() {
        for text in [
            r#"{"now":5,"series":[["1",[[3,"1"],[3,"1"]]]]}"#,
            r#"{"now":5,"series":[["1",[[6,"1"]]]]}"#,
            r#"{"now":5,"series":[["1",[]]]}"#,
            r#"{"now":5,"series":[["1",[[3,"1"]]],["1",[[3,"1"]]]]}"#,
        ] {
            let mut window = Window::new(Aggregate::Sum, 10);
            assert!(window.recall(&serde_json::from_str(text).unwrap()).is_err(), "{text}");
        }
    }
}
