//! From a chain's source to inputs of the loop: each chain in tasks of its own.
//!
//! **Invariant:** a chain that cannot be looked at holds itself and no other. A block is held until its
//! traces and reads are there; it is never given up and never overtaken.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Observation, Tx,
    ports::{BlockSource as _, SourceError, SourceEvent, StateReader as _},
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
    pending::{Ground, read_pending, simulate_pending},
    rehearse, retrace,
};

/// Blocks that wait for their traces and reads; when full, the source waits.
const BLOCKS_WAITING_MAX: usize = 16;
/// Pending transactions that wait for their simulation. Beyond it the newest are dropped and counted:
/// what is pre-empted is what can be simulated in time.
const PENDING_WAITING_MAX: usize = 4_096;
/// Pending transactions simulated at the same time, per chain.
const PENDING_AT_ONCE: usize = 2;
/// How often a pending transaction is simulated again because the head moved meanwhile.
const MOVES_MAX: usize = 3;
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
    /// Pending transactions were dropped because too many waited.
    Dropped {
        /// Of which chain.
        chain: ChainId,
        /// How many.
        count: u64,
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
    /// The head as the engine has it.
    pub(crate) head: watch::Receiver<Option<Tip>>,
    pub(crate) out: mpsc::Sender<Fed>,
}

/// Starts the tasks of one chain. They end with the returned set.
pub(crate) fn start(source: RpcSource, kit: Kit) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let (blocks, blocks_out) = mpsc::channel(BLOCKS_WAITING_MAX);
    let (pending, pending_out) = mpsc::channel(PENDING_WAITING_MAX);
    tasks.spawn(split(source, kit.clone(), blocks, pending));
    tasks.spawn(prepare_blocks(blocks_out, kit.clone()));
    let pending_out = Arc::new(tokio::sync::Mutex::new(pending_out));
    for _ in 0..PENDING_AT_ONCE {
        tasks.spawn(prepare_pending(pending_out.clone(), kit.clone()));
    }
    tasks
}

type Seen<T> = (Instant, T);

/// Sorts what the source tells; ends with it.
async fn split(
    mut source: RpcSource,
    kit: Kit,
    blocks: mpsc::Sender<Seen<Observation>>,
    pending: mpsc::Sender<Seen<Tx>>,
) {
    let chain = source.chain();
    let mut dropped = 0;
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
                for tx in it.txs {
                    dropped += u64::from(pending.try_send((seen, tx)).is_err());
                }
                if dropped == 0 {
                    continue;
                }
                Fed::Dropped { chain, count: std::mem::take(&mut dropped) }
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
    let Some((mut observation, wanted)) = ask(observation, kit).await else { return Ok(None) };
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
async fn ask(observation: Observation, kit: &Kit) -> Option<(Box<Observation>, Vec<StateRead>)> {
    let (reply, answer) = oneshot::channel();
    kit.out.send(Fed::Wanted { observation: Box::new(observation), reply }).await.ok()?;
    answer.await.ok()
}

/// Pending transactions: simulated on the engine's head, with the reads that the rules want.
async fn prepare_pending(pending: Arc<tokio::sync::Mutex<mpsc::Receiver<Seen<Tx>>>>, mut kit: Kit) {
    loop {
        let next = pending.lock().await.recv().await;
        let Some((seen, tx)) = next else { return };
        for _ in 0..MOVES_MAX {
            match believe(&tx, &mut kit).await {
                Ok(Some(it)) if moved(&it.block, &kit) => {}
                Ok(Some(it)) => {
                    let input = Box::new(Input::Pending(it));
                    if kit.out.send(Fed::Input { input, seen: Some(seen) }).await.is_err() {
                        return;
                    }
                    break;
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(tx = %tx.hash, %error, "pending transaction could not be simulated");
                    break;
                }
            }
        }
    }
}

/// What a pending transaction would do; `None` if it cannot be included or nobody asks.
async fn believe(tx: &Tx, kit: &mut Kit) -> Result<Option<Observation>, String> {
    let head = kit.head.borrow_and_update().clone();
    let Some(head) = head else { return Ok(None) };
    let state = Arc::new(kit.states.at(head.block));
    let ground = Ground { head: head.block, env: head.env, state };
    let (on, first) = (ground.clone(), tx.clone());
    let simulated = blocking(move || simulate_pending(&first, &on)).await?;
    let Some(observation) = simulated.map_err(|it| chain_of(&it))? else { return Ok(None) };
    let Some((mut observation, wanted)) = ask(observation, kit).await else { return Ok(None) };
    let again = tx.clone();
    let read = blocking(move || read_pending(&again, &wanted, &ground)).await?;
    observation.readings = read.map_err(|it| chain_of(&it))?;
    Ok(Some(*observation))
}

/// The EVM asks the node for state while it runs: off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|it| format!("simulation stopped: {it}"))
}

fn moved(head: &BlockRef, kit: &Kit) -> bool {
    kit.head.borrow().as_ref().is_some_and(|it| it.block.hash != head.hash)
}
