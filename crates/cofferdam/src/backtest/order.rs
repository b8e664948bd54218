//! Work on every core whose results are taken in order.
//!
//! **Invariant:** what `fold` sees is what a single thread would have made, in the same order.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, PoisonError, mpsc},
};

use super::Failure;

/// Results that may wait for their turn, per thread.
const AHEAD: usize = 4;

/// Calls `make` for `from .. to` on `threads` threads, and `fold` with each result in order.
///
/// # Errors
/// The first error, in order.
pub(crate) fn in_order<T: Send>(
    (from, to): (usize, usize),
    threads: usize,
    make: &(dyn Fn(usize) -> Result<T, Failure> + Sync),
    fold: &mut dyn FnMut(usize, T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let threads = threads.max(1);
    if threads == 1 {
        for at in from..to {
            fold(at, make(at)?)?;
        }
        return Ok(());
    }
    let gate = Gate {
        state: Mutex::new(State { next: from, folded: from, over: false }),
        moved: Condvar::new(),
    };
    let ahead = threads * AHEAD;
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        for _ in 0..threads {
            let (send, gate) = (send.clone(), &gate);
            scope.spawn(move || {
                while let Some(at) = gate.take(to, ahead) {
                    if send.send((at, make(at))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        let outcome = drain((from, to), &receive, &gate, fold);
        gate.close();
        outcome
    })
}

fn drain<T>(
    (from, to): (usize, usize),
    receive: &mpsc::Receiver<(usize, Result<T, Failure>)>,
    gate: &Gate,
    fold: &mut dyn FnMut(usize, T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut waiting = BTreeMap::new();
    for at in from..to {
        let made = loop {
            if let Some(it) = waiting.remove(&at) {
                break it;
            }
            // A thread that is gone without an answer has panicked.
            let (number, made) = receive.recv().map_err(|_| Failure::Lost)?;
            waiting.insert(number, made);
        };
        fold(at, made?)?;
        gate.folded(at + 1);
    }
    Ok(())
}

struct State {
    next: usize,
    folded: usize,
    over: bool,
}

/// Hands out work, not too far ahead of what was folded.
struct Gate {
    state: Mutex<State>,
    moved: Condvar,
}

impl Gate {
    fn take(&self, to: usize, ahead: usize) -> Option<usize> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.over && state.next < to && state.next >= state.folded + ahead {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.over || state.next >= to {
            return None;
        }
        state.next += 1;
        Some(state.next - 1)
    }

    fn folded(&self, until: usize) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).folded = until;
        self.moved.notify_all();
    }

    fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        self.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Failure, in_order};

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        for threads in [1, 2, 7] {
            let mut seen = Vec::new();
            let make = |at: usize| {
                let mut spin = 0_u64;
                for it in 0..((at * 7_919) % 13) * 1_000 {
                    spin = spin.wrapping_add(it as u64);
                }
                Ok((at, spin))
            };
            let outcome = in_order((3, 100), threads, &make, &mut |at, it| {
                seen.push((at, it.0));
                Ok(())
            });
            assert!(outcome.is_ok());
            assert_eq!(seen, (3..100).map(|it| (it, it)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_error_in_order_ends_it() {
        for threads in [1, 4] {
            let mut folded = 0;
            let make = |at: usize| if at >= 10 { Err(Failure::Lost) } else { Ok(at) };
            let outcome = in_order((0, 50), threads, &make, &mut |_, _| {
                folded += 1;
                Ok(())
            });
            assert!(outcome.is_err());
            assert_eq!(folded, 10);
        }
    }
}
