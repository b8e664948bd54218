//! The one-shot decision: act when the loss avoided by acting *now instead of at the next decision time*
//! outweighs the cost of acting for nothing. Amounts are one currency in floats; see [`crate::door`] for
//! the integer form. Invariant: a higher cost never lowers the threshold, a higher avoided loss never raises it.

use crate::error::{RiskError, non_negative, probability};

/// The threshold `p* = C / (C + A)` of acting, for a cost of a false action and an avoided loss.
///
/// Total on bad input: a negative or NaN amount counts as absent, and with nothing to avoid the threshold
/// is 1. Use [`one_shot`] for typed errors.
#[must_use]
pub fn threshold_one_shot(cost: f64, avoided: f64) -> f64 {
    let clean = |x: f64| if x.is_nan() { 0.0 } else { x.max(0.0) };
    // A NaN cost must not make acting free.
    let cost = if cost.is_nan() { f64::INFINITY } else { clean(cost) };
    let avoided = clean(avoided);
    if cost == f64::INFINITY || avoided == 0.0 {
        // Costless and useless: the reference rule puts it at 1 too, except that 0/0 never pays.
        return 1.0;
    }
    if avoided == f64::INFINITY { 0.0 } else { 1.0 / (1.0 + avoided / cost) }
}

/// Expected net benefit `p A - (1 - p) C` of acting.
#[must_use]
pub fn net_benefit(p: f64, cost: f64, avoided: f64) -> f64 {
    p * avoided - (1.0 - p) * cost
}

/// What the one-shot rule says, with the terms that made it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The probability at which acting breaks even.
    pub threshold: f64,
    /// Expected net benefit of acting, in the currency of the inputs.
    pub net_benefit: f64,
    /// Whether the benefit is strictly positive.
    pub act: bool,
}

/// Applies the one-shot rule.
///
/// # Errors
/// A probability outside `[0, 1]`, or an amount that is negative or not finite.
pub fn one_shot(p: f64, cost: f64, avoided: f64) -> Result<Verdict, RiskError> {
    let p = probability("posterior", p)?;
    let cost = non_negative("cost of acting", cost)?;
    let avoided = non_negative("avoided loss", avoided)?;
    let net = net_benefit(p, cost, avoided);
    Ok(Verdict { threshold: threshold_one_shot(cost, avoided), net_benefit: net, act: net > 0.0 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn garbage_never_makes_acting_free() {
        assert_eq!(threshold_one_shot(f64::NAN, 1.0), 1.0);
        assert_eq!(threshold_one_shot(1.0, f64::NAN), 1.0);
        assert_eq!(threshold_one_shot(1.0, 0.0), 1.0);
        assert_eq!(threshold_one_shot(0.0, 1.0), 0.0);
        assert!(one_shot(1.1, 1.0, 1.0).is_err());
        assert!(one_shot(0.5, -1.0, 1.0).is_err());
    }

    proptest! {
        #[test]
        fn cost_raises_and_avoided_loss_lowers_the_threshold(
            c in 0.0..1e9_f64, dc in 0.0..1e9_f64, a in 0.0..1e9_f64, da in 0.0..1e9_f64,
        ) {
            let t = threshold_one_shot(c, a);
            prop_assert!(threshold_one_shot(c + dc, a) >= t);
            prop_assert!(threshold_one_shot(c, a + da) <= t);
        }

        #[test]
        fn a_likelier_or_larger_attack_never_turns_act_into_wait(
            p in 0.0..1.0_f64, dp in 0.0..1.0_f64, c in 1.0..1e6_f64, a in 1.0..1e9_f64, da in 0.0..1e9_f64,
        ) {
            if one_shot(p, c, a).unwrap().act {
                prop_assert!(one_shot((p + dp).min(1.0), c, a + da).unwrap().act);
            }
        }
    }
}
