//! Live drills: the program itself, in a process of its own, against a real node.
//!
//! **Invariant:** the defence is started by its command line from a plan folder, with keys from the
//! environment; it shares nothing with the attacker but the node.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use cofferdam_core::{Class, Record, Timestamp, order::Outcome, ports::Journal};
use cofferdam_drill::{Control, Scenario, Scorecard, scenario::Variant};
use cofferdam_record::LocalJournal;

use super::{
    Backend, Drill, RunOptions,
    anvil::{AnvilProcess, AnvilWorld},
    authorise,
    defender::{Defender, Launch},
    plan_text,
    play::{self, is_detection},
    set,
    stage::{Stage, StageError, describe},
    world::BLOCK_SECONDS,
};
use crate::runtime::{chain_of, now};

/// Blocks made after the attack so that a late pause can settle.
const AFTERMATH_BLOCKS: u32 = 3;

/// How a live drill is run.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Seed, packages and folder, as for other drills.
    pub run: RunOptions,
    /// The program.
    pub program: PathBuf,
    /// Wall time between two blocks.
    pub block_time: Duration,
}

/// What a live drill showed.
#[derive(Debug)]
pub struct Lived {
    /// The comparison.
    pub card: Scorecard,
    /// Microseconds from an observation to its containment in the pool, as the program measured.
    pub reactions_us: Vec<u64>,
}

/// Plays one variant of a drill against `cofferdam run` in a process of its own.
///
/// # Errors
/// If the drill itself fails. A defence that fails is a shortfall of the scorecard.
pub async fn run_live(
    drill: &Drill,
    variant: &Variant,
    options: &LiveOptions,
) -> Result<Lived, StageError> {
    let scenario = &drill.scenario;
    let local = RunOptions { backend: Backend::Local, ..options.run.clone() };
    let loss = play::undefended(set(drill, &local).await?, scenario, variant).await?;
    let steps = (scenario.setup.len() + scenario.ordinary.len()) as u64;
    // The setup's blocks lie in the past, so that chain time and wall time agree when it counts.
    let genesis = Timestamp(now().0.saturating_sub((steps + 10) * BLOCK_SECONDS * 1_000));
    let node = Arc::new(AnvilProcess::start(&options.run.packages, genesis).await?);
    let world = Box::new(AnvilWorld::connect(node.clone()).await?);
    let seed = options.run.seed;
    let mut stage = Stage::set(world, scenario, seed, options.run.packages.clone()).await?;
    let folder = options.run.out.join(format!("live-{}-{}-{seed}", scenario.id, variant.id));
    lay_plan(drill, &stage, seed, &folder, |plan| reach(plan, &[node.ws()])).await?;
    let mut defence =
        Defender::start(&Launch::new(&options.program, &folder, scenario, seed)).await?;
    let mut attack = Attack { node, block_time: options.block_time, first_block: None };
    attack.ordinary(&mut stage, &mut defence, scenario).await?;
    let false_trips = defence.health().await?.incidents_open as u64;
    // The world looks again before balances are read, here and below.
    let seen = stage.world.mine().await?;
    defence.saw(seen.block.number).await?;
    let before = stage.worth(&scenario.loss).await?;
    attack.play(&mut stage, variant).await?;
    stage.world.mine().await?;
    let lost = before.minus(stage.worth(&scenario.loss).await?);
    let health = defence.stop().await?;
    let mut card = blank(scenario, variant, Control { loss });
    card.loss = lost;
    card.saved_bps = Scorecard::saved(loss, lost);
    card.false_trips = if scenario.benign { health.incidents_open as u64 } else { false_trips };
    card.react_us = health.reactions_us.first().copied();
    read_journal(&mut card, &folder.join("journal"), attack.first_block).await?;
    card.shortfalls = play::shortfalls(&card, variant, card.contain_blocks.is_some());
    if card.journal_entries.is_none() {
        card.shortfalls.push("the journal does not verify".into());
    }
    Ok(Lived { card, reactions_us: health.reactions_us })
}

fn blank(scenario: &Scenario, variant: &Variant, control: Control) -> Scorecard {
    Scorecard {
        drill: scenario.id.clone(),
        variant: variant.id.clone(),
        chain: "anvil, `cofferdam run` beside it".into(),
        control,
        loss: control.loss,
        saved_bps: None,
        detected: false,
        detect_ms: None,
        contain_ms: None,
        contain_blocks: None,
        react_us: None,
        gas_used: 0,
        ordinary_blocked: 0,
        false_trips: 0,
        journal_entries: None,
        shortfalls: Vec::new(),
        remark: variant.expect.because.clone(),
    }
}

