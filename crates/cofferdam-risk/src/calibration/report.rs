//! What a back-test reports beside ranking: Murphy's decomposition, calibration error, reliability with binomial
//! bands, the cost curve, and block-bootstrap intervals that keep each incident whole.

use serde::{Deserialize, Serialize};

use super::metrics::brier;
use crate::error::{RiskError, finite, probability, same_length};
use crate::numeric::random::Philox;
use crate::numeric::special::clopper_pearson;

/// Positives below which a headline figure is refused.
pub const POSITIVES_MIN: usize = 20;

/// Brier score `= reliability - resolution + uncertainty`, up to the spread inside the bins.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Murphy {
    /// How far forecasts are from frequencies; zero is perfect.
    pub reliability: f64,
    /// How far frequencies differ from the base rate; more is better.
    pub resolution: f64,
    /// Variance of the outcome.
    pub uncertainty: f64,
    /// The Brier score itself.
    pub brier: f64,
}

/// One bin of the reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Mean forecast.
    pub forecast: f64,
    /// Observed frequency.
    pub observed: f64,
    /// Two-sided 90 % binomial band of it (both ends one-sided 95 %).
    pub band: (f64, f64),
    /// Forecasts in it.
    pub count: usize,
}

/// Bins of equal mass, ascending; ties are never split, so there may be fewer.
///
/// # Errors
/// Uneven lengths, no forecasts, no bins, or a forecast outside `[0, 1]`.
pub fn reliability(p: &[f64], labels: &[bool], bins: usize) -> Result<Vec<Bin>, RiskError> {
    same_length("labels", labels.len(), p.len())?;
    if p.is_empty() || bins == 0 {
        return Err(RiskError::TooFew { name: "reliability", got: p.len().min(bins), want: 1 });
    }
    p.iter().try_for_each(|p| probability("forecast", *p).map(|_| ()))?;
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let size = p.len().div_ceil(bins);
    let mut out = Vec::new();
    let mut start = 0;
    while start < order.len() {
        let mut end = (start + size).min(order.len());
        while end < order.len() && p[order[end]].total_cmp(&p[order[end - 1]]).is_eq() {
            end += 1;
        }
        let members = &order[start..end];
        let count = members.len();
        let hits = members.iter().filter(|i| labels[**i]).count();
        let forecast = members.iter().map(|i| p[*i]).sum::<f64>() / count as f64;
        let band = clopper_pearson(hits as u64, count as u64);
        out.push(Bin { forecast, observed: hits as f64 / count as f64, band, count });
        start = end;
    }
    Ok(out)
}

/// Expected calibration error over bins of equal mass.
///
/// # Errors
/// As [`reliability`].
pub fn calibration_error(p: &[f64], labels: &[bool], bins: usize) -> Result<f64, RiskError> {
    let n = p.len() as f64;
    let gap = |b: &Bin| (b.forecast - b.observed).abs() * b.count as f64 / n;
    Ok(reliability(p, labels, bins)?.iter().map(gap).sum())
}

/// Murphy's decomposition over the distinct forecasts, where it is exact.
///
/// # Errors
/// As [`reliability`].
pub fn murphy(p: &[f64], labels: &[bool]) -> Result<Murphy, RiskError> {
    let n = p.len() as f64;
    let bins = reliability(p, labels, p.len().max(1))?;
    let base = labels.iter().filter(|y| **y).count() as f64 / n;
    let sum = |f: &dyn Fn(&Bin) -> f64| bins.iter().map(|b| b.count as f64 * f(b)).sum::<f64>() / n;
    Ok(Murphy {
        reliability: sum(&|b| (b.forecast - b.observed) * (b.forecast - b.observed)),
        resolution: sum(&|b| (b.observed - base) * (b.observed - base)),
        uncertainty: base * (1.0 - base),
        brier: brier(p, labels)?,
    })
}

