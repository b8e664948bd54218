//! Settlement on a time-weighted average: inside the window an option is on a partly fixed price, before it
//! on an average still to come. First order in the window's length; check a material book by simulation.

use serde::{Deserialize, Serialize};

use super::black::BlackInput;
use crate::error::{RiskError, finite, non_negative, positive};

/// Deribit and Derive average the index over 30 minutes, in years of 365 days.
pub const THIRTY_MINUTES: f64 = 1_800.0 / 31_536_000.0;

/// A settlement window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SettlementWindow {
    /// Length in years.
    pub length: f64,
    /// Average of the index over the part already elapsed; ignored before the window.
    pub running_average: f64,
}

/// What to price instead of the plain forward.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WindowedForward {
    /// Forward of the final average.
    pub forward: f64,
    /// Total variance left.
    pub variance: f64,
    /// Factor on delta: the share of the average still open.
    pub delta_factor: f64,
    /// Share of the window elapsed.
    pub elapsed: f64,
}

impl SettlementWindow {
    /// Effective forward and variance at `years` before the end of the window.
    ///
    /// Inside, with share `w` elapsed: `F_w = (1-w) F + w A`, log-variance `sigma² (1-w)² tau / 3`. Before:
    /// `sigma² (T - 2W/3)`.
    ///
    /// # Errors
    /// Prices, volatility or times outside their domain.
    pub fn effective(
        &self,
        forward: f64,
        vol: f64,
        years: f64,
    ) -> Result<WindowedForward, RiskError> {
        let (f, vol) = (positive("forward", forward)?, non_negative("vol", vol)?);
        let (length, years) = (positive("window", self.length)?, non_negative("years", years)?);
        if years >= length {
            let variance = finite("variance", vol * vol * (years - length / 1.5))?;
            return Ok(WindowedForward { forward: f, variance, delta_factor: 1.0, elapsed: 0.0 });
        }
        let average = positive("running average", self.running_average)?;
        let elapsed = 1.0 - years / length;
        let open = 1.0 - elapsed;
        let forward = open * f + elapsed * average;
        let variance = finite("variance", vol * vol * open * open * years / 3.0)?;
        Ok(WindowedForward { forward, variance, delta_factor: open, elapsed })
    }

    /// The option to price: same payoff, effective forward, the volatility that gives the effective variance.
    ///
    /// # Errors
    /// As [`SettlementWindow::effective`].
    pub fn adjust(&self, input: &BlackInput) -> Result<(BlackInput, WindowedForward), RiskError> {
        let years = input.years.max(0.0);
        let eff = self.effective(input.forward, input.vol, years)?;
        let vol = if years > 0.0 { libm::sqrt(eff.variance / years) } else { 0.0 };
        Ok((BlackInput { forward: eff.forward, vol, ..*input }, eff))
    }
}

/// Deribit's displayed net delta inside the window: `(delta - mark) (1 - w)`.
#[must_use]
pub fn decayed_net_delta(delta: f64, mark_coin: f64, elapsed: f64) -> f64 {
    (delta - mark_coin) * (1.0 - elapsed.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variance_is_continuous_at_the_start_of_the_window_and_gone_at_its_end() {
        let w = SettlementWindow { length: THIRTY_MINUTES, running_average: 100.0 };
        let before = w.effective(100.0, 0.8, THIRTY_MINUTES).unwrap();
        let inside = w.effective(100.0, 0.8, THIRTY_MINUTES * (1.0 - 1e-12)).unwrap();
        assert!((before.variance / inside.variance - 1.0).abs() < 1e-9);
        let end = w.effective(120.0, 0.8, 0.0).unwrap();
        assert_eq!((end.forward, end.variance, end.delta_factor), (100.0, 0.0, 0.0));
    }
}
