//! The engine: one deterministic state machine from inputs to effects.
//!
//! **Architecture invariant:** [`Engine::step`] is the only way in and its return value the only way
//! out. The engine owns no socket, file, thread, clock or random number; live operation, back-test,
//! drill and replay are this same engine behind different sources and executors.
//!
//! **Architecture invariant:** all lasting state is a fold over journal records. `step` changes it only
//! through the records it returns, so that a restart from the journal is exact.
//!
//! **Architecture invariant:** effects are carried out as [`schedule`] says, for every shell and simulator
//! alike: a [`Effect::Record`] is durable before a dispatch or a delivery begins. The one exception is
//! the blueprint's: a self-expiring, pre-authorised order may be handed to the network while its
//! record is being written.

mod apply;
mod backings;
mod bridges;
mod grounds;
mod holdings;
mod limits;
mod outbox;
mod restore;
pub mod schedule;
mod state;
mod step;
mod ties;

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::Address;
use cofferdam_core::{
    Alert, AlertId, BlockRef, ChainId, Finding, IncidentId, Observation, OrderKey, Record,
    Timestamp,
    order::{Bid, Order, Outcome, Prepared, Sent},
    plan::Plan,
    read::StateRead,
};
pub use cofferdam_decide::Tables;
use cofferdam_detect::{
    BuildError, RuleSet,
    bridge::{self, Backing, Route},
};

pub use limits::Limits;
pub use outbox::{Delivery, Outbox, Outgoing, SinkState, Thread};
pub use restore::RestoreError;
pub use schedule::{Schedule, schedule};
pub use state::{Blindness, ChainView, FindingState, OrderState, Release, State, Trail};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A block, parents before children; after a reorganisation from the fork point on.
    Block(Observation),
    /// A pending transaction, simulated on the head.
    Pending(Observation),
    /// A pending transaction that was harmless in the next block, simulated in another context: its
    /// code may tell a simulation from a block. What is found says in which context.
    PendingElsewhere {
        /// As for [`Input::Pending`].
        observation: Observation,
        /// The context, for people.
        context: String,
    },
    /// The operator or a signer said something.
    Command(Command),
    /// An order was handed to the network.
    Dispatched {
        /// Which.
        key: OrderKey,
        /// What was simulated and sent.
        prepared: Prepared,
        /// One entry per relayer lane.
        sent: Vec<Sent>,
    },
    /// Handing an order to the network failed.
    DispatchFailed {
        /// Which.
        key: OrderKey,
        /// Why, for people.
        reason: String,
    },
    /// The chain told what became of an order.
    Settled {
        /// Which.
        key: OrderKey,
        /// What.
        outcome: Outcome,
    },
    /// A receiver took an alert.
    Delivered {
        /// Id of the notifier in the plan.
        sink: String,
        /// Which alert.
        alert: AlertId,
    },
    /// A receiver did not take an alert.
    DeliveryFailed {
        /// Id of the notifier in the plan.
        sink: String,
        /// Which alert.
        alert: AlertId,
        /// Why, for people.
        because: String,
        /// Whether it will never take it.
        permanent: bool,
        /// The least wait it asked for, in milliseconds.
        after_ms: Option<u64>,
    },
    /// What was out for an order was replaced at a higher price, or sent on another lane as well.
    Replaced {
        /// Which.
        key: OrderKey,
        /// What is out now beside what was sent before.
        sent: Vec<Sent>,
    },
    /// More endpoints than before vouch for a block.
    Witnessed {
        /// The block.
        block: BlockRef,
        /// How many.
        witnesses: u16,
    },
    /// A standing authority was proved against the head, or failed the proof.
    Readiness {
        /// Id of the action.
        action: String,
        /// What is wrong, for people; empty if it would work now.
        because: Vec<String>,
    },
    /// Time passed.
    Tick,
    /// Somebody else believes something. Their word is taken as far as the rule they feed allows.
    External(Box<Finding>),
    /// A source cannot deliver block `from`.
    Blind {
        /// Which chain.
        chain: ChainId,
        /// First block that cannot be had.
        from: u64,
        /// Why, for people.
        because: String,
    },
}

/// What a person says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Agree to a proposed order.
    Approve {
        /// Which.
        key: OrderKey,
        /// Who.
        by: String,
    },
    /// Refuse an order that is not out yet.
    Veto {
        /// Which.
        key: OrderKey,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Follow the branch that the sources follow, though it leaves ours deeper than the reorganisation
    /// limit: everything known of the chain is taken back and evaluated again.
    AcceptFork {
        /// Which chain.
        chain: ChainId,
        /// Who.
        by: String,
    },
    /// Close an incident; `false_alarm` says that there was no attack.
    Close {
        /// Which.
        incident: IncidentId,
        /// Who.
        by: String,
        /// Whether it was none.
        false_alarm: bool,
    },
}

