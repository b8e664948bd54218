//! Cross-chain collateral: what is locked at home against what was minted elsewhere. A bridge pause alone does not
//! help a lender whose collateral is already unbacked, so the representation gets its own breaker.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, non_negative, probability};

/// When the collateral breaker trips.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BackingRule {
    /// Least acceptable ratio.
    pub least_ratio: f64,
    /// Longest the ratio may be unverifiable, in seconds.
    pub blind_seconds: u64,
}

impl Default for BackingRule {
    fn default() -> Self {
        Self { least_ratio: 0.98, blind_seconds: 600 }
    }
}

/// Why it tripped. The remedy is the same: loan-to-value and supply cap of this representation to zero, repaying and
/// withdrawing everything else stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackingAlarm {
    /// Less is locked than was minted.
    Unbacked,
    /// Nobody could check for too long.
    Unverifiable,
    /// The remote chain minted more than its limiter allows.
    MintedBeyondLimiter,
}

/// One loan against the representation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Loan {
    /// Collateral units.
    pub collateral: f64,
    /// Debt in USD.
    pub debt: f64,
}

/// `locked / minted` in base units; one when nothing was minted.
#[must_use]
pub fn backing_ratio(locked: u128, minted: u128) -> f64 {
    if minted == 0 { 1.0 } else { locked as f64 / minted as f64 }
}

/// Whether the breaker must trip. `ratio` is absent when it cannot be verified, for `blind_for` seconds now.
#[must_use]
pub fn backing_alarm(
    rule: &BackingRule,
    ratio: Option<f64>,
    blind_for: u64,
    minted_beyond_limiter: bool,
) -> Option<BackingAlarm> {
    if minted_beyond_limiter {
        return Some(BackingAlarm::MintedBeyondLimiter);
    }
    match ratio {
        // A NaN ratio is not a verified one.
        Some(r) if r >= rule.least_ratio => None,
        Some(r) if r < rule.least_ratio => Some(BackingAlarm::Unbacked),
        _ => (blind_for > rule.blind_seconds).then_some(BackingAlarm::Unverifiable),
    }
}

/// Bad debt at a backing ratio: `sum max(0, debt - b x collateral x price x (1 - slip))`.
///
/// # Errors
/// Ratio or slippage outside `[0, 1]`, negative amounts, or values that are not finite.
pub fn bad_debt(loans: &[Loan], price: f64, ratio: f64, slip: f64) -> Result<f64, RiskError> {
    let unit = non_negative("price", price)?
        * probability("backing ratio", ratio)?
        * (1.0 - probability("slippage", slip)?);
    let mut sum = 0.0;
    for l in loans {
        let value = non_negative("loan collateral", l.collateral)? * unit;
        sum += (non_negative("loan debt", l.debt)? - value).max(0.0);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worthless_collateral_leaves_the_whole_debt_and_backed_collateral_none() {
        // KelpDAO, 2026-04-18: 116,500 unbacked rsETH, 292M USD at the time; published bad debt at Aave 177-196M.
        // The share borrowed is an assumption that lands in that interval, not a source: this checks the
        // arithmetic and its scale, it does not predict the incident.
        let pledged = Loan { collateral: 116_500.0, debt: 116_500.0 * 2_506.0 * 0.64 };
        let loss = bad_debt(&[pledged], 2_506.0, 0.0, 0.0).unwrap();
        assert!((177e6..=196e6).contains(&loss), "{loss}");
        assert_eq!(bad_debt(&[pledged], 2_506.0, 1.0, 0.05).unwrap(), 0.0);
    }

    #[test]
    fn the_breaker_trips_on_what_is_missing_unseen_or_overminted() {
        let rule = BackingRule::default();
        assert_eq!(backing_alarm(&rule, Some(1.0), 0, false), None);
        assert_eq!(backing_alarm(&rule, Some(0.82), 0, false), Some(BackingAlarm::Unbacked));
        assert_eq!(backing_alarm(&rule, None, 600, false), None);
        assert_eq!(backing_alarm(&rule, None, 601, false), Some(BackingAlarm::Unverifiable));
        assert_eq!(
            backing_alarm(&rule, Some(f64::NAN), 601, false),
            Some(BackingAlarm::Unverifiable)
        );
        assert_eq!(
            backing_alarm(&rule, Some(1.0), 0, true),
            Some(BackingAlarm::MintedBeyondLimiter)
        );
        assert_eq!(backing_ratio(5, 0), 1.0);
    }
}
