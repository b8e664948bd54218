//! G4 and G4b: how long from an attack to its containment in the pool? The built program in a process of
//! its own beside anvil, with a thousand rules, against the bare sign-and-send of the same transaction and
//! a watcher on viem.
//!
//! Everybody is measured from outside by [`PoolWatch`]: from the node's notice of the attack (or of its
//! block) to the node's notice of the answer. Each answer must be the pause of the attacked pool and must
//! have worked in the next block, or the run fails.

mod block;
pub(crate) mod floor;
mod viem;

use std::{ops::Range, time::Duration};

use alloy::sol_types::SolCall as _;
use alloy_primitives::{Address, Bytes, aliases::U48, keccak256};
use cofferdam::drill::defender::Defender;
use cofferdam_act::{Authorisation, Scope};
use tokio::runtime::Runtime;

use self::{
    floor::{Answer, Reflex},
    viem::Viem,
};
use crate::{
    Failure,
    arena::{Arena, Pools},
    pool_watch::PoolWatch,
    report::{Report, Row},
};

/// Rules that the program has loaded.
const RULES: usize = 1_000;
/// Attacks on the program and on the floor, in two halves each, and on viem.
const ATTACKS: usize = 100;
const VIEM_ATTACKS: usize = 20;
/// Attacks that are seen when they are mined.
const MINED_ATTACKS: usize = 50;
/// How long after a block the next attack comes, for everybody. Chains leave more between two blocks, and
/// the program uses it: it has the state that it read last at hand again by then.
const AFTER_BLOCK: Duration = Duration::from_millis(100);
/// How long an answer may take before the run fails.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bars: times the floor, milliseconds at the 99th percentile seen pending, and seen mined.
const FLOORS: f64 = 3.0;
const PENDING_MS: f64 = 10.0;
const MINED_MS: f64 = 100.0;

alloy::sol! {
    struct PauseAuth {
        bytes32 actionId;
        uint8 tier;
        uint256 nonce;
        uint48 notBefore;
        uint48 deadline;
        uint32 epoch;
    }
    function pause(PauseAuth a, address[] signersAsc, bytes[] sigs, bytes32 incidentId) external;
}

/// Attacks seen in the pool.
pub(crate) fn pending(quick: bool) -> Result<(), Failure> {
    let (half, few) = if quick { (5, 3) } else { (ATTACKS / 2, VIEM_ATTACKS) };
    let mut report = Report::new();
    Runtime::new()?.block_on(async {
        // The pools of both halves, of viem, and the one that the floor is about.
        let pools = Pools { count: 2 * half + few + 1, apart: false };
        let mut bout = Bout::begin(pools).await?;
        let (mut ours, mut floor, mut told) = (Vec::new(), Vec::new(), Vec::new());
        for part in [0..half, half..2 * half] {
            let defence = bout.arena.defend(part.clone(), RULES, true).await?;
            ours.extend(bout.answered_by_us(&defence, part, true).await?);
            let health = defence.stop().await?;
            told.extend(health.reactions_us);
            floor.extend(bout.floor(2 * half + few, half).await?);
        }
        let theirs = bout.answered_by_viem("pending", 2 * half..2 * half + few).await?;
        let figure = |it: &str| format!("pending attack → containment in the pool, {it}");
        let row = Row::rate(figure("p50"), "ms", percentile(&mut ours, 50));
        let least = percentile(&mut floor, 50);
        report.row(row.beside("sign and send alone", least).at_most(FLOORS));
        let row = Row::rate(figure("p99"), "ms", percentile(&mut ours, 99));
        report.row(row.beside("the bar, 10 ms", PENDING_MS).at_most(1.0));
        viem_row(&mut report, &figure("p50"), &mut ours, theirs);
        report.note(format!(
            "{RULES} rules; {} attacks of each kind; floor p99 {:.2} ms; the program itself measured a p50 of {:.2} ms",
            ours.len(),
            percentile(&mut floor, 99),
            median_us(&mut told)
        ));
        Ok::<_, Failure>(())
    })?;
    report.print()
}

/// Attacks seen when they are mined, and a large block under many rules.
pub(crate) fn mined(quick: bool) -> Result<(), Failure> {
    let (many, few) = if quick { (5, 3) } else { (MINED_ATTACKS, VIEM_ATTACKS) };
    let mut report = Report::new();
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let mut bout = Bout::begin(Pools { count: many + few, apart: true }).await?;
        let defence = bout.arena.defend(0..many, RULES, false).await?;
        let mut ours = bout.answered_by_us(&defence, 0..many, false).await?;
        defence.stop().await?;
        let theirs = bout.answered_by_viem("mined", many..many + few).await?;
        let figure = |it: &str| format!("mined attack → containment in the pool, {it}");
        let row = Row::rate(figure("p99"), "ms", percentile(&mut ours, 99));
        report.row(row.beside("the bar, 100 ms", MINED_MS).at_most(1.0));
        viem_row(&mut report, &figure("p50"), &mut ours, theirs);
        report.note(format!("{RULES} rules; {many} attacks, each in a block of its own"));
        Ok::<_, Failure>(())
    })?;
    block::run(&runtime, quick, &mut report)?;
    report.print()
}

fn viem_row(report: &mut Report, figure: &str, ours: &mut [Duration], theirs: Theirs) {
    match theirs {
        Theirs::Took(mut took) => {
            let row = Row::rate(figure, "ms", percentile(ours, 50));
            report.row(row.faster_than("viem watcher", percentile(&mut took, 50)));
        }
        Theirs::Absent(why) => report.note(format!("viem cannot be installed: {why}")),
    }
}

/// What the watcher on viem took, or why it could not be had.
enum Theirs {
    Took(Vec<Duration>),
    Absent(Failure),
}

