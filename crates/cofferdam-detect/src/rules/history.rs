//! What a back-test asks of rules beside what the engine asks: what to look for in files, and states at seams.
//!
//! **Invariant:** changes nothing of what a rule does; only when its state is asked for differs.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};
use cofferdam_core::{Finding, Observation, record::Memo};

use super::{RuleSet, Running};

impl RuleSet {
    /// Those of them of which any rule wants whatever touches them.
    pub fn touched(&self) -> impl Iterator<Item = Address> {
        self.index.touched()
    }

    /// The signatures that the rules are indexed on, in no order.
    pub fn topics(&self) -> impl Iterator<Item = B256> {
        self.index.topics()
    }

    /// The logs, by emitter and signature, that the rules are indexed on, in no order.
    pub fn logs(&self) -> impl Iterator<Item = (Address, B256)> {
        self.index.logs()
    }

    /// Whether a rule wants to be called for every block.
    pub fn wants_every_block(&self) -> bool {
        !self.index.every().is_empty()
    }

    /// Folds a block into the rules as [`RuleSet::observe`], but tells no state: for a back-test, which asks for
    /// it once in a while by [`RuleSet::memos`].
    pub fn advance(&mut self, observation: &Observation) -> Vec<Finding> {
        self.fold(observation)
    }

    /// The rules that keep a state, in order.
    pub fn stateful(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter(|it| it.built.is_some()).map(|it| it.id.as_str())
    }

    /// The present state of every rule that keeps one, by rule.
    pub fn memos(&self) -> BTreeMap<String, Memo> {
        let memo = |it: &Running| Some((it.id.clone(), it.detector.memo()?));
        self.rules.iter().filter_map(memo).collect()
    }
}
