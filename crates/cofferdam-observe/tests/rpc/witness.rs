//! Who else has a block: by announcement, or asked. On a paused clock.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use cofferdam_core::ports::SourceEvent;
use cofferdam_observe::rpc::{RpcOptions, RpcSource};
use serde_json::json;

use crate::support::{
    block, defaults, event,
    node::{Fault, Node},
    source_over,
};

const HEADER: &str = "eth_getBlockByNumber";

fn quorum(quorum: u16) -> RpcOptions {
    RpcOptions { quorum, stall_after: None, ..defaults() }
}

/// The block and the number of witnesses told of in the next event, if one comes soon.
async fn witnessed(source: &mut RpcSource) -> Option<(u64, u16)> {
    match tokio::time::timeout(Duration::from_secs(10), event(source)).await.ok()? {
        Ok(SourceEvent::Witnessed { block, witnesses }) => Some((block.number, witnesses)),
        other => panic!("expected witnesses, got {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_is_delivered_at_once_and_its_witnesses_are_told_later() {
    let first = Node::new();
    let second = Node::of(first.shared_chain());
    first.chain(|it| it.mine(1));
    let endpoints = vec![first.pushing("one").await, second.pushing("two").await];
    let mut source = source_over(endpoints, quorum(2), None);
    block(&mut source).await;
    let _ = witnessed(&mut source).await;
    first.chain(|it| it.mine(1));
    first.push_head();
    let it = block(&mut source).await;
    assert_eq!((it.block.number, it.witnesses), (2, 1));
    second.push_head();
    assert_eq!(witnessed(&mut source).await, Some((2, 2)));
    assert_eq!(witnessed(&mut source).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_announcement_before_the_block_counts_and_costs_no_request() {
    let first = Node::new();
    let second = Node::of(first.shared_chain());
    first.chain(|it| it.mine(1));
    let endpoints = vec![first.pushing("one").await, second.pushing("two").await];
    let mut source = source_over(endpoints, quorum(2), None);
    block(&mut source).await;
    let _ = witnessed(&mut source).await;
    *first.shared.delay.lock().unwrap() = Duration::from_millis(20);
    let before = second.all_calls().len();
    first.chain(|it| it.mine(1));
    first.push_head();
    second.push_head();
    assert_eq!(block(&mut source).await.witnesses, 2);
    assert_eq!(second.all_calls().len(), before);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_tells_nothing_by_itself_is_asked_once() {
    let first = Node::new();
    let second = Node::of(first.shared_chain());
    first.chain(|it| it.mine(1));
    let endpoints = vec![first.pushing("one").await, second.pushing("two").await];
    let mut source = source_over(endpoints, quorum(2), None);
    block(&mut source).await;
    let _ = witnessed(&mut source).await;
    let before = second.calls(HEADER);
    first.chain(|it| it.mine(1));
    first.push_head();
    assert_eq!(block(&mut source).await.witnesses, 1);
    assert_eq!(witnessed(&mut source).await, Some((2, 2)));
    assert_eq!(second.calls(HEADER), before + 1);
}

#[tokio::test(start_paused = true)]
async fn with_a_quorum_of_one_nobody_is_asked() {
    let first = Node::new();
    let second = Node::of(first.shared_chain());
    first.chain(|it| it.mine(1));
    let endpoints = vec![first.pushing("one").await, second.pushing("two").await];
    let mut source = source_over(endpoints, quorum(1), None);
    block(&mut source).await;
    let _ = witnessed(&mut source).await;
    let before = second.all_calls().len();
    first.chain(|it| it.mine(1));
    first.push_head();
    block(&mut source).await;
    tokio::time::sleep(Duration::from_millis(2_900)).await;
    assert_eq!(second.all_calls().len(), before);
}

#[tokio::test(start_paused = true)]
async fn another_block_at_the_same_height_is_no_witness_but_a_disagreement() {
    let first = Node::new();
    first.chain(|it| it.mine_many(3, 1));
    let second = Node::of(first.shared_chain());
    let mut branch = first.chain(|it| it.fork());
    branch.drop_newest(1);
    branch.mine(1);
    second.follow(Arc::new(Mutex::new(branch)));
    let endpoints = vec![first.asked("one"), second.asked("two")];
    let mut source = source_over(endpoints, quorum(2), None);
    assert_eq!(block(&mut source).await.witnesses, 1);
    assert_eq!(witnessed(&mut source).await, None);
    let statuses = source.pool().statuses();
    assert_eq!((statuses[0].disagreements, statuses[1].disagreements), (0, 1), "{statuses:?}");
}

#[tokio::test(start_paused = true)]
async fn the_same_hash_with_another_receipts_root_is_no_witness() {
    let first = Node::new();
    let second = Node::of(first.shared_chain());
    second.set_fault(Fault::Lie(HEADER, |it| {
        it["receiptsRoot"] = json!(format!("0x{}", "11".repeat(32)));
    }));
    first.chain(|it| it.mine(1));
    let endpoints = vec![first.asked("one"), second.asked("two")];
    let mut source = source_over(endpoints, quorum(2), None);
    assert_eq!(block(&mut source).await.witnesses, 1);
    assert_eq!(witnessed(&mut source).await, None);
    assert_eq!(source.pool().statuses()[1].disagreements, 1);
}

#[tokio::test(start_paused = true)]
async fn two_doors_of_one_node_are_one_witness() {
    let node = Node::new();
    node.chain(|it| it.mine(1));
    let doors = vec![node.asked("ws://node.example:8546"), node.asked("https://node.example")];
    let mut source = source_over(doors, quorum(2), None);
    assert_eq!(block(&mut source).await.witnesses, 1);
    assert_eq!(witnessed(&mut source).await, None);
}
