//! Simulates transactions and calls that are in no block yet, and answers state reads before and
//! after them.
//!
//! **Invariant:** a simulation never fails for lack of state: the transaction is then `Incomplete` and
//! an answer `Unavailable`.

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use cofferdam_core::{
    BlockEnv, BlockRef, Tx,
    evidence::Tracing,
    ports::{Call, StateSource},
    read::{Answer, Reading, Readings, StateRead},
};
use revm::{Database, context::result::ExecutionResult};

use crate::{
    SimError,
    execute::fill,
    machine::{Leniency, Machine, NotRun, Watch},
    overlay::{After, Overlay},
    rehearse::rehearse,
    rules::Rules,
    surroundings::Surroundings,
};

/// Gas of a view call, unless the block has less.
pub const READ_GAS_MAX: u64 = 30_000_000;
/// State reads answered at once; more are refused.
pub const READS_MAX: usize = 10_000;

/// Where to simulate: the block to come on top of a known state.
#[derive(Clone, Copy)]
pub struct On<'a> {
    /// The block to simulate in: number and time are those of the block to come.
    pub block: &'a BlockRef,
    /// Its header fields.
    pub env: &'a BlockEnv,
    /// The state at its parent, the head.
    pub state: &'a dyn StateSource,
    /// The chain's fork schedule.
    pub rules: &'a Rules,
}

/// A simulated pending transaction.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The calls that were applied before it.
    pub first: Vec<Tx>,
    /// The transaction with what it would do.
    pub tx: Tx,
    /// Answers before (after `first`, if any) and after it.
    pub readings: Readings,
}

/// Pending transactions simulated one after another, as a block would hold them.
#[derive(Clone, Debug)]
pub struct Run {
    /// Each with what it would do.
    pub txs: Vec<Tx>,
    /// What they asked about their surroundings.
    pub asked: Surroundings,
    /// The state that they leave: see [`read_around`].
    pub after: After,
}

/// What a simulated call would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// Whether it succeeds.
    pub succeeded: bool,
    /// Return or revert data.
    pub output: Bytes,
    /// Gas used.
    pub gas_used: u64,
    /// `Simulated`, or `Incomplete` if state was missing.
    pub tracing: Tracing,
    /// Answers to [`Call::then`].
    pub then: Vec<Answer>,
}

/// Nonce gaps and low fees are no reason not to look at a pending transaction.
const PENDING: Leniency =
    Leniency { nonce: true, base_fee: true, sender_code: false, funds: false, gas_limit: true };
/// A call is not a transaction: nobody pays, anybody may be the sender.
pub(crate) const CALL: Leniency =
    Leniency { nonce: true, base_fee: true, sender_code: true, funds: true, gas_limit: true };

/// The block after `head`, `seconds` later, as a simulation needs it. Base fee and excess blob gas are
/// taken over: the next ones differ by at most an eighth.
pub fn next_block(head: &BlockRef, env: &BlockEnv, seconds: u64) -> (BlockRef, BlockEnv) {
    let block = BlockRef {
        number: head.number.saturating_add(1),
        hash: B256::ZERO,
        parent: head.hash,
        time: head.time.plus_ms(seconds.saturating_mul(1_000)),
        ..*head
    };
    let env = BlockEnv { gas_used: None, logs_bloom: None, receipts_root: None, ..env.clone() };
    (block, env)
}

/// Simulates `tx` on a head.
///
/// # Errors
/// [`SimError::InvalidTx`] if it cannot be executed on this state, [`SimError::Unavailable`] if the
/// source failed.
pub fn simulate_pending(tx: &Tx, on: On<'_>) -> Result<Tx, SimError> {
    Ok(simulate_after(&[], tx, &[], on)?.tx)
}

/// Applies `first` in order (what if we paused before?), then simulates `tx`, and answers `reads`
/// right before and after `tx`.
///
/// # Errors
/// As [`simulate_pending`]; `first` may be invalid without error, which its tracing tells.
pub fn simulate_after(
    first: &[Tx],
    tx: &Tx,
    reads: &[StateRead],
    on: On<'_>,
) -> Result<Pending, SimError> {
    let mut machine = Machine::new(on.state, on.block, on.env, on.rules, PENDING)?;
    let mut applied = Vec::with_capacity(first.len());
    for tx in first {
        machine.relax(CALL);
        applied.push(crate::execute::step(&mut machine, tx, false)?.0);
    }
    let before = answers(&mut machine, reads)?;
    let filled = pending(&mut machine, tx)?.0;
    let readings = paired(reads, before, answers(&mut machine, reads)?);
    Ok(Pending { first: applied, tx: filled, readings })
}

/// Simulates `txs` in order, each on what those before it did.
///
/// # Errors
/// [`SimError::InvalidTx`] if one of them cannot be executed where it stands, so that the last one
/// cannot follow; [`SimError::Unavailable`] if the source failed.
pub fn simulate_run(txs: &[Tx], on: On<'_>) -> Result<Run, SimError> {
    let mut machine = Machine::new(on.state, on.block, on.env, on.rules, PENDING)?;
    let mut filled = Vec::with_capacity(txs.len());
    let mut asked = Surroundings::default();
    for tx in txs {
        let (tx, it) = pending(&mut machine, tx)?;
        filled.push(tx);
        asked = asked.and(it);
    }
    Ok(Run { txs: filled, asked, after: machine.into_after() })
}

/// Answers `reads` before the first and after the last transaction of a run on the same ground, without
/// running them again.
///
/// # Errors
/// [`SimError::Unavailable`] if the source failed.
pub fn read_around(after: &After, reads: &[StateRead], on: On<'_>) -> Result<Readings, SimError> {
    let mut machine = Machine::new(on.state, on.block, on.env, on.rules, CALL)?;
    let before = answers(&mut machine, reads)?;
    *machine.overlay() = Overlay::on_top(on.state, after.clone());
    Ok(paired(reads, before, answers(&mut machine, reads)?))
}

