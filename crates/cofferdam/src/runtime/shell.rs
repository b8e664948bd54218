//! The shell around the engine: carries out effects in order and feeds back what came of them.
//!
//! **Invariant:** a record is durable before anything that rests on it is acknowledged. What may run
//! when is not decided here: [`cofferdam_engine::schedule`] says it for shell and simulator alike.
//!
//! **Invariant:** nothing that talks to the outside is waited for. A dispatch, a question or a delivery
//! runs in a task of its own and its answer comes back as an input; a receiver or node that hangs
//! delays nobody.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cofferdam_core::{
    Alert, BlockRef, ChainId, Record, Timestamp,
    order::{Bid, Order, Outcome, Prepared, Sent},
    ports::{Boxed, DeliveryError, Journal, JournalError, Notifier},
};
use cofferdam_engine::{
    Engine, Input,
    schedule::{Deliver, Dispatch, schedule},
};
use tokio::sync::mpsc;

/// How long one dispatch may take before it counts as failed and is tried again.
const DISPATCH_TIMEOUT_MS: u64 = 10_000;
/// How long asking for an outcome may take; it is asked again at the next block.
const SETTLE_TIMEOUT_MS: u64 = 5_000;
/// How long one delivery may take.
const DELIVERY_TIMEOUT_MS: u64 = 15_000;
/// Inputs that one input may cause in turn, where all answers are waited for.
const FOLLOW_UPS_MAX: usize = 256;

/// Carries orders to the chain.
pub trait Dispatcher: Send + Sync {
    /// Prepares and sends an order. An error is text for people; the engine tries again.
    fn dispatch<'a>(
        &'a self,
        order: &'a Order,
        attempt: u32,
    ) -> Boxed<'a, Result<(Prepared, Vec<Sent>), String>>;
    /// Outbids an attacker who bids `bid` now with whatever is out for the order; gives what was sent,
    /// nothing if it pays more already or would cost more than it may.
    fn outbid<'a>(&'a self, order: &'a Order, bid: Bid) -> Boxed<'a, Vec<Sent>>;
    /// Asks the chain at `head` what became of an order; `None` while it is undecided.
    fn settle<'a>(&'a self, order: &'a Order, head: BlockRef) -> Boxed<'a, Option<Outcome>>;
}

/// The receivers of alerts by their id in the plan.
pub type Notifiers = BTreeMap<String, Arc<dyn Notifier>>;

/// What one input led to, beyond the journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Carried {
    /// Messages for people, in order.
    pub alerts: Vec<Alert>,
    /// The chain must be delivered again from these blocks.
    pub fetch: Vec<(ChainId, u64)>,
    /// Every record that is now durable, in order.
    pub records: Vec<Record>,
}

/// Why the shell cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The journal did not take records. Nothing was acknowledged; the same input must not be fed
    /// again, the engine must be restored from the journal.
    #[error("journal did not take records")]
    Journal(#[source] JournalError),
    /// Inputs caused each other without end.
    #[error("more than {FOLLOW_UPS_MAX} follow-up inputs to one input")]
    Runaway,
}

/// Engine, journal, executors and receivers together.
pub struct Shell {
    engine: Engine,
    journal: Arc<dyn Journal>,
    dispatcher: Arc<dyn Dispatcher>,
    notifiers: Notifiers,
    /// Bounded by what the engine lets be under way: one answer per dispatch, question and delivery.
    answers: mpsc::UnboundedSender<Option<Input>>,
    inbox: mpsc::UnboundedReceiver<Option<Input>>,
    outstanding: usize,
}

impl Shell {
    /// Puts the parts together.
    pub fn new(
        engine: Engine,
        journal: Arc<dyn Journal>,
        dispatcher: Arc<dyn Dispatcher>,
        notifiers: Notifiers,
    ) -> Self {
        let (answers, inbox) = mpsc::unbounded_channel();
        Self { engine, journal, dispatcher, notifiers, answers, inbox, outstanding: 0 }
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
        self.store(now, &[record]).await
    }

    /// Makes records durable that do not concern the engine.
    ///
    /// # Errors
    /// [`ShellError::Journal`].
    pub async fn note(&self, now: Timestamp, records: &[Record]) -> Result<(), ShellError> {
        self.store(now, records).await
    }

    /// Feeds one input. When this returns, all its records are durable; what it began goes on in tasks
    /// whose answers [`Self::answer`] gives.
    ///
    /// # Errors
    /// [`ShellError::Journal`].
    pub async fn feed(&mut self, now: Timestamp, input: Input) -> Result<Carried, ShellError> {
        let it = schedule(self.engine.step(now, input));
        for dispatch in it.hot {
            self.dispatch(dispatch);
        }
        self.store(now, &it.records).await?;
        for dispatch in it.cold {
            self.dispatch(dispatch);
        }
        for (order, bid) in it.outbids {
            self.outbid(order, bid);
        }
        for order in it.settles {
            self.ask(order);
        }
        for delivery in it.deliveries {
            self.deliver(delivery);
        }
        let alerts = it.records.iter().filter_map(|it| match it {
            Record::Issued { alert, .. } => Some(alert.clone()),
            _ => None,
        });
        Ok(Carried { alerts: alerts.collect(), fetch: it.fetches, records: it.records })
    }

