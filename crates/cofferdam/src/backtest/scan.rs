//! Every detector of a plan over a folder of Parquet files, without incidents and decisions.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use cofferdam_backtest::{Detections, Scan};
use cofferdam_columns::{Dataset, Folder, Wanted};
use cofferdam_core::{ChainId, Observation, plan::Plan};

use super::{Failure, order::in_order};
use crate::replay::ReplayError;

/// What a scan came to.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Scanned {
    /// Rules.
    pub rules: usize,
    /// Of these, with a memory.
    pub stateful: usize,
    /// Blocks in the files.
    pub blocks: u64,
    /// Logs in the files.
    pub logs: u64,
    /// Findings.
    pub detections: Detections,
}

/// Scans the Parquet files of `data` under `plan` on `threads` threads.
///
/// # Errors
/// If files or plan cannot be used.
pub fn scan(
    data: &Path,
    plan: &Plan,
    threads: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Scanned, Failure> {
    let bad = |it| ReplayError::new("Parquet files", it);
    let folder = Folder::open(data).map_err(bad)?;
    let none = || {
        ReplayError::new(data.display().to_string(), "there are no Parquet files in cryo's layout")
    };
    let folder = folder.ok_or_else(none)?;
    let only = plan.chains.first().map_or(ChainId(1), |it| it.id);
    let chain = folder.chain().map_err(bad)?.unwrap_or(only);
    let (first, mut stateful) = Scan::halves(plan, chain)?;
    let wanted = wanted(&[&first, &stateful]);
    let slices = folder.slices();
    let mut all = Detections::default();
    let counts = (first.rules().len(), stateful.rules().len());
    let spare = Mutex::new(vec![first]);
    let make = |at: usize| -> Result<(Vec<Observation>, Detections), Failure> {
        let slice = slices.get(at).copied().ok_or(Failure::Lost)?;
        let read = folder.read(slice, chain, wanted.as_ref()).map_err(bad)?;
        // Without memory it does not matter which block one of them saw before.
        let idle = spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut stateless = match idle {
            Some(it) => it,
            None => Scan::halves(plan, chain)?.0,
        };
        let mut found = Detections::default();
        let mut blocks = Vec::new();
        for (mut block, _) in read {
            // A block that concerns nobody cannot be found anything about.
            if wanted.is_some() && block.txs.is_empty() {
                continue;
            }
            block.decode_facts();
            stateless.see(&block, &mut found);
            blocks.push(block);
        }
        spare.lock().unwrap_or_else(PoisonError::into_inner).push(stateless);
        Ok((blocks, found))
    };
    in_order((0, slices.len()), threads, &make, &mut |at, (blocks, found)| {
        all.join(&found);
        // Rules with a memory go on from slice to slice.
        for block in &blocks {
            stateful.see(block, &mut all);
        }
        progress(at + 1, slices.len());
        Ok(())
    })?;
    Ok(Scanned {
        rules: counts.0 + counts.1,
        stateful: counts.1,
        blocks: folder.rows(Dataset::Blocks),
        logs: folder.rows(Dataset::Logs),
        detections: all,
    })
}

/// What the rules are interested in; `None` if one wants every block.
fn wanted(halves: &[&Scan]) -> Option<Wanted> {
    let mut out = Wanted::default();
    for it in halves {
        if it.rules().wants_every_block() {
            return None;
        }
        out.accounts.extend(it.rules().touched());
        out.signatures.extend(it.rules().topics());
        out.logs.extend(it.rules().logs());
    }
    Some(out)
}
