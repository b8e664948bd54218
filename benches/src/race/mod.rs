//! The race: a pending attack enters the pool so many milliseconds before a block is built. Is the
//! program's pause in the same block, ahead of it? Beside it in every round runs an oracle, who knew of
//! the attack beforehand and sends bytes that were signed before, the moment that the attack is in the
//! pool: what no program on this machine could beat.
//!
//! The blocks are anvil's, ordered by fee, built on command at the right moment. Nothing here says how
//! often a race on a public chain is won: the way through the network is missing.

mod miner;
mod plot;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use alloy::providers::{DynProvider, IpcConnect, Provider, ProviderBuilder};
use alloy_primitives::{Address, Bytes};
use cofferdam::{drill::defender::Defender, runtime::now};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use self::{miner::Miner, plot::Curve};
use crate::{
    Failure,
    arena::{Arena, Pools},
    g4::floor::{Answer, signed},
    pool_watch::PoolWatch,
    report::{Report, Row},
};

/// Time between the attack and the block, in microseconds.
const LEADS_US: [u64; 6] = [500, 1_000, 2_000, 5_000, 10_000, 50_000];
/// Time between two blocks, in milliseconds, and how many attacks for each lead.
const BLOCK_TIMES_MS: [(u64, usize); 3] = [(250, 16), (1_000, 8), (2_000, 5)];
/// Rules that the program has loaded.
const RULES: usize = 1_000;
/// How long the pause may take before the run fails.
const PATIENCE: Duration = Duration::from_secs(10);
/// Wins where both would have had the time, as a share of the oracle's.
const BAR: f64 = 0.995;
/// The lead from which on the bar counts, in microseconds.
const BAR_FROM_US: u64 = 10_000;

/// Runs all of it and draws the plot to `picture`.
pub(crate) fn run(quick: bool, picture: Option<&Path>) -> Result<(), Failure> {
    let mut report = Report::new();
    let times = BLOCK_TIMES_MS.map(|(ms, rounds)| (ms, if quick { 1 } else { rounds }));
    let attacks: usize = times.iter().map(|it| it.1 * LEADS_US.len()).sum();
    let mut curves = Vec::new();
    Runtime::new()?.block_on(async {
        let mut race = Race::begin(attacks).await?;
        let mut pool = 0;
        for (block_ms, rounds) in times {
            let block = Duration::from_millis(block_ms);
            let defence = race.arena.defend(pool..pool + rounds * LEADS_US.len(), RULES, true);
            let defence = defence.await?;
            race.miner.take_over(&race.arena).await?;
            let mut curve = Curve { block_ms, points: Vec::new() };
            for lead in LEADS_US {
                let mut won = Won::default();
                for _ in 0..rounds {
                    won.add(race.round(&defence, pool, block, Duration::from_micros(lead)).await?);
                    pool += 1;
                }
                report.row(row(block_ms, lead, rounds, won));
                curve.points.push((lead, won.share(won.ours), won.share(won.oracle)));
            }
            curves.push(curve);
            defence.stop().await?;
        }
        Ok::<_, Failure>(())
    })?;
    report.note(format!(
        "{RULES} rules; bar: at least 99.5 % of the oracle's wins from a lead of 10 ms on"
    ));
    if let Some(picture) = picture {
        std::fs::write(picture, plot::draw(&curves))?;
        report.note("the plot was drawn");
    }
    report.print()
}

fn row(block_ms: u64, lead: u64, rounds: usize, won: Won) -> Row {
    let figure = format!("blocks of {block_ms} ms, lead {} ms, of {rounds}", lead as f64 / 1e3);
    let row = Row::rate(figure, "wins", won.ours as f64).beside("oracle", won.oracle as f64);
    if lead >= BAR_FROM_US { row.at_least(BAR) } else { row }
}

/// Who was ahead of the attack in its block.
#[derive(Clone, Copy, Default)]
struct Won {
    rounds: usize,
    ours: usize,
    oracle: usize,
}

impl Won {
    fn add(&mut self, (ours, oracle): (bool, bool)) {
        self.rounds += 1;
        self.ours += usize::from(ours);
        self.oracle += usize::from(oracle);
    }

    fn share(&self, won: usize) -> f64 {
        won as f64 / self.rounds.max(1) as f64
    }
}

struct Race {
    arena: Arena,
    watch: PoolWatch,
    miner: Miner,
    relayers: Vec<Address>,
    oracle: Oracle,
}

/// Knows of every attack beforehand.
struct Oracle {
    node: DynProvider,
    address: Address,
    answer: Answer,
}

impl Race {
    async fn begin(attacks: usize) -> Result<Self, Failure> {
        let arena = Arena::set(Pools { count: attacks, apart: true }).await?;
        let watch = PoolWatch::start(arena.socket()).await?;
        let node = IpcConnect::new(arena.socket().to_owned());
        let node = ProviderBuilder::new().connect_ipc(node).await?;
        let address = arena.address("oracle")?;
        // To itself and without effect, so that it changes nothing for the other.
        let answer =
            Answer { key: arena.key("oracle"), to: address, input: Bytes::new(), nonce: 0 };
        Ok(Self {
            relayers: arena.relayers()?,
            miner: Miner::connect(arena.socket())?,
            watch,
            oracle: Oracle { node: node.erased(), address, answer },
            arena,
        })
    }

    /// One attack on `pool`, `lead` before a block that comes `block` after the last one. Tells whether
    /// the program and the oracle were ahead of it.
    async fn round(
        &mut self,
        defence: &Defender,
        pool: usize,
        block: Duration,
        lead: Duration,
    ) -> Result<(bool, bool), Failure> {
        let height = self.miner.build()?;
        let began = Instant::now();
        defence.saw(height).await?;
        self.miner.prepare()?;
        let bytes = signed(&self.oracle.answer)?;
        self.oracle.answer.nonce += 1;
        tokio::time::sleep_until((began + block.saturating_sub(lead)).into()).await;
        self.watch.forget();
        let attack = self.arena.send_attack(pool).await?;
        let due = Instant::now() + lead;
        let sent: Value =
            self.oracle.node.raw_request("eth_sendRawTransaction".into(), json!([bytes])).await?;
        let height = self.miner.build_at(due).await?;
        if !sent.is_string() {
            return Err("the oracle was refused".into());
        }
        let txs = self.miner.block(height)?;
        let place = |wanted: &dyn Fn(Address) -> bool| txs.iter().position(|it| wanted(it.0));
        let theirs = txs.iter().position(|it| it.1 == attack);
        let theirs = theirs.ok_or("the attack is not in its block")?;
        let ours = place(&|it| self.relayers.contains(&it)).is_some_and(|it| it < theirs);
        let oracle = place(&|it| it == self.oracle.address).is_some_and(|it| it < theirs);
        let relayers = &self.relayers;
        let answer = self.watch.pending(PATIENCE, |it| relayers.contains(&it.from)).await;
        answer.ok_or_else(|| format!("nobody answered the attack on pool {pool}"))?;
        if ours && self.arena.stage.succeeded(attack).await? {
            return Err(format!("pool {pool} was emptied in spite of its pause").into());
        }
        // Late pauses get in, so that the next round begins with an empty pool.
        defence.saw(height).await?;
        self.miner.prepare()?;
        Ok((ours, oracle))
    }
}

/// A time that anvil takes for its next block.
fn seconds() -> u64 {
    now().0 / 1_000
}
