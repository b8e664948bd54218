//! Average run length of a CUSUM on normal observations, from its Fredholm equation
//! `L(u) = 1 + L(0) N(k - u - mu) + int_0^h L(x) phi(x + k - u - mu) dx` on Gauss-Legendre nodes.

use crate::error::{RiskError, finite, positive};
use crate::numeric::least_squares::eliminate;
use crate::numeric::quadrature::gauss_legendre;
use crate::pricing::normal::{cdf, pdf};

/// Nodes of the discretisation; 1e-9 relative for thresholds up to about 20.
const NODES: usize = 96;

/// Run length of the one-sided scheme from zero, at reference `k`, threshold `h` and mean `mu` of the observations.
///
/// # Errors
/// A threshold that is not positive, inputs that are not finite, or a system without solution.
pub fn cusum_arl(k: f64, h: f64, mu: f64) -> Result<f64, RiskError> {
    let (k, h, mu) = (finite("reference", k)?, positive("threshold", h)?, finite("mean", mu)?);
    let rule = gauss_legendre(NODES, 0.0, h)?;
    // Unknowns: L at 0 and at every node.
    let points: Vec<f64> = core::iter::once(0.0).chain(rule.iter().map(|q| q.x)).collect();
    let n = points.len();
    let mut system: Vec<Vec<f64>> = Vec::with_capacity(n);
    for (i, u) in points.iter().enumerate() {
        let mut row = vec![0.0; n + 1];
        row[i] = 1.0;
        row[0] -= cdf(k - u - mu);
        for (j, q) in rule.iter().enumerate() {
            row[j + 1] -= q.w * pdf(q.x + k - u - mu);
        }
        row[n] = 1.0;
        system.push(row);
    }
    let solution = eliminate(system)?;
    positive("average run length", solution[0])
}

/// Run length of two one-sided schemes run side by side: `1/L = 1/L+ + 1/L-`.
///
/// # Errors
/// As [`cusum_arl`].
pub fn cusum_arl_two_sided(k: f64, h: f64, mu: f64) -> Result<f64, RiskError> {
    let (up, down) = (cusum_arl(k, h, mu)?, cusum_arl(k, h, -mu)?);
    Ok(1.0 / (1.0 / up + 1.0 / down))
}

/// Threshold whose in-control run length is `arl0`.
///
/// # Errors
/// As [`cusum_arl`]; a run length below two or above `1e9`.
pub fn cusum_threshold(k: f64, arl0: f64) -> Result<f64, RiskError> {
    if !(2.0..=1e9).contains(&finite("run length", arl0)?) {
        return Err(RiskError::OutOfDomain { name: "run length", value: arl0, domain: "[2, 1e9]" });
    }
    let mut high = 1.0;
    while cusum_arl(k, high, 0.0)? < arl0 {
        high *= 1.5;
        if high > 100.0 {
            return Err(RiskError::NoConvergence { name: "cusum threshold", iterations: 12 });
        }
    }
    let mut low = 1e-6;
    // Forty-four halvings resolve the threshold to 1e-12; each costs one small solve.
    for _ in 0..44 {
        let mid = 0.5 * (low + high);
        if cusum_arl(k, mid, 0.0)? < arl0 { low = mid } else { high = mid }
    }
    Ok(0.5 * (low + high))
}
