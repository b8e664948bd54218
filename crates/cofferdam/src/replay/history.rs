//! The history of a plan's entities in recorded mainnet blocks, re-executed, for `cofferdam learn`.
//!
//! **Invariant:** a transaction whose re-execution differs from its receipt teaches nothing; what cannot be
//! read is unavailable, never zero.

use std::path::Path;

use cofferdam_core::{
    ChainId, Observation,
    plan::Plan,
    read::{Reading, StateRead},
    snapshot::Snapshot,
};
use cofferdam_learn::{History, Subject, samples};
use cofferdam_observe::recorded::{MainnetBlocks, load_block_index};
use cofferdam_sim::{ExecuteOptions, Rules, execute_block};

use super::{ReplayError, state_after, watcher::World};

/// The chain of the recorded blocks.
const MAINNET: ChainId = ChainId(1);

/// Reads every recorded block of `data` and returns the history of each entity of `plan` that has
/// contracts on mainnet. `progress` is told how many blocks of how many are done.
///
/// # Errors
/// If a file cannot be read or a block cannot be executed at all.
pub fn history(
    data: &Path,
    plan: &Plan,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<History>, ReplayError> {
    let entities = plan.entities.iter().filter(|it| it.addresses(MAINNET).next().is_some());
    let subjects = entities.map(|it| Subject::new(it, it.addresses(MAINNET)));
    let mut histories: Vec<History> = subjects.map(History::new).collect();
    let folder = data.join("mainnet-blocks");
    let blocks =
        MainnetBlocks::open(&folder).map_err(|it| ReplayError::new("mainnet-blocks", it))?;
    let index = load_block_index(&folder.join("index.csv"));
    let index = index.map_err(|it| ReplayError::new("mainnet-blocks/index.csv", it))?;
    let rules = Rules::mainnet();
    for (done, row) in index.iter().enumerate() {
        progress(done, index.len());
        let what = format!("block {}", row.number);
        let recorded = blocks.load(row.number).map_err(|it| ReplayError::new(what.clone(), it))?;
        let options = ExecuteOptions { rules: rules.clone() };
        let executed = execute_block(&recorded.observation, &recorded.state, &options);
        let mut block = executed.map_err(|it| ReplayError::new(what, it))?.observation;
        block.decode_facts();
        let touched = |it: &&History| !samples(it.subject(), &block).0.is_empty();
        let reads = histories.iter().filter(touched).flat_map(|it| it.subject().reads());
        let mut reads: Vec<StateRead> = reads.collect();
        reads.sort_unstable();
        reads.dedup();
        let after = state_after(&recorded.state, &block.txs);
        answer(&mut block, reads, &recorded.state, &after, &rules)?;
        histories.iter_mut().for_each(|it| it.see(&block));
    }
    progress(index.len(), index.len());
    Ok(histories)
}

/// Answers `reads` on both states.
fn answer(
    block: &mut Observation,
    reads: Vec<StateRead>,
    before: &Snapshot,
    after: &Snapshot,
    rules: &Rules,
) -> Result<(), ReplayError> {
    let world = World::Chain(rules);
    let before = world.answer(&reads, block, before)?;
    let after = world.answer(&reads, block, after)?;
    for (question, (before, after)) in reads.into_iter().zip(before.into_iter().zip(after)) {
        block.readings.insert(question, Reading { before, after });
    }
    Ok(())
}
