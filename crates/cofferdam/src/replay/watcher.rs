//! The engine under a generic plan, fed with consecutive blocks and the state between them.

use cofferdam_core::{
    BlockEnv, Finding, Observation, Record,
    plan::Plan,
    read::{Answer, Reading, StateRead},
    snapshot::Snapshot,
};
use cofferdam_engine::{Effect, Engine, Input, Limits};
use cofferdam_sim::{Act, On, Rules, answer_reads};

use super::ReplayError;

/// State reads answered at once.
const READS_AT_ONCE: usize = 5_000;

/// An engine and how its questions are answered.
pub(super) struct Watcher<'a> {
    engine: Engine,
    world: World<'a>,
}

/// Where the questions are asked.
#[derive(Clone, Copy)]
pub(super) enum World<'a> {
    /// A chain under these fork rules.
    Chain(&'a Rules),
    /// A re-enactment, whose attacker is known to be new.
    Act(&'a Act),
}

impl World<'_> {
    /// Answers `reads` on `state` in the block of `block`.
    pub(super) fn answer(
        self,
        reads: &[StateRead],
        block: &Observation,
        state: &Snapshot,
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
        let engine = Engine::new(plan, Limits::default());
        let engine =
            engine.map_err(|it| ReplayError::new("the generic plan cannot be built", it))?;
        Ok(Self { engine, world })
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
        let effects = self.engine.step(now, Input::Block(block));
        let found = effects.into_iter().filter_map(|it| match it {
            Effect::Record(Record::Found { finding }) => Some(finding),
            _ => None,
        });
        Ok(found.collect())
    }
}
