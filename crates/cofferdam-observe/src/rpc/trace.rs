//! From the answers of the call tracer and the prestate tracer to frames and state diffs. Pure.
//!
//! A tree may be as deep as the EVM allows (1,024 calls), which is deeper than a JSON parser
//! should recurse on a small stack: the depth is measured first, and parsing runs on a thread
//! with a large stack.

use alloy_primitives::{Address, B256, Bytes, Log, U64, U256};
use cofferdam_core::{
    Observation,
    evidence::Tracing,
    tx::{CallKind, Frame, StateDiff, Tx},
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{convert::log_of, diff::RpcDiff};

/// Deepest nesting of brackets that is parsed: two per call, 1,024 calls, some slack.
const JSON_DEPTH_MAX: usize = 2_200;
/// Stack of the parsing thread in bytes; measured need is below 16 KiB per call in debug builds.
const STACK_BYTES: usize = 128 * 1024 * 1024;

/// What the tracers said about one transaction.
#[derive(Debug, Default)]
pub(crate) struct Traced {
    frames: Vec<Frame>,
    gas_used: Option<u64>,
    logs: Vec<Log>,
    diff: StateDiff,
}

/// Which tracers were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Calls,
    Both,
}

/// Parses the answer of `debug_traceBlockByHash` on a thread of its own.
pub(crate) async fn parse(text: String, asked: Asked) -> Result<Vec<Traced>, String> {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("cofferdam-trace".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let _ = tell.send(parse_here(&text, asked));
        })
        .map_err(|error| format!("no thread to parse traces: {error}"))?;
    told.await.map_err(|_| "trace parser ended without a result".to_owned())?
}

/// Fills frames and diffs into `observation`. What disagrees with the receipt is marked so.
pub(crate) fn attach(observation: &mut Observation, traces: Vec<Traced>) -> Result<(), String> {
    if observation.txs.len() != traces.len() {
        let (have, want) = (traces.len(), observation.txs.len());
        return Err(format!("block has {want} transactions but {have} traces"));
    }
    for (tx, traced) in observation.txs.iter_mut().zip(traces) {
        tx.tracing = match difference(tx, &traced) {
            None => Tracing::Node,
            Some(difference) => Tracing::Mismatch { difference },
        };
        tx.frames = traced.frames;
        tx.diff = traced.diff;
    }
    Ok(())
}

pub(super) fn parse_here(text: &str, asked: Asked) -> Result<Vec<Traced>, String> {
    let depth = nesting(text);
    if depth > JSON_DEPTH_MAX {
        return Err(format!("trace is nested {depth} deep, more than {JSON_DEPTH_MAX}"));
    }
    match asked {
        Asked::Calls => items::<RpcFrame>(text)?.into_iter().map(flatten).collect(),
        Asked::Both => items::<RpcMux>(text)?
            .into_iter()
            .map(|it| Ok(Traced { diff: it.diff.into_diff(), ..flatten(it.calls)? }))
            .collect(),
    }
}

