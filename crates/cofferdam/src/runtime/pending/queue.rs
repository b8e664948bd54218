//! What waits to be simulated, the most telling first.
//!
//! **Invariant:** bounded in number and in bytes. What does not fit pushes out what is less telling, the
//! newest first; what is pushed out is handed back to be counted.

use std::{cmp::Reverse, collections::BTreeMap, time::Instant};

use cofferdam_core::Tx;

use super::prefilter::Class;

/// Transactions that wait.
const WAITING_MAX: usize = 8_192;
/// Bytes of calldata that wait.
const BYTES_MAX: usize = 256 << 20;

/// Why a transaction is simulated. The least comes first within a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// It was never simulated.
    First,
    /// It failed or had to wait, and something changed.
    Again,
    /// It was harmless; now in another context.
    Elsewhere,
}

/// One transaction to simulate.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// The transaction.
    pub(crate) tx: Tx,
    /// How telling it is, as far as known.
    pub(crate) class: Class,
    /// Whether the callee's code was taken into account.
    pub(crate) looked: bool,
    /// Why.
    pub(crate) purpose: Purpose,
    /// When it was first seen.
    pub(crate) seen: Instant,
}

type Place = (Reverse<Class>, Purpose, u64);

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    jobs: BTreeMap<Place, Job>,
    bytes: usize,
    count: u64,
}

impl Queue {
    /// Adds `job`; gives what had to go for it, possibly itself.
    pub(crate) fn push(&mut self, job: Job) -> Vec<Job> {
        self.count += 1;
        self.bytes += job.tx.input.len();
        self.jobs.insert((Reverse(job.class), job.purpose, self.count), job);
        let mut out = Vec::new();
        while self.jobs.len() > WAITING_MAX || self.bytes > BYTES_MAX {
            let Some((_, last)) = self.jobs.pop_last() else { break };
            self.bytes -= last.tx.input.len();
            out.push(last);
        }
        out
    }

    /// The most telling one, the oldest among equals.
    pub(crate) fn pop(&mut self) -> Option<Job> {
        let (_, job) = self.jobs.pop_first()?;
        self.bytes -= job.tx.input.len();
        Some(job)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use alloy_primitives::Bytes;
    use cofferdam_core::Tx;

    use super::{BYTES_MAX, Class, Job, Purpose, Queue, WAITING_MAX};

    fn job(nonce: u64, class: Class, purpose: Purpose) -> Job {
        let tx = Tx { nonce, ..Tx::default() };
        Job { tx, class, looked: true, purpose, seen: Instant::now() }
    }

    #[test]
    fn the_most_telling_comes_first_then_what_is_new_then_the_oldest() {
        let mut queue = Queue::default();
        for (nonce, class, purpose) in [
            (5, Class::Known, Purpose::First),
            (1, Class::Direct, Purpose::Elsewhere),
            (0, Class::Direct, Purpose::First),
            (4, Class::Fresh, Purpose::Again),
            (2, Class::Fresh, Purpose::First),
            (3, Class::Fresh, Purpose::First),
        ] {
            assert!(queue.push(job(nonce, class, purpose)).is_empty());
        }
        let order: Vec<u64> = std::iter::from_fn(|| queue.pop()).map(|it| it.tx.nonce).collect();
        assert_eq!(order, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_full_queue_gives_up_what_is_least_telling() {
        let mut queue = Queue::default();
        for nonce in 0..WAITING_MAX as u64 {
            queue.push(job(nonce, Class::Fresh, Purpose::First));
        }
        let out = queue.push(job(9_999, Class::Direct, Purpose::First));
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].tx.nonce, WAITING_MAX as u64 - 1, "the newest of the least telling");
        let out = queue.push(job(10_000, Class::Known, Purpose::First));
        assert_eq!(out[0].tx.nonce, 10_000, "itself");
        assert_eq!(queue.pop().map(|it| it.tx.nonce), Some(9_999));
        assert_eq!(queue.len(), WAITING_MAX - 1);
    }

    #[test]
    fn calldata_is_bounded_too() {
        let mut queue = Queue::default();
        let input = Bytes::from(vec![0; BYTES_MAX / 4]);
        let mut lost = 0;
        for nonce in 0..8 {
            let it = job(nonce, Class::Fresh, Purpose::First);
            lost += queue.push(Job { tx: Tx { input: input.clone(), ..it.tx }, ..it }).len();
        }
        assert_eq!((queue.len(), lost), (4, 4));
    }
}
