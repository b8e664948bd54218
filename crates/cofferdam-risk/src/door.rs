//! The door between integer callers and float models: micro-USD as `i128`, probabilities as parts per
//! billion, evidence as millinats. Invariant: everything here is total, saturates instead of wrapping,
//! and rounds in one documented direction, so two machines never disagree by a unit.

use crate::fusion::{logit, sigmoid};

/// One, in parts per billion.
pub const PPB_ONE: u32 = 1_000_000_000;

const PPB: i128 = PPB_ONE as i128;

/// Posterior probability in parts per billion from a prior and groups of `(cap, llrs)` in millinats.
///
/// Each group's sum is clipped to `[-cap, cap]` (a negative cap counts as zero); sums are exact integers, so
/// the order of detectors and groups cannot matter. A prior of 0 stands for anything that rounds to 0 and
/// reads as a quarter of a part per billion; a prior at or above one reads as a quarter below it. The result
/// is rounded to the nearest part, halves up, and never reaches [`PPB_ONE`]: evidence is never certainty,
/// so a threshold of one is out of reach.
#[must_use]
pub fn posterior_ppb(prior_ppb: u32, groups: &[(i32, Vec<i32>)]) -> u32 {
    let prior = match prior_ppb {
        0 => 0.25,
        p if p >= PPB_ONE => f64::from(PPB_ONE) - 0.25,
        p => f64::from(p),
    };
    let mut millinats: i64 = 0;
    for (cap, llrs) in groups {
        let cap = i64::from((*cap).max(0));
        let sum: i64 = llrs.iter().map(|l| i64::from(*l)).fold(0, i64::saturating_add);
        millinats = millinats.saturating_add(sum.clamp(-cap, cap));
    }
    let z = logit(prior / f64::from(PPB_ONE)) + millinats as f64 / 1000.0;
    let scaled = libm::floor(sigmoid(z) * f64::from(PPB_ONE) + 0.5);
    // In range by construction: sigmoid lies in [0, 1].
    (scaled as u32).min(PPB_ONE - 1)
}

/// Threshold `C / (C + A)` in parts per billion, rounded up, so that `posterior >= threshold` is never true
/// below the exact break-even.
///
/// At least 1, because a probability of zero never justifies acting, however cheap; [`PPB_ONE`] (out of
/// reach of [`posterior_ppb`]) when nothing would be avoided. Negative amounts count as zero. Sums beyond
/// the range are scaled down together.
#[must_use]
pub fn threshold_ppb(cost_micro_usd: i128, avoided_micro_usd: i128) -> u32 {
    let (cost, avoided) = (cost_micro_usd.max(0), avoided_micro_usd.max(0));
    if avoided == 0 {
        return PPB_ONE;
    }
    // Scaling both down keeps the ratio to 2^-64, far below a part per billion; only absurd amounts need it.
    let shift = if cost.max(avoided) > i128::MAX / (4 * PPB) { 48 } else { 0 };
    let (cost, avoided) = (cost >> shift, avoided >> shift);
    let sum = cost + avoided;
    let ceil = (cost * PPB + sum - 1) / sum;
    u32::try_from(ceil.clamp(1, PPB)).unwrap_or(PPB_ONE)
}

/// Exact form of the rule `p A > (1 - p) C` for a posterior in parts per billion; negative amounts count as zero.
#[must_use]
pub fn acts(posterior_ppb: u32, cost_micro_usd: i128, avoided_micro_usd: i128) -> bool {
    net_benefit_micro_usd(posterior_ppb, cost_micro_usd, avoided_micro_usd) > 0
}

/// Expected net benefit `p A - (1 - p) C` in micro-USD: benefit rounded down, cost rounded up, so that a
/// positive figure is never a rounding artefact. Negative amounts count as zero; a posterior above one as one.
#[must_use]
pub fn net_benefit_micro_usd(
    posterior_ppb: u32,
    cost_micro_usd: i128,
    avoided_micro_usd: i128,
) -> i128 {
    let p = posterior_ppb.min(PPB_ONE);
    let benefit = scale(avoided_micro_usd.max(0), p, 0);
    let cost = scale(cost_micro_usd.max(0), PPB_ONE - p, PPB - 1);
    benefit - cost
}

