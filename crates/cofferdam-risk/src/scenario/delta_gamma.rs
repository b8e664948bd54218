//! Delta-gamma profit over a pause, `X = A r + B r^2` with `r ~ N(0, s^2)`: moments, and exact quantiles by the
//! noncentral chi-square law. Cornish-Fisher is kept for comparison; it overstates a pure short-gamma book.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, finite, non_negative, positive};
use crate::numeric::special::shifted_square_quantile;
use crate::pricing::normal::quantile;

/// A book's local Greeks and the law of the move.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DeltaGamma {
    /// USD per unit of return, `delta F`.
    pub linear: f64,
    /// USD per squared return, `gamma F^2 / 2`.
    pub square: f64,
    /// Standard deviation of the return.
    pub sd: f64,
}

/// Moments of the profit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// Mean in USD.
    pub mean: f64,
    /// Standard deviation in USD.
    pub sd: f64,
    /// Skewness.
    pub skew: f64,
    /// Excess kurtosis.
    pub excess_kurtosis: f64,
}

impl DeltaGamma {
    /// From delta in coins, gamma per USD, forward, volatility and hours.
    ///
    /// # Errors
    /// Inputs outside their domain.
    pub fn new(
        delta: f64,
        gamma: f64,
        forward: f64,
        vol: f64,
        hours: f64,
    ) -> Result<Self, RiskError> {
        let f = positive("forward", forward)?;
        let years = non_negative("hours", hours)? / 8_760.0;
        Ok(Self {
            linear: finite("delta", delta)? * f,
            square: 0.5 * finite("gamma", gamma)? * f * f,
            sd: non_negative("vol", vol)? * libm::sqrt(years),
        })
    }

    /// Mean, deviation, skewness, excess kurtosis.
    #[must_use]
    pub fn moments(&self) -> Moments {
        let (a, b, s2) = (self.linear, self.square, self.sd * self.sd);
        let var = a * a * s2 + 2.0 * b * b * s2 * s2;
        let third = 6.0 * a * a * b * s2 * s2 + 8.0 * b * b * b * s2 * s2 * s2;
        let fourth = 48.0 * a * a * b * b * s2 * s2 * s2 + 48.0 * b * b * b * b * s2 * s2 * s2 * s2;
        let sd = libm::sqrt(var);
        let (skew, excess_kurtosis) =
            if var > 0.0 { (third / (var * sd), fourth / (var * var)) } else { (0.0, 0.0) };
        Moments { mean: b * s2, sd, skew, excess_kurtosis }
    }

    /// Exact quantile of the profit.
    ///
    /// # Errors
    /// A level outside `(0, 1)`.
    pub fn quantile(&self, p: f64) -> Result<f64, RiskError> {
        if !(p > 0.0 && p < 1.0) {
            return Err(RiskError::OutOfDomain { name: "level", value: p, domain: "(0, 1)" });
        }
        let (a, b, s) = (self.linear, self.square, self.sd);
        // Without curvature, or where completing the square would lose everything, the law is normal.
        if b == 0.0 || s == 0.0 || (b * s / a).abs() < 1e-9 {
            return Ok(a.abs() * s * quantile(p));
        }
        let shift = a / (2.0 * b * s);
        let level = if b > 0.0 { p } else { 1.0 - p };
        Ok(b * s * s * (shifted_square_quantile(level, shift) - shift * shift))
    }

    /// Cornish-Fisher value at risk, as a positive loss.
    #[must_use]
    pub fn cornish_fisher_var(&self, level: f64) -> f64 {
        let m = self.moments();
        let z = quantile(1.0 - level);
        let (sk, ek) = (m.skew, m.excess_kurtosis);
        let zc = z + (z * z - 1.0) * sk / 6.0 + (z * z * z - 3.0 * z) * ek / 24.0
            - (2.0 * z * z * z - 5.0 * z) * sk * sk / 36.0;
        -(m.mean + m.sd * zc)
    }
}
