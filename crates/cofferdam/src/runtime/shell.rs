//! The shell around the engine: carries out effects in order and feeds back what came of them.
//!
//! **Invariant:** a record is durable before anything that rests on it is acknowledged. What may run
//! when is not decided here: [`cofferdam_engine::schedule`] says it for shell and simulator alike.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use cofferdam_core::{
    Alert, BlockRef, ChainId, Record, Timestamp,
    order::{Order, Outcome, Prepared, Sent},
    ports::{Boxed, Journal, JournalError},
};
use cofferdam_engine::{
    Effect, Engine, Input,
    schedule::{Deliver, Dispatch, schedule},
};
use futures_util::future::join_all;

/// How long one dispatch may take before it counts as failed and is tried again.
const DISPATCH_TIMEOUT_MS: u64 = 10_000;
/// How long asking for an outcome may take; it is asked again at the next block.
const SETTLE_TIMEOUT_MS: u64 = 5_000;
/// Inputs that one input may cause in turn; an order answers at most twice.
const FOLLOW_UPS_MAX: usize = 256;

/// Carries orders to the chain.
pub trait Dispatcher: Send + Sync {
    /// Prepares and sends an order. An error is text for people; the engine tries again.
    fn dispatch<'a>(
        &'a self,
        order: &'a Order,
        attempt: u32,
    ) -> Boxed<'a, Result<(Prepared, Vec<Sent>), String>>;
    /// Asks the chain at `head` what became of an order; `None` while it is undecided.
    fn settle<'a>(&'a self, order: &'a Order, head: BlockRef) -> Boxed<'a, Option<Outcome>>;
}

/// What one input led to, beyond the journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Carried {
    /// Messages for people, in order.
    pub alerts: Vec<Alert>,
    /// The chain must be delivered again from these blocks.
    pub fetch: Vec<(ChainId, u64)>,
    /// Alerts to offer to receivers, each in its own task. What came of it is fed back as
    /// [`Input::Delivered`] or [`Input::DeliveryFailed`].
    pub deliveries: Vec<Deliver>,
    /// Every record that is now durable, in order.
    pub records: Vec<Record>,
}

/// Why the shell cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The journal did not take records. Nothing was acknowledged; the same input must not be fed
    /// again, the process must restore from the journal.
    #[error("journal did not take records")]
    Journal(#[source] JournalError),
    /// Inputs caused each other without end.
    #[error("more than {FOLLOW_UPS_MAX} follow-up inputs to one input")]
    Runaway,
}

/// Engine, journal and executors together.
pub struct Shell {
    engine: Engine,
    journal: Arc<dyn Journal>,
    dispatcher: Arc<dyn Dispatcher>,
}

impl std::fmt::Debug for Shell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shell").field("state", self.engine.state()).finish_non_exhaustive()
    }
}

impl Shell {
    /// Puts the parts together.
    pub fn new(engine: Engine, journal: Arc<dyn Journal>, dispatcher: Arc<dyn Dispatcher>) -> Self {
        Self { engine, journal, dispatcher }
    }

    /// The engine, for views.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Records that the process starts with this plan.
    ///
    /// # Errors
    /// [`ShellError::Journal`].
    pub async fn start(
        &mut self,
        now: Timestamp,
        plan: alloy_primitives::B256,
    ) -> Result<(), ShellError> {
        let record = self.engine.started(now, plan, env!("CARGO_PKG_VERSION"));
        self.journal.append(now, &[record]).await.map_err(ShellError::Journal)?;
        Ok(())
    }

    /// Feeds one input and everything it leads to. When this returns, all records are durable.
    ///
    /// # Errors
    /// See [`ShellError`].
    pub async fn feed(&mut self, now: Timestamp, input: Input) -> Result<Carried, ShellError> {
        let mut carried = Carried::default();
        let mut inputs = VecDeque::from([input]);
        let mut count = 0;
        while let Some(input) = inputs.pop_front() {
            count += 1;
            if count > FOLLOW_UPS_MAX {
                return Err(ShellError::Runaway);
            }
            let effects = self.engine.step(now, input);
            let follow_ups = self.carry_out(now, effects, &mut carried).await?;
            inputs.extend(follow_ups);
        }
        Ok(carried)
    }

    async fn carry_out(
        &self,
        now: Timestamp,
        effects: Vec<Effect>,
        carried: &mut Carried,
    ) -> Result<Vec<Input>, ShellError> {
        let it = schedule(effects);
        let hot = join_all(it.hot.iter().map(|it| self.send(it)));
        let (stored, mut answers) = if it.hot.is_empty() {
            (self.store(now, &it.records).await, Vec::new())
        } else {
            tokio::join!(self.store(now, &it.records), hot)
        };
        stored?;
        answers.extend(join_all(it.cold.iter().map(|it| self.send(it))).await);
        let settled = join_all(it.settles.iter().map(|it| self.ask(it))).await;
        answers.extend(settled.into_iter().flatten());
        carried.fetch.extend(it.fetches);
        carried.deliveries.extend(it.deliveries);
        carried.alerts.extend(it.records.iter().filter_map(|it| match it {
            Record::Issued { alert, .. } => Some(alert.clone()),
            _ => None,
        }));
        carried.records.extend(it.records);
        Ok(answers)
    }

    async fn store(&self, now: Timestamp, records: &[Record]) -> Result<(), ShellError> {
        if records.is_empty() {
            return Ok(());
        }
        self.journal.append(now, records).await.map(drop).map_err(ShellError::Journal)
    }

    async fn send(&self, Dispatch { order, attempt }: &Dispatch) -> Input {
        let limit = Duration::from_millis(DISPATCH_TIMEOUT_MS);
        let key = order.key;
        match tokio::time::timeout(limit, self.dispatcher.dispatch(order, *attempt)).await {
            Ok(Ok((prepared, sent))) => Input::Dispatched { key, prepared, sent },
            Ok(Err(reason)) => Input::DispatchFailed { key, reason },
            Err(_) => Input::DispatchFailed {
                key,
                reason: format!("no answer in {DISPATCH_TIMEOUT_MS} ms"),
            },
        }
    }

    async fn ask(&self, order: &Order) -> Option<Input> {
        let head = self.engine.state().head(order.chain)?;
        let limit = Duration::from_millis(SETTLE_TIMEOUT_MS);
        let outcome =
            tokio::time::timeout(limit, self.dispatcher.settle(order, head)).await.ok()??;
        Some(Input::Settled { key: order.key, outcome })
    }
}