/// Expected loss of a value at risk in micro-USD at a probability in parts per billion, rounded up so that a
/// loss is never understated. A negative value counts as zero, a probability above one as one.
#[must_use]
pub fn expected_loss_micro_usd(value_at_risk_micro_usd: i128, probability_ppb: u32) -> i128 {
    scale(value_at_risk_micro_usd.max(0), probability_ppb.min(PPB_ONE), PPB - 1)
}

/// `(amount * ppb + bias) / 1e9` without overflow, for a non-negative amount and `ppb <= 1e9`.
fn scale(amount: i128, ppb: u32, bias: i128) -> i128 {
    let (whole, part) = (amount / PPB, amount % PPB);
    let ppb = i128::from(ppb);
    // whole * ppb <= amount, and part * ppb < 1e18: neither overflows.
    whole * ppb + (part * ppb + bias) / PPB
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_posterior_is_rounded_and_never_certain() {
        assert_eq!(posterior_ppb(0, &[]), 0);
        assert_eq!(posterior_ppb(1_000, &[]), 1_000);
        assert_eq!(posterior_ppb(500_000_000, &[]), 500_000_000);
        assert_eq!(posterior_ppb(u32::MAX, &[(i32::MAX, vec![i32::MAX; 9])]), PPB_ONE - 1);
        assert_eq!(posterior_ppb(0, &[(i32::MAX, vec![i32::MIN; 9])]), 0);
        // Golden case: 1e-6 and 9.9 nats.
        assert_eq!(posterior_ppb(1_000, &[(20_000, vec![4_600, 3_000, 2_300])]), 19_540_932);
        assert_eq!(posterior_ppb(1_000, &[(0, vec![4_600])]), 1_000);
        assert_eq!(posterior_ppb(1_000, &[(-5, vec![4_600])]), 1_000);
    }

    #[test]
    fn thresholds_round_up_and_stay_out_of_reach_when_nothing_is_avoided() {
        assert_eq!(threshold_ppb(200_000_000_000, 80_000_000_000_000), 2_493_766);
        assert_eq!(threshold_ppb(0, 1), 1);
        assert_eq!(threshold_ppb(5, 0), PPB_ONE);
        assert_eq!(threshold_ppb(0, 0), PPB_ONE);
        assert_eq!(threshold_ppb(-7, -7), PPB_ONE);
        assert_eq!(threshold_ppb(1, 1), 500_000_000);
        assert_eq!(threshold_ppb(i128::MAX, i128::MAX), 500_000_000);
        assert_eq!(threshold_ppb(1, i128::MAX), 1);
        assert_eq!(threshold_ppb(i128::MAX, 1), PPB_ONE);
    }

    #[test]
    fn expected_loss_rounds_up_and_survives_extremes() {
        assert_eq!(expected_loss_micro_usd(61_000_000_000_000, 31_000_000), 1_891_000_000_000);
        assert_eq!(expected_loss_micro_usd(1, 1), 1);
        assert_eq!(expected_loss_micro_usd(-9, 1), 0);
        assert_eq!(expected_loss_micro_usd(i128::MAX, u32::MAX), i128::MAX);
    }

    proptest! {
        #[test]
        fn acting_at_the_threshold_is_never_a_loss_beyond_rounding(
            c in 0_i128..1_000_000_000_000_000, a in 1_i128..1_000_000_000_000_000,
        ) {
            let t = threshold_ppb(c, a);
            prop_assert!(net_benefit_micro_usd(t, c, a) >= -1);
            if t > 1 && t < PPB_ONE {
                prop_assert!(!acts(t - 1, c, a));
            }
        }

        #[test]
        fn the_order_of_evidence_does_not_matter(mut llrs in prop::collection::vec(-20_000_i32..20_000, 0..8)) {
            let forward = posterior_ppb(16, &[(12_000, llrs.clone())]);
            llrs.reverse();
            prop_assert_eq!(forward, posterior_ppb(16, &[(12_000, llrs)]));
        }
    }
}
