//! The mock node keeps the rules that anvil does not, so that it can be the oracle of a race.
#![allow(unreachable_pub, reason = "one test binary")]

use alloy::{
    consensus::{SignableTransaction as _, TxEip1559},
    eips::eip2718::Encodable2718 as _,
    primitives::{Address, B256, Bytes, TxKind, U256},
};
use cofferdam_act::{
    RpcBroadcaster,
    testkit::{Manner, MockNode, Ran},
};
use cofferdam_core::ports::{BroadcastError, Broadcaster as _};

use crate::support::{CHAIN, GWEI, NOW, TARGET, key};

pub const BASE: u64 = 10_000_000_000;

/// A node with funded accounts 1 to 9 and 0x51 to 0x59.
pub async fn node() -> MockNode {
    let node = MockNode::start(CHAIN, BASE, NOW).await.unwrap();
    for seed in (1..10).chain(0x51..0x5a) {
        node.fund(key(seed).address(), U256::from(10u128.pow(18)));
    }
    node
}

pub struct Wish {
    pub seed: u8,
    pub nonce: u64,
    pub max_fee: u128,
    pub tip: u128,
}

pub async fn signed(it: Wish) -> (Bytes, B256) {
    let signer = key(it.seed);
    let tx = TxEip1559 {
        chain_id: CHAIN.0,
        nonce: it.nonce,
        gas_limit: 100_000,
        max_fee_per_gas: it.max_fee,
        max_priority_fee_per_gas: it.tip,
        to: TxKind::Call(TARGET),
        value: U256::ZERO,
        access_list: Default::default(),
        input: Bytes::from_static(&[7; 4]),
    };
    let signature = signer.sign_hash(tx.signature_hash()).await.unwrap();
    let signed = tx.into_signed(signature);
    (signed.encoded_2718().into(), *signed.hash())
}

async fn tx(seed: u8, nonce: u64, max_gwei: u128, tip_gwei: u128) -> (Bytes, B256) {
    signed(Wish { seed, nonce, max_fee: max_gwei * GWEI, tip: tip_gwei * GWEI }).await
}

fn order(node: &MockNode) -> Vec<Address> {
    node.mine().txs.iter().map(|it| it.tx.from).collect()
}

#[tokio::test]
async fn a_replacement_needs_ten_per_cent_on_both_caps() {
    let node = node().await;
    let add = |raw: Bytes| node.with(|it| it.submit(&raw).map_err(|it| it.0));
    let (first, hash) = tx(1, 0, 100, 10).await;
    assert_eq!(add(first.clone()), Ok(hash));
    assert_eq!(add(first), Err("already known".into()));
    let under = Err("replacement transaction underpriced".into());
    assert_eq!(add(tx(1, 0, 109, 11).await.0), under);
    assert_eq!(add(tx(1, 0, 200, 10).await.0), under, "the fee cap alone is not enough");
    assert!(add(tx(1, 0, 110, 11).await.0).is_ok());
    assert_eq!(node.with(|it| it.pool().len()), 1);
    node.mine();
    let low = add(tx(1, 0, 300, 30).await.0).unwrap_err();
    assert_eq!(low, "nonce too low: next nonce 1, tx nonce 0");
}

#[tokio::test]
async fn a_block_is_ordered_by_effective_tip_and_by_nonce() {
    let node = node().await;
    // The highest fee cap pays the least; a cap just above the base fee eats the tip.
    for (seed, nonce, cap, tip) in
        [(1, 0, 900, 2), (2, 0, 50, 5), (3, 0, 11, 9), (4, 0, 60, 4), (4, 1, 99, 50)]
    {
        let (raw, _) = tx(seed, nonce, cap, tip).await;
        node.with(|it| it.submit(&raw)).unwrap();
    }
    let want: Vec<_> = [2, 4, 4, 1, 3].map(|it| key(it).address()).to_vec();
    assert_eq!(order(&node), want);
}

#[tokio::test]
async fn a_nonce_gap_waits_until_it_is_filled_and_a_cap_below_the_base_fee_waits_too() {
    let node = node().await;
    for (seed, nonce, cap) in [(1, 1, 100), (2, 0, 9)] {
        let (raw, _) = tx(seed, nonce, cap, 3).await;
        node.with(|it| it.submit(&raw)).unwrap();
    }
    assert!(order(&node).is_empty());
    let (raw, _) = tx(1, 0, 100, 3).await;
    node.with(|it| it.submit(&raw)).unwrap();
    let block = node.mine();
    let nonces: Vec<_> = block
        .txs
        .iter()
        .filter(|it| it.tx.from == key(1).address())
        .map(|it| it.tx.nonce)
        .collect();
    assert_eq!(nonces, [0, 1]);
    // Empty blocks: the base fee falls by an eighth each, and the cheap one gets in.
    assert!(block.base_fee < BASE);
}

