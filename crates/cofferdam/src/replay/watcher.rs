//! The engine under a generic plan, fed with consecutive blocks and the state between them.

use cofferdam_core::{
    BlockEnv, Finding, Observation, Record,
    plan::{Autonomy, Plan},
    ports::StateSource,
    read::{Answer, Reading, StateRead},
    snapshot::Snapshot,
};
use cofferdam_engine::{Effect, Engine, Input, Limits};
use cofferdam_sim::{Act, On, Rules, answer_reads};
use serde::Serialize;

use super::ReplayError;

/// State reads answered at once.
const READS_AT_ONCE: usize = 5_000;

/// An engine, one that differs in its harm gate alone, and how their questions are answered.
pub(super) struct Watcher<'a> {
    engine: Engine,
    ungated: Engine,
    world: World<'a>,
    orders: Orders,
}

/// Orders that went out without a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Orders {
    /// With the harm gate, as a plan has it.
    pub gated: u32,
    /// With the gate open: suspicion alone may act.
    pub ungated: u32,
}

/// Where the questions are asked.
#[derive(Clone, Copy)]
pub(crate) enum World<'a> {
    /// A chain under these fork rules.
    Chain(&'a Rules),
    /// A re-enactment, whose attacker is known to be new.
    Act(&'a Act),
}

impl World<'_> {
    /// Answers `reads` on `state` in the block of `block`.
    pub(crate) fn answer(
        self,
        reads: &[StateRead],
        block: &Observation,
        state: &dyn StateSource,
    ) -> Result<Vec<Answer>, ReplayError> {
        let env = BlockEnv { base_fee: 0, ..block.env.clone() };
        let on = |rules| On { block: &block.block, env: &env, state, rules };
        let answers = match self {
            Self::Chain(rules) => answer_reads(reads, on(rules)),
            Self::Act(act) => act.answer_reads(reads, on(&act.rules)),
        };
        answers.map_err(|it| ReplayError::new("state cannot be read", it))
    }
}

impl<'a> Watcher<'a> {
    pub(super) fn new(plan: Plan, world: World<'a>) -> Result<Self, ReplayError> {
        let mut open = plan.clone();
        open.decision.harm_gate = false;
        let build = |plan| {
            let engine = Engine::new(plan, Limits::default());
            engine.map_err(|it| ReplayError::new("the generic plan cannot be built", it))
        };
        let (engine, ungated) = (build(plan)?, build(open)?);
        Ok(Self { engine, ungated, world, orders: Orders::default() })
    }

    /// The orders so far.
    pub(super) fn orders(&self) -> Orders {
        self.orders
    }

    /// Runs the next block through the engine: reads answered on both states, findings collected. A
    /// state that is not known is an empty partial snapshot: its reads are unavailable, never zero.
    pub(super) fn see(
        &mut self,
        mut block: Observation,
        before: &Snapshot,
        after: &Snapshot,
    ) -> Result<Vec<Finding>, ReplayError> {
        block.decode_facts();
        let wanted = self.engine.wanted_reads(&block);
        for reads in wanted.chunks(READS_AT_ONCE) {
            let before = self.world.answer(reads, &block, before)?;
            let after = self.world.answer(reads, &block, after)?;
            let pairs = before.into_iter().zip(after);
            for (question, (before, after)) in reads.iter().zip(pairs) {
                block.readings.insert(question.clone(), Reading { before, after });
            }
        }
        let now = block.block.time;
        let open = self.ungated.step(now, Input::Block(block.clone()));
        let effects = self.engine.step(now, Input::Block(block));
        self.orders.gated = self.orders.gated.saturating_add(automatic(&effects));
        self.orders.ungated = self.orders.ungated.saturating_add(automatic(&open));
        let found = effects.into_iter().filter_map(|it| match it {
            Effect::Record(Record::Found { finding }) => Some(finding),
            _ => None,
        });
        Ok(found.collect())
    }
}

fn automatic(effects: &[Effect]) -> u32 {
    let acts = |it: &&Effect| matches!(it, Effect::Record(Record::Intended { order }) if order.autonomy == Autonomy::Act);
    u32::try_from(effects.iter().filter(acts).count()).unwrap_or(u32::MAX)
}