    /// Waits for the next answer of a task. Cancel-safe. Never completes while nothing is under way.
    pub async fn answer(&mut self) -> Input {
        loop {
            match self.inbox.recv().await {
                Some(answer) => {
                    self.outstanding = self.outstanding.saturating_sub(1);
                    if let Some(input) = answer {
                        return input;
                    }
                }
                // We hold a sender ourselves.
                None => std::future::pending().await,
            }
        }
    }

    /// Feeds one input and every answer to what it began, until nothing is under way.
    ///
    /// # Errors
    /// See [`ShellError`].
    pub async fn feed_through(
        &mut self,
        now: Timestamp,
        input: Input,
    ) -> Result<Carried, ShellError> {
        let mut carried = self.feed(now, input).await?;
        let mut count = 0;
        while self.outstanding > 0 {
            let Some(answer) = self.inbox.recv().await else { break };
            self.outstanding -= 1;
            let Some(input) = answer else { continue };
            count += 1;
            if count > FOLLOW_UPS_MAX {
                return Err(ShellError::Runaway);
            }
            let more = self.feed(now, input).await?;
            carried.alerts.extend(more.alerts);
            carried.fetch.extend(more.fetch);
            carried.records.extend(more.records);
        }
        Ok(carried)
    }

    async fn store(&self, now: Timestamp, records: &[Record]) -> Result<(), ShellError> {
        if records.is_empty() {
            return Ok(());
        }
        self.journal.append(now, records).await.map(drop).map_err(ShellError::Journal)
    }

    fn spawn(&mut self, task: impl Future<Output = Option<Input>> + Send + 'static) {
        self.outstanding += 1;
        let answers = self.answers.clone();
        tokio::spawn(async move {
            // Without a receiver the shell is gone, and a restart asks again.
            let _ = answers.send(task.await);
        });
    }

    fn dispatch(&mut self, Dispatch { order, attempt }: Dispatch) {
        let dispatcher = self.dispatcher.clone();
        self.spawn(async move {
            let limit = Duration::from_millis(DISPATCH_TIMEOUT_MS);
            let key = order.key;
            let done = tokio::time::timeout(limit, dispatcher.dispatch(&order, attempt)).await;
            Some(match done {
                Ok(Ok((prepared, sent))) => Input::Dispatched { key, prepared, sent },
                Ok(Err(reason)) => Input::DispatchFailed { key, reason },
                Err(_) => {
                    let reason = format!("no answer in {DISPATCH_TIMEOUT_MS} ms");
                    Input::DispatchFailed { key, reason }
                }
            })
        });
    }

    fn outbid(&mut self, order: Box<Order>, bid: Bid) {
        let dispatcher = self.dispatcher.clone();
        self.spawn(async move {
            let limit = Duration::from_millis(DISPATCH_TIMEOUT_MS);
            let sent = tokio::time::timeout(limit, dispatcher.outbid(&order, bid)).await.ok()?;
            (!sent.is_empty()).then_some(Input::Replaced { key: order.key, sent })
        });
    }

    fn ask(&mut self, order: Box<Order>) {
        let Some(head) = self.engine.state().head(order.chain) else { return };
        let dispatcher = self.dispatcher.clone();
        self.spawn(async move {
            let limit = Duration::from_millis(SETTLE_TIMEOUT_MS);
            let asked = tokio::time::timeout(limit, dispatcher.settle(&order, head)).await;
            let outcome = asked.ok().flatten()?;
            Some(Input::Settled { key: order.key, outcome })
        });
    }

    fn deliver(&mut self, Deliver { sink, alert, .. }: Deliver) {
        let notifier = self.notifiers.get(&sink).cloned();
        self.spawn(async move {
            let id = alert.id;
            let failed = |because: String, permanent, after_ms| Input::DeliveryFailed {
                sink: sink.clone(),
                alert: id,
                because,
                permanent,
                after_ms,
            };
            let Some(notifier) = notifier else {
                return Some(failed("it was not opened at start".into(), false, None));
            };
            let limit = Duration::from_millis(DELIVERY_TIMEOUT_MS);
            Some(match tokio::time::timeout(limit, notifier.deliver(&alert)).await {
                Ok(Ok(_)) => Input::Delivered { sink: sink.clone(), alert: id },
                Ok(Err(DeliveryError::Later { because, after_ms })) => {
                    failed(because, false, after_ms)
                }
                Ok(Err(DeliveryError::Never { because })) => failed(because, true, None),
                Err(_) => failed(format!("no answer in {DELIVERY_TIMEOUT_MS} ms"), false, None),
            })
        });
    }
}

impl std::fmt::Debug for Shell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shell").field("state", self.engine.state()).finish_non_exhaustive()
    }
}
