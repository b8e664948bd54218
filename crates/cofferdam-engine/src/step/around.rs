//! What rules are told besides the observation: attacks that go on anywhere, and what was public.

use cofferdam_core::{BlockRef, ChainId, Class, Finding, Observation, Severity, record::Memo};
use cofferdam_detect::Shape;
use serde::Deserialize;

use super::Step;
use crate::{ChainView, apply::closed};

/// Prefix of the notes that keep the shape of an attack.
const SHAPE_KEY: &str = "engine/shape/";
/// Shapes kept per chain; the oldest is forgotten first.
const SHAPES_MAX: usize = 64;
/// How long a shape is kept, in milliseconds.
const SHAPE_AGE_MS: u64 = 7 * 86_400_000;

impl Step<'_> {
    /// Tells the rules of `chain` what goes on elsewhere. `observation` becomes part of what was public.
    pub(super) fn tell_rules(&mut self, chain: ChainId, observation: &Observation) {
        let active = self.active_shapes();
        if let Some(rules) = self.engine.rules.get_mut(&chain) {
            let around = rules.around_mut();
            around.active = active;
            around.public.note(observation);
        }
    }

    /// The shapes behind findings of open incidents.
    fn active_shapes(&self) -> Vec<Shape> {
        let state = &self.engine.state;
        let notes = state.chains.values().flat_map(|it| notes(it).map(|it| it.1));
        let shapes = notes.filter_map(|it| Shape::deserialize(it).ok());
        let active = |shape: &Shape| {
            let mut findings = state.findings.values();
            findings.any(|it| {
                let incident = it.incident.and_then(|id| state.incidents.get(&id));
                it.finding.tx == Some(shape.tx) && incident.is_some_and(|it| !closed(it.state))
            })
        };
        shapes.filter(active).collect()
    }

    /// The notes of a block about the attacks in it, for its record.
    pub(super) fn shape_notes(
        &self,
        observation: &Observation,
        findings: &[Finding],
    ) -> Vec<(String, Memo)> {
        let block = observation.block;
        let harm = |it: &&Finding| {
            it.severity == Severity::Critical && matches!(it.class, Class::Damage | Class::Control)
        };
        let hashes: Vec<_> = findings.iter().filter(harm).filter_map(|it| it.tx).collect();
        let engine = &*self.engine;
        let mut memos =
            engine.state.chains.get(&block.chain.0).map_or(vec![], |it| old(it, &block));
        let shapes = match engine.rules.get(&block.chain) {
            Some(rules) if !hashes.is_empty() => rules.shapes(observation, &hashes),
            _ => Vec::new(),
        };
        for shape in shapes {
            if let Ok(memo) = serde_json::to_value(&shape) {
                memos.push((format!("{SHAPE_KEY}{:016x}/{:x}", block.time.0, shape.tx), memo));
            }
        }
        memos
    }
}

fn notes(view: &ChainView) -> impl Iterator<Item = (&String, &Memo)> {
    let from = view.memos.range(SHAPE_KEY.to_owned()..);
    from.take_while(|it| it.0.starts_with(SHAPE_KEY))
}

/// What `block` forgets.
fn old(view: &ChainView, block: &BlockRef) -> Vec<(String, Memo)> {
    let oldest = format!("{SHAPE_KEY}{:016x}", block.time.0.saturating_sub(SHAPE_AGE_MS));
    let over = notes(view).count().saturating_sub(SHAPES_MAX);
    let gone = notes(view).enumerate().filter(|(at, it)| *at < over || *it.0 < oldest);
    gone.map(|(_, it)| (it.0.clone(), Memo::Null)).collect()
}
