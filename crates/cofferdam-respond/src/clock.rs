//! How long each step of the response took, against its target.
//!
//! **Invariant:** a clock runs from one milestone to the next; it is met or missed once and for all, and
//! one whose beginning was never reached does not run.

use cofferdam_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Case, Priority};

/// A point that every response passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Milestone {
    /// The attack's first finding, by the block's time.
    Found,
    /// A person was told.
    Alerted,
    /// A person said so.
    Acknowledged,
    /// What to do was decided.
    Decided,
    /// Enough people agreed, or none had to.
    Quorum,
    /// The loss is stopped.
    Contained,
    /// That was read back from the chain.
    Verified,
}

impl Milestone {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Alerted => "alert",
            Self::Acknowledged => "ack",
            Self::Decided => "decision",
            Self::Quorum => "quorum",
            Self::Contained => "contained",
            Self::Verified => "verified",
        }
    }
}

/// From one milestone to the next.
const STEPS: [(Milestone, Milestone); 6] = [
    (Milestone::Found, Milestone::Alerted),
    (Milestone::Alerted, Milestone::Acknowledged),
    (Milestone::Acknowledged, Milestone::Decided),
    (Milestone::Decided, Milestone::Quorum),
    (Milestone::Quorum, Milestone::Contained),
    (Milestone::Contained, Milestone::Verified),
];

/// Where a clock stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockState {
    /// Its beginning was not reached.
    Waiting,
    /// It runs, within its target.
    Running,
    /// It runs, and its target is over.
    Overdue,
    /// It ended within its target.
    Met,
    /// It ended after its target.
    Missed,
}

/// One clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Clock {
    /// Where it begins.
    pub from: Milestone,
    /// Where it ends.
    pub to: Milestone,
    /// What it has run, in milliseconds.
    pub elapsed_ms: u64,
    /// What it should run at most, in milliseconds; `None` without a target.
    pub target_ms: Option<u64>,
    /// Where it stands.
    pub state: ClockState,
}

/// The target from one milestone to `to`, in milliseconds. P1 has the full marks of a scored drill; P2
/// the time at which they end; others have none, but a page is answered in a day.
pub fn target_ms(priority: Priority, to: Milestone) -> Option<u64> {
    let minutes: [u64; 6] = match priority {
        Priority::P1 => [1, 5, 5, 10, 1, 1],
        Priority::P2 => [10, 15, 20, 46, 10, 10],
        Priority::P3 | Priority::P4 => {
            return (to == Milestone::Acknowledged).then_some(86_400_000);
        }
        Priority::P5 => return None,
    };
    let index = STEPS.iter().position(|it| it.1 == to)?;
    minutes.get(index).map(|it| it * 60_000)
}

/// The clocks of `case` at `now`.
pub fn clocks(case: &Case, now: Timestamp) -> Vec<Clock> {
    let exact = |it: Milestone| case.milestones.get(&it).copied();
    // Where nobody had to agree, the quorum is there with the decision's effect.
    let reached = |it: Milestone| match it {
        Milestone::Quorum => exact(it).or_else(|| exact(Milestone::Contained)),
        _ => exact(it),
    };
    STEPS
        .iter()
        .map(|&(from, to)| {
            let target_ms = target_ms(case.priority, to);
            let (elapsed_ms, state) = match (reached(from), reached(to)) {
                (None, _) => (0, ClockState::Waiting),
                (Some(begin), Some(end)) => {
                    let elapsed = end.since_ms(begin);
                    let missed = target_ms.is_some_and(|it| elapsed > it);
                    (elapsed, if missed { ClockState::Missed } else { ClockState::Met })
                }
                (Some(begin), None) => {
                    let elapsed = now.since_ms(begin);
                    let overdue = target_ms.is_some_and(|it| elapsed > it);
                    let state = if case.state.is_over() {
                        ClockState::Waiting
                    } else if overdue {
                        ClockState::Overdue
                    } else {
                        ClockState::Running
                    };
                    (elapsed, state)
                }
            };
            Clock { from, to, elapsed_ms, target_ms, state }
        })
        .collect()
}
