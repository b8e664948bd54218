//! Implied volatility from an undiscounted price: safeguarded Householder iteration of fourth order on the logarithm
//! of the out-of-the-money value. Invariant: a price that does not determine a volatility is refused with a status,
//! never guessed.

use serde::{Deserialize, Serialize};

use super::black::{OptionKind, log_ratio, otm_parts};
use super::lanes;

/// Steps before the solver gives up; in practice it needs three.
const MAX_STEPS: usize = 120;
/// A step of fourth order that moves the answer by less than this share of it is the last: the next would move it by
/// the fourth power of that.
const LAST_STEP: f64 = 1e-5;
/// Prices within this many units in the last place of intrinsic count as equal to it.
const INTRINSIC_ULPS: f64 = 4.0;

/// Steps taken before the exact ones: from the first guess two leave an error below a hundred-thousandth.
const APPROACH_STEPS: usize = 2;

/// A price to invert.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IvQuote {
    /// Forward of the expiry.
    pub forward: f64,
    /// Strike.
    pub strike: f64,
    /// Years to expiry.
    pub years: f64,
    /// Undiscounted price in the unit of the forward.
    pub price: f64,
    /// Half the price tick, for the interval; zero for none.
    pub half_tick: f64,
    /// Call or put.
    pub kind: OptionKind,
}

/// What became of the inversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IvStatus {
    /// Solved.
    Ok,
    /// The price is below intrinsic: an arbitrage or a stale quote.
    BelowIntrinsic,
    /// The price equals intrinsic to rounding: any small volatility fits.
    AtIntrinsic,
    /// The price is at or above the largest possible one.
    AboveMax,
    /// An input is NaN, infinite, or outside its domain.
    NonFinite,
    /// No time left.
    Expired,
}

/// A volatility with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Iv {
    /// Volatility of the price, when determined.
    pub mid: Option<f64>,
    /// Volatility at half a tick less; absent when that price determines none.
    pub lo: Option<f64>,
    /// Volatility at half a tick more; absent when that price determines none.
    pub hi: Option<f64>,
    /// Why `mid` is absent, if it is.
    pub status: IvStatus,
}

/// Inverts one price and its tick interval.
#[must_use]
pub fn implied_vol(quote: &IvQuote) -> Iv {
    let solve = |shift: f64| solve_one(&IvQuote { price: quote.price + shift, ..*quote });
    match solve(0.0) {
        Err(status) => Iv { mid: None, lo: None, hi: None, status },
        Ok(mid) if quote.half_tick > 0.0 && quote.half_tick.is_finite() => Iv {
            mid: Some(mid),
            lo: solve(-quote.half_tick).ok(),
            hi: solve(quote.half_tick).ok(),
            status: IvStatus::Ok,
        },
        Ok(mid) => Iv { mid: Some(mid), lo: Some(mid), hi: Some(mid), status: IvStatus::Ok },
    }
}

fn solve_one(q: &IvQuote) -> Result<f64, IvStatus> {
    if ![q.forward, q.strike, q.years, q.price].iter().all(|x| x.is_finite()) {
        return Err(IvStatus::NonFinite);
    }
    if q.forward <= 0.0 || q.strike <= 0.0 {
        return Err(IvStatus::NonFinite);
    }
    if q.years <= 0.0 {
        return Err(IvStatus::Expired);
    }
    let (max, intrinsic) = match q.kind {
        OptionKind::Call => (q.forward, (q.forward - q.strike).max(0.0)),
        OptionKind::Put => (q.strike, (q.strike - q.forward).max(0.0)),
    };
    if q.price >= max {
        return Err(IvStatus::AboveMax);
    }
    let time_value = q.price - intrinsic;
    if time_value <= 0.0 {
        let rounding = INTRINSIC_ULPS * f64::EPSILON * max;
        return Err(if time_value < -rounding {
            IvStatus::BelowIntrinsic
        } else {
            IvStatus::AtIntrinsic
        });
    }
    let (low, high) = (q.forward.min(q.strike), q.forward.max(q.strike));
    if time_value >= low {
        return Err(IvStatus::AboveMax);
    }
    total_vol(low, high, time_value).map(|s| s / libm::sqrt(q.years)).ok_or(IvStatus::NonFinite)
}

