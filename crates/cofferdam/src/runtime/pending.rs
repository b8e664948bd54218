//! Pending transactions: believed only if they could be included, then simulated on the head.

use std::sync::Arc;

use alloy_primitives::U256;
use cofferdam_core::{
    BlockEnv, BlockRef, Observation, Stage, Tx,
    ports::{StateError, StateSource},
    read::{Readings, StateRead},
};
use cofferdam_observe::rpc::{Prefetch, RpcState};
use cofferdam_sim::{On, Rules, SimError, next_block, simulate::simulate_after};

use super::retrace::unavailable;

/// Seconds after the head at which a pending transaction is simulated.
const NEXT_BLOCK_SECONDS: u64 = 12;
/// How often a simulation is repeated on what is known to learn what else it reads.
const GUESSES_MAX: usize = 16;

/// Where a pending transaction is simulated.
#[derive(Clone)]
pub struct Ground {
    /// The head.
    pub head: BlockRef,
    /// Its header, or the next block's.
    pub env: BlockEnv,
    /// State at the head.
    pub state: Arc<dyn StateSource>,
}

impl std::fmt::Debug for Ground {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ground").field("head", &self.head).finish_non_exhaustive()
    }
}

/// Simulates `tx` on the head and decodes its facts. `None` if the transaction cannot be included as
/// it is (nonce, balance, fee cap), or if its simulation lacked state: neither is evidence.
///
/// # Errors
/// If the state source failed.
pub fn simulate_pending(tx: &Tx, ground: &Ground) -> Result<Option<Observation>, SimError> {
    if !includable(tx, &ground.env, &*ground.state)? {
        return Ok(None);
    }
    let first = match run(tx, &[], ground) {
        Ok(it) => it.0,
        // Valid transactions only: what cannot be executed cannot do harm.
        Err(SimError::InvalidTx { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    if !first.tracing.is_evidence() {
        return Ok(None);
    }
    let mut observation = Observation {
        block: ground.head,
        env: ground.env.clone(),
        stage: Stage::Pending,
        witnesses: 1,
        txs: vec![first],
        readings: Readings::default(),
    };
    observation.decode_facts();
    Ok(Some(observation))
}

/// As [`simulate_pending`] on the state at a node: what it does not know yet is asked for many parts at a
/// time.
///
/// # Errors
/// If the state source failed.
pub(crate) fn foresee(
    tx: &Tx,
    state: &RpcState,
    ground: &Ground,
) -> Result<Option<Observation>, SimError> {
    let ahead = Arc::new(state.prefetch());
    ahead.hint(tx);
    guess(&ahead, ground, |guessed| simulate_pending(tx, guessed))
}

/// As [`read_pending`]; see [`foresee`].
///
/// # Errors
/// If the state source failed.
pub(crate) fn foresee_reads(
    tx: &Tx,
    wanted: &[StateRead],
    state: &RpcState,
    ground: &Ground,
) -> Result<Readings, SimError> {
    guess(&Arc::new(state.prefetch()), ground, |guessed| read_pending(tx, wanted, guessed))
}

/// Works on what is known, fetches what was missing, and works again until nothing is. What comes of a
/// guess is thrown away.
fn guess<T>(
    ahead: &Arc<Prefetch>,
    ground: &Ground,
    work: impl Fn(&Ground) -> Result<T, SimError>,
) -> Result<T, SimError> {
    ahead.fetch().map_err(unavailable)?;
    let guessed = Ground { state: ahead.clone(), ..ground.clone() };
    for _ in 0..GUESSES_MAX {
        let done = work(&guessed);
        if ahead.fetch().map_err(unavailable)? == 0 {
            return done;
        }
    }
    work(ground)
}

/// Answers `wanted` before and after `tx`.
///
/// # Errors
/// If the state source failed.
pub fn read_pending(tx: &Tx, wanted: &[StateRead], ground: &Ground) -> Result<Readings, SimError> {
    if wanted.is_empty() {
        return Ok(Readings::default());
    }
    Ok(run(tx, wanted, ground)?.1)
}

fn run(tx: &Tx, wanted: &[StateRead], ground: &Ground) -> Result<(Tx, Readings), SimError> {
    let rules = Rules::of(ground.head.chain);
    let (block, next) = next_block(&ground.head, &ground.env, NEXT_BLOCK_SECONDS);
    let on = On { block: &block, env: &next, state: &*ground.state, rules: &rules };
    simulate_after(&[], tx, wanted, on).map(|it| (it.tx, it.readings))
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
