//! Turning scores into probabilities that mean what they say: Platt scaling, isotonic regression, Venn-Abers
//! intervals, and the metrics that judge them.

pub mod isotonic;
pub mod metrics;
pub mod platt;
pub mod report;

pub use isotonic::{Isotonic, venn_abers};
pub use metrics::{average_precision, brier, log_loss, roc_auc};
pub use platt::Platt;

use crate::error::{RiskError, finite, same_length};

/// Checks scores and labels belong together and contain both classes.
pub(crate) fn check(scores: &[f64], labels: &[bool]) -> Result<(usize, usize), RiskError> {
    same_length("labels", labels.len(), scores.len())?;
    scores.iter().try_for_each(|s| finite("score", *s).map(|_| ()))?;
    let positives = labels.iter().filter(|y| **y).count();
    let negatives = labels.len() - positives;
    if positives == 0 || negatives == 0 {
        return Err(RiskError::TooFew {
            name: "each class",
            got: positives.min(negatives),
            want: 1,
        });
    }
    Ok((positives, negatives))
}
