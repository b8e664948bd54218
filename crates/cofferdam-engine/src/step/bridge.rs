//! Bridges: what one chain paid, held against what the other sent.

use cofferdam_core::{BlockRef, ChainId, Finding, Observation, Stage, record::Memo};
use cofferdam_detect::bridge::{Crossing, End, Verdict};

use super::Step;
use crate::{backings, bridges};

impl Step<'_> {
    /// The notes of a block about bridge messages, for its record.
    pub(super) fn bridge_notes(
        &mut self,
        block: &BlockRef,
        crossings: Vec<Crossing>,
    ) -> (Vec<(String, Memo)>, Vec<Finding>) {
        let engine = &*self.engine;
        if engine.routes.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let it = bridges::notes(&engine.routes, &engine.plan, &engine.state, block, crossings);
        (it.memos, it.given_up)
    }

    /// Judges what waits on the routes of `chain`, after its block is noted. Nothing of this is lost with a
    /// torn write: what waits is judged again with the next block of either chain.
    pub(super) fn judge_bridges(&mut self, chain: ChainId) {
        let (mut wrong, mut fine) = (Vec::new(), Vec::new());
        for route in &self.engine.routes {
            if route.origin != chain && route.destination != chain {
                continue;
            }
            for (paid, verdict) in bridges::verdicts(route, &self.engine.state) {
                match verdict {
                    Verdict::Wrong(finding) => wrong.push(finding),
                    Verdict::Fine => fine.push(paid.finding.id),
                    Verdict::Unknown => {}
                }
            }
        }
        for id in fine {
            self.retract(id, "the origin of the payment was found".to_owned());
        }
        self.on_findings(wrong);
        let engine = &*self.engine;
        let uncovered = backings::uncovered(&engine.backings, &engine.state, chain);
        self.on_findings(uncovered);
    }

    /// The findings about the payments of a pending transaction.
    pub(super) fn pending_bridges(&self, observation: &Observation) -> Vec<Finding> {
        let engine = &*self.engine;
        let Some(rules) = engine.rules.get(&observation.block.chain) else { return Vec::new() };
        let mut found = Vec::new();
        for it in rules.crossings(observation) {
            let route = engine.routes.iter().find(|route| route.id == it.route);
            if let (Some(route), End::Paid(paid)) = (route, it.end)
                && let Verdict::Wrong(finding) =
                    bridges::pending(route, &engine.state, it.key, &paid)
            {
                found.push(Finding { stage: Stage::Pending, ..finding });
            }
        }
        found
    }
}