/// Writes the plan folder as a protocol would keep it: plan, authorisations. `complete` adds to the plan
/// what only this run knows.
pub(super) async fn lay_plan(
    drill: &Drill,
    stage: &Stage,
    seed: u64,
    folder: &Path,
    complete: impl FnOnce(&mut toml::Table),
) -> Result<(), StageError> {
    let wrong = |it: std::io::Error| StageError::Other(format!("{}: {it}", folder.display()));
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(wrong)?;
    }
    std::fs::create_dir_all(folder.join("auth")).map_err(wrong)?;
    let text = plan_text(drill, stage)?;
    let mut plan: toml::Table =
        text.parse().map_err(|it| StageError::Other(format!("plan of the drill: {it}")))?;
    complete(&mut plan);
    std::fs::write(folder.join("plan.toml"), plan.to_string()).map_err(wrong)?;
    if let Some(guardian) = &drill.scenario.guardian {
        let bundle = authorise(&drill.scenario.id, guardian, stage, seed).await?;
        let written = bundle.write(&folder.join("auth/bundle.json"));
        written.map_err(|it| StageError::Other(chain_of(&it)))?;
    }
    Ok(())
}

/// Names the endpoints of the plan's chain, which makes a block a second.
pub(super) fn reach(plan: &mut toml::Table, endpoints: &[String]) {
    let chain = plan.get_mut("chains").and_then(|it| it.get_mut(0));
    if let Some(chain) = chain.and_then(toml::Value::as_table_mut) {
        chain.insert("endpoints".into(), endpoints.to_vec().into());
        chain.insert("block-time".into(), "1s".into());
    }
}

/// The attacker and everybody else, who make the blocks.
struct Attack {
    node: Arc<AnvilProcess>,
    block_time: Duration,
    first_block: Option<u64>,
}

impl Attack {
    async fn block(&self) -> Result<u64, StageError> {
        let height = self.node.mine(now()).await?;
        tokio::time::sleep(self.block_time).await;
        Ok(height)
    }

    async fn ordinary(
        &self,
        stage: &mut Stage,
        defence: &mut Defender,
        scenario: &Scenario,
    ) -> Result<(), StageError> {
        let height = self.node.mine(now()).await?;
        defence.saw(height).await?;
        for step in scenario.ordinary.iter().filter(|it| it.read.is_none()) {
            let (hash, _) = stage.send(step).await?;
            let height = self.node.mine(now()).await?;
            defence.saw(height).await?;
            if !stage.succeeded(hash).await? {
                return Err(StageError::Reverted(describe(step)));
            }
        }
        Ok(())
    }

    async fn play(&mut self, stage: &mut Stage, variant: &Variant) -> Result<(), StageError> {
        for steps in &variant.blocks {
            for step in steps {
                stage.send(step).await?;
            }
            if variant.public {
                tokio::time::sleep(self.block_time).await;
            }
            let height = self.block().await?;
            self.first_block.get_or_insert(height);
            for _ in 0..variant.delay_blocks {
                self.block().await?;
            }
        }
        for _ in 0..AFTERMATH_BLOCKS {
            self.block().await?;
        }
        Ok(())
    }
}

/// Takes from the journal what was found and what became effective.
async fn read_journal(
    card: &mut Scorecard,
    path: &Path,
    attack: Option<u64>,
) -> Result<(), StageError> {
    let wrong = |it| StageError::Other(chain_of(&it));
    let journal = LocalJournal::open_read_only(path).await.map_err(wrong)?;
    card.journal_entries = journal.verify().await.ok();
    let entries = journal.read(0, usize::MAX >> 1).await.map_err(wrong)?;
    for entry in entries {
        match entry.record {
            Record::Found { finding } => {
                let harm = matches!(finding.class, Class::Damage | Class::Control);
                card.detected |= harm && is_detection(finding.severity);
            }
            Record::Settled { outcome: Outcome::Effective { block, gas_used, .. }, .. } => {
                let blocks = attack.map(|it| block.number.saturating_sub(it));
                card.contain_blocks = card.contain_blocks.or(blocks);
                card.gas_used = card.gas_used.max(gas_used);
            }
            _ => {}
        }
    }
    Ok(())
}
