//! The pending transactions of one chain: what arrives, what waits, what is remembered.
//!
//! **Invariant:** no lock is held while anything is simulated or asked.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use alloy_primitives::Address;
use cofferdam_core::{
    BlockEnv, BlockRef, Observation, Tx,
    ports::{StateError, StateSource},
};
use cofferdam_sim::{After, SimError, Surroundings};
use tokio::sync::Notify;

use super::{
    Ground, Looked, NotNow, Tally,
    context::{Builders, worth_repeating},
    prefilter::{Class, Glance, Memory, Watched},
    queue::{Job, Purpose, Queue},
    senders::Senders,
    simulate_pending,
    warm::{Failures, Warm},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Desk {
    watched: Watched,
    /// Seconds between blocks.
    seconds: u64,
    tally: Tally,
    inner: Mutex<Inner>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    memory: Memory,
    queue: Queue,
    senders: Senders,
    warm: Warm,
    failures: Failures,
    builders: Builders,
}

/// What looking at a job gave.
#[derive(Debug)]
pub(crate) enum Step {
    /// There is something to tell.
    Seen(Box<Sight>),
    /// Nothing more is to be done with it now.
    Done,
}

/// What a pending transaction would do.
#[derive(Debug)]
pub(crate) struct Sight {
    pub(crate) observation: Observation,
    /// The state that the transactions would leave; earlier failures are not among them.
    pub(crate) after: After,
    pub(crate) ground: Ground,
    /// Whether it should be looked at elsewhere if it is harmless here.
    pub(crate) repeat: bool,
}

impl Desk {
    pub(crate) fn new(watched: Watched, seconds: u64, tally: Tally) -> Self {
        let (inner, ready) = (Mutex::default(), Notify::new());
        Self { watched, seconds, tally, inner, ready }
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// A node told of `tx`. Gives how many transactions that touch a protected account had to go
    /// because too many wait.
    pub(crate) fn arrive(&self, tx: Tx, seen: Instant) -> u64 {
        let now_ms = self.tally.now_ms();
        self.tally.count(|it| it.seen += 1);
        let mut inner = self.lock();
        let mut jobs = Vec::new();
        for follower in inner.senders.insert(&tx) {
            jobs.extend(inner.job(follower, &self.watched, now_ms, seen, Purpose::Again));
        }
        match inner.job(tx, &self.watched, now_ms, seen, Purpose::First) {
            Some(job) => jobs.push(job),
            None => self.tally.count(|it| it.skipped += 1),
        }
        drop(inner);
        self.push(jobs)
    }

    /// The head moved: what failed or had to wait is looked at again.
    pub(crate) fn on_head(&self, env: &BlockEnv) -> u64 {
        let mut inner = self.lock();
        inner.builders.note(env.beneficiary);
        let warm = inner.warm.take(Instant::now());
        drop(inner);
        self.push(warm)
    }

    /// `accounts` took part in what looks like an attack.
    pub(crate) fn suspect(&self, accounts: &[Address]) {
        let mut inner = self.lock();
        accounts
            .iter()
            .filter(|it| !self.watched.has(**it))
            .for_each(|it| inner.memory.suspect(*it));
    }

    /// Waits for the most telling job.
    pub(crate) async fn next(&self) -> Job {
        loop {
            let ready = self.ready.notified();
            let (job, waiting) = {
                let mut inner = self.lock();
                (inner.queue.pop(), inner.queue.len())
            };
            if let Some(job) = job {
                self.tally.count(|it| it.waiting = waiting as u64);
                if waiting > 0 {
                    self.ready.notify_one();
                }
                return job;
            }
            ready.await;
        }
    }

    /// Looks at `job` on the state at `head`. Asks the node for state and runs the EVM: not for async
    /// threads.
    ///
    /// # Errors
    /// If state could not be had; a job that matters is looked at again at the next head.
    pub(crate) fn look(
        &self,
        job: &mut Job,
        head: (BlockRef, BlockEnv),
        state: Arc<dyn StateSource>,
    ) -> Result<Step, SimError> {
        let began = Instant::now();
        let step = self.try_look(job, head, state);
        self.tally.spend(began);
        if step.is_err() {
            self.tally.count(|it| it.failed += 1);
            self.keep_warm(job);
        }
        step
    }

    fn try_look(
        &self,
        job: &mut Job,
        head: (BlockRef, BlockEnv),
        state: Arc<dyn StateSource>,
    ) -> Result<Step, SimError> {
        if !self.still_its_turn(job, &*state)? {
            return Ok(Step::Done);
        }
        let again = job.purpose != Purpose::First;
        if !self.tally.admit(job.class, again) {
            return Ok(Step::Done);
        }
        let txs = match self.line(&job.tx, &*state)? {
            Ok(it) => it,
            Err(why) => return Ok(self.not_now(job, why)),
        };
        let mut ground = Ground::next(head.0, head.1, state, self.seconds);
        if job.purpose == Purpose::Elsewhere {
            let builder = self.lock().builders.other(ground.env.beneficiary);
            ground = ground.elsewhere(builder, &job.tx, self.seconds);
        }
        self.tally.count(|it| match job.purpose {
            Purpose::First => it.simulated += 1,
            Purpose::Again => it.again += 1,
            Purpose::Elsewhere => it.elsewhere += 1,
        });
        match simulate_pending(&txs, &ground)? {
            Looked::NotNow(why) => Ok(self.not_now(job, why)),
            Looked::Seen { observation, asked, after } => {
                let (observation, repeat) = self.seen(job, *observation, asked);
                Ok(Step::Seen(Box::new(Sight { observation, after, ground, repeat })))
            }
        }
    }

    /// Takes the callee's code into account. `false` if nothing runs, or if others come first now.
    fn still_its_turn(&self, job: &mut Job, state: &dyn StateSource) -> Result<bool, SimError> {
        let Some(to) = job.tx.to.filter(|_| !job.looked) else { return Ok(true) };
        let code = match state.account(to) {
            Ok(it) => it.map(|it| it.code).unwrap_or_default(),
            Err(StateError::Missing) => return Ok(true),
            Err(StateError::Unavailable(cause)) => return Err(SimError::Unavailable(cause)),
        };
        job.looked = true;
        let glance = self.lock().memory.look(&job.tx, &code, &self.watched, self.tally.now_ms());
        match glance {
            Glance::Nothing => {
                self.tally.count(|it| it.skipped += 1);
                Ok(false)
            }
            Glance::Is(class) | Glance::Unless(class) if class < job.class => {
                job.class = class;
                self.push(vec![job.clone()]);
                Ok(false)
            }
            Glance::Is(class) | Glance::Unless(class) => {
                job.class = class;
                Ok(true)
            }
        }
    }

    /// `tx` with what must come before it.
    fn line(&self, tx: &Tx, state: &dyn StateSource) -> Result<Result<Vec<Tx>, NotNow>, SimError> {
        let nonce = match state.account(tx.from) {
            Ok(it) => it.map_or(0, |it| it.nonce),
            Err(StateError::Missing) => return Ok(Err(NotNow::Incomplete)),
            Err(StateError::Unavailable(cause)) => return Err(SimError::Unavailable(cause)),
        };
        if tx.nonce < nonce {
            return Ok(Err(NotNow::Used));
        }
        let before = self.lock().senders.before(tx.from, nonce, tx.nonce);
        Ok(before.map_err(|_| NotNow::Gap).map(|mut it| {
            it.push(tx.clone());
            it
        }))
    }

    fn not_now(&self, job: &Job, why: NotNow) -> Step {
        self.tally.count_hindrance(why);
        match why {
            // Whoever fills the gap brings it back.
            NotNow::Gap => {}
            NotNow::Used => {
                if let Some(to) = job.tx.to {
                    self.lock().failures.forget(to, job.tx.hash);
                }
            }
            NotNow::Fee | NotNow::Funds | NotNow::Invalid | NotNow::Incomplete => {
                self.keep_warm(job);
            }
        }
        Step::Done
    }

    /// Remembers what was seen. Gives the observation, earlier failures first, and whether it should be
    /// looked at elsewhere if it is harmless here.
    fn seen(
        &self,
        job: &Job,
        mut observation: Observation,
        asked: Surroundings,
    ) -> (Observation, bool) {
        let gas: u64 = observation.txs.iter().map(|it| it.gas_used).fold(0, u64::saturating_add);
        let repeat = job.purpose != Purpose::Elsewhere && worth_repeating(asked, gas);
        let Some(last) = observation.txs.last() else {
            return (observation, repeat);
        };
        let touched = last.frames.iter().any(|it| self.watched.has(it.to));
        let failed = !last.succeeded;
        let mut inner = self.lock();
        if let Some(to) = last.to {
            inner.memory.ran(to, touched);
        }
        if failed && touched && job.purpose != Purpose::Elsewhere {
            for account in [Some(last.from), last.to].into_iter().flatten() {
                if !self.watched.has(account) {
                    inner.memory.suspect(account);
                }
            }
            let mut txs = inner.failures.note(last, &self.watched, self.tally.now_ms());
            txs.retain(|it| observation.txs.iter().all(|tx| tx.hash != it.hash));
            inner.warm.keep(job);
            self.tally.count(|it| it.probes += u64::from(job.purpose == Purpose::First));
            txs.append(&mut observation.txs);
            observation.txs = txs;
        } else if failed && job.class >= Class::Reaches {
            inner.warm.keep(job);
        }
        drop(inner);
        (observation, repeat)
    }

    /// What was harmless in the next block is looked at elsewhere.
    pub(crate) fn elsewhere(&self, job: Job) {
        self.push(vec![Job { purpose: Purpose::Elsewhere, ..job }]);
    }

    fn keep_warm(&self, job: &Job) {
        if job.class >= Class::Reaches {
            self.lock().warm.keep(job);
        }
    }

    fn push(&self, jobs: Vec<Job>) -> u64 {
        let (mut direct, mut dropped) = (0, 0);
        let mut inner = self.lock();
        for job in jobs {
            for out in inner.queue.push(job) {
                dropped += 1;
                direct += u64::from(out.class == Class::Direct && out.purpose == Purpose::First);
            }
        }
        let waiting = inner.queue.len() as u64;
        drop(inner);
        self.tally.count(|it| {
            it.dropped += dropped;
            it.waiting = waiting;
        });
        self.ready.notify_one();
        direct
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The job that `tx` makes; `None` if nothing runs.
    fn job(
        &mut self,
        tx: Tx,
        watched: &Watched,
        now_ms: u64,
        seen: Instant,
        purpose: Purpose,
    ) -> Option<Job> {
        let (class, looked) = match self.memory.glance(&tx, watched, now_ms) {
            Glance::Nothing => return None,
            Glance::Is(class) => (class, true),
            Glance::Unless(class) => (class, false),
        };
        Some(Job { tx, class, looked, purpose, seen })
    }
}
