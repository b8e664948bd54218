//! The JSON-RPC network against a scripted HTTP node: other clients' manners and hostile answers.

use std::sync::{Arc, Mutex};

use alloy::primitives::{Address, B256, Bytes};
use cofferdam_act::{ConnectError, RpcBroadcaster};
use cofferdam_core::{
    ports::{BroadcastError, Broadcaster, Call},
    read::{Answer, StateRead},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::{CHAIN, TARGET};

type Answers = Arc<Mutex<Box<dyn FnMut(&str) -> String + Send>>>;

/// Serves what `answer` says to a method: a whole JSON-RPC member (`"result":…` or `"error":…`), or
/// with a leading `!` a raw HTTP response.
async fn node(answer: impl FnMut(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v3/0123456789abcdef", listener.local_addr().unwrap());
    let answers: Answers = Arc::new(Mutex::new(Box::new(answer)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&answers)));
        }
    });
    url
}

async fn serve(mut stream: TcpStream, answers: Answers) {
    let mut seen = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(count @ 1..) => seen.extend_from_slice(&chunk[..count]),
            _ => return,
        }
        let Some(start) = seen.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
        let Ok(request) = serde_json::from_slice::<Value>(&seen[start + 4..]) else { continue };
        let said = answers.lock().unwrap()(request["method"].as_str().unwrap());
        let response = match said.strip_prefix('!') {
            Some(raw) => raw.to_owned(),
            None => {
                let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":{},{said}}}", request["id"]);
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
                format!("{head}content-length: {}\r\n\r\n{body}", body.len())
            }
        };
        if stream.write_all(response.as_bytes()).await.is_err() {
            return;
        }
        seen.clear();
    }
}

fn block() -> String {
    let hash = B256::repeat_byte(7);
    let block = json!({
        "number": "0x10", "hash": hash, "parentHash": hash, "timestamp": "0x65000000",
        "baseFeePerGas": "0x7",
    });
    format!("\"result\":{block}")
}

fn usual(method: &str) -> String {
    match method {
        "eth_chainId" => "\"result\":\"0x7a69\"".into(),
        "eth_getBlockByNumber" => block(),
        _ => "\"error\":{\"code\":-32601,\"message\":\"the method does not exist\"}".into(),
    }
}

fn call() -> Call {
    let read = StateRead::Call { to: TARGET, data: Bytes::from_static(&[1, 2, 3, 4]) };
    let from = Address::repeat_byte(1);
    Call { from, to: TARGET, data: Bytes::from_static(&[9; 4]), then: vec![read] }
}

#[tokio::test]
async fn a_node_without_simulate_v1_still_simulates_but_tells_no_effect() {
    let url = node(|method| match method {
        "eth_call" => "\"result\":\"0x\"".into(),
        "eth_estimateGas" => "\"result\":\"0xc350\"".into(),
        other => usual(other),
    });
    let net = RpcBroadcaster::connect(&url.await, CHAIN, &|_| None).await.unwrap();
    let done = net.simulate(&call()).await.unwrap();
    assert_eq!((done.succeeded, done.gas_used, done.on.number), (true, 50_000, 16));
    assert_eq!(done.then, [Answer::Unavailable]);
    // What holds on the head can be read one by one.
    let from = Address::repeat_byte(1);
    let idle = Call { from, to: from, data: Bytes::new(), ..call() };
    assert_eq!(net.simulate(&idle).await.unwrap().then, [Answer::Bytes(Bytes::new())]);
}

#[tokio::test]
async fn a_revert_is_an_answer_with_its_data() {
    let revert =
        "\"error\":{\"code\":3,\"message\":\"execution reverted\",\"data\":\"0xd93c0665\"}";
    let url = node(move |method| match method {
        "eth_call" | "eth_estimateGas" => revert.into(),
        other => usual(other),
    });
    let net = RpcBroadcaster::connect(&url.await, CHAIN, &|_| None).await.unwrap();
    let done = net.simulate(&call()).await.unwrap();
    assert!(!done.succeeded);
    assert_eq!(done.output[..], [0xd9, 0x3c, 0x06, 0x65]);
}

#[tokio::test]
async fn hostile_answers_are_unavailable_and_show_no_key() {
    let hostile = [
        "\"result\":null".to_owned(),
        "\"result\":[]".to_owned(),
        "\"result\":{\"number\":\"0xffffffffffffffffffff\"}".to_owned(),
        "\"error\":{\"code\":-32005,\"message\":\"key 0123456789abcdef is over its limit\"}"
            .to_owned(),
        "!HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "!HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>".to_owned(),
        "!HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"
            .to_owned(),
        "!garbage\r\n\r\n".to_owned(),
    ];
    for said in hostile {
        let told = said.clone();
        let url = node(move |method| match method {
            "eth_chainId" => usual(method),
            _ => told.clone(),
        });
        let net = RpcBroadcaster::connect(&url.await, CHAIN, &|_| None).await.unwrap();
        let results = [
            net.head().await.err(),
            net.simulate(&call()).await.err(),
            net.account(Address::ZERO).await.err(),
            net.send(Bytes::from_static(&[2])).await.err().filter(|_| !said.contains("result")),
        ];
        for error in results.into_iter().flatten() {
            assert!(matches!(error, BroadcastError::Unavailable(_)), "{said}: {error:?}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("0123456789abcdef") && !shown.contains("127.0.0.1"), "{shown}");
        }
        assert!(net.head().await.is_err(), "{said}");
    }
}

#[tokio::test]
async fn a_node_of_another_chain_or_none_is_refused_at_connect() {
    let url = node(|_| "\"result\":\"0x1\"".into()).await;
    let error = RpcBroadcaster::connect(&url, CHAIN, &|_| None).await.unwrap_err();
    assert!(matches!(error, ConnectError::WrongChain { .. }));
    let url = node(|_| "\"result\":{}".into()).await;
    let error = RpcBroadcaster::connect(&url, CHAIN, &|_| None).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn a_block_that_vanishes_between_two_questions_is_no_inclusion() {
    let receipt = json!({ "blockHash": B256::repeat_byte(7), "status": "0x1", "gasUsed": "0x1" });
    let receipt = format!("\"result\":{receipt}");
    let mut gone = true;
    let url = node(move |method| match method {
        "eth_getTransactionReceipt" => receipt.clone(),
        "eth_getBlockByHash" if std::mem::take(&mut gone) => "\"result\":null".into(),
        "eth_getBlockByHash" => block(),
        other => usual(other),
    });
    let net = RpcBroadcaster::connect(&url.await, CHAIN, &|_| None).await.unwrap();
    assert_eq!(net.inclusion(B256::ZERO).await.unwrap(), None);
    assert_eq!(net.inclusion(B256::ZERO).await.unwrap().unwrap().block.number, 16);
}
