//! Raw SVI (Gatheral): `w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + s^2))`, total variance against log-moneyness,
//! with its static-arbitrage checks (Gatheral and Jacquier, arXiv 1204.0646).

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, finite};

/// Points of the scan for butterfly arbitrage.
const SCAN_POINTS: usize = 601;

/// One expiry.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SviSlice {
    /// Level.
    pub a: f64,
    /// Wing slope.
    pub b: f64,
    /// Skew, in (-1, 1).
    pub rho: f64,
    /// Centre.
    pub m: f64,
    /// Roundness, above zero.
    pub sigma: f64,
}

/// What the scan for butterfly arbitrage found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Butterfly {
    /// Smallest value of Durrleman's function; negative means a negative density.
    pub g_min: f64,
    /// Where it is reached.
    pub at: f64,
    /// Sign changes of the function, refined, ascending.
    pub roots: Vec<f64>,
}

impl SviSlice {
    /// Checks `b >= 0`, `|rho| < 1`, `sigma > 0`, minimum variance not negative.
    ///
    /// # Errors
    /// The violated constraint.
    pub fn validate(&self) -> Result<(), RiskError> {
        finite("a + m", self.a + self.m)?;
        let refuse = |name, value, domain| Err(RiskError::OutOfDomain { name, value, domain });
        if finite("b", self.b)? < 0.0 {
            return refuse("b", self.b, "[0, inf)");
        }
        if finite("rho", self.rho)?.abs() >= 1.0 {
            return refuse("rho", self.rho, "(-1, 1)");
        }
        if finite("sigma", self.sigma)? <= 0.0 {
            return refuse("sigma", self.sigma, "(0, inf)");
        }
        if self.min_variance() < 0.0 {
            return refuse("minimum variance", self.min_variance(), "[0, inf)");
        }
        Ok(())
    }

    /// Total variance at `k = ln(K/F)`.
    #[must_use]
    pub fn w(&self, k: f64) -> f64 {
        self.derivatives(k).0
    }

    /// `(w, w', w'')`.
    #[must_use]
    pub fn derivatives(&self, k: f64) -> (f64, f64, f64) {
        let y = k - self.m;
        let root = libm::sqrt(y * y + self.sigma * self.sigma);
        (
            self.a + self.b * (self.rho * y + root),
            self.b * (self.rho + y / root),
            self.b * self.sigma * self.sigma / (root * root * root),
        )
    }

    /// Durrleman's function `g`; the density is proportional to it.
    #[must_use]
    pub fn g(&self, k: f64) -> f64 {
        let (w, w1, w2) = self.derivatives(k);
        durrleman(k, w, w1, w2)
    }

    /// Smallest total variance `a + b sigma sqrt(1 - rho^2)`.
    #[must_use]
    pub fn min_variance(&self) -> f64 {
        self.a + self.b * self.sigma * libm::sqrt((1.0 - self.rho * self.rho).max(0.0))
    }

    /// Steeper wing slope `b (1 + |rho|)`; above 2 the wing breaks Lee's moment bound.
    #[must_use]
    pub fn lee(&self) -> f64 {
        self.b * (1.0 + self.rho.abs())
    }

    /// Implied volatility at `k` for an expiry in `years`.
    #[must_use]
    pub fn vol(&self, k: f64, years: f64) -> f64 {
        libm::sqrt(self.w(k).max(0.0) / years)
    }

    /// Scans `[-reach, reach]` for butterfly arbitrage, refining minimum and roots.
    #[must_use]
    pub fn butterfly(&self, reach: f64) -> Butterfly {
        scan_butterfly(reach, |k| self.g(k))
    }
}

/// The places a scan of `[-reach, reach]` looks at.
pub(super) fn scan_points(reach: f64) -> impl Iterator<Item = f64> {
    let step = 2.0 * reach / (SCAN_POINTS as f64 - 1.0);
    (0..SCAN_POINTS).map(move |i| -reach + i as f64 * step)
}

/// Minimum and sign changes of Durrleman's function `g` on `[-reach, reach]`.
pub(super) fn scan_butterfly(reach: f64, g_at: impl Fn(f64) -> f64) -> Butterfly {
    let step = 2.0 * reach / (SCAN_POINTS as f64 - 1.0);
    let at = |i: usize| -reach + i as f64 * step;
    let values: Vec<f64> = (0..SCAN_POINTS).map(|i| g_at(at(i))).collect();
    let low = (0..SCAN_POINTS).min_by(|a, b| values[*a].total_cmp(&values[*b])).unwrap_or(0);
    let (from, to) = (at(low.saturating_sub(1)), at((low + 1).min(SCAN_POINTS - 1)));
    let (k, g) = crate::numeric::minimize::golden_section(&mut |k| g_at(k), from, to, 1e-13);
    let (k, g) = if g <= values[low] { (k, g) } else { (at(low), values[low]) };
    let roots = (1..SCAN_POINTS)
        .filter(|i| (values[i - 1] < 0.0) != (values[*i] < 0.0))
        .map(|i| {
            let falling = values[i] < 0.0;
            crate::numeric::special::bisect(at(i - 1), at(i), |k| (g_at(k) >= 0.0) == falling)
        })
        .collect();
    Butterfly { g_min: g, at: k, roots }
}

/// `g(k) = (1 - k w'/(2w))^2 - w'^2/4 (1/w + 1/4) + w''/2`; negative where `w` is not positive.
#[must_use]
pub fn durrleman(k: f64, w: f64, w1: f64, w2: f64) -> f64 {
    if w <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let head = 1.0 - k * w1 / (2.0 * w);
    head * head - 0.25 * w1 * w1 * (1.0 / w + 0.25) + 0.5 * w2
}
