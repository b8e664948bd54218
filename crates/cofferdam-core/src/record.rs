//! Journal records: the only durable truth. Everything else is a fold over them.
//!
//! Records are versioned by addition only: a variant or field, once written by a release, keeps its
//! meaning for ever.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::{
    Alert, AlertId, BlockRef, ChainId, Finding, FindingId, IncidentId, OrderKey, Timestamp,
    incident::{Incident, IncidentState, Ledger},
    order::{Order, Outcome, Prepared, Sent},
};

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// The process started with this plan.
    Started {
        /// Hash of the response plan.
        plan: B256,
        /// Version of the program.
        version: String,
    },
    /// A block was evaluated by every rule that it concerned.
    BlockEvaluated {
        /// The block; the cursor of its chain is now here.
        block: BlockRef,
        /// State of the rules that changed, so that a restart needs no block again.
        memos: Vec<(String, Memo)>,
        /// How many endpoints vouched for it by then.
        #[serde(default = "one")]
        witnesses: u16,
    },
    /// More endpoints vouched for a block that was evaluated before.
    Vouched {
        /// The block.
        block: BlockRef,
        /// How many do now.
        witnesses: u16,
    },
    /// A person agreed to follow a branch that leaves ours deeper than the reorganisation limit. What
    /// we know of the chain from `from` on is dropped, and the cursor stands before that block.
    ForkAccepted {
        /// Which chain.
        chain: ChainId,
        /// First block to be evaluated again.
        from: u64,
        /// Who.
        by: String,
    },
    /// Blocks above `to` were reorganised out.
    Reorged {
        /// The last common block.
        to: BlockRef,
        /// What was dropped, highest first.
        dropped: Vec<BlockRef>,
    },
    /// A rule believes something.
    Found {
        /// The finding.
        finding: Finding,
    },
    /// A finding's ground is gone.
    Retracted {
        /// Which.
        finding: FindingId,
        /// Why, for people.
        because: String,
    },
    /// A finding's block is deeper than the finality depth.
    Finalized {
        /// Which.
        finding: FindingId,
    },
    /// An incident was opened.
    IncidentOpened {
        /// The incident, without findings.
        incident: Incident,
    },
    /// A finding was added to an incident.
    Attached {
        /// The incident.
        incident: IncidentId,
        /// The finding.
        finding: FindingId,
    },
    /// A decision was made (also when it is to do nothing yet).
    Decided {
        /// The incident.
        incident: IncidentId,
        /// The reasoning.
        ledger: Ledger,
    },
    /// An incident changed its state.
    IncidentMoved {
        /// The incident.
        incident: IncidentId,
        /// The new state.
        state: IncidentState,
        /// Why or by whom, for people.
        because: String,
    },
    /// An order was decided. Durable before it is dispatched, with the one exception of the blueprint.
    Intended {
        /// The order.
        order: Order,
    },
    /// A person agreed to an order.
    Approved {
        /// Which.
        key: OrderKey,
        /// Who.
        by: String,
    },
    /// A person refused an order.
    Vetoed {
        /// Which.
        key: OrderKey,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// An order was handed to the network.
    Dispatched {
        /// Which.
        key: OrderKey,
        /// Counts from 1.
        attempt: u32,
        /// What was simulated and sent.
        prepared: Prepared,
        /// One entry per relayer lane used.
        sent: Vec<Sent>,
    },
    /// What was out for an order was replaced at a higher price, or sent on another lane as well.
    Replaced {
        /// Which.
        key: OrderKey,
        /// What is out now beside what was sent before.
        sent: Vec<Sent>,
    },
    /// An attempt to hand an order to the network failed; it will be tried again.
    DispatchFailed {
        /// Which.
        key: OrderKey,
        /// Counts from 1.
        attempt: u32,
        /// Why, for people.
        reason: String,
    },
    /// An order may not go out yet though it is released: what it rests on is not settled enough.
    Held {
        /// Which.
        key: OrderKey,
        /// What it waits for, for people.
        because: String,
    },
    /// The block in which an order had its effect was reorganised out: its outcome is open again.
    Reopened {
        /// Which.
        key: OrderKey,
        /// Why, for people.
        because: String,
    },
    /// The outcome of an order is known from the chain.
    Settled {
        /// Which.
        key: OrderKey,
        /// What became of it.
        outcome: Outcome,
    },
    /// We cannot look: the cursor holds at the block before `from`.
    Blind {
        /// Which chain.
        chain: ChainId,
        /// First block that could not be evaluated.
        from: u64,
        /// Why, for people.
        because: String,
    },
    /// We can look again.
    Sighted {
        /// Which chain.
        chain: ChainId,
        /// The first block evaluated again.
        at: u64,
    },
    /// A message for people was issued, and who is to receive it. Durable before the first delivery
    /// begins.
    Issued {
        /// The message.
        alert: Alert,
        /// Ids of the notifiers in the plan.
        to: Vec<String>,
    },
    /// A message that repeats what people know was not issued.
    Throttled {
        /// Its thread.
        dedup: String,
        /// The text.
        text: String,
    },
    /// A receiver took a message.
    Delivered {
        /// Which message.
        alert: AlertId,
        /// Id of the notifier in the plan.
        sink: String,
        /// Counts from 1.
        attempt: u32,
    },
    /// A receiver did not take a message.
    DeliveryFailed {
        /// Which message.
        alert: AlertId,
        /// Id of the notifier in the plan.
        sink: String,
        /// Counts from 1.
        attempt: u32,
        /// Why, for people.
        because: String,
        /// When it is tried again.
        not_before: Timestamp,
    },
    /// A message is not offered to a receiver any more.
    Undeliverable {
        /// Which message.
        alert: AlertId,
        /// Id of the notifier in the plan.
        sink: String,
        /// Why, for people.
        because: String,
    },
    /// A message for a person, as written before messages had an id and receivers. Not written any
    /// more.
    Alerted {
        /// The incident, if it belongs to one.
        incident: Option<IncidentId>,
        /// The text.
        text: String,
    },
    /// A standing authority was proved against the head, or failed the proof.
    Readiness {
        /// Id of the action.
        action: String,
        /// Whether it would work now.
        ready: bool,
        /// What is wrong, for people; empty if nothing.
        because: Vec<String>,
    },
    /// Something happened in a run of a playbook. It does not concern the engine.
    Playbook {
        /// The run.
        run: B256,
        /// The event, as `cofferdam-playbook` wrote it.
        event: serde_json::Value,
    },
    /// Something happened in a case that people work on. It does not concern the engine.
    Case {
        /// The case.
        case: B256,
        /// The event, as `cofferdam-respond`, `cofferdam-statements` or `cofferdam-recovery` wrote it.
        event: serde_json::Value,
    },
    /// The engine's whole state, so that a restart reads only what follows.
    Snapshot {
        /// Version of the state's format.
        version: u32,
        /// The state as JSON.
        state: serde_json::Value,
    },
}

/// Who serves a block is the first to vouch for it.
fn one() -> u16 {
    1
}

/// A rule's state, as the rule itself wrote it.
pub type Memo = serde_json::Value;

/// A record in its place in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Position, counting from 0 without gaps.
    pub seq: u64,
    /// When it was appended, by the clock of the appending machine.
    pub at: Timestamp,
    /// Hash of the previous entry; zero for the first.
    pub prev: B256,
    /// SHA-256 over domain tag, `seq`, `at`, `prev` and the record's bytes as stored.
    pub hash: B256,
    /// The record.
    pub record: Record,
}
