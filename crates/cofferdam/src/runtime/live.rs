//! The live loop: sources in, engine, effects out. Until it is told to stop.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use cofferdam_core::{
    ChainId, Observation, Record, Timestamp,
    ports::{BlockSource, SourceError, SourceEvent, StateReader, StateSource},
};
use cofferdam_engine::Input;
use cofferdam_observe::rpc::{RpcReader, RpcSource, RpcStates};
use tokio::sync::mpsc;

use super::{
    Carried, Shell, ShellError, chain_of, complete, health::Board, retrace, simulate_pending,
};

/// How often time passes for the engine when nothing else happens.
const TICK_MS: u64 = 250;
/// Events waiting between sources and the loop.
const EVENTS_WAITING_MAX: usize = 256;
/// Wait before a block whose state could not be read is tried again; doubled up to the largest.
const RETRY_MIN_MS: u64 = 100;
const RETRY_MAX_MS: u64 = 2_000;

/// What is needed to watch one chain.
pub struct Watch {
    /// Blocks and pending transactions.
    pub source: RpcSource,
    /// State reads.
    pub reader: Arc<RpcReader>,
    /// Raw state, for our own EVM.
    pub states: RpcStates,
}

/// The live loop.
pub struct Live {
    shell: Shell,
    board: Board,
    readers: BTreeMap<ChainId, (Arc<RpcReader>, RpcStates)>,
    tell: Box<dyn Fn(&Carried) + Send>,
}

/// The wall clock. Only this crate reads it.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Live {
    /// Puts the parts together; `tell` shows people what happened.
    pub fn new(shell: Shell, board: Board, tell: Box<dyn Fn(&Carried) + Send>) -> Self {
        Self { shell, board, readers: BTreeMap::new(), tell }
    }

    /// Runs until `stop` completes.
    ///
    /// # Errors
    /// [`ShellError`] if the journal does not take records.
    pub async fn run(
        mut self,
        watches: Vec<Watch>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ShellError> {
        let (events_in, mut events) = mpsc::channel(EVENTS_WAITING_MAX);
        let mut tasks = tokio::task::JoinSet::new();
        for it in watches {
            let chain = it.source.chain();
            self.readers.insert(chain, (it.reader, it.states));
            tasks.spawn(forward(it.source, events_in.clone()));
        }
        drop(events_in);
        tokio::pin!(stop);
        let mut tick = tokio::time::interval(Duration::from_millis(TICK_MS));
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                event = events.recv() => match event {
                    Some((chain, seen, event)) => self.on_event(chain, seen, event).await?,
                    None => return Ok(()),
                },
                _ = tick.tick() => self.feed(Input::Tick, None).await?,
            }
        }
    }

    async fn on_event(
        &mut self,
        chain: ChainId,
        seen: Instant,
        event: Result<SourceEvent, SourceError>,
    ) -> Result<(), ShellError> {
        match event {
            Ok(SourceEvent::Block(observation)) => self.on_block(seen, observation).await,
            Ok(SourceEvent::Pending(observation)) => self.on_pending(seen, observation).await,
            Ok(SourceEvent::Blind { from, because }) => {
                self.feed(Input::Blind { chain, from, because }, None).await
            }
            // Nothing waits for more witnesses yet.
            Ok(SourceEvent::Witnessed { .. } | SourceEvent::End) => Ok(()),
            Err(error) => {
                let from = self.next_block(chain);
                self.feed(Input::Blind { chain, from, because: chain_of(&error) }, None).await
            }
        }
    }

    /// A block is held until its traces and reads are there; it is never given up.
    async fn on_block(
        &mut self,
        seen: Instant,
        observation: Observation,
    ) -> Result<(), ShellError> {
        let chain = observation.block.chain;
        let Some((reader, states)) = self.readers.get(&chain).cloned() else { return Ok(()) };
        let mut wait = RETRY_MIN_MS;
        loop {
            let traced = retrace(observation.clone(), &states).await;
            let completed = match traced {
                Ok(it) => complete(it, self.shell.engine(), &*reader as &dyn StateReader)
                    .await
                    .map_err(|it| chain_of(&it)),
                Err(because) => Err(because),
            };
            match completed {
                Ok(it) => {
                    self.board.update(|it| it.blocks += 1);
                    return self.feed(Input::Block(it), Some(seen)).await;
                }
                Err(because) => {
                    let from = observation.block.number;
                    self.feed(Input::Blind { chain, from, because }, None).await?;
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                    wait = (wait * 2).min(RETRY_MAX_MS);
                }
            }
        }
    }

    async fn on_pending(
        &mut self,
        seen: Instant,
        observation: Observation,
    ) -> Result<(), ShellError> {
        let chain = observation.block.chain;
        let (Some(tx), Some(head)) =
            (observation.txs.into_iter().next(), self.shell.engine().state().head(chain))
        else {
            return Ok(());
        };
        let Some((_, states)) = self.readers.get(&chain) else { return Ok(()) };
        let state: Arc<dyn StateSource> = Arc::new(states.at(head));
        let env = observation.env;
        let engine = self.shell.engine();
        // The EVM asks the node for state while it runs: off the async threads.
        let simulated =
            tokio::task::block_in_place(|| simulate_pending(tx, head, &env, &state, engine));
        self.board.update(|it| it.pending += 1);
        match simulated {
            Ok(Some(it)) => self.feed(Input::Pending(it), Some(seen)).await,
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::warn!(%chain, error = %chain_of(&error), "pending transaction could not be simulated");
                Ok(())
            }
        }
    }

    fn next_block(&self, chain: ChainId) -> u64 {
        self.shell.engine().state().head(chain).map_or(0, |it| it.number + 1)
    }

    async fn feed(&mut self, input: Input, seen: Option<Instant>) -> Result<(), ShellError> {
        let carried = self.shell.feed(now(), input).await;
        let carried = match carried {
            Ok(it) => it,
            Err(error) => {
                self.board.update(|it| _ = it.blind.insert("journal".into(), chain_of(&error)));
                return Err(error);
            }
        };
        let sent = carried
            .records
            .iter()
            .any(|it| matches!(it, Record::Dispatched { sent, .. } if !sent.is_empty()));
        let reaction =
            seen.filter(|_| sent).and_then(|it| u64::try_from(it.elapsed().as_micros()).ok());
        self.board.update(|it| {
            it.alerts += carried.alerts.len() as u64;
            it.records += carried.records.len() as u64;
            it.reactions_us.extend(reaction);
        });
        if !carried.records.is_empty() {
            self.board.take(self.shell.engine());
        }
        (self.tell)(&carried);
        Ok(())
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("shell", &self.shell).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("chain", &self.source.chain()).finish_non_exhaustive()
    }
}

type Event = (ChainId, Instant, Result<SourceEvent, SourceError>);

async fn forward(mut source: RpcSource, events: mpsc::Sender<Event>) {
    let chain = source.chain();
    loop {
        let event = source.next().await;
        let seen = event.as_ref().map_or_else(|_| Instant::now(), |it| source.seen_at(it));
        let over = matches!(event, Ok(SourceEvent::End) | Err(SourceError::Misconfigured { .. }));
        if events.send((chain, seen, event)).await.is_err() || over {
            return;
        }
    }
}
