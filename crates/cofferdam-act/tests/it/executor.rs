//! The executor against a scripted network.

use std::sync::Arc;

use crate::support::*;
use alloy::primitives::{Bytes, U256, keccak256};
use cofferdam_act::{
    DeliveryState, DispatchError, Executor, Policy, Preparation, PrepareError, Race, Ready,
    SetupError,
};
use cofferdam_core::{
    ChainId,
    order::{Order, OrderCall, Outcome},
    ports::{BroadcastError, Broadcaster},
};

fn executor(net: &Arc<Net>, relayers: u8) -> Executor {
    let networks: Vec<Arc<dyn Broadcaster>> = vec![Arc::clone(net) as _];
    Executor::new(CHAIN, networks, crate::support::relayers(relayers), Policy::default()).unwrap()
}

async fn ready(executor: &Executor, order: &Order) -> Ready {
    match executor.prepare(order, &authorisations(2).await, NOW).await.unwrap() {
        Preparation::Ready(ready) => ready,
        other => panic!("{other:?}"),
    }
}

fn revert(error: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(&keccak256(error)[..4]))
}

#[tokio::test]
async fn an_order_goes_out_on_two_lanes_and_is_settled_by_state() {
    let net = Net::new();
    let executor = executor(&net, 3);
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    assert_eq!(ready.gas_limit, 104_000);
    assert_eq!(ready.effect_simulated, Some(true));
    assert_eq!(ready.key(), order.key);
    let sent =
        executor.dispatch(&order, &ready, Race::from_tip(Some(40 * GWEI)), NOW).await.unwrap();
    assert!(sent.accepted());
    assert_eq!(sent.deliveries.len(), 2);
    net.with(|it| {
        let tx = it.pool.values().next().unwrap();
        assert_eq!((tx.to, tx.chain, tx.gas_limit), (GUARDIAN, Some(31_337), 104_000));
        // 1.25 × 40 + 2 gwei; 2 × 11.25 + tip.
        assert_eq!((tx.tip, tx.max_fee), (52 * GWEI, 74_500_000_000));
    });
    let settle = |at| executor.settle(&order, net.as_ref(), net.as_ref(), at);
    assert_eq!(settle(net.at(100)).await.unwrap(), None);
    let (block, _) = net.mine(|_| true);
    let outcome = settle(block).await.unwrap();
    let Some(Outcome::Effective { tx: Some(tx), block: at, gas_used: 80_000 }) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(sent.sent().any(|it| it.tx == tx));
    assert_eq!(at, block);
}

#[tokio::test]
async fn dispatching_twice_is_dispatching_once() {
    let net = Net::new();
    let executor = executor(&net, 3);
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    let first = executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    let again =
        executor.dispatch(&order, &ready, Race::from_tip(Some(90 * GWEI)), NOW).await.unwrap();
    assert_eq!(first, again);
    net.with(|it| {
        assert_eq!((it.pool.len(), it.account_reads), (2, 3));
        assert_eq!(it.sends.len(), 4);
    });
    // Also after it landed, and concurrently.
    net.mine(|_| true);
    let (a, b) = tokio::join!(
        executor.dispatch(&order, &ready, Race::default(), NOW),
        executor.dispatch(&order, &ready, Race::default(), NOW)
    );
    assert_eq!(a.unwrap(), b.unwrap());
    assert!(net.with(|it| it.pool.is_empty()));
}

