//! How the attack stands when an order goes out: it decides price and route. Pure.
//!
//! **The rule of the route.** An attack that is public (its transaction waits in a public pool, or is in
//! a block) is answered through public nodes *and* builders at once: sending twice does the effect
//! once. Builders alone are right only while nothing about the attack is public, because then our pause
//! would be the tip-off; and only for [`super::Policy::private_blocks`] blocks, and only if a builder
//! took it. Then everybody gets it: containment is worth more than silence.

/// How the attack stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Race {
    /// What the attacker offers, if the attack waits in a pool.
    pub bid: Option<Bid>,
    /// Whether the attack is public: in a public pool, or in a block.
    pub public: bool,
}

/// What a pending transaction pays per gas, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bid {
    /// `maxPriorityFeePerGas`; of a legacy transaction its gas price.
    pub tip: u128,
    /// `maxFeePerGas`; of a legacy transaction its gas price.
    pub max_fee: u128,
}

impl Default for Race {
    /// A public attack of which no bid is known.
    fn default() -> Self {
        Self { bid: None, public: true }
    }
}

impl Race {
    /// A public attack that pays `tip` at any base fee.
    pub fn from_tip(tip: Option<u128>) -> Self {
        let bid = tip.map(|tip| Bid { tip, max_fee: u128::MAX });
        Self { bid, public: true }
    }

    /// The tip to beat on the block after one with `base_fee`.
    pub(super) fn tip_to_beat(self, base_fee: u64) -> Option<u128> {
        self.bid.map(|it| it.tip_after(base_fee))
    }
}

impl Bid {
    /// The most that it can leave to the builder of the block after one with `base_fee`: the next base
    /// fee is at least 7/8 of it (EIP-1559).
    pub fn tip_after(self, base_fee: u64) -> u128 {
        let least = u128::from(base_fee - base_fee.div_ceil(8));
        self.tip.min(self.max_fee.saturating_sub(least))
    }
}

#[cfg(test)]
mod tests {
    use super::{Bid, Race};

    #[test]
    fn a_bid_is_worth_what_its_cap_leaves_above_the_base_fee() {
        let bid = Bid { tip: 50, max_fee: 120 };
        assert_eq!(bid.tip_after(8), 50);
        assert_eq!(bid.tip_after(96), 36, "the base fee may fall to 84");
        assert_eq!(bid.tip_after(1_000), 0, "it cannot be included");
        assert_eq!(bid.tip_after(0), 50);
        assert_eq!(Race::from_tip(Some(7)).tip_to_beat(1_000), Some(7));
        assert_eq!(Race::default().tip_to_beat(1_000), None);
    }
}
