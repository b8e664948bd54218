//! The threshold curve of an action: false suspensions on the left, late or missed exploits on the right, the
//! minimum between and the flat region around it. Governance picks inside the flat region; this never picks for it.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, finite, non_negative, positive};
use crate::numeric::random::Philox;

/// Points within this share of the minimum are the flat region.
pub const FLAT: f64 = 0.05;
/// Resamples of the bootstrap band.
pub const BOOTSTRAPS: usize = 2_000;
/// Fewest attacks that make a curve worth showing as a recommendation.
pub const ATTACKS_MIN: usize = 20;

/// One quiet stretch of a back-test: the highest score it reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QuietWindow {
    /// Highest score, log-odds.
    pub peak: f64,
    /// What acting would have cost, USD.
    pub cost: f64,
}

/// One attack of a back-test: scores in order, and what is still to be lost when acting there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttackPath {
    /// `(score, loss already suffered)` in order of time; the loss never falls.
    pub steps: Vec<(f64, f64)>,
    /// Loss when nobody acts, USD.
    pub total: f64,
}

impl AttackPath {
    /// Loss when acting at the first score at or above `h`.
    #[must_use]
    pub fn loss_at(&self, h: f64) -> f64 {
        self.steps.iter().find(|s| s.0 >= h).map_or(self.total, |s| s.1)
    }
}

/// One threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CurvePoint {
    /// Threshold, log-odds.
    pub threshold: f64,
    /// False suspensions a year.
    pub false_per_year: f64,
    /// Their cost a year, USD: liquidity hindered.
    pub hindered: f64,
    /// Lost to missed or late exploits a year, USD: irreparable.
    pub lost: f64,
    /// Both.
    pub total: f64,
    /// 5 % and 95 % of the total over resampled windows and attacks.
    pub band: (f64, f64),
}

/// The curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ThresholdCurve {
    /// Ascending thresholds.
    pub points: Vec<CurvePoint>,
    /// Index of the least total.
    pub best: usize,
    /// First and last index whose total is within [`FLAT`] of the least, contiguous around it.
    pub flat: (usize, usize),
    /// Attacks behind it.
    pub attacks: usize,
    /// Fewer attacks than [`ATTACKS_MIN`]: shown, but no recommendation.
    pub too_few: bool,
}

/// Computes the curve at `thresholds` from windows and attacks seen over `years`, where `attack_rate` attacks a year
/// are expected (the back-test usually holds far more than a protocol will see).
///
/// # Errors
/// No windows, attacks or thresholds; thresholds that do not ascend; losses that fall or exceed their total; numbers
/// that are not finite.
pub fn threshold_curve(
    quiet: &[QuietWindow],
    attacks: &[AttackPath],
    thresholds: &[f64],
    years: f64,
    attack_rate: f64,
    rng: Philox,
) -> Result<ThresholdCurve, RiskError> {
    check(quiet, attacks, thresholds)?;
    let years = positive("years", years)?;
    let rate = non_negative("attacks per year", attack_rate)?;
    let cost = |h: f64, w: &QuietWindow| if w.peak >= h { w.cost } else { 0.0 };
    let per_attack = rate / attacks.len() as f64;
    let mut points = Vec::with_capacity(thresholds.len());
    for h in thresholds {
        let false_per_year = quiet.iter().filter(|w| w.peak >= *h).count() as f64 / years;
        let hindered = quiet.iter().map(|w| cost(*h, w)).sum::<f64>() / years;
        let lost = attacks.iter().map(|a| a.loss_at(*h)).sum::<f64>() * per_attack;
        let total = finite("yearly cost", hindered + lost)?;
        let band = (total, total);
        points.push(CurvePoint { threshold: *h, false_per_year, hindered, lost, total, band });
    }
    bands(quiet, attacks, years, per_attack, rng, &mut points);
    let best = (0..points.len())
        .min_by(|a, b| points[*a].total.total_cmp(&points[*b].total))
        .unwrap_or_default();
    let limit = points[best].total * (1.0 + FLAT);
    let inside = |i: &usize| points[*i].total <= limit;
    let first = (0..=best).rev().take_while(inside).last().unwrap_or(best);
    let last = (best..points.len()).take_while(inside).last().unwrap_or(best);
    let too_few = attacks.len() < ATTACKS_MIN;
    Ok(ThresholdCurve { points, best, flat: (first, last), attacks: attacks.len(), too_few })
}

fn check(
    quiet: &[QuietWindow],
    attacks: &[AttackPath],
    thresholds: &[f64],
) -> Result<(), RiskError> {
    for (name, got) in [
        ("quiet windows", quiet.len()),
        ("attacks", attacks.len()),
        ("thresholds", thresholds.len()),
    ] {
        if got == 0 {
            return Err(RiskError::TooFew { name, got, want: 1 });
        }
    }
    for w in quiet {
        finite("peak score", w.peak)?;
        non_negative("cost of acting", w.cost)?;
    }
    for a in attacks {
        let mut before = 0.0;
        for (score, loss) in &a.steps {
            finite("score", *score)?;
            if finite("loss", *loss)? < before || *loss > a.total {
                return Err(RiskError::OutOfDomain {
                    name: "loss so far",
                    value: *loss,
                    domain: "rising to the total",
                });
            }
            before = *loss;
        }
        non_negative("total loss", a.total)?;
    }
    for t in thresholds {
        finite("threshold", *t)?;
    }
    if let Some(w) = thresholds.windows(2).find(|w| w[0] >= w[1]) {
        return Err(RiskError::OutOfDomain { name: "threshold", value: w[1], domain: "ascending" });
    }
    Ok(())
}

