//! The drain model: what the next block can cost (`risk.md` §9.3, §9.5, marginal-loss reading).

use cofferdam_core::{
    Probability, Usd,
    incident::{Quantity, Term},
    plan::{BasisPoints, Decision},
};

/// What an attack can still take, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drain {
    /// Value that is still there to take.
    pub(crate) remaining: Usd,
    /// Expected loss between now and the next decision time (one block), if the attack is real.
    pub(crate) next_block: Usd,
}

/// What findings say an attack took, and is about to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// In blocks: sunk, whatever is done now.
    pub(crate) suffered: Usd,
    /// In transactions that are still pending: avoided if containment is included before them.
    pub(crate) impending: Usd,
    /// Blocks since the first loss in a block, at least 1 if there is one.
    pub(crate) blocks: u64,
}

/// Before the first loss an attack may be atomic (probability `atomic`: everything at once) or drain
/// over `drain_blocks`. Once a loss is in a block the atomic part is sunk, and the observed rate
/// counts. A loss that is still pending is avoided with probability `pre-emption`.
pub(crate) fn drain(decision: &Decision, at_risk: Usd, losses: Losses) -> Drain {
    let lost = losses.suffered;
    let remaining = Usd(at_risk.minus(lost).0.max(0));
    let spread = Usd(remaining.0 / i128::from(decision.drain_blocks.max(1)));
    let atomic = share(decision.atomic);
    let unseen = if lost.0 > 0 {
        let rate = Usd(lost.0 / i128::from(losses.blocks.max(1)));
        rate.max(spread).weighted(atomic.complement())
    } else {
        remaining.weighted(atomic).plus(spread.weighted(atomic.complement()))
    };
    let seen = losses.impending.min(remaining).weighted(share(decision.pre_emption));
    Drain { remaining, next_block: unseen.max(seen).min(remaining) }
}

fn share(of: BasisPoints) -> Probability {
    Probability(u32::try_from(of.0.min(1_000_000) * 1_000).unwrap_or(u32::MAX))
}

/// The ledger lines of the model.
pub(crate) fn terms(
    decision: &Decision,
    at_risk: Usd,
    source: &str,
    losses: Losses,
    drain: &Drain,
) -> Vec<Term> {
    let line = |name: &str, value: Quantity, source: &str| Term {
        name: name.into(),
        value,
        interval: None,
        source: source.into(),
    };
    let seen = losses.impending.min(drain.remaining).weighted(share(decision.pre_emption));
    let how = if losses.impending.0 > 0 && seen >= drain.next_block {
        "pending loss times plan: decision.pre-emption"
    } else if losses.suffered.0 > 0 {
        "observed rate or even drain of the rest; the atomic part is sunk"
    } else {
        "atomic part plus even drain"
    };
    let mut next = line("loss in the next block if real", Quantity::Usd(drain.next_block), how);
    let even = Usd(drain.remaining.0 / i128::from(decision.drain_blocks.max(1)));
    let bounds = (even.min(drain.next_block), drain.remaining);
    next.interval = Some((Quantity::Usd(bounds.0), Quantity::Usd(bounds.1)));
    let mut out = vec![
        line("value at risk", Quantity::Usd(at_risk), source),
        line("already lost", Quantity::Usd(losses.suffered), "findings of class damage in blocks"),
    ];
    if losses.impending.0 > 0 {
        let pending = "findings of class damage in pending transactions";
        out.push(line("about to be lost", Quantity::Usd(losses.impending), pending));
    }
    out.extend([
        line("still there", Quantity::Usd(drain.remaining), "value at risk less loss"),
        line(
            "blocks a drain takes",
            Quantity::Blocks(decision.drain_blocks),
            "plan: decision.drain-blocks",
        ),
        next,
    ]);
    out
}

#[cfg(test)]
mod tests {
    use cofferdam_core::{Usd, plan::Decision};
    use proptest::prelude::*;

    use super::{Losses, drain};

    fn million(losses: Losses) -> (Usd, Usd) {
        let it = drain(&Decision::default(), Usd::whole(1_000_000), losses);
        (it.remaining, it.next_block)
    }

    #[test]
    fn before_a_loss_the_atomic_part_dominates() {
        let (_, next) = million(Losses::default());
        assert_eq!(next, Usd::whole(440_000 + 56_000));
    }

    #[test]
    fn after_a_loss_the_observed_rate_counts() {
        let losses = Losses { suffered: Usd::whole(300_000), blocks: 1, ..Losses::default() };
        assert_eq!(million(losses), (Usd::whole(700_000), Usd::whole(168_000)));
    }

    #[test]
    fn a_pending_loss_is_not_sunk() {
        let losses = Losses { impending: Usd::whole(1_000_000), ..Losses::default() };
        assert_eq!(million(losses), (Usd::whole(1_000_000), Usd::whole(500_000)));
    }

    proptest! {
        #[test]
        fn no_more_is_lost_than_is_there(
            at_risk in any::<i128>(),
            suffered in any::<i128>(),
            impending in any::<i128>(),
            blocks in any::<u64>(),
        ) {
            let (suffered, impending) = (Usd(suffered.saturating_abs()), Usd(impending.saturating_abs()));
            let it = drain(&Decision::default(), Usd(at_risk), Losses { suffered, impending, blocks });
            prop_assert!(it.next_block <= it.remaining && it.next_block.0 >= 0);
        }
    }
}
