//! What a decision weighs: evidence, drains, costs and budgets (`risk.md` §9).
//!
//! **Invariant:** every default is the one of the specification or changes nothing: a plan that says no more
//! than a fixed cost is decided upon as if it said nothing else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BasisPoints, DurationText, UsdText};
use crate::{Timestamp, Usd};

/// Milliseconds of an hour.
const HOUR_MS: i128 = 3_600_000;
/// One, in hundredths of a basis point.
const ONE: i128 = 1_000_000;

/// How findings become a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Decision {
    /// Which rule decides.
    pub policy: Policy,
    /// Probability that an attack on an entity begins in a given block, in parts per billion.
    /// Default: 4.2 % a year (`risk.md` §9.1) at 12 s blocks.
    pub prior_ppb: u32,
    /// How many times less or more the prior may be. Default 3: 1.3 to 13 % a year (`risk.md` §9.1).
    pub prior_spread: u32,
    /// The most that one group of correlated findings may weigh, in thousandths of a nat.
    pub group_cap_millinats: i32,
    /// How much detectors of one group say the same: `0 %` independent, `100 %` one witness. Default 50 %,
    /// the fallback of `risk.md` §9.2 while there are too few attacks to learn from.
    pub correlation: BasisPoints,
    /// The evidence card, a file of the plan's folder: what scores of detectors are worth, by counts. Left
    /// out, each finding weighs what its detector states: expert judgement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// How far each further block separates attack from ordinary use, in thousandths of a standard
    /// deviation: what waiting is worth. Default 1,500.
    pub evidence_millisigma: u32,
    /// Probability that an attack takes everything in one transaction (`risk.md` §9.2: 0.44).
    pub atomic: BasisPoints,
    /// Blocks over which a drain that is not atomic runs.
    pub drain_blocks: u64,
    /// Blocks from the first preparation of an attack to its strike.
    pub preparation_blocks: u64,
    /// Probability that containment is included before a pending attack that it answers.
    pub pre_emption: BasisPoints,
    /// Evidence older than this no longer counts.
    pub memory: DurationText,
    /// Whether an automatic order needs a critical finding of economic harm or of lost control. Without it
    /// suspicion alone acts once it is probable enough: for measuring what the gate is worth.
    pub harm_gate: bool,
    /// A decision is kept at least this long before an order that is not out yet is withdrawn again.
    pub dwell: DurationText,
    /// Automatic orders that may turn out to be for nothing within `false-alarm-window`; an order counts as
    /// much as it was doubted, one whose incident was a false alarm counts in full. Beyond it orders
    /// are proposed only.
    pub false_alarms_max: u32,
    /// The window of `false-alarms-max`.
    pub false_alarm_window: DurationText,
}

/// Which rule decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// The stage of the attack, the drain as it is seen, the value of waiting one more block.
    #[default]
    Sequential,
    /// One posterior against the loss of the next block: what the other one is compared with.
    OneShot,
}

/// A token bucket on chain through which value leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Outlet {
    /// Most that leaves at once.
    pub capacity: UsdText,
    /// What it regains per hour.
    pub per_hour: UsdText,
}

/// What an action costs if there was nothing to stop (`risk.md` §9.4). Every figure is the owner's, in the unit it
/// shows; what is left out costs nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ActionCost {
    /// Fixed cost: operations, legal, reputation. USD.
    pub fixed: UsdText,
    /// Fees lost per hour of the pause. USD.
    pub per_hour: UsdText,
    /// How long it lasts if nobody shortens it.
    pub duration: DurationText,
    /// Share of the hourly cost that comes back afterwards.
    pub catch_up: BasisPoints,
    /// Withdrawals that are held up. USD.
    pub delayed: UsdText,
    /// What a delayed dollar loses per hour.
    pub opportunity: BasisPoints,
    /// Liquidations that users cannot avert. USD.
    pub liquidations: UsdText,
    /// Expected shortfall of the book over the whole pause beyond that without one: the figure of
    /// `cofferdam risk pause`. USD.
    pub pause_risk: UsdText,
    /// Liquidity that leaves for good. USD.
    pub lp_flight: UsdText,
    /// What a dollar of liquidity earns per month.
    pub lp_margin: BasisPoints,
    /// Months it stays away.
    pub lp_months: u32,
    /// What an expiry or settlement inside the pause costs.
    pub expiry: Option<Expiry>,
    /// How far each figure may be off, down or up. Default 50 %.
    pub spread: BasisPoints,
}

/// Expiries or settlements at regular times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expiry {
    /// One of them, in seconds since the Unix epoch.
    pub first: u64,
    /// From one to the next.
    pub every: DurationText,
    /// What one of them costs if it falls into the pause. USD.
    pub loss: UsdText,
}

/// How often an action may be used without a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Budget {
    /// Automatic orders within `window`; the next one is proposed only.
    pub automatic_max: u32,
    /// The window of `automatic-max`.
    pub window: DurationText,
    /// Least time between two orders of this action.
    pub cooldown: DurationText,
    /// The most that an automatic order may cost if it is for nothing, at the upper end of its cost. Left
    /// out, there is no such bound. USD.
    pub cost_max: Option<UsdText>,
}

impl Default for Decision {
    fn default() -> Self {
        Self {
            policy: Policy::Sequential,
            prior_ppb: 16,
            prior_spread: 3,
            group_cap_millinats: 20_000,
            correlation: BasisPoints(500_000),
            evidence: None,
            evidence_millisigma: 1_500,
            atomic: BasisPoints(440_000),
            drain_blocks: 10,
            preparation_blocks: 10,
            pre_emption: BasisPoints(500_000),
            memory: DurationText(3_600_000),
            harm_gate: true,
            dwell: DurationText(600_000),
            false_alarms_max: 4,
            false_alarm_window: DurationText(90 * 86_400_000),
        }
    }
}

