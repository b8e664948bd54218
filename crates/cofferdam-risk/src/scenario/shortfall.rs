//! Closed-form expected shortfalls of accounts whose options expire inside a pause: oracles for the simulation
//! and quick bounds for the responder.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, non_negative, positive};
use crate::pricing::normal::cdf;
use crate::pricing::{BlackInput, OptionKind, black_price};

/// Expected shortfall of one account.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClosedForm {
    /// Price at which the account is bankrupt; absent when it can never be.
    pub bankrupt_at: Option<f64>,
    /// Probability of bankruptcy.
    pub probability: f64,
    /// Expected shortfall in USD.
    pub expected: f64,
}

/// The market of the closed forms: forward, volatility, years to the expiry inside the pause.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Market {
    /// Forward.
    pub forward: f64,
    /// Volatility.
    pub vol: f64,
    /// Years.
    pub years: f64,
}

/// Short `q` puts at `strike` against `coins` of collateral: bankrupt below `qK/(B+q)`.
///
/// # Errors
/// Inputs outside their domain.
pub fn short_puts_coin(
    q: f64,
    strike: f64,
    coins: f64,
    m: Market,
) -> Result<ClosedForm, RiskError> {
    let (q, k, b) =
        (positive("quantity", q)?, positive("strike", strike)?, non_negative("collateral", coins)?);
    let at = q * k / (b + q);
    option_shortfall(OptionKind::Put, b + q, at, m)
}

/// Short `q` calls at `strike` against `usd` of collateral: bankrupt above `K + C/q`.
///
/// # Errors
/// Inputs outside their domain.
pub fn short_calls_usd(q: f64, strike: f64, usd: f64, m: Market) -> Result<ClosedForm, RiskError> {
    let (q, k, c) =
        (positive("quantity", q)?, positive("strike", strike)?, non_negative("collateral", usd)?);
    option_shortfall(OptionKind::Call, q, k + c / q, m)
}

/// Short `q` calls at `strike` against `coins`: never bankrupt with a coin per call, otherwise above `qK/(q-B)`.
///
/// # Errors
/// Inputs outside their domain.
pub fn short_calls_coin(
    q: f64,
    strike: f64,
    coins: f64,
    m: Market,
) -> Result<ClosedForm, RiskError> {
    let (q, k, b) =
        (positive("quantity", q)?, positive("strike", strike)?, non_negative("collateral", coins)?);
    if b >= q {
        return Ok(ClosedForm { bankrupt_at: None, probability: 0.0, expected: 0.0 });
    }
    option_shortfall(OptionKind::Call, q - b, q * k / (q - b), m)
}

fn option_shortfall(
    kind: OptionKind,
    quantity: f64,
    at: f64,
    m: Market,
) -> Result<ClosedForm, RiskError> {
    let input =
        BlackInput { forward: m.forward, strike: at, years: m.years, vol: m.vol, rate: 0.0, kind };
    let price = black_price(&input)?.value;
    let sd = input.total_vol();
    let d2 = (crate::pricing::black::log_ratio(m.forward, at) - 0.5 * sd * sd) / sd;
    let probability =
        if sd > 0.0 { cdf(kind.sign() * d2) } else { f64::from(u8::from(input.intrinsic() > 0.0)) };
    Ok(ClosedForm { bankrupt_at: Some(at), probability, expected: quantity * price })
}