#[tokio::test]
async fn what_is_signed_for_the_journal_is_what_is_sent() {
    let net = Net::new();
    let executor = executor(&net, 2);
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    let intent = executor.sign(&order, &ready, Race::default(), NOW).await.unwrap();
    assert!(net.with(|it| it.sends.is_empty()));
    let sent = executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    assert_eq!(intent, sent.sent().cloned().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_lost_answer_is_no_refusal_and_the_retry_sends_the_same_bytes() {
    let net = Net::new();
    let executor = executor(&net, 1);
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    for script in [Script::LoseAnswer, Script::Deaf] {
        net.with(|it| it.script.push_back(script));
        let lost = executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
        assert!(!lost.accepted());
        assert!(matches!(lost.deliveries[0].state, DeliveryState::Unknown { .. }));
    }
    let again = executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    assert!(again.accepted());
    net.with(|it| {
        assert!(it.sends.windows(2).all(|it| it[0] == it[1]), "{:?}", it.sends);
        assert_eq!(it.pool.len(), 1);
    });
}

#[tokio::test]
async fn a_reverting_simulation_blocks_the_order() {
    let net = Net::new();
    let executor = executor(&net, 1);
    let order = order(1, guardian_call());
    let held = authorisations(3).await;
    net.with(|it| it.revert = revert("NoCharges()"));
    let error = executor.prepare(&order, &held, NOW).await.unwrap_err();
    assert!(error.to_string().contains("NoCharges(): the action has no charge left"), "{error}");
    // A bad authorisation is no verdict on the others: all three are tried.
    net.with(|it| (it.revert, it.simulations) = (revert("BadAuth()"), 0));
    let error = executor.prepare(&order, &held, NOW).await.unwrap_err();
    assert!(
        matches!(&error, PrepareError::Reverted { revert, .. } if revert.blames_authorisation())
    );
    assert_eq!(net.with(|it| it.simulations), 4);
    // A call that succeeds without its effect is no containment.
    net.with(|it| (it.revert, it.pause_works) = (None, false));
    let error = executor.prepare(&order, &held, NOW).await.unwrap_err();
    assert!(matches!(error, PrepareError::WithoutEffect { .. }));
    assert!(net.with(|it| it.sends.is_empty()));
}

#[tokio::test]
async fn an_effect_that_cannot_be_told_is_not_claimed() {
    let net = Net::new();
    net.with(|it| it.tells_after = false);
    let executor = executor(&net, 1);
    let ready = ready(&executor, &order(1, guardian_call())).await;
    assert_eq!(ready.effect_simulated, None);
}

#[tokio::test]
async fn nothing_is_sent_if_the_effect_holds_already() {
    let net = Net::new();
    net.with(|it| it.paused = true);
    let executor = executor(&net, 1);
    let order = order(1, guardian_call());
    let found = executor.prepare(&order, &authorisations(1).await, NOW).await.unwrap();
    assert_eq!(found, Preparation::AlreadyEffective { on: net.at(100) });
    // Somebody else's pause settles the order, without a transaction of ours.
    let outcome = executor.settle(&order, net.as_ref(), net.as_ref(), net.at(100)).await.unwrap();
    assert_eq!(outcome, Some(Outcome::Effective { tx: None, block: net.at(100), gas_used: 0 }));
}

#[tokio::test]
async fn a_longer_pause_on_top_is_settled_only_by_our_own_inclusion() {
    let net = Net::new();
    net.with(|it| it.paused = true);
    let executor = executor(&net, 1);
    let call = OrderCall::Guardian { guardian: GUARDIAN, action_id: ACTION, tier: 1 };
    let order = order(1, call);
    let scope = cofferdam_act::Scope::Guardian {
        guardian: GUARDIAN,
        action_id: ACTION,
        tier: 1,
        not_before: 0,
    };
    let terms =
        cofferdam_act::Terms { nonce: U256::from(7), deadline: NOW.0 / 1_000 + 9_999, epoch: 0 };
    let (a, b) = (key(0x51), key(0x52));
    let signers = [a.as_ref(), b.as_ref()];
    let made = cofferdam_act::Authorisation::sign(CHAIN, scope, terms, &signers);
    let bundle = cofferdam_act::Bundle::new(CHAIN, vec![made.await.unwrap()]);
    let held = cofferdam_act::Authorisations::from_bundles(vec![bundle]).unwrap();
    let found = executor.prepare(&order, &held, NOW).await.unwrap();
    let Preparation::Ready(ready) = found else { panic!("{found:?}") };
    assert!(ready.held_before);
    executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    let settle = |at| executor.settle(&order, net.as_ref(), net.as_ref(), at);
    assert_eq!(settle(net.at(100)).await.unwrap(), None);
    // Our transaction lands and succeeds (the scripted chain only lets it if it was not paused).
    net.with(|it| it.paused = false);
    let (block, _) = net.mine(|_| true);
    assert!(matches!(settle(block).await.unwrap(), Some(Outcome::Effective { tx: Some(_), .. })));
}

#[tokio::test]
async fn the_wrong_chain_is_refused_everywhere() {
    let net = Net::new();
    let networks: Vec<Arc<dyn Broadcaster>> = vec![Arc::clone(&net) as _];
    let made = Executor::new(ChainId(1), networks, relayers(1), Policy::default());
    assert!(matches!(made, Err(SetupError::WrongChain { .. })));
    let executor = executor(&net, 1);
    let mut foreign = order(1, guardian_call());
    let ready = ready(&executor, &foreign).await;
    foreign.chain = ChainId(1);
    let held = authorisations(1).await;
    let error = executor.prepare(&foreign, &held, NOW).await.unwrap_err();
    assert!(matches!(error, PrepareError::WrongChain { .. }));
    let error = executor.dispatch(&foreign, &ready, Race::default(), NOW).await.unwrap_err();
    assert!(matches!(error, DispatchError::WrongChain { .. }));
    assert!(net.with(|it| it.sends.is_empty()));
}

#[tokio::test]
async fn an_expired_order_and_a_foreign_preparation_are_not_sent() {
    let net = Net::new();
    let executor = executor(&net, 1);
    let (one, two) = (order(1, guardian_call()), order(2, guardian_call()));
    let ready = ready(&executor, &one).await;
    let late = NOW.plus_ms(600_001);
    let error = executor.dispatch(&one, &ready, Race::default(), late).await.unwrap_err();
    assert!(matches!(error, DispatchError::Expired { .. }));
    let error = executor.dispatch(&two, &ready, Race::default(), NOW).await.unwrap_err();
    assert!(matches!(error, DispatchError::WrongOrder));
}

#[tokio::test]
async fn a_stuck_lane_is_replaced_at_its_nonce_and_then_another_joins() {
    let net = Net::new();
    let executor = executor(&net, 2);
    let mut order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    // Pays for one lane in full, and for a second one later; not for two at the start.
    order.fee_budget_wei = U256::from(104_000u128 * 250 * GWEI);
    let only_one = Policy { lanes_per_order: 1, ..Policy::default() };
    let networks: Vec<Arc<dyn Broadcaster>> = vec![Arc::clone(&net) as _];
    let executor_one = Executor::new(CHAIN, networks, relayers(2), only_one).unwrap();
    drop(executor);
    let first = executor_one.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    let fees = |it: &cofferdam_core::order::Sent| {
        (it.nonce, it.max_fee_per_gas, it.max_priority_fee_per_gas)
    };
    let start = first.sent().next().unwrap().clone();
    assert_eq!(fees(&start), (0, 25_500_000_000, 3 * GWEI));
    let (head, base) = net.mine(|_| false);
    let second = executor_one.tend(head, base).await;
    assert_eq!(fees(&second[0].1.sent), (0, 28_687_500_000, 3_375_000_000));
    let (head, base) = net.mine(|_| false);
    let third = executor_one.tend(head, base).await;
    assert_eq!(third.len(), 2, "after two replacements another lane joins");
    assert!(third.iter().any(|it| it.1.sent.relayer != start.relayer));
    assert!(third.iter().any(|it| fees(&it.1.sent) == (0, 35_859_375_000, 4_218_750_000)));
    assert_eq!(net.with(|it| it.pool.len()), 2);
    // The very first version may land all the same.
    let (block, base) = net.mine(|_| true);
    assert!(executor_one.tend(block, base).await.is_empty());
    let outcome = executor_one.settle(&order, net.as_ref(), net.as_ref(), block).await.unwrap();
    assert!(matches!(outcome, Some(Outcome::Effective { tx: Some(_), .. })));
}

#[tokio::test]
async fn replacement_stops_at_the_fee_budget() {
    let net = Net::new();
    let executor = executor(&net, 1);
    let mut order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    order.fee_budget_wei = U256::from(104_000u128 * 30 * GWEI);
    executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    for _ in 0..6 {
        let (head, base) = net.mine(|_| false);
        executor.tend(head, base).await;
    }
    net.with(|it| {
        let tx = it.pool.values().next().unwrap();
        let cost = U256::from(tx.max_fee) * U256::from(tx.gas_limit);
        assert!(cost <= order.fee_budget_wei, "{cost}");
        assert_eq!((it.pool.len(), tx.nonce), (1, 0));
    });
    order.fee_budget_wei = U256::from(104_000u128 * 11 * GWEI);
    let poor = Order { key: cofferdam_core::OrderKey(Default::default()), ..order };
    let ready = ready.for_order(poor.key);
    let error = executor.dispatch(&poor, &ready, Race::default(), NOW).await.unwrap_err();
    assert!(matches!(error, DispatchError::Budget(_)), "{error}");
}

#[tokio::test]
async fn a_used_nonce_is_read_again_and_only_then() {
    let net = Net::new();
    let executor = executor(&net, 1);
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    executor.sign(&order, &ready, Race::default(), NOW).await.unwrap();
    assert_eq!(net.with(|it| it.account_reads), 1);
    // Somebody used the relayer's key elsewhere.
    let relayer = executor.relayers()[0];
    net.with(|it| it.nonces.insert(relayer, 4));
    let sent = executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    assert!(sent.accepted());
    assert_eq!(sent.sent().next().unwrap().nonce, 4);
    assert_eq!(net.with(|it| it.account_reads), 2);
}

#[tokio::test]
async fn a_nonce_that_our_own_transaction_used_is_success() {
    let net = Net::new();
    let executor = executor(&net, 1);
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    net.with(|it| it.script.push_back(Script::LoseAnswer));
    executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    net.mine(|_| true);
    let again = executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    assert!(again.accepted());
    assert_eq!(net.with(|it| it.nonces.values().copied().collect::<Vec<_>>()), [1]);
    assert!(net.with(|it| it.pool.is_empty()));
}

#[tokio::test]
async fn a_broke_relayer_is_passed_over_and_all_broke_is_an_error() {
    let net = Net::new();
    let executor = executor(&net, 3);
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    let relayers = executor.relayers();
    net.with(|it| it.broke = relayers[..2].to_vec());
    let sent = executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    let from: Vec<_> = sent.sent().map(|it| it.relayer.address).collect();
    assert_eq!(from, [relayers[2]]);
    let other = crate::support::order(2, guardian_call());
    let ready = ready.for_order(other.key);
    net.with(|it| it.broke = relayers.clone());
    let error = executor.dispatch(&other, &ready, Race::default(), NOW).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("insufficient funds"), "{text}");
}

#[tokio::test]
async fn an_underpriced_replacement_is_raised_at_once() {
    let net = Net::new();
    let executor = executor(&net, 1);
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    net.with(|it| it.script.push_back(Script::Refuse(BroadcastError::Underpriced)));
    let sent = executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    assert!(sent.accepted());
    assert_eq!(sent.deliveries[0].sent.max_priority_fee_per_gas, 3_375_000_000);
    let in_flight = executor.in_flight(order.key);
    assert_eq!(in_flight.len(), 1);
    assert_eq!(net.with(|it| it.pool.values().next().unwrap().hash), in_flight[0].tx);
}

#[tokio::test]
async fn a_direct_call_goes_out_only_by_relayers_that_hold_the_role() {
    let net = Net::new();
    let executor = executor(&net, 3);
    let holder = executor.relayers()[1];
    net.with(|it| it.role = Some(holder));
    let call =
        OrderCall::Direct { target: TARGET, data: Bytes::from_static(&[0x84, 0x56, 0xcb, 0x59]) };
    let order = order(1, call);
    let ready = ready(&executor, &order).await;
    assert_eq!(ready.relayers, [holder]);
    let sent = executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    assert_eq!(sent.sent().map(|it| it.relayer.address).collect::<Vec<_>>(), [holder]);
    net.with(|it| it.role = Some(TARGET));
    let error = executor.prepare(&order, &authorisations(0).await, NOW).await.unwrap_err();
    assert!(matches!(error, PrepareError::Reverted { .. }));
}

#[tokio::test]
async fn a_second_order_takes_idle_lanes_and_a_leftover_nonce_is_outbid() {
    let net = Net::new();
    let executor = executor(&net, 3);
    let (one, two, three) =
        (order(1, guardian_call()), order(2, guardian_call()), order(3, guardian_call()));
    let ready_one = ready(&executor, &one).await;
    executor.dispatch(&one, &ready_one, Race::default(), NOW).await.unwrap();
    let prepared = ready_one.clone().for_order(two.key);
    let second = executor.dispatch(&two, &prepared, Race::default(), NOW).await.unwrap();
    let relayers = executor.relayers();
    assert_eq!(second.sent().map(|it| it.relayer.address).collect::<Vec<_>>(), [relayers[2]]);
    // The first order is vetoed: its transactions stay in the pool, their nonces are taken over.
    executor.finish(one.key);
    let prepared = ready_one.for_order(three.key);
    let third = executor.dispatch(&three, &prepared, Race::default(), NOW).await.unwrap();
    assert!(third.accepted());
    assert!(third.sent().all(|it| it.nonce == 0 && it.max_priority_fee_per_gas > 3 * GWEI));
    assert_eq!(net.with(|it| it.pool.len()), 3);
}

#[tokio::test]
async fn reverted_transactions_and_time_end_an_order() {
    let net = Net::new();
    let executor = executor(&net, 1);
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    net.with(|it| it.succeed = false);
    let (block, _) = net.mine(|_| true);
    let outcome = executor.settle(&order, net.as_ref(), net.as_ref(), block).await.unwrap();
    assert!(matches!(outcome, Some(Outcome::Failed { reason }) if reason.contains("reverted")));
    let other = crate::support::order(2, guardian_call());
    let mut late = net.at(101);
    late.time = NOW.plus_ms(600_001);
    let outcome = executor.settle(&other, net.as_ref(), net.as_ref(), late).await.unwrap();
    assert_eq!(outcome, Some(Outcome::Expired));
}

#[tokio::test]
async fn a_restart_signs_the_same_bytes_again() {
    let net = Net::new();
    let order = order(1, guardian_call());
    let before = executor(&net, 2);
    let ready = ready(&before, &order).await;
    let done = before.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    let sent: Vec<_> = done.sent().cloned().collect();
    drop(before);
    let after = executor(&net, 2);
    assert_eq!(after.resume(&order, &done.prepared, &sent).await.unwrap(), 2);
    let again = after.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    assert!(again.accepted());
    assert_eq!(again.sent().cloned().collect::<Vec<_>>(), sent);
    assert_eq!(net.with(|it| it.pool.len()), 2);
}

#[tokio::test]
async fn a_reorganised_transaction_is_sent_again_unchanged() {
    let net = Net::new();
    let executor = executor(&net, 1);
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    let sent = executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    let (head, base) = net.mine(|_| true);
    assert!(executor.tend(head, base).await.is_empty());
    net.with(|it| {
        it.mined.clear();
        it.nonces.clear();
        it.paused = false;
    });
    let again = executor.tend(head, base).await;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].1.sent, sent.deliveries[0].sent);
    assert_eq!(net.with(|it| it.pool.len()), 1);
}

