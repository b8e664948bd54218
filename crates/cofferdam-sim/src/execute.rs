//! Executes blocks: fills in what their transactions did, and checks it against what the chain says.
//!
//! **Invariant:** a result that differs from the receipt or the header is `Mismatch`, one that lacked
//! state is `Incomplete`; neither is ever passed off as evidence.
//!
//! Not reproduced: block rewards, uncles and withdrawals (no transaction of the same block can see
//! them) and the DAO fork's irregular state change, which is refused.

use alloy_primitives::{B256, Bloom};
use cofferdam_core::{BlockEnv, BlockRef, Observation, Tx, evidence::Tracing, ports::StateSource};
use revm::primitives::hardfork::SpecId;

use crate::{
    SimError,
    machine::{Leniency, Machine, NotRun, Ran, Watch},
    receipts,
    rules::Rules,
};

/// Transactions of one block that we execute; more cannot fit into any block we know.
pub const BLOCK_TXS_MAX: usize = 100_000;

/// How to execute.
#[derive(Clone, Debug)]
pub struct ExecuteOptions {
    /// The chain's fork schedule.
    pub rules: Rules,
}

/// An executed block.
#[derive(Clone, Debug)]
pub struct Executed {
    /// The block with filled transactions; facts are not decoded.
    pub observation: Observation,
    /// Gas used by all transactions.
    pub gas_used: u64,
    /// Bloom over all logs.
    pub logs_bloom: Bloom,
    /// Root of the receipts; `None` before Byzantium, whose receipts hold state roots.
    pub receipts_root: Option<B256>,
    /// How the result differs from the header, for people; `None` if it does not.
    pub difference: Option<String>,
}

/// Executes the transactions of `block` on the state of its parent.
///
/// A transaction whose result the header vouches for is `Reexecuted`; without a header to check
/// against it is `Simulated`.
///
/// # Errors
/// [`SimError::Unavailable`] if the source failed, [`SimError::Unsupported`] if the block cannot be
/// executed at all. A transaction that differs or lacks state is no error.
pub fn execute_block(
    block: &Observation,
    parent: &dyn StateSource,
    options: &ExecuteOptions,
) -> Result<Executed, SimError> {
    execute(block, parent, options, false)
}

/// Executes `block`, whose transactions hold their receipts, and checks gas, status and logs of each
/// against them. Frames, diff and tracing are filled in; the receipts stay as they are.
///
/// # Errors
/// As [`execute_block`].
pub fn reexecute_block(
    block: &Observation,
    parent: &dyn StateSource,
    options: &ExecuteOptions,
) -> Result<Executed, SimError> {
    execute(block, parent, options, true)
}

/// Executes one transaction on the state right before it and checks it against its receipt.
///
/// # Errors
/// As [`execute_block`].
pub fn reexecute_tx(
    tx: &Tx,
    block: &BlockRef,
    env: &BlockEnv,
    before: &dyn StateSource,
    options: &ExecuteOptions,
) -> Result<Tx, SimError> {
    let mut machine = Machine::new(before, block, env, &options.rules, Leniency::default())?;
    Ok(step(&mut machine, tx, true)?.0)
}

impl ExecuteOptions {
    /// The options for a chain we have the schedule of.
    pub fn of(block: &BlockRef) -> Self {
        Self { rules: Rules::of(block.chain) }
    }
}

fn execute(
    block: &Observation,
    parent: &dyn StateSource,
    options: &ExecuteOptions,
    receipts: bool,
) -> Result<Executed, SimError> {
    if options.rules.is_irregular(&block.block) {
        return Err(SimError::Unsupported { what: "the DAO fork block".to_owned() });
    }
    if block.txs.len() > BLOCK_TXS_MAX {
        return Err(SimError::Unsupported { what: format!("{} transactions", block.txs.len()) });
    }
    let rules = &options.rules;
    let mut machine = Machine::new(parent, &block.block, &block.env, rules, Leniency::default())?;
    machine.begin_block(&block.block, &block.env)?;
    let mut txs = Vec::with_capacity(block.txs.len());
    for tx in &block.txs {
        txs.push(step(&mut machine, tx, receipts)?.0);
    }
    let spec = machine.spec;
    let mut executed = Executed {
        gas_used: txs.iter().map(|it| it.gas_used).fold(0, u64::saturating_add),
        logs_bloom: receipts::bloom(&txs),
        receipts_root: spec
            .is_enabled_in(SpecId::BYZANTIUM)
            .then(|| receipts::root(&txs))
            .flatten(),
        observation: Observation { txs, ..block.clone() },
        difference: None,
    };
    executed.difference = difference(&executed, &block.env);
    judge(&mut executed, receipts);
    Ok(executed)
}

