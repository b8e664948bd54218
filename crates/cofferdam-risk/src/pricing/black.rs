//! Black-76 price, undiscounted and discounted, accurate in relative terms in both tails. The out-of-the-money
//! side is always the one computed; the other follows by parity, so a price is never below intrinsic.

use serde::{Deserialize, Serialize};

use super::normal::{cdf, mills, mills_slope, pdf};
use crate::error::{RiskError, finite, non_negative, positive};

/// Below this total volatility an option is worth its intrinsic value.
pub const MIN_TOTAL_VOL: f64 = 1e-12;
/// Pin risk is flagged when the forward is within this fraction of the strike ...
pub const PIN_DISTANCE: f64 = 0.005;
/// ... and expiry is within this many years (30 minutes of a 365-day year).
pub const PIN_YEARS: f64 = 1_800.0 / 31_536_000.0;
/// Where the direct difference of Mills ratios would lose more than two digits, integrate its slope instead.
const CANCELLATION: f64 = 100.0;

/// Call or put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OptionKind {
    /// Right to buy.
    Call,
    /// Right to sell.
    Put,
}

impl OptionKind {
    /// `+1` for a call, `-1` for a put.
    #[must_use]
    pub fn sign(self) -> f64 {
        match self {
            Self::Call => 1.0,
            Self::Put => -1.0,
        }
    }
}

/// One European option on a forward.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BlackInput {
    /// Forward of the option's expiry, USD per coin.
    pub forward: f64,
    /// Strike, USD per coin.
    pub strike: f64,
    /// Time to expiry in years of 31,536,000 s; zero or less means expired.
    pub years: f64,
    /// Volatility per square-root year, as a fraction.
    pub vol: f64,
    /// Continuously compounded rate; zero on Deribit-like venues.
    pub rate: f64,
    /// Call or put.
    pub kind: OptionKind,
}

impl BlackInput {
    /// Checks the domain: positive forward, strike and volatility not negative, everything finite.
    ///
    /// # Errors
    /// [`RiskError::NotFinite`] or [`RiskError::OutOfDomain`] naming the field.
    pub fn validate(&self) -> Result<(), RiskError> {
        positive("forward", self.forward)?;
        non_negative("strike", self.strike)?;
        non_negative("vol", self.vol)?;
        finite("years", self.years)?;
        finite("rate", self.rate)?;
        finite("rate times years", self.rate * self.years).map(|_| ())
    }

    /// Discount factor to expiry.
    #[must_use]
    pub fn discount(&self) -> f64 {
        if self.rate == 0.0 { 1.0 } else { libm::exp(-self.rate * self.years.max(0.0)) }
    }

    /// Volatility times the square root of time.
    #[must_use]
    pub fn total_vol(&self) -> f64 {
        self.vol * libm::sqrt(self.years.max(0.0))
    }

    /// Undiscounted intrinsic value on the forward.
    #[must_use]
    pub fn intrinsic(&self) -> f64 {
        (self.kind.sign() * (self.forward - self.strike)).max(0.0)
    }

    /// Whether the option has no time value left: expired, no volatility, or a strike of zero.
    #[must_use]
    pub fn is_degenerate(&self) -> bool {
        self.strike == 0.0 || self.total_vol() < MIN_TOTAL_VOL
    }

    /// Whether the forward sits so close to the strike at the end that the payoff is a coin toss.
    #[must_use]
    pub fn pin_risk(&self) -> bool {
        self.strike > 0.0
            && self.years < PIN_YEARS
            && (self.forward / self.strike - 1.0).abs() < PIN_DISTANCE
    }
}

/// A price with what must be shown beside it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// Discounted value in USD per unit.
    pub value: f64,
    /// Undiscounted time value in USD per unit.
    pub time_value: f64,
    /// The time value is positive but below the smallest float; it reads as zero.
    pub underflow: bool,
    /// See [`BlackInput::pin_risk`].
    pub pin_risk: bool,
}

/// Prices one option.
///
/// # Errors
/// See [`BlackInput::validate`]; [`RiskError::Overflow`] when a negative rate discounts out of range, or when the total
/// volatility or the moneyness is.
pub fn black_price(input: &BlackInput) -> Result<Price, RiskError> {
    input.validate()?;
    let time_value = if input.is_degenerate() {
        0.0
    } else {
        otm_value(input.forward, input.strike, input.total_vol())
    };
    // A total volatility or a quotient out of range: no number, not a price of zero.
    if !time_value.is_finite() {
        return Err(RiskError::Overflow { name: "time value" });
    }
    let discount = input.discount();
    let cap = match input.kind {
        OptionKind::Call => input.forward,
        OptionKind::Put => input.strike,
    };
    let value = discount * (input.intrinsic() + time_value).min(cap);
    if !value.is_finite() {
        return Err(RiskError::Overflow { name: "discounted price" });
    }
    let underflow = time_value == 0.0 && !input.is_degenerate();
    Ok(Price { value, time_value, underflow, pin_risk: input.pin_risk() })
}

/// `ln(a / b)` for positive numbers, without the rounding of the quotient when they are close.
pub(crate) fn log_ratio(a: f64, b: f64) -> f64 {
    let gap = a - b;
    // Within a factor of two the difference is exact (Sterbenz).
    if gap.abs() <= 0.5 * b { libm::log1p(gap / b) } else { libm::log(a / b) }
}

/// Undiscounted value of the out-of-the-money option of the pair (of either, at the money), for positive
/// forward and strike and total volatility above [`MIN_TOTAL_VOL`]. A put is the call with both swapped.
pub(crate) fn otm_value(forward: f64, strike: f64, total_vol: f64) -> f64 {
    let (low, high) = if forward <= strike { (forward, strike) } else { (strike, forward) };
    otm_parts(low, high, log_ratio(high, low), total_vol).0
}

/// The same for the call on `low` struck at `high`, `x = ln(high / low) >= 0`, with the density at its `d1`.
pub(crate) fn otm_parts(low: f64, high: f64, x: f64, total_vol: f64) -> (f64, f64) {
    let y = x / total_vol;
    let t = 0.5 * total_vol;
    let (near, far) = (y - t, y + t);
    let density = pdf(near);
    if near <= -1.0 {
        // N(d1) would overflow as a Mills ratio; here nothing cancels.
        return ((low * cdf(-near) - high * cdf(-far)).clamp(0.0, low), density);
    }
    let ratio_gap = if y.max(1.25) < CANCELLATION * 2.0 * t {
        mills(near) - mills(far)
    } else {
        integrated_slope(y, t)
    };
    ((low * density * ratio_gap).clamp(0.0, low), density)
}

/// `R(y - t) - R(y + t)` as the integral of `Q` by three-point Gauss-Legendre; exact to rounding for small `t`.
fn integrated_slope(y: f64, t: f64) -> f64 {
    /// `sqrt(3 / 5)`.
    const NODE: f64 = 0.774_596_669_241_483_4;
    let side = mills_slope(y - NODE * t) + mills_slope(y + NODE * t);
    t * (5.0 * side + 8.0 * mills_slope(y)) / 9.0
}
