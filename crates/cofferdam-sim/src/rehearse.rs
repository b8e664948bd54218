//! Tries calls that nobody has made yet, and takes everything back.
//!
//! **Invariant:** the machine is left as it was: state, time and checks.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256, hex};
use cofferdam_core::{
    Tx, decode,
    evidence::Tracing,
    read::{Answer, REHEARSED_CALLS_MAX, Reading, Rehearsal, Rehearsed, StateRead},
    tx::{BalanceChange, CodeChange, Frame, StateDiff, StorageChange},
};
use revm::bytecode::Bytecode;

use crate::{
    SimError,
    execute::fill,
    machine::{Leniency, Machine, NotRun, Watch},
    overlay::Unavailable,
    simulate::{CALL, READ_GAS_MAX, answers},
};

/// CALLDATACOPY of all of it, and DELEGATECALL with it, up to the address that follows.
const PASS_ON: [u8; 14] = hex!("3660006000376000600036600073");
/// The rest of the call, RETURNDATACOPY, and RETURN or REVERT with that.
const AND_BACK: [u8; 20] = hex!("5af43d600060003e6031573d6000fd5b3d6000f3");

/// Answers a rehearsal on top of what `machine` committed.
pub(crate) fn rehearse<'a, I: Watch<'a>>(
    machine: &mut Machine<'a, I>,
    it: &Rehearsal,
) -> Result<Answer, SimError> {
    let nested = it.reads.iter().any(|it| matches!(it, StateRead::Rehearsal(_)));
    if it.calls.is_empty() || it.calls.len() > REHEARSED_CALLS_MAX || nested {
        return Ok(Answer::Unavailable);
    }
    let saved = machine.overlay().clone();
    let now = machine.evm.ctx.block.timestamp;
    machine.evm.ctx.block.timestamp =
        now.saturating_add(U256::from(it.after)).max(U256::from(it.time));
    let answer = run(machine, it);
    machine.evm.ctx.block.timestamp = now;
    *machine.overlay() = saved;
    machine.relax(CALL);
    answer
}

fn run<'a, I: Watch<'a>>(machine: &mut Machine<'a, I>, it: &Rehearsal) -> Result<Answer, SimError> {
    let before = answers(machine, &it.reads)?;
    // Without a gas price only the value of a call has to be there.
    machine.relax(Leniency { funds: it.funded, ..CALL });
    let gas_limit = machine.evm.ctx.block.gas_limit.clamp(1, READ_GAS_MAX);
    let mut whole = Tx {
        from: it.from,
        to: it.calls.first().map(|it| it.to),
        input: it.calls.first().map(|it| it.data.clone()).unwrap_or_default(),
        gas_limit,
        succeeded: true,
        tracing: Tracing::Simulated,
        ..Tx::default()
    };
    for call in &it.calls {
        let tx = Tx {
            from: it.from,
            to: Some(call.to),
            value: call.value,
            input: call.data.clone(),
            gas_limit,
            ..Tx::default()
        };
        let (tx, own) = if call.delegated { delegated(machine, tx, call.to)? } else { (tx, None) };
        let mut ran = match machine.run(&tx) {
            Ok(ran) => ran,
            Err(NotRun::Invalid { missing, .. }) if missing.is_empty() => {
                return Ok(Answer::Reverted);
            }
            Err(NotRun::Invalid { .. }) => return Ok(Answer::Unavailable),
            Err(NotRun::Failed(error)) => return Err(error),
        };
        let state = std::mem::take(&mut ran.state);
        let filled = fill(&tx, ran, false);
        if !filled.tracing.is_evidence() {
            return Ok(Answer::Unavailable);
        }
        if !filled.succeeded {
            return Ok(Answer::Reverted);
        }
        machine.commit(state, true);
        if let Some(own) = own {
            machine.overlay().replace_code(it.from, own).map_err(unavailable)?;
        }
        join(&mut whole, filled);
    }
    whole.facts = decode::facts(&whole);
    let after = answers(machine, &it.reads)?;
    let pairs = before.into_iter().zip(after).map(|(before, after)| Reading { before, after });
    let readings = it.reads.iter().cloned().zip(pairs).collect();
    Ok(Answer::Rehearsed(Box::new(Rehearsed { tx: whole, readings })))
}

/// `tx` as a call of its sender to himself, whose code is now one that passes everything on to the code of `to` by
/// DELEGATECALL; and the code that was there.
fn delegated<'a, I: Watch<'a>>(
    machine: &mut Machine<'a, I>,
    tx: Tx,
    to: Address,
) -> Result<(Tx, Option<Bytecode>), SimError> {
    let code = [&PASS_ON[..], to.as_slice(), &AND_BACK[..]].concat();
    let code = Bytecode::new_legacy(code.into());
    let own = machine.overlay().replace_code(tx.from, code).map_err(unavailable)?;
    Ok((Tx { to: Some(tx.from), ..tx }, Some(own)))
}

fn unavailable(it: Unavailable) -> SimError {
    SimError::Unavailable(it.0)
}

/// Adds what the next call did.
fn join(whole: &mut Tx, next: Tx) {
    let shift = u32::try_from(whole.frames.len()).unwrap_or(u32::MAX);
    let moved = |it: Frame| {
        let parent = it.parent.map(|parent| parent.saturating_add(shift));
        Frame { parent, ..it }
    };
    whole.frames.extend(next.frames.into_iter().map(moved));
    whole.logs.extend(next.logs);
    whole.gas_used = whole.gas_used.saturating_add(next.gas_used);
    let first = std::mem::take(&mut whole.diff);
    whole.diff = StateDiff {
        storage: net(
            first.storage.into_iter().chain(next.diff.storage),
            |it| ((it.address, it.slot), it.before, it.after),
            |(address, slot), before, after| StorageChange { address, slot, before, after },
        ),
        balances: net(
            first.balances.into_iter().chain(next.diff.balances),
            |it| (it.address, it.before, it.after),
            |address: Address, before, after| BalanceChange { address, before, after },
        ),
        codes: net(
            first.codes.into_iter().chain(next.diff.codes),
            |it| (it.address, it.before, it.after),
            |address: Address, before, after| CodeChange { address, before, after },
        ),
    };
}

/// Changes one after the other as one, without what came back to where it was.
fn net<C, K: Ord, V: PartialEq>(
    changes: impl Iterator<Item = C>,
    parts: impl Fn(C) -> (K, V, V),
    build: impl Fn(K, V, V) -> C,
) -> Vec<C> {
    let mut all: BTreeMap<K, (V, V)> = BTreeMap::new();
    for it in changes {
        let (key, before, after) = parts(it);
        match all.get_mut(&key) {
            Some(known) => known.1 = after,
            None => {
                all.insert(key, (before, after));
            }
        }
    }
    let changed = all.into_iter().filter(|it| it.1.0 != it.1.1);
    changed.map(|(key, (before, after))| build(key, before, after)).collect()
}
