//! GARCH(1,1) with Gaussian or Student-t innovations, by maximum likelihood, and the HAR forecast. The
//! recursion starts at the mean squared residual (the convention of the Fiorentini-Calzolari-Panattoni benchmark).

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, finite};
use crate::numeric::least_squares::ols;
use crate::numeric::minimize::nelder_mead;

/// Fewest returns a fit accepts.
pub const MIN_RETURNS: usize = 100;
const LN_2PI: f64 = 1.837_877_066_409_345_3;

/// Law of the innovations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Innovation {
    /// Normal: a benchmark, never for gaps.
    Gaussian,
    /// Student t scaled to unit variance.
    StudentT,
}

/// Parameters of `r = mu + e`, `h = omega + alpha e'^2 + beta h'`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Garch {
    /// Mean return.
    pub mu: f64,
    /// Constant of the variance.
    pub omega: f64,
    /// Reaction.
    pub alpha: f64,
    /// Memory.
    pub beta: f64,
    /// Degrees of freedom, infinite for Gaussian innovations.
    pub nu: f64,
}

/// A fit and the state it ends in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GarchFit {
    /// Estimated parameters.
    pub model: Garch,
    /// Log-likelihood.
    pub llh: f64,
    /// Variance forecast for the next step.
    pub next_variance: f64,
    /// Residuals over conditional standard deviations, oldest first.
    pub standardised: Vec<f64>,
}

impl Garch {
    /// Conditional variances for the returns, plus the next one at the end.
    #[must_use]
    pub fn variances(&self, returns: &[f64]) -> Vec<f64> {
        let e2 = |r: &f64| (r - self.mu) * (r - self.mu);
        let mean = returns.iter().map(e2).sum::<f64>() / returns.len().max(1) as f64;
        let mut h = self.omega + (self.alpha + self.beta) * mean;
        let mut out = Vec::with_capacity(returns.len() + 1);
        for r in returns {
            out.push(h);
            h = self.omega + self.alpha * e2(r) + self.beta * h;
        }
        out.push(h);
        out
    }

    /// Sum of expected variances over the next `steps`, from the next-step variance.
    #[must_use]
    pub fn variance_over(&self, next_variance: f64, steps: usize) -> f64 {
        let persistence = self.alpha + self.beta;
        let mut h = next_variance;
        (0..steps).fold(0.0, |sum, _| {
            let total = sum + h;
            h = self.omega + persistence * h;
            total
        })
    }

    fn log_likelihood(&self, returns: &[f64]) -> f64 {
        let h = self.variances(returns);
        let terms = returns.iter().zip(&h).map(|(r, h)| ((r - self.mu) * (r - self.mu), *h));
        if self.nu.is_finite() {
            let nu = self.nu;
            let front = libm::lgamma(0.5 * (nu + 1.0))
                - libm::lgamma(0.5 * nu)
                - 0.5 * libm::log(core::f64::consts::PI * (nu - 2.0));
            terms
                .map(|(e2, h)| {
                    front
                        - 0.5 * libm::log(h)
                        - 0.5 * (nu + 1.0) * libm::log1p(e2 / (h * (nu - 2.0)))
                })
                .sum()
        } else {
            terms.map(|(e2, h)| -0.5 * (LN_2PI + libm::log(h) + e2 / h)).sum()
        }
    }
}