/// Resamples windows and attacks, keeping each attack whole.
fn bands(
    quiet: &[QuietWindow],
    attacks: &[AttackPath],
    years: f64,
    per_attack: f64,
    rng: Philox,
    points: &mut [CurvePoint],
) {
    // A window costs the same at every threshold below its peak, and few have any cost: only those are drawn.
    let least = points.first().map_or(f64::INFINITY, |p| p.threshold);
    let loud: Vec<&QuietWindow> = quiet.iter().filter(|w| w.peak >= least).collect();
    let mut totals = vec![Vec::with_capacity(BOOTSTRAPS); points.len()];
    let losses: Vec<Vec<f64>> =
        points.iter().map(|p| attacks.iter().map(|a| a.loss_at(p.threshold)).collect()).collect();
    for b in 0..BOOTSTRAPS as u64 {
        let mut draws = 0;
        let mut uniform = || {
            draws += 1;
            rng.uniform(b, draws)
        };
        let pick = |u: f64, n: usize| ((u * n as f64) as usize).min(n - 1);
        let chosen: Vec<usize> =
            (0..attacks.len()).map(|_| pick(uniform(), attacks.len())).collect();
        // Each loud window appears a Poisson(1) number of times.
        let times: Vec<f64> = loud.iter().map(|_| poisson_one(uniform())).collect();
        for ((p, losses), out) in points.iter().zip(&losses).zip(&mut totals) {
            let lost: f64 = chosen.iter().map(|i| losses[*i]).sum::<f64>() * per_attack;
            let hindered: f64 = loud
                .iter()
                .zip(&times)
                .filter(|(w, _)| w.peak >= p.threshold)
                .map(|(w, n)| w.cost * n)
                .sum();
            out.push(lost + hindered / years);
        }
    }
    for (p, mut totals) in points.iter_mut().zip(totals) {
        totals.sort_by(f64::total_cmp);
        p.band = (totals[BOOTSTRAPS / 20], totals[BOOTSTRAPS - 1 - BOOTSTRAPS / 20]);
    }
}

fn poisson_one(u: f64) -> f64 {
    let (mut n, mut p) = (0.0, libm::exp(-1.0));
    let mut sum = p;
    while u > sum && n < 20.0 {
        n += 1.0;
        p /= n;
        sum += p;
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<QuietWindow>, Vec<AttackPath>, Vec<f64>) {
        let rng = Philox::new(3);
        let quiet = (0..500)
            .map(|i| QuietWindow { peak: 3.0 * rng.normal(0, i) - 9.0, cost: 2e5 })
            .collect();
        let attacks = (0..30)
            .map(|i| {
                let at = |t: f64| (rng.normal(1, i) - 6.0 + 3.0 * t, 1e6 * t);
                AttackPath { steps: (0..10).map(|t| at(f64::from(t))).collect(), total: 1e7 }
            })
            .collect();
        let thresholds = (-12..=14).map(f64::from).collect();
        (quiet, attacks, thresholds)
    }

    #[test]
    fn the_curve_falls_then_rises_and_the_flat_region_holds_its_minimum() {
        let (quiet, attacks, thresholds) = sample();
        let c = threshold_curve(&quiet, &attacks, &thresholds, 5.0, 0.5, Philox::new(9)).unwrap();
        let (first, last) = (c.points[0], c.points[c.points.len() - 1]);
        let best = c.points[c.best];
        assert!(best.total < first.total && best.total < last.total);
        assert!(c.flat.0 <= c.best && c.best <= c.flat.1 && !c.too_few);
        assert!(c.points.iter().all(|p| p.band.0 <= p.total && p.total <= p.band.1));
        assert!(
            c.points.windows(2).all(|w| w[0].hindered >= w[1].hindered && w[0].lost <= w[1].lost)
        );
        let again =
            threshold_curve(&quiet, &attacks, &thresholds, 5.0, 0.5, Philox::new(9)).unwrap();
        assert_eq!(c, again);
    }

    #[test]
    fn a_dearer_suspension_never_lowers_the_best_threshold() {
        let (quiet, attacks, thresholds) = sample();
        let at = |factor: f64| {
            let quiet: Vec<_> =
                quiet.iter().map(|w| QuietWindow { cost: w.cost * factor, ..*w }).collect();
            threshold_curve(&quiet, &attacks, &thresholds, 5.0, 0.5, Philox::new(9)).unwrap().best
        };
        assert!(at(0.1) <= at(1.0) && at(1.0) <= at(10.0));
        assert!(threshold_curve(&quiet, &[], &thresholds, 5.0, 0.5, Philox::new(9)).is_err());
        assert!(threshold_curve(&quiet, &attacks, &[1.0, 1.0], 5.0, 0.5, Philox::new(9)).is_err());
    }
}
