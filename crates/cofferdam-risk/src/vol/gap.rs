//! The gap engine: how far the price can run while a pause freezes trading. Filtered historical simulation with
//! a generalised-Pareto tail, beside Merton jumps and GARCH-t; the report is the worst of the three, because a
//! pause is priced for the day the mild model was wrong.

use serde::{Deserialize, Serialize};

use super::garch::Garch;
use super::jumps::MertonJumps;
use crate::error::{RiskError, finite, non_negative, positive, probability};
use crate::numeric::random::Philox;
use crate::numeric::special::student_quantile;
use crate::severity::gpd::Gpd;

/// Fewest standardised returns worth resampling.
pub const MIN_HISTORY: usize = 250;
/// Share of the losses that is resampled as observed; beyond it the fitted tail takes over.
pub const SPLICE_LEVEL: f64 = 0.975;
/// Most simulated paths.
pub const MAX_PATHS: usize = 1_000_000;

/// Filtered historical simulation: past shocks at today's volatility.
#[derive(Debug, Clone, PartialEq)]
pub struct FilteredHistory {
    /// Standardised returns, ascending.
    sorted: Vec<f64>,
    /// Threshold and tail of the losses.
    tail: Option<(f64, Gpd)>,
}

/// Quantiles of the log return over a pause.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GapReport {
    /// Level of the loss, such as 0.999.
    pub level: f64,
    /// Filtered history, as a positive loss.
    pub filtered_history: f64,
    /// Merton jumps.
    pub merton: f64,
    /// GARCH with t innovations; absent without finite degrees of freedom above two.
    pub garch_t: Option<f64>,
    /// The largest of them.
    pub worst: f64,
}

impl FilteredHistory {
    /// Takes returns already divided by their conditional volatility.
    ///
    /// # Errors
    /// Fewer than [`MIN_HISTORY`], or one that is not finite.
    pub fn new(standardised: &[f64]) -> Result<Self, RiskError> {
        if standardised.len() < MIN_HISTORY {
            return Err(RiskError::TooFew {
                name: "filtered history",
                got: standardised.len(),
                want: MIN_HISTORY,
            });
        }
        standardised.iter().try_for_each(|r| finite("standardised return", *r).map(|_| ()))?;
        let mut sorted = standardised.to_vec();
        sorted.sort_by(f64::total_cmp);
        let cut = (((1.0 - SPLICE_LEVEL) * sorted.len() as f64) as usize).max(1);
        let threshold = -sorted[cut];
        let excess: Vec<f64> =
            sorted[..cut].iter().map(|r| -r - threshold).filter(|y| *y > 0.0).collect();
        // Too few or degenerate exceedances leave the tail as observed.
        let tail = Gpd::fit(&excess).ok().map(|fit| (threshold, fit.gpd));
        Ok(Self { sorted, tail })
    }

    /// One standardised shock for a uniform number.
    #[must_use]
    pub fn shock(&self, u: f64) -> f64 {
        let below = 1.0 - SPLICE_LEVEL;
        if u < below
            && let Some((threshold, gpd)) = &self.tail
        {
            return -(threshold + gpd.quantile(1.0 - u / below));
        }
        let at = (u * self.sorted.len() as f64) as usize;
        self.sorted[at.min(self.sorted.len() - 1)]
    }

    /// Simulated log returns over `steps` at per-step volatilities that start at `vol` (EWMA with `lambda`),
    /// ascending.
    ///
    /// # Errors
    /// A volatility or lambda out of range, no steps, or more than [`MAX_PATHS`].
    pub fn simulate(
        &self,
        vol: f64,
        lambda: f64,
        steps: usize,
        paths: usize,
        rng: Philox,
    ) -> Result<Vec<f64>, RiskError> {
        let (vol, lambda) = (non_negative("volatility", vol)?, probability("ewma lambda", lambda)?);
        if steps == 0 || paths == 0 || paths > MAX_PATHS {
            return Err(RiskError::OutOfDomain {
                name: "paths",
                value: paths as f64,
                domain: "1..=1000000",
            });
        }
        let mut out: Vec<f64> = (0..paths)
            .map(|path| {
                let (mut sum, mut variance) = (0.0, vol * vol);
                for step in 0..steps {
                    let r =
                        libm::sqrt(variance) * self.shock(rng.uniform(path as u64, step as u64));
                    sum += r;
                    variance = lambda * variance + (1.0 - lambda) * r * r;
                }
                sum
            })
            .collect();
        out.sort_by(f64::total_cmp);
        Ok(out)
    }
}

/// What the three models need for one horizon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GapInput {
    /// Level of the loss, such as 0.999.
    pub level: f64,
    /// Horizon in years.
    pub years: f64,
    /// Horizon in steps of the history.
    pub steps: usize,
    /// Volatility per step now.
    pub step_vol: f64,
    /// EWMA memory for the filtered history.
    pub lambda: f64,
    /// Simulated paths.
    pub paths: usize,
}

/// Runs all three models.
///
/// # Errors
/// Inputs out of range for any model.
pub fn gap_report(
    input: &GapInput,
    history: &FilteredHistory,
    jumps: &MertonJumps,
    garch: (&Garch, f64),
    rng: Philox,
) -> Result<GapReport, RiskError> {
    let level = probability("level", input.level)?;
    positive("years", input.years)?;
    let paths = history.simulate(input.step_vol, input.lambda, input.steps, input.paths, rng)?;
    let at = ((1.0 - level) * paths.len() as f64) as usize;
    let filtered_history = (-paths[at.min(paths.len() - 1)]).max(0.0);
    let merton = (-jumps.return_quantile(1.0 - level, input.years)?).max(0.0);
    let (model, next_variance) = garch;
    let garch_t = (model.nu.is_finite() && model.nu > 2.0).then(|| {
        let sd = libm::sqrt(model.variance_over(next_variance, input.steps));
        let unit = libm::sqrt((model.nu - 2.0) / model.nu);
        -student_quantile(1.0 - level, model.nu) * unit * sd
    });
    let worst = filtered_history.max(merton).max(garch_t.unwrap_or(0.0));
    Ok(GapReport { level, filtered_history, merton, garch_t, worst })
}