/// Fits by maximum likelihood.
///
/// # Errors
/// Fewer than [`MIN_RETURNS`], a return that is not finite, or returns without variance.
pub fn fit_garch(returns: &[f64], innovation: Innovation) -> Result<GarchFit, RiskError> {
    let n = returns.len();
    if n < MIN_RETURNS {
        return Err(RiskError::TooFew { name: "garch", got: n, want: MIN_RETURNS });
    }
    returns.iter().try_for_each(|r| finite("return", *r).map(|_| ()))?;
    let mean = returns.iter().sum::<f64>() / n as f64;
    let scale2 = super::estimators::variance(returns);
    if scale2 <= 0.0 {
        return Err(RiskError::OutOfDomain {
            name: "return variance",
            value: scale2,
            domain: "(0, inf)",
        });
    }
    let scale = libm::sqrt(scale2);
    // Work on unit-variance returns; free coordinates keep every parameter inside its bounds.
    let unit: Vec<f64> = returns.iter().map(|r| r / scale).collect();
    let free = innovation == Innovation::StudentT;
    let decode = |x: &[f64]| {
        let persistence = crate::fusion::sigmoid(x[2]);
        let share = crate::fusion::sigmoid(x[3]);
        Garch {
            mu: x[0],
            omega: libm::exp(x[1].clamp(-40.0, 5.0)),
            alpha: persistence * share,
            beta: persistence * (1.0 - share),
            nu: if free { 2.05 + libm::exp(x[4].clamp(-6.0, 6.0)) } else { f64::INFINITY },
        }
    };
    let mut loss = |x: &[f64]| -decode(x).log_likelihood(&unit);
    let mut start = vec![mean / scale, libm::log(0.05), 3.0, -2.0];
    let mut step = vec![0.05, 0.7, 0.7, 0.7];
    if free {
        start.push(1.0);
        step.push(0.7);
    }
    let (x, v) = nelder_mead(&mut loss, &start, &step, 1e-14, 6_000);
    let unit_fit = decode(&x);
    let model = Garch { mu: unit_fit.mu * scale, omega: unit_fit.omega * scale2, ..unit_fit };
    let h = model.variances(returns);
    let standardised =
        returns.iter().zip(&h).map(|(r, h)| (r - model.mu) / libm::sqrt(*h)).collect();
    let llh = -v - n as f64 * libm::log(scale);
    Ok(GarchFit { model, llh, next_variance: h[n], standardised })
}

/// Heterogeneous autoregression of daily realised variance on its last day, week and month (7 and 30 days:
/// these markets have no weekend). Returns `(coefficients, forecast for tomorrow)`.
///
/// # Errors
/// Fewer than 60 days, a variance that is not finite, or a series too regular to regress on.
pub fn har_forecast(daily_variance: &[f64]) -> Result<(Vec<f64>, f64), RiskError> {
    const WEEK: usize = 7;
    const MONTH: usize = 30;
    let n = daily_variance.len();
    if n < 2 * MONTH {
        return Err(RiskError::TooFew { name: "har", got: n, want: 2 * MONTH });
    }
    daily_variance.iter().try_for_each(|v| finite("realised variance", *v).map(|_| ()))?;
    let mean = |to: usize, days: usize| {
        daily_variance[to + 1 - days..=to].iter().sum::<f64>() / days as f64
    };
    let row = |t: usize| vec![1.0, daily_variance[t], mean(t, WEEK), mean(t, MONTH)];
    let rows: Vec<Vec<f64>> = (MONTH - 1..n - 1).map(row).collect();
    let beta = ols(&rows, &daily_variance[MONTH..], &[])?;
    let forecast = row(n - 1).iter().zip(&beta).map(|(x, b)| x * b).sum::<f64>();
    Ok((beta, forecast.max(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn har_recovers_its_own_coefficients() {
        let mut v: Vec<f64> = (0..30).map(|i| 1.0 + 0.1 * f64::from(i % 5)).collect();
        for t in 29..2_000 {
            let m = |d: usize| v[t + 1 - d..=t].iter().sum::<f64>() / d as f64;
            let noise = 0.1 * crate::numeric::random::Philox::new(7).uniform(0, t as u64);
            v.push(0.1 + 0.3 * v[t] + 0.3 * m(7) + 0.2 * m(30) + noise);
        }
        let (beta, forecast) = har_forecast(&v).unwrap();
        assert!((beta[1] - 0.3).abs() < 0.1, "{beta:?}");
        assert!(forecast > 0.0);
        assert!(har_forecast(&[1.0; 100]).is_err());
    }
}
