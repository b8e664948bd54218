//! Blocks as Parity traces: calls without logs or state.

use std::{collections::BTreeMap, path::Path};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Observation, Stage, Timestamp, Tx,
    evidence::Tracing,
    read::Readings,
    trace::link_frames,
    tx::{CallKind, Frame},
};
use serde::Deserialize;

use super::{
    RecordedError, file,
    number::{maybe, quantity},
};

/// Traces of one recorded block that we take.
const TRACES_MAX: usize = 500_000;

#[derive(Deserialize)]
struct File {
    #[serde(deserialize_with = "quantity")]
    block_number: u64,
    #[serde(default, deserialize_with = "maybe")]
    block_timestamp: Option<u64>,
    miner: Address,
    #[serde(default, deserialize_with = "maybe")]
    base_fee_per_gas: Option<u64>,
    traces: Vec<Trace>,
    #[serde(default)]
    receipts: Vec<Receipt>,
}

#[derive(Deserialize)]
struct Receipt {
    transaction_hash: B256,
    #[serde(deserialize_with = "quantity")]
    gas_used: u64,
}

#[derive(Deserialize)]
struct Trace {
    #[serde(rename = "type")]
    kind: String,
    action: Action,
    #[serde(default)]
    result: Option<Outcome>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    trace_address: Vec<u32>,
    #[serde(default)]
    transaction_hash: Option<B256>,
    #[serde(default, deserialize_with = "maybe")]
    transaction_position: Option<u32>,
    #[serde(default)]
    block_hash: B256,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Action {
    call_type: Option<String>,
    from: Address,
    to: Address,
    value: U256,
    input: Bytes,
    init: Bytes,
    address: Address,
    refund_address: Address,
    balance: U256,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outcome {
    output: Bytes,
    code: Bytes,
    address: Address,
}

/// Loads a block of Parity traces. Its transactions hold frames (`Tracing::Node`), but neither logs
/// nor a state diff, and cannot be executed.
///
/// # Errors
/// [`RecordedError`] if the file is unreadable, too large or malformed.
pub fn load_parity_block(path: &Path, chain: ChainId) -> Result<Observation, RecordedError> {
    let it: File = file::json(path)?;
    if it.traces.len() > TRACES_MAX {
        return Err(RecordedError::malformed(path, format!("{} traces", it.traces.len())));
    }
    let hash = it.traces.first().map(|it| it.block_hash).unwrap_or_default();
    let gas: BTreeMap<_, _> =
        it.receipts.iter().map(|it| (it.transaction_hash, it.gas_used)).collect();
    let mut txs: BTreeMap<(u32, B256), Vec<Trace>> = BTreeMap::new();
    for trace in it.traces {
        // Block rewards belong to no transaction.
        if let (Some(at), Some(hash)) = (trace.transaction_position, trace.transaction_hash) {
            txs.entry((at, hash)).or_default().push(trace);
        }
    }
    let txs = txs.into_iter().map(|((index, hash), traces)| {
        let tx = tx(traces).map_err(|what| RecordedError::malformed(path, what))?;
        Ok(Tx { hash, index, gas_used: gas.get(&hash).copied().unwrap_or_default(), ..tx })
    });
    Ok(Observation {
        block: BlockRef {
            chain,
            number: it.block_number,
            hash,
            parent: keccak256(hash),
            time: Timestamp::from_secs(it.block_timestamp.unwrap_or_default()),
        },
        env: BlockEnv {
            beneficiary: it.miner,
            base_fee: it.base_fee_per_gas.unwrap_or_default(),
            ..BlockEnv::default()
        },
        stage: Stage::Provisional,
        witnesses: 1,
        txs: txs.collect::<Result<_, _>>()?,
        readings: Readings::default(),
    })
}

fn tx(mut traces: Vec<Trace>) -> Result<Tx, String> {
    traces.sort_by(|a, b| a.trace_address.cmp(&b.trace_address));
    let mut frames = traces.iter().map(frame).collect::<Result<Vec<_>, _>>()?;
    link_frames(&mut frames).map_err(|at| format!("trace {at} has no parent"))?;
    let root = frames.first().cloned().ok_or("a transaction without traces")?;
    let creation = root.kind == CallKind::Create;
    Ok(Tx {
        from: root.from,
        to: (!creation).then_some(root.to),
        value: root.value,
        input: root.input,
        succeeded: root.succeeded,
        created: (creation && root.succeeded).then_some(root.to),
        frames,
        tracing: Tracing::Node,
        ..Tx::default()
    })
}

fn frame(trace: &Trace) -> Result<Frame, String> {
    let action = &trace.action;
    let none = Outcome::default();
    let result = trace.result.as_ref().unwrap_or(&none);
    let (from, to, value) = (action.from, action.to, action.value);
    let call = |kind, value| (kind, from, to, value, &action.input, &result.output);
    let parts = match (trace.kind.as_str(), action.call_type.as_deref()) {
        ("call", Some("call")) => call(CallKind::Call, value),
        ("call", Some("staticcall")) => call(CallKind::StaticCall, value),
        // Parity repeats the value of the caller's frame, which does not move.
        ("call", Some("delegatecall")) => call(CallKind::DelegateCall, U256::ZERO),
        ("call", Some("callcode")) => call(CallKind::CallCode, value),
        ("create", _) => {
            (CallKind::Create, from, result.address, value, &action.init, &result.code)
        }
        ("suicide", _) => {
            let (from, to) = (action.address, action.refund_address);
            (CallKind::SelfDestruct, from, to, action.balance, &action.input, &result.output)
        }
        (kind, call) => return Err(format!("trace of type `{kind}` {call:?}")),
    };
    let (kind, from, to, value, input, output) = parts;
    Ok(Frame {
        parent: None,
        depth: u16::try_from(trace.trace_address.len()).map_err(|it| it.to_string())?,
        kind,
        from,
        to,
        value,
        input: input.clone(),
        output: output.clone(),
        succeeded: trace.error.is_none(),
        undone: false,
    })
}