/// Runs one transaction, commits it, and fills it in. `receipt` says whether `tx` holds its receipt.
pub(crate) fn step<'a, I: Watch<'a>>(
    machine: &mut Machine<'a, I>,
    tx: &Tx,
    receipt: bool,
) -> Result<(Tx, bool), SimError> {
    match machine.run(tx) {
        Ok(mut ran) => {
            let state = std::mem::take(&mut ran.state);
            let trusted = ran.missing.is_empty();
            let filled = fill(tx, ran, receipt);
            machine.commit(state, trusted);
            Ok((filled, true))
        }
        Err(NotRun::Invalid { reason, missing }) => {
            let tracing = match missing.is_empty() {
                true => {
                    Tracing::Mismatch { difference: format!("transaction is invalid: {reason}") }
                }
                false => missing.tracing(),
            };
            Ok((Tx { tracing, ..tx.clone() }, false))
        }
        Err(NotRun::Failed(error)) => Err(error),
    }
}

/// `tx` with what it did.
pub(crate) fn fill(tx: &Tx, ran: Ran, receipt: bool) -> Tx {
    let mut filled = Tx {
        gas_used: ran.result.tx_gas_used(),
        succeeded: ran.result.is_success(),
        created: ran.result.created_address(),
        frames: ran.trace.frames,
        stale_writes: ran.trace.stale,
        diff: ran.diff,
        logs: match ran.result.is_success() {
            true => ran.result.into_logs(),
            false => Vec::new(),
        },
        tracing: Tracing::Simulated,
        ..tx.clone()
    };
    if !ran.missing.is_empty() || ran.trace.truncated {
        filled.tracing = ran.missing.tracing();
    } else if receipt {
        filled.tracing = against_receipt(tx, &filled);
    }
    if receipt {
        filled.gas_used = tx.gas_used;
        filled.succeeded = tx.succeeded;
        filled.logs = tx.logs.clone();
    }
    filled
}

fn against_receipt(receipt: &Tx, ran: &Tx) -> Tracing {
    let difference = if receipt.succeeded != ran.succeeded {
        let word = |it| if it { "success" } else { "failure" };
        format!("status: receipt {}, re-execution {}", word(receipt.succeeded), word(ran.succeeded))
    } else if receipt.gas_used != ran.gas_used {
        format!("gas used: receipt {}, re-execution {}", receipt.gas_used, ran.gas_used)
    } else if receipt.logs.len() != ran.logs.len() {
        format!("logs: receipt {}, re-execution {}", receipt.logs.len(), ran.logs.len())
    } else if let Some(at) = receipt.logs.iter().zip(&ran.logs).position(|(a, b)| a != b) {
        format!("log {at} differs from the receipt's")
    } else {
        return Tracing::Reexecuted;
    };
    Tracing::Mismatch { difference }
}

fn difference(executed: &Executed, env: &BlockEnv) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(gas) = env.gas_used.filter(|it| *it != executed.gas_used) {
        parts.push(format!("gas used: header {gas}, re-execution {}", executed.gas_used));
    }
    if env.logs_bloom.is_some_and(|it| it != executed.logs_bloom) {
        parts.push("logs bloom differs from the header's".to_owned());
    }
    if let (Some(header), Some(ours)) = (env.receipts_root, executed.receipts_root)
        && header != ours
    {
        parts.push(format!("receipts root: header {header}, re-execution {ours}"));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Gives the header's verdict to the transactions that have none of their own.
fn judge(executed: &mut Executed, receipts: bool) {
    let env = &executed.observation.env;
    let checked =
        env.gas_used.is_some() && (env.logs_bloom.is_some() || env.receipts_root.is_some());
    let difference = executed.difference.clone();
    for tx in &mut executed.observation.txs {
        match (&tx.tracing, &difference) {
            (Tracing::Simulated | Tracing::Reexecuted, Some(difference)) => {
                tx.tracing = Tracing::Mismatch { difference: difference.clone() };
            }
            (Tracing::Simulated, None) if checked || receipts => tx.tracing = Tracing::Reexecuted,
            _ => {}
        }
    }
}
