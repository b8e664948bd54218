//! How long an order takes from the decision to the acceptance by a node, against the floor of sending
//! bytes that are signed already: `cargo run --release -p cofferdam-act --features testkit --example latency`.

#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy::{
    consensus::{SignableTransaction as _, TxEip1559},
    eips::eip2718::Encodable2718 as _,
    primitives::{Address, B256, Bytes, TxKind, U256},
};
use cofferdam_act::{
    Authorisations, Executor, LocalKey, Policy, Preparation, Race, RpcBroadcaster, Signer,
    testkit::MockNode,
};
use cofferdam_core::{
    AccountId, ChainId, IncidentId, OrderKey, Timestamp,
    order::Order,
    plan::{Action, containment},
    ports::Broadcaster,
    secret::Secret,
};
use serde_json::{Value, json};

const CHAIN: ChainId = ChainId(31_337);
const NOW: Timestamp = Timestamp(1_790_000_000_000);
const ROUNDS: u64 = 200;
const GWEI: u128 = 1_000_000_000;

type Failure = Box<dyn Error>;

fn calls(method: &str, params: &Value) -> Option<Result<Value, (i64, String)>> {
    let word = |it: u8| format!("0x{it:064x}");
    match method {
        "eth_call" => Some(Ok(json!(word(0)))),
        "eth_estimateGas" => Some(Ok(json!("0x13880"))),
        "eth_simulateV1" => {
            let count = params[0]["blockStateCalls"][0]["calls"].as_array()?.len();
            let one = json!({ "status": "0x1", "gasUsed": "0x13880", "returnData": word(1) });
            Some(Ok(json!([{ "calls": vec![one; count] }])))
        }
        _ => None,
    }
}

fn signer(seed: u8) -> Result<Arc<dyn Signer>, Failure> {
    let key = LocalKey::from_hex(&Secret::new(format!("{seed:064x}"))).ok_or("no key")?;
    Ok(Arc::new(key))
}

fn action() -> Result<Action, Failure> {
    let text = json!({
        "id": "pause", "rung": "pause-protocol", "contains": [],
        "call": {
            "via": "direct", "target": AccountId { chain: CHAIN, address: Address::repeat_byte(0xb2) },
            "function": "pause", "relayer": "hot",
        },
        "cost": {},
    });
    Ok(serde_json::from_value(text)?)
}

fn order(number: u64, action: &Action) -> Order {
    Order {
        key: OrderKey(B256::left_padding_from(&number.to_be_bytes())),
        incident: IncidentId(B256::repeat_byte(0x1c)),
        action: action.id.clone(),
        rung: action.rung,
        chain: CHAIN,
        call: containment::order_call(action),
        effect: containment::effect_checks(action),
        stage: action.stage,
        self_expiring: true,
        autonomy: action.autonomy,
        decided_at: NOW,
        expires_at: NOW.plus_ms(600_000),
        fee_budget_wei: action.fee_budget.0,
        outbid: None,
    }
}

/// The floor: signed bytes, one request.
async fn floor(node: &MockNode, net: &dyn Broadcaster) -> Result<Vec<Duration>, Failure> {
    let key = signer(9)?;
    let mut took = Vec::new();
    for nonce in 0..ROUNDS {
        let tx = TxEip1559 {
            chain_id: CHAIN.0,
            nonce,
            gas_limit: 104_000,
            max_fee_per_gas: 900 * GWEI,
            max_priority_fee_per_gas: 3 * GWEI,
            to: TxKind::Call(Address::repeat_byte(0xb2)),
            input: Bytes::from_static(&[0x84, 0x56, 0xcb, 0x59]),
            ..TxEip1559::default()
        };
        let signature = key.sign_hash(tx.signature_hash()).await?;
        let raw = Bytes::from(tx.into_signed(signature).encoded_2718());
        let start = Instant::now();
        net.send(raw).await?;
        took.push(start.elapsed());
        node.mine();
    }
    Ok(took)
}

/// From the decision to the acceptance.
async fn orders(
    node: &MockNode,
    net: Arc<dyn Broadcaster>,
    lanes: usize,
    warm: bool,
) -> Result<Vec<Duration>, Failure> {
    let signers = (1..=4).map(signer).collect::<Result<_, _>>()?;
    let policy = Policy { lanes_per_order: lanes, ..Policy::default() };
    let executor = Executor::new(CHAIN, vec![net], signers, policy)?;
    let (action, held) = (action()?, Authorisations::default());
    let mut took = Vec::new();
    for number in 0..ROUNDS {
        let (mut at, base_fee) = node.with(|it| (it.head().at, it.head().base_fee));
        at.time = NOW;
        executor.observe_head(at, base_fee);
        if warm {
            executor.warm(&action, &held, NOW).await?;
        }
        let order = order(number, &action);
        let start = Instant::now();
        let Preparation::Ready(ready) = executor.prepare(&order, &held, NOW).await? else {
            return Err("nothing to do".into());
        };
        let sent = executor.dispatch(&order, &ready, Race::default(), NOW).await?;
        took.push(start.elapsed());
        if !sent.accepted() {
            return Err("not accepted".into());
        }
        let block = node.mine();
        executor.tend(block.at, block.base_fee).await;
        executor.finish(order.key);
    }
    Ok(took)
}

fn row(name: &str, mut took: Vec<Duration>, floor: Option<Duration>) -> Duration {
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 1_000];
    let ms = |it: Duration| it.as_secs_f64() * 1_000.0;
    let ratio = floor.map_or(1.0, |it| ms(at(500)) / ms(it));
    println!(
        "{name:<28} {:>8.3} {:>8.3} {:>8.3} {ratio:>7.1}",
        ms(at(500)),
        ms(at(990)),
        ms(at(999))
    );
    at(500)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let node = MockNode::start(CHAIN, 10_000_000_000, NOW).await?;
    node.answer_with(calls);
    for seed in 1..10 {
        node.fund(signer(seed)?.address(), U256::from(10u128.pow(24)));
    }
    let net: Arc<dyn Broadcaster> =
        Arc::new(RpcBroadcaster::connect(&node.url(), CHAIN, &|_| None).await?);
    println!("{ROUNDS} rounds each, HTTP on the loopback, milliseconds");
    println!("{:<28} {:>8} {:>8} {:>8} {:>7}", "", "p50", "p99", "p99.9", "× floor");
    let least = row("floor: signed bytes", floor(&node, net.as_ref()).await?, None);
    for (name, lanes, warm) in
        [("hot, one lane", 1, true), ("hot, two lanes", 2, true), ("cold, two lanes", 2, false)]
    {
        row(name, orders(&node, Arc::clone(&net), lanes, warm).await?, Some(least));
    }
    Ok(())
}
