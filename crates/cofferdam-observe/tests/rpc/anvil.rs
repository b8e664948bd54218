//! Against a real node: anvil, over WebSocket, IPC and HTTP. Skipped with a notice without it.

use std::collections::BTreeSet;

use alloy::{
    eips::{
        eip2930::{AccessList, AccessListItem},
        eip7702::Authorization,
    },
    network::{TransactionBuilder as _, TransactionBuilder7702 as _},
    providers::{Provider as _, ext::AnvilApi as _},
    rpc::types::{TransactionRequest, anvil::ReorgOptions},
    signers::{SignerSync as _, local::PrivateKeySigner},
};
use alloy_primitives::{Address, B256, Bytes, U256, bytes};
use cofferdam_core::{
    Observation, Stage,
    evidence::Tracing,
    ports::{BlockSource as _, SourceEvent, StateReader, StateSource},
    read::{Answer, StateRead},
    tx::CallKind,
};
use cofferdam_observe::rpc::{
    RpcOptions, RpcReader, RpcSource, RpcStates, TracePolicy, TraceSupport,
};

use crate::support::{PATIENCE, anvil::Anvil, block, event, options, pool, source};

/// Deploys a contract that answers every call by emitting one log; its storage slot 0 is 7.
const EMITTER: Bytes = bytes!("60075f556960075f5260aa60205fa15f52600a6016f3");

async fn deploy(anvil: &Anvil) -> Address {
    let request = TransactionRequest::default().with_deploy_code(EMITTER);
    let sent = anvil.wallet.send_transaction(request).await.unwrap();
    sent.get_receipt().await.unwrap().contract_address.unwrap()
}

async fn poke(anvil: &Anvil, to: Address) -> B256 {
    let request = TransactionRequest::default().with_to(to).with_gas_limit(100_000);
    *anvil.wallet.send_transaction(request).await.unwrap().tx_hash()
}

