//! The whole path against anvil and the real guardian: bundle, readiness, dispatch, pause, state.

use std::time::Instant;

use alloy::{primitives::Address, sol_types::SolCall};
use cofferdam_act::{
    Authorisations, ConnectError, FeePolicy, Preparation, PrepareError, Race, RpcBroadcaster, prove,
};
use cofferdam_core::{
    AccountId, ChainId,
    order::Outcome,
    plan::{ActionCall, ContainmentFunction},
    ports::Broadcaster,
};
use serde_json::json;

use crate::{
    support::CHAIN,
    world::{World, action, anvil, bumpEpochCall, order, ready, setPauserCall},
};

#[tokio::test]
async fn a_presigned_authorisation_pauses_the_target_and_state_proves_it() {
    let Some(world) = World::new().await else { return };
    let (held, executor, now) =
        (world.authorisations(0, 0..3).await, world.executor(), world.now().await);
    let action = world.guardian_action(0);
    let fees = FeePolicy::default();
    let net = world.net.as_ref();
    let told = prove(&action, &held, &executor.relayers(), net, fees, now).await;
    assert!(told.ready, "{told:?}");
    assert!(told.proved.iter().any(|it| it.contains("3 charges left")), "{told:?}");
    assert!(told.proved.iter().any(|it| it.contains("3 of 3 authorisations")), "{told:?}");

    let one = order(1, &action, now);
    let prepared = ready(&executor, &one, &held).await;
    assert_eq!(prepared.effect_simulated, Some(true));
    world.ask("evm_setAutomine", json!([false])).await;
    let sent =
        executor.dispatch(&one, &prepared, Race::from_tip(Some(1_000_000_000)), now).await.unwrap();
    assert!(sent.accepted());
    assert_eq!(sent.deliveries.len(), 2);
    let again = executor.dispatch(&one, &prepared, Race::default(), now).await.unwrap();
    assert_eq!(sent, again, "dispatching twice is dispatching once");
    let pool = world.ask("txpool_status", json!([])).await;
    assert_eq!(pool["pending"], "0x2", "{pool}");

    let before = net.head().await.unwrap().0;
    assert_eq!(executor.settle(&one, &world, net, before).await.unwrap(), None);
    let (block, base_fee) = world.mine().await;
    let outcome = executor.settle(&one, &world, net, block).await.unwrap();
    let Some(Outcome::Effective { tx: Some(_), block: at, gas_used }) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(at, block);
    assert!(gas_used < 130_000, "{gas_used}");
    assert!(executor.tend(block, base_fee).await.is_empty());

    // A second order has nothing to do, and says so.
    let two = order(2, &action, block.time);
    let found = executor.prepare(&two, &held, block.time).await.unwrap();
    assert!(matches!(found, Preparation::AlreadyEffective { .. }));
    let told = prove(&action, &held, &executor.relayers(), net, fees, block.time).await;
    assert!(!told.ready && told.because[0].contains("holds already"), "{told:?}");
    // The same bytes once more only revert.
    let replay = prepared.clone().for_order(two.key);
    executor.dispatch(&two, &replay, Race::default(), block.time).await.unwrap();
    let (block, _) = world.mine().await;
    let outcome = executor.settle(&two, &world, net, block).await.unwrap();
    assert!(matches!(outcome, Some(Outcome::Effective { tx: None, .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_raised_epoch_and_spent_charges_are_seen_before_anything_is_sent() {
    let Some(world) = World::new().await else { return };
    let (held, executor, now) =
        (world.authorisations(0, 0..2).await, world.executor(), world.now().await);
    let action = world.guardian_action(0);
    let net = world.net.as_ref();
    world.governance(world.guardian, bumpEpochCall {}.abi_encode()).await;
    let error = executor.prepare(&order(1, &action, now), &held, now).await.unwrap_err();
    assert!(matches!(&error, PrepareError::NoAuthorisation { .. }), "{error}");
    assert!(error.to_string().contains("epoch 0, the contract is at 1"), "{error}");
    let fees = FeePolicy::default();
    let told = prove(&action, &held, &executor.relayers(), net, fees, now).await;
    assert!(!told.ready, "{told:?}");
    assert!(told.because.iter().any(|it| it.contains("none of 2 authorisations")), "{told:?}");
    // Two signatures are needed for tier 1, and one is there.
    let lonely = world.authorisations(0, 5..6).await;
    let error = executor.prepare(&order(2, &world.guardian_action(1), now), &lonely, now).await;
    assert!(matches!(error, Err(PrepareError::NoAuthorisation { .. })));
}

#[tokio::test]
async fn a_quorum_extends_a_pause_that_is_in_force() {
    let Some(world) = World::new().await else { return };
    let (executor, now) = (world.executor(), world.now().await);
    let short = order(1, &world.guardian_action(0), now);
    let held = world.authorisations(0, 0..1).await;
    let prepared = ready(&executor, &short, &held).await;
    executor.dispatch(&short, &prepared, Race::default(), now).await.unwrap();
    let (block, base_fee) = world.mine().await;
    executor.settle(&short, &world, world.net.as_ref(), block).await.unwrap().unwrap();
    executor.tend(block, base_fee).await;

    world.ask("evm_setAutomine", json!([false])).await;
    let long = order(2, &world.guardian_action(1), block.time);
    let held = world.authorisations(1, 10..11).await;
    let prepared = ready(&executor, &long, &held).await;
    assert!(prepared.held_before);
    executor.dispatch(&long, &prepared, Race::default(), block.time).await.unwrap();
    let settle = |at| executor.settle(&long, &world, world.net.as_ref(), at);
    assert_eq!(settle(block).await.unwrap(), None, "it held before: only inclusion counts");
    let (block, _) = world.mine().await;
    assert!(matches!(settle(block).await.unwrap(), Some(Outcome::Effective { tx: Some(_), .. })));
}

#[tokio::test]
async fn a_scoped_key_pauses_a_legacy_contract_with_its_stuck_transaction_replaced() {
    let Some(world) = World::new().await else { return };
    let (executor, now) = (world.executor(), world.now().await);
    let call = ActionCall::Direct {
        target: AccountId { chain: CHAIN, address: world.legacy },
        function: ContainmentFunction::Pause,
        relayer: "hot".into(),
    };
    let action = action(call);
    let one = order(1, &action, now);
    let error = executor.prepare(&one, &Authorisations::default(), now).await.unwrap_err();
    assert!(error.to_string().contains("NotPauser()"), "{error}");
    let holder = executor.relayers()[1];
    let allow = setPauserCall { account: holder, allowed: true }.abi_encode();
    world.governance(world.legacy, allow).await;
    let prepared = ready(&executor, &one, &Authorisations::default()).await;
    assert_eq!(prepared.relayers, [holder]);

    // Somebody uses the relayer's key elsewhere: its nonce is read again.
    executor.sign(&one, &prepared, Race::default(), now).await.unwrap();
    world.transact(holder, Some(Address::repeat_byte(9)), Vec::new()).await;
    world.ask("evm_setAutomine", json!([false])).await;
    let sent = executor.dispatch(&one, &prepared, Race::default(), now).await.unwrap();
    assert!(sent.accepted());
    assert_eq!(sent.sent().next().unwrap().nonce, 1);

    // The block comes without it: replaced at its nonce, dearer.
    let first = sent.sent().next().unwrap().clone();
    let (mut head, base_fee) = world.net.head().await.unwrap();
    head.number += 1;
    let raised = executor.tend(head, base_fee).await;
    assert_eq!(raised.len(), 1);
    assert_eq!(raised[0].1.sent.nonce, 1);
    assert!(raised[0].1.sent.max_fee_per_gas * 8 >= first.max_fee_per_gas * 9);
    let pool = world.ask("txpool_status", json!([])).await;
    assert_eq!(pool["pending"], "0x1", "{pool}");
    let (block, _) = world.mine().await;
    let outcome = executor.settle(&one, &world, world.net.as_ref(), block).await.unwrap();
    let Some(Outcome::Effective { tx: Some(tx), .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(tx, raised[0].1.sent.tx);
}

#[tokio::test]
async fn a_warm_order_goes_out_without_a_question() {
    let Some(world) = World::new().await else { return };
    let (held, executor, now) =
        (world.authorisations(0, 0..2).await, world.executor(), world.now().await);
    let action = world.guardian_action(0);
    world.ask("evm_setAutomine", json!([false])).await;
    executor.warm(&action, &held, now).await.unwrap();
    let floor = Instant::now();
    world.net.head().await.unwrap();
    let floor = floor.elapsed();
    let one = order(1, &action, now);
    let start = Instant::now();
    let prepared = ready(&executor, &one, &Authorisations::default()).await;
    let sent = executor.dispatch(&one, &prepared, Race::default(), now).await.unwrap();
    let took = start.elapsed();
    assert!(sent.accepted());
    eprintln!("warm dispatch on two lanes: {took:?}, one question: {floor:?} (debug build)");
    let (block, _) = world.mine().await;
    let outcome = executor.settle(&one, &world, world.net.as_ref(), block).await.unwrap();
    assert!(matches!(outcome, Some(Outcome::Effective { .. })));
    // The authorisation is used up: no template is left.
    let two = order(2, &action, now);
    let error = executor.prepare(&two, &Authorisations::default(), now).await;
    assert!(matches!(error, Ok(Preparation::AlreadyEffective { .. })));
}

#[tokio::test]
async fn endpoints_of_another_chain_or_shape_are_refused_without_showing_them() {
    let shape = RpcBroadcaster::connect("ftp://secret-key-123", CHAIN, &|_| None).await;
    assert!(matches!(shape, Err(ConnectError::Shape)));
    let unset = RpcBroadcaster::connect("env:NODE", CHAIN, &|_| None).await;
    assert!(matches!(unset, Err(ConnectError::EnvMissing { .. })));
    let url = "http://127.0.0.1:9/v3/0123456789abcdef";
    let dead = RpcBroadcaster::connect("env:NODE", CHAIN, &|_| Some(url.into())).await;
    let error = dead.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("0123456789"), "{error:?}");
    let Some(anvil) = anvil() else { return };
    let wrong = RpcBroadcaster::connect(&anvil.url, ChainId(1), &|_| None).await;
    assert!(matches!(wrong, Err(ConnectError::WrongChain { actual: CHAIN, .. })));
    let ws = anvil.url.replace("http://", "ws://");
    let net = RpcBroadcaster::connect(&ws, CHAIN, &|_| None).await.unwrap();
    assert!(!format!("{net:?}").contains("127.0.0.1"));
    assert_eq!(net.head().await.unwrap().0.number, 0);
}
