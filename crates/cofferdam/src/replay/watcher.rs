//! The engine under a generic plan, fed with consecutive blocks and the state between them.

use cofferdam_core::{Finding, Observation, Record, plan::Plan, read::Reading, snapshot::Snapshot};
use cofferdam_engine::{Effect, Engine, Input, Limits};
use cofferdam_sim::{On, Rules, answer_reads};

use super::ReplayError;

/// State reads answered at once.
const READS_AT_ONCE: usize = 5_000;

/// An engine and the fork rules of its chain.
pub(super) struct Watcher {
    engine: Engine,
    rules: Rules,
}

impl Watcher {
    pub(super) fn new(plan: Plan, rules: &Rules) -> Result<Self, ReplayError> {
        let engine = Engine::new(plan, Limits::default());
        let engine =
            engine.map_err(|it| ReplayError::new("the generic plan cannot be built", it))?;
        Ok(Self { engine, rules: rules.clone() })
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
        let mut env = block.env.clone();
        env.base_fee = 0;
        for reads in wanted.chunks(READS_AT_ONCE) {
            let on = |state| On { block: &block.block, env: &env, state, rules: &self.rules };
            let failed = |it| ReplayError::new("state cannot be read", it);
            let pairs = answer_reads(reads, on(before)).map_err(failed)?;
            let pairs = pairs.into_iter().zip(answer_reads(reads, on(after)).map_err(failed)?);
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
