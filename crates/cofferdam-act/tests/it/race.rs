//! Getting in: the executor against nodes and builders with real fee rules.

use std::sync::Arc;

use alloy::primitives::{Address, B256, U256};
use cofferdam_act::{
    Bid, BuilderRelay, DeliveryState, Executor, LaneState, Policy, Preparation, Race, Ready,
    RpcBroadcaster,
    testkit::{Block, Manner, MockNode, Ran},
};
use cofferdam_core::{
    BlockRef,
    order::{Order, OrderCall},
    plan::{Builder, BuilderMethod},
    ports::{Broadcaster, PrivateRelay},
};
use serde_json::{Value, json};

use crate::{
    mock::{BASE, Wish, node, signed},
    support::{CHAIN, GWEI, NOW, TARGET, authorisations, guardian_call, key, order, relayers},
};

/// Calls succeed and pause; nothing is paused before.
fn calls(method: &str, params: &Value) -> Option<Result<Value, (i64, String)>> {
    let word = |it: u8| format!("0x{it:064x}");
    match method {
        "eth_call" => Some(Ok(json!(word(0)))),
        "eth_estimateGas" => Some(Ok(json!("0x13880"))),
        "eth_simulateV1" => {
            let count = params[0]["blockStateCalls"][0]["calls"].as_array()?.len();
            let one = json!({ "status": "0x1", "gasUsed": "0x13880", "returnData": word(1) });
            Some(Ok(json!([{ "calls": vec![one; count] }])))
        }
        _ => None,
    }
}

async fn world(nodes: &[&MockNode]) -> Vec<Arc<dyn Broadcaster>> {
    let mut networks: Vec<Arc<dyn Broadcaster>> = Vec::new();
    for node in nodes {
        node.answer_with(calls);
        let net = RpcBroadcaster::connect(&node.url(), CHAIN, &|_| None).await.unwrap();
        networks.push(Arc::new(net));
    }
    networks
}

fn relay(node: &MockNode, method: BuilderMethod) -> Arc<dyn PrivateRelay> {
    let (id, identity) = ("builder".to_owned(), None);
    let builder = Builder { id, endpoint: node.url(), method, identity };
    Arc::new(BuilderRelay::new(&builder, CHAIN, Some(key(0x59)), &|_| None).unwrap())
}

async fn executor(nodes: &[&MockNode], lanes: u8) -> Executor {
    let policy = Policy { lanes_per_order: 1, ..Policy::default() };
    Executor::new(CHAIN, world(nodes).await, relayers(lanes), policy).unwrap()
}

async fn ready(executor: &Executor, order: &Order) -> Ready {
    match executor.prepare(order, &authorisations(2).await, NOW).await.unwrap() {
        Preparation::Ready(ready) => ready,
        other => panic!("{other:?}"),
    }
}

fn head(block: &Block) -> (BlockRef, u64) {
    (block.at, block.base_fee)
}

fn place(block: &Block, of: Address) -> Option<usize> {
    block.txs.iter().position(|it| it.tx.from == of)
}

/// The attack waits in the pool, with a tip of 40 gwei.
async fn attack(node: &MockNode) -> Bid {
    let bid = Bid { tip: 40 * GWEI, max_fee: 500 * GWEI };
    let (raw, _) = signed(Wish { seed: 9, nonce: 0, max_fee: bid.max_fee, tip: bid.tip }).await;
    node.with(|it| it.submit(&raw)).unwrap();
    bid
}

#[tokio::test]
async fn a_known_bid_is_beaten_in_the_same_block_and_an_unknown_one_is_not() {
    for known in [true, false] {
        let node = node().await;
        let executor = executor(&[&node], 1).await;
        let order = order(1, guardian_call());
        let ready = ready(&executor, &order).await;
        let bid = attack(&node).await;
        let race = Race { bid: known.then_some(bid), public: true };
        assert!(executor.dispatch(&order, &ready, race, NOW).await.unwrap().accepted());
        let block = node.mine();
        let (ours, theirs) = (place(&block, key(1).address()), place(&block, key(9).address()));
        assert!(ours.is_some() && theirs.is_some());
        assert_eq!(ours < theirs, known, "{block:?}");
    }
}

