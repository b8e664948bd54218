//! What would have been lost had containment come so many minutes after the attack was seen.
//!
//! **Invariant:** money that left before the attack was seen is lost at every delay; the curve never falls.

use cofferdam_core::Usd;
use serde::{Deserialize, Serialize};

/// Milliseconds of a minute.
const MINUTE: u64 = 60_000;
/// Minutes that are told one by one; a longer attack is told at each of its losses only.
const MINUTES_MAX: u64 = 2_880;

/// Funds lost by minute of delay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counterfactual {
    /// The attack.
    pub incident: String,
    /// The strand it is in.
    pub strand: String,
    /// When it was first seen, in milliseconds since the Unix epoch; `None`: never, then the delay counts from its
    /// first loss.
    pub seen: Option<u64>,
    /// When the first money left.
    pub first_loss: u64,
    /// When the last money left.
    pub last_loss: u64,
    /// All that was lost.
    pub total: Usd,
    /// Losses that have a price, of all.
    pub priced: (u64, u64),
    /// What is lost at each delay, ascending.
    pub points: Vec<DelayPoint>,
}

/// One delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelayPoint {
    /// Minutes from first sight to containment in effect.
    pub minutes: u64,
    /// What left before that.
    pub lost: Usd,
    /// What would have been saved.
    pub saved: Usd,
}

/// One loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Milliseconds since the Unix epoch.
    pub(crate) time: u64,
    /// How much; zero if nobody knows a price.
    pub(crate) loss: Usd,
}

impl Counterfactual {
    /// The curve of an attack with these losses; `None` if nothing is known to be lost.
    pub(crate) fn of(
        strand: &str,
        incident: &str,
        seen: Option<u64>,
        losses: &[Lost],
    ) -> Option<Self> {
        let mut losses: Vec<Lost> = losses.to_vec();
        losses.sort_by_key(|it| it.time);
        let total = losses.iter().map(|it| it.loss).fold(Usd::ZERO, Usd::plus);
        let (first, last) = (losses.first()?.time, losses.last()?.time);
        if total <= Usd::ZERO {
            return None;
        }
        let from = seen.unwrap_or(first);
        // The first whole minute at which everything is gone.
        let end = last.saturating_sub(from) / MINUTE + 1;
        let mut minutes: Vec<u64> = match end <= MINUTES_MAX {
            true => (0..=end).collect(),
            false => {
                let of = |it: &Lost| it.time.saturating_sub(from) / MINUTE + 1;
                std::iter::once(0).chain(losses.iter().map(of)).collect()
            }
        };
        minutes.dedup();
        let point = |minutes: u64| {
            let until = from.saturating_add(minutes.saturating_mul(MINUTE));
            let gone = losses.iter().filter(|it| it.time <= until).map(|it| it.loss);
            let lost = gone.fold(Usd::ZERO, Usd::plus);
            DelayPoint { minutes, lost, saved: total.minus(lost) }
        };
        let known = losses.iter().filter(|it| it.loss > Usd::ZERO).count() as u64;
        Some(Self {
            incident: incident.to_owned(),
            strand: strand.to_owned(),
            seen,
            first_loss: first,
            last_loss: last,
            total,
            priced: (known, losses.len() as u64),
            points: minutes.into_iter().map(point).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use cofferdam_core::Usd;
    use proptest::prelude::*;

    use super::{Counterfactual, Lost};

    #[test]
    fn what_left_before_it_was_seen_is_lost_at_every_delay() {
        let lost = |minute: u64, dollars| Lost { time: minute * 60_000, loss: Usd::whole(dollars) };
        let losses = [lost(10, 100), lost(12, 50), lost(13, 1)];
        let it = Counterfactual::of("s", "i", Some(11 * 60_000), &losses).unwrap();
        let lost: Vec<i128> = it.points.iter().map(|it| it.lost.0 / 1_000_000).collect();
        assert_eq!(lost, [100, 150, 151, 151]);
        assert!(Counterfactual::of("s", "i", None, &[]).is_none());
    }

    proptest! {
        #[test]
        fn the_curve_rises_from_what_cannot_be_saved_to_the_total(
            losses in prop::collection::vec((0_u64..400_000_000, 0_i128..1_000), 1..20),
            seen in prop::option::of(0_u64..400_000_000),
        ) {
            let losses: Vec<Lost> =
                losses.iter().map(|it| Lost { time: it.0, loss: Usd::whole(it.1) }).collect();
            if let Some(it) = Counterfactual::of("s", "i", seen, &losses) {
                prop_assert!(it.points.windows(2).all(|w| w[0].lost <= w[1].lost && w[0].minutes < w[1].minutes));
                prop_assert_eq!(it.points.last().map(|it| it.lost), Some(it.total));
                prop_assert!(it.points.iter().all(|p| p.lost.plus(p.saved) == it.total));
            }
        }
    }
}
