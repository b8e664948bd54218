//! Executes the recorded mainnet blocks and checks each against its own header.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{
    recorded::{MainnetBlocks, load_block_index},
    shared,
};
use cofferdam_core::evidence::Tracing;
use cofferdam_sim::{ExecuteOptions, execute_block, reexecute_block};

/// Runs `check` over all `items` on two threads.
fn each<T: Sync>(items: &[T], check: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(item);
                }
            });
        }
    });
}

#[test]
fn every_recorded_block_reproduces_gas_bloom_and_receipts_root() {
    let Some(dir) = shared::folder("data/mainnet-blocks") else { return };
    let blocks = MainnetBlocks::open(&dir).unwrap();
    let rows = load_block_index(&dir.join("index.csv")).unwrap();
    assert_eq!(rows.len(), 44);
    let roots = AtomicUsize::new(0);
    each(&rows, |row| {
        let block = blocks.load(row.number).unwrap();
        let options = ExecuteOptions::of(&block.observation.block);
        let executed = execute_block(&block.observation, &block.state, &options).unwrap();
        assert_eq!(executed.difference, None, "block {}", row.number);
        assert_eq!(executed.gas_used, row.gas_used);
        assert_eq!(executed.receipts_root.is_some(), row.root_comparable, "block {}", row.number);
        roots.fetch_add(usize::from(row.root_comparable), Ordering::Relaxed);
        let txs = &executed.observation.txs;
        assert_eq!(txs.len() as u64, row.transactions);
        assert_eq!(txs.iter().map(|it| it.logs.len() as u64).sum::<u64>(), row.logs);
        for tx in txs {
            assert_eq!(tx.tracing, Tracing::Reexecuted, "{} in {}", tx.hash, row.number);
            assert!(!tx.frames.is_empty());
        }
    });
    assert_eq!(roots.into_inner(), 30);
}

#[test]
fn the_block_with_another_receipts_root_is_refused() {
    let Some(dir) = shared::folder("data/mainnet-blocks") else { return };
    let blocks = MainnetBlocks::open(&dir).unwrap();
    let block = blocks.load_from(&dir.join("rejected/17193270")).unwrap();
    let options = ExecuteOptions::of(&block.observation.block);
    let executed = execute_block(&block.observation, &block.state, &options).unwrap();
    let difference = executed.difference.unwrap();
    assert!(difference.starts_with("receipts root: header "), "{difference}");
    for tx in &executed.observation.txs {
        assert!(!tx.tracing.is_evidence());
    }
}

#[test]
fn a_receipt_that_differs_is_a_mismatch_of_that_transaction() {
    let Some(dir) = shared::folder("data/mainnet-blocks") else { return };
    let block = MainnetBlocks::open(&dir).unwrap().load(12_244_000).unwrap();
    let options = ExecuteOptions::of(&block.observation.block);
    let mut with_receipts =
        execute_block(&block.observation, &block.state, &options).unwrap().observation;
    let at = with_receipts.txs.iter().position(|it| it.logs.len() > 1).unwrap();
    let others = with_receipts.txs.len() - 1;
    with_receipts.txs[at].logs.swap(0, 1);
    with_receipts.env.receipts_root = None;
    with_receipts.env.logs_bloom = None;
    let again = reexecute_block(&with_receipts, &block.state, &options).unwrap();
    let difference = "log 0 differs from the receipt's".to_owned();
    assert_eq!(again.observation.txs[at].tracing, Tracing::Mismatch { difference });
    let equal = again.observation.txs.iter().filter(|it| it.tracing == Tracing::Reexecuted);
    assert_eq!(equal.count(), others);
}

#[test]
fn state_that_is_not_there_makes_a_transaction_incomplete() {
    let Some(dir) = shared::folder("data/mainnet-blocks") else { return };
    let mut block = MainnetBlocks::open(&dir).unwrap().load(12_244_000).unwrap();
    let options = ExecuteOptions::of(&block.observation.block);
    block.state.complete = false;
    let whole = execute_block(&block.observation, &block.state, &options).unwrap();
    let known = whole.observation.txs.iter().filter(|it| it.tracing.is_evidence()).count();
    let victim = block.observation.txs[0].to.unwrap();
    let account = block.state.accounts.get_mut(&victim).unwrap();
    (account.complete, account.storage) = (false, Default::default());
    let executed = execute_block(&block.observation, &block.state, &options).unwrap();
    let first = &executed.observation.txs[0].tracing;
    assert!(matches!(first, Tracing::Incomplete { count: 1.., .. }), "{first:?}");
    let still = executed.observation.txs.iter().filter(|it| it.tracing.is_evidence()).count();
    assert!(still < known, "{still} of {known}");
}
