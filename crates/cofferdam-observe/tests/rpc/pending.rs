//! Pending transactions from several endpoints: each once, none lost by us. On a paused clock.

use std::time::Duration;

use alloy_primitives::{B256, keccak256};
use cofferdam_core::{
    Stage,
    ports::{BlockSource as _, SourceEvent},
};
use cofferdam_observe::rpc::{RpcOptions, RpcSource};
use serde_json::{Value, json};

use crate::support::{
    block,
    chain::waiting,
    defaults, event,
    node::{Fault, Node},
    source_over,
};

const BODY: &str = "eth_getTransactionByHash";
const PENDING: &str = "newPendingTransactions";

fn options() -> RpcOptions {
    RpcOptions { pending: true, stall_after: None, ..defaults() }
}

fn hash(index: usize) -> B256 {
    keccak256(format!("waiting {index}"))
}

/// The hashes of the pending transactions that come within a second, and what was said of blindness.
async fn soon(source: &mut RpcSource) -> (Vec<B256>, Vec<String>) {
    let (mut hashes, mut blind) = (Vec::new(), Vec::new());
    let until = tokio::time::Instant::now() + Duration::from_secs(1);
    while let Ok(event) = tokio::time::timeout_at(until, source.next()).await {
        match event.unwrap() {
            SourceEvent::Pending(it) => {
                assert_eq!((it.stage, it.txs.len()), (Stage::Pending, 1));
                hashes.push(it.txs[0].hash);
            }
            SourceEvent::Blind { because, .. } => blind.push(because),
            _ => {}
        }
    }
    (hashes, blind)
}

async fn pair() -> (Node, Node, RpcSource) {
    let first = Node::new();
    let second = Node::of(first.shared_chain());
    first.chain(|it| it.mine(1));
    let endpoints = vec![first.pushing("one").await, second.pushing("two").await];
    let mut source = source_over(endpoints, options(), None);
    block(&mut source).await;
    let _ = soon(&mut source).await;
    (first, second, source)
}

fn holds(node: &Node, index: usize) {
    node.answer(&json!(hash(index)).to_string(), waiting(hash(index)));
}

#[tokio::test(start_paused = true)]
async fn what_several_nodes_tell_as_hash_or_whole_comes_once() {
    let (first, second, mut source) = pair().await;
    for index in 0..50 {
        holds(&first, index);
        first.push(PENDING, json!(hash(index)));
        second.push(PENDING, waiting(hash(index)));
        first.push(PENDING, waiting(hash(index)));
    }
    let (mut hashes, blind) = soon(&mut source).await;
    hashes.sort();
    let mut all: Vec<_> = (0..50).map(hash).collect();
    all.sort();
    assert_eq!((hashes, blind), (all, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_one_node_fails_to_give_is_asked_of_another() {
    let (first, second, mut source) = pair().await;
    first.set_fault(Fault::Refuse(BODY, -32_000, "pool is locked"));
    for index in 0..3 {
        holds(&second, index);
        first.push(PENDING, json!(hash(index)));
    }
    let (hashes, blind) = soon(&mut source).await;
    assert_eq!((hashes.len(), blind.len()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_no_node_gives_is_blindness_and_taken_when_told_again() {
    let (first, second, mut source) = pair().await;
    for node in [&first, &second] {
        node.set_fault(Fault::Refuse(BODY, -32_000, "pool is locked"));
        holds(node, 0);
    }
    first.push(PENDING, json!(hash(0)));
    let (hashes, blind) = soon(&mut source).await;
    assert_eq!(hashes.len(), 0);
    assert!(blind[0].contains("1 pending transactions were announced but not served"), "{blind:?}");
    first.set_fault(None);
    first.push(PENDING, json!(hash(0)));
    assert_eq!(soon(&mut source).await.0, [hash(0)]);
}

#[tokio::test(start_paused = true)]
async fn the_first_sight_is_kept_however_long_the_transaction_waited_for_us() {
    let (first, _, mut source) = pair().await;
    let told = tokio::time::Instant::now();
    first.push(PENDING, waiting(hash(1)));
    tokio::time::sleep(Duration::from_millis(700)).await;
    let event = event(&mut source).await.unwrap();
    let seen = source.seen_at(&event);
    assert!(seen.duration_since(told.into_std()) < Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn more_pending_transactions_than_can_wait_are_reported_as_lost() {
    let (first, _, mut source) = pair().await;
    for index in 0..40_000 {
        first.push(PENDING, waiting(hash(index)));
        if index % 500 == 0 {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let (hashes, blind) = soon(&mut source).await;
    assert!(hashes.len() >= 4_096, "{}", hashes.len());
    assert!(blind.iter().any(|it| it.contains("lost")) || hashes.len() == 40_000, "{blind:?}");
}

fn making(hashes: impl IntoIterator<Item = usize>) -> Value {
    let txs: Vec<_> = hashes.into_iter().map(|it| waiting(hash(it))).collect();
    json!({ "number": null, "hash": null, "transactions": txs })
}

#[tokio::test(start_paused = true)]
async fn the_block_in_the_making_is_told_of_as_it_grows() {
    let (first, second) = {
        let first = Node::new();
        (first.clone(), Node::of(first.shared_chain()))
    };
    first.chain(|it| it.mine(1));
    let endpoints = vec![first.pushing("one").await, second.pushing("two").await];
    let sub_blocks = Some(Duration::from_millis(200));
    let options = RpcOptions { pending: false, sub_blocks, ..options() };
    let mut source = source_over(endpoints, options, None);
    block(&mut source).await;
    for node in [&first, &second] {
        node.answer("pending", making(0..2));
    }
    assert_eq!(soon(&mut source).await.0, [hash(0), hash(1)]);
    for node in [&first, &second] {
        node.answer("pending", making(0..5));
    }
    assert_eq!(soon(&mut source).await.0, [hash(2), hash(3), hash(4)]);
    // The endpoint that is asked goes away; the other one tells of the rest.
    first.set_fault(Fault::HangAll);
    second.answer("pending", making(0..6));
    assert_eq!(soon(&mut source).await.0, [hash(5)]);
}

#[tokio::test(start_paused = true)]
async fn a_block_in_the_making_that_no_node_tells_of_is_blindness_once() {
    let node = Node::new();
    node.chain(|it| it.mine(1));
    let sub_blocks = Some(Duration::from_millis(200));
    let options = RpcOptions { pending: false, sub_blocks, ..options() };
    let mut source = source_over(vec![node.pushing("one").await], options, None);
    block(&mut source).await;
    node.answer("pending", json!({ "code": -32_000, "message": "no such tag" }));
    let (hashes, blind) = soon(&mut source).await;
    assert_eq!((hashes.len(), blind.len()), (0, 1), "{blind:?}");
    assert!(blind[0].contains("block in the making cannot be seen"), "{blind:?}");
}
