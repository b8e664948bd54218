//! Every detector over history and nothing else: no incidents, no decisions. For many detectors over much history.
//!
//! **Invariant:** rules without memory run wherever a range is prepared; rules with memory run in the order of the
//! blocks, one range after the other, their state handed over at the seam as it is. Together they find what all of
//! them find in one place.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use cofferdam_core::{ChainId, Finding, Observation, Severity, plan::Plan, record::Memo};
use cofferdam_detect::RuleSet;
use serde::{Deserialize, Serialize};

use crate::BacktestError;

/// One half of a plan's rules, at work.
#[derive(Debug)]
pub struct Scan {
    rules: RuleSet,
}

/// What was found, by rule and severity, with a digest of which findings these are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detections {
    /// Findings by rule and severity, blind ones left out.
    pub rules: BTreeMap<String, BTreeMap<Severity, u64>>,
    /// Findings in all, blind ones left out.
    pub findings: u64,
    /// Blind findings.
    pub blind: u64,
    /// All ids, each folded in by addition: the order in which ranges were done does not show.
    pub digest: B256,
}

impl Scan {
    /// The rules of `plan` on `chain` without memory, and those with.
    ///
    /// # Errors
    /// If a rule cannot be built.
    pub fn halves(plan: &Plan, chain: ChainId) -> Result<(Self, Self), BacktestError> {
        let build = |plan: &Plan| RuleSet::build(plan, chain).map_err(BacktestError::Plan);
        let all = build(plan)?;
        let stateful: Vec<String> = all.stateful().map(str::to_owned).collect();
        let half = |keep: bool| {
            let mut half = plan.clone();
            half.rules.retain(|it| stateful.contains(&it.id) == keep);
            build(&half).map(|rules| Self { rules })
        };
        Ok((half(false)?, half(true)?))
    }

    /// Folds a block.
    pub fn see(&mut self, block: &Observation, out: &mut Detections) {
        for it in self.rules.advance(block) {
            out.add(&it);
        }
    }

    /// The state of every rule that has one, by rule.
    pub fn memos(&self) -> BTreeMap<String, Memo> {
        self.rules.memos()
    }

    /// Takes the state of the rules from `memos`.
    pub fn recall(&mut self, memos: &BTreeMap<String, Memo>) {
        for (rule, memo) in memos {
            self.rules.recall(rule, Some(memo));
        }
    }

    /// The rules.
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }
}

impl Detections {
    /// Counts a finding.
    pub fn add(&mut self, finding: &Finding) {
        if finding.is_blind() {
            self.blind += 1;
            return;
        }
        self.findings += 1;
        let of = self.rules.entry(finding.rule.clone()).or_default();
        *of.entry(finding.severity).or_default() += 1;
        let id = serde_json::to_string(&finding.id).unwrap_or_default();
        self.digest = plus(self.digest, alloy_primitives::keccak256(id));
    }

    /// Adds what another range found.
    pub fn join(&mut self, other: &Self) {
        for (rule, of) in &other.rules {
            let mine = self.rules.entry(rule.clone()).or_default();
            for (severity, count) in of {
                *mine.entry(*severity).or_default() += count;
            }
        }
        self.findings += other.findings;
        self.blind += other.blind;
        self.digest = plus(self.digest, other.digest);
    }
}

fn plus(a: B256, b: B256) -> B256 {
    let sum = alloy_primitives::U256::from_be_bytes(a.0)
        .wrapping_add(alloy_primitives::U256::from_be_bytes(b.0));
    B256::from(sum)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256, Bytes, Log, U256};
    use cofferdam_core::{
        BlockEnv, BlockRef, ChainId, Observation, Stage, Timestamp, Tx, plan::Plan, read::Readings,
    };
    use cofferdam_detect::RuleSet;

    use super::{Detections, Scan};

    const PLAN: &str = r#"
version = 1
name = "scan"
chains = [{ id = "eip155:1" }]
[[entities]]
id = "vault"
accounts = ["eip155:1:0x00000000000000000000000000000000000000aa"]
[[rules]]
id = "large"
detector = "expression"
settings = { when = "log", event = "Moved(uint256 amount)", if = "amount > 7" }
[[rules]]
id = "often"
detector = "expression"
settings = { when = "log", event = "Moved(uint256 amount)", if = "sum(amount, 2m) > 30" }
"#;

    fn block(number: u64) -> Observation {
        let topic = alloy_primitives::keccak256("Moved(uint256)");
        let amount = U256::from(number * 7 % 11).to_be_bytes::<32>();
        let log =
            Log::new_unchecked(Address::with_last_byte(0xaa), vec![topic], Bytes::from(amount));
        let hash = B256::from(U256::from(number + 1));
        let tx = Tx { hash, succeeded: true, logs: vec![log], ..Tx::default() };
        let time = Timestamp::from_secs(12 * number);
        Observation {
            block: BlockRef { chain: ChainId(1), number, hash, parent: B256::ZERO, time },
            env: BlockEnv::default(),
            stage: Stage::Provisional,
            witnesses: 1,
            txs: vec![tx],
            readings: Readings::default(),
        }
    }

    #[test]
    fn state_that_is_handed_over_at_any_seam_finds_what_one_place_finds() {
        let plan: Plan = toml::from_str(PLAN).unwrap();
        let mut whole = RuleSet::build(&plan, ChainId(1)).unwrap();
        let mut serial = Detections::default();
        for it in (0..60).flat_map(|it| whole.advance(&block(it))) {
            serial.add(&it);
        }
        assert!(serial.rules["large"].values().sum::<u64>() > 5);
        assert!(serial.rules["often"].values().sum::<u64>() > 5);
        for seam in [1, 17, 30, 59] {
            let (mut stateless, mut stateful) = Scan::halves(&plan, ChainId(1)).unwrap();
            assert_eq!((stateless.rules().len(), stateful.rules().len()), (1, 1));
            let mut found = Detections::default();
            (0..seam).for_each(|it| stateful.see(&block(it), &mut found));
            let memos = stateful.memos();
            let (_, mut next) = Scan::halves(&plan, ChainId(1)).unwrap();
            next.recall(&memos);
            (seam..60).for_each(|it| next.see(&block(it), &mut found));
            // Rules without memory, the later range first.
            let mut other = Detections::default();
            (seam..60).chain(0..seam).for_each(|it| stateless.see(&block(it), &mut other));
            found.join(&other);
            assert_eq!(found, serial, "a seam before block {seam}");
        }
    }
}