#[tokio::test]
async fn a_bundle_is_in_its_block_first_or_nowhere() {
    let node = node().await;
    let (public, _) = tx(1, 0, 100, 50).await;
    let (ours, hash) = tx(2, 0, 100, 3).await;
    node.with(|it| it.submit(&public)).unwrap();
    node.with(|it| it.submit_bundle(std::slice::from_ref(&ours), 102, Vec::new())).unwrap();
    let late = node.with(|it| it.submit_bundle(std::slice::from_ref(&ours), 100, Vec::new()));
    assert_eq!(late.unwrap_err().0, "block number already passed");
    assert_eq!(order(&node), [key(1).address()], "101 is not its block");
    assert_eq!(order(&node), [key(2).address()]);
    assert!(node.with(|it| it.find(hash).is_some()));
    // One that would revert is dropped for free.
    node.execute_with(Box::new(|_, _, _| Ran { succeeded: false, gas_used: 30_000 }));
    let (bad, hash) = tx(3, 0, 100, 3).await;
    node.with(|it| it.submit_bundle(std::slice::from_ref(&bad), 103, Vec::new())).unwrap();
    assert!(order(&node).is_empty());
    node.with(|it| it.submit_bundle(std::slice::from_ref(&bad), 104, vec![hash])).unwrap();
    assert_eq!(node.mine().txs.len(), 1, "it may revert, so it is included");
}

#[tokio::test]
async fn a_private_transaction_is_in_no_pool_and_expires() {
    let node = node().await;
    let (one, two) = (tx(1, 0, 100, 3).await.0, tx(2, 0, 11, 3).await.0);
    node.with(|it| it.submit_private(&one, 101)).unwrap();
    assert!(node.with(|it| it.pool().is_empty()));
    assert_eq!(order(&node), [key(1).address()]);
    node.with(|it| it.submit_private(&two, 101)).unwrap();
    assert!(order(&node).is_empty());
}

#[tokio::test]
async fn the_base_fee_follows_the_gas_used() {
    let node = node().await;
    assert_eq!(node.with(|it| it.next_base_fee()), BASE, "the first block was on target");
    assert_eq!(node.mine().base_fee, BASE);
    assert_eq!(node.mine().base_fee, BASE - BASE / 8, "an empty block lowers it by an eighth");
    node.execute_with(Box::new(|_, _, _| Ran { succeeded: true, gas_used: 30_000_000 }));
    let (raw, _) = tx(1, 0, 100, 3).await;
    node.with(|it| it.submit(&raw)).unwrap();
    let full = node.mine();
    assert_eq!(node.mine().base_fee, full.base_fee + full.base_fee / 8);
}

#[tokio::test]
async fn a_reorganisation_brings_transactions_and_nonces_back() {
    let node = node().await;
    let (raw, hash) = tx(1, 0, 100, 3).await;
    node.with(|it| it.submit(&raw)).unwrap();
    let old = node.mine();
    node.with(|it| it.reorganise(1));
    assert!(node.with(|it| it.find(hash).is_none() && it.pool().get(hash).is_some()));
    assert_eq!(node.with(|it| it.account(key(1).address()).nonce), 0);
    let new = node.mine();
    assert!(new.at.hash != old.at.hash && new.at.number == old.at.number);
}

#[tokio::test]
async fn every_bad_manner_is_classified() {
    let node = node().await;
    let net = RpcBroadcaster::connect(&node.url(), CHAIN, &|_| None).await.unwrap();
    let (raw, _) = tx(1, 0, 100, 3).await;
    let bad = [
        Manner::Status(503),
        Manner::Status(429),
        Manner::Body(b"<html>".to_vec()),
        Manner::Body(b"{\"jsonrpc\":\"2.0\",\"id\":".to_vec()),
        Manner::Close,
        Manner::Error(-32_005, "limit exceeded".into()),
    ];
    for manner in bad {
        node.manner("eth_sendRawTransaction", manner.clone(), Some(1));
        let told = net.send(raw.clone()).await;
        assert!(matches!(told, Err(BroadcastError::Unavailable(_))), "{manner:?}: {told:?}");
    }
    assert!(node.with(|it| it.pool().is_empty()));
    net.send(raw.clone()).await.unwrap();
    assert!(matches!(net.send(raw).await, Err(BroadcastError::AlreadyKnown)));
    let (poor, _) = tx(0x77, 0, 100, 3).await;
    assert!(matches!(net.send(poor).await, Err(BroadcastError::InsufficientFunds)));
    let (under, _) = tx(1, 0, 101, 3).await;
    assert!(matches!(net.send(under).await, Err(BroadcastError::Underpriced)));
    node.mine();
    let (low, _) = tx(1, 0, 300, 30).await;
    assert!(matches!(net.send(low).await, Err(BroadcastError::NonceTooLow)));
    let (nonce, _) = net.account(key(1).address()).await.unwrap();
    assert_eq!(nonce, 1);
}
