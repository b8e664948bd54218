//! From a chain's source to inputs of the loop: each chain in tasks of its own.
//!
//! **Invariant:** a chain that cannot be looked at holds itself and no other. A block is held until its
//! traces and reads are there; it is never given up and never overtaken.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cofferdam_core::{
    BlockEnv, BlockRef, Observation,
    ports::{BlockSource as _, SourceError, SourceEvent, StateReader as _, StateSource},
    read::{Reading, StateRead},
};
use cofferdam_engine::Input;
use cofferdam_observe::rpc::{RpcReader, RpcSource, RpcStates};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use super::{
    chain_of, parent_of,
    pending::{self, Bench, Desk},
    rehearse, retrace,
};

/// Blocks that wait for their traces and reads; when full, the source waits.
const BLOCKS_WAITING_MAX: usize = 16;
/// Wait before a block whose state could not be read is tried again; doubled up to the largest.
const RETRY_MIN_MS: u64 = 100;
const RETRY_MAX_MS: u64 = 2_000;

/// What the tasks of a chain tell the loop.
#[derive(Debug)]
pub(crate) enum Fed {
    /// An input. `seen` is when its ground was first seen.
    Input {
        /// The input.
        input: Box<Input>,
        /// When its ground was first seen, where reactions are measured.
        seen: Option<Instant>,
    },
    /// Which state reads do the rules want for this observation?
    Wanted {
        /// The observation, facts decoded.
        observation: Box<Observation>,
        /// Takes the reads and the observation back.
        reply: oneshot::Sender<(Box<Observation>, Vec<StateRead>)>,
    },
    /// What a pending transaction would do.
    Pending {
        /// It, with the reads that the rules want.
        observation: Box<Observation>,
        /// The context it was simulated in, unless it is the next block.
        context: Option<String>,
        /// When the transaction was first seen.
        seen: Instant,
        /// Takes whether it does harm; dropped if the engine's head is another one by then.
        harm: oneshot::Sender<bool>,
    },
}

/// The head as the engine has it.
#[derive(Clone, Debug)]
pub(crate) struct Tip {
    pub(crate) block: BlockRef,
    pub(crate) env: BlockEnv,
}

/// What the tasks of a chain work with.
#[derive(Clone)]
pub(crate) struct Kit {
    pub(crate) reader: Arc<RpcReader>,
    pub(crate) states: RpcStates,
    /// Pending transactions.
    pub(crate) desk: Arc<Desk>,
    /// The head as the engine has it.
    pub(crate) head: watch::Receiver<Option<Tip>>,
    pub(crate) out: mpsc::Sender<Fed>,
}

/// Starts the tasks of one chain. They end with the returned set.
pub(crate) fn start(source: RpcSource, kit: Kit) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let (blocks, blocks_out) = mpsc::channel(BLOCKS_WAITING_MAX);
    tasks.spawn(split(source, kit.clone(), blocks));
    tasks.spawn(prepare_blocks(blocks_out, kit.clone()));
    let Kit { states, desk, head, out, .. } = kit;
    tasks.spawn(keep_warm(states.clone(), head.clone()));
    let states = Arc::new(move |block| Arc::new(states.at_head(block)) as Arc<dyn StateSource>);
    pending::start(&mut tasks, &Bench { desk, states, head, out });
    tasks
}

type Seen<T> = (Instant, T);