#[tokio::test]
async fn an_attacker_who_raises_the_bid_is_outbid_again_within_the_budget() {
    let node = node().await;
    let executor = executor(&[&node], 1).await;
    let mut order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    // Pays for a fee cap of 400 gwei.
    order.fee_budget_wei = U256::from(104_000u128 * 400 * GWEI);
    let bid = attack(&node).await;
    executor.dispatch(&order, &ready, Race { bid: Some(bid), public: true }, NOW).await.unwrap();
    let (raw, _) = signed(Wish { seed: 9, nonce: 0, max_fee: 900 * GWEI, tip: 90 * GWEI }).await;
    node.with(|it| it.submit(&raw)).unwrap();
    let raised = executor.outbid(order.key, Bid { tip: 90 * GWEI, max_fee: 900 * GWEI }).await;
    assert_eq!(raised.len(), 1);
    assert!(raised[0].sent.max_priority_fee_per_gas > 90 * GWEI);
    assert!(executor.outbid(order.key, bid).await.is_empty(), "we pay more already");
    let far = Bid { tip: 900 * GWEI, max_fee: 2_000 * GWEI };
    let last = executor.outbid(order.key, far).await;
    let sent = last.first().unwrap_or(&raised[0]).sent.clone();
    assert!(sent.max_fee_per_gas <= 400 * GWEI);
    let block = node.mine();
    assert_eq!(place(&block, key(1).address()), Some(0), "{block:?}");
}

#[tokio::test]
async fn a_hung_endpoint_delays_nobody() {
    let (hung, good) = (node().await, node().await);
    let executor = executor(&[&hung, &good], 1).await;
    hung.manner("*", Manner::Hang, None);
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    let sent = executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    assert!(sent.accepted());
    assert_eq!(good.with(|it| it.pool().len()), 1);
    // Its own time was not waited for: it has not even been counted as late.
    let told = executor.endpoints();
    assert_eq!((told[0].unavailable, told[1].accepted), (0, 1), "{told:?}");
    let block = good.mine();
    assert!(executor.tend(block.at, block.base_fee).await.is_empty());
}

#[tokio::test]
async fn an_unpublished_attack_is_answered_through_builders_alone() {
    let (public, builder) = (node().await, node().await);
    builder.want_signatures();
    let executor = executor(&[&public], 1).await;
    let relays = vec![relay(&builder, BuilderMethod::Bundle)];
    let executor = executor.with_relays(relays).unwrap();
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    let race = Race { bid: None, public: false };
    let sent = executor.dispatch(&order, &ready, race, NOW).await.unwrap();
    assert!(sent.accepted());
    assert_eq!(builder.asked("eth_sendBundle"), 3, "the next three blocks");
    assert_eq!(public.asked("eth_sendRawTransaction"), 0);
    // The builder builds the next block: it is in it, and no pool ever saw it.
    let block = builder.mine();
    assert_eq!(place(&block, key(1).address()), Some(0));
    assert!(builder.with(|it| it.pool().is_empty()));
}

#[tokio::test]
async fn a_private_order_is_offered_again_and_goes_public_when_its_time_is_up() {
    let (public, builder) = (node().await, node().await);
    let executor = executor(&[&public], 1).await;
    let relays = vec![relay(&builder, BuilderMethod::PrivateTransaction)];
    let executor = executor.with_relays(relays).unwrap();
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    let race = Race { bid: None, public: false };
    let first = executor.dispatch(&order, &ready, race, NOW).await.unwrap();
    for turn in 2..4 {
        let (at, base_fee) = head(&public.mine());
        let again = executor.tend(at, base_fee).await;
        assert_eq!(again[0].1.sent, first.deliveries[0].sent, "unchanged: nobody outbids it");
        assert_eq!(builder.asked("eth_sendPrivateTransaction"), turn);
        assert_eq!(public.asked("eth_sendRawTransaction"), 0);
    }
    let (at, base_fee) = head(&public.mine());
    executor.tend(at, base_fee).await;
    assert_eq!(public.with(|it| it.pool().len()), 1);
    let block = public.mine();
    assert_eq!(place(&block, key(1).address()), Some(0));
}

#[tokio::test]
async fn if_no_builder_listens_everybody_is_told_at_once() {
    let (public, builder) = (node().await, node().await);
    let executor = executor(&[&public], 1).await;
    let relays = vec![relay(&builder, BuilderMethod::Bundle)];
    let executor = executor.with_relays(relays).unwrap();
    builder.manner("*", Manner::Status(503), None);
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    let race = Race { bid: None, public: false };
    assert!(executor.dispatch(&order, &ready, race, NOW).await.unwrap().accepted());
    assert_eq!(public.with(|it| it.pool().len()), 1);
}

