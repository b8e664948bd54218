//! A folder of Parquet files in cryo's layout.

use std::sync::Arc;

use cofferdam_backtest::Asked;
use cofferdam_columns::{Folder, Slice};
use cofferdam_core::ChainId;

use super::source::{Known, Loaded, Piece, Source};
use crate::replay::ReplayError;

/// The slices of a folder.
pub(super) struct Columns {
    folder: Arc<Folder>,
    chain: ChainId,
    slices: Vec<Slice>,
}

impl Columns {
    pub(super) fn new(folder: Arc<Folder>, chain: ChainId) -> Self {
        let slices = folder.slices();
        Self { folder, chain, slices }
    }
}

impl Source for Columns {
    fn pieces(&self) -> usize {
        self.slices.len()
    }

    fn load(&self, at: usize) -> Result<Piece, ReplayError> {
        let Some(slice) = self.slices.get(at).copied() else { return Ok(Piece::default()) };
        let blocks = self.folder.read(slice, self.chain, None);
        let blocks = blocks.map_err(|it| ReplayError::new("Parquet files", it))?;
        let none = Arc::new(Asked::new());
        let loaded = |(mut block, txs): (cofferdam_core::Observation, u32)| {
            block.decode_facts();
            Loaded { block, txs, known: Known::Recorded(Arc::clone(&none)) }
        };
        Ok(blocks.into_iter().map(loaded).collect::<Vec<_>>().into())
    }
}
