//! The defence in a drill: the same engine, journal and executors as at night, fed by the drill chain.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use cofferdam_core::{
    Alert, BlockRef, Class, Observation, Record, Timestamp, Tx,
    order::{Bid, Order, Outcome, Prepared, Sent},
    ports::{Boxed, Journal, StateReader},
};
use cofferdam_engine::Input;

use super::{
    play::is_detection,
    stage::StageError,
    world::{BLOCK_SECONDS, Head, WorldError},
};
use crate::runtime::{
    Carried, Dispatcher, Ground, Looked, Shell, complete, read_pending, simulate_pending,
};

/// An order that had its effect.
#[derive(Clone, Copy, Debug)]
pub struct Effective {
    /// The block at which the effect was read.
    pub block: BlockRef,
    /// Gas of our transaction.
    pub gas_used: u64,
}

/// Engine, journal and executors in a drill.
#[derive(Debug)]
pub struct Defence {
    shell: Shell,
    journal: Journaled,
    reader: Reading,
    clock: Arc<Stopwatch>,
    alerts: Vec<Alert>,
    first_critical: Option<Timestamp>,
    effective: Option<Effective>,
}

struct Journaled(Arc<dyn Journal>);
struct Reading(Arc<dyn StateReader>);

/// Measures from handing an observation to the engine to the containment in the pool.
#[derive(Debug, Default)]
pub struct Stopwatch {
    began: Mutex<Option<Instant>>,
    reaction_us: Mutex<Option<u64>>,
}

/// A dispatcher that tells the stopwatch.
#[derive(Debug)]
pub struct Timed<D>(pub D, pub Arc<Stopwatch>);

impl<D: Dispatcher> Dispatcher for Timed<D> {
    fn dispatch<'a>(
        &'a self,
        order: &'a Order,
        attempt: u32,
    ) -> Boxed<'a, Result<(Prepared, Vec<Sent>), String>> {
        Box::pin(async move {
            let outcome = self.0.dispatch(order, attempt).await;
            if outcome.is_ok() {
                self.1.stop();
            }
            outcome
        })
    }

    fn outbid<'a>(&'a self, order: &'a Order, bid: Bid) -> Boxed<'a, Vec<Sent>> {
        self.0.outbid(order, bid)
    }

    fn settle<'a>(&'a self, order: &'a Order, head: BlockRef) -> Boxed<'a, Option<Outcome>> {
        self.0.settle(order, head)
    }
}

impl Stopwatch {
    fn start(&self) {
        if let Ok(mut it) = self.began.lock() {
            *it = Some(Instant::now());
        }
    }

    fn stop(&self) {
        let (Ok(began), Ok(mut reaction)) = (self.began.lock(), self.reaction_us.lock()) else {
            return;
        };
        if let (Some(began), None) = (*began, *reaction) {
            *reaction = u64::try_from(began.elapsed().as_micros()).ok();
        }
    }
}

impl Defence {
    /// Puts the parts together; `clock` is the one that the shell's dispatcher tells.
    pub fn new(
        shell: Shell,
        journal: Arc<dyn Journal>,
        reader: Arc<dyn StateReader>,
        clock: Arc<Stopwatch>,
    ) -> Self {
        let (journal, reader) = (Journaled(journal), Reading(reader));
        Self {
            shell,
            journal,
            reader,
            clock,
            alerts: Vec::new(),
            first_critical: None,
            effective: None,
        }
    }

    /// Shows it a mined block.
    ///
    /// # Errors
    /// If the chain or the journal fails.
    pub async fn block(&mut self, observation: Observation) -> Result<(), StageError> {
        let now = observation.block.time;
        self.clock.start();
        let complete = complete(observation, self.shell.engine(), &*self.reader.0).await;
        let observation = complete.map_err(|it| WorldError::new("read state", it))?;
        self.feed(now, Input::Block(observation)).await?;
        self.feed(now, Input::Tick).await
    }

    /// Shows it a pending transaction. One that cannot be included is not believed.
    ///
    /// # Errors
    /// If the chain or the journal fails.
    pub async fn pending(&mut self, tx: Tx, head: &Head) -> Result<(), StageError> {
        self.clock.start();
        let (state, txs) = (head.state.clone(), [tx]);
        let ground = Ground::next(head.block, head.next.clone(), state, BLOCK_SECONDS);
        let wrong = |it| WorldError::new("simulate", it);
        let looked = simulate_pending(&txs, &ground).map_err(wrong)?;
        let Looked::Seen { mut observation, after, .. } = looked else { return Ok(()) };
        let wanted = self.shell.engine().wanted_reads(&observation);
        observation.readings = read_pending(&after, &wanted, &ground).map_err(wrong)?;
        self.feed(head.block.time, Input::Pending(*observation)).await
    }

    async fn feed(&mut self, now: Timestamp, input: Input) -> Result<(), StageError> {
        let carried = self.shell.feed_through(now, input).await;
        let carried = carried.map_err(|it| StageError::Other(it.to_string()))?;
        self.note(now, carried);
        Ok(())
    }

    fn note(&mut self, now: Timestamp, carried: Carried) {
        for record in &carried.records {
            match record {
                Record::Found { finding } => {
                    let attack = matches!(finding.class, Class::Damage | Class::Control);
                    if attack && is_detection(finding.severity) {
                        self.first_critical.get_or_insert(now);
                    }
                }
                Record::Settled { outcome: Outcome::Effective { block, gas_used, .. }, .. } => {
                    self.effective.get_or_insert(Effective { block: *block, gas_used: *gas_used });
                }
                _ => {}
            }
        }
        self.alerts.extend(carried.alerts);
    }

    /// Incidents opened so far.
    pub fn incidents(&self) -> u64 {
        self.shell.engine().state().incidents.len() as u64
    }

    /// Every alert, in order.
    pub fn alerts(&self) -> &[Alert] {
        &self.alerts
    }

    /// When the first critical finding of damage or loss of control was made.
    pub fn first_critical(&self) -> Option<Timestamp> {
        self.first_critical
    }

    /// The first order that had its effect.
    pub fn effective(&self) -> Option<Effective> {
        self.effective
    }

    /// Microseconds of wall time from the observation to the containment in the pool.
    pub fn reaction_us(&self) -> Option<u64> {
        self.clock.reaction_us.lock().ok().and_then(|it| *it)
    }

    /// Verifies the journal and says how many entries it holds.
    pub async fn verify(&self) -> Option<u64> {
        self.journal.0.verify().await.ok()
    }
}

impl std::fmt::Debug for Journaled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Journal")
    }
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateReader")
    }
}
