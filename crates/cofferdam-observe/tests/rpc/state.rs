//! State reads: batched at a block hash, and synchronous for the EVM.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use cofferdam_core::{
    BlockRef, Timestamp,
    ports::{Ahead as _, StateError, StateReader, StateSource},
    read::{Answer, StateRead},
};
use cofferdam_observe::rpc::{EndpointPool, RpcReader, RpcStates};
use serde_json::json;

use crate::support::{
    CHAIN,
    node::{Fault, Node},
    pool,
};

const LIMIT: Duration = Duration::from_millis(500);

fn head(node: &Node) -> BlockRef {
    let (number, hash) = node.chain(|it| (it.height(), it.hash_at(it.height())));
    BlockRef { chain: CHAIN, number, hash, parent: B256::ZERO, time: Timestamp(0) }
}

fn reads() -> Vec<StateRead> {
    let it = Address::repeat_byte(1);
    vec![
        StateRead::Call { to: it, data: Bytes::from_static(&[1, 2, 3, 4]) },
        StateRead::Storage { address: it, slot: U256::from(3) },
        StateRead::Balance(it),
        StateRead::CodeHash(it),
    ]
}

async fn node() -> Node {
    answering(Node::start().await)
}

/// A node with an answer for everything that is read here.
fn answering(node: Node) -> Node {
    node.answer("eth_call", json!(format!("0x{:064x}", 7)));
    node.answer("eth_getStorageAt", json!(format!("0x{:064x}", 8)));
    node.answer("eth_getBalance", json!("0x9"));
    node.answer("eth_getTransactionCount", json!("0x2"));
    node.answer("eth_getCode", json!("0x6001"));
    node
}

#[tokio::test]
async fn reads_are_answered_in_order() {
    let node = node().await;
    let reader = RpcReader::new(pool(&[&node.url]), LIMIT);
    let answers = reader.read(&head(&node), &reads()).await.unwrap();
    let word = |it: u64| Answer::of(U256::from(it));
    assert_eq!(answers, [word(7), word(8), word(9), Answer::of_hash(keccak256([0x60, 1]))]);
    assert_eq!(reader.read(&head(&node), &[]).await.unwrap(), []);
}

#[tokio::test]
async fn a_revert_is_an_answer_and_missing_state_is_not() {
    let node = node().await;
    let reader = RpcReader::new(pool(&[&node.url]), LIMIT);
    node.set_fault(Fault::Refuse("eth_call", 3, "execution reverted: paused"));
    let answers = reader.read(&head(&node), &reads()).await.unwrap();
    assert_eq!(answers[0], Answer::Reverted);
    node.set_fault(Fault::Refuse("eth_call", -32_000, "missing trie node"));
    let answers = reader.read(&head(&node), &reads()).await.unwrap();
    assert_eq!(answers[0], Answer::Unavailable);
    assert_ne!(answers[1], Answer::Unavailable);
}