/// Sorts what the source tells; ends with it.
async fn split(mut source: RpcSource, kit: Kit, blocks: mpsc::Sender<Seen<Observation>>) {
    let chain = source.chain();
    loop {
        let event = source.next().await;
        let seen = event.as_ref().map_or_else(|_| Instant::now(), |it| source.seen_at(it));
        let fed = match event {
            Ok(SourceEvent::Block(it)) => {
                if blocks.send((seen, it)).await.is_err() {
                    return;
                }
                continue;
            }
            Ok(SourceEvent::Pending(it)) => {
                let lost: u64 = it.txs.into_iter().map(|tx| kit.desk.arrive(tx, seen)).sum();
                if lost == 0 {
                    continue;
                }
                let because = format!(
                    "{lost} pending transactions that touch what is protected were left out: too many wait"
                );
                input(Input::Blind { chain, from: it.block.number.saturating_add(1), because })
            }
            Ok(SourceEvent::Witnessed { block, witnesses }) => {
                input(Input::Witnessed { block, witnesses })
            }
            Ok(SourceEvent::Blind { from, because }) => {
                input(Input::Blind { chain, from, because })
            }
            Ok(SourceEvent::End) => return,
            Err(error) => {
                let from = kit.head.borrow().as_ref().map_or(0, |it| it.block.number + 1);
                let over = matches!(error, SourceError::Misconfigured { .. });
                let because = chain_of(&error);
                let _ = kit.out.send(input(Input::Blind { chain, from, because })).await;
                if over {
                    return;
                }
                continue;
            }
        };
        if kit.out.send(fed).await.is_err() {
            return;
        }
    }
}

fn input(input: Input) -> Fed {
    Fed::Input { input: Box::new(input), seen: None }
}

/// Blocks in order: traces, then the reads that the rules want, then the engine.
async fn prepare_blocks(mut blocks: mpsc::Receiver<Seen<Observation>>, kit: Kit) {
    while let Some((seen, block)) = blocks.recv().await {
        let Some(complete) = hold(block, &kit).await else { return };
        let fed = Fed::Input { input: Box::new(Input::Block(complete)), seen: Some(seen) };
        if kit.out.send(fed).await.is_err() {
            return;
        }
    }
}

/// Completes a block, however long it takes; `None` if nobody wants it any more.
async fn hold(block: Observation, kit: &Kit) -> Option<Observation> {
    let (chain, from) = (block.block.chain, block.block.number);
    let mut wait = RETRY_MIN_MS;
    loop {
        match complete(block.clone(), kit).await {
            Ok(it) => return it,
            Err(because) => {
                kit.out.send(input(Input::Blind { chain, from, because })).await.ok()?;
                tokio::time::sleep(Duration::from_millis(wait)).await;
                wait = (wait * 2).min(RETRY_MAX_MS);
            }
        }
    }
}

async fn complete(block: Observation, kit: &Kit) -> Result<Option<Observation>, String> {
    let mut observation = retrace(block, &kit.states).await?;
    observation.decode_facts();
    let Some((mut observation, wanted)) = ask(observation, &kit.out).await else { return Ok(None) };
    if wanted.is_empty() {
        return Ok(Some(*observation));
    }
    let (block, parent) = (observation.block, parent_of(&observation.block));
    let (before, after) =
        tokio::join!(kit.reader.read(&parent, &wanted), kit.reader.read(&block, &wanted));
    let (before, after) = (before.map_err(told)?, after.map_err(told)?);
    for (question, (before, after)) in wanted.into_iter().zip(before.into_iter().zip(after)) {
        observation.readings.insert(question, Reading { before, after });
    }
    rehearse(*observation, &kit.states).await.map(Some)
}

fn told(error: SourceError) -> String {
    chain_of(&error)
}

/// Asks the loop which reads the rules want. Earlier inputs of this task are with the engine by then.
pub(crate) async fn ask(
    observation: Observation,
    out: &mpsc::Sender<Fed>,
) -> Option<(Box<Observation>, Vec<StateRead>)> {
    let (reply, answer) = oneshot::channel();
    out.send(Fed::Wanted { observation: Box::new(observation), reply }).await.ok()?;
    answer.await.ok()
}

/// At each new head, has the state at hand that pending simulations read. A failure costs the next
/// simulation its requests, and is told by it.
async fn keep_warm(states: RpcStates, mut heads: watch::Receiver<Option<Tip>>) {
    while heads.changed().await.is_ok() {
        let head = heads.borrow_and_update().as_ref().map(|it| it.block);
        let (Some(head), states) = (head, states.clone()) else { continue };
        match tokio::task::spawn_blocking(move || states.keep_warm(head)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(error = %chain_of(&error), "state is not kept warm"),
            Err(error) => tracing::warn!(%error, "state is not kept warm"),
        }
    }
}
