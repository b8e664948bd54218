//! The live loop: inputs in, engine, effects out. Until it is told to stop.
//!
//! **Invariant:** the loop waits for the journal and for nothing else. Sources, state reads, simulations,
//! dispatches and deliveries run in tasks of their own.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use alloy_primitives::Address;
use cofferdam_core::{BlockRef, ChainId, Class, OrderKey, Record, Timestamp, order::Outcome};
use cofferdam_engine::Input;
use cofferdam_observe::rpc::{RpcReader, RpcSource, RpcStates, Start};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    Carried, Door, Hands, Pulse, Said, Shell, ShellError, care, contained,
    feed::{self, Fed, Kit, Tip},
    feeds::{self, Feeds, Told},
    health::Board,
    pending::{Desk, Tally, Watched},
};

/// How often time passes for the engine when nothing else happens.
const TICK_MS: u64 = 250;
/// Inputs waiting between the tasks and the loop.
const INPUTS_WAITING_MAX: usize = 256;

/// What is needed to watch one chain.
pub struct Watch {
    /// Opens the source: at a place, or at the head.
    pub open: Box<dyn Fn(Option<Start>) -> RpcSource + Send + Sync>,
    /// Where to start.
    pub start: Option<Start>,
    /// The chain.
    pub chain: ChainId,
    /// State reads.
    pub reader: Arc<RpcReader>,
    /// Raw state, for our own EVM.
    pub states: RpcStates,
}

/// The live loop.
pub struct Live {
    shell: Shell,
    hands: Arc<Hands>,
    board: Board,
    pulse: Pulse,
    feeds: Feeds,
    door: Door,
    tell: Box<dyn Fn(&Carried) + Send>,
    lanes: BTreeMap<ChainId, Lane>,
    /// Orders decided in this process, with when their ground was first seen.
    decided: BTreeMap<OrderKey, Decided>,
}

/// What an order was decided on.
struct Decided {
    /// When its ground was first seen.
    seen: Instant,
    /// Whether that was a pending transaction.
    pending: bool,
}

/// One chain at work.
struct Lane {
    watch: Watch,
    desk: Arc<Desk>,
    head: watch::Sender<Option<Tip>>,
    source: JoinSet<()>,
    /// Ends with the lane.
    _care: JoinSet<()>,
}

