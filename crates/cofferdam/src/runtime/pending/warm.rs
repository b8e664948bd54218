//! What failed or must wait, to be simulated again at the next head; and failures that repeat.
//!
//! A transaction that fails in simulation and reaches an account of ours is how an attack is rehearsed
//! (`onchain.md` §3): it may succeed on a later head, and several failures of one contract are a
//! finding of the `probing` detector, which counts them within one observation.
//!
//! **Invariant:** bounded in number and in time; one attempt counts once, however often it is replaced.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256};
use cofferdam_core::Tx;
use lru::LruCache;

use super::{
    prefilter::Watched,
    queue::{Job, Purpose},
};

/// Transactions kept warm.
const WARM_MAX: usize = 256;
/// How long one is kept warm after it was first seen.
const WARM_FOR: Duration = Duration::from_secs(900);
/// Contracts whose failures are remembered.
const CONTRACTS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
/// Failures remembered of one contract.
const FAILURES_MAX: usize = 8;
/// How long a failure is remembered, in milliseconds.
const FAILURE_MS: u64 = 3_600_000;
/// Calls remembered of one failure.
const FRAMES_MAX: usize = 4;
/// Bytes of input remembered of one call.
const INPUT_BYTES_MAX: usize = 4 + 8 * 32;

/// What is simulated again at the next head.
#[derive(Debug, Default)]
pub(crate) struct Warm(VecDeque<Job>);

impl Warm {
    /// Keeps `job`; the one kept longest goes if there are too many.
    pub(crate) fn keep(&mut self, job: &Job) {
        if self.0.iter().any(|it| it.tx.hash == job.tx.hash) {
            return;
        }
        self.0.push_back(Job { purpose: Purpose::Again, ..job.clone() });
        if self.0.len() > WARM_MAX {
            self.0.pop_front();
        }
    }

    /// Everything that is still worth a look; whoever fails again is kept again.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<Job> {
        let all = std::mem::take(&mut self.0).into_iter();
        all.filter(|it| now.saturating_duration_since(it.seen) < WARM_FOR).collect()
    }
}

/// Failures by contract.
#[derive(Debug)]
pub(crate) struct Failures(LruCache<Address, Vec<(u64, Tx)>>);

impl Default for Failures {
    fn default() -> Self {
        Self(LruCache::new(CONTRACTS_MAX))
    }
}

impl Failures {
    /// Remembers that `tx` failed and reached a watched account; gives the earlier failures of the
    /// contract it called, as far as an observation needs them.
    pub(crate) fn note(&mut self, tx: &Tx, watched: &Watched, now_ms: u64) -> Vec<Tx> {
        let Some(contract) = tx.to else { return Vec::new() };
        let known = self.0.get_or_insert_mut(contract, Vec::new);
        known.retain(|(at, it)| {
            now_ms.saturating_sub(*at) < FAILURE_MS && (it.from, it.nonce) != (tx.from, tx.nonce)
        });
        let earlier = known.iter().map(|it| it.1.clone()).collect();
        if known.len() >= FAILURES_MAX {
            known.remove(0);
        }
        known.push((now_ms, essence(tx, watched)));
        earlier
    }

    /// Forgets the failure of a transaction that is in a block: it counts there.
    pub(crate) fn forget(&mut self, contract: Address, hash: B256) {
        if let Some(known) = self.0.get_mut(&contract) {
            known.retain(|it| it.1.hash != hash);
        }
    }
}

