//! Detectors: pure folds from observations to findings.
//!
//! **Architecture invariant:** a detector is synchronous, does no I/O, reads no clock and never sees a
//! reorganisation: the engine gives it back an earlier memo instead. A detector never asks a node; it
//! declares what it needs and the rim supplies it.
//!
//! **Architecture invariant:** frames and diffs that are not evidence ([`Tracing::is_evidence`]) and
//! answers that are [`Answer::Unavailable`] raise no finding except a *blind* one.
//!
//! [`Tracing::is_evidence`]: cofferdam_core::evidence::Tracing::is_evidence
//! [`Answer::Unavailable`]: cofferdam_core::read::Answer::Unavailable

#![cfg_attr(test, allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may panic"))]

mod around;
mod asked;
mod balances;
mod blind;
pub mod bridge;
mod calendar;
mod detectors;
mod expr;
#[cfg(test)]
mod fixture;
mod flows;
mod governance;
mod guarded;
mod index;
mod limit;
mod loss;
mod losses;
mod names;
mod pools;
mod ratio;
mod reads;
mod reentry;
mod report;
mod rules;
mod sketch;
mod suspicion;
mod watch;
mod window;

pub use around::{Around, Public};
pub use detectors::DETECTORS;
#[doc(hidden)]
pub use index::Index;
pub use rules::{EXTERNAL, Evaluation, RuleSet};
pub use sketch::{Shape, Sketch};
pub use suspicion::is_service;

use alloy_primitives::{Address, B256};
use cofferdam_core::{
    ChainId, Finding, Observation, Tx,
    plan::{Entity, Plan, Rule},
    read::StateRead,
    record::Memo,
};

use bridge::Crossing;

/// State reads that one rule may ask for because of one transaction; the rest is not asked.
pub const ASKED_PER_TX_MAX: usize = 256;

/// What a detector is, independent of its configuration.
#[derive(Debug)]
pub struct Meta {
    /// Kebab-case name, used in plans, findings and documentation.
    pub id: &'static str,
    /// The signal of `onchain.md` §2.2 it implements, e.g. `S01`.
    pub signal: &'static str,
    /// One phrase, without a full stop.
    pub summary: &'static str,
    /// What the rim must supply for it to be fully effective.
    pub needs: &'static [Need],
    /// The user's page.
    pub docs: &'static str,
}

/// What the rim supplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Logs of the block's receipts. Always there.
    Logs,
    /// Call trees.
    Frames,
    /// Storage, balance and code changes.
    Diff,
    /// Answers to state reads.
    Reads,
}

/// An entry of the registry: what a detector is, and how to build one from a rule.
pub struct Entry {
    /// What it is.
    pub meta: Meta,
    /// Builds it for one rule of a plan on one chain.
    pub build: fn(&BuildCx<'_>) -> Result<Box<dyn Detector>, BuildError>,
    /// JSON Schema of its settings.
    pub schema: fn() -> schemars::Schema,
}

/// What a detector is built from.
#[derive(Clone, Copy, Debug)]
pub struct BuildCx<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// The whole plan, for entities and the calendar.
    pub plan: &'a Plan,
    /// The chain it will watch.
    pub chain: ChainId,
}

/// Watches observations for one kind of attack.
///
/// Called for a transaction if the transaction touches one of its [interests](Detector::interests),
/// in order, then once per observation with at least one such transaction.
pub trait Detector: Send + std::fmt::Debug {
    /// What it wants to be called for. Asked once, after building.
    fn interests(&self) -> Vec<Interest>;

    /// State it wants to know at the block and its parent. Asked once, after building.
    fn questions(&self) -> Vec<Question> {
        Vec::new()
    }

    /// State it wants to know because of one transaction that touches its interests, before and after
    /// the observation: what no one can name before an attacker has shown himself. At most
    /// [`ASKED_PER_TX_MAX`] reads are taken.
    fn asks(&self, _tx: &Tx) -> Vec<StateRead> {
        Vec::new()
    }

    /// Looks at one transaction that touches its interests.
    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>);

    /// The ends of bridge messages in one transaction, for the engine to compare with the other chain.
    fn crossings(&self, _cx: &Context<'_>, _tx: &Tx) -> Vec<Crossing> {
        Vec::new()
    }

    /// What a transaction can be recognised by should somebody do the same.
    fn shape(&self, _cx: &Context<'_>, _tx: &Tx) -> Option<Shape> {
        None
    }

    /// Looks at the whole observation after its transactions. Called if any transaction touched an
    /// interest, or always if it is interested in [`Interest::EveryBlock`].
    fn on_block(&mut self, _cx: &Context<'_>, _out: &mut Vec<Finding>) {}

    /// Its whole state, or `None` if it has none. Equal state gives an equal memo.
    fn memo(&self) -> Option<Memo> {
        None
    }

    /// Takes back a state it gave with [`Detector::memo`]; `None` means the state after building.
    ///
    /// # Errors
    /// If the memo is not one of its own; the detector is then as after building.
    fn recall(&mut self, _memo: Option<&Memo>) -> Result<(), MemoError> {
        Ok(())
    }
}

/// What a detector wants to be called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interest {
    /// Transactions that touch an account: it emits a log, is a party of a transfer, is called, calls,
    /// is created, or its storage, code or balance changes.
    Account(Address),
    /// Logs with this signature, whoever emits them.
    Topic(B256),
    /// Logs of this emitter with this signature.
    Log(Address, B256),
    /// Every block (for [`Detector::on_block`]).
    EveryBlock,
}

/// A state read, and when it is worth asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What to read.
    pub read: StateRead,
    /// Ask only if a transaction of the observation touches one of these accounts; empty: always.
    pub touched: Vec<Address>,
}

/// What a detector is told about the observation as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The observation.
    pub observation: &'a Observation,
    /// What is known besides.
    pub around: &'a Around,
}

/// Why a detector could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No detector has this name.
    #[error("no detector is named `{id}`")]
    Unknown {
        /// The name given.
        id: String,
        /// The registered name most like it.
        nearest: Option<&'static str>,
    },
    /// The settings do not fit the detector.
    #[error("settings of rule `{rule}` are invalid")]
    Settings {
        /// The rule.
        rule: String,
        /// What is wrong, with the key's name.
        #[source]
        source: toml::de::Error,
    },
    /// The rule contradicts the rest of the plan.
    #[error("rule `{rule}` cannot work: {what}")]
    Unusable {
        /// The rule.
        rule: String,
        /// Why, for people.
        what: String,
        /// What to do.
        hint: String,
    },
}

/// A memo that is not one of the detector's own.
#[derive(Debug, thiserror::Error)]
#[error("state of rule does not fit its detector")]
pub struct MemoError(#[source] pub serde_json::Error);

impl<'a> BuildCx<'a> {
    /// The entities the rule watches on this chain.
    pub fn entities(&self) -> impl Iterator<Item = &'a Entity> + use<'a> {
        self.plan.watched(self.rule, self.chain)
    }

    /// The rule's settings as the detector's own type.
    ///
    /// # Errors
    /// [`BuildError::Settings`] if they do not fit.
    pub fn settings<T: serde::de::DeserializeOwned>(&self) -> Result<T, BuildError> {
        let table = toml::Value::Table(self.rule.settings.clone());
        table
            .try_into()
            .map_err(|source| BuildError::Settings { rule: self.rule.id.clone(), source })
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("meta", &self.meta).finish_non_exhaustive()
    }
}
