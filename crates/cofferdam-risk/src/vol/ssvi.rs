//! One slice of SSVI: `w = theta/2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2))`, free of butterfly
//! arbitrage whenever `theta phi (1 + |rho|) < 4` and `theta phi^2 (1 + |rho|) <= 4`. The fallback when a raw
//! SVI fit cannot be made arbitrage-free.

use serde::{Deserialize, Serialize};

use super::svi::SviSlice;

/// Keep this far inside the strict inequality.
const STRICT: f64 = 1.0 - 1e-9;

/// A slice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SsviSlice {
    /// At-the-money total variance.
    pub theta: f64,
    /// Skew.
    pub rho: f64,
    /// Curvature.
    pub phi: f64,
}

impl SsviSlice {
    /// The nearest slice that satisfies the sufficient conditions, by lowering `phi`.
    #[must_use]
    pub fn tamed(theta: f64, rho: f64, phi: f64) -> Self {
        let theta = theta.max(1e-12);
        let rho = rho.clamp(-0.999, 0.999);
        let bound = 4.0 / (theta * (1.0 + rho.abs()));
        let phi = phi.min((bound * STRICT).min(libm::sqrt(bound))).max(f64::MIN_POSITIVE);
        Self { theta, rho, phi }
    }

    /// The same curve as a raw SVI slice.
    #[must_use]
    pub fn to_raw(self) -> SviSlice {
        let Self { theta, rho, phi } = self;
        let bar = libm::sqrt(1.0 - rho * rho);
        SviSlice {
            a: 0.5 * theta * (1.0 - rho * rho),
            b: 0.5 * theta * phi,
            rho,
            m: -rho / phi,
            sigma: bar / phi,
        }
    }

    /// Power-law curvature `phi = eta / (theta^gamma (1 + theta)^(1 - gamma))`; a whole surface is free of
    /// static arbitrage for `eta (1 + |rho|) <= 2` and `gamma` in `(0, 1/2]`.
    #[must_use]
    pub fn power_law(theta: f64, rho: f64, eta: f64, gamma: f64) -> Self {
        let eta = eta.min(2.0 / (1.0 + rho.abs()));
        let phi = eta / (libm::pow(theta, gamma) * libm::pow(1.0 + theta, 1.0 - gamma));
        Self::tamed(theta, rho, phi)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_tamed_slice_has_no_butterfly(theta in 1e-4..4.0_f64, rho in -0.99..0.99_f64, phi in 1e-3..1e3_f64) {
            let raw = SsviSlice::tamed(theta, rho, phi).to_raw();
            prop_assert!(raw.validate().is_ok());
            prop_assert!(raw.butterfly(3.0).g_min >= -1e-9, "{raw:?} {:?}", raw.butterfly(3.0));
        }
    }
}
