//! Merton's jump diffusion (1976): prices as a Poisson mixture of Black prices, and the law of the log return
//! over a pause.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, finite, non_negative, positive, probability};
use crate::numeric::special::bisect;
use crate::pricing::OptionKind;
use crate::pricing::black::{MIN_TOTAL_VOL, otm_value};
use crate::pricing::normal::cdf;

/// Most jumps considered.
const MAX_JUMPS: usize = 1_000;
/// Stop once the remaining Poisson weight cannot matter.
const NEGLIGIBLE: f64 = 1e-18;

/// Diffusion and jumps, per year.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MertonJumps {
    /// Diffusion volatility.
    pub sigma: f64,
    /// Jumps per year.
    pub intensity: f64,
    /// Mean log jump.
    pub jump_mean: f64,
    /// Standard deviation of the log jump.
    pub jump_sd: f64,
}

impl MertonJumps {
    fn validate(&self) -> Result<(), RiskError> {
        non_negative("sigma", self.sigma)?;
        non_negative("jump intensity", self.intensity)?;
        finite("jump mean", self.jump_mean)?;
        non_negative("jump deviation", self.jump_sd).map(|_| ())
    }

    /// `(weight, n)` of the Poisson mixture over `years`, until the rest is negligible.
    fn mixture(&self, years: f64) -> Result<Vec<(f64, f64)>, RiskError> {
        let mean = self.intensity * years;
        let mut out = Vec::new();
        for n in 0..MAX_JUMPS {
            let k = n as f64;
            let log = if mean == 0.0 {
                if n == 0 { 0.0 } else { f64::NEG_INFINITY }
            } else {
                k * libm::log(mean) - mean - libm::lgamma(k + 1.0)
            };
            let weight = libm::exp(log);
            if weight > 0.0 {
                out.push((weight, k));
            }
            if k > mean && weight < NEGLIGIBLE {
                return Ok(out);
            }
        }
        Err(RiskError::NoConvergence { name: "jump series", iterations: MAX_JUMPS })
    }

    /// Undiscounted option price on a forward.
    ///
    /// # Errors
    /// Inputs outside their domain, or more than a thousand expected jumps.
    pub fn price(
        &self,
        forward: f64,
        strike: f64,
        years: f64,
        kind: OptionKind,
    ) -> Result<f64, RiskError> {
        self.validate()?;
        let (f, k) = (positive("forward", forward)?, positive("strike", strike)?);
        let years = positive("years", years)?;
        let log_mean = self.jump_mean + 0.5 * self.jump_sd * self.jump_sd;
        let compensator = libm::expm1(log_mean);
        let mut total = 0.0;
        for (weight, n) in self.mixture(years)? {
            let total_vol =
                libm::sqrt(self.sigma * self.sigma * years + n * self.jump_sd * self.jump_sd);
            let fwd = f * libm::exp(n * log_mean - self.intensity * compensator * years);
            let intrinsic = (kind.sign() * (fwd - k)).max(0.0);
            let time = if total_vol < MIN_TOTAL_VOL { 0.0 } else { otm_value(fwd, k, total_vol) };
            total += weight * (intrinsic + time);
        }
        finite("jump price", total)
    }

    /// Probability that the log return over `years` is below `x`, with no drift.
    ///
    /// # Errors
    /// As [`MertonJumps::price`].
    pub fn return_cdf(&self, x: f64, years: f64) -> Result<f64, RiskError> {
        self.validate()?;
        let (x, years) = (finite("return", x)?, positive("years", years)?);
        Ok(self.cdf_of(&self.mixture(years)?, x, years))
    }

    fn cdf_of(&self, mixture: &[(f64, f64)], x: f64, years: f64) -> f64 {
        mixture
            .iter()
            .map(|(weight, n)| {
                let var = self.sigma * self.sigma * years + n * self.jump_sd * self.jump_sd;
                weight * cdf((x - n * self.jump_mean) / libm::sqrt(var.max(1e-300)))
            })
            .sum()
    }

    /// Quantile of the log return over `years`.
    ///
    /// # Errors
    /// As [`MertonJumps::price`]; a level that is not strictly between 0 and 1.
    pub fn return_quantile(&self, level: f64, years: f64) -> Result<f64, RiskError> {
        self.validate()?;
        let years = positive("years", years)?;
        if !(0.0 < probability("level", level)? && level < 1.0) {
            return Err(RiskError::OutOfDomain { name: "level", value: level, domain: "(0, 1)" });
        }
        let mixture = self.mixture(years)?;
        let widest = mixture.last().map_or(0.0, |m| m.1);
        let reach = widest * (self.jump_mean.abs() + 12.0 * self.jump_sd)
            + 40.0 * self.sigma * libm::sqrt(years)
            + 1e-9;
        Ok(bisect(-reach, reach, |x| self.cdf_of(&mixture, x, years) < level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_illustrative_gap_table_holds() {
        let m = MertonJumps { sigma: 0.55, intensity: 12.0, jump_mean: -0.03, jump_sd: 0.06 };
        for (hours, want) in [(1.0, -0.021), (6.0, -0.102), (24.0, -0.156), (72.0, -0.218)] {
            let q = m.return_quantile(0.001, hours / 8_760.0).unwrap();
            assert!((q - want).abs() < 2e-3, "{hours} h: {q}");
        }
    }
}
