//! What the next block can cost, and those after it (`risk.md` §9.3, §9.5, marginal-loss reading).

use cofferdam_core::{
    Probability, Usd,
    incident::{Quantity, Term},
    plan::{BasisPoints, Decision, Outlet},
};
use cofferdam_risk::drain::{BlockLoss, Bucket, DrainFit, DrainModel};

use crate::losses;

/// Milliseconds of an hour.
const HOUR_MS: i128 = 3_600_000;

/// What an attack, if it is live, still takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drain {
    /// Value that is still there to take.
    pub(crate) remaining: Usd,
    /// In the next block: all at once or its part of a drain.
    pub(crate) next: Usd,
    /// In the next block if the attack does not take all at once.
    pub(crate) gradual: Usd,
    /// In each block after that.
    pub(crate) later: Usd,
    /// How many blocks it takes in all, at least 1.
    pub(crate) blocks: u64,
}

/// What there is to lose, with its source, and what was and is about to be lost.
#[derive(Clone, Debug)]
pub(crate) struct Stakes<'a> {
    pub(crate) decision: &'a Decision,
    pub(crate) at_risk: Usd,
    pub(crate) source: String,
    pub(crate) lost: Vec<BlockLoss>,
    pub(crate) impending: Usd,
    /// The limiter on the way out and the time of a block in milliseconds.
    pub(crate) outlet: Option<(&'a Outlet, u64)>,
}

/// A share as a probability.
pub(crate) fn share(of: BasisPoints) -> Probability {
    Probability(u32::try_from(of.0.min(1_000_000) * 1_000).unwrap_or(Probability::CERTAIN.0))
}

impl Stakes<'_> {
    /// Before the first loss an attack may take all at once (the plan's `atomic`) or drain. With the first
    /// loss that question is the stage's, and the drain as it was seen so far counts. A loss that is still
    /// pending is avoided with the probability of `pre-emption`.
    pub(crate) fn drain(&self) -> (Drain, Vec<Term>) {
        let bucket = self.outlet.map(|(it, block_ms)| Bucket {
            capacity: it.capacity.0.0,
            per_block: it.per_hour.0.0.saturating_mul(i128::from(block_ms)) / HOUR_MS,
        });
        let model = DrainModel {
            at_risk: self.at_risk.0,
            drain_blocks: self.decision.drain_blocks,
            limiter: bucket,
        };
        let fit = DrainFit::of(&model, &self.lost);
        let atomic = match self.lost.is_empty() {
            true => share(self.decision.atomic),
            false => Probability::NEVER,
        };
        let later = Usd(fit.per_block).weighted(atomic.complement());
        let unseen = Usd(fit.most).weighted(atomic).plus(later);
        let seen = self.pre_empted(Usd(fit.remaining));
        let next = unseen.max(seen).min(Usd(fit.remaining));
        let drain = Drain {
            remaining: Usd(fit.remaining),
            next,
            gradual: later,
            later,
            blocks: fit.blocks_left,
        };
        (drain, self.terms(&fit, &drain, seen))
    }

    /// The first-cut model, for comparison: after a loss the observed or the even rate, whichever is
    /// more, less the atomic part, which is sunk; no block after the next one counts.
    pub(crate) fn one_shot(&self) -> (Drain, Vec<Term>) {
        let lost = losses::total(&self.lost);
        let remaining = Usd(self.at_risk.minus(lost).0.max(0));
        let even = Usd(remaining.0 / i128::from(self.decision.drain_blocks.max(1)));
        let gradual = share(self.decision.atomic).complement();
        let blocks = self.lost.iter().map(|it| it.age).max().map_or(1, |it| it.saturating_add(1));
        let unseen = match self.lost.is_empty() {
            true => remaining.weighted(gradual.complement()).plus(even.weighted(gradual)),
            false => Usd(lost.0 / i128::from(blocks)).max(even).weighted(gradual),
        };
        let next = unseen.max(self.pre_empted(remaining)).min(remaining);
        let drain = Drain { remaining, next, gradual: next, later: Usd::ZERO, blocks: 1 };
        let mut terms = self.known(remaining);
        terms.push(line("loss in the next block if real", next, "policy one-shot"));
        (drain, terms)
    }

    fn pre_empted(&self, remaining: Usd) -> Usd {
        self.impending.min(remaining).weighted(share(self.decision.pre_emption))
    }

    fn known(&self, remaining: Usd) -> Vec<Term> {
        let mut out = vec![
            line("value at risk", self.at_risk, &self.source),
            line("already lost", losses::total(&self.lost), "findings of class damage in blocks"),
        ];
        if self.impending > Usd::ZERO {
            let pending = "findings of class damage in pending transactions";
            out.push(line("about to be lost", self.impending, pending));
        }
        out.push(line("still there", remaining, "value at risk less loss"));
        out
    }

    fn terms(&self, fit: &DrainFit, drain: &Drain, seen: Usd) -> Vec<Term> {
        let mut out = self.known(drain.remaining);
        let shape = if fit.exponential_ppb > 500_000_000 { "exponential" } else { "linear" };
        let source = match self.lost.len() {
            0 => "plan: decision.drain-blocks".to_owned(),
            1 => "one block with a loss, half a block as planned".to_owned(),
            count => format!("{count} blocks with losses; {shape} fits better"),
        };
        let mut rate = line("loss per block while it drains", Usd(fit.per_block), &source);
        let usd = |it| Quantity::Usd(Usd(it));
        rate.interval = Some((usd(fit.interval.0), usd(fit.interval.1)));
        out.push(rate);
        out.push(Term {
            name: "blocks until all is gone".into(),
            value: Quantity::Blocks(fit.blocks_left),
            interval: None,
            source: "still there by loss per block".into(),
        });
        if fit.most < fit.remaining {
            out.push(line("most that gets out", Usd(fit.most), "plan: outlet of the entity"));
        }
        let how = if self.impending > Usd::ZERO && seen >= drain.next {
            "pending loss times plan: decision.pre-emption"
        } else if self.lost.is_empty() {
            "all at once (plan: decision.atomic), or one block of the drain"
        } else {
            "one block of the drain; all at once is over"
        };
        let mut next = line("loss in the next block if real", drain.next, how);
        let most = if self.lost.is_empty() { fit.most } else { fit.interval.1 };
        next.interval = Some((usd(fit.interval.0.min(drain.next.0)), usd(most.max(drain.next.0))));
        out.push(next);
        out
    }
}

