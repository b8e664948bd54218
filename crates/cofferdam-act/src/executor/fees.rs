//! Fees of containment transactions (EIP-1559), in wei. Pure.
//!
//! **Invariant:** the worst case of everything sent for an order, gas limit times fee cap, stays
//! within its fee budget.

use alloy::primitives::U256;

const GWEI: u128 = 1_000_000_000;

/// How fees are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeePolicy {
    /// Least tip cap per gas, in wei.
    pub tip_floor: u128,
    /// Added on top of 1.25 times the attacker's tip, in wei.
    pub tip_margin: u128,
}

impl Default for FeePolicy {
    /// 3 gwei floor, 2 gwei margin.
    fn default() -> Self {
        Self { tip_floor: 3 * GWEI, tip_margin: 2 * GWEI }
    }
}

/// Fee cap and tip cap per gas, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// `maxFeePerGas`.
    pub max_fee: u128,
    /// `maxPriorityFeePerGas`.
    pub tip: u128,
}

/// The order's budget does not pay for a transaction that can be included.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fee budget of {budget} wei is below the {needed} wei that inclusion needs")]
pub struct OverBudget {
    /// Least that is needed: gas limit times the next base fee, or a replacement's price.
    pub needed: U256,
    /// What the order allows and has not been committed yet.
    pub budget: U256,
}

impl Fees {
    /// The right fees at once: tip = max(1.25 × attacker's tip + margin, floor), cap = 2 × next base
    /// fee + tip (`onchain.md` §3); cut to what `budget` pays for `gas_limit`.
    ///
    /// # Errors
    /// [`OverBudget`] if not even the next base fee is paid for.
    pub fn choose(
        policy: FeePolicy,
        attacker_tip: Option<u128>,
        next_base_fee: u64,
        gas_limit: u64,
        budget: U256,
    ) -> Result<Self, OverBudget> {
        let outbid = |tip: u128| tip.saturating_add(tip / 4).saturating_add(policy.tip_margin);
        let tip = attacker_tip.map_or(0, outbid).max(policy.tip_floor);
        let base = u128::from(next_base_fee);
        let wanted = Self { max_fee: base.saturating_mul(2).saturating_add(tip), tip };
        let affordable = affordable(gas_limit, budget);
        if wanted.max_fee <= affordable {
            return Ok(wanted);
        }
        // One wei of tip at the least: nobody includes a transaction for nothing.
        if affordable <= base {
            let needed = cost(gas_limit, base.saturating_add(1));
            return Err(OverBudget { needed, budget });
        }
        Ok(Self { max_fee: affordable, tip: tip.min(affordable - base) })
    }

    /// The price of the `attempt`-th replacement, counted from 1: +12.5 %, then +25 % each. Nodes
    /// want +10 % on both caps; rounding up keeps small values above that.
    pub fn bumped(self, attempt: u32) -> Self {
        let divisor = if attempt <= 1 { 8 } else { 4 };
        let bump = |it: u128| it.saturating_add(it.div_ceil(divisor)).max(it.saturating_add(1));
        Self { max_fee: bump(self.max_fee), tip: bump(self.tip) }
    }

    /// At least `floor` in both caps.
    pub fn at_least(self, floor: Self) -> Self {
        Self { max_fee: self.max_fee.max(floor.max_fee), tip: self.tip.max(floor.tip) }
    }

    /// The most that a transaction with `gas_limit` can cost, in wei.
    pub fn worst_case(self, gas_limit: u64) -> U256 {
        cost(gas_limit, self.max_fee)
    }

    /// Whether these fees are as good as `wanted` on the next block.
    pub fn serve(self, wanted: Self) -> bool {
        self.tip >= wanted.tip && self.max_fee >= wanted.max_fee
    }
}

/// Highest base fee that the block after one with `base_fee` can have (EIP-1559: +12.5 %).
pub fn next_base_fee(base_fee: u64) -> u64 {
    base_fee.saturating_add(base_fee.div_ceil(8))
}

fn cost(gas_limit: u64, price: u128) -> U256 {
    U256::from(gas_limit).saturating_mul(U256::from(price))
}

fn affordable(gas_limit: u64, budget: U256) -> u128 {
    (budget / U256::from(gas_limit.max(1))).saturating_to()
}

#[cfg(test)]
mod tests {
    use alloy::primitives::U256;
    use proptest::prelude::*;

    use super::{FeePolicy, Fees, GWEI, next_base_fee};

    const PLENTY: U256 = U256::from_limbs([0, 1, 0, 0]);

    #[test]
    fn the_attacker_is_outbid() {
        let policy = FeePolicy::default();
        let fees =
            Fees::choose(policy, Some(40 * GWEI), 10 * GWEI as u64, 100_000, PLENTY).unwrap();
        assert_eq!(fees, Fees { max_fee: 72 * GWEI, tip: 52 * GWEI });
        let quiet = Fees::choose(policy, None, 10 * GWEI as u64, 100_000, PLENTY).unwrap();
        assert_eq!(quiet, Fees { max_fee: 23 * GWEI, tip: 3 * GWEI });
    }

    #[test]
    fn a_small_budget_lowers_the_fees_but_not_below_the_base_fee() {
        let policy = FeePolicy::default();
        let (base, gas) = (10 * GWEI as u64, 100_000);
        let budget = U256::from(11 * GWEI) * U256::from(gas);
        let fees = Fees::choose(policy, Some(40 * GWEI), base, gas, budget).unwrap();
        assert_eq!(fees, Fees { max_fee: 11 * GWEI, tip: GWEI });
        let budget = U256::from(10 * GWEI) * U256::from(gas);
        assert!(Fees::choose(policy, None, base, gas, budget).is_err());
    }

    #[test]
    fn the_next_base_fee_rounds_up() {
        assert_eq!(next_base_fee(0), 0);
        assert_eq!(next_base_fee(7), 8);
        assert_eq!(next_base_fee(u64::MAX), u64::MAX);
    }

    proptest! {
        #[test]
        fn chosen_fees_stay_in_the_budget(
            tip in any::<u64>(), base in any::<u64>(), gas in any::<u64>(), budget in any::<u128>()
        ) {
            let budget = U256::from(budget);
            let chosen = Fees::choose(FeePolicy::default(), Some(tip.into()), base, gas, budget);
            if let Ok(fees) = chosen {
                prop_assert!(fees.worst_case(gas) <= budget);
                prop_assert!(fees.tip <= fees.max_fee);
                prop_assert!(fees.max_fee > u128::from(base));
            }
        }

        #[test]
        fn a_replacement_pays_ten_per_cent_more_in_both_caps(max_fee in 1..u128::MAX / 4, tip in 0..u128::MAX / 4, attempt in 1..6u32) {
            let old = Fees { max_fee, tip };
            let new = old.bumped(attempt);
            prop_assert!(new.max_fee - max_fee >= max_fee.div_ceil(10));
            prop_assert!(new.tip - tip >= tip.div_ceil(10));
            prop_assert!(new.max_fee > max_fee && new.tip > tip);
        }
    }
}
