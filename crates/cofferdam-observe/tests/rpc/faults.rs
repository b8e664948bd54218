//! Nodes that fail, hang, lie or cut off: *blind*, never skipped, never a panic.

use cofferdam_core::ports::{SourceError, SourceEvent};
use cofferdam_observe::rpc::Start;
use serde_json::{Value, json};

use crate::support::{
    blind, block, block_at_last, event, hasty,
    node::{Fault, Node},
    numbers, options, pool, source,
};

const BLOCK: &str = "eth_getBlockByNumber";
const RECEIPTS: &str = "eth_getBlockReceipts";

type Lie = fn(&mut Value);

/// A node at block 2 that then shows `fault` for block 3; what is said about it, and that block 3
/// arrives once the fault is gone.
async fn blind_then_recovered(fault: Fault) -> String {
    let node = Node::start().await;
    node.chain(|it| it.mine_many(2, 2));
    let hangs = matches!(fault, Fault::Hang(_) | Fault::Trickle);
    let options = if hangs { hasty() } else { options() };
    let mut source = source(&[&node.url], options, Some(Start::At(2)));
    assert_eq!(numbers(&mut source, 1).await, [2]);
    node.set_fault(fault);
    node.chain(|it| it.mine_many(2, 2));
    let (from, because) = blind(&mut source).await;
    assert_eq!(from, 3);
    node.set_fault(None);
    let next = block_at_last(&mut source).await;
    assert_eq!(next.block.number, 3);
    assert_eq!(next.txs.len(), 2);
    assert_eq!(numbers(&mut source, 1).await, [4]);
    because
}

#[tokio::test]
async fn a_header_with_another_bloom_is_found_out() {
    let because = blind_then_recovered(Fault::Lie(BLOCK, |it| {
        if it["number"] == "0x3" {
            it["logsBloom"] = json!(format!("0x{}", "01".repeat(256)));
        }
    }))
    .await;
    assert!(because.contains("hashes to"), "{because}");
}

#[tokio::test]
async fn a_lying_bloom_is_found_out_where_headers_cannot_be_hashed() {
    let node = Node::start().await;
    node.chain(|it| it.mine_many(3, 2));
    node.set_fault(Fault::Lie(BLOCK, |it| {
        it["logsBloom"] = json!(format!("0x{}", "01".repeat(256)));
    }));
    let mut relaxed = options();
    relaxed.checks.header_hash = false;
    let mut source = source(&[&node.url], relaxed, Some(Start::At(3)));
    let (from, because) = blind(&mut source).await;
    assert_eq!(from, 3);
    assert!(because.contains("do not match its logs bloom"), "{because}");
    node.set_fault(None);
    assert_eq!(block_at_last(&mut source).await.block.number, 3);
}

#[tokio::test]
async fn receipts_that_are_not_those_of_the_block_are_found_out() {
    let lies: [(Lie, &str); 8] = [
        (|it| it.as_array_mut().unwrap().truncate(1), "but 1 receipts"),
        (|it| it.as_array_mut().unwrap().swap(0, 1), "is for transaction"),
        (|it| it[1]["logs"] = json!([]), "logs bloom"),
        (|it| it[1]["status"] = json!("0x0"), "its header says"),
        (|it| it[1]["cumulativeGasUsed"] = json!("0x1"), "its header says"),
        (|it| it[1]["logs"][0]["data"] = json!("0x00"), "its header says"),
        (|it| it[0]["blockHash"] = json!(format!("0x{}", "11".repeat(32))), "is of block"),
        (|it| *it = json!("never mind"), "malformed answer"),
    ];
    for (lie, reason) in lies {
        let because = blind_then_recovered(Fault::Lie(RECEIPTS, lie)).await;
        assert!(because.contains(reason), "{because} instead of {reason}");
    }
}

#[tokio::test]
async fn failures_of_the_transport_blind_and_then_recover() {
    let faults = [
        (Fault::Truncate(RECEIPTS), "unreachable"),
        (Fault::Status(RECEIPTS, 503), "HTTP status 503"),
        (Fault::Hang(RECEIPTS), "no answer within"),
        (Fault::Trickle, "no answer within"),
        (Fault::NotJson(RECEIPTS), "malformed answer"),
        (Fault::Close, "unreachable"),
        (Fault::Refuse(RECEIPTS, -32_000, "database is\nburning"), "database is burning"),
        (Fault::Lie(RECEIPTS, |it| *it = Value::Null), "receipts are not served yet"),
    ];
    for (fault, reason) in faults {
        let because = blind_then_recovered(fault).await;
        assert!(because.contains(reason), "{because} instead of {reason}");
    }
}

#[tokio::test]
async fn another_block_than_asked_for_is_found_out() {
    let because = blind_then_recovered(Fault::Lie(BLOCK, |it| {
        if it["number"] == "0x3" {
            it["number"] = json!("0x7");
        }
    }))
    .await;
    assert!(because.contains("asked for block 3, got"), "{because}");
}

#[tokio::test]
async fn an_endpoint_that_lies_is_left_for_an_honest_one() {
    let liar = Node::start().await;
    let good = Node::serving(liar.shared_chain()).await;
    liar.set_fault(Fault::Lie(RECEIPTS, |it| it[0]["logs"] = json!([])));
    good.chain(|it| it.mine_many(2, 1));
    let mut source = source(&[&liar.url, &good.url], options(), None);
    assert_eq!(block(&mut source).await.txs[0].logs.len(), 1);
}

#[tokio::test]
async fn no_endpoint_at_all_is_blindness_from_the_start_and_ends_when_one_appears() {
    let node = Node::start().await;
    node.chain(|it| it.mine(1));
    node.set_fault(Fault::Status("eth_chainId", 502));
    let mut source = source(&["http://127.0.0.1:9", &node.url], options(), None);
    assert!(matches!(event(&mut source).await, Ok(SourceEvent::Blind { .. })));
    node.set_fault(None);
    assert_eq!(block_at_last(&mut source).await.block.number, 1);
}

#[tokio::test]
async fn nodes_of_another_chain_are_a_misconfiguration() {
    let node = Node::start().await;
    node.answer("eth_chainId", json!("0x1"));
    let mut source = source(&[&node.url], options(), None);
    let error = event(&mut source).await.err();
    let Some(SourceError::Misconfigured { what, .. }) = error else { panic!("{error:?}") };
    assert!(what.contains("serves eip155:1 instead of eip155:31337"), "{what}");
}

#[tokio::test]
async fn no_text_shows_the_key_in_an_endpoint_url() {
    let node = Node::start().await;
    node.chain(|it| it.mine(1));
    node.set_fault(Fault::Refuse(RECEIPTS, -32_000, "no key s3cr3tkey or hunter22 here"));
    let url = format!("{}/v2/s3cr3tkey?token=hunter22", node.url);
    let dead = "http://user:hunter22@127.0.0.1:9/v2/s3cr3tkey";
    let pool = pool(&[&url, dead, "ws://127.0.0.1:9/s3cr3tkey", "ipc:/tmp/s3cr3tkey/none.ipc"]);
    let options = options();
    let mut source = cofferdam_observe::rpc::RpcSource::start(pool, options, None);
    let (_, because) = blind(&mut source).await;
    node.called(RECEIPTS, 2).await;
    let texts = format!("{because} {:?} {:?}", source.pool(), source.pool().statuses());
    assert!(texts.contains("127.0.0.1"), "{texts}");
    for secret in ["s3cr3tkey", "hunter22", "/v2"] {
        assert!(!texts.contains(secret), "{texts}");
    }
}
