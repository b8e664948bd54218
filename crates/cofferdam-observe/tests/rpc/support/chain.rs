//! A chain made of well-formed blocks: header hashes, blooms and receipts roots are right.

use std::collections::HashMap;

use alloy::consensus::{
    Header, Receipt, ReceiptEnvelope, ReceiptWithBloom, proofs::calculate_receipt_root,
};
use alloy_primitives::{Address, B256, Bytes, Log, keccak256};
use serde_json::{Value, json};

/// Genesis plus mined blocks, and every block that was ever canonical.
#[derive(Clone)]
pub(crate) struct Chain {
    canon: Vec<B256>,
    blocks: HashMap<B256, Made>,
    salt: u64,
}

#[derive(Clone)]
struct Made {
    block: Value,
    receipts: Value,
    number: u64,
}

/// What a block holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) txs: usize,
    pub(crate) logs_per_tx: usize,
    pub(crate) input_bytes: usize,
}

impl Chain {
    pub(crate) fn new() -> Self {
        let mut chain = Self { canon: Vec::new(), blocks: HashMap::new(), salt: 0 };
        chain.mine(0);
        chain
    }

    /// The same chain, whose blocks from now on are others than those of the original.
    pub(crate) fn fork(&self) -> Self {
        Self { salt: self.salt + 1_000_000, ..self.clone() }
    }

    /// Mines a block with `txs` transactions of one log each; returns its hash.
    pub(crate) fn mine(&mut self, txs: usize) -> B256 {
        self.mine_shape(Shape { txs, logs_per_tx: 1, input_bytes: 4 })
    }

    pub(crate) fn mine_shape(&mut self, shape: Shape) -> B256 {
        self.salt += 1;
        let number = self.canon.len() as u64;
        let parent = self.canon.last().copied().unwrap_or_default();
        let (hash, made) = make(number, parent, self.salt, shape);
        self.blocks.insert(hash, made);
        self.canon.push(hash);
        hash
    }

    pub(crate) fn mine_many(&mut self, count: usize, txs: usize) {
        for _ in 0..count {
            self.mine(txs);
        }
    }

    /// Drops the newest `depth` blocks from the canonical chain.
    pub(crate) fn drop_newest(&mut self, depth: usize) {
        self.canon.truncate(self.canon.len() - depth);
    }

    pub(crate) fn height(&self) -> u64 {
        self.canon.len() as u64 - 1
    }

    pub(crate) fn hash_at(&self, number: u64) -> B256 {
        self.canon[number as usize]
    }

    pub(crate) fn by_number(&self, tag: &Value, height: u64, full: bool) -> Value {
        let height = height.min(self.height());
        let number = match tag.as_str().unwrap_or_default() {
            "latest" => height,
            text => u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(u64::MAX),
        };
        if number > height {
            return Value::Null;
        }
        self.by_hash(self.canon[number as usize], full)
    }

    pub(crate) fn by_hash(&self, hash: B256, full: bool) -> Value {
        let Some(made) = self.blocks.get(&hash) else { return Value::Null };
        let mut block = made.block.clone();
        if !full {
            let hashes = block["transactions"].as_array().unwrap().iter();
            block["transactions"] = hashes.map(|it| it["hash"].clone()).collect();
        }
        block
    }

    pub(crate) fn receipts(&self, hash: B256) -> Value {
        self.blocks.get(&hash).map_or(Value::Null, |it| it.receipts.clone())
    }

    pub(crate) fn number_of(&self, hash: B256) -> Option<u64> {
        self.blocks.get(&hash).map(|it| it.number)
    }
}

/// The logs of transaction `index` in the block made with `salt`.
fn logs(salt: u64, index: usize, count: usize) -> Vec<Log> {
    let topic = |it| match it {
        0 => keccak256(format!("topic {salt} {index}")),
        it => keccak256(format!("topic {salt} {index} {it}")),
    };
    let log = |it| {
        Log::new(Address::repeat_byte(0xaa), vec![topic(it)], Bytes::from_static(b"data")).unwrap()
    };
    (0..count).map(log).collect()
}

/// A transaction that waits in the pool.
pub(crate) fn waiting(hash: B256) -> Value {
    let mut tx = transaction(hash, "0x01020304");
    tx["blockHash"] = Value::Null;
    tx["blockNumber"] = Value::Null;
    tx["transactionIndex"] = Value::Null;
    tx
}

fn transaction(hash: B256, input: &str) -> Value {
    json!({
        "hash": hash, "type": "0x2",
        "from": Address::repeat_byte(1), "to": Address::repeat_byte(0xaa),
        "nonce": "0x0", "value": "0x1", "input": input, "gas": "0xc350",
        "gasPrice": "0x8", "maxFeePerGas": "0x10", "maxPriorityFeePerGas": "0x1",
        "chainId": "0x7a69", "accessList": [], "r": "0x1", "s": "0x1", "yParity": "0x0",
    })
}

fn make(number: u64, parent: B256, salt: u64, shape: Shape) -> (B256, Made) {
    let txs = shape.txs;
    let logs: Vec<Vec<Log>> = (0..txs).map(|it| logs(salt, it, shape.logs_per_tx)).collect();
    let envelopes: Vec<_> = logs
        .iter()
        .enumerate()
        .map(|(index, logs)| {
            let receipt = Receipt {
                status: true.into(),
                cumulative_gas_used: 30_000 * (index as u64 + 1),
                logs: logs.clone(),
            };
            ReceiptEnvelope::Eip1559(ReceiptWithBloom::from(receipt))
        })
        .collect();
    let header = Header {
        parent_hash: parent,
        number,
        timestamp: 1_700_000_000 + number,
        gas_limit: 30_000_000,
        gas_used: 30_000 * txs as u64,
        base_fee_per_gas: Some(7),
        mix_hash: B256::repeat_byte(9),
        extra_data: Bytes::from(salt.to_be_bytes().to_vec()),
        logs_bloom: logs.iter().flatten().collect(),
        receipts_root: calculate_receipt_root(&envelopes),
        ..Header::default()
    };
    let hash = header.hash_slow();
    let tx_hash = |index: usize| keccak256(format!("tx {salt} {index}"));
    let input = match shape.input_bytes {
        4 => "0x01020304".to_owned(),
        count => format!("0x{}", "5a".repeat(count)),
    };
    let mut block = serde_json::to_value(&header).unwrap();
    block["hash"] = json!(hash);
    block["transactions"] = (0..txs)
        .map(|index| {
            let mut tx = transaction(tx_hash(index), &input);
            tx["blockHash"] = json!(hash);
            tx["blockNumber"] = json!(format!("{number:#x}"));
            tx["transactionIndex"] = json!(format!("{index:#x}"));
            tx
        })
        .collect();
    let receipts = (0..txs)
        .map(|index| {
            json!({
                "transactionHash": tx_hash(index), "transactionIndex": format!("{index:#x}"),
                "blockHash": hash, "blockNumber": format!("{number:#x}"), "type": "0x2",
                "status": "0x1", "gasUsed": "0x7530", "contractAddress": null,
                "cumulativeGasUsed": format!("{:#x}", 30_000 * (index + 1)),
                "logs": logs[index].iter().map(|it| json!({
                    "address": it.address, "topics": it.data.topics(),
                    "data": it.data.data, "removed": false,
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    (hash, Made { block, receipts, number })
}
