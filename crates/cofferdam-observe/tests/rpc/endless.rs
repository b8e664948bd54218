//! Random worlds from seeds: three nodes that fail, lag, lie and change their mind, one source. What
//! is delivered is always in order, and once the nodes are well again, complete.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use cofferdam_core::ports::{BlockSource as _, SourceEvent};
use cofferdam_observe::rpc::{RpcOptions, RpcSource, Start};
use serde_json::json;

use crate::support::{
    defaults,
    follower::Follower,
    node::{Fault, Node},
    source_over,
};

/// Worlds per test run, unless `COFFERDAM_WORLDS` says `first..last`.
const SEEDS: std::ops::Range<u64> = 0..16;
/// Things that happen in each.
const STEPS: u32 = 60;

/// SplitMix64: the same numbers from the same seed everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (it ^ (it >> 31)) % sides
    }
}

#[derive(Debug, Default)]
struct Seen {
    blocks: usize,
    replaced: usize,
    blind: usize,
    disagreements: u64,
    contradictions: u64,
    stalls: u64,
}

fn fault(dice: &mut Dice, height: u64) -> Fault {
    const BLOCK: &str = "eth_getBlockByNumber";
    const RECEIPTS: &str = "eth_getBlockReceipts";
    match dice.roll(15) {
        0 => Fault::HangAll,
        1 => Fault::Hang(BLOCK),
        2 => Fault::Hang(RECEIPTS),
        3 => Fault::Close,
        4 => Fault::Status(BLOCK, 502),
        5 => Fault::Status(RECEIPTS, 503),
        6 => Fault::Throttle(3),
        7 => Fault::Refuse(RECEIPTS, -32_000, "no"),
        8 => Fault::Truncate(BLOCK),
        9 => Fault::NotJson(RECEIPTS),
        10 => Fault::Stale(height.saturating_sub(dice.roll(3))),
        11 => Fault::Lag(1 + dice.roll(4).min(height.saturating_sub(1))),
        12 => Fault::Lie(RECEIPTS, |it| {
            if let Some(first) = it.get_mut(0) {
                first["logs"] = json!([]);
            }
        }),
        13 => Fault::Lie(BLOCK, |it| it["receiptsRoot"] = json!(format!("0x{}", "22".repeat(32)))),
        _ => Fault::Mute,
    }
}

async fn follow(source: &mut RpcSource, follower: &mut Follower, seen: &mut Seen, span: Duration) {
    let until = tokio::time::Instant::now() + span;
    while let Ok(event) = tokio::time::timeout_at(until, source.next()).await {
        match event.unwrap() {
            SourceEvent::Block(it) => {
                seen.blocks += 1;
                assert_eq!(it.txs.len(), it.txs.iter().map(|tx| tx.logs.len()).sum::<usize>());
                follower.take(&it.block);
            }
            SourceEvent::Blind { .. } => seen.blind += 1,
            _ => {}
        }
    }
}

/// Something happens to the chain or to a node.
fn happens(dice: &mut Dice, nodes: &[Node; 3]) {
    let which = &nodes[dice.roll(3) as usize];
    let height = which.chain(|it| it.height());
    match dice.roll(10) {
        0..=3 => which.chain(|it| it.mine(1 + dice.roll(2) as usize)),
        4 => which.chain(|it| {
            it.mine_many(1 + dice.roll(8) as usize, 1);
            it.hash_at(0)
        }),
        5 => which.chain(|it| {
            let depth = dice.roll(6).min(height.saturating_sub(2)) as usize;
            it.drop_newest(depth);
            it.mine_many(depth + dice.roll(3) as usize, 1);
            it.hash_at(0)
        }),
        6 | 7 => {
            which.set_fault(fault(dice, height));
            return;
        }
        8 => {
            which.set_fault(None);
            return;
        }
        // A branch of its own for a while.
        _ => {
            let branch = which.chain(|it| it.fork());
            which.follow(Arc::new(Mutex::new(branch)));
            return;
        }
    };
    for node in nodes {
        if !matches!(node.fault(), Some(Fault::Lag(lag)) if lag > node.chain(|it| it.height())) {
            node.push_head();
        }
    }
}

async fn world(seed: u64, sum: &mut Seen) {
    let mut dice = Dice(seed);
    let first = Node::new();
    first.chain(|it| it.mine_many(8, 1));
    let nodes = [first.clone(), Node::of(first.shared_chain()), Node::of(first.shared_chain())];
    let [a, b, c] = &nodes;
    let endpoints = vec![a.pushing("a").await, b.asked("b"), c.pushing("c").await];
    let options = RpcOptions { quorum: 2, ..defaults() };
    let mut source = source_over(endpoints, options, Some(Start::At(3)));
    let (mut follower, mut seen) = (Follower::default(), Seen::default());
    for _ in 0..STEPS {
        happens(&mut dice, &nodes);
        let span = Duration::from_millis(50 + dice.roll(3_000));
        follow(&mut source, &mut follower, &mut seen, span).await;
    }
    // All is well again, and the chain is longer than any branch was.
    let longest = nodes.iter().max_by_key(|it| it.chain(|chain| chain.height()));
    let chain = longest.unwrap().shared_chain();
    for node in &nodes {
        node.set_fault(None);
        node.follow(Arc::clone(&chain));
    }
    for _ in 0..4 {
        chain.lock().unwrap().mine(1);
        nodes.iter().for_each(Node::push_head);
        follow(&mut source, &mut follower, &mut seen, Duration::from_secs(10)).await;
    }
    follow(&mut source, &mut follower, &mut seen, Duration::from_secs(120)).await;
    let head = chain.lock().unwrap().height();
    let hash = chain.lock().unwrap().hash_at(head);
    let statuses = source.pool().statuses();
    assert_eq!(follower.tip(), Some((head, hash)), "seed {seed}: {statuses:#?}");
    for it in statuses {
        sum.disagreements += it.disagreements;
        sum.contradictions += it.contradictions;
        sum.stalls += it.stalls;
    }
    sum.blocks += seen.blocks;
    sum.blind += seen.blind;
    sum.replaced += follower.replaced;
}

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("COFFERDAM_WORLDS") else { return SEEDS };
    let (first, last) = text.split_once("..").expect("first..last");
    first.parse().unwrap()..last.parse().unwrap()
}

#[test]
fn whatever_three_nodes_do_blocks_come_in_order_and_all_come_in_the_end() {
    let mut sum = Seen::default();
    let seeds = seeds();
    for seed in seeds.clone() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(world(seed, &mut sum));
    }
    eprintln!("worlds {seeds:?} of {STEPS} steps: {sum:?}");
    assert!(sum.replaced > 0 && sum.blind > 0, "{sum:?}");
    assert!(sum.disagreements > 0 && sum.contradictions > 0 && sum.stalls > 0, "{sum:?}");
}
