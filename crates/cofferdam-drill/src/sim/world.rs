//! One life: the queue of events, and time.

use std::{cmp::Reverse, collections::BinaryHeap};

use alloy_primitives::B256;
use cofferdam_core::{Timestamp, record::Entry};
use cofferdam_engine::{Engine, Input, State};

use super::{
    Counters, Life, START_MS, Sometimes,
    chain::{Chain, PoolTx, word},
    check::Check,
    plan::{SINKS, Setting},
    rng::Rng,
    sinks::Sink,
};

/// Faults occur up to this time, in milliseconds since the start.
const FAULTS_UNTIL_MS: u64 = 70_000;
/// Earliest end of a life.
const CALM_MS: u64 = 115_000;
/// How often it is looked whether everything has ended.
const LOOK_MS: u64 = 15_000;
/// What has not ended by now never will.
const END_MS: u64 = 400_000;

/// Something that is going to happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A chain gets a block.
    Mine(usize),
    /// The source of a chain delivers a block, vouched for by so many endpoints.
    Deliver(usize, usize, u16),
    /// An attack enters a pool.
    Attack(usize),
    /// The source of a chain shows a pending attack.
    Pending(usize, B256),
    /// The source of a chain says that it cannot look.
    Stall(usize),
    /// The source of a chain can look again.
    Resume(usize),
    /// Something answers the process of that epoch.
    Answer(u32, Box<Input>),
    /// The process's own rhythm.
    Tick,
    /// People look at the screen.
    People,
    /// The clock jumps by so many milliseconds.
    Jump(i64),
    /// The process starts.
    Start,
    /// It is looked whether everything has ended.
    Calm,
}

/// One life.
pub(crate) struct World<'a> {
    pub(crate) rng: Rng,
    pub(crate) setting: &'a Setting,
    pub(crate) chains: Vec<Chain>,
    /// `None` while the process is down.
    pub(crate) engine: Option<Engine>,
    /// Counts the lives of the process.
    pub(crate) epoch: u32,
    /// What is durable.
    pub(crate) journal: Vec<Entry>,
    /// The state at death, if all of it was durable.
    pub(crate) left: Option<State>,
    pub(crate) sinks: Vec<Sink>,
    pub(crate) check: Check,
    pub(crate) counters: Counters,
    /// How far the process's clock is off.
    pub(crate) clock_off_ms: i64,
    /// Milliseconds since the start.
    pub(crate) t: u64,
    queue: BinaryHeap<Reverse<(u64, usize)>>,
    events: Vec<Option<Event>>,
    failure: Option<String>,
    story: Option<Vec<String>>,
}

impl<'a> World<'a> {
    pub(crate) fn new(setting: &'a Setting, mut rng: Rng, told: bool) -> Self {
        let chains = (0..setting.kinds.len()).map(|at| Chain::new(at, &mut rng)).collect();
        let mut it = Self {
            rng,
            setting,
            chains,
            engine: None,
            epoch: 0,
            journal: Vec::new(),
            left: None,
            sinks: SINKS.iter().map(|it| Sink::new(it)).collect(),
            check: Check::default(),
            counters: Counters::default(),
            clock_off_ms: 0,
            t: 0,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            failure: None,
            story: told.then(Vec::new),
        };
        it.begin();
        it
    }

    fn begin(&mut self) {
        self.at(0, Event::Start);
        for chain in 0..self.chains.len() {
            let first = self.rng.between(500, 6_000);
            self.at(first, Event::Mine(chain));
            for _ in 0..self.rng.below(3) {
                let at = self.rng.between(7_000, 50_000);
                self.at(at, Event::Attack(chain));
            }
        }
        for _ in 0..self.rng.below(3) {
            let at = self.rng.between(5_000, FAULTS_UNTIL_MS);
            let ahead = self.rng.chance(500);
            let by = self.rng.between(1_000, if ahead { 90_000 } else { 20_000 }) as i64;
            self.at(at, Event::Jump(if ahead { by } else { -by }));
        }
        self.at(900, Event::Tick);
        self.at(3_000, Event::People);
        self.at(CALM_MS, Event::Calm);
    }

    /// Lives until everything has ended, or something broke.
    pub(crate) fn live(mut self) -> (Life, Vec<String>) {
        while self.failure.is_none() {
            let Some(Reverse((t, slot))) = self.queue.pop() else { break };
            self.t = t;
            let Some(event) = self.events.get_mut(slot).and_then(Option::take) else { continue };
            if matches!(event, Event::Calm) {
                match self.unfinished() {
                    None => break,
                    Some(what) if t >= END_MS => self.fail(format!("never ended: {what}")),
                    Some(_) => self.after(LOOK_MS, Event::Calm),
                }
                continue;
            }
            self.tell(|| format!("{event:?}"));
            self.handle(event);
        }
        self.count_end();
        let story = self.story.unwrap_or_default();
        (Life { counters: self.counters, lived_ms: self.t, failure: self.failure }, story)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Mine(chain) => self.mine(chain),
            Event::Deliver(chain, block, witnesses) => self.deliver(chain, block, witnesses),
            Event::Attack(chain) => self.attack(chain),
            Event::Pending(chain, hash) => self.show_pending(chain, hash),
            Event::Stall(chain) => self.stall(chain),
            Event::Resume(chain) => self.resume(chain),
            Event::Answer(epoch, input) if epoch == self.epoch => self.feed(*input),
            Event::Answer(..) | Event::Calm => {}
            Event::Tick => {
                self.feed(Input::Tick);
                let next = if self.faulty() { 1_000 } else { 2_500 };
                self.after(next, Event::Tick);
            }
            Event::People => {
                self.people();
                self.after(5_000, Event::People);
            }
            Event::Jump(by) => {
                let ahead = by > 0;
                self.note(if ahead { Sometimes::ClockAhead } else { Sometimes::ClockBack });
                self.clock_off_ms += by;
            }
            Event::Start => self.start(),
        }
    }

    fn attack(&mut self, chain: usize) {
        let hash = word(&mut self.rng);
        let (public, after) = (self.rng.chance(500), self.rng.between(50, 600));
        if let Some(it) = self.chains.get_mut(chain) {
            it.pool.push(PoolTx::Attack(hash));
        }
        if public {
            self.after(after, Event::Pending(chain, hash));
        }
    }

    /// The time that the process believes it is.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp((START_MS + self.t).saturating_add_signed(self.clock_off_ms))
    }

    /// Whether things may go wrong now.
    pub(crate) fn faulty(&self) -> bool {
        self.t < FAULTS_UNTIL_MS
    }

    /// True in `permille` of 1,000 cases while things may go wrong.
    pub(crate) fn mishap(&mut self, permille: u64) -> bool {
        self.faulty() && self.rng.chance(permille)
    }

    pub(crate) fn after(&mut self, ms: u64, event: Event) {
        self.at(self.t + ms, event);
    }

    fn at(&mut self, t: u64, event: Event) {
        self.queue.push(Reverse((t, self.events.len())));
        self.events.push(Some(event));
    }

    pub(crate) fn note(&mut self, what: Sometimes) {
        self.counters.note(what);
    }

    pub(crate) fn fail(&mut self, what: String) {
        self.tell(|| format!("BROKEN: {what}"));
        self.failure.get_or_insert(what);
    }

    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(format!("{:>7} ms  {}", self.t, line()));
        }
    }

    /// What a checker found, if anything.
    pub(crate) fn expect(&mut self, found: Result<(), String>) {
        if let Err(what) = found {
            self.fail(what);
        }
    }
}