/// An arena and its observer.
struct Bout {
    arena: Arena,
    watch: PoolWatch,
    authorisations: Vec<Authorisation>,
    guardian: Address,
    /// Answers that the floor sent.
    floors: u64,
}

impl Bout {
    async fn begin(pools: Pools) -> Result<Self, Failure> {
        let arena = Arena::set(pools).await?;
        let watch = PoolWatch::start(arena.socket()).await?;
        let authorisations = arena.authorisations(0..pools.count).await?;
        let guardian = arena.address("guardian")?;
        Ok(Self { arena, watch, authorisations, guardian, floors: 0 })
    }

    /// Attacks each of `pools` and waits for the program's answer.
    async fn answered_by_us(
        &mut self,
        defence: &Defender,
        pools: Range<usize>,
        pending: bool,
    ) -> Result<Vec<Duration>, Failure> {
        let relayers = self.arena.relayers()?;
        let mut took = Vec::new();
        for pool in pools {
            let (lasted, height) = self.round(pool, &relayers, pending, true).await?;
            took.push(lasted);
            defence.saw(height).await?;
        }
        Ok(took)
    }

    /// `count` attacks on `pool`, answered by reflex.
    async fn floor(&mut self, pool: usize, count: usize) -> Result<Vec<Duration>, Failure> {
        let (attacker, who) = (self.arena.address("attacker")?, self.arena.address("floor")?);
        let answer = Answer {
            key: self.arena.key("floor"),
            to: self.guardian,
            input: self.calldata(pool)?,
            nonce: self.floors,
        };
        let reflex = Reflex::start(self.arena.socket().to_owned(), attacker, answer).await?;
        let mut took = Vec::new();
        for _ in 0..count {
            // The first one pauses the pool; what counts is that it is in the pool of transactions.
            let works = self.floors == 0;
            took.push(self.round(pool, &[who], true, works).await?.0);
            self.floors += 1;
        }
        reflex.stop()?;
        Ok(took)
    }

    async fn answered_by_viem(
        &mut self,
        mode: &str,
        pools: Range<usize>,
    ) -> Result<Theirs, Failure> {
        let mut calldata = Vec::new();
        for pool in pools.clone() {
            calldata.push((self.arena.address(&format!("pool-{pool}"))?, self.calldata(pool)?));
        }
        let _viem = match Viem::start(&self.arena, mode, &calldata) {
            Ok(viem) => viem,
            Err(why) => return Ok(Theirs::Absent(why)),
        };
        let who = self.arena.address("viem")?;
        let mut took = Vec::new();
        for pool in pools {
            took.push(self.round(pool, &[who], mode == "pending", true).await?.0);
        }
        Ok(Theirs::Took(took))
    }

    /// One attack and its answer by one of `who`. Returns how long the answer took, and the height of the
    /// block that it is in; `works` says whether it must have paused the pool.
    async fn round(
        &mut self,
        pool: usize,
        who: &[Address],
        pending: bool,
        works: bool,
    ) -> Result<(Duration, u64), Failure> {
        tokio::time::sleep(AFTER_BLOCK).await;
        self.watch.forget();
        let attack = self.arena.send_attack(pool).await?;
        let late = || format!("nobody answered the attack on pool {pool}");
        let from = if pending {
            let seen = self.watch.pending(PATIENCE, |it| it.hash == attack).await;
            seen.ok_or("the node does not tell of the attack")?.0
        } else {
            let height = self.arena.mine().await?;
            let seen = self.watch.head(PATIENCE, height).await;
            seen.ok_or("the node does not tell of its block")?
        };
        let answer = self.watch.pending(PATIENCE, |it| who.contains(&it.from)).await;
        let (to, answer) = answer.ok_or_else(late)?;
        let action = keccak256(format!("pool-{pool}/pause"));
        let call = pauseCall::abi_decode(&answer.input)?;
        if answer.to != self.guardian || call.a.actionId != action {
            return Err(format!("the answer to the attack on pool {pool} is no pause of it").into());
        }
        let height = self.arena.mine().await?;
        if works && !self.arena.is_paused(pool).await? {
            return Err(format!("the pause of pool {pool} did not work").into());
        }
        if works && pending && self.arena.stage.succeeded(attack).await? {
            return Err(format!("pool {pool} was emptied in spite of its pause").into());
        }
        Ok((to.saturating_duration_since(from), height))
    }

    /// The pause of `pool` under its authorisation.
    fn calldata(&self, pool: usize) -> Result<Bytes, Failure> {
        let held = self.authorisations.get(pool).ok_or("no authorisation")?;
        let Scope::Guardian { action_id, tier, .. } = held.scope else {
            return Err("the authorisation is for a Safe".into());
        };
        let call = pauseCall {
            a: PauseAuth {
                actionId: action_id,
                tier,
                nonce: held.nonce,
                notBefore: U48::ZERO,
                deadline: U48::saturating_from(held.deadline),
                epoch: held.epoch,
            },
            signersAsc: held.signatures.iter().map(|it| it.signer).collect(),
            sigs: held.signatures.iter().map(|it| it.signature.clone()).collect(),
            incidentId: keccak256("bench"),
        };
        Ok(call.abi_encode().into())
    }
}

/// Milliseconds at a percentile, by nearest rank.
fn percentile(took: &mut [Duration], percent: usize) -> f64 {
    took.sort_unstable();
    let rank = (took.len() * percent).div_ceil(100).max(1);
    took.get(rank - 1).map_or(f64::NAN, |it| it.as_secs_f64() * 1e3)
}

fn median_us(us: &mut [u64]) -> f64 {
    us.sort_unstable();
    us.get(us.len() / 2).map_or(f64::NAN, |it| *it as f64 / 1e3)
}
