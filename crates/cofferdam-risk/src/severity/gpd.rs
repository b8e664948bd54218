//! The generalised Pareto law of excesses over a threshold, fitted by Grimshaw's one-dimensional profile
//! likelihood. Invariant: a fit is only returned with a positive scale and finite standard errors.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, finite};
use crate::numeric::minimize::golden_section;

/// Fewest excesses a fit accepts.
pub const MIN_EXCESSES: usize = 10;
/// Shapes this close to zero are treated as exponential.
const EXPONENTIAL: f64 = 1e-9;

/// Scale and shape.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gpd {
    /// Shape; the mean is infinite from 1 on.
    pub xi: f64,
    /// Scale.
    pub beta: f64,
}

/// A fit by maximum likelihood.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GpdFit {
    /// The law.
    pub gpd: Gpd,
    /// Negative log-likelihood.
    pub nll: f64,
    /// Standard error of the shape, from the observed information.
    pub se_xi: f64,
    /// Standard error of the scale.
    pub se_beta: f64,
    /// Excesses used.
    pub n: usize,
}

impl Gpd {
    /// `P(Y > y)` for an excess.
    #[must_use]
    pub fn survival(&self, y: f64) -> f64 {
        if y <= 0.0 {
            return 1.0;
        }
        if self.xi.abs() < EXPONENTIAL {
            return libm::exp(-y / self.beta);
        }
        let inner = 1.0 + self.xi * y / self.beta;
        if inner <= 0.0 { 0.0 } else { libm::exp(-libm::log(inner) / self.xi) }
    }

    /// Excess exceeded with probability `1 - p`.
    #[must_use]
    pub fn quantile(&self, p: f64) -> f64 {
        let log = libm::log1p(-p.clamp(0.0, 1.0 - f64::EPSILON));
        if self.xi.abs() < EXPONENTIAL {
            return -self.beta * log;
        }
        self.beta * libm::expm1(-self.xi * log) / self.xi
    }

    /// `E min(Y, cap)`, finite for every shape.
    #[must_use]
    pub fn capped_mean(&self, cap: f64) -> f64 {
        if cap <= 0.0 {
            return 0.0;
        }
        let (xi, beta) = (self.xi, self.beta);
        if xi.abs() < EXPONENTIAL {
            return -beta * libm::expm1(-cap / beta);
        }
        let end = if xi < 0.0 { cap.min(-beta / xi) } else { cap };
        let log = libm::log((1.0 + xi * end / beta).max(f64::MIN_POSITIVE));
        if (xi - 1.0).abs() < EXPONENTIAL {
            return beta * log;
        }
        // Integral of the survival function.
        beta / (xi - 1.0) * libm::expm1((1.0 - 1.0 / xi) * log)
    }

    /// Fits excesses (all above zero).
    ///
    /// # Errors
    /// Fewer than [`MIN_EXCESSES`], values that are not finite and positive, or a likelihood without an interior maximum.
    pub fn fit(excesses: &[f64]) -> Result<GpdFit, RiskError> {
        let n = excesses.len();
        if n < MIN_EXCESSES {
            return Err(RiskError::TooFew { name: "gpd", got: n, want: MIN_EXCESSES });
        }
        let (mut max, mut sum) = (0.0_f64, 0.0);
        for y in excesses {
            if finite("excess", *y)? <= 0.0 {
                return Err(RiskError::OutOfDomain {
                    name: "excess",
                    value: *y,
                    domain: "(0, inf)",
                });
            }
            max = max.max(*y);
            sum += y;
        }
        let mean = sum / n as f64;
        // Profile in theta = xi / beta over (-1/max, inf), mapped to one line.
        let theta_of = |z: f64| (libm::exp(z) - 1.0 + 1e-9) / max;
        let mut profile = |z: f64| profile_nll(excesses, theta_of(z), mean);
        let (from, to) = (libm::log(2e-9), libm::log(1e7 * max / mean + 2.0));
        let grid = 400;
        let at = |i: usize| from + (to - from) * i as f64 / grid as f64;
        let best =
            (0..=grid).min_by(|a, b| profile(at(*a)).total_cmp(&profile(at(*b)))).unwrap_or(0);
        if best == 0 || best == grid {
            return Err(RiskError::NoConvergence { name: "gpd likelihood", iterations: grid });
        }
        let (z, _) = golden_section(&mut profile, at(best - 1), at(best + 1), 1e-9);
        let theta = polish(excesses, theta_of(z));
        let gpd = from_theta(excesses, theta, mean);
        let (se_xi, se_beta) = standard_errors(excesses, &gpd)?;
        Ok(GpdFit { gpd, nll: profile_nll(excesses, theta, mean), se_xi, se_beta, n })
    }
}

