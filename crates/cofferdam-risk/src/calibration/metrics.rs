//! Ranking and probability metrics, with the conventions of scikit-learn so that published figures compare.

use super::check;
use crate::error::{RiskError, probability, same_length};

/// Area under the ROC curve, ties counted half.
///
/// # Errors
/// Uneven lengths, scores that are not finite, or one class only.
pub fn roc_auc(scores: &[f64], labels: &[bool]) -> Result<f64, RiskError> {
    let (positives, negatives) = check(scores, labels)?;
    let mut wins = 0.0;
    let mut seen_negatives = 0.0;
    for group in groups(scores, labels, false) {
        let (p, n) = group;
        wins += p * (seen_negatives + 0.5 * n);
        seen_negatives += n;
    }
    Ok(wins / (positives as f64 * negatives as f64))
}

/// Average precision: the sum of precision over steps of recall, thresholds descending.
///
/// # Errors
/// As [`roc_auc`].
pub fn average_precision(scores: &[f64], labels: &[bool]) -> Result<f64, RiskError> {
    let (positives, _) = check(scores, labels)?;
    let (mut hits, mut flagged, mut sum) = (0.0, 0.0, 0.0);
    for (p, n) in groups(scores, labels, true) {
        hits += p;
        flagged += p + n;
        sum += p / positives as f64 * (hits / flagged);
    }
    Ok(sum)
}

/// `(positives, negatives)` per distinct score, in order.
fn groups(scores: &[f64], labels: &[bool], descending: bool) -> Vec<(f64, f64)> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    if descending {
        order.reverse();
    }
    let mut out: Vec<(f64, f64)> = Vec::new();
    let mut last = f64::NAN;
    for i in order {
        if scores[i] != last {
            out.push((0.0, 0.0));
            last = scores[i];
        }
        if let Some(top) = out.last_mut() {
            if labels[i] { top.0 += 1.0 } else { top.1 += 1.0 }
        }
    }
    out
}

/// Mean squared error of the probabilities.
///
/// # Errors
/// Uneven lengths, nothing to score, or a probability outside `[0, 1]`.
pub fn brier(probabilities: &[f64], labels: &[bool]) -> Result<f64, RiskError> {
    mean(probabilities, labels, |p, y| (p - y) * (p - y))
}

/// Mean negative log-likelihood, probabilities kept a rounding unit away from 0 and 1.
///
/// # Errors
/// As [`brier`].
pub fn log_loss(probabilities: &[f64], labels: &[bool]) -> Result<f64, RiskError> {
    mean(probabilities, labels, |p, y| {
        let p = p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        -(y * libm::log(p) + (1.0 - y) * libm::log1p(-p))
    })
}

fn mean(
    probabilities: &[f64],
    labels: &[bool],
    f: impl Fn(f64, f64) -> f64,
) -> Result<f64, RiskError> {
    same_length("labels", labels.len(), probabilities.len())?;
    if labels.is_empty() {
        return Err(RiskError::TooFew { name: "metric", got: 0, want: 1 });
    }
    let mut sum = 0.0;
    for (p, y) in probabilities.iter().zip(labels) {
        sum += f(probability("prediction", *p)?, f64::from(u8::from(*y)));
    }
    Ok(sum / labels.len() as f64)
}
