//! CPU time: what a piece of work costs, whoever else is on the machine.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds this thread was on a CPU for `work`, per call, the best of `rounds`; each round calls it
/// until at least `least_ms` went by.
pub(crate) fn best_ns(rounds: usize, least_ms: u64, mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..rounds {
        let (started, mut calls) = (thread_ns(), 0u64);
        let spent = loop {
            work();
            calls += 1;
            let spent = thread_ns() - started;
            if spent >= least_ms * 1_000_000 {
                break spent;
            }
        };
        best = best.min(spent as f64 / calls as f64);
    }
    best
}

/// Nanoseconds that all threads of this process were on a CPU so far.
pub(crate) fn process_ns() -> u64 {
    ns(ClockId::ProcessCPUTime)
}

/// Nanoseconds that this thread was on a CPU so far.
pub(crate) fn thread_ns() -> u64 {
    ns(ClockId::ThreadCPUTime)
}

fn ns(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    (now.tv_sec as u64) * 1_000_000_000 + now.tv_nsec as u64
}
