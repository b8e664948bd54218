//! The engine under the generic plan, and one that differs in its harm gate alone.
//!
//! **Invariant:** an engine that has ordered is replaced by a fresh one: its budget of false alarms and its
//! open incident must not hide the next one.

use cofferdam_core::{
    Finding, Observation, Record,
    plan::{Autonomy, Plan},
    read::{Reading, StateRead},
};
use cofferdam_engine::{Effect, Engine, Input, Limits};
use cofferdam_sim::{Rules, local::World};

use super::failed;
use crate::replay::{ReplayError, World as Asked};

/// State reads answered at once.
const READS_AT_ONCE: usize = 5_000;

/// What one block led to.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Every finding of the engine with the harm gate.
    pub(super) findings: Vec<Finding>,
    /// The actions it ordered without a person.
    pub(super) orders: Vec<String>,
    /// The actions that the engine without the gate ordered.
    pub(super) ungated: Vec<String>,
}

/// The engines.
#[derive(Debug)]
pub(super) struct Watch {
    plan: Plan,
    rules: Rules,
    gated: Engine,
    open: Option<Engine>,
}

impl Watch {
    pub(super) fn new(plan: Plan, rules: Rules, ungated: bool) -> Result<Self, ReplayError> {
        let gated = engine(&plan, true)?;
        let open = ungated.then(|| engine(&plan, false)).transpose()?;
        Ok(Self { plan, rules, gated, open })
    }

    /// Runs a block, facts decoded, through the engines. `more` is read besides what they ask for; the
    /// block comes back with every answer.
    pub(super) fn see(
        &mut self,
        block: &mut Observation,
        more: Vec<StateRead>,
        (before, after): (&World, &World),
    ) -> Result<Seen, ReplayError> {
        let mut wanted = self.gated.wanted_reads(block);
        wanted.extend(more);
        wanted.sort_unstable();
        wanted.dedup();
        let world = Asked::Chain(&self.rules);
        for reads in wanted.chunks(READS_AT_ONCE) {
            let then = world.answer(reads, block, before)?;
            let now = world.answer(reads, block, after)?;
            for (question, (before, after)) in reads.iter().zip(then.into_iter().zip(now)) {
                block.readings.insert(question.clone(), Reading { before, after });
            }
        }
        let now = block.block.time;
        let mut seen = Seen::default();
        if let Some(open) = &mut self.open {
            seen.ungated = ordered(&open.step(now, Input::Block(block.clone())));
            if !seen.ungated.is_empty() {
                *open = engine(&self.plan, false)?;
            }
        }
        let effects = self.gated.step(now, Input::Block(block.clone()));
        seen.orders = ordered(&effects);
        if !seen.orders.is_empty() {
            self.gated = engine(&self.plan, true)?;
        }
        let found = effects.into_iter().filter_map(|it| match it {
            Effect::Record(Record::Found { finding }) => Some(finding),
            _ => None,
        });
        seen.findings = found.collect();
        Ok(seen)
    }
}

fn engine(plan: &Plan, gate: bool) -> Result<Engine, ReplayError> {
    let mut plan = plan.clone();
    plan.decision.harm_gate = gate;
    let built = Engine::new(plan, Limits::default());
    built.map_err(|it| failed("the generic plan cannot be built", it))
}

/// The actions of orders that go out without a person.
fn ordered(effects: &[Effect]) -> Vec<String> {
    let acts = effects.iter().filter_map(|it| match it {
        Effect::Record(Record::Intended { order }) if order.autonomy == Autonomy::Act => {
            Some(order.action.clone())
        }
        _ => None,
    });
    acts.collect()
}
