//! One endpoint fails in every way there is, another one works. On a paused clock: the times are
//! those of our own timers, the same in every run.

use std::time::Duration;

use cofferdam_core::ports::{BlockSource as _, SourceEvent};
use cofferdam_observe::rpc::{Feed, RpcOptions, Start, prometheus};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{
    blind, block, block_at_last, defaults,
    node::{Fault, Node},
    numbers, source_over,
};

const FULL: &str = "full block";
const BLOCK: &str = "eth_getBlockByNumber";
const RECEIPTS: &str = "eth_getBlockReceipts";

/// A failing and a working node of one chain.
fn pair() -> (Node, Node) {
    let bad = Node::new();
    let good = Node::of(bad.shared_chain());
    (bad, good)
}

/// How long block 3 takes that is made when the preferred endpoint has just begun to show `fault`, and
/// how often the other one was asked for it.
async fn takes(fault: Fault) -> (Duration, usize) {
    let (bad, good) = pair();
    bad.chain(|it| it.mine_many(2, 2));
    let endpoints = vec![bad.asked("bad"), good.asked("good")];
    let mut source = source_over(endpoints, defaults(), Some(Start::At(2)));
    assert_eq!(numbers(&mut source, 1).await, [2]);
    let before = good.calls(FULL);
    bad.set_fault(fault);
    let began = Instant::now();
    good.chain(|it| it.mine(2));
    let next = block(&mut source).await;
    assert_eq!((next.block.number, next.txs.len()), (3, 2));
    assert!(next.txs.iter().all(|it| it.logs.len() == 1));
    (began.elapsed(), good.calls(FULL) - before)
}

