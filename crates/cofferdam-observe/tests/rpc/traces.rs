//! Call trees and state diffs from a node.

use cofferdam_core::{evidence::Tracing, ports::SourceEvent};
use cofferdam_observe::rpc::{RpcOptions, TracePolicy};
use serde_json::{Value, json};

use crate::support::{
    blind, block, event,
    node::{Fault, Node},
    options, source,
};

const TRACE: &str = "debug_traceBlockByHash";
const A: &str = "0x0101010101010101010101010101010101010101";
const B: &str = "0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn tracing() -> RpcOptions {
    RpcOptions { traces: TracePolicy::Node, ..options() }
}

/// A trace of one transaction of the scripted chain.
fn trace(gas: &str) -> Value {
    json!([{ "txHash": null, "result": {
        "type": "CALL", "from": A, "to": B, "value": "0x1", "gas": "0xc350", "gasUsed": gas,
        "input": "0x01020304", "calls": [
            { "type": "STATICCALL", "from": B, "to": A, "gas": "0x1", "gasUsed": "0x1", "input": "0x" },
        ],
    } }])
}

#[tokio::test]
async fn call_trees_of_a_node_are_evidence_if_they_agree_with_the_receipt() {
    let node = Node::start().await;
    node.chain(|it| it.mine(1));
    node.answer(TRACE, trace("0x7530"));
    let mut source = source(&[&node.url], tracing(), None);
    let tx = block(&mut source).await.txs.remove(0);
    assert_eq!(tx.tracing, Tracing::Node);
    assert_eq!(tx.frames.len(), 2);
}

#[tokio::test]
async fn a_call_tree_that_disagrees_with_the_receipt_is_marked() {
    let node = Node::start().await;
    node.chain(|it| it.mine(1));
    node.answer(TRACE, trace("0x1"));
    let mut source = source(&[&node.url], tracing(), None);
    let tx = block(&mut source).await.txs.remove(0);
    let difference = "gas used: receipt 30000, trace 1".to_owned();
    assert_eq!(tx.tracing, Tracing::Mismatch { difference });
}

#[tokio::test]
async fn both_tracers_in_one_call_keep_a_block_at_three_calls() {
    let node = Node::start().await;
    node.chain(|it| it.mine(1));
    let mut both = trace("0x7530");
    both[0]["result"] = json!({
        "callTracer": both[0]["result"],
        "prestateTracer": { "pre": { A: { "balance": "0x9" } }, "post": { A: { "balance": "0x8" } } },
    });
    node.answer(TRACE, both);
    let options = RpcOptions { state_diffs: true, ..tracing() };
    let mut source = source(&[&node.url], options, None);
    let tx = block(&mut source).await.txs.remove(0);
    assert_eq!((tx.frames.len(), tx.diff.balances.len()), (2, 1));
    // One for the block, one probe.
    assert!(node.calls(TRACE) <= 2);
}

#[tokio::test]
async fn a_node_without_traces_leaves_them_out() {
    let node = Node::start().await;
    node.chain(|it| it.mine(1));
    let mut source = source(&[&node.url], tracing(), None);
    assert_eq!(block(&mut source).await.txs[0].tracing, Tracing::None);
}

#[tokio::test]
async fn a_block_that_cannot_be_traced_is_reported_then_delivered_as_incomplete() {
    let node = Node::start().await;
    node.chain(|it| it.mine(1));
    node.set_fault(Fault::Refuse(TRACE, -32_000, "execution timeout"));
    let mut source = source(&[&node.url], tracing(), None);
    let (from, because) = blind(&mut source).await;
    assert!(from <= 1 && because.contains("execution timeout"), "{because}");
    loop {
        match event(&mut source).await.unwrap() {
            SourceEvent::Block(it) => {
                assert!(matches!(it.txs[0].tracing, Tracing::Incomplete { .. }));
                assert!(!it.txs[0].tracing.is_evidence());
                return;
            }
            other => assert!(matches!(other, SourceEvent::Blind { .. })),
        }
    }
}