#[tokio::test]
async fn every_network_hears_it_and_one_yes_is_enough() {
    let (deaf, hears) = (Net::new(), Net::new());
    deaf.with(|it| it.script.push_back(Script::Deaf));
    let networks: Vec<Arc<dyn Broadcaster>> = vec![Arc::clone(&deaf) as _, Arc::clone(&hears) as _];
    let executor = Executor::new(CHAIN, networks, relayers(1), Policy::default()).unwrap();
    let order = order(1, guardian_call());
    let ready = ready(&executor, &order).await;
    let sent = executor.dispatch(&order, &ready, Race::default(), NOW).await.unwrap();
    assert!(sent.accepted());
    assert_eq!(hears.with(|it| it.pool.len()), 1);
    // A lying nonce does not win against the majority.
    let liar = Net::new();
    let relayer = executor.relayers()[0];
    liar.with(|it| it.nonces.insert(relayer, 1_000));
    let networks: Vec<Arc<dyn Broadcaster>> =
        vec![liar as _, Arc::clone(&deaf) as _, Arc::clone(&hears) as _];
    let executor = Executor::new(CHAIN, networks, relayers(1), Policy::default()).unwrap();
    let signed = executor.sign(&order, &ready, Race::default(), NOW).await.unwrap();
    assert_eq!(signed[0].nonce, 0);
}