#[tokio::test(start_paused = true)]
async fn whatever_the_preferred_endpoint_does_the_next_block_comes_within_three_seconds() {
    let faults = [
        Fault::HangAll,
        Fault::Hang(BLOCK),
        Fault::Hang(RECEIPTS),
        Fault::Close,
        Fault::Status(BLOCK, 500),
        Fault::Status(RECEIPTS, 503),
        Fault::Throttle(60),
        Fault::Refuse(BLOCK, -32_000, "database is burning"),
        Fault::Refuse(RECEIPTS, -32_603, "internal error"),
        Fault::Truncate(BLOCK),
        Fault::Truncate(RECEIPTS),
        Fault::NotJson(BLOCK),
        Fault::NotJson(RECEIPTS),
        Fault::Stale(2),
        Fault::Gap(3),
        Fault::Trickle,
        Fault::Lie(RECEIPTS, |it| it[0]["logs"] = json!([])),
        Fault::Lie(RECEIPTS, |it| *it = json!([])),
        Fault::Lie(RECEIPTS, |it| *it = Value::Null),
        Fault::Lie(RECEIPTS, |it| it[1]["status"] = json!("0x0")),
        Fault::Lie(BLOCK, |it| it["gasUsed"] = json!("0x1")),
        Fault::Lie(BLOCK, |it| it["transactions"] = json!([])),
        Fault::Lie(BLOCK, |it| *it = json!("never mind")),
    ];
    for fault in faults {
        let (took, asked) = takes(fault.clone()).await;
        eprintln!("{fault:?}: block after {} ms, {asked} request(s)", took.as_millis());
        assert!(took < Duration::from_secs(3), "{fault:?}: {took:?}");
        assert_eq!(asked, 1, "{fault:?}: the working endpoint is asked once");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_hangs_is_not_waited_for_again_at_every_block() {
    let (bad, good) = pair();
    bad.chain(|it| it.mine(1));
    bad.set_fault(Fault::HangAll);
    let endpoints = vec![bad.asked("bad"), good.pushing("good").await];
    let mut source = source_over(endpoints, defaults(), None);
    assert_eq!(block(&mut source).await.block.number, 1);
    let mut slow = 0;
    for number in 2..=30 {
        let began = Instant::now();
        good.chain(|it| it.mine(1));
        good.push_head();
        assert_eq!(block(&mut source).await.block.number, number);
        slow += u32::from(began.elapsed() > Duration::from_millis(50));
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert!(slow <= 8, "{slow} of 29 blocks were slow");
    let statuses = source.pool().statuses();
    assert!(!statuses[0].healthy && statuses[1].healthy, "{statuses:?}");
    assert!(statuses[0].last_error.as_ref().is_some_and(|it| it.contains("no answer within")));
}

#[tokio::test(start_paused = true)]
async fn a_subscribed_block_costs_two_requests_however_many_endpoints_there_are() {
    let (first, second) = pair();
    let third = Node::of(first.shared_chain());
    first.chain(|it| it.mine(1));
    let endpoints =
        vec![first.pushing("one").await, second.pushing("two").await, third.pushing("three").await];
    let options = RpcOptions { quorum: 3, ..defaults() };
    let mut source = source_over(endpoints, options, None);
    assert_eq!(block(&mut source).await.block.number, 1);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let nodes = [&first, &second, &third];
    let before: Vec<_> = nodes.iter().map(|it| it.all_calls().len()).collect();
    for number in 2..=21 {
        first.chain(|it| it.mine(3));
        for node in nodes {
            node.push_head();
        }
        assert_eq!(block(&mut source).await.block.number, number);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let calls: Vec<_> = nodes
        .iter()
        .zip(before)
        .flat_map(|(node, before)| node.all_calls().split_off(before))
        .collect();
    let count = |name: &str| calls.iter().filter(|it| *it == name).count();
    assert_eq!((count(FULL), count(RECEIPTS)), (20, 20), "{calls:?}");
    assert_eq!(calls.len(), 40, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn an_announced_block_is_there_after_one_round_trip() {
    let node = Node::new();
    node.chain(|it| it.mine(1));
    let mut source = source_over(vec![node.pushing("node").await], defaults(), None);
    assert_eq!(block(&mut source).await.block.number, 1);
    *node.shared.delay.lock().unwrap() = Duration::from_millis(100);
    for number in 2..=5 {
        let before = node.all_calls().len();
        node.chain(|it| it.mine(2));
        let began = Instant::now();
        node.push_head();
        assert_eq!(block(&mut source).await.block.number, number);
        assert!(began.elapsed() < Duration::from_millis(110), "{:?}", began.elapsed());
        assert_eq!(node.all_calls().len(), before + 2);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_asked_for_is_kept_to() {
    let node = Node::new();
    node.chain(|it| it.mine_many(2, 1));
    node.set_fault(Fault::Throttle(30));
    let mut source = source_over(vec![node.asked("busy")], defaults(), Some(Start::At(2)));
    let (_, because) = blind(&mut source).await;
    assert!(because.contains("asks for a pause of"), "{because}");
    let asked = node.all_calls().len();
    node.set_fault(None);
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(node.all_calls().len(), asked, "nothing is sent during the pause");
    let status = &source.pool().statuses()[0];
    assert!(status.paused_ms.is_some_and(|it| it <= 1_000), "{status:?}");
    let began = Instant::now();
    assert_eq!(block_at_last(&mut source).await.block.number, 2);
    assert!(began.elapsed() <= Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn retry_after_is_read_from_an_http_answer() {
    let node = Node::start().await;
    node.set_fault(Fault::Throttle(40));
    let source = crate::support::source(&[&node.url], defaults(), None);
    node.called("eth_chainId", 1).await;
    let status = loop {
        let status = source.pool().statuses().remove(0);
        if status.faults > 0 {
            break status;
        }
        tokio::task::yield_now().await;
    };
    assert!(status.paused_ms.is_some_and(|it| (30_000..=40_000).contains(&it)), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lying_endpoint_is_demoted_and_the_reason_is_shown() {
    let (liar, good) = pair();
    liar.set_fault(Fault::Lie(RECEIPTS, |it| it[0]["logs"] = json!([])));
    liar.chain(|it| it.mine(1));
    let endpoints = vec![liar.asked("liar"), good.asked("good")];
    let mut source = source_over(endpoints, defaults(), None);
    assert_eq!(block(&mut source).await.txs[0].logs.len(), 1);
    let asked = liar.calls(RECEIPTS);
    for _ in 0..20 {
        good.chain(|it| it.mine(1));
        assert_eq!(block(&mut source).await.txs[0].logs.len(), 1);
    }
    assert_eq!(liar.calls(RECEIPTS), asked, "it is not asked while another one works");
    let status = source.monitor().status();
    let demoted = status.endpoints[0].demoted.as_deref().unwrap_or_default();
    assert!(demoted.contains("do not match its logs bloom"), "{demoted}");
    assert_eq!(status.endpoints[0].contradictions, 1);
    let text = prometheus(&[status]);
    let line =
        "cofferdam_endpoint_contradictions_total{chain=\"eip155:31337\",endpoint=\"liar\"} 1";
    assert!(text.contains(line), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_stalls_while_connected_is_noticed_within_two_block_times() {
    let node = Node::new();
    node.chain(|it| it.mine(1));
    let mut source = source_over(vec![node.pushing("node").await], defaults(), None);
    assert_eq!(block(&mut source).await.block.number, 1);
    node.chain(|it| it.mine(1));
    node.push_head();
    assert_eq!(block(&mut source).await.block.number, 2);
    node.set_fault(Fault::Mute);
    let began = Instant::now();
    node.chain(|it| it.mine(1));
    assert_eq!(block(&mut source).await.block.number, 3);
    assert!(began.elapsed() <= Duration::from_secs(4), "{:?}", began.elapsed());
    tokio::time::sleep_until(began + Duration::from_secs(4)).await;
    let status = &source.pool().statuses()[0];
    assert_eq!(status.stalls, 1, "{status:?}");
    assert!(status.last_error.as_ref().is_some_and(|it| it.contains("told nothing")));
    node.set_fault(None);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(source.pool().statuses()[0].feed, Feed::Subscribed);
    node.chain(|it| it.mine(1));
    node.push_head();
    let began = Instant::now();
    assert_eq!(block(&mut source).await.block.number, 4);
    assert!(began.elapsed() < Duration::from_millis(10), "subscribed again");
}

#[tokio::test(start_paused = true)]
async fn an_announcement_is_a_wake_up_and_no_more() {
    let node = Node::new();
    node.chain(|it| it.mine(1));
    let mut source = source_over(vec![node.pushing("node").await], defaults(), None);
    assert_eq!(block(&mut source).await.block.number, 1);
    // Far ahead, of no chain at all: whatever is announced, block 2 comes next.
    let mut head = node.chain(|it| it.by_number(&json!("latest"), u64::MAX, false));
    head["number"] = json!("0x99");
    head["hash"] = json!(format!("0x{}", "77".repeat(32)));
    node.push("newHeads", head);
    node.chain(|it| it.mine(1));
    assert_eq!(block_at_last(&mut source).await.block.number, 2);
    node.push("newHeads", json!({"never": "mind"}));
    node.chain(|it| it.mine(1));
    assert_eq!(block_at_last(&mut source).await.block.number, 3);
}

#[tokio::test(start_paused = true)]
async fn the_head_is_watched_while_missed_blocks_are_filled_in_and_progress_is_shown() {
    let node = Node::new();
    node.chain(|it| it.mine_many(500, 1));
    *node.shared.delay.lock().unwrap() = Duration::from_millis(10);
    let mut source = source_over(vec![node.pushing("node").await], defaults(), Some(Start::At(1)));
    let monitor = source.monitor();
    assert_eq!(numbers(&mut source, 100).await, (1..=100).collect::<Vec<_>>());
    node.chain(|it| it.mine_many(7, 1));
    node.push_head();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let status = monitor.status();
    let filled = status.backfill.expect("progress");
    assert_eq!((status.head, filled.from), (Some(507), 1));
    assert_eq!(status.delivered.map(|it| it + filled.left), Some(507));
    assert_eq!((filled.done + filled.left, status.behind), (507, filled.left));
    assert!(filled.done >= 100 && filled.elapsed_ms > 0, "{filled:?}");
    assert_eq!(numbers(&mut source, 407).await, (101..=507).collect::<Vec<_>>());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(monitor.status().backfill, None);
}

#[tokio::test(start_paused = true)]
async fn missed_blocks_are_fetched_ahead_without_a_request_more_per_block() {
    let node = Node::new();
    node.chain(|it| it.mine_many(400, 1));
    *node.shared.delay.lock().unwrap() = Duration::from_millis(50);
    let mut source = source_over(vec![node.pushing("node").await], defaults(), Some(Start::At(1)));
    let began = Instant::now();
    assert_eq!(numbers(&mut source, 400).await, (1..=400).collect::<Vec<_>>());
    let took = began.elapsed();
    eprintln!("400 blocks at 50 ms per answer: {} ms", took.as_millis());
    assert!(took < Duration::from_millis(400 * 2 * 50 / 5), "{took:?}");
    assert_eq!(node.calls(RECEIPTS), 400);
    assert!((400..=401).contains(&node.calls(FULL)), "{}", node.calls(FULL));
}

#[tokio::test(start_paused = true)]
async fn a_held_block_is_shown_and_the_cursor_stays() {
    let node = Node::new();
    node.chain(|it| it.mine_many(4, 1));
    node.set_fault(Fault::Status(RECEIPTS, 503));
    let mut source = source_over(vec![node.asked("node")], defaults(), Some(Start::At(3)));
    assert_eq!(blind(&mut source).await.0, 3);
    node.chain(|it| it.mine_many(5, 1));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = source.monitor().status();
    assert_eq!((status.delivered, status.head), (None, Some(9)));
    assert!(status.holding.is_some_and(|it| it.contains("HTTP status 503")));
    node.set_fault(None);
    let first = block_at_last(&mut source).await;
    assert_eq!(first.block.number, 3);
    assert_eq!(numbers(&mut source, 6).await, [4, 5, 6, 7, 8, 9]);
    assert_eq!(source.monitor().status().holding, None);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_tells_of_a_head_it_does_not_have_blinds_nobody() {
    let (good, liar) = pair();
    good.chain(|it| it.mine(1));
    liar.set_fault(Fault::Lie(BLOCK, |it| {
        if it.is_object() {
            it["number"] = json!("0xf4240");
        }
    }));
    let endpoints = vec![good.pushing("good").await, liar.asked("liar")];
    let mut source = source_over(endpoints, defaults(), None);
    for number in 1..=20 {
        assert_eq!(block(&mut source).await.block.number, number);
        tokio::time::sleep(Duration::from_millis(1_900)).await;
        good.chain(|it| it.mine(1));
        good.push_head();
    }
    let demoted = source.pool().statuses().remove(1).demoted.unwrap_or_default();
    assert!(demoted.contains("lacks") || demoted.contains("hashes to"), "{demoted}");
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_what_a_node_has_holds_the_cursor() {
    let node = Node::new();
    node.chain(|it| it.mine_many(9, 1));
    node.set_fault(Fault::Gap(6));
    let mut source = source_over(vec![node.asked("node")], defaults(), Some(Start::At(4)));
    assert_eq!(numbers(&mut source, 2).await, [4, 5]);
    let (from, because) = blind(&mut source).await;
    assert_eq!(from, 6);
    assert!(because.contains("no endpoint serves the block"), "{because}");
    let silence = tokio::time::timeout(Duration::from_secs(30), source.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    node.set_fault(None);
    assert_eq!(block_at_last(&mut source).await.block.number, 6);
    assert_eq!(numbers(&mut source, 3).await, [7, 8, 9]);
}

#[tokio::test(start_paused = true)]
async fn the_same_trouble_is_told_once_and_asked_about_rarely() {
    let node = Node::new();
    node.chain(|it| it.mine_many(3, 1));
    node.set_fault(Fault::Status(RECEIPTS, 503));
    let mut source = source_over(vec![node.asked("node")], defaults(), Some(Start::At(3)));
    assert_eq!(blind(&mut source).await.0, 3);
    let silence = tokio::time::timeout(Duration::from_millis(3_050), source.next()).await;
    assert!(silence.is_err(), "told again: {silence:?}");
    // 100 + 200 + 400 + 800 + 1600 ms of pauses lie between six attempts.
    assert_eq!(node.calls(RECEIPTS), 5);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(node.calls(RECEIPTS) <= 5 + 1 + 10, "{}", node.calls(RECEIPTS));
}

#[tokio::test(start_paused = true)]
async fn a_silent_chain_is_not_asked_about_more_than_once_per_look() {
    let (first, second) = pair();
    first.chain(|it| it.mine(1));
    let endpoints = vec![first.pushing("one").await, second.pushing("two").await];
    let options = RpcOptions { stall_after: None, ..defaults() };
    let mut source = source_over(endpoints, options, None);
    assert_eq!(block(&mut source).await.block.number, 1);
    let before = first.all_calls().len() + second.all_calls().len();
    tokio::select! {
        event = source.next() => assert!(matches!(event, Ok(SourceEvent::Witnessed { .. }))),
        () = tokio::time::sleep(Duration::from_secs(30)) => {}
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    // A look of each watcher and of the walk every three seconds.
    let calls = first.all_calls().len() + second.all_calls().len() - before;
    assert!(calls <= 4 * 11 * 2, "{calls}");
}
