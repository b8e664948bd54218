//! A strand: one sequence of blocks under one plan, and what can be asked of the state around each of them.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::B256;
use cofferdam_backtest::{Asked, Labels, StrandLine};
use cofferdam_core::{
    Observation, Usd,
    plan::Plan,
    read::{Answer, Reading, StateRead},
    snapshot::Snapshot,
};
use cofferdam_sim::{Act, Rules};

use crate::replay::{ReplayError, World};

/// State reads answered at once.
const READS_AT_ONCE: usize = 5_000;

/// One sequence of blocks under one plan.
pub(crate) struct Strand {
    /// Name and extent.
    pub(crate) line: StrandLine,
    /// The plan; `None`: the strand's only piece brings its own.
    pub(crate) plan: Option<Plan>,
    /// What the data tells of losses, by transaction.
    pub(crate) priced: BTreeMap<B256, Usd>,
    /// The blocks.
    pub(crate) source: Box<dyn Source>,
}

/// Where blocks come from.
pub(crate) trait Source: Send + Sync {
    /// How many pieces there are.
    fn pieces(&self) -> usize;

    /// Loads a piece.
    ///
    /// # Errors
    /// If it cannot be read.
    fn load(&self, at: usize) -> Result<Piece, ReplayError>;
}

/// A part of a strand.
#[derive(Default)]
pub(crate) struct Piece {
    /// The plan, if the strand has none.
    pub(crate) plan: Option<Plan>,
    /// Blocks in order, facts decoded.
    pub(crate) blocks: Vec<Loaded>,
    /// What is known of its transactions.
    pub(crate) labels: Labels,
}

impl From<Vec<Loaded>> for Piece {
    fn from(blocks: Vec<Loaded>) -> Self {
        Self { blocks, ..Self::default() }
    }
}

/// A block that was loaded.
pub(crate) struct Loaded {
    /// The block, its facts decoded.
    pub(crate) block: Observation,
    /// How many transactions it has; more than are there if those that concern nobody were left out.
    pub(crate) txs: u32,
    /// What is known around it.
    pub(crate) known: Known,
}

/// What can be asked around a block.
#[derive(Clone)]
pub(crate) enum Known {
    /// Nothing but what was recorded with it.
    Recorded(Arc<Asked>),
    /// State before and after it, under the rules of a chain.
    Chain { before: Arc<Snapshot>, after: Arc<Snapshot>, rules: Arc<Rules> },
    /// State before and after it, in a re-enactment.
    Act { before: Arc<Snapshot>, after: Arc<Snapshot>, act: Arc<Act> },
}

impl Known {
    /// Answers `reads` before and after `block`.
    ///
    /// # Errors
    /// If state cannot be read at all.
    pub(crate) fn answer(
        &self,
        reads: &[StateRead],
        block: &Observation,
    ) -> Result<Asked, ReplayError> {
        let (world, before, after) = match self {
            Self::Recorded(known) => {
                let none = || Reading { before: Answer::Unavailable, after: Answer::Unavailable };
                let answer = |it: &StateRead| known.get(it).cloned().unwrap_or_else(none);
                return Ok(reads.iter().map(|it| (it.clone(), answer(it))).collect());
            }
            Self::Chain { before, after, rules } => (World::Chain(rules), &**before, &**after),
            Self::Act { before, after, act } => (World::Act(act), &**before, &**after),
        };
        let mut out = Asked::new();
        for part in reads.chunks(READS_AT_ONCE) {
            let before = world.answer(part, block, before)?;
            let after = world.answer(part, block, after)?;
            let pairs = before.into_iter().zip(after);
            for (read, (before, after)) in part.iter().zip(pairs) {
                out.insert(read.clone(), Reading { before, after });
            }
        }
        Ok(out)
    }
}

impl Loaded {
    /// A block with all its transactions.
    pub(crate) fn whole(mut block: Observation, known: Known) -> Self {
        block.decode_facts();
        let txs = u32::try_from(block.txs.len()).unwrap_or(u32::MAX);
        Self { block, txs, known }
    }
}
