//! Pending transactions: believed only if they could be included, then simulated on the head.

use std::sync::Arc;

use alloy_primitives::U256;
use cofferdam_core::{
    BlockEnv, BlockRef, Observation, Stage, Tx,
    ports::{StateError, StateSource},
    read::Readings,
};
use cofferdam_engine::Engine;
use cofferdam_sim::{On, Rules, SimError, next_block, simulate::simulate_after};

/// Seconds after the head at which a pending transaction is simulated.
const NEXT_BLOCK_SECONDS: u64 = 12;

/// Simulates `tx` on `head` and answers the state reads that the rules want, before and after it.
/// `None` if the transaction cannot be included as it is (nonce, balance, fee cap), or if its
/// simulation lacked state: neither is evidence.
///
/// `env` is the head's (or the next block's) header.
///
/// # Errors
/// If the state source failed.
pub fn simulate_pending(
    tx: Tx,
    head: BlockRef,
    env: &BlockEnv,
    state: &Arc<dyn StateSource>,
    engine: &Engine,
) -> Result<Option<Observation>, SimError> {
    if !includable(&tx, env, &**state)? {
        return Ok(None);
    }
    let rules = Rules::of(head.chain);
    let (block, next) = next_block(&head, env, NEXT_BLOCK_SECONDS);
    let on = On { block: &block, env: &next, state: &**state, rules: &rules };
    let first = match simulate_after(&[], &tx, &[], on) {
        Ok(it) => it.tx,
        // Valid transactions only: what cannot be executed cannot do harm.
        Err(SimError::InvalidTx { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    if !first.tracing.is_evidence() {
        return Ok(None);
    }
    let mut observation = Observation {
        block: head,
        env: env.clone(),
        stage: Stage::Pending,
        witnesses: 1,
        txs: vec![first],
        readings: Readings::default(),
    };
    observation.decode_facts();
    let wanted = engine.wanted_reads(&observation);
    if !wanted.is_empty() {
        observation.readings = simulate_after(&[], &tx, &wanted, on)?.readings;
    }
    Ok(Some(observation))
}

/// Whether a block could hold the transaction now: next nonce, fee cap not below the base fee, and
/// enough balance for gas and value.
fn includable(tx: &Tx, env: &BlockEnv, state: &dyn StateSource) -> Result<bool, SimError> {
    let account = match state.account(tx.from) {
        Ok(it) => it.unwrap_or_default(),
        Err(StateError::Missing) => return Ok(false),
        Err(StateError::Unavailable(cause)) => return Err(SimError::Unavailable(cause)),
    };
    let gas = U256::from(tx.gas_limit).saturating_mul(U256::from(tx.max_fee_per_gas));
    let pays = account.balance >= gas.saturating_add(tx.value);
    Ok(tx.nonce == account.nonce && pays && tx.max_fee_per_gas >= u128::from(env.base_fee))
}
