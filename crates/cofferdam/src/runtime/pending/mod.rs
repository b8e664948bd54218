//! Pending transactions: believed only if they could be included, then simulated on the head and on what
//! must come before them.
//!
//! | part | what it does |
//! | --- | --- |
//! | `prefilter` | how telling a transaction is, before anything is simulated |
//! | `queue` | the most telling first |
//! | `senders` | what must come before a transaction of the same sender |
//! | `budget` | what simulation may cost an hour |
//! | `context` | a second context, against code that tells a simulation from a block |
//! | `warm` | what failed or must wait, and is simulated again at the next head; repeated failures |
//! | `tally` | what is told of all this |
//! | `desk`, `work` | the parts together, and the tasks that work through the queue |
//!
//! **Invariant:** nothing is evidence that could not be included as it is.

mod budget;
mod context;
mod desk;
mod prefilter;
mod queue;
mod senders;
mod tally;
mod warm;
mod work;

#[cfg(test)]
mod tests;

use alloy_primitives::U256;
use cofferdam_core::{
    BlockEnv, Observation, Stage, Tx,
    ports::{StateError, StateSource},
    read::{Readings, StateRead},
};
use cofferdam_sim::{After, SimError, Surroundings, read_around, simulate_run};

use super::retrace::unavailable;
pub use context::Ground;
pub(crate) use desk::Desk;
pub(crate) use prefilter::Watched;
pub use tally::{PendingCounts, Tally};
pub(crate) use work::{Bench, start};

/// How often a simulation is repeated on what is known to learn what else it reads.
const GUESSES_MAX: usize = 16;

/// What looking at a pending transaction gave.
#[derive(Clone, Debug)]
pub enum Looked {
    /// What a block that holds the transactions would do.
    Seen {
        /// The transactions with what they would do, facts decoded, no readings.
        observation: Box<Observation>,
        /// What their code asked about the block and the price.
        asked: Surroundings,
        /// The state that they would leave.
        after: After,
    },
    /// It is no evidence of anything.
    NotNow(NotNow),
}

/// Why a pending transaction is no evidence now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// Its nonce is used: it, or another one in its place, is in a block.
    Used,
    /// Others of the same sender must come before it, and they are not known.
    Gap,
    /// It bids less than the base fee.
    Fee,
    /// The sender cannot pay for it.
    Funds,
    /// It is invalid where it stands.
    Invalid,
    /// Its simulation lacked state.
    Incomplete,
}

/// Simulates `txs`, the pending transaction in question and before it those of its sender that must
/// come first, and decodes their facts.
///
/// # Errors
/// If the state source failed.
pub fn simulate_pending(txs: &[Tx], ground: &Ground) -> Result<Looked, SimError> {
    foresee(txs, ground, |ground| simulate_on(txs, ground))
}

fn simulate_on(txs: &[Tx], ground: &Ground) -> Result<Looked, SimError> {
    if let Some(why) = hindrance(txs, &ground.env, &*ground.state)? {
        return Ok(Looked::NotNow(why));
    }
    let run = match simulate_run(txs, ground.on(&ground.rules())) {
        Ok(it) => it,
        Err(SimError::InvalidTx { .. }) => return Ok(Looked::NotNow(NotNow::Invalid)),
        Err(error) => return Err(error),
    };
    if !run.txs.iter().all(|it| it.tracing.is_evidence()) {
        return Ok(Looked::NotNow(NotNow::Incomplete));
    }
    let mut observation = Observation {
        block: ground.head,
        env: ground.env.clone(),
        stage: Stage::Pending,
        witnesses: 1,
        txs: run.txs,
        readings: Readings::default(),
    };
    observation.decode_facts();
    Ok(Looked::Seen { observation: Box::new(observation), asked: run.asked, after: run.after })
}

/// Answers `wanted` before the transactions that were simulated on `ground` and `after` them.
///
/// # Errors
/// If the state source failed.
pub fn read_pending(
    after: &After,
    wanted: &[StateRead],
    ground: &Ground,
) -> Result<Readings, SimError> {
    if wanted.is_empty() {
        return Ok(Readings::default());
    }
    foresee(&[], ground, |ground| read_around(after, wanted, ground.on(&ground.rules())))
}

/// Works on what is known, fetches what was missing, and works again until nothing is. What comes of a
/// guess is thrown away.
fn foresee<T>(
    txs: &[Tx],
    ground: &Ground,
    work: impl Fn(&Ground) -> Result<T, SimError>,
) -> Result<T, SimError> {
    let Some(ahead) = ground.state.ahead() else { return work(ground) };
    txs.iter().for_each(|it| ahead.hint(it));
    ahead.fetch().map_err(unavailable)?;
    let guessed = ground.on_state(ahead.clone());
    for _ in 0..GUESSES_MAX {
        let done = work(&guessed);
        if ahead.fetch().map_err(unavailable)? == 0 {
            return done;
        }
    }
    work(ground)
}

/// Why the next block cannot hold `txs` in this order: nonces that do not follow the account's, a fee
/// cap below the base fee, or a balance that does not pay for gas and value of the first. Whether it
/// pays for the others depends on what the first ones do; the simulation tells.
fn hindrance(
    txs: &[Tx],
    env: &BlockEnv,
    state: &dyn StateSource,
) -> Result<Option<NotNow>, SimError> {
    let Some(first) = txs.first() else { return Ok(Some(NotNow::Invalid)) };
    let account = match state.account(first.from) {
        Ok(it) => it.unwrap_or_default(),
        Err(StateError::Missing) => return Ok(Some(NotNow::Incomplete)),
        Err(StateError::Unavailable(cause)) => return Err(SimError::Unavailable(cause)),
    };
    if first.nonce < account.nonce {
        return Ok(Some(NotNow::Used));
    }
    let mut nonce = account.nonce;
    for tx in txs {
        if tx.nonce != nonce || tx.from != first.from {
            return Ok(Some(NotNow::Gap));
        }
        if tx.max_fee_per_gas < u128::from(env.base_fee) {
            return Ok(Some(NotNow::Fee));
        }
        nonce = nonce.saturating_add(1);
    }
    let gas = U256::from(first.gas_limit).saturating_mul(U256::from(first.max_fee_per_gas));
    let pays = account.balance >= gas.saturating_add(first.value);
    Ok((!pays).then_some(NotNow::Funds))
}
