//! What is solved once, when a plan is loaded.

use std::sync::Arc;

use cofferdam_core::plan::Decision;
use cofferdam_risk::waiting::{WAITING_BLOCKS_MAX, WaitingTable};

/// Fewest blocks a table is solved for.
const BLOCKS_MIN: u64 = 16;
/// A drain may turn out to be so many times slower than planned before the table's end is used for it:
/// waiting then looks a little cheaper than it is, never cheaper than in the one-shot rule.
const SLOWER: u64 = 2;

/// The tables of a plan's decision. A clone shares them.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables {
    /// When to act and when to wait, for every cost, loss and posterior.
    pub(crate) waiting: Arc<WaitingTable>,
}

impl Tables {
    /// Solves the tables: below a millisecond for a drain of ten blocks.
    #[allow(clippy::expect_used, reason = "both arguments are clamped to what `solve` accepts")]
    pub fn of(decision: &Decision) -> Self {
        let most = WAITING_BLOCKS_MAX as u64;
        let blocks = decision.drain_blocks.saturating_mul(SLOWER).clamp(BLOCKS_MIN, most);
        let waiting = WaitingTable::solve(blocks as usize, decision.evidence_millisigma.max(1))
            .expect("arguments in range");
        Self { waiting: Arc::new(waiting) }
    }
}
