//! From what a source delivers to what the engine takes: facts decoded once, state reads answered.

use alloy_primitives::B256;
use cofferdam_core::{
    BlockRef, Observation, Timestamp,
    ports::{SourceError, StateReader},
    read::Reading,
};
use cofferdam_engine::Engine;

/// The parent of a block, as far as a state read needs it.
pub fn parent_of(block: &BlockRef) -> BlockRef {
    BlockRef {
        chain: block.chain,
        number: block.number.saturating_sub(1),
        hash: block.parent,
        parent: B256::ZERO,
        time: Timestamp(0),
    }
}

/// Decodes the facts of a block and answers the state reads that the rules want, at the block and at
/// its parent.
///
/// # Errors
/// If the reader as a whole cannot be asked: the block must be held and tried again.
pub async fn complete(
    mut observation: Observation,
    engine: &Engine,
    reader: &dyn StateReader,
) -> Result<Observation, SourceError> {
    observation.decode_facts();
    let wanted = engine.wanted_reads(&observation);
    if wanted.is_empty() {
        return Ok(observation);
    }
    let parent = parent_of(&observation.block);
    let (before, after) =
        tokio::join!(reader.read(&parent, &wanted), reader.read(&observation.block, &wanted));
    let pairs = before?.into_iter().zip(after?);
    for (question, (before, after)) in wanted.into_iter().zip(pairs) {
        observation.readings.insert(question, Reading { before, after });
    }
    Ok(observation)
}
