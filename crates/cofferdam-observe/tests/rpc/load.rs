//! Blocks as large as an attacker can make them.

use cofferdam_observe::rpc::Start;

use crate::support::{block, chain::Shape, node::Node, numbers, options, source};

async fn delivered(shape: Shape) -> (usize, usize, usize) {
    let node = Node::start().await;
    node.chain(|it| {
        it.mine_shape(shape);
        it.mine(1);
    });
    let mut source = source(&[&node.url], options(), Some(Start::At(1)));
    let it = block(&mut source).await;
    assert_eq!(numbers(&mut source, 1).await, [2]);
    let logs = it.txs.iter().map(|tx| tx.logs.len()).sum();
    (it.txs.len(), logs, it.txs.iter().map(|tx| tx.input.len()).sum())
}

#[tokio::test]
async fn two_thousand_transactions_in_a_block_arrive_whole() {
    let shape = Shape { txs: 2_000, logs_per_tx: 2, input_bytes: 100 };
    assert_eq!(delivered(shape).await, (2_000, 4_000, 200_000));
}

#[tokio::test]
async fn ten_thousand_logs_in_a_transaction_arrive_whole() {
    let shape = Shape { txs: 1, logs_per_tx: 10_000, input_bytes: 4 };
    assert_eq!(delivered(shape).await, (1, 10_000, 4));
}

#[tokio::test]
async fn ten_megabytes_of_calldata_arrive_whole() {
    let shape = Shape { txs: 1, logs_per_tx: 1, input_bytes: 10_000_000 };
    assert_eq!(delivered(shape).await, (1, 1, 10_000_000));
}