/// Runs and commits one pending transaction.
fn pending(machine: &mut Machine<'_>, tx: &Tx) -> Result<(Tx, Surroundings), SimError> {
    machine.relax(PENDING);
    match machine.run(tx) {
        Ok(mut ran) => {
            let state = std::mem::take(&mut ran.state);
            let (trusted, asked) = (ran.missing.is_empty(), ran.trace.asked);
            let filled = fill(tx, ran, false);
            machine.commit(state, trusted);
            Ok((filled, asked))
        }
        Err(NotRun::Invalid { missing, .. }) if !missing.is_empty() => {
            Ok((Tx { tracing: missing.tracing(), ..tx.clone() }, Surroundings::default()))
        }
        Err(NotRun::Invalid { reason, .. }) => Err(SimError::InvalidTx { reason }),
        Err(NotRun::Failed(error)) => Err(error),
    }
}

fn paired(reads: &[StateRead], before: Vec<Answer>, after: Vec<Answer>) -> Readings {
    let pairs = before.into_iter().zip(after).map(|(before, after)| Reading { before, after });
    reads.iter().cloned().zip(pairs).collect()
}

/// Answers `reads` in order.
///
/// # Errors
/// [`SimError::Unavailable`] if the source failed.
pub fn answer_reads(reads: &[StateRead], on: On<'_>) -> Result<Vec<Answer>, SimError> {
    answers(&mut Machine::new(on.state, on.block, on.env, on.rules, CALL)?, reads)
}

/// Simulates a call and answers its reads on top of its effects.
///
/// # Errors
/// [`SimError::Unavailable`] if the source failed.
pub fn simulate_call(call: &Call, on: On<'_>) -> Result<Called, SimError> {
    let mut machine = Machine::new(on.state, on.block, on.env, on.rules, CALL)?;
    let tx = view(call.from, call.to, &call.data, on.env.gas_limit.max(READ_GAS_MAX));
    match machine.run(&tx) {
        Ok(ran) => {
            let complete = ran.missing.is_empty();
            let mut called = Called {
                succeeded: ran.result.is_success(),
                output: ran.result.output().cloned().unwrap_or_default(),
                gas_used: ran.result.tx_gas_used(),
                tracing: if complete { Tracing::Simulated } else { ran.missing.tracing() },
                then: Vec::new(),
            };
            machine.commit(ran.state, complete);
            called.then = answers(&mut machine, &call.then)?;
            Ok(called)
        }
        Err(NotRun::Invalid { reason, .. }) => Err(SimError::InvalidTx { reason }),
        Err(NotRun::Failed(error)) => Err(error),
    }
}

/// Answers on top of what `machine` committed.
pub(crate) fn answers<'a, I: Watch<'a>>(
    machine: &mut Machine<'a, I>,
    reads: &[StateRead],
) -> Result<Vec<Answer>, SimError> {
    if reads.len() > READS_MAX {
        return Err(SimError::Unsupported { what: format!("{} state reads", reads.len()) });
    }
    machine.relax(CALL);
    reads.iter().map(|read| answer(machine, read)).collect()
}

fn answer<'a, I: Watch<'a>>(
    machine: &mut Machine<'a, I>,
    read: &StateRead,
) -> Result<Answer, SimError> {
    match read {
        StateRead::Call { to, data } => return call(machine, *to, data),
        StateRead::Rehearsal(it) => return rehearse(machine, it),
        _ => {}
    }
    let overlay = machine.overlay();
    overlay.take_missing();
    let unavailable = |it: crate::overlay::Unavailable| SimError::Unavailable(it.0);
    let found = match read {
        StateRead::Storage { address, slot } => {
            Answer::of(overlay.storage(*address, *slot).map_err(unavailable)?)
        }
        StateRead::Balance(address) => {
            let info = overlay.basic(*address).map_err(unavailable)?;
            Answer::of(info.map(|it| it.balance).unwrap_or_default())
        }
        StateRead::CodeHash(address) => {
            let info = overlay.basic(*address).map_err(unavailable)?;
            let hash = info.map(|it| it.code_hash).filter(|it| *it != KECCAK256_EMPTY);
            Answer::of_hash(hash.unwrap_or_default())
        }
        StateRead::Call { .. } | StateRead::Rehearsal(_) => Answer::Unavailable,
    };
    Ok(if overlay.take_missing().is_empty() { found } else { Answer::Unavailable })
}

fn call<'a, I: Watch<'a>>(
    machine: &mut Machine<'a, I>,
    to: Address,
    data: &Bytes,
) -> Result<Answer, SimError> {
    let gas = machine.evm.ctx.block.gas_limit.clamp(1, READ_GAS_MAX);
    match machine.run(&view(Address::ZERO, to, data, gas)) {
        Ok(ran) if !ran.missing.is_empty() => Ok(Answer::Unavailable),
        Ok(ran) => Ok(match ran.result {
            ExecutionResult::Success { output, .. } => Answer::Bytes(output.into_data()),
            ExecutionResult::Revert { .. } | ExecutionResult::Halt { .. } => Answer::Reverted,
        }),
        Err(NotRun::Invalid { .. }) => Ok(Answer::Unavailable),
        Err(NotRun::Failed(error)) => Err(error),
    }
}

pub(crate) fn view(from: Address, to: Address, data: &Bytes, gas_limit: u64) -> Tx {
    Tx { from, to: Some(to), input: data.clone(), gas_limit, value: U256::ZERO, ..Tx::default() }
}

impl std::fmt::Debug for On<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("On").field("block", &self.block).finish_non_exhaustive()
    }
}
