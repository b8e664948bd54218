//! G3: what would a pending transaction do? The program's own simulation (call tree, logs, state diff,
//! facts) against `debug_traceCall` of anvil over its socket, which needs a call per tracer.
//!
//! Both work on the same contracts in the same state. Ours reads through the cache that the running
//! program has, filled by an earlier simulation on the same head; what a first one costs, which asks the
//! node, is shown beside. Before any time is taken, both must agree on gas, logs and changed slots.

use std::{path::Path, sync::Arc, time::Instant};

use alloy_primitives::B256;
use cofferdam::{
    drill::{
        anvil::{AnvilProcess, AnvilWorld},
        catalogue,
        stage::Stage,
        world::BLOCK_SECONDS,
    },
    runtime::{Ground, Looked, now, simulate_pending},
};
use cofferdam_core::{Observation, Timestamp, Tx};
use cofferdam_drill::scenario::Step;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    Failure,
    arena::{Arena, Pools, packages},
    cpu::best_ns,
    ipc::{Ipc, request},
    report::{Report, Row},
};

/// Rounds per case, in which both sides take turns, and how long each turn is in milliseconds.
const ROUNDS: usize = 9;
const TURN_MS: u128 = 60;
/// Bars of small and of exploit-sized transactions.
const SMALL: f64 = 8.0;
const EXPLOIT: f64 = 3.0;
/// The drill whose attack is the largest.
const LARGEST: &str = "d1-venus-donation";

/// Runs all of it; fewer rounds if `quick`.
pub(crate) fn run(quick: bool) -> Result<(), Failure> {
    let rounds = if quick { 3 } else { ROUNDS };
    let runtime = Runtime::new()?;
    let mut report = Report::new();
    let sockets = tempfile::tempdir()?;
    {
        let pools = Pools { count: 1, apart: true };
        let mut arena = runtime.block_on(Arena::set(pools))?;
        let mut ipc = Ipc::connect(arena.socket())?;
        for (name, bar, step) in small_steps()? {
            let case = Case { name, bar, rounds };
            case.run(&runtime, &mut arena.stage, &mut ipc, step, &mut report)?;
        }
        let case = Case { name: "spot-oracle attack (D5)", bar: EXPLOIT, rounds };
        let step = Arena::attack(0, true)?;
        case.run(&runtime, &mut arena.stage, &mut ipc, step, &mut report)?;
    }
    let socket = sockets.path().join("largest");
    let (mut stage, step, _node) = runtime.block_on(largest(&socket))?;
    let mut ipc = Ipc::connect(&socket)?;
    let case = Case { name: "donation attack on Venus bytecode (D1)", bar: EXPLOIT, rounds };
    case.run(&runtime, &mut stage, &mut ipc, step, &mut report)?;
    report.note(
        "ours: in process, state cached at the head as in the running program; theirs: callTracer with \
         logs and prestateTracer in diff mode, two calls over the socket; wall clock, best turn",
    );
    report.print()
}

fn small_steps() -> Result<Vec<(&'static str, f64, Step)>, Failure> {
    let transfer = r#"from = "trader"
        to = "cash"
        call = "transfer(address,uint256)"
        args = ["$governance", "5e18"]"#;
    let approve = r#"from = "trader"
        to = "cash"
        call = "approve(address,uint256)"
        args = ["$pool-0", "5e18"]"#;
    Ok(vec![
        ("ERC-20 transfer", SMALL, toml::from_str(transfer)?),
        ("ERC-20 approval", SMALL, toml::from_str(approve)?),
    ])
}

/// The stage of the drill with the largest attack, and that attack.
async fn largest(socket: &Path) -> Result<(Stage, Step, Arc<AnvilProcess>), Failure> {
    let drill = catalogue::find(Path::new("nowhere"), LARGEST)?;
    let scenario = drill.scenario;
    let past = (scenario.setup.len() as u64 + 10) * BLOCK_SECONDS * 1_000;
    let args = ["--ipc", socket.to_str().unwrap_or_default()];
    let genesis = Timestamp(now().0.saturating_sub(past));
    let node = Arc::new(AnvilProcess::start_with(&packages(), genesis, &args).await?);
    let world = Box::new(AnvilWorld::connect(node.clone()).await?);
    let stage = Stage::set(world, &scenario, 1, packages()).await?;
    let public = scenario.variants.into_iter().find(|it| it.public).ok_or("no public variant")?;
    let step = public.blocks.into_iter().flatten().next().ok_or("no attack")?;
    Ok((stage, step, node))
}

struct Case {
    name: &'static str,
    bar: f64,
    rounds: usize,
}