#[tokio::test]
async fn a_public_attack_is_answered_everywhere_and_a_reverting_loser_is_free_at_a_builder() {
    let (public, builder) = (node().await, node().await);
    let executor = executor(&[&public], 1).await;
    let relays = vec![relay(&builder, BuilderMethod::Bundle)];
    let executor = executor.with_relays(relays).unwrap();
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    assert!(executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap().accepted());
    assert_eq!(public.with(|it| it.pool().len()), 1);
    // The builder hears it too, in its own time: its node is asked until it did.
    while builder.asked("eth_sendBundle") < 3 {
        tokio::task::yield_now().await;
    }
    builder.execute_with(Box::new(|_, _, _| Ran { succeeded: false, gas_used: 30_000 }));
    assert!(builder.mine().txs.is_empty());
}

#[tokio::test]
async fn a_stuck_transaction_is_replaced_by_the_rules_until_it_is_in() {
    let node = node().await;
    let executor = executor(&[&node], 1).await;
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    // Somebody fills the blocks at 6 gwei of tip; ours begins at 3.
    let full = Box::new(|_: &_, _, _| Ran { succeeded: true, gas_used: 29_950_000 });
    node.execute_with(full);
    let (mut blocks, mut tips) = (0, Vec::new());
    loop {
        let spam = signed(Wish { seed: 8, nonce: blocks, max_fee: 900 * GWEI, tip: 6 * GWEI });
        node.fund(key(8).address(), U256::MAX / U256::from(2));
        node.fund(key(1).address(), U256::from(10u128.pow(18)));
        let (raw, _) = spam.await;
        node.with(|it| it.submit(&raw)).unwrap();
        let block = node.mine();
        blocks += 1;
        if place(&block, key(1).address()).is_some() {
            break;
        }
        for it in executor.tend(block.at, block.base_fee).await {
            assert_eq!((it.1.sent.nonce, it.1.state), (0, DeliveryState::Accepted));
            tips.push(it.1.sent.max_priority_fee_per_gas);
        }
        assert!(blocks < 8, "{tips:?}");
    }
    assert!(tips.windows(2).all(|it| it[1] * 100 >= it[0] * 110), "{tips:?}");
    assert!(tips.len() >= 3);
}

#[tokio::test]
async fn no_nonce_is_used_twice_after_a_restart() {
    let node = node().await;
    let (one, two) = (order(1, guardian_call()), order(2, guardian_call()));
    let before = executor(&[&node], 1).await;
    let prepared = ready(&before, &one).await;
    let first = before.dispatch(&one, &prepared, Race::default(), NOW).await.unwrap();
    let sent: Vec<_> = first.sent().cloned().collect();
    drop(before);
    // With the journal: the open order keeps its nonce, the next one takes the next.
    let after = executor(&[&node], 1).await;
    assert_eq!(after.resume(&one, &first.prepared, &sent).await.unwrap(), 1);
    let next = prepared.clone().for_order(two.key);
    let second = after.dispatch(&two, &next, Race::default(), NOW).await.unwrap();
    assert_eq!(second.sent().next().unwrap().nonce, 1);
    assert_eq!(after.in_flight(one.key), sent);
    // An order that is over leaves a transaction behind: it is outbid, not queued behind.
    let other = executor(&[&node], 1).await;
    other.reserve(&sent);
    let third = other.sign(&two, &next, Race::default(), NOW).await.unwrap();
    assert_eq!(third[0].nonce, 0);
    assert!(third[0].max_priority_fee_per_gas * 100 >= sent[0].max_priority_fee_per_gas * 110);
    // What was included meanwhile is not taken over.
    node.mine();
    let late = executor(&[&node], 1).await;
    late.reserve(&sent);
    assert_eq!(late.sign(&two, &next, Race::default(), NOW).await.unwrap()[0].nonce, 2);
}

#[tokio::test]
async fn a_lost_answer_is_made_good_by_sending_the_same_again() {
    let node = node().await;
    let executor = executor(&[&node], 1).await;
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    node.manner("eth_sendRawTransaction", Manner::DoAndHang, Some(1));
    let lost = executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    assert!(!lost.accepted());
    let again = executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    assert!(again.accepted());
    assert_eq!(again.sent().next(), lost.sent().next());
    assert_eq!(node.with(|it| it.pool().len()), 1);
}

