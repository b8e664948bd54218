//! The tasks that work through the queue of a chain.
//!
//! **Invariant:** what the first simulation shows goes to the engine at once; a second context, and
//! whatever else is looked at again, waits behind everything as telling that is new.

use std::sync::Arc;

use cofferdam_core::{BlockRef, ports::StateSource, read::StateRead};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use super::{
    desk::{Desk, Sight, Step},
    queue::Job,
    read_pending,
};
use crate::runtime::{
    chain_of,
    feed::{Fed, Tip, ask},
};

/// Pending transactions simulated at the same time, per chain.
const AT_ONCE: usize = 2;
/// How often a pending transaction is simulated again because the head moved meanwhile.
const MOVES_MAX: usize = 3;

/// What the tasks work with.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) desk: Arc<Desk>,
    /// State at a block.
    pub(crate) states: Arc<dyn Fn(BlockRef) -> Arc<dyn StateSource> + Send + Sync>,
    /// The head as the engine has it.
    pub(crate) head: watch::Receiver<Option<Tip>>,
    pub(crate) out: mpsc::Sender<Fed>,
}

/// Starts them.
pub(crate) fn start(tasks: &mut JoinSet<()>, bench: &Bench) {
    for _ in 0..AT_ONCE {
        tasks.spawn(work(bench.clone()));
    }
    tasks.spawn(follow(bench.clone()));
}

/// Brings back at each head what failed or had to wait.
async fn follow(mut bench: Bench) {
    while bench.head.changed().await.is_ok() {
        let tip = bench.head.borrow_and_update().clone();
        if let Some(tip) = tip {
            bench.desk.on_head(&tip.env);
        }
    }
}

async fn work(mut bench: Bench) {
    // What is told of before the engine has a head waits for it.
    if bench.head.wait_for(Option::is_some).await.is_err() {
        return;
    }
    loop {
        let job = bench.desk.next().await;
        for _ in 0..MOVES_MAX {
            match one(job.clone(), &bench).await {
                Ok(Told::Moved) => {}
                Ok(Told::All) => break,
                Ok(Told::Nobody) => return,
                Err(error) => {
                    let tx = job.tx.hash;
                    tracing::warn!(%tx, %error, "pending transaction could not be simulated");
                    break;
                }
            }
        }
    }
}

/// What became of one job.
enum Told {
    /// The head moved meanwhile: it must be looked at again.
    Moved,
    /// Nothing more is to be done.
    All,
    /// The loop is gone.
    Nobody,
}

/// How far a pending transaction has come, for whoever asks what a reaction spends its time on.
fn mark(job: &Job, step: &str) {
    let us = job.seen.elapsed().as_micros();
    tracing::trace!(target: "reaction", tx = %job.tx.hash, us, step);
}

async fn one(mut job: Job, bench: &Bench) -> Result<Told, String> {
    mark(&job, "its turn");
    let Some(tip) = bench.head.borrow().clone() else { return Ok(Told::All) };
    let state = (bench.states)(tip.block);
    let desk = bench.desk.clone();
    let (step, job) = blocking(move || {
        let step = desk.look(&mut job, (tip.block, tip.env), state);
        (step, job)
    })
    .await?;
    let sight = match step.map_err(|it| chain_of(&it))? {
        Step::Done => return Ok(Told::All),
        Step::Seen(it) => *it,
    };
    mark(&job, "simulated");
    let Sight { observation, after, ground, repeat } = sight;
    let Some((mut observation, wanted)) = ask(observation, &bench.out).await else {
        return Ok(Told::Nobody);
    };
    mark(&job, "questions known");
    let context = ground.context().map(str::to_owned);
    if !wanted.is_empty() {
        let desk = bench.desk.clone();
        observation.readings = blocking(move || read(&desk, &after, &wanted, &ground)).await??;
    }
    mark(&job, "questions answered");
    if moved(&observation.block, bench) {
        return Ok(Told::Moved);
    }
    let (harm, harmful) = oneshot::channel();
    let fed = Fed::Pending { observation, context, seen: job.seen, harm };
    if bench.out.send(fed).await.is_err() {
        return Ok(Told::Nobody);
    }
    let harmful = harmful.await;
    mark(&job, "decided and recorded");
    match harmful {
        Ok(false) if repeat => bench.desk.elsewhere(job),
        Ok(_) => {}
        // The engine had another head by then.
        Err(_) => return Ok(Told::Moved),
    }
    Ok(Told::All)
}

fn read(
    desk: &Desk,
    after: &cofferdam_sim::After,
    wanted: &[StateRead],
    ground: &super::Ground,
) -> Result<cofferdam_core::read::Readings, String> {
    let began = std::time::Instant::now();
    let readings = read_pending(after, wanted, ground);
    desk.tally().spend(began);
    readings.map_err(|it| chain_of(&it))
}

/// The EVM asks the node for state while it runs: off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|it| format!("simulation stopped: {it}"))
}

fn moved(head: &BlockRef, bench: &Bench) -> bool {
    bench.head.borrow().as_ref().is_some_and(|it| it.block.hash != head.hash)
}