/// A failed transaction, of whose calls only those remain that reached a watched account.
fn essence(tx: &Tx, watched: &Watched) -> Tx {
    let reached = tx.frames.iter().filter(|it| watched.has(it.to)).take(FRAMES_MAX);
    let cut = |it: &[u8]| it.get(..INPUT_BYTES_MAX).unwrap_or(it).to_vec().into();
    let frames = reached.map(|it| cofferdam_core::tx::Frame {
        parent: None,
        input: cut(&it.input),
        output: Default::default(),
        ..it.clone()
    });
    Tx {
        frames: frames.collect(),
        input: cut(&tx.input),
        diff: Default::default(),
        facts: Vec::new(),
        ..tx.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use alloy_primitives::{Address, B256, Bytes, U256};
    use cofferdam_core::{
        Tx,
        tx::{CallKind, Frame},
    };

    use super::{FAILURE_MS, Failures, Job, Purpose, WARM_FOR, WARM_MAX, Warm};
    use crate::runtime::pending::prefilter::{Class, Watched};

    const VAULT: Address = Address::repeat_byte(0xaa);
    const CONTRACT: Address = Address::repeat_byte(0xec);

    fn frame(to: Address) -> Frame {
        Frame {
            parent: Some(0),
            depth: 1,
            kind: CallKind::Call,
            from: CONTRACT,
            to,
            value: U256::ZERO,
            input: Bytes::from(vec![1; 5_000]),
            output: Bytes::from(vec![2; 5_000]),
            succeeded: false,
            undone: true,
        }
    }

    fn failed(sender: u8, nonce: u64) -> Tx {
        Tx {
            hash: B256::from(U256::from(nonce << 8 | u64::from(sender))),
            from: Address::repeat_byte(sender),
            to: Some(CONTRACT),
            nonce,
            frames: vec![frame(CONTRACT), frame(VAULT)],
            ..Tx::default()
        }
    }

    fn job(tx: Tx, seen: Instant) -> Job {
        Job { tx, class: Class::Reaches, looked: true, purpose: Purpose::First, seen }
    }

    #[test]
    fn what_is_warm_comes_back_once_until_it_is_too_old() {
        let (mut warm, now) = (Warm::default(), Instant::now());
        warm.keep(&job(failed(1, 0), now));
        warm.keep(&job(failed(1, 0), now));
        let back = warm.take(now + WARM_FOR - Duration::from_secs(1));
        assert_eq!(back.len(), 1);
        assert_eq!(back[0].purpose, Purpose::Again);
        assert!(warm.take(now).is_empty(), "it must fail again to come back");
        warm.keep(&back[0]);
        assert!(warm.take(now + WARM_FOR).is_empty());
    }

    #[test]
    fn no_more_are_kept_warm_than_can_be_simulated() {
        let (mut warm, now) = (Warm::default(), Instant::now());
        (0..300).for_each(|it| warm.keep(&job(failed(1, it), now)));
        let back = warm.take(now);
        assert_eq!(back.len(), WARM_MAX);
        assert_eq!(back[0].tx.nonce, 44, "the oldest went");
    }

    #[test]
    fn failures_of_a_contract_add_up_and_a_replacement_is_no_second_one() {
        let (mut failures, watched) = (Failures::default(), Watched::new([VAULT], []));
        assert!(failures.note(&failed(1, 5), &watched, 0).is_empty());
        assert!(failures.note(&failed(1, 5), &watched, 1).is_empty(), "the same attempt");
        let earlier = failures.note(&failed(2, 0), &watched, 2);
        assert_eq!(earlier.len(), 1);
        assert_eq!(earlier[0].frames.len(), 1, "what reached us is enough");
        assert_eq!(earlier[0].frames[0].to, VAULT);
        assert!(earlier[0].frames[0].input.len() < 500 && earlier[0].frames[0].output.is_empty());
        assert_eq!(failures.note(&failed(1, 6), &watched, 3).len(), 2);
        failures.forget(CONTRACT, failed(1, 5).hash);
        assert_eq!(failures.note(&failed(1, 7), &watched, 4).len(), 2);
        assert!(failures.note(&failed(3, 0), &watched, FAILURE_MS + 10).is_empty(), "long ago");
        let creation = Tx { to: None, ..failed(1, 9) };
        assert!(failures.note(&creation, &watched, 0).is_empty());
    }
}
