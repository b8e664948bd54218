//! The drain model: what the next block can cost (`risk.md` §9.3, §9.5, marginal-loss reading).

use cofferdam_core::{
    Probability, Usd,
    incident::{Quantity, Term},
    plan::Decision,
};

/// What an attack can still take, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drain {
    /// Value that is still there to take.
    pub(crate) remaining: Usd,
    /// Expected loss between now and the next decision time (one block), if the attack is real.
    pub(crate) next_block: Usd,
}

/// Before the first loss an attack may be atomic (probability `atomic`: everything at once) or drain
/// over `drain_blocks`. Once a loss is seen the atomic part is sunk, and the observed rate counts.
pub(crate) fn drain(decision: &Decision, at_risk: Usd, lost: Usd, blocks_since_loss: u64) -> Drain {
    let remaining = Usd(at_risk.minus(lost).0.max(0));
    let spread = Usd(remaining.0 / i128::from(decision.drain_blocks.max(1)));
    let atomic =
        Probability(u32::try_from(decision.atomic.0.min(1_000_000) * 1_000).unwrap_or(u32::MAX));
    let next_block = if lost.0 > 0 {
        let rate = Usd(lost.0 / i128::from(blocks_since_loss.max(1)));
        rate.max(spread).weighted(atomic.complement())
    } else {
        remaining.weighted(atomic).plus(spread.weighted(atomic.complement()))
    };
    Drain { remaining, next_block: next_block.min(remaining) }
}

/// The ledger lines of the model.
pub(crate) fn terms(
    decision: &Decision,
    at_risk: Usd,
    source: &str,
    lost: Usd,
    drain: &Drain,
) -> Vec<Term> {
    let line = |name: &str, value: Quantity, source: &str| Term {
        name: name.into(),
        value,
        interval: None,
        source: source.into(),
    };
    let how = if lost.0 > 0 {
        "observed rate or even drain of the rest; the atomic part is sunk"
    } else {
        "atomic part plus even drain"
    };
    let mut next = line("loss in the next block if real", Quantity::Usd(drain.next_block), how);
    let even = Usd(drain.remaining.0 / i128::from(decision.drain_blocks.max(1)));
    let bounds = (even.min(drain.next_block), drain.remaining);
    next.interval = Some((Quantity::Usd(bounds.0), Quantity::Usd(bounds.1)));
    vec![
        line("value at risk", Quantity::Usd(at_risk), source),
        line("already lost", Quantity::Usd(lost), "findings of class damage"),
        line("still there", Quantity::Usd(drain.remaining), "value at risk less loss"),
        line(
            "blocks a drain takes",
            Quantity::Blocks(decision.drain_blocks),
            "plan: decision.drain-blocks",
        ),
        next,
    ]
}

#[cfg(test)]
mod tests {
    use cofferdam_core::{Usd, plan::Decision};
    use proptest::prelude::*;

    use super::drain;

    #[test]
    fn before_a_loss_the_atomic_part_dominates() {
        let it = drain(&Decision::default(), Usd::whole(1_000_000), Usd::ZERO, 0);
        assert_eq!(it.next_block, Usd::whole(440_000 + 56_000));
    }

    #[test]
    fn after_a_loss_the_observed_rate_counts() {
        let it = drain(&Decision::default(), Usd::whole(1_000_000), Usd::whole(300_000), 1);
        assert_eq!((it.remaining, it.next_block), (Usd::whole(700_000), Usd::whole(168_000)));
    }

    proptest! {
        #[test]
        fn no_more_is_lost_than_is_there(at_risk in any::<i128>(), lost in any::<i128>(), blocks in any::<u64>()) {
            let it = drain(&Decision::default(), Usd(at_risk), Usd(lost.saturating_abs()), blocks);
            prop_assert!(it.next_block <= it.remaining && it.next_block.0 >= 0);
        }
    }
}