#[tokio::test]
async fn lanes_that_cannot_pay_or_wait_too_long_are_told() {
    let node = node().await;
    let executor = executor(&[&node], 2).await;
    let order = order(1, guardian_call());
    let prepared = ready(&executor, &order).await;
    executor.observe_head(node.with(|it| it.head().at), BASE);
    let cost = U256::from(104_000u128 * 26 * GWEI);
    node.fund(key(1).address(), cost);
    let told = executor.lanes(104_000).await;
    assert_eq!((told[0].state, told[1].state), (LaneState::Low, LaneState::Ready), "{told:?}");
    assert_eq!(told[0].affords, Some(1));
    assert!(told[0].because.contains("pays for 1 transactions"), "{told:?}");
    // A lane that is low is not used while another can pay.
    let sent = executor.dispatch(&order, &prepared, Race::default(), NOW).await.unwrap();
    assert_eq!(sent.sent().next().unwrap().relayer.address, key(2).address());
    let hash = sent.sent().next().unwrap().tx;
    node.fund(key(1).address(), U256::from(10u128.pow(18)));
    for _ in 0..3 {
        node.with(|it| it.pool().drop_tx(hash));
        executor.observe_head(node.mine().at, BASE);
    }
    let told = executor.lanes(104_000).await;
    assert_eq!((told[0].state, told[1].state), (LaneState::Ready, LaneState::Stuck), "{told:?}");
    assert_eq!(told[1].waiting_blocks, 3);
    // Nobody answers: blind, not ready.
    node.manner("*", Manner::Status(500), None);
    let told = executor.lanes(104_000).await;
    assert!(told.iter().all(|it| it.state == LaneState::Blind), "{told:?}");
}

#[tokio::test]
async fn nothing_of_an_order_can_be_printed_before_it_is_sent() {
    let node = node().await;
    let executor = executor(&[&node], 1).await;
    let order = order(1, guardian_call());
    let held = authorisations(1).await;
    let ready = ready(&executor, &order).await;
    let shown = format!("{ready:?} {executor:?} {held:?} {:?}", Preparation::Ready(ready.clone()));
    let sent = executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    // The last 65 bytes of calldata, without padding, are the signature's.
    let data = &sent.prepared.data;
    assert!(data.len() > 300);
    let nibbles = alloy::primitives::hex::encode(data);
    let after = format!("{sent:?}");
    for shown in [shown, after] {
        for start in (0..nibbles.len() - 32).step_by(16) {
            let part = &nibbles[start..start + 32];
            let telling = part.bytes().filter(|it| *it != b'0').count() > 24;
            assert!(!telling || !shown.contains(part), "{part} in {shown}");
        }
    }
}

#[tokio::test]
async fn one_incident_on_two_chains_is_one_order_per_chain() {
    let here = node().await;
    let there_id = cofferdam_core::ChainId(10);
    let there = MockNode::start(there_id, 1_000_000, NOW).await.unwrap();
    there.fund(key(1).address(), U256::from(10u128.pow(18)));
    there.answer_with(calls);
    let net = RpcBroadcaster::connect(&there.url(), there_id, &|_| None).await.unwrap();
    let networks: Vec<Arc<dyn Broadcaster>> = vec![Arc::new(net)];
    let second = Executor::new(there_id, networks, relayers(1), Policy::default()).unwrap();
    let first = executor(&[&here], 1).await;
    // The same relayer, the same incident, the same call; each order is its chain's.
    let data = alloy::primitives::Bytes::from_static(&[0x84, 0x56, 0xcb, 0x59]);
    let call = OrderCall::Direct { target: TARGET, data };
    let one = order(1, call.clone());
    let two = Order {
        chain: there_id,
        key: cofferdam_core::OrderKey(B256::repeat_byte(2)),
        ..order(1, call)
    };
    for (executor, order, node) in [(&first, &one, &here), (&second, &two, &there)] {
        let ready = ready(executor, order).await;
        let sent = executor.dispatch(order, &ready, Race::default(), NOW).await.unwrap();
        assert!(sent.accepted());
        assert!(sent.sent().all(|it| it.relayer.chain == order.chain && it.nonce == 0));
        assert_eq!(place(&node.mine(), key(1).address()), Some(0));
    }
}
