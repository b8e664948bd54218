//! Findings that other programs make: taken in, metered, and handed to the loop.
//!
//! **Invariant:** a feed that lies, floods, hangs or crashes costs a bounded amount of memory and time,
//! delays no block, and is told to people; what it says is bounded by the plan
//! ([`cofferdam_core::feed`]).

mod line;
mod process;
mod seal;
mod webhook;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use cofferdam_core::{
    BlockRef, Finding, Observation, Timestamp,
    feed::Report,
    plan::{Feed, FeedSource, Plan},
    secret::Secret,
};
use cofferdam_engine::State;
use tokio::{sync::mpsc, task::JoinSet};

pub use seal::{Seal, SealError};
pub use webhook::{Inlet, Inlets, routes};

/// Reports that wait for the loop; a feed that finds no room is told to try again.
const TOLD_WAITING_MAX: usize = 256;
const MINUTE_MS: u64 = 60_000;

/// What a feed says.
#[derive(Debug)]
pub enum Told {
    /// A finding.
    Report {
        /// Of which feed.
        feed: Arc<Feed>,
        /// The finding.
        report: Box<Report>,
    },
    /// Whether the feed works; empty if it does, otherwise why not.
    State {
        /// Which feed.
        feed: Arc<Feed>,
        /// Why it does not work.
        because: Vec<String>,
    },
}

/// The feeds of a plan at work. They outlive the loop, which is started anew when a journal failed.
#[derive(Clone, Debug)]
pub struct Feeds {
    told: Arc<tokio::sync::Mutex<mpsc::Receiver<Told>>>,
    processes: Vec<process::Tap>,
    inlets: Inlets,
}

impl Feeds {
    /// Starts the processes of `plan`, whose folder they run in, in `tasks`; `secret` finds the secrets
    /// of webhooks by the name of their variable.
    ///
    /// # Errors
    /// [`SealError`], with the id of the feed, if a webhook's secret cannot be used.
    pub fn start(
        plan: &Arc<Plan>,
        folder: &Path,
        tasks: &mut JoinSet<()>,
        secret: impl Fn(&str) -> Option<Secret>,
    ) -> Result<Self, (String, SealError)> {
        let (out, told) = mpsc::channel(TOLD_WAITING_MAX);
        let (mut processes, mut inlets) = (Vec::new(), Vec::new());
        for feed in &plan.feeds {
            let feed = Arc::new(feed.clone());
            let mouth = Mouth { feed: feed.clone(), plan: plan.clone(), out: out.clone() };
            match &feed.from {
                FeedSource::Webhook { secret_env, signed } => {
                    let seal = Seal::new(signed.clone(), secret(secret_env))
                        .map_err(|it| (feed.id.clone(), it))?;
                    inlets.push(Inlet::new(mouth, seal));
                }
                FeedSource::Process { .. } => {
                    processes.push(process::start(mouth, folder, tasks));
                }
            }
        }
        let told = Arc::new(tokio::sync::Mutex::new(told));
        Ok(Self { told, processes, inlets: Inlets::new(inlets) })
    }

    /// The webhooks, to be served.
    pub fn inlets(&self) -> Inlets {
        self.inlets.clone()
    }

    /// Waits for what a feed says. Cancel-safe. Never completes without feeds.
    pub(crate) async fn next(&self) -> Told {
        match self.told.lock().await.recv().await {
            Some(it) => it,
            None => std::future::pending().await,
        }
    }

    /// Shows `observation` to every detector in a process of its own; waits for none.
    pub(crate) fn show(&self, observation: &Observation) {
        if self.processes.is_empty() {
            return;
        }
        let shared = Arc::new(observation.clone());
        self.processes.iter().for_each(|it| it.show(shared.clone()));
    }
}

/// The finding of a report, resting on the block it names if the engine has that one, else on the
/// newest. `None` while the engine has no block of the chain, or if no entity has the subject.
pub(crate) fn finding(feed: &Feed, report: Report, plan: &Plan, state: &State) -> Option<Finding> {
    let view = state.chains.get(&report.chain.0)?;
    let named = |hash| view.trail.iter().map(|it| it.block).find(|it: &BlockRef| it.hash == hash);
    let block = report.block.and_then(named).or_else(|| state.head(report.chain))?;
    report.finding(feed, plan, block)
}

/// Through which one feed speaks.
#[derive(Clone, Debug)]
pub(crate) struct Mouth {
    feed: Arc<Feed>,
    plan: Arc<Plan>,
    out: mpsc::Sender<Told>,
}

/// Counts what a feed says within a minute.
#[derive(Debug, Default)]
struct Meter(Mutex<(u64, u32)>);

impl Meter {
    /// Whether one more may be taken in the minute of `now`.
    fn takes(&self, now: Timestamp, max: u32) -> bool {
        let mut it = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.0 / MINUTE_MS;
        if it.0 != minute {
            *it = (minute, 0);
        }
        it.1 = it.1.saturating_add(1);
        it.1 <= max
    }
}

#[cfg(test)]
mod tests;
