//! Instruments without an option formula: inverse perpetuals and futures, power perpetuals, and concentrated
//! liquidity positions (Uniswap v3 ranges, Panoptic legs).

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, finite, non_negative, positive};

/// A coin-settled future or perpetual with a USD notional.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InversePerp {
    /// Notional in USD, positive long, negative short.
    pub notional_usd: f64,
    /// Entry price, USD per coin.
    pub entry: f64,
}

/// Profit and deltas of an inverse position at a mark.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InversePnl {
    /// Profit in coins, `n (1/F0 - 1/F1)`.
    pub coin: f64,
    /// Profit in USD at the mark, `n (F1/F0 - 1)`.
    pub usd: f64,
    /// Delta in coins when the book is measured in USD, `n / F0`.
    pub usd_delta: f64,
    /// Net delta in coins when the book is measured in coins, `n / F1`.
    pub coin_delta: f64,
    /// Derivative of the coin profit by the price, `n / F1²`.
    pub coin_slope: f64,
}

impl InversePerp {
    /// Values the position.
    ///
    /// # Errors
    /// A notional that is not finite, or a price that is not positive.
    pub fn mark(&self, mark: f64) -> Result<InversePnl, RiskError> {
        let n = finite("notional", self.notional_usd)?;
        let f0 = positive("entry price", self.entry)?;
        let f1 = positive("mark price", mark)?;
        let move_ = (f1 - f0) / f0;
        let pnl = InversePnl {
            coin: n * move_ / f1,
            usd: n * move_,
            usd_delta: n / f0,
            coin_delta: n / f1,
            coin_slope: n / f1 / f1,
        };
        finite("inverse profit", pnl.coin + pnl.usd + pnl.coin_slope)?;
        Ok(pnl)
    }
}

/// A perpetual paying `c S^p` (Squeeth: `p = 2`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PowerPerp {
    /// Scale `c`, including the normalisation factor and the quantity; negative short.
    pub scale: f64,
    /// Power `p`.
    pub power: f64,
}

impl PowerPerp {
    /// `(value, delta, gamma)` in USD at spot `s`.
    ///
    /// # Errors
    /// A spot that is not positive, or a result out of range.
    pub fn at(&self, s: f64) -> Result<(f64, f64, f64), RiskError> {
        let (c, p, s) =
            (finite("scale", self.scale)?, finite("power", self.power)?, positive("spot", s)?);
        let value = c * libm::pow(s, p);
        let (delta, gamma) = (p * value / s, p * (p - 1.0) * value / s / s);
        finite("power perpetual", value + delta + gamma)?;
        Ok((value, delta, gamma))
    }

    /// Collateral ratio of a short vault: collateral value over debt value. Below one it is insolvent, below
    /// 1.5 a Squeeth vault is liquidatable.
    ///
    /// # Errors
    /// As [`PowerPerp::at`]; a debt of zero.
    pub fn short_collateral_ratio(&self, spot: f64, collateral_usd: f64) -> Result<f64, RiskError> {
        let debt = positive("debt", self.at(spot)?.0.abs())?;
        Ok(non_negative("collateral", collateral_usd)? / debt)
    }
}

/// Liquidity `L` provided between two prices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClmmLeg {
    /// Liquidity, in `sqrt(coin * USD)`; negative for a borrowed (long-gamma) leg.
    pub liquidity: f64,
    /// Lower price of the range.
    pub lower: f64,
    /// Upper price of the range.
    pub upper: f64,
}

/// What a range holds and how it moves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClmmValue {
    /// Coins held; also the delta.
    pub coins: f64,
    /// USD held.
    pub usd: f64,
    /// Value in USD.
    pub value: f64,
    /// d(value)/dP.
    pub delta: f64,
    /// d²(value)/dP², never positive for a provided range.
    pub gamma: f64,
}

impl ClmmLeg {
    /// Values the leg at price `p`. Differences of roots are taken as quotients, so a narrow range keeps its digits.
    ///
    /// # Errors
    /// Prices that are not positive, or an empty range.
    pub fn at(&self, p: f64) -> Result<ClmmValue, RiskError> {
        let l = finite("liquidity", self.liquidity)?;
        let (pa, pb) = (positive("lower price", self.lower)?, positive("upper price", self.upper)?);
        let p = positive("price", p)?;
        if pb <= pa {
            return Err(RiskError::OutOfDomain {
                name: "upper price",
                value: pb,
                domain: "above lower",
            });
        }
        let at = p.clamp(pa, pb);
        let (root, root_a, root_b) = (libm::sqrt(at), libm::sqrt(pa), libm::sqrt(pb));
        let coins = l * (pb - at) / (root_b + root) / (root * root_b);
        let usd = l * (at - pa) / (root + root_a);
        let inside = pa < p && p < pb;
        let gamma = if inside { -l / (2.0 * p * root) } else { 0.0 };
        let value = finite("range value", coins * p + usd)?;
        Ok(ClmmValue { coins, usd, value, delta: coins, gamma })
    }
}
