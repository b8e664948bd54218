//! Synthetic logs: emitters as skewed as on a chain, about one log in a hundred concerns a detector, and another one is
//! by a watched emitter with another signature.

use std::{io::Write, path::Path};

use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use cofferdam_columns::{Packing, Writer};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Observation, Stage, Timestamp, Tx, plan::Plan, read::Readings,
};
use cofferdam_risk::numeric::random::Philox;

use crate::Failure;

/// Detectors, and how many of them have a memory.
const DETECTORS: usize = 1_000;
const STATEFUL: usize = 200;
/// Logs of a block; each fourth begins a transaction.
const LOGS: u64 = 200;
/// Emitters and signatures that concern nobody.
const EMITTERS: f64 = 50_000.0;
const SIGNATURES: u64 = 200;
/// The event of every detector, by number.
const TOPICS: usize = 16;

/// One detector: a contract and an event.
pub(super) struct Detector {
    pub(super) address: Address,
    pub(super) topic: B256,
    pub(super) stateful: bool,
    event: String,
}

/// All detectors.
pub(super) fn detectors() -> Vec<Detector> {
    let detector = |at: usize| {
        let event = format!("Moved{}(address,address,uint256)", at % TOPICS);
        Detector {
            address: Address::from_word(keccak256(format!("watched {at}"))),
            topic: keccak256(&event),
            // Spread evenly.
            stateful: at % (DETECTORS / STATEFUL) == 1,
            event: format!(
                "Moved{}(address indexed from, address indexed to, uint256 amount)",
                at % TOPICS
            ),
        }
    };
    (0..DETECTORS).map(detector).collect()
}

/// The plan that watches for them.
pub(super) fn plan(detectors: &[Detector]) -> Result<Plan, Failure> {
    let rule = |(at, it): (usize, &Detector)| {
        serde_json::json!({
            "id": format!("d{at}"), "detector": "expression",
            "settings": {
                "when": "log", "event": it.event, "if": if it.stateful { "count(10m) >= 3" } else { "amount > 0" },
                "contracts": [format!("eip155:1:{:#x}", it.address)],
            },
        })
    };
    let rules: Vec<serde_json::Value> = detectors.iter().enumerate().map(rule).collect();
    let plan = serde_json::json!({
        "version": 1, "name": "bench", "chains": [{ "id": "eip155:1" }], "rules": rules,
        "entities": [{ "id": "all", "accounts": [format!("eip155:1:{:#x}", Address::repeat_byte(1))] }],
    });
    Ok(serde_json::from_value(plan)?)
}

/// Writes `chunks` files of `blocks` blocks each, and the list of detectors; returns how many logs that are.
pub(super) fn write(
    folder: &Path,
    detectors: &[Detector],
    chunks: u64,
    blocks: u64,
) -> Result<u64, Failure> {
    let writer = Writer::new(folder, "ethereum", Packing::Lz4);
    let rng = Philox::new(8);
    for chunk in 0..chunks {
        let chunk: Vec<Observation> =
            (chunk * blocks..(chunk + 1) * blocks).map(|it| block(it, detectors, rng)).collect();
        writer.write(&chunk)?;
    }
    // What cryo was not asked for is not there; logs and headers are enough.
    for it in std::fs::read_dir(folder)? {
        let path = it?.path();
        if path.display().to_string().contains("__transactions__") {
            std::fs::remove_file(path)?;
        }
    }
    let mut list = std::fs::File::create(folder.join("detectors.csv"))?;
    writeln!(list, "id,address,topic0,stateful")?;
    for (at, it) in detectors.iter().enumerate() {
        writeln!(list, "{at},{:x},{:x},{}", it.address, it.topic, u8::from(it.stateful))?;
    }
    Ok(chunks * blocks * LOGS)
}

fn block(number: u64, detectors: &[Detector], rng: Philox) -> Observation {
    let uniform = |draw: u64| rng.uniform(number, draw);
    let mut txs: Vec<Tx> = Vec::new();
    for at in 0..LOGS {
        if at % 4 == 0 {
            let hash = keccak256([number.to_be_bytes(), at.to_be_bytes()].concat());
            let index = txs.len() as u32;
            txs.push(Tx { hash, index, succeeded: true, ..Tx::default() });
        }
        let log = log(at, detectors, &uniform);
        if let Some(tx) = txs.last_mut() {
            tx.logs.push(log);
        }
    }
    let hash = keccak256(number.to_be_bytes());
    Observation {
        block: BlockRef {
            chain: ChainId(1),
            number,
            hash,
            parent: B256::ZERO,
            time: Timestamp::from_secs(1_600_000_000 + 12 * number),
        },
        env: BlockEnv::default(),
        stage: Stage::Provisional,
        witnesses: 1,
        txs,
        readings: Readings::default(),
    }
}

fn log(at: u64, detectors: &[Detector], uniform: &dyn Fn(u64) -> f64) -> Log {
    let pick = |draw: u64, of: usize| ((uniform(at * 8 + draw) * of as f64) as usize).min(of - 1);
    let watched = |at: usize| detectors.get(at % detectors.len());
    // Two hits a block, one of each hundred logs, of detectors that differ; and two near misses. Some detectors hit
    // often enough for their window.
    let busy = |it: usize| if it.is_multiple_of(3) { it % 60 } else { it };
    let (address, topic) = match at % 100 {
        7 => {
            let half = detectors.len() / 2;
            let it = watched(busy(pick(0, half)) + if at < 100 { 0 } else { half });
            it.map(|it| (it.address, it.topic)).unwrap_or_default()
        }
        58 => {
            let it = watched(pick(0, detectors.len()));
            (it.map(|it| it.address).unwrap_or_default(), signature(0))
        }
        _ => {
            // Rank by a power law: a few contracts make most of the logs.
            let rank = EMITTERS.powf(uniform(at * 8)) as u64;
            let emitter = Address::from_word(keccak256(rank.to_be_bytes()));
            (emitter, signature((uniform(at * 8 + 1).powi(3) * SIGNATURES as f64) as u64))
        }
    };
    let account = |draw: u64| {
        let rank = (uniform(at * 8 + draw) * 1e6) as u64;
        Address::from_word(keccak256(rank.to_le_bytes())).into_word()
    };
    let amount = U256::from(1 + (uniform(at * 8 + 4) * 1e15) as u64);
    let data = Bytes::from(amount.to_be_bytes::<32>());
    Log::new_unchecked(address, vec![topic, account(2), account(3)], data)
}

fn signature(at: u64) -> B256 {
    keccak256(format!("Event{at}(address,address,uint256)"))
}