fn shape(excesses: &[f64], theta: f64) -> f64 {
    excesses.iter().map(|y| libm::log1p(theta * y)).sum::<f64>() / excesses.len() as f64
}

fn from_theta(excesses: &[f64], theta: f64, mean: f64) -> Gpd {
    let xi = shape(excesses, theta);
    if xi.abs() < EXPONENTIAL { Gpd { xi: 0.0, beta: mean } } else { Gpd { xi, beta: xi / theta } }
}

fn profile_nll(excesses: &[f64], theta: f64, mean: f64) -> f64 {
    let n = excesses.len() as f64;
    let gpd = from_theta(excesses, theta, mean);
    if gpd.beta.is_nan() || gpd.beta <= 0.0 {
        return f64::INFINITY;
    }
    n * (libm::log(gpd.beta) + gpd.xi + 1.0)
}

/// Newton on the profile score, whose root golden section cannot resolve past half the digits.
fn polish(excesses: &[f64], start: f64) -> f64 {
    let n = excesses.len() as f64;
    let score = |theta: f64| {
        let xi = shape(excesses, theta);
        let slope = excesses.iter().map(|y| y / (1.0 + theta * y)).sum::<f64>() / n;
        // d/dtheta of ln(xi / theta) + xi.
        slope / xi - 1.0 / theta + slope
    };
    let mut theta = start;
    for _ in 0..30 {
        let h = 1e-6 * theta;
        let derivative = (score(theta + h) - score(theta - h)) / (2.0 * h);
        let step = score(theta) / derivative;
        if !step.is_finite() || step.abs() > 0.5 * theta.abs() {
            return start;
        }
        theta -= step;
        if step.abs() < 1e-14 * theta.abs() {
            break;
        }
    }
    theta
}

/// Inverse of the observed information.
fn standard_errors(excesses: &[f64], gpd: &Gpd) -> Result<(f64, f64), RiskError> {
    let Gpd { xi, beta } = *gpd;
    let nll = |xi: f64, beta: f64| -> f64 {
        let per = |y: &f64| (1.0 + 1.0 / xi) * libm::log1p(xi * y / beta);
        excesses.len() as f64 * libm::log(beta) + excesses.iter().map(per).sum::<f64>()
    };
    if xi.abs() < EXPONENTIAL {
        let root = libm::sqrt(excesses.len() as f64);
        return Ok((1.0 / root, beta / root));
    }
    let (hx, hb) = (1e-4 * xi.abs().max(0.01), 1e-4 * beta);
    let mid = nll(xi, beta);
    let xx = (nll(xi + hx, beta) - 2.0 * mid + nll(xi - hx, beta)) / (hx * hx);
    let bb = (nll(xi, beta + hb) - 2.0 * mid + nll(xi, beta - hb)) / (hb * hb);
    let xb = (nll(xi + hx, beta + hb) - nll(xi + hx, beta - hb) - nll(xi - hx, beta + hb)
        + nll(xi - hx, beta - hb))
        / (4.0 * hx * hb);
    let det = xx * bb - xb * xb;
    if det.is_nan() || det <= 0.0 {
        return Err(RiskError::NoConvergence { name: "gpd information", iterations: 1 });
    }
    Ok((libm::sqrt(bb / det), libm::sqrt(xx / det)))
}