impl Default for ActionCost {
    fn default() -> Self {
        Self {
            fixed: UsdText::default(),
            per_hour: UsdText::default(),
            duration: DurationText::default(),
            catch_up: BasisPoints::default(),
            delayed: UsdText::default(),
            opportunity: BasisPoints::default(),
            liquidations: UsdText::default(),
            pause_risk: UsdText::default(),
            lp_flight: UsdText::default(),
            lp_margin: BasisPoints::default(),
            lp_months: 0,
            expiry: None,
            spread: BasisPoints(500_000),
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            automatic_max: 1,
            window: DurationText(86_400_000),
            cooldown: DurationText(3_600_000),
            cost_max: None,
        }
    }
}

impl ActionCost {
    /// The parts that are not nothing, by name, if it begins at `now`. All arithmetic saturates.
    pub fn parts(&self, now: Timestamp) -> Vec<(&'static str, Usd)> {
        let ms = i128::from(self.duration.0);
        let hours = |usd: Usd| Usd(usd.0.saturating_mul(ms) / HOUR_MS);
        let share = |usd: Usd, of: BasisPoints| {
            let of = i128::from(of.0);
            Usd((usd.0 / ONE).saturating_mul(of).saturating_add(usd.0 % ONE * of / ONE))
        };
        let lost = BasisPoints(1_000_000_u64.saturating_sub(self.catch_up.0));
        let months = Usd(self.lp_flight.0.0.saturating_mul(i128::from(self.lp_months)));
        let mut parts = vec![
            ("fixed", self.fixed.0),
            ("fees", share(hours(self.per_hour.0), lost)),
            ("held-up withdrawals", share(hours(self.delayed.0), self.opportunity)),
            ("liquidations not averted", self.liquidations.0),
            ("pause risk", self.pause_risk.0),
            ("expiries inside", self.expiries(now)),
            ("liquidity leaving", share(months, self.lp_margin)),
        ];
        parts.retain(|it| it.1 > Usd::ZERO);
        parts
    }

    /// All parts together, and what they are at the low and the high end of their figures.
    pub fn total(&self, now: Timestamp) -> (Usd, (Usd, Usd)) {
        let total = self.parts(now).into_iter().fold(Usd::ZERO, |sum, it| sum.plus(it.1));
        let spread = i128::from(self.spread.0.min(1_000_000));
        let off = Usd((total.0 / ONE)
            .saturating_mul(spread)
            .saturating_add(total.0 % ONE * spread / ONE));
        (total, (total.minus(off), total.plus(off)))
    }

    /// What expiries cost that fall into a pause from `now` on.
    fn expiries(&self, now: Timestamp) -> Usd {
        let Some(it) = &self.expiry else { return Usd::ZERO };
        let every = it.every.0.max(1);
        let first = it.first.saturating_mul(1_000) % every;
        // Those at or before a moment, counted from the first after the epoch.
        let until = |at: u64| at.saturating_sub(first) / every + u64::from(at >= first);
        let inside = until(now.0.saturating_add(self.duration.0)).saturating_sub(until(now.0));
        Usd(it.loss.0.0.saturating_mul(i128::from(inside)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(whole: i128) -> UsdText {
        UsdText(Usd::whole(whole))
    }

    #[test]
    fn the_cost_of_a_pause_is_the_sum_of_its_parts() {
        let cost = ActionCost {
            fixed: usd(15_000),
            per_hour: usd(1_000),
            duration: DurationText(6 * 3_600_000),
            catch_up: BasisPoints(300_000),
            delayed: usd(1_000_000),
            opportunity: BasisPoints(10),
            liquidations: usd(20_000),
            pause_risk: usd(74_000),
            lp_flight: usd(5_000_000),
            lp_margin: BasisPoints(2_000),
            lp_months: 2,
            ..ActionCost::default()
        };
        let (total, (low, high)) = cost.total(Timestamp(0));
        assert_eq!(total, Usd::whole(15_000 + 4_200 + 60 + 20_000 + 74_000 + 20_000));
        assert_eq!((low.plus(low), high.minus(low)), (total, total));
    }

    #[test]
    fn only_expiries_inside_the_pause_cost() {
        let daily = Expiry { first: 8 * 3_600, every: DurationText(86_400_000), loss: usd(10_000) };
        let lasting = |hours: u64| ActionCost {
            duration: DurationText(hours * 3_600_000),
            expiry: Some(daily.clone()),
            ..ActionCost::default()
        };
        let at = Timestamp::from_secs(10 * 86_400 + 7 * 3_600);
        assert_eq!(lasting(6).total(at).0, Usd::whole(10_000));
        assert_eq!(lasting(30).total(at).0, Usd::whole(20_000));
        assert_eq!(lasting(6).total(Timestamp::from_secs(10 * 86_400 + 8 * 3_600)).0, Usd::ZERO);
    }

    #[test]
    fn absurd_figures_saturate() {
        let cost = ActionCost {
            fixed: UsdText(Usd(i128::MAX)),
            per_hour: UsdText(Usd(i128::MAX)),
            duration: DurationText(u64::MAX),
            ..ActionCost::default()
        };
        assert!(cost.total(Timestamp(u64::MAX)).0 > Usd::ZERO);
    }
}