async fn checked_blocks_over(url: String, anvil: &Anvil) {
    let mut source = source(&[&url], options(), None);
    let head = block(&mut source).await.block.number;
    let emitter = deploy(anvil).await;
    let created = block(&mut source).await;
    assert_eq!(created.block.number, head + 1);
    assert_eq!(created.txs[0].created, Some(emitter));
    let hash = poke(anvil, emitter).await;
    let poked = block(&mut source).await;
    let [tx] = poked.txs.as_slice() else { panic!("one transaction") };
    assert_eq!((tx.hash, tx.logs.len(), tx.succeeded), (hash, 1, true));
    assert_eq!(tx.logs[0].address, emitter);
    assert_eq!(poked.env.gas_used, Some(tx.gas_used));
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_of_anvil_arrive_and_pass_every_check_over_each_transport() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    for url in [anvil.ws(), anvil.ipc(), anvil.http()] {
        checked_blocks_over(url, &anvil).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_of_anvil_is_followed() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    for url in [anvil.ws(), anvil.http()] {
        let mut source = source(&[&url], options(), None);
        let head = block(&mut source).await.block.number;
        anvil.wallet.anvil_mine(Some(5), None).await.unwrap();
        let mut old = Vec::new();
        for _ in 0..5 {
            old.push(block(&mut source).await.block);
        }
        let options = ReorgOptions { depth: 2, tx_block_pairs: vec![] };
        anvil.wallet.anvil_reorg(options).await.unwrap();
        let first = block(&mut source).await.block;
        assert_eq!((first.number, first.parent), (head + 4, old[2].hash));
        assert_ne!(first.hash, old[3].hash);
        let second = block(&mut source).await.block;
        assert_eq!((second.number, second.parent), (head + 5, first.hash));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_of_anvil_is_noticed_when_the_chain_goes_on() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let mut source = source(&[&anvil.ws()], options(), None);
    let head = block(&mut source).await.block.number;
    anvil.wallet.anvil_mine(Some(4), None).await.unwrap();
    let mut old = Vec::new();
    for _ in 0..4 {
        old.push(block(&mut source).await.block);
    }
    anvil.wallet.anvil_rollback(Some(2)).await.unwrap();
    deploy(&anvil).await;
    let again = block(&mut source).await;
    assert_eq!((again.block.number, again.block.parent), (head + 3, old[1].hash));
    assert_eq!(again.txs.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn access_lists_and_authorisations_are_carried_with_their_signer() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let mut source = source(&[&anvil.ws()], options(), None);
    block(&mut source).await;
    let signer = PrivateKeySigner::random();
    let code = Address::repeat_byte(0x42);
    let authorization = Authorization { chain_id: U256::from(31_337), address: code, nonce: 0 };
    let signature = signer.sign_hash_sync(&authorization.signature_hash()).unwrap();
    let slot = B256::repeat_byte(3);
    let access = AccessListItem { address: code, storage_keys: vec![slot] };
    let request = TransactionRequest::default()
        .with_to(signer.address())
        .with_gas_limit(200_000)
        .with_access_list(AccessList(vec![access]))
        .with_authorization_list(vec![authorization.into_signed(signature)]);
    let _ = anvil.wallet.send_transaction(request).await.unwrap();
    let tx = block(&mut source).await.txs.remove(0);
    assert_eq!((tx.envelope.kind, tx.succeeded), (4, true));
    assert_eq!(tx.envelope.access_list, [(code, vec![slot])]);
    let [it] = tx.envelope.authorizations.as_slice() else { panic!("one authorisation") };
    assert_eq!((it.address, it.nonce, it.authority), (code, 0, Some(signer.address())));
}

async fn pending(source: &mut RpcSource) -> Observation {
    loop {
        if let SourceEvent::Pending(it) = event(source).await.unwrap() {
            return it;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_transactions_are_seen_once_over_each_feed_and_over_all() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let (ws, ipc, http) = (anvil.ws(), anvil.ipc(), anvil.http());
    for urls in [&[ws.as_str()][..], &[&ipc], &[&http], &[&ws, &ipc, &http]] {
        pending_over(urls, &anvil).await;
    }
}

async fn pending_over(urls: &[&str], anvil: &Anvil) {
    let options = RpcOptions { pending: true, ..options() };
    let mut source = source(urls, options, None);
    let head = block(&mut source).await.block;
    // A feed tells of what comes after it was opened, so keep sending until one is seen.
    let target = Address::repeat_byte(0x77);
    let mut sent = BTreeSet::new();
    let first = loop {
        sent.insert(poke(anvil, target).await);
        let wait = std::time::Duration::from_millis(200);
        if let Ok(it) = tokio::time::timeout(wait, pending(&mut source)).await {
            break it;
        }
    };
    assert_eq!((first.stage, first.block), (Stage::Pending, head));
    assert_eq!(first.txs[0].to, Some(target));
    let mut seen = BTreeSet::from([first.txs[0].hash]);
    let last = poke(anvil, target).await;
    sent.insert(last);
    while !seen.contains(&last) {
        let hash = pending(&mut source).await.txs[0].hash;
        assert!(sent.contains(&hash) && seen.insert(hash), "{hash} came twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn call_trees_and_diffs_of_anvil_agree_with_its_receipts() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let options =
        RpcOptions { traces: TracePolicy::Node, trace_timeout: PATIENCE / 2, ..options() };
    let both = RpcOptions { state_diffs: true, ..options.clone() };
    let mut calls = source(&[&anvil.ws()], options, None);
    let mut with_diffs = source(&[&anvil.ws()], both, None);
    block(&mut calls).await;
    block(&mut with_diffs).await;
    let emitter = deploy(&anvil).await;
    let tx = block(&mut calls).await.txs.remove(0);
    assert_eq!(tx.tracing, Tracing::Node);
    assert_eq!(tx.frames.first().map(|it| (it.kind, it.to)), Some((CallKind::Create, emitter)));
    let tx = block(&mut with_diffs).await.txs.remove(0);
    let support = with_diffs.pool().statuses()[0].traces;
    eprintln!("anvil serves {support:?}");
    if support == TraceSupport::Combined {
        let storage: Vec<_> = tx.diff.storage.iter().map(|it| (it.address, it.after)).collect();
        assert_eq!(storage, [(emitter, U256::from(7))]);
        assert!(tx.diff.codes.iter().any(|it| it.address == emitter && it.before.is_none()));
        assert!(tx.diff.balances.iter().any(|it| it.address == tx.from && it.after < it.before));
    } else {
        // Not both in one call: left to our own execution.
        assert_eq!((tx.tracing.clone(), tx.frames.len()), (Tracing::None, 0));
    }
    poke(&anvil, emitter).await;
    let tx = block(&mut calls).await.txs.remove(0);
    assert_eq!((tx.tracing.clone(), tx.frames.len()), (Tracing::Node, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn state_of_anvil_is_read_at_a_block_and_not_at_the_head() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let mut source = source(&[&anvil.ws()], options(), None);
    let before = block(&mut source).await.block;
    let emitter = deploy(&anvil).await;
    let after = block(&mut source).await.block;
    let reads = [
        StateRead::Storage { address: emitter, slot: U256::ZERO },
        StateRead::Balance(emitter),
        StateRead::CodeHash(emitter),
        StateRead::Call { to: emitter, data: Bytes::new() },
    ];
    let reader = RpcReader::new(std::sync::Arc::clone(source.pool()), PATIENCE);
    let then = reader.read(&before, &reads).await.unwrap();
    let now = reader.read(&after, &reads).await.unwrap();
    assert_eq!(then[0], Answer::of(U256::ZERO));
    assert_eq!(now[0], Answer::of(U256::from(7)));
    assert_eq!(then[2], Answer::of_hash(B256::ZERO));
    assert_ne!(now[2], then[2]);
    assert_eq!(now[3], Answer::Bytes(Bytes::new()));
    let states = RpcStates::start(source.pool(), PATIENCE).unwrap();
    let state = states.at(after);
    assert_eq!(state.storage(emitter, U256::ZERO).unwrap(), U256::from(7));
    assert_eq!(state.account(emitter).unwrap().unwrap().nonce, 1);
    assert_eq!(states.at(before).account(emitter).unwrap(), None);
    assert_eq!(state.block_hash(before.number).unwrap(), before.hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_away_is_blindness() {
    let Some(first) = Anvil::start(&[]).await else { return };
    let url = first.ws();
    let mut source = RpcSource::start(pool(&[&url]), options(), None);
    block(&mut source).await;
    drop(first);
    loop {
        if let SourceEvent::Blind { because, .. } =
            tokio::time::timeout(PATIENCE, source.next()).await.unwrap().unwrap()
        {
            assert!(because.contains("ws://127.0.0.1"), "{because}");
            return;
        }
    }
}
