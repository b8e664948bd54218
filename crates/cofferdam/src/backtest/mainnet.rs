//! Recorded mainnet blocks with their state: executed, under the plan given or a generic one per block.

use std::{path::PathBuf, sync::Arc};

use cofferdam_core::Observation;
use cofferdam_observe::recorded::{BlockRow, MainnetBlocks, load_block_index};
use cofferdam_sim::{ExecuteOptions, Rules, execute_block};

use super::source::{Known, Loaded, Piece, Source};
use crate::replay::{ReplayError, most_active, plan, state_after};

/// All blocks, or one of them under a plan of its own.
pub(super) struct Mainnet {
    blocks: Arc<MainnetBlocks>,
    rules: Arc<Rules>,
    rows: Vec<BlockRow>,
    generic: bool,
}

/// Opens the folder.
///
/// # Errors
/// If a file cannot be read.
pub(super) fn open(folder: PathBuf) -> Result<(Arc<MainnetBlocks>, Vec<BlockRow>), ReplayError> {
    let blocks =
        MainnetBlocks::open(&folder).map_err(|it| ReplayError::new("mainnet-blocks", it))?;
    let rows = load_block_index(&folder.join("index.csv"));
    let mut rows = rows.map_err(|it| ReplayError::new("mainnet-blocks/index.csv", it))?;
    rows.sort_by_key(|it| it.number);
    Ok((Arc::new(blocks), rows))
}

impl Mainnet {
    pub(super) fn new(blocks: Arc<MainnetBlocks>, rows: Vec<BlockRow>, generic: bool) -> Self {
        Self { blocks, rules: Arc::new(Rules::mainnet()), rows, generic }
    }

    /// A block as executed, and what is known around it.
    pub(super) fn block(&self, at: usize) -> Result<(Observation, Known), ReplayError> {
        let row = self
            .rows
            .get(at)
            .ok_or_else(|| ReplayError::new("no such block", "beyond the last"))?;
        let what = format!("block {}", row.number);
        let recorded =
            self.blocks.load(row.number).map_err(|it| ReplayError::new(what.clone(), it))?;
        let options = ExecuteOptions { rules: Rules::clone(&self.rules) };
        let executed = execute_block(&recorded.observation, &recorded.state, &options);
        let mut block = executed.map_err(|it| ReplayError::new(what, it))?.observation;
        block.decode_facts();
        let after = state_after(&recorded.state, &block.txs);
        let known = Known::Chain {
            before: Arc::new(recorded.state),
            after: Arc::new(after),
            rules: Arc::clone(&self.rules),
        };
        Ok((block, known))
    }
}

impl Source for Mainnet {
    fn pieces(&self) -> usize {
        self.rows.len()
    }

    fn load(&self, at: usize) -> Result<Piece, ReplayError> {
        let (block, known) = self.block(at)?;
        let own = match &known {
            Known::Chain { before, .. } if self.generic => {
                let entities = most_active(&block, before);
                Some(plan(1, serde_json::Value::Array(entities), &serde_json::Map::new())?)
            }
            _ => None,
        };
        let blocks = vec![Loaded::whole(block, known)];
        Ok(Piece { plan: own, blocks, ..Piece::default() })
    }
}
