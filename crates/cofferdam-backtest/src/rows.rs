//! What one pass leaves behind, row by row: the raw material of every figure, and the input of calibration.
//!
//! **Invariant:** integers and names only, in the order of the blocks; equal passes give equal bytes.

use alloy_primitives::B256;
use cofferdam_core::{ChainId, Class, Severity, Usd};
use serde::{Deserialize, Serialize};

use crate::Label;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "row", rename_all = "kebab-case")]
pub enum Row {
    /// A block was looked at.
    Block(BlockRow),
    /// A transaction (or a block as a whole) that something was found about, or that is labelled.
    Tx(TxRow),
    /// The engine weighed an incident.
    Decided(DecidedRow),
    /// The engine decided an order.
    Ordered(OrderedRow),
}

/// A block that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRow {
    /// The strand it is of.
    pub strand: String,
    /// Its chain.
    pub chain: ChainId,
    /// Recorded number.
    pub number: u64,
    /// Milliseconds since the Unix epoch.
    pub time: u64,
    /// Its transactions.
    pub txs: u32,
    /// Findings that say that something could not be looked at.
    pub blind: u32,
    /// Reads that the data could not answer.
    pub unanswered: u32,
}

/// What was found about one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxRow {
    /// The strand.
    pub strand: String,
    /// The chain.
    pub chain: ChainId,
    /// Recorded number of its block.
    pub number: u64,
    /// Place of the block among those of its chain in the strand, counting from 0: blocks as time goes by.
    pub place: u64,
    /// Milliseconds since the Unix epoch.
    pub time: u64,
    /// The transaction; `None`: the block as a whole.
    pub tx: Option<B256>,
    /// The entity it is most strongly about; empty if nothing was found.
    pub entity: String,
    /// Log-odds of an attack after it, in thousandths of a nat: the engine's posterior if it weighed an incident of
    /// the entity in this block, else prior and own evidence.
    pub score: i64,
    /// The worst severity; `None` if nothing was found.
    pub severity: Option<Severity>,
    /// Each rule that spoke.
    pub rules: Vec<RuleScore>,
    /// Loss according to the findings, per entity the largest, or what the data says it is.
    pub loss: Usd,
    /// What is known of it.
    pub label: Option<Label>,
    /// The loudest finding's sentence.
    pub summary: String,
}

/// One rule's word about a transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleScore {
    /// The rule.
    pub rule: String,
    /// Its detector.
    pub detector: String,
    /// The entity.
    pub entity: String,
    /// How bad.
    pub severity: Severity,
    /// What kind of belief.
    pub class: Class,
    /// Thousandths of a nat.
    pub llr: i32,
}

/// The engine weighed an incident because something new was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecidedRow {
    /// The strand.
    pub strand: String,
    /// The chain.
    pub chain: ChainId,
    /// Recorded number of the block.
    pub number: u64,
    /// Place of the block, as in [`TxRow::place`].
    pub place: u64,
    /// Milliseconds since the Unix epoch.
    pub time: u64,
    /// The incident's short name.
    pub incident: String,
    /// The entity.
    pub entity: String,
    /// Posterior in parts per billion.
    pub posterior: u32,
    /// The action chosen, if one is worth it.
    pub chosen: Option<String>,
    /// The posterior at which each action becomes worth it today, in parts per billion.
    pub thresholds: Vec<(String, u32)>,
}

/// The engine decided an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedRow {
    /// The strand.
    pub strand: String,
    /// The chain of the block that led to it.
    pub chain: ChainId,
    /// Recorded number of that block.
    pub number: u64,
    /// Place of the block, as in [`TxRow::place`].
    pub place: u64,
    /// Milliseconds since the Unix epoch.
    pub time: u64,
    /// The entity.
    pub entity: String,
    /// The action.
    pub action: String,
    /// Whether it would go out without a person.
    pub automatic: bool,
    /// Blocks from the decision to the effect.
    pub effect_blocks: u64,
}
