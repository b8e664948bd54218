//! How a card does on windows later than those it was fitted on.

use std::collections::BTreeMap;

use cofferdam_core::{
    Timestamp,
    plan::{
        EvidenceCard,
        card::{Bound, Judged},
    },
};
use cofferdam_risk::sigmoid;

use super::{
    CardOptions,
    fit::{base_logit, counted, evidence},
    rows::Window,
};

/// Billionths of a nat.
const BILLION: f64 = 1e9;

/// The card's figures on `later`; `None` without windows of both kinds.
pub(super) fn judge(
    card: &EvidenceCard,
    later: &[Window],
    options: &CardOptions,
) -> Option<Judged> {
    let expert =
        EvidenceCard { tables: vec![], calibration: vec![], stacked: false, ..card.clone() };
    let billionths = |it: f64| libm::round(it * BILLION) as u64;
    let from = Timestamp::from_secs(later.first()?.time).to_string().chars().take(10).collect();
    Some(Judged {
        from,
        windows: counted(later),
        log_loss: billionths(log_loss(card, later, options)?),
        log_loss_expert: billionths(log_loss(&expert, later, options)?),
        log_loss_base: billionths(mean_loss(later, &|_| base_logit(card.windows))?),
    })
}

/// Mean negative log-likelihood per window of `later`.
pub(super) fn log_loss(
    card: &EvidenceCard,
    later: &[Window],
    options: &CardOptions,
) -> Option<f64> {
    let base = base_logit(card.windows);
    let logit = |it: &Window| {
        let ratio = |(name, (score, _)): (&String, &(i32, String))| {
            (name.clone(), card.weight(name, *score, Bound::Point).unwrap_or(*score))
        };
        let ratios: BTreeMap<String, i32> = it.scores.iter().map(ratio).collect();
        let sum = evidence(&ratios, it, (card.stacked, options));
        base + f64::from(card.calibrated(sum, Bound::Point)) / 1e3
    };
    mean_loss(later, &logit)
}

fn mean_loss(later: &[Window], logit: &dyn Fn(&Window) -> f64) -> Option<f64> {
    let windows = counted(later);
    if windows.attacks == 0 || windows.clean == 0 {
        return None;
    }
    let loss = |it: &Window| {
        let p = sigmoid(logit(it));
        let right = if it.attack { p } else { 1.0 - p };
        -libm::log(right.max(f64::MIN_POSITIVE)) * it.count as f64
    };
    let total = windows.attacks.saturating_add(windows.clean) as f64;
    Some(later.iter().map(loss).sum::<f64>() / total)
}
