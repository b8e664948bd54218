//! Calls that nobody has made yet, tried on the block's own state: no node hands back what they would do.

use cofferdam_core::{
    Observation,
    read::{Answer, Reading, StateRead},
};
use cofferdam_observe::rpc::{RpcState, RpcStates};
use cofferdam_sim::{On, Rules, SimError, answer_reads, next_block};

use super::chain_of;

/// Seconds after the block at which calls without a time of their own are tried.
const NEXT_BLOCK_SECONDS: u64 = 12;

/// Answers the rehearsals that the reader left open.
///
/// # Errors
/// If state could not be had, in words.
pub async fn rehearse(observation: Observation, states: &RpcStates) -> Result<Observation, String> {
    let open = |(read, it): &(&StateRead, &Reading)| {
        matches!(read, StateRead::Rehearsal(_)) && it.after == Answer::Unavailable
    };
    let wanted: Vec<StateRead> =
        observation.readings.iter().filter(open).map(|it| it.0.clone()).collect();
    if wanted.is_empty() {
        return Ok(observation);
    }
    let state = states.at(observation.block);
    match tokio::task::spawn_blocking(move || answer(observation, wanted, &state)).await {
        Ok(Ok(it)) => Ok(it),
        Ok(Err(error)) => Err(chain_of(&error)),
        Err(error) => Err(format!("rehearsal stopped: {error}")),
    }
}

fn answer(
    mut observation: Observation,
    wanted: Vec<StateRead>,
    state: &RpcState,
) -> Result<Observation, SimError> {
    let rules = Rules::of(observation.block.chain);
    let (block, env) = next_block(&observation.block, &observation.env, NEXT_BLOCK_SECONDS);
    let on = On { block: &block, env: &env, state, rules: &rules };
    let answers = answer_reads(&wanted, on)?;
    for (question, after) in wanted.into_iter().zip(answers) {
        let reading = Reading { before: Answer::Unavailable, after };
        observation.readings.insert(question, reading);
    }
    Ok(observation)
}