/// What the world must now do, in order.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "records are most effects; boxing each would cost more"
)]
pub enum Effect {
    /// Append to the journal.
    Record(Record),
    /// Deliver the chain again from this block: a later one arrived first.
    Fetch {
        /// Which chain.
        chain: ChainId,
        /// First block wanted.
        from: u64,
    },
    /// Hand an order to the network.
    Dispatch {
        /// The order.
        order: Box<Order>,
        /// Counts from 1; above 1 it replaces what is stuck.
        attempt: u32,
    },
    /// An order is out, and the attacker bids more for the next block than was known.
    Outbid {
        /// The order.
        order: Box<Order>,
        /// What the attacker bids.
        bid: Bid,
    },
    /// Ask the chain what became of an order.
    Settle {
        /// The order.
        order: Box<Order>,
    },
    /// Offer an alert to a receiver. May reach it more than once, always with the same id.
    Deliver {
        /// Id of the notifier in the plan.
        sink: String,
        /// The alert.
        alert: Box<Alert>,
        /// Counts from 1.
        attempt: u32,
    },
}

/// The state machine. See the module's invariants.
#[derive(Debug)]
pub struct Engine {
    plan: Plan,
    limits: Limits,
    rules: BTreeMap<ChainId, RuleSet>,
    /// The directions of the plan's bridges.
    routes: Vec<Route>,
    /// What the plan's bridges issue against what they lock.
    backings: Vec<Backing>,
    /// Solved from the plan when it was loaded.
    tables: Tables,
    state: State,
    /// When each order was last handed to the shell without an answer yet. Not lasting: after a
    /// restart an unanswered dispatch is simply repeated, which the order's key makes harmless.
    in_flight: BTreeMap<OrderKey, Timestamp>,
    /// Orders that may have gone out just before a restart, their answers lost.
    unsure: BTreeSet<OrderKey>,
    /// When each alert (by number) was last offered to a receiver (by place in the plan) without an
    /// answer yet. Not lasting either: the alert's id makes a repeated delivery harmless.
    offered: BTreeMap<(u64, usize), Timestamp>,
    /// What was last asked for again, by chain. Not lasting: what is not there is asked for again.
    fetched: BTreeMap<ChainId, Fetched>,
    /// Whether the next step is the first one after a restart.
    restored: bool,
}

/// A request for blocks, and when it was made.
#[derive(Clone, Copy, Debug)]
struct Fetched {
    from: u64,
    at: Timestamp,
    /// The cursor at that time.
    head: Option<BlockRef>,
}

impl Engine {
    /// A new engine for `plan`.
    ///
    /// # Errors
    /// The first rule that cannot be built.
    pub fn new(plan: Plan, limits: Limits) -> Result<Self, BuildError> {
        let tables = Tables::of(&plan.decision);
        Self::with_tables(plan, tables, limits)
    }

    /// As [`Engine::new`] with `tables` that were solved for the same plan before.
    ///
    /// # Errors
    /// The first rule that cannot be built.
    pub fn with_tables(plan: Plan, tables: Tables, limits: Limits) -> Result<Self, BuildError> {
        let mut rules = BTreeMap::new();
        for chain in plan.chains.iter().map(|it| it.id) {
            rules.insert(chain, RuleSet::build(&plan, chain)?);
        }
        Ok(Self {
            routes: bridge::routes(&plan)?,
            tables,
            backings: bridge::backings(&plan)?,
            plan,
            limits,
            rules,
            state: State::default(),
            in_flight: BTreeMap::new(),
            unsure: BTreeSet::new(),
            offered: BTreeMap::new(),
            fetched: BTreeMap::new(),
            restored: false,
        })
    }

    /// Advances by one input and returns what the world must now do, in order.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Vec<Effect> {
        step::step(self, now, input)
    }

    /// The state reads that the rules want answered at this block and its parent before it is given
    /// to [`Engine::step`]. Facts must be decoded.
    pub fn wanted_reads(&self, observation: &Observation) -> Vec<StateRead> {
        let mut reads = match self.rules.get(&observation.block.chain) {
            Some(rules) => rules.wanted(&observation.txs),
            None => Vec::new(),
        };
        reads.extend(holdings::wanted(&self.plan, observation));
        reads.sort();
        reads.dedup();
        reads
    }

    /// The accounts on `chain` that the rules are indexed on, in no order.
    pub fn watched_accounts(&self, chain: ChainId) -> impl Iterator<Item = Address> {
        self.rules.get(&chain).into_iter().flat_map(RuleSet::accounts)
    }

    /// What the engine knows: incidents, orders, cursors, blindness.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How many detectors it runs, over all chains.
    pub fn detectors(&self) -> usize {
        self.rules.values().map(RuleSet::len).sum()
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether an order that has no attempt on record may have gone out all the same.
    fn may_be_out(&self, key: &OrderKey) -> bool {
        self.in_flight.contains_key(key) || self.unsure.contains(key)
    }
}