#[derive(Deserialize)]
struct RpcItem<T> {
    result: Option<T>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct RpcMux {
    #[serde(rename = "callTracer")]
    calls: RpcFrame,
    #[serde(rename = "prestateTracer")]
    diff: RpcDiff,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RpcFrame {
    #[serde(rename = "type")]
    kind: String,
    from: Address,
    to: Option<Address>,
    value: Option<U256>,
    gas_used: Option<U64>,
    input: Option<Bytes>,
    output: Option<Bytes>,
    error: Option<String>,
    calls: Option<Vec<RpcFrame>>,
    logs: Option<Vec<RpcFrameLog>>,
}

#[derive(Deserialize)]
struct RpcFrameLog {
    address: Address,
    topics: Option<Vec<B256>>,
    data: Option<Bytes>,
}

fn items<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, String> {
    let mut parser = serde_json::Deserializer::from_str(text);
    // The nesting was measured, and the stack is large enough for it.
    parser.disable_recursion_limit();
    let items = Vec::<RpcItem<T>>::deserialize(&mut parser)
        .and_then(|items| parser.end().map(|()| items))
        .map_err(|error| format!("traces are malformed: {error}"))?;
    let result = |(index, item): (usize, RpcItem<T>)| {
        item.result.ok_or_else(|| {
            let why = item.error.unwrap_or_else(|| "no result".to_owned());
            format!("transaction {index} was not traced: {why}")
        })
    };
    items.into_iter().enumerate().map(result).collect()
}

/// The deepest nesting of brackets outside of strings.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The tree as a list in call order, without recursion.
fn flatten(root: RpcFrame) -> Result<Traced, String> {
    let gas_used = root.gas_used.map(|it| it.to());
    let (mut frames, mut logs) = (Vec::new(), Vec::new());
    let mut open = vec![(root, None, 0_u16, false)];
    while let Some((mut it, parent, depth, undone_above)) = open.pop() {
        let succeeded = it.error.is_none();
        let undone = undone_above || !succeeded;
        let index = u32::try_from(frames.len()).map_err(|_| "trace has too many frames")?;
        for log in it.logs.take().unwrap_or_default() {
            let (topics, data) = (log.topics.unwrap_or_default(), log.data.unwrap_or_default());
            let log = log_of(log.address, &topics, &data).ok_or("a log has over 4 topics")?;
            if !undone {
                logs.push(log);
            }
        }
        let below = depth.checked_add(1).ok_or("trace is too deep")?;
        let calls = it.calls.take().unwrap_or_default();
        open.extend(calls.into_iter().rev().map(|call| (call, Some(index), below, undone)));
        frames.push(Frame {
            parent,
            depth,
            kind: kind(&it.kind)?,
            from: it.from,
            // A creation that failed early has no address.
            to: it.to.unwrap_or_default(),
            value: it.value.unwrap_or_default(),
            input: it.input.unwrap_or_default(),
            output: it.output.unwrap_or_default(),
            succeeded,
            undone,
        });
    }
    Ok(Traced { frames, gas_used, logs, diff: StateDiff::default() })
}

fn kind(name: &str) -> Result<CallKind, String> {
    Ok(match name {
        "CALL" => CallKind::Call,
        "STATICCALL" => CallKind::StaticCall,
        "DELEGATECALL" => CallKind::DelegateCall,
        "CALLCODE" => CallKind::CallCode,
        "CREATE" | "CREATE2" => CallKind::Create,
        "SELFDESTRUCT" => CallKind::SelfDestruct,
        other => {
            let other: String = other.chars().take(20).collect();
            return Err(format!("unknown kind of call `{other}`"));
        }
    })
}

/// How the trace disagrees with the receipt, if it does.
fn difference(tx: &Tx, traced: &Traced) -> Option<String> {
    let root = traced.frames.first()?;
    if root.succeeded != tx.succeeded {
        let (receipt, trace) = (tx.succeeded, root.succeeded);
        return Some(format!("succeeded: receipt {receipt}, trace {trace}"));
    }
    if let Some(gas) = traced.gas_used.filter(|it| *it != tx.gas_used) {
        return Some(format!("gas used: receipt {}, trace {gas}", tx.gas_used));
    }
    // Some nodes ignore `withLog`; then there is nothing to compare.
    if traced.logs.is_empty() {
        return None;
    }
    // Logs come grouped by frame, so only their multiset is comparable.
    let sorted = |logs: &[Log]| {
        let mut keys: Vec<_> = logs
            .iter()
            .map(|it| (it.address, it.data.topics().to_vec(), it.data.data.clone()))
            .collect();
        keys.sort();
        keys
    };
    (sorted(&tx.logs) != sorted(&traced.logs)).then(|| {
        format!("logs: receipt has {}, trace {} or others", tx.logs.len(), traced.logs.len())
    })
}

#[cfg(test)]
mod tests {
    use cofferdam_core::tx::CallKind;
    use serde_json::json;

    use super::{Asked, nesting, parse, parse_here};

    const A: &str = "0x00000000000000000000000000000000000000aa";
    const B: &str = "0x00000000000000000000000000000000000000bb";

    #[test]
    fn a_call_tree_becomes_a_flat_list_with_undone_frames_marked() -> Result<(), String> {
        let call = |error: Option<&str>, calls: serde_json::Value| {
            json!({"type": "CALL", "from": A, "to": B, "input": "0x01020304", "value": "0x1",
                   "gasUsed": "0x5208", "error": error, "calls": calls})
        };
        let create = json!({"type": "CREATE2", "from": A, "input": "0x"});
        let failed = call(Some("execution reverted"), json!([call(None, json!([]))]));
        let tree = json!([{"txHash": null, "result": call(None, json!([failed, create]))}]);
        let traced = parse_here(&tree.to_string(), Asked::Calls)?;
        let [traced] = traced.as_slice() else { return Err("one trace".to_owned()) };
        let shape: Vec<_> =
            traced.frames.iter().map(|it| (it.parent, it.depth, it.succeeded, it.undone)).collect();
        assert_eq!(
            shape,
            [
                (None, 0, true, false),
                (Some(0), 1, false, true),
                (Some(1), 2, true, true),
                (Some(0), 1, true, false)
            ]
        );
        assert_eq!(traced.frames.last().map(|it| it.kind), Some(CallKind::Create));
        assert_eq!(traced.gas_used, Some(21_000));
        Ok(())
    }

    fn deep(depth: usize) -> String {
        let open = format!(r#"{{"type":"CALL","from":"{A}","to":"{B}","calls":["#);
        let leaf = format!(r#"{{"type":"CALL","from":"{A}","to":"{B}"}}"#);
        format!(r#"[{{"result":{}{leaf}{}}}]"#, open.repeat(depth), "]}".repeat(depth))
    }

    #[tokio::test]
    async fn the_deepest_tree_the_evm_allows_is_read() {
        let traced = parse(deep(1_024), Asked::Calls).await;
        let frames = traced.map(|it| it.iter().map(|it| it.frames.len()).sum::<usize>());
        assert_eq!(frames, Ok(1_025));
    }

    #[tokio::test]
    async fn a_tree_deeper_than_the_evm_allows_is_refused() {
        let error = parse(deep(100_000), Asked::Calls).await.err();
        assert!(error.is_some_and(|it| it.contains("nested")));
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(nesting(r#"[{"a":"[[{\"[","b":[]}]"#), 3);
    }

    #[test]
    fn an_untraced_transaction_is_an_error() {
        let text = r#"[{"error":"execution timeout"}]"#;
        let error = parse_here(text, Asked::Calls).err();
        assert_eq!(error.as_deref(), Some("transaction 0 was not traced: execution timeout"));
    }
}
