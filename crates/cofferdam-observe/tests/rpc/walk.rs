//! The walk: order, gaps, reorganisations, restarts.

use std::time::Duration;

use alloy_primitives::{Address, B256};
use cofferdam_core::{BlockRef, Stage, ports::BlockSource};
use cofferdam_observe::rpc::{RpcOptions, Start};

use crate::support::{
    CHAIN, blind, block, block_at_last, event,
    node::{Fault, Node},
    numbers, options, source,
};

#[tokio::test]
async fn blocks_arrive_whole_and_in_order_from_the_head_on() {
    let node = Node::start().await;
    node.chain(|it| it.mine_many(3, 2));
    let mut source = source(&[&node.url], options(), None);
    let first = block(&mut source).await;
    assert_eq!((first.block.number, first.block.chain), (3, CHAIN));
    assert_eq!(first.block.hash, node.chain(|it| it.hash_at(3)));
    assert_eq!(first.block.parent, node.chain(|it| it.hash_at(2)));
    assert_eq!(first.stage, Stage::Provisional);
    assert_eq!(first.env.base_fee, 7);
    assert_eq!(first.env.prev_randao, Some(B256::repeat_byte(9)));
    let [_, tx] = first.txs.as_slice() else { panic!("two transactions") };
    assert_eq!((tx.index, tx.gas_used, tx.succeeded), (1, 30_000, true));
    assert_eq!((tx.to, tx.envelope.kind), (Some(Address::repeat_byte(0xaa)), 2));
    assert_eq!((tx.max_fee_per_gas, tx.max_priority_fee_per_gas), (16, 1));
    assert_eq!(tx.logs.len(), 1);
    assert_eq!(tx.facts, []);
    node.chain(|it| it.mine_many(2, 0));
    assert_eq!(numbers(&mut source, 2).await, [4, 5]);
}

#[tokio::test]
async fn a_gap_is_filled_in_order_with_two_calls_per_block() {
    let node = Node::start().await;
    node.chain(|it| it.mine_many(20, 1));
    let mut source = source(&[&node.url], options(), Some(Start::At(1)));
    assert_eq!(numbers(&mut source, 20).await, (1..=20).collect::<Vec<_>>());
    assert_eq!(node.calls("eth_getBlockReceipts"), 20);
    // The walk may have looked for block 21 already.
    assert!((20..=21).contains(&node.calls("full block")), "{}", node.calls("full block"));
}

#[tokio::test]
async fn a_reorganisation_of_two_is_delivered_again_from_the_fork_point() {
    let node = Node::start().await;
    node.chain(|it| it.mine_many(5, 1));
    let mut source = source(&[&node.url], options(), Some(Start::At(3)));
    assert_eq!(numbers(&mut source, 3).await, [3, 4, 5]);
    let fork = node.chain(|it| it.hash_at(3));
    node.chain(|it| {
        it.drop_newest(2);
        it.mine_many(3, 1);
    });
    let again = block(&mut source).await;
    assert_eq!((again.block.number, again.block.parent), (4, fork));
    assert_eq!(again.block.hash, node.chain(|it| it.hash_at(4)));
    assert_eq!(numbers(&mut source, 2).await, [5, 6]);
}

#[tokio::test]
async fn a_replaced_head_of_the_same_height_is_delivered_again() {
    let node = Node::start().await;
    node.chain(|it| it.mine_many(4, 1));
    let mut source = source(&[&node.url], options(), None);
    assert_eq!(numbers(&mut source, 1).await, [4]);
    let new = node.chain(|it| {
        it.drop_newest(1);
        it.mine(2)
    });
    let again = block(&mut source).await;
    assert_eq!((again.block.number, again.block.hash), (4, new));
}

#[tokio::test]
async fn a_reorganisation_of_everything_delivered_starts_again_at_its_first_block() {
    let node = Node::start().await;
    node.chain(|it| it.mine_many(9, 0));
    let mut source = source(&[&node.url], options(), Some(Start::At(8)));
    assert_eq!(numbers(&mut source, 2).await, [8, 9]);
    node.chain(|it| {
        it.drop_newest(4);
        it.mine_many(5, 0);
    });
    assert_eq!(numbers(&mut source, 3).await, [8, 9, 10]);
}