fn line(name: &str, value: Usd, source: &str) -> Term {
    Term { name: name.into(), value: Quantity::Usd(value), interval: None, source: source.into() }
}

#[cfg(test)]
mod tests {
    use cofferdam_core::plan::Decision;

    use super::*;

    fn stakes(decision: &Decision, lost: &[(u64, i128)], impending: i128) -> Drain {
        let lost = lost.iter().map(|(age, it)| BlockLoss { age: *age, loss: Usd::whole(*it).0 });
        let stakes = Stakes {
            decision,
            at_risk: Usd::whole(1_000_000),
            source: String::new(),
            lost: lost.collect(),
            impending: Usd::whole(impending),
            outlet: None,
        };
        stakes.drain().0
    }

    #[test]
    fn before_a_loss_the_atomic_part_dominates() {
        let it = stakes(&Decision::default(), &[], 0);
        assert_eq!((it.next, it.later), (Usd::whole(440_000 + 56_000), Usd::whole(56_000)));
        assert_eq!(it.blocks, 10);
    }

    #[test]
    fn after_a_loss_the_drain_as_seen_counts() {
        let it = stakes(&Decision::default(), &[(0, 300_000)], 0);
        assert_eq!(it.remaining, Usd::whole(700_000));
        assert!(it.next > Usd::whole(150_000) && it.next < Usd::whole(300_000), "{it:?}");
    }

    #[test]
    fn a_pending_loss_is_not_sunk() {
        let it = stakes(&Decision::default(), &[], 1_000_000);
        assert_eq!((it.remaining, it.next), (Usd::whole(1_000_000), Usd::whole(500_000)));
    }
}