impl Case {
    fn run(
        &self,
        runtime: &Runtime,
        stage: &mut Stage,
        ipc: &mut Ipc,
        step: Step,
        report: &mut Report,
    ) -> Result<(), Failure> {
        // Signed and never sent.
        let step = Step { ghost: true, ..step };
        let (_, raw) = runtime.block_on(stage.send(&step))?;
        let tx = stage.world.decode(&raw)?;
        let head = runtime.block_on(stage.world.head())?;
        let ground = Ground::next(head.block, head.next, head.state, BLOCK_SECONDS);
        let started = Instant::now();
        let seen = simulate(&tx, &ground)?;
        let first = started.elapsed().as_nanos() as f64;
        let requests = requests(&tx)?;
        let (gas, logs, slots) = same(&seen, ipc, &requests)?;
        let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..self.rounds {
            ours = ours.min(turn(|| simulate(&tx, &ground).map(drop))?);
            theirs = theirs.min(turn(|| {
                for request in &requests {
                    std::hint::black_box(ipc.exchange(request)?);
                }
                Ok(())
            })?);
        }
        let cpu = best_ns(self.rounds, TURN_MS as u64, || {
            let _ = std::hint::black_box(simulate(&tx, &ground));
        });
        let figure = format!("{}, {gas} gas, {logs} logs, {slots} slots", self.name);
        let row = Row::rate(figure, "µs", ours / 1e3);
        report.row(row.faster_than("anvil debug_traceCall", theirs / 1e3).at_least(self.bar));
        report.note(format!(
            "{}: ours {:.1} µs of CPU; first simulation on a head, cache empty: {:.0} µs",
            self.name,
            cpu / 1e3,
            first / 1e3
        ));
        Ok(())
    }
}

fn simulate(tx: &Tx, ground: &Ground) -> Result<Observation, Failure> {
    match simulate_pending(std::slice::from_ref(tx), ground)? {
        Looked::Seen { observation, .. } => Ok(*observation),
        Looked::NotNow(why) => Err(format!("the transaction is no evidence: {why:?}").into()),
    }
}

/// Nanoseconds per call over one turn.
fn turn(mut work: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let (started, mut calls) = (Instant::now(), 0u64);
    while started.elapsed().as_millis() < TURN_MS {
        work()?;
        calls += 1;
    }
    Ok(started.elapsed().as_nanos() as f64 / calls as f64)
}

fn requests(tx: &Tx) -> Result<Vec<Vec<u8>>, Failure> {
    let call = json!({
        "from": tx.from, "to": tx.to, "data": tx.input, "value": tx.value,
        "gas": format!("{:#x}", tx.gas_limit),
    });
    let tracers = [
        json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } }),
        json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } }),
    ];
    tracers.iter().map(|it| request("debug_traceCall", &json!([call, "latest", it]))).collect()
}

/// Checks that both saw the same: gas, logs, changed slots. Returns them.
fn same(
    seen: &Observation,
    ipc: &mut Ipc,
    requests: &[Vec<u8>],
) -> Result<(u64, usize, usize), Failure> {
    let tx = seen.txs.first().ok_or("nothing was simulated")?;
    let mut answers = Vec::new();
    for request in requests {
        let answer: Value = serde_json::from_slice(ipc.exchange(request)?)?;
        let result = answer.get("result").ok_or_else(|| format!("anvil: {}", answer["error"]))?;
        answers.push(result.clone());
    }
    let [calls, diff] = &answers[..] else { return Err("two answers are due".into()) };
    if !tx.succeeded || tx.frames.is_empty() || tx.diff.storage.is_empty() {
        return Err("our simulation has no effect".into());
    }
    let gas = calls["gasUsed"].as_str().and_then(|it| u64::from_str_radix(it.get(2..)?, 16).ok());
    let logs = count(calls, &|it| it["logs"].as_array().map_or(0, Vec::len));
    let theirs = (gas.unwrap_or_default(), count(calls, &|_| 1), logs, changed(diff));
    let ours = (tx.gas_used, tx.frames.len(), tx.logs.len(), tx.diff.storage.len());
    if ours != theirs {
        let what = "gas, calls, logs and changed slots";
        return Err(format!("{what}: we see {ours:?}, anvil {theirs:?}").into());
    }
    Ok((tx.gas_used, logs, ours.3))
}

/// Adds up something over a call tree.
fn count(call: &Value, of: &dyn Fn(&Value) -> usize) -> usize {
    let below = call["calls"].as_array().into_iter().flatten();
    of(call) + below.map(|it| count(it, of)).sum::<usize>()
}

/// Slots that a state diff changes: a slot that becomes zero stands before and not after.
fn changed(diff: &Value) -> usize {
    let slots = |side: &str| {
        let accounts = diff[side].as_object().into_iter().flatten();
        accounts
            .flat_map(|(account, it)| {
                let storage = it["storage"].as_object().into_iter().flatten();
                storage
                    .filter_map(|(slot, _)| slot.parse::<B256>().ok())
                    .map(|it| (account.clone(), it))
            })
            .collect::<std::collections::BTreeSet<_>>()
    };
    slots("pre").union(&slots("post")).count()
}