/// Least expected cost of a score at each operating weight (Drummond and Holte): for weight `w` of misses against
/// false alarms, `min over thresholds of w FNR + (1 - w) FPR`. One pair `(w, cost)` per weight.
///
/// # Errors
/// Uneven lengths, scores that are not finite, one class only, or a weight outside `[0, 1]`.
pub fn cost_curve(
    scores: &[f64],
    labels: &[bool],
    weights: &[f64],
) -> Result<Vec<(f64, f64)>, RiskError> {
    let (positives, negatives) = super::check(scores, labels)?;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    // (false negative rate, false positive rate) at every distinct threshold, from never to always.
    let mut rates = vec![(1.0, 0.0)];
    let (mut tp, mut fp) = (0.0, 0.0);
    for (at, i) in order.iter().enumerate() {
        if labels[*i] {
            tp += 1.0
        } else {
            fp += 1.0
        }
        let last = order.get(at + 1).is_none_or(|next| scores[*next] < scores[*i]);
        if last {
            rates.push((1.0 - tp / positives as f64, fp / negatives as f64));
        }
    }
    let least = |w: f64| {
        rates.iter().map(|(miss, alarm)| w * miss + (1.0 - w) * alarm).fold(f64::INFINITY, f64::min)
    };
    weights.iter().map(|w| probability("weight", *w).map(|w| (w, least(w)))).collect()
}

/// Interval of a statistic by resampling whole groups (incidents) with replacement: 5 % and 95 %.
///
/// # Errors
/// Fewer than two groups, or a statistic that is not finite on some resample.
pub fn group_bootstrap<T>(
    groups: &[T],
    resamples: usize,
    rng: Philox,
    statistic: impl Fn(&[&T]) -> f64,
) -> Result<(f64, f64), RiskError> {
    if groups.len() < 2 || resamples < 20 {
        let got = groups.len().min(resamples);
        return Err(RiskError::TooFew { name: "bootstrap", got, want: 2 });
    }
    let mut values = Vec::with_capacity(resamples);
    let mut draw: Vec<&T> = Vec::with_capacity(groups.len());
    for b in 0..resamples {
        draw.clear();
        for i in 0..groups.len() {
            let at = (rng.uniform(b as u64, i as u64) * groups.len() as f64) as usize;
            draw.push(&groups[at.min(groups.len() - 1)]);
        }
        values.push(finite("bootstrap statistic", statistic(&draw))?);
    }
    values.sort_by(f64::total_cmp);
    Ok((values[resamples / 20], values[resamples - 1 - resamples / 20]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn murphys_three_parts_make_the_brier_score(
            data in prop::collection::vec((0_u8..=10, prop::bool::ANY), 2..80),
        ) {
            let p: Vec<f64> = data.iter().map(|d| f64::from(d.0) / 10.0).collect();
            let y: Vec<bool> = data.iter().map(|d| d.1).collect();
            let m = murphy(&p, &y).unwrap();
            prop_assert!((m.reliability - m.resolution + m.uncertainty - m.brier).abs() < 1e-12);
            let e = calibration_error(&p, &y, 10).unwrap();
            prop_assert!((0.0..=1.0).contains(&e));
        }

        #[test]
        fn the_cost_curve_never_exceeds_the_trivial_detectors(
            data in prop::collection::vec((-5_i8..5, prop::bool::ANY), 4..60), w in 0.0..=1.0_f64,
        ) {
            let s: Vec<f64> = data.iter().map(|d| f64::from(d.0)).collect();
            let y: Vec<bool> = data.iter().map(|d| d.1).collect();
            if let Ok(c) = cost_curve(&s, &y, &[w]) {
                prop_assert!(c[0].1 <= w.min(1.0 - w) + 1e-12 && c[0].1 >= 0.0);
            }
        }
    }

    #[test]
    fn the_bootstrap_brackets_the_mean_and_repeats_itself() {
        let groups: Vec<f64> = (0..100).map(f64::from).collect();
        let mean = |d: &[&f64]| d.iter().copied().sum::<f64>() / d.len() as f64;
        let (low, high) = group_bootstrap(&groups, 2_000, Philox::new(1), mean).unwrap();
        assert!(low < 49.5 && 49.5 < high && high - low < 12.0);
        assert_eq!(group_bootstrap(&groups, 2_000, Philox::new(1), mean).unwrap(), (low, high));
        assert!(group_bootstrap(&[1.0], 100, Philox::new(1), |_| 0.0).is_err());
    }
}