/// The wall clock. Only this crate reads it.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Live {
    /// Puts the parts together; `tell` shows people what happened.
    pub fn new(
        shell: Shell,
        hands: Arc<Hands>,
        board: Board,
        (pulse, feeds, door): (Pulse, Feeds, Door),
        tell: Box<dyn Fn(&Carried) + Send>,
    ) -> Self {
        let (lanes, decided) = (BTreeMap::new(), BTreeMap::new());
        Self { shell, hands, board, pulse, feeds, door, tell, lanes, decided }
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
        let (out, mut fed) = mpsc::channel(INPUTS_WAITING_MAX);
        for watch in watches {
            self.open(watch, &out);
        }
        tokio::pin!(stop);
        let (feeds, door) = (self.feeds.clone(), self.door.clone());
        let mut tick = tokio::time::interval(Duration::from_millis(TICK_MS));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.pulse.turn();
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                answer = self.shell.answer() => self.on_answer(answer, &out).await?,
                // A person's word is rare, and no flood of transactions may keep it waiting.
                said = door.next() => self.on_said(said, &out).await?,
                Some(it) = fed.recv() => self.on_fed(it, &out).await?,
                told = feeds.next() => self.on_told(told, &out).await?,
                _ = tick.tick() => self.feed(Input::Tick, None, &out).await.map(drop)?,
            }
        }
    }

    fn open(&mut self, watch: Watch, out: &mpsc::Sender<Fed>) {
        let chain = watch.chain;
        let (head, seen) = watch::channel(None);
        let mut care = JoinSet::new();
        care::tend(&mut care, self.hands.clone(), seen.clone(), out.clone());
        let actions = self.shell.engine().plan().actions.clone();
        care::rehearse(&mut care, self.hands.clone(), actions, chain, out.clone());
        let desk = self.desk(chain);
        // Whatever an attack is, it calls what is protected.
        watch.states.pin(self.protected(chain));
        self.board.work(chain, desk.tally().clone());
        let mut lane = Lane { head, source: JoinSet::new(), _care: care, watch, desk };
        lane.start(lane.watch.start.clone(), out);
        self.lanes.insert(chain, lane);
    }

    fn protected(&self, chain: ChainId) -> impl Iterator<Item = Address> {
        self.shell.engine().plan().entities.iter().flat_map(move |it| it.addresses(chain))
    }

    fn desk(&self, chain: ChainId) -> Arc<Desk> {
        let engine = self.shell.engine();
        let plan = engine.plan();
        let watched = Watched::new(self.protected(chain), engine.watched_accounts(chain));
        let config = plan.chains.iter().find(|it| it.id == chain);
        let (block_ms, budget_ms) =
            config.map_or((0, 0), |it| (it.block_time.0, it.simulation_per_hour.0));
        Arc::new(Desk::new(watched, block_ms / 1_000, Tally::new(budget_ms)))
    }

    async fn on_fed(&mut self, fed: Fed, out: &mpsc::Sender<Fed>) -> Result<(), ShellError> {
        match fed {
            Fed::Wanted { observation, reply } => {
                let wanted = self.shell.engine().wanted_reads(&observation);
                // Whoever asked may be gone: its chain was opened anew.
                let _ = reply.send((observation, wanted));
                Ok(())
            }
            Fed::Pending { observation, context, seen, harm } => {
                let head = self.shell.engine().state().head(observation.block.chain);
                if head.is_none_or(|it| it.hash != observation.block.hash) {
                    return Ok(());
                }
                self.board.update(|it| it.pending += 1);
                let input = match context {
                    None => {
                        self.feeds.show(&observation);
                        Input::Pending(*observation)
                    }
                    Some(context) => Input::PendingElsewhere { observation: *observation, context },
                };
                let harmful = self.feed(input, Some(seen), out).await?;
                // Whoever asked may be gone: its chain was opened anew.
                let _ = harm.send(harmful);
                Ok(())
            }
            Fed::Input { input, seen } => match *input {
                Input::Block(observation) => {
                    let tip = Tip { block: observation.block, env: observation.env.clone() };
                    self.hands.observe_head(tip.block, tip.env.base_fee);
                    self.feeds.show(&observation);
                    self.feed(Input::Block(observation), seen, out).await?;
                    self.board.update(|it| it.blocks += 1);
                    self.publish(tip);
                    Ok(())
                }
                other => self.feed(other, seen, out).await.map(drop),
            },
        }
    }

    /// What another program found, or that it fails.
    async fn on_told(&mut self, told: Told, out: &mpsc::Sender<Fed>) -> Result<(), ShellError> {
        let input = match told {
            Told::Report { feed, report } => {
                let engine = self.shell.engine();
                let found = feeds::finding(&feed, *report, engine.plan(), engine.state());
                self.board.update(|it| it.reported += 1);
                let Some(finding) = found else { return Ok(()) };
                Input::External(Box::new(finding))
            }
            Told::State { feed, because } => {
                Input::Readiness { action: format!("feed {}", feed.id), because }
            }
        };
        self.feed(input, None, out).await.map(drop)
    }

    /// Gives pending simulations and the care of orders the new head, if the engine took it.
    fn publish(&self, tip: Tip) {
        let taken = self.shell.engine().state().head(tip.block.chain);
        if taken.is_some_and(|it| it.hash == tip.block.hash)
            && let Some(lane) = self.lanes.get(&tip.block.chain)
        {
            lane.head.send_replace(Some(tip));
        }
    }

    /// What a person does: durable first, then for the engine, then answered.
    async fn on_said(&mut self, said: Said, out: &mpsc::Sender<Fed>) -> Result<(), ShellError> {
        self.shell.note(now(), &said.records).await?;
        for command in said.commands.iter().cloned() {
            self.feed(Input::Command(command), None, out).await?;
        }
        self.door.grew();
        said.done();
        Ok(())
    }

    async fn on_answer(
        &mut self,
        answer: Input,
        out: &mpsc::Sender<Fed>,
    ) -> Result<(), ShellError> {
        if let Input::Dispatched { key, sent, .. } = &answer
            && let Some(ground) = self.decided.remove(key)
            && !sent.is_empty()
        {
            let us = u64::try_from(ground.seen.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.board.update(|it| it.reacted(us, ground.pending));
        }
        if let Input::Settled { key, .. } = &answer {
            self.decided.remove(key);
        }
        self.feed(answer, None, out).await.map(drop)
    }

    /// Gives whether harm was found.
    async fn feed(
        &mut self,
        input: Input,
        seen: Option<Instant>,
        out: &mpsc::Sender<Fed>,
    ) -> Result<bool, ShellError> {
        let pending = matches!(input, Input::Pending(_) | Input::PendingElsewhere { .. });
        let carried = self.shell.feed(now(), input).await?;
        for record in &carried.records {
            if let (Record::Intended { order }, Some(seen)) = (record, seen) {
                self.decided.insert(order.key, Decided { seen, pending });
            }
        }
        let harm = self.note(&carried.records);
        self.board.update(|it| {
            it.alerts += carried.alerts.len() as u64;
            it.records += carried.records.len() as u64;
        });
        if !carried.records.is_empty() {
            self.board.take(self.shell.engine());
            self.door.grew();
        }
        for (chain, from) in &carried.fetch {
            self.reopen(*chain, *from, out);
        }
        (self.tell)(&carried);
        Ok(harm)
    }

    /// Takes from what was recorded who is suspect and what was contained when. Gives whether harm was
    /// found.
    fn note(&self, records: &[Record]) -> bool {
        let mut harm = false;
        for record in records {
            match record {
                Record::Found { finding } if !finding.is_blind() => {
                    harm |= matches!(finding.class, Class::Damage | Class::Control);
                    if let Some(lane) = self.lanes.get(&finding.block.chain) {
                        lane.desk.suspect(&finding.actors);
                    }
                }
                Record::Settled { key, outcome: Outcome::Effective { block, .. } } => {
                    if let Some(it) = contained(self.shell.engine().state(), *key, *block) {
                        self.board.update(|health| health.contained.count(it));
                    }
                }
                _ => {}
            }
        }
        harm
    }

    /// The source skipped something or is on a branch that the engine does not know: it starts again
    /// after the blocks that the engine has.
    fn reopen(&mut self, chain: ChainId, from: u64, out: &mpsc::Sender<Fed>) {
        let trail: Vec<BlockRef> = self
            .shell
            .engine()
            .state()
            .chains
            .get(&chain.0)
            .map_or_else(Vec::new, |it| it.trail.iter().map(|it| it.block).collect());
        let start = if trail.is_empty() { Start::At(from) } else { Start::After(trail) };
        if let Some(lane) = self.lanes.get_mut(&chain) {
            tracing::warn!(%chain, from, "the source is opened anew");
            lane.start(Some(start), out);
        }
    }
}

impl Lane {
    /// Ends the chain's source and its tasks, and begins anew.
    fn start(&mut self, start: Option<Start>, out: &mpsc::Sender<Fed>) {
        let kit = Kit {
            reader: self.watch.reader.clone(),
            states: self.watch.states.clone(),
            desk: self.desk.clone(),
            head: self.head.subscribe(),
            out: out.clone(),
        };
        self.source = feed::start((self.watch.open)(start), kit);
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("shell", &self.shell).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("chain", &self.chain).finish_non_exhaustive()
    }
}
