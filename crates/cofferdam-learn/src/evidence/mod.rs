//! Evidence cards from labelled scores (`risk.md` §9.2, §10): what each score of each detector was worth, how much of
//! it the others say already, and what all of it together came to.
//!
//! **Invariant:** fitted on earlier windows, judged on later ones. Weights that were learned and do no better on the
//! later ones are not used, and the card says so.

mod fit;
mod judge;
mod rows;

use cofferdam_core::plan::{
    EvidenceCard,
    card::{Basis, ScoreBin},
};
use cofferdam_risk::{RiskError, likelihood::bin_ratios};

pub use fit::{CardOptions, fit};
pub use rows::{RowError, ScoreRow, WINDOWS_MAX};

/// How far a bound of a card may be from what its counts give, in thousandths of a nat: rounding.
const ROUNDING: i32 = 2;

/// Why there is no card.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// The scores cannot be read.
    #[error("the scores cannot be read")]
    Rows(#[from] RowError),
    /// There is too little to fit.
    #[error("the scores cannot be fitted")]
    Risk(#[from] RiskError),
    /// The card would lack something.
    #[error("the card would be incomplete: {}", .0.join("; "))]
    Incomplete(Vec<String>),
}

/// A card and what is to be said about how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The card.
    pub card: EvidenceCard,
    /// For people, one line each.
    pub notes: Vec<String>,
}

/// Where a card claims more than its own counts give, for people: it was edited, or made by something else.
pub fn overclaims(card: &EvidenceCard) -> Vec<String> {
    if card.basis == Basis::Expert {
        return Vec::new();
    }
    let mut out = Vec::new();
    for table in &card.tables {
        let name = &table.detector;
        let Ok(bins) = ratios(&table.bins, (card.windows.attacks, card.windows.clean)) else {
            out.push(format!("table of `{name}`: its counts give no ratio"));
            continue;
        };
        for (said, given) in table.bins.iter().zip(bins) {
            let more = said.llr > given.llr + ROUNDING || said.low > given.low + ROUNDING;
            if more {
                out.push(format!(
                    "table of `{name}` from {}: claims {} (proved {}), its counts give {} (proved {})",
                    said.from, said.llr, said.low, given.llr, given.low
                ));
            }
        }
    }
    out
}

/// The bins with what their counts give.
pub(crate) fn ratios(bins: &[ScoreBin], windows: (u64, u64)) -> Result<Vec<ScoreBin>, RiskError> {
    let counts: Vec<(u64, u64)> = bins.iter().map(|it| (it.attacks, it.clean)).collect();
    let given = bin_ratios(&counts, windows)?;
    let filled = bins.iter().zip(given).map(|(bin, it)| ScoreBin {
        llr: millinats(it.point),
        low: millinats(it.low),
        high: millinats(it.high),
        ..*bin
    });
    Ok(filled.collect())
}

/// In thousandths of a nat, to the nearest; what is not a number is nothing.
pub(crate) fn millinats(nats: f64) -> i32 {
    // Saturates, and NaN becomes zero.
    libm::round(nats * 1e3) as i32
}
