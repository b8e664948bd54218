//! What a proposal would do, and who judges it.

use alloy_primitives::{Address, B256};
use cofferdam_core::{
    Class, Finding, Observation, Severity, Stage, Timestamp, Tx,
    plan::{Plan, Rule},
    read::{Rehearsed, RehearsedCall},
};

use crate::{BuildCx, BuildError, Context, RuleSet};

/// What a payload is judged by.
const JUDGES: [&str; 4] = ["control-change", "outflow", "safe-change", "unbacked-mint"];

/// Calls that belong together, and when they are made.
pub(crate) struct Payload {
    pub(crate) governor: Address,
    pub(crate) id: B256,
    pub(crate) proposer: Option<Address>,
    pub(crate) calls: Vec<RehearsedCall>,
    /// Not before this many seconds after the block …
    pub(crate) after: u64,
    /// … and not before this time in seconds.
    pub(crate) time: u64,
    /// Whether it waits in a timelock already.
    pub(crate) waits: bool,
}

impl Payload {
    /// When it is executed, in seconds, if it was put in a block of `now`.
    pub(crate) fn eta(&self, now: u64) -> u64 {
        now.saturating_add(self.after).max(self.time)
    }
}

/// What the judges find in what a payload would do at `eta`, the worst first; nothing of it is remembered.
pub(crate) fn worst(
    judges: &mut RuleSet,
    cx: &Context<'_>,
    it: &Payload,
    (done, eta): (&Rehearsed, Timestamp),
) -> Vec<Finding> {
    let mut block = cx.observation.block;
    block.time = block.time.max(eta);
    let observation = Observation {
        block,
        env: cx.observation.env.clone(),
        stage: Stage::Pending,
        witnesses: 1,
        txs: vec![Tx { hash: it.id, ..done.tx.clone() }],
        readings: done.readings.clone(),
    };
    let found = judges.peek(&observation);
    let harm = found.into_iter().filter(|it| !it.is_blind() && it.severity >= Severity::High);
    let mut harm: Vec<Finding> = harm.collect();
    harm.sort_by_key(|it| std::cmp::Reverse((it.class == Class::Damage, it.severity)));
    harm
}

/// The plan's own rules of [`JUDGES`], or such rules as they come, for the entities of this one.
pub(crate) fn judges(cx: &BuildCx<'_>) -> Result<RuleSet, BuildError> {
    let mut plan = Plan { rules: Vec::new(), ..cx.plan.clone() };
    let mut rules = Vec::new();
    for detector in JUDGES {
        let own = cx.plan.rules.iter().filter(|it| it.detector == detector).cloned();
        plan.rules = own.collect();
        if plan.rules.is_empty() {
            plan.rules.push(Rule {
                id: detector.to_owned(),
                detector: detector.to_owned(),
                settings: toml::Table::new(),
                ..cx.rule.clone()
            });
        }
        // One that has nothing to look at here, such as no listed asset, is left out.
        if RuleSet::build(&plan, cx.chain).is_ok() {
            rules.append(&mut plan.rules);
        }
    }
    plan.rules = rules;
    RuleSet::build(&plan, cx.chain)
}
