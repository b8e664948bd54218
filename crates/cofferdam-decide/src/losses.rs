//! What findings say an attack took, and is about to take.

use std::collections::BTreeMap;

use cofferdam_core::{Stage, Usd};
use cofferdam_risk::drain::BlockLoss;

use crate::Weighed;

/// Loss in blocks, by block: sunk, whatever is done now. Two rules that see the same loss are not
/// added up: the one that sees most is believed.
pub(crate) fn by_block(findings: &[Weighed<'_>]) -> Vec<BlockLoss> {
    let mut by_rule: BTreeMap<&str, (Usd, BTreeMap<u64, Usd>)> = BTreeMap::new();
    let mined = findings.iter().filter(|it| it.finding.stage > Stage::Pending);
    for it in mined.filter(|it| it.counts() && it.finding.loss > Usd::ZERO) {
        let (total, blocks) = by_rule.entry(&it.finding.rule).or_default();
        *total = total.plus(it.finding.loss);
        let block = blocks.entry(it.age).or_default();
        *block = block.plus(it.finding.loss);
    }
    let most = by_rule.into_values().max_by_key(|it| it.0);
    let blocks = most.map(|it| it.1).unwrap_or_default();
    blocks.into_iter().map(|(age, loss)| BlockLoss { age, loss: loss.0 }).collect()
}

/// Loss in transactions that are still pending: avoided if containment is included before them.
pub(crate) fn impending(findings: &[Weighed<'_>]) -> Usd {
    let mut by_rule = BTreeMap::<&str, Usd>::new();
    let pending = findings.iter().filter(|it| it.finding.stage == Stage::Pending);
    for it in pending.filter(|it| it.counts()) {
        let sum = by_rule.entry(&it.finding.rule).or_default();
        *sum = sum.plus(Usd(it.finding.loss.0.max(0)));
    }
    by_rule.into_values().max().unwrap_or_default()
}

/// All that is lost in `blocks`.
pub(crate) fn total(blocks: &[BlockLoss]) -> Usd {
    blocks.iter().fold(Usd::ZERO, |sum, it| sum.plus(Usd(it.loss)))
}
