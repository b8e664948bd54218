//! Call trees and diffs by our own execution, where the node serves none.
//!
//! **Invariant:** what is executed on guessed state is thrown away; the result rests on state that a
//! node served for the block's parent.

use std::time::{Duration, Instant};

use cofferdam_core::{
    Observation,
    ports::{Ahead as _, StateError},
};
use cofferdam_observe::rpc::{RpcState, RpcStates};
use cofferdam_sim::{ExecuteOptions, SimError, reexecute_block};

use super::{chain_of, parent_of};

/// How often a block is executed on what is known to learn what else it reads. Each round reaches one
/// read further along the longest chain of reads that depend on each other.
const ROUNDS_MAX: usize = 32;
/// Guessing stops after this long: on guessed state a hostile transaction may burn its whole gas
/// limit in every round.
const GUESSING_MAX: Duration = Duration::from_secs(3);

/// Fills in call trees and diffs by our own execution where the node served none. State that cannot
/// be had now holds the block; a result that differs from the receipts is marked as a mismatch, which
/// the rules report as blindness.
///
/// # Errors
/// If state could not be had, in words.
pub async fn retrace(observation: Observation, states: &RpcStates) -> Result<Observation, String> {
    let traced = observation.txs.iter().all(|it| it.tracing.is_evidence());
    if traced || observation.txs.is_empty() {
        return Ok(observation);
    }
    let parent = states.at(parent_of(&observation.block));
    match tokio::task::spawn_blocking(move || execute(&observation, &parent)).await {
        Ok(Ok(it)) => Ok(it),
        Ok(Err(error)) => Err(chain_of(&error)),
        Err(error) => Err(format!("re-execution stopped: {error}")),
    }
}

fn execute(block: &Observation, parent: &RpcState) -> Result<Observation, SimError> {
    let options = ExecuteOptions::of(&block.block);
    let began = Instant::now();
    let ahead = parent.prefetch();
    block.txs.iter().for_each(|it| ahead.hint(it));
    ahead.fetch().map_err(unavailable)?;
    for _ in 0..ROUNDS_MAX {
        let guess = reexecute_block(block, &ahead, &options)?;
        if ahead.fetch().map_err(unavailable)? == 0 {
            return Ok(guess.observation);
        }
        if began.elapsed() > GUESSING_MAX {
            break;
        }
    }
    reexecute_block(block, parent, &options).map(|it| it.observation)
}

/// State that could not be had, as a simulation tells it.
pub(super) fn unavailable(error: StateError) -> SimError {
    match error {
        StateError::Unavailable(cause) => SimError::Unavailable(cause),
        StateError::Missing => SimError::Unavailable(error.into()),
    }
}
