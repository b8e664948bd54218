//! The last yards of a pending race: the attack enters the pool so many milliseconds before a block is
//! built; is our order in the same block, ahead of it? Against an oracle that only sends bytes signed
//! before. `cargo run --release -p cofferdam-act --features testkit --example race`.
//!
//! Seeing, simulating and judging the attack come on top; they are measured with the whole program.

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
    Authorisations, Bid, Executor, LocalKey, Policy, Preparation, Race, RpcBroadcaster, Signer,
    testkit::{Account, Block, Chain, MockNode},
};
use cofferdam_core::{
    AccountId, ChainId, IncidentId, OrderKey, Timestamp,
    order::Order,
    plan::{Action, containment},
    ports::Broadcaster,
    secret::Secret,
};
use serde_json::json;

const CHAIN: ChainId = ChainId(31_337);
const NOW: Timestamp = Timestamp(1_790_000_000_000);
const LEADS_US: [u64; 6] = [500, 1_000, 2_000, 5_000, 10_000, 50_000];
const ROUNDS: u64 = 60;
const GWEI: u128 = 1_000_000_000;
const BID: Bid = Bid { tip: 40 * GWEI, max_fee: 900 * GWEI };
const ATTACKER: u8 = 9;
const ORACLE: u8 = 8;

type Failure = Box<dyn Error>;

fn signer(seed: u8) -> Result<Arc<dyn Signer>, Failure> {
    let key = LocalKey::from_hex(&Secret::new(format!("{seed:064x}"))).ok_or("no key")?;
    Ok(Arc::new(key))
}

async fn signed(seed: u8, nonce: u64, bid: Bid) -> Result<Bytes, Failure> {
    let tx = TxEip1559 {
        chain_id: CHAIN.0,
        nonce,
        gas_limit: 104_000,
        max_fee_per_gas: bid.max_fee,
        max_priority_fee_per_gas: bid.tip,
        to: TxKind::Call(Address::repeat_byte(0xb2)),
        ..TxEip1559::default()
    };
    let signature = signer(seed)?.sign_hash(tx.signature_hash()).await?;
    Ok(tx.into_signed(signature).encoded_2718().into())
}

fn action() -> Result<Action, Failure> {
    let target = AccountId { chain: CHAIN, address: Address::repeat_byte(0xb2) };
    Ok(serde_json::from_value(json!({
        "id": "pause", "rung": "pause-protocol", "contains": [], "cost": {},
        "call": { "via": "direct", "target": target, "function": "pause", "relayer": "hot" },
    }))?)
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

async fn node() -> Result<Arc<MockNode>, Failure> {
    let node = MockNode::start(CHAIN, 10_000_000_000, NOW).await?;
    node.answer_with(|method, params| {
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
    });
    for seed in 1..10 {
        let balance = U256::from(10u128.pow(24));
        node.with(|it| {
            it.set_account(
                signer(seed).map_or(Address::ZERO, |it| it.address()),
                Account { nonce: 0, balance },
            )
        });
    }
    Ok(Arc::new(node))
}

/// Builds the block `lead` from now, on a thread of its own that does not sleep at the end.
fn builds(node: &Arc<MockNode>, lead: Duration) -> tokio::task::JoinHandle<Block> {
    let (node, due) = (Arc::clone(node), Instant::now() + lead);
    tokio::task::spawn_blocking(move || {
        let spin = Duration::from_millis(2);
        std::thread::sleep(due.saturating_duration_since(Instant::now()).saturating_sub(spin));
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        node.with(Chain::mine)
    })
}

fn won(block: &Block, ours: &[Address]) -> Result<bool, Failure> {
    let place = |it: &dyn Fn(Address) -> bool| block.txs.iter().position(|tx| it(tx.tx.from));
    let attacker = signer(ATTACKER)?.address();
    let theirs = place(&|it| it == attacker).ok_or("the attack is not in its block")?;
    Ok(place(&|it| ours.contains(&it)).is_some_and(|it| it < theirs))
}

async fn oracle(lead: Duration) -> Result<u64, Failure> {
    let node = node().await?;
    let net = RpcBroadcaster::connect(&node.url(), CHAIN, &|_| None).await?;
    let ours = [signer(ORACLE)?.address()];
    let mut wins = 0;
    for nonce in 0..ROUNDS {
        let raw = signed(ORACLE, nonce, Bid { tip: 52 * GWEI, ..BID }).await?;
        let attack = signed(ATTACKER, nonce, BID).await?;
        node.with(|it| it.submit(&attack))?;
        let block = builds(&node, lead);
        net.send(raw).await?;
        wins += u64::from(won(&block.await?, &ours)?);
        node.mine();
    }
    Ok(wins)
}

async fn ours(lead: Duration) -> Result<u64, Failure> {
    let node = node().await?;
    let net: Arc<dyn Broadcaster> =
        Arc::new(RpcBroadcaster::connect(&node.url(), CHAIN, &|_| None).await?);
    let signers = (1..=4).map(signer).collect::<Result<_, _>>()?;
    let executor = Executor::new(CHAIN, vec![net], signers, Policy::default())?;
    let (action, held, relayers) = (action()?, Authorisations::default(), executor.relayers());
    let mut wins = 0;
    for number in 0..ROUNDS {
        let (mut at, base_fee) = node.with(|it| (it.head().at, it.head().base_fee));
        at.time = NOW;
        executor.observe_head(at, base_fee);
        executor.warm(&action, &held, NOW).await?;
        let attack = signed(ATTACKER, number, BID).await?;
        node.with(|it| it.submit(&attack))?;
        let block = builds(&node, lead);
        let order = order(number, &action);
        let Preparation::Ready(ready) = executor.prepare(&order, &held, NOW).await? else {
            return Err("nothing to do".into());
        };
        let race = Race { bid: Some(BID), public: true };
        executor.dispatch(&order, &ready, race, NOW).await?;
        wins += u64::from(won(&block.await?, &relayers)?);
        let next = node.mine();
        executor.tend(next.at, next.base_fee).await;
        executor.finish(order.key);
    }
    Ok(wins)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    println!("same-block wins of {ROUNDS}, the attack's tip is known, HTTP on the loopback");
    println!("{:>10} {:>8} {:>8}", "lead ms", "oracle", "ours");
    for us in LEADS_US {
        let lead = Duration::from_micros(us);
        let (oracle, ours) = (oracle(lead).await?, ours(lead).await?);
        println!("{:>10} {oracle:>8} {ours:>8}", us as f64 / 1_000.0);
    }
    Ok(())
}
