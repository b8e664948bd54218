//! The smile of one expiry, whichever way it was found.

use serde::{Deserialize, Serialize};

use super::cubic::MonotoneCubic;
use super::svi::{Butterfly, SviSlice, durrleman, scan_butterfly, scan_points};

/// A smile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SmileCurve {
    /// Raw SVI; an SSVI slice is one too.
    Svi(SviSlice),
    /// Through the quotes, with nothing that keeps it free of arbitrage.
    Cubic(MonotoneCubic),
}

impl SmileCurve {
    /// `(w, w', w'')` at `k = ln(K/F)`.
    #[must_use]
    pub fn derivatives(&self, k: f64) -> (f64, f64, f64) {
        match self {
            Self::Svi(s) => s.derivatives(k),
            Self::Cubic(c) => c.derivatives(k),
        }
    }

    /// Total variance at `k`.
    #[must_use]
    pub fn w(&self, k: f64) -> f64 {
        self.derivatives(k).0
    }

    /// Implied volatility at `k` for an expiry in `years`.
    #[must_use]
    pub fn vol(&self, k: f64, years: f64) -> f64 {
        libm::sqrt(self.w(k).max(0.0) / years)
    }

    /// The parameters, if it is SVI.
    #[must_use]
    pub fn svi(&self) -> Option<&SviSlice> {
        match self {
            Self::Svi(s) => Some(s),
            Self::Cubic(_) => None,
        }
    }

    /// Steeper wing slope; above 2 the wing breaks Lee's moment bound.
    #[must_use]
    pub fn lee(&self) -> f64 {
        // A cubic is flat beyond its knots.
        self.svi().map_or(0.0, SviSlice::lee)
    }

    /// Scans `[-reach, reach]` for butterfly arbitrage, refining minimum and roots.
    #[must_use]
    pub fn butterfly(&self, reach: f64) -> Butterfly {
        scan_butterfly(reach, |k| {
            let (w, w1, w2) = self.derivatives(k);
            durrleman(k, w, w1, w2)
        })
    }

    /// Largest `w(k, earlier) - w(k, self)` over the scan: above zero is calendar arbitrage.
    #[must_use]
    pub fn calendar_violation(&self, earlier: &Self, reach: f64) -> f64 {
        scan_points(reach).map(|k| earlier.w(k) - self.w(k)).fold(f64::NEG_INFINITY, f64::max)
    }
}