/// On a paused clock: a slow machine must not make the first node look slow.
#[tokio::test(start_paused = true)]
async fn what_one_node_lacks_is_asked_of_the_next() {
    let (pruned, archive) = (answering(Node::new()), answering(Node::new()));
    pruned.set_fault(Fault::Refuse("eth_getBalance", -32_000, "missing trie node"));
    let endpoints = vec![pruned.asked("pruned"), archive.asked("archive")];
    let reader = RpcReader::new(EndpointPool::of(CHAIN, endpoints).unwrap(), LIMIT);
    let answers = reader.read(&head(&archive), &reads()).await.unwrap();
    assert_eq!(answers[2], Answer::of(U256::from(9)));
    assert_eq!(archive.calls("eth_call"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_hangs_is_overtaken_by_the_next() {
    let hanging = Node::new();
    let good = Node::of(hanging.shared_chain());
    hanging.set_fault(Fault::HangAll);
    good.answer("eth_getBalance", json!("0x9"));
    let endpoints = vec![hanging.asked("bad"), good.asked("good")];
    let pool = EndpointPool::of(CHAIN, endpoints).unwrap();
    let reader = RpcReader::new(pool, Duration::from_secs(30));
    let began = tokio::time::Instant::now();
    let reads = [StateRead::Balance(Address::repeat_byte(1))];
    assert_eq!(reader.read(&head(&good), &reads).await.unwrap(), [Answer::of(U256::from(9))]);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn no_node_is_an_error_and_not_a_zero() {
    let node = node().await;
    node.set_fault(Fault::HangAll);
    let reader = RpcReader::new(pool(&[&node.url]), LIMIT);
    assert!(reader.read(&head(&node), &reads()).await.is_err());
}

/// On a current-thread runtime the caller blocks the only thread that drives it.
#[test]
fn the_evm_may_read_state_from_the_thread_that_drives_a_runtime() {
    let nodes = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let node = nodes.block_on(node());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let states = RpcStates::start(&pool(&[&node.url]), LIMIT).unwrap();
        let state = states.at(head(&node));
        let it = Address::repeat_byte(1);
        let account = state.account(it).unwrap().unwrap();
        assert_eq!((account.balance, account.nonce), (U256::from(9), 2));
        assert_eq!(account.code, Bytes::from_static(&[0x60, 1]));
        assert_eq!(state.storage(it, U256::from(3)).unwrap(), U256::from(8));
        assert_eq!(state.storage(it, U256::from(3)).unwrap(), U256::from(8));
        assert_eq!(node.calls("eth_getStorageAt"), 1, "the second read comes from the cache");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn state_that_no_node_has_is_unavailable_and_an_empty_account_is_none() {
    let node = node().await;
    let states = RpcStates::start(&pool(&[&node.url]), LIMIT).unwrap();
    let state = states.at(head(&node));
    node.set_fault(Fault::Refuse("eth_getStorageAt", -32_000, "missing trie node"));
    let missing = state.storage(Address::ZERO, U256::ZERO);
    assert!(matches!(missing, Err(StateError::Unavailable(_))), "{missing:?}");
    for method in ["eth_getBalance", "eth_getTransactionCount"] {
        node.answer(method, json!("0x0"));
    }
    node.answer("eth_getCode", json!("0x"));
    assert_eq!(state.account(Address::repeat_byte(2)).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_execution_wants_is_asked_for_at_once_and_never_guessed() {
    let node = node().await;
    let states = RpcStates::start(&pool(&[&node.url]), LIMIT).unwrap();
    let state = states.at(head(&node));
    let ahead = state.prefetch();
    let (it, slots) = (Address::repeat_byte(1), (0..100).map(U256::from));
    // The first request of all asks which chain it is.
    state.account(Address::repeat_byte(2)).unwrap();
    let before = node.requests();
    for _ in 0..2 {
        assert!(matches!(ahead.account(it), Err(StateError::Missing)));
        for slot in slots.clone() {
            assert!(matches!(ahead.storage(it, slot), Err(StateError::Missing)));
        }
    }
    assert_eq!(node.requests(), before, "wanting asks nobody");
    assert_eq!(ahead.fetch().unwrap(), 101, "each part once");
    assert_eq!(node.requests() - before, 3, "forty questions to a request");
    assert_eq!(ahead.account(it).unwrap().unwrap().nonce, 2);
    assert!(slots.clone().all(|slot| ahead.storage(it, slot).unwrap() == U256::from(8)));
    assert_eq!(ahead.fetch().unwrap(), 0, "nothing is unknown any more");
    assert_eq!(state.storage(it, U256::from(99)).unwrap(), U256::from(8));
    assert_eq!(node.requests() - before, 3, "and the state itself knows it too");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_fetched_stays_unknown() {
    let node = node().await;
    let states = RpcStates::start(&pool(&[&node.url]), LIMIT).unwrap();
    let ahead = states.at(head(&node)).prefetch();
    node.set_fault(Fault::Refuse("eth_getStorageAt", -32_000, "missing trie node"));
    let slot = || ahead.storage(Address::ZERO, U256::ZERO);
    assert!(matches!(slot(), Err(StateError::Missing)));
    assert!(matches!(ahead.fetch(), Err(StateError::Unavailable(_))));
    assert!(matches!(slot(), Err(StateError::Missing)));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_block_hashes_are_refused_when_the_pinned_block_is_not_canonical() {
    let node = node().await;
    node.chain(|it| it.mine_many(5, 0));
    let pinned = head(&node);
    let states = RpcStates::start(&pool(&[&node.url]), LIMIT).unwrap();
    let expected = node.chain(|it| it.hash_at(2));
    assert_eq!(states.at(pinned).block_hash(2).unwrap(), expected);
    assert_eq!(states.at(pinned).block_hash(5).unwrap(), pinned.hash);
    node.chain(|it| {
        it.drop_newest(1);
        it.mine(0);
    });
    assert!(states.at(pinned).block_hash(1).is_err());
}
