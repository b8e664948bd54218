//! A block of 200 events under 500 rules, from its receipts in memory to its durable record.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256, b256, keccak256};
use cofferdam_core::{
    BlockEnv, BlockRef, Observation, Stage, Timestamp, Tx,
    evidence::Tracing,
    read::{Answer, Reading, Readings},
};
use serde_json::json;
use tokio::runtime::Runtime;

use super::percentile;
use crate::{
    Failure,
    arena::CHAIN,
    feeder::Feeder,
    report::{Report, Row},
};

const EVENTS: usize = 200;
const ENTITIES: usize = 250;
/// Rules per entity.
const DETECTORS: [&str; 2] = ["outflow", "flash-loan"];
const BLOCKS: u64 = 200;
const BAR_MS: f64 = 30.0;
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
/// What each entity holds, and what it loses in an ordinary block and in the last one.
const HELD: u64 = 1_000_000;
const ORDINARY: u64 = 10;
const DRAINED: u64 = 990_000;

pub(super) fn run(runtime: &Runtime, quick: bool, report: &mut Report) -> Result<(), Failure> {
    let blocks = if quick { 20 } else { BLOCKS };
    let folder = tempfile::tempdir()?;
    let took = runtime.block_on(async {
        let mut feeder = Feeder::start(plan()?, &folder.path().join("journal"), time(0)).await?;
        let mut took = Vec::new();
        let mut parent = B256::ZERO;
        for number in 1..=blocks {
            let block = block(number, parent, ORDINARY);
            parent = block.block.hash;
            took.push(feed(&mut feeder, block).await?);
        }
        if feeder.findings != 0 {
            return Err("a rule finds something in an ordinary block".into());
        }
        // The same block with more in it: the rules that were measured do look.
        feed(&mut feeder, block(blocks + 1, parent, DRAINED)).await?;
        if feeder.findings < EVENTS as u64 {
            let found = feeder.findings;
            return Err(format!("{EVENTS} entities were drained and {found} rules saw it").into());
        }
        feeder.check().await?;
        Ok::<_, Failure>(took)
    })?;
    let mut asked: Vec<_> = took.iter().map(|it| it.0).collect();
    let mut took: Vec<_> = took.iter().map(|it| it.0 + it.1).collect();
    let rules = ENTITIES * DETECTORS.len();
    let figure = format!("block of {EVENTS} events × {rules} rules → durable, p99");
    let row = Row::rate(figure, "ms", percentile(&mut took, 99));
    report.row(row.beside("the bar, 30 ms", BAR_MS).at_most(1.0));
    report.note(format!(
        "{blocks} such blocks; p50 {:.2} ms, of which {:.2} ms until the reads are known, the rest engine, \
         record and disk",
        percentile(&mut took, 50),
        percentile(&mut asked, 50)
    ));
    Ok(())
}

/// Decodes, asks the rules what they want to read, feeds. The answers to the reads are at hand: a node's
/// time for them is in the figure of mined attacks.
async fn feed(
    feeder: &mut Feeder,
    mut block: Observation,
) -> Result<(Duration, Duration), Failure> {
    let lost = block.txs.first().and_then(|it| it.logs.first()).map(|it| it.data.data.clone());
    let lost = U256::from_be_slice(&lost.unwrap_or_default());
    let started = Instant::now();
    block.decode_facts();
    let wanted = feeder.shell.engine().wanted_reads(&block);
    let held = U256::from(HELD) * unit();
    for question in wanted {
        let (before, after) = (Answer::of(held), Answer::of(held.saturating_sub(lost)));
        block.readings.insert(question, Reading { before, after });
    }
    let asked = started.elapsed();
    feeder.block(block).await?;
    Ok((asked, started.elapsed().saturating_sub(asked)))
}

fn unit() -> U256 {
    U256::from(10u64).pow(U256::from(18))
}

fn time(number: u64) -> Timestamp {
    Timestamp(1_790_000_000_000 + number * 12_000)
}

fn account(kind: &str, number: usize) -> Address {
    Address::from_word(keccak256(format!("{kind} {number}")))
}

fn plan() -> Result<cofferdam_core::plan::Plan, Failure> {
    let chain = format!("eip155:{}", CHAIN.0);
    let entities: Vec<_> = (0..ENTITIES)
        .map(|it| {
            let token = account("token", 0);
            json!({
                "id": format!("entity-{it}"), "accounts": [format!("{chain}:{}", account("entity", it))],
                "assets": [{ "token": token, "symbol": "T", "decimals": 18, "price": "1 usd" }],
            })
        })
        .collect();
    let rules: Vec<_> = (0..ENTITIES)
        .flat_map(|it| {
            DETECTORS.map(|detector| {
                json!({
                    "id": format!("{detector}-{it}"), "detector": detector, "mode": "alert",
                    "entities": [format!("entity-{it}")],
                })
            })
        })
        .collect();
    Ok(serde_json::from_value(json!({
        "version": 1, "name": "bench", "chains": [{ "id": chain }], "entities": entities,
        "rules": rules, "actions": [],
    }))?)
}

/// A block in which each of [`EVENTS`] entities sends `amount` away.
fn block(number: u64, parent: B256, amount: u64) -> Observation {
    let hash = keccak256(format!("block {number} {amount}"));
    let tx = |index: usize| {
        let (from, to) = (account("entity", index), account("user", index));
        let topics = vec![TRANSFER, from.into_word(), to.into_word()];
        let data = (U256::from(amount) * unit()).to_be_bytes::<32>();
        let log = Log {
            address: account("token", 0),
            data: LogData::new_unchecked(topics, Bytes::copy_from_slice(&data)),
        };
        Tx {
            hash: keccak256(format!("tx {number} {index} {amount}")),
            index: index as u32,
            from: to,
            to: Some(from),
            gas_used: 60_000,
            gas_limit: 100_000,
            succeeded: true,
            logs: vec![log],
            tracing: Tracing::Node,
            ..Tx::default()
        }
    };
    Observation {
        block: BlockRef { chain: CHAIN, number, hash, parent, time: time(number) },
        env: BlockEnv::default(),
        stage: Stage::Provisional,
        witnesses: 1,
        txs: (0..EVENTS).map(tx).collect(),
        readings: Readings::default(),
    }
}
