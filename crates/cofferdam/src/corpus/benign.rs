//! The ordinary stream: learned from first, then counted.

use std::collections::BTreeMap;

use cofferdam_core::{Finding, Severity};
use serde::Serialize;

use super::{
    CorpusOptions,
    agents::Agents,
    baselines::{Baselines, FAMILIES},
    plan::plan,
    stage::Stage,
    watch::Watch,
};
use crate::replay::ReplayError;

/// Transactions of a block, at most.
const BLOCK_TXS: usize = 250;
/// False alarms told one by one.
const TOLD_MAX: usize = 40;
/// Blocks between two words of progress.
const PROGRESS_BLOCKS: u64 = 500;

/// What the ordinary stream led to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BenignResult {
    /// Transactions executed and counted.
    pub transactions: u64,
    /// Of these, how many reverted.
    pub reverted: u64,
    /// Transactions before them, from which the baselines learned.
    pub training: u64,
    /// Blocks of both.
    pub blocks: u64,
    /// Hash of the last block, which commits to every transaction and receipt.
    pub head: String,
    /// Transactions with a critical finding.
    pub critical: u64,
    /// Critical findings of a block as a whole.
    pub critical_blocks: u64,
    /// Findings by detector and severity.
    pub findings: BTreeMap<String, BTreeMap<Severity, u64>>,
    /// Automatic orders with the harm gate.
    pub orders: u64,
    /// Automatic orders without it; `None` if that engine was not run.
    pub ungated: Option<u64>,
    /// The first false alarms in words.
    pub alarms: Vec<String>,
    /// Transactions by scene.
    pub by_scene: BTreeMap<String, u64>,
    /// Transactions that each baseline family called an attack.
    pub baselines: BTreeMap<&'static str, u64>,
}

/// Runs the stream and returns what the baselines learned.
pub(super) fn run(
    stage: &mut Stage,
    options: &CorpusOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<(BenignResult, Option<Baselines>), ReplayError> {
    let mut out = BenignResult::default();
    let mut watch = Watch::new(plan(stage)?, stage.rules.clone(), options.ungated)?;
    out.ungated = options.ungated.then_some(0);
    let mut baselines = options.baselines.then(|| Baselines::new(stage, options.seed));
    let mut agents = Agents::new(options.seed);
    while out.training + out.transactions < options.training + options.benign {
        let counted = out.training >= options.training;
        if let Some(it) = baselines.as_mut().filter(|it| counted && !it.are_learned()) {
            progress("learning the baselines …");
            it.learn(stage)?;
        }
        let before = stage.chain.state();
        let hashes = agents.fill(stage, BLOCK_TXS)?;
        let mut block = stage.mine(&hashes)?;
        let after = stage.chain.state();
        block.decode_facts();
        let more = baselines.as_ref().map_or_else(Vec::new, |it| it.reads(&block));
        let seen = watch.see(&mut block, more, (&before, &after))?;
        out.blocks += 1;
        let count = block.txs.len() as u64;
        let flags = baselines.as_mut().map(|it| it.see(&mut block)).transpose()?;
        if !counted {
            out.training += count;
            continue;
        }
        out.transactions += count;
        out.reverted += block.txs.iter().filter(|it| !it.succeeded).count() as u64;
        out.count(&seen.findings);
        out.orders += seen.orders.len() as u64;
        out.ungated = out.ungated.map(|it| it + seen.ungated.len() as u64);
        for it in &seen.orders {
            out.tell(format!("block {}: ordered {it}", block.block.number));
        }
        for flag in flags.into_iter().flatten() {
            for (bit, family) in FAMILIES.iter().enumerate() {
                *out.baselines.entry(*family).or_default() += u64::from(flag >> bit & 1);
            }
        }
        if out.blocks.is_multiple_of(PROGRESS_BLOCKS) {
            progress(&format!("{} ordinary transactions …", out.transactions));
        }
    }
    if let Some(it) = baselines.as_mut().filter(|it| !it.are_learned()) {
        it.learn(stage)?;
    }
    out.head = stage.chain.head().hash.to_string();
    Ok((out, baselines))
}

impl BenignResult {
    fn count(&mut self, findings: &[Finding]) {
        let mut critical: Vec<_> = Vec::new();
        for it in findings.iter().filter(|it| !it.is_blind()) {
            let by = self.findings.entry(it.detector.clone()).or_default();
            *by.entry(it.severity).or_default() += 1;
            if it.severity != Severity::Critical {
                continue;
            }
            self.tell(format!("{} at {}: {}", it.detector, it.entity, it.summary));
            match it.tx {
                Some(tx) if !critical.contains(&tx) => critical.push(tx),
                Some(_) => {}
                None => self.critical_blocks += 1,
            }
        }
        self.critical += critical.len() as u64;
    }

    fn tell(&mut self, what: String) {
        if self.alarms.len() < TOLD_MAX {
            self.alarms.push(what);
        }
    }
}
