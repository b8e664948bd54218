//! The rules of a plan on one chain: configured detectors behind a hash index.
//!
//! **Invariant:** a transaction costs look-ups in proportion to what it touches, not to the number of
//! rules, and a miss allocates nothing.

use cofferdam_core::{
    ChainId, Finding, Observation, Tx, plan::Plan, read::StateRead, record::Memo,
};

use crate::BuildError;

/// All rules of a plan on one chain.
#[derive(Debug)]
pub struct RuleSet {}

/// What an observation led to.
#[derive(Debug, Default)]
pub struct Evaluation {
    /// The findings, in order of transaction, then rule.
    pub findings: Vec<Finding>,
    /// The rules whose state changed, with the state before (`None`: as built) and after.
    pub changed: Vec<(String, Option<Memo>, Memo)>,
}

impl RuleSet {
    /// Builds every rule of `plan` that concerns `chain`.
    ///
    /// # Errors
    /// The first rule that cannot be built.
    pub fn build(_plan: &Plan, _chain: ChainId) -> Result<Self, BuildError> {
        Ok(Self {})
    }

    /// The state reads wanted for an observation with these transactions, sorted, each once.
    pub fn wanted(&self, _txs: &[Tx]) -> Vec<StateRead> {
        Vec::new()
    }

    /// Folds a block into the rules.
    pub fn observe(&mut self, _observation: &Observation) -> Evaluation {
        Evaluation::default()
    }

    /// Looks at a pending transaction: as [`RuleSet::observe`], but every rule keeps its state.
    pub fn peek(&mut self, _observation: &Observation) -> Vec<Finding> {
        Vec::new()
    }

    /// Gives a rule back an earlier state (`None`: as built). An unknown rule is ignored: the plan may
    /// have changed since the memo was written.
    pub fn recall(&mut self, _rule: &str, _memo: Option<&Memo>) {}
}