/// The total volatility at which the call on `low` struck at `high` is worth `target`, `0 < target < low`.
fn total_vol(low: f64, high: f64, target: f64) -> Option<f64> {
    let x = log_ratio(high, low);
    let ratio = target / low;
    // At the money V = low * s / sqrt(2 pi) to first order; far out ln V ~ -x^2 / (2 s^2).
    let near = 2.506_628_274_631 * ratio;
    let far = x / libm::sqrt(2.0 * (-libm::log(ratio)).max(0.05));
    let mut s = approach(low, high, x, target, near.max(far).clamp(1e-11, 60.0));
    let (mut lo, mut hi) = (0.0_f64, f64::INFINITY);
    for _ in 0..MAX_STEPS {
        let (value, density) = otm_parts(low, high, x, s);
        let gap = if value > 0.0 { libm::log(value / target) } else { f64::NEG_INFINITY };
        if gap == 0.0 {
            return Some(s);
        }
        if gap < 0.0 {
            lo = lo.max(s)
        } else {
            hi = hi.min(s)
        }
        let next = householder(x, s, low * density / value, gap).filter(|n| *n > lo && *n < hi);
        let enough = if next.is_some() { LAST_STEP } else { 2.0 * f64::EPSILON };
        let next = next.unwrap_or_else(|| bisect(lo, hi, s));
        if (next - s).abs() <= enough * s {
            return Some(next);
        }
        s = next;
    }
    // A bracket this tight is the answer to within the conditioning of the price.
    (hi.is_finite() && hi - lo <= 1e-9 * hi).then_some(s)
}

/// A few steps by the arithmetic of the batch kernels, which is quick and good to ten digits; where it does not reach,
/// the start is returned.
fn approach(low: f64, high: f64, x: f64, target: f64, start: f64) -> f64 {
    let mut s = start;
    for _ in 0..APPROACH_STEPS {
        let at = lanes::shared(-x, s, high);
        let value = lanes::value(&at, -x, low, high, 1.0);
        if !lanes::fits(&at, s, low, high) || value <= 0.0 {
            break;
        }
        let next = householder(x, s, low * at.phi / value, libm::log(value / target));
        match next.filter(|n| (0.25 * s..=4.0 * s).contains(n)) {
            Some(next) => s = next,
            None => break,
        }
    }
    s
}

fn bisect(lo: f64, hi: f64, s: f64) -> f64 {
    match (lo > 0.0, hi.is_finite()) {
        (true, true) => libm::sqrt(lo * hi),
        (true, false) => 2.0 * s,
        (false, _) => 0.5 * s,
    }
}

/// Householder's step of fourth order on `ln V(s) - ln target`, from its slope `V' / V` and its value there; Halley's
/// where the former's denominator says that it is too far out. The derivatives follow from vega' = vega d1 d2 / s.
fn householder(x: f64, s: f64, slope: f64, gap: f64) -> Option<f64> {
    if !gap.is_finite() {
        return None;
    }
    let (y2, t2) = ((x / s) * (x / s), 0.25 * s * s);
    let bend = (y2 - t2) / s;
    let second = bend - slope;
    let third = second * (bend - 2.0 * slope) - (3.0 * y2 + t2) / (s * s);
    let newton = -gap / slope;
    let half = 1.0 + 0.5 * second * newton;
    let full = half + (0.5 * second + third * newton / 6.0) * newton;
    let step = if full > 0.2 { half / full } else { 1.0 / half.max(0.25) };
    let next = s + newton * step;
    next.is_finite().then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quote(price: f64, strike: f64) -> IvQuote {
        let kind = OptionKind::Call;
        IvQuote { forward: 100.0, strike, years: 1.0, price, half_tick: 0.005, kind }
    }

    #[test]
    fn prices_that_determine_nothing_are_refused() {
        assert_eq!(implied_vol(&quote(19.0, 80.0)).status, IvStatus::BelowIntrinsic);
        assert_eq!(implied_vol(&quote(20.0, 80.0)).status, IvStatus::AtIntrinsic);
        assert_eq!(implied_vol(&quote(100.0, 80.0)).status, IvStatus::AboveMax);
        assert_eq!(implied_vol(&quote(f64::NAN, 80.0)).status, IvStatus::NonFinite);
        let expired = IvQuote { years: 0.0, ..quote(1.0, 100.0) };
        assert_eq!(implied_vol(&expired).status, IvStatus::Expired);
    }

    #[test]
    fn the_interval_brackets_the_middle_and_opens_at_the_edge() {
        let iv = implied_vol(&quote(8.0, 100.0));
        assert!(iv.lo < iv.mid && iv.mid < iv.hi);
        let edge = implied_vol(&quote(0.004, 180.0));
        assert!(edge.mid.is_some() && edge.lo.is_none());
    }
}
