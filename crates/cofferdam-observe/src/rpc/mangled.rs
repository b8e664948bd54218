//! Every decoder of a node's bytes returns, whatever the bytes are.

use alloy::rpc::json_rpc::ResponsePacket;
use alloy_primitives::{Address, B256};
use cofferdam_core::ChainId;
use serde_json::{Value, json, value::RawValue};

use super::{
    check::Checks,
    convert::{self, decode_block},
    fetch::parse_head,
    retry_after,
    sub_blocks::RpcSubBlock,
    trace::{Asked, parse_here},
    wire::{RpcHead, RpcReceipt, RpcTx},
};
use crate::mangle::mangled;

/// Mangled versions of each original.
const COUNT: u64 = 3_000;
const OFF: Checks = Checks { header_hash: false, logs_bloom: false, receipts_root: false };

fn tx() -> Value {
    json!({
        "hash": B256::repeat_byte(1), "blockHash": B256::repeat_byte(9), "transactionIndex": "0x0",
        "from": Address::repeat_byte(1), "to": Address::repeat_byte(2), "nonce": "0x3",
        "value": "0x4", "input": "0x01020304", "gas": "0xc350", "type": "0x4", "gasPrice": "0x8",
        "maxFeePerGas": "0x10", "maxPriorityFeePerGas": "0x1", "maxFeePerBlobGas": "0x1",
        "accessList": [{ "address": Address::repeat_byte(3), "storageKeys": [B256::repeat_byte(4)] }],
        "authorizationList": [{
            "chainId": "0x1", "address": Address::repeat_byte(5), "nonce": "0x0", "yParity": "0x0",
            "r": "0x1", "s": "0x1",
        }],
        "blobVersionedHashes": [B256::repeat_byte(6)],
    })
}

fn block() -> Value {
    json!({
        "hash": B256::repeat_byte(9), "parentHash": B256::repeat_byte(8), "number": "0x7",
        "timestamp": "0x6553f100", "miner": Address::ZERO, "gasLimit": "0x1c9c380",
        "gasUsed": "0x5208", "baseFeePerGas": "0x7", "difficulty": "0x0",
        "mixHash": B256::ZERO, "logsBloom": format!("0x{}", "00".repeat(256)),
        "receiptsRoot": B256::repeat_byte(7), "stateRoot": B256::ZERO, "sha3Uncles": B256::ZERO,
        "transactionsRoot": B256::ZERO, "extraData": "0x", "nonce": "0x0000000000000000",
        "transactions": [tx()],
    })
}

fn receipts() -> Value {
    json!([{
        "transactionHash": B256::repeat_byte(1), "transactionIndex": "0x0",
        "blockHash": B256::repeat_byte(9), "status": "0x1", "gasUsed": "0x5208",
        "cumulativeGasUsed": "0x5208", "type": "0x7e", "contractAddress": null,
        "depositNonce": "0x1", "depositReceiptVersion": "0x1",
        "logs": [{ "address": Address::ZERO, "topics": [B256::ZERO], "data": "0x01" }],
    }])
}

fn trace(asked: Asked) -> Value {
    let call = |calls: Value| {
        json!({
            "type": "CALL", "from": Address::ZERO, "to": Address::ZERO, "value": "0x1",
            "gasUsed": "0x5208", "input": "0x01", "output": "0x", "error": null, "calls": calls,
            "logs": [{ "address": Address::ZERO, "topics": [B256::ZERO], "data": "0x01" }],
        })
    };
    let calls = call(json!([call(json!([call(json!([]))])), call(json!([]))]));
    let account = json!({ "balance": "0x1", "code": "0x60", "storage": { B256::ZERO.to_string(): B256::ZERO } });
    let accounts = json!({ Address::ZERO.to_string(): account });
    let diff = json!({ "pre": accounts, "post": accounts });
    let result = match asked {
        Asked::Calls => calls,
        Asked::Both => json!({ "callTracer": calls, "prestateTracer": diff }),
    };
    json!([{ "txHash": B256::ZERO, "result": result }])
}

/// Gives `decode` every mangled version of `original`, after the original itself.
fn each(original: &Value, mut decode: impl FnMut(&str)) {
    let original = original.to_string();
    decode(&original);
    for bytes in mangled(original.as_bytes(), COUNT) {
        decode(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn blocks_and_receipts() {
    let (block, receipts) = (block(), receipts());
    let good = decode_block(ChainId(1), &block.to_string(), &receipts.to_string(), OFF);
    assert!(good.is_ok(), "{good:?}");
    for checks in [OFF, Checks::default(), Checks { header_hash: false, ..Checks::default() }] {
        each(&block, |it| _ = decode_block(ChainId(1), it, &receipts.to_string(), checks));
        each(&receipts, |it| _ = decode_block(ChainId(1), &block.to_string(), it, checks));
    }
    each(&receipts, |it| _ = serde_json::from_str::<Option<Vec<RpcReceipt>>>(it));
}

#[test]
fn heads() {
    assert!(serde_json::from_value::<RpcHead>(block()).is_ok());
    each(&block(), |it| {
        if let Ok(raw) = RawValue::from_string(it.to_owned()) {
            let _ = parse_head(&raw);
        }
    });
}

#[test]
fn pending_transactions_and_blocks_in_the_making() {
    assert!(serde_json::from_value::<RpcTx>(tx()).is_ok_and(|it| convert::transaction(it).is_ok()));
    each(&tx(), |it| {
        let _ = serde_json::from_str::<B256>(it);
        if let Ok(tx) = serde_json::from_str::<RpcTx>(it) {
            let _ = convert::transaction(tx);
        }
    });
    each(&block(), |it| _ = serde_json::from_str::<Option<RpcSubBlock>>(it));
}

#[test]
fn call_trees_and_state_diffs() {
    for asked in [Asked::Calls, Asked::Both] {
        let good = parse_here(&trace(asked).to_string(), asked);
        assert!(good.is_ok(), "{good:?}");
        each(&trace(asked), |it| _ = parse_here(it, asked));
    }
}

#[test]
fn answers_and_pauses_asked_for() {
    let answer = json!([{ "jsonrpc": "2.0", "id": 1, "error": { "code": -32000, "message": "no" } },
                        { "jsonrpc": "2.0", "id": 2, "result": { "a": ["b"] } }]);
    each(&answer, |it| _ = serde_json::from_str::<ResponsePacket>(it));
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    for bytes in mangled(date.as_bytes(), COUNT) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = retry_after::millis(&text, Some(date));
        let _ = retry_after::millis(date, Some(&text));
    }
}
