//! What goes on beside the loop: looking after orders that are out, proving every standing authority,
//! and the heartbeat by whose absence our own death is noticed.
//!
//! **Invariant:** never on the path of a block; the loop waits for none of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cofferdam_act::notify::Heartbeat;
use cofferdam_core::{BlockEnv, ChainId, plan::Action};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    Hands, chain_of,
    feed::{Fed, Tip},
    now,
};

/// How often every standing authority is proved; a transaction kept ready is used for two minutes.
const REHEARSE_EVERY: Duration = Duration::from_secs(60);
/// A loop that has not turned for this long is taken for hung, and its heartbeat stops.
const LOOP_HUNG_MS: u64 = 10_000;

/// When the loop last turned, in milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// The loop turned.
    pub fn turn(&self) {
        self.0.store(now().0, Ordering::Relaxed);
    }

    fn alive(&self) -> bool {
        now().0.saturating_sub(self.0.load(Ordering::Relaxed)) < LOOP_HUNG_MS
    }
}

/// Looks after what is in flight on one chain at every head, one head at a time: if a head takes
/// long, the newest is next.
pub(crate) fn tend(
    tasks: &mut JoinSet<()>,
    hands: Arc<Hands>,
    mut head: watch::Receiver<Option<Tip>>,
    out: mpsc::Sender<Fed>,
) {
    tasks.spawn(async move {
        while head.changed().await.is_ok() {
            let tip = head.borrow_and_update().clone();
            let Some(Tip { block, env: BlockEnv { base_fee, .. } }) = tip else { continue };
            for input in hands.tend(block, base_fee).await {
                let fed = Fed::Input { input: Box::new(input), seen: None };
                if out.send(fed).await.is_err() {
                    return;
                }
            }
        }
    });
}

/// Proves every action of one chain, and looks at its relayers, at start and then every minute.
pub(crate) fn rehearse(
    tasks: &mut JoinSet<()>,
    hands: Arc<Hands>,
    actions: Vec<Action>,
    chain: ChainId,
    out: mpsc::Sender<Fed>,
) {
    tasks.spawn(async move {
        let mut every = tokio::time::interval(REHEARSE_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            for action in actions.iter().filter(|it| it.call.chain() == chain) {
                let input = Box::new(hands.rehearse(action).await);
                if out.send(Fed::Input { input, seen: None }).await.is_err() {
                    return;
                }
            }
            if let Some(input) = hands.lanes(chain).await {
                let fed = Fed::Input { input: Box::new(input), seen: None };
                if out.send(fed).await.is_err() {
                    return;
                }
            }
        }
    });
}

/// Beats as long as the loop turns.
pub fn beat(tasks: &mut JoinSet<()>, heartbeat: Heartbeat, pulse: Pulse) {
    tasks.spawn(async move {
        let mut every = tokio::time::interval(Duration::from_millis(heartbeat.interval_ms()));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            if !pulse.alive() {
                continue;
            }
            if let Err(error) = heartbeat.beat().await {
                tracing::warn!(error = %chain_of(&error), "heartbeat was not taken");
            }
        }
    });
}
