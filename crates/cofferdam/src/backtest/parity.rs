//! Blocks recorded as Parity traces: honest liquidations, arbitrage, flash loans. No state, no logs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cofferdam_backtest::Asked;
use cofferdam_core::ChainId;
use cofferdam_observe::recorded::load_parity_block;

use super::source::{Known, Loaded, Piece, Source};
use crate::replay::{ReplayError, busiest, plan, transfers};

/// The blocks of a folder, or one of them under a plan of its own.
pub(super) struct Parity {
    files: Vec<PathBuf>,
    generic: bool,
}

/// The files of a folder, by name.
///
/// # Errors
/// If it cannot be read.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, ReplayError> {
    let failed = |it| ReplayError::new(folder.display().to_string(), it);
    let mut out = Vec::new();
    for it in std::fs::read_dir(folder).map_err(failed)? {
        out.push(it.map_err(failed)?.path());
    }
    out.sort();
    Ok(out)
}

impl Parity {
    pub(super) fn new(files: Vec<PathBuf>, generic: bool) -> Self {
        Self { files, generic }
    }
}

impl Source for Parity {
    fn pieces(&self) -> usize {
        self.files.len()
    }

    fn load(&self, at: usize) -> Result<Piece, ReplayError> {
        let Some(file) = self.files.get(at) else { return Ok(Piece::default()) };
        let block = load_parity_block(file, ChainId(1));
        let mut block = block.map_err(|it| ReplayError::new(file.display().to_string(), it))?;
        for tx in &mut block.txs {
            tx.logs = transfers(tx);
        }
        let loaded = Loaded::whole(block, Known::Recorded(Arc::new(Asked::new())));
        let own = match self.generic {
            true => {
                let entities = serde_json::Value::Array(busiest(&loaded.block));
                Some(plan(1, entities, &serde_json::Map::new())?)
            }
            false => None,
        };
        Ok(Piece { plan: own, blocks: vec![loaded], ..Piece::default() })
    }
}