#[tokio::test]
async fn a_reorganisation_deeper_than_allowed_blinds_and_delivers_nothing() {
    let node = Node::start().await;
    node.chain(|it| it.mine_many(8, 0));
    let options = RpcOptions { reorg_blocks_max: 3, ..options() };
    let mut source = source(&[&node.url], options, Some(Start::At(1)));
    assert_eq!(numbers(&mut source, 8).await, (1..=8).collect::<Vec<_>>());
    node.chain(|it| {
        it.drop_newest(5);
        it.mine_many(6, 0);
    });
    let (from, because) = blind(&mut source).await;
    assert_eq!(from, 9);
    assert!(because.contains("deeper than the 3 blocks"), "{because}");
    let more = tokio::time::timeout(Duration::from_millis(600), source.next()).await;
    assert!(more.is_err(), "{more:?}");
}

fn reference(node: &Node, number: u64) -> BlockRef {
    let (hash, parent) = node.chain(|it| (it.hash_at(number), it.hash_at(number - 1)));
    let time = cofferdam_core::Timestamp(0);
    BlockRef { chain: CHAIN, number, hash, parent, time }
}

#[tokio::test]
async fn a_restart_continues_after_the_known_blocks_even_if_some_were_replaced_meanwhile() {
    let node = Node::start().await;
    node.chain(|it| it.mine_many(6, 1));
    let known: Vec<_> = (3..=5).map(|it| reference(&node, it)).collect();
    let mut steady = source(&[&node.url], options(), Some(Start::After(known.clone())));
    assert_eq!(numbers(&mut steady, 1).await, [6]);
    node.chain(|it| {
        it.drop_newest(3);
        it.mine_many(4, 1);
    });
    let mut reorganised = source(&[&node.url], options(), Some(Start::After(known)));
    let first = block(&mut reorganised).await;
    assert_eq!((first.block.number, first.block.parent), (4, node.chain(|it| it.hash_at(3))));
}

#[tokio::test]
async fn a_restart_whose_known_blocks_were_all_replaced_is_blind() {
    let node = Node::start().await;
    node.chain(|it| it.mine_many(6, 1));
    let known = vec![reference(&node, 5)];
    node.chain(|it| {
        it.drop_newest(3);
        it.mine_many(5, 1);
    });
    let mut source = source(&[&node.url], options(), Some(Start::After(known)));
    let (from, because) = blind(&mut source).await;
    assert_eq!(from, 6);
    assert!(because.contains("blocks that are known"), "{because}");
}

#[tokio::test]
async fn a_lagging_endpoint_neither_rewinds_nor_repeats() {
    let good = Node::start().await;
    let lagging = Node::serving(good.shared_chain()).await;
    lagging.set_fault(Fault::Lag(6));
    good.chain(|it| it.mine_many(10, 1));
    let mut source = source(&[&lagging.url, &good.url], options(), Some(Start::At(9)));
    assert_eq!(block_at_last(&mut source).await.block.number, 9);
    assert_eq!(numbers(&mut source, 1).await, [10]);
    good.set_fault(Fault::Status("eth_getBlockByNumber", 503));
    let head = lagging.calls("eth_getBlockByNumber");
    lagging.called("eth_getBlockByNumber", head + 5).await;
    good.set_fault(None);
    good.chain(|it| it.mine(1));
    assert_eq!(block_at_last(&mut source).await.block.number, 11);
    let lag = source.pool().statuses()[0].lag_blocks;
    assert!(lag >= Some(6), "{lag:?}");
}

#[tokio::test]
async fn a_dropped_wait_loses_no_event() {
    let node = Node::start().await;
    node.chain(|it| it.mine_many(30, 1));
    let mut source = source(&[&node.url], options(), Some(Start::At(1)));
    let mut seen = Vec::new();
    while seen.len() < 30 {
        // Most of these are dropped before an event is there.
        let wait = tokio::time::timeout(Duration::from_micros(50), source.next());
        if let Ok(event) = wait.await {
            let cofferdam_core::ports::SourceEvent::Block(it) = event.unwrap() else {
                panic!("only blocks")
            };
            seen.push(it.block.number);
        }
    }
    assert_eq!(seen, (1..=30).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_chain_that_stands_still_is_blindness_after_a_while() {
    let node = Node::start().await;
    node.chain(|it| it.mine(0));
    let options = RpcOptions { stall_after: Some(Duration::from_millis(300)), ..options() };
    let mut source = source(&[&node.url], options, None);
    assert_eq!(numbers(&mut source, 1).await, [1]);
    let (from, because) = blind(&mut source).await;
    assert_eq!(from, 2);
    assert!(because.contains("no new block"), "{because}");
    node.chain(|it| it.mine(0));
    assert!(event(&mut source).await.is_ok());
}
