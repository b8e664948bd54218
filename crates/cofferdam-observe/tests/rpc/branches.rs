//! Reorganisations with several endpoints, not all of the same mind. On a paused clock.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use cofferdam_core::ports::SourceEvent;
use cofferdam_observe::rpc::{RpcOptions, RpcSource, Start};

use crate::support::{
    block, block_at_last, defaults, event,
    follower::Follower,
    node::{Fault, Node},
    numbers, source_over,
};

const FULL: &str = "full block";

/// Follows `source` until it has nothing more to say for a while.
async fn settle(source: &mut RpcSource, follower: &mut Follower) {
    while let Ok(event) = tokio::time::timeout(Duration::from_secs(20), event(source)).await {
        if let SourceEvent::Block(it) = event.unwrap() {
            follower.take(&it.block);
        }
    }
}

fn quiet() -> RpcOptions {
    RpcOptions { stall_after: None, ..defaults() }
}

/// From now on `node` follows a branch of its own from `depth` blocks below its head.
fn split(node: &Node, depth: usize) {
    let mut branch = node.chain(|it| it.fork());
    branch.drop_newest(depth);
    node.follow(Arc::new(Mutex::new(branch)));
}

#[tokio::test(start_paused = true)]
async fn two_endpoints_on_branches_of_equal_length_do_not_make_us_go_back_and_forth() {
    let first = Node::new();
    first.chain(|it| it.mine_many(10, 1));
    let second = Node::of(first.shared_chain());
    split(&second, 2);
    second.chain(|it| it.mine_many(2, 1));
    let endpoints = vec![first.asked("one"), second.asked("two")];
    let mut source = source_over(endpoints, quiet(), Some(Start::At(5)));
    let mut follower = Follower::default();
    settle(&mut source, &mut follower).await;
    assert_eq!((follower.len(), follower.replaced), (6, 0));
    for _ in 0..5 {
        first.chain(|it| it.mine(1));
        second.chain(|it| it.mine(1));
        settle(&mut source, &mut follower).await;
    }
    assert_eq!(follower.tip(), Some((15, first.chain(|it| it.hash_at(15)))));
    assert_eq!(follower.replaced, 0);
    let statuses = source.pool().statuses();
    assert_eq!(statuses[0].disagreements, 0, "{statuses:?}");
    assert!(statuses[1].disagreements >= 3, "{statuses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_runs_ahead_is_followed_once_and_for_all() {
    let first = Node::new();
    first.chain(|it| it.mine_many(10, 1));
    let second = Node::of(first.shared_chain());
    let endpoints = vec![first.asked("one"), second.asked("two")];
    let mut source = source_over(endpoints, quiet(), Some(Start::At(5)));
    let mut follower = Follower::default();
    settle(&mut source, &mut follower).await;
    split(&second, 3);
    second.chain(|it| it.mine_many(6, 1));
    settle(&mut source, &mut follower).await;
    assert_eq!(follower.tip(), Some((13, second.chain(|it| it.hash_at(13)))));
    assert_eq!(follower.replaced, 3);
    // The one that stayed behind on the old branch changes nothing.
    settle(&mut source, &mut follower).await;
    first.chain(|it| it.mine(1));
    settle(&mut source, &mut follower).await;
    assert_eq!(follower.replaced, 3);
}

#[tokio::test(start_paused = true)]
async fn a_minority_of_one_is_left_for_the_branch_of_two() {
    let first = Node::new();
    first.chain(|it| it.mine_many(10, 1));
    let second = Node::of(first.shared_chain());
    let third = Node::of(first.shared_chain());
    split(&first, 1);
    first.chain(|it| it.mine(1));
    let endpoints = vec![first.asked("one"), second.asked("two"), third.asked("three")];
    let mut source = source_over(endpoints, quiet(), Some(Start::At(8)));
    let mut follower = Follower::default();
    for _ in 0..12 {
        settle(&mut source, &mut follower).await;
        first.chain(|it| it.mine(1));
        second.chain(|it| it.mine(1));
    }
    settle(&mut source, &mut follower).await;
    assert_eq!(follower.tip(), Some((22, second.chain(|it| it.hash_at(22)))));
    let statuses = source.pool().statuses();
    let demoted = statuses[0].demoted.as_deref().unwrap_or_default();
    assert!(demoted.contains("another branch"), "{statuses:?}");
    assert!(statuses[1].demoted.is_none() && statuses[2].demoted.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_left_behind_on_an_old_branch_does_not_bring_it_back() {
    let good = Node::new();
    good.chain(|it| it.mine_many(10, 1));
    let old = Node::of(Arc::new(Mutex::new(good.chain(|it| it.clone()))));
    good.chain(|it| {
        it.drop_newest(3);
        it.mine_many(5, 1);
    });
    let endpoints = vec![good.asked("good"), old.asked("old")];
    let mut source = source_over(endpoints, quiet(), Some(Start::At(5)));
    let mut follower = Follower::default();
    settle(&mut source, &mut follower).await;
    assert_eq!(follower.tip().map(|it| it.0), Some(12));
    // The good one goes away; the old one has another block 10 and nothing above it.
    good.set_fault(Fault::HangAll);
    settle(&mut source, &mut follower).await;
    good.set_fault(None);
    good.chain(|it| it.mine(1));
    settle(&mut source, &mut follower).await;
    assert_eq!((follower.tip().map(|it| it.0), follower.replaced), (Some(13), 0));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_dies_in_the_middle_of_a_reorganisation_is_replaced_by_another() {
    let first = Node::new();
    first.chain(|it| it.mine_many(12, 1));
    let second = Node::of(first.shared_chain());
    let endpoints = vec![first.asked("one"), second.asked("two")];
    let mut source = source_over(endpoints, quiet(), Some(Start::At(1)));
    assert_eq!(numbers(&mut source, 12).await, (1..=12).collect::<Vec<_>>());
    let fork = first.chain(|it| it.hash_at(4));
    first.chain(|it| {
        it.drop_newest(8);
        it.mine_many(10, 1);
    });
    let again = block(&mut source).await;
    assert_eq!((again.block.number, again.block.parent), (5, fork));
    // Whoever served the first block of the new branch hangs, the other one goes on.
    first.set_fault(Fault::HangAll);
    assert_eq!(numbers(&mut source, 9).await, (6..=14).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_new_branch_that_cannot_be_had_yet_brings_nothing_of_the_old_one_again() {
    let stale = Node::new();
    stale.chain(|it| it.mine_many(10, 1));
    let switched = Node::of(stale.shared_chain());
    let endpoints = vec![stale.asked("stale"), switched.asked("switched")];
    let mut source = source_over(endpoints, quiet(), Some(Start::At(5)));
    let mut follower = Follower::default();
    settle(&mut source, &mut follower).await;
    // One endpoint knows the new branch but serves no receipts of it; the other one is on the old.
    split(&switched, 3);
    switched.chain(|it| it.mine_many(6, 1));
    switched.set_fault(Fault::Status("eth_getBlockReceipts", 503));
    for _ in 0..3 {
        settle(&mut source, &mut follower).await;
    }
    assert_eq!((follower.tip().map(|it| it.0), follower.replaced), (Some(10), 0));
    switched.set_fault(None);
    settle(&mut source, &mut follower).await;
    assert_eq!(follower.tip(), Some((13, switched.chain(|it| it.hash_at(13)))));
}

#[tokio::test(start_paused = true)]
async fn a_reorganisation_while_missed_blocks_are_filled_in_is_followed() {
    let node = Node::new();
    node.chain(|it| it.mine_many(200, 1));
    *node.shared.delay.lock().unwrap() = Duration::from_millis(5);
    let mut source = source_over(vec![node.asked("node")], quiet(), Some(Start::At(1)));
    let mut follower = Follower::default();
    for _ in 0..50 {
        follower.take(&block_at_last(&mut source).await.block);
    }
    // Below what was delivered, and of what was not.
    for depth in [160, 40, 120] {
        node.chain(|it| {
            it.drop_newest(depth);
            it.mine_many(depth + 1, 1);
        });
        for _ in 0..10 {
            follower.take(&block_at_last(&mut source).await.block);
        }
    }
    settle(&mut source, &mut follower).await;
    assert_eq!(follower.tip(), Some((203, node.chain(|it| it.hash_at(203)))));
    assert_eq!(follower.len(), 203);
}

#[tokio::test(start_paused = true)]
async fn a_reorganisation_that_is_too_deep_is_told_with_both_numbers_and_delivers_nothing() {
    let node = Node::new();
    node.chain(|it| it.mine_many(8, 0));
    let options = RpcOptions { reorg_blocks_max: 3, ..quiet() };
    let mut source = source_over(vec![node.asked("node")], options, Some(Start::At(1)));
    assert_eq!(numbers(&mut source, 8).await, (1..=8).collect::<Vec<_>>());
    node.chain(|it| {
        it.drop_newest(5);
        it.mine_many(6, 0);
    });
    let (from, because) = crate::support::blind(&mut source).await;
    assert_eq!(from, 9);
    assert!(because.contains("deeper than the 3 blocks"), "{because}");
    let asked = node.calls(FULL);
    let silence = tokio::time::timeout(Duration::from_secs(9), event(&mut source)).await;
    assert!(silence.is_err(), "{silence:?}");
    assert!(node.calls(FULL) > asked, "it goes on looking");
}
