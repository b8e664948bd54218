//! The tail above a threshold: a generalised Pareto distribution fitted by Grimshaw's method (1993), as
//! SPOT uses it (Siffer, Fouque, Termier and Largouet 2017).
//!
//! Below shape -1/2 maximum likelihood is irregular (Smith 1985) and may have no maximum; the shape is
//! held there.
//!
//! Grimshaw reduces the two-parameter likelihood to one equation, `u(x) v(x) = 1` with
//! `u = mean(1 / (1 + x y))` and `v = 1 + mean(ln(1 + x y))`; each root is a candidate, the exponential
//! (shape zero) another, and the likeliest wins.

use serde::{Deserialize, Serialize};

use super::exact;

/// Points at which each side is searched for a change of sign.
const GRID: u32 = 40;
/// Halvings of an interval around a root.
const HALVINGS: u32 = 60;
/// Nearest to zero that a root is sought; below it the tail is exponential for every purpose.
const NEAREST: f64 = 1e-6;

/// Least shape.
const GAMMA_MIN: f64 = -0.5;

/// A generalised Pareto tail of excesses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// Shape: above zero heavy, zero exponential, below zero bounded.
    #[serde(with = "exact")]
    pub gamma: f64,
    /// Scale, in the unit of the excesses.
    #[serde(with = "exact")]
    pub sigma: f64,
}

impl Tail {
    /// P(excess > y).
    pub fn survival(&self, y: f64) -> f64 {
        if y <= 0.0 {
            return 1.0;
        }
        if self.gamma == 0.0 {
            return libm::exp(-y / self.sigma);
        }
        let base = self.gamma * y / self.sigma;
        if base <= -1.0 { 0.0 } else { libm::exp(-libm::log1p(base) / self.gamma) }
    }

    /// The excess that is exceeded with probability `p` in (0, 1]. May be infinite for a very heavy tail.
    pub fn excess(&self, p: f64) -> f64 {
        let log = -libm::log(p);
        if self.gamma == 0.0 {
            self.sigma * log
        } else {
            self.sigma / self.gamma * libm::expm1(self.gamma * log)
        }
    }

    /// Log-likelihood of excesses.
    pub fn log_likelihood(&self, excesses: &[f64]) -> f64 {
        let one = |y: &f64| match self.gamma {
            0.0 => -libm::log(self.sigma) - y / self.sigma,
            gamma => {
                -libm::log(self.sigma) - (1.0 + 1.0 / gamma) * libm::log1p(gamma * y / self.sigma)
            }
        };
        excesses.iter().map(one).sum()
    }
}

/// Fits excesses, all finite and above zero; `None` if there is none or they are not.
pub fn grimshaw(excesses: &[f64]) -> Option<Tail> {
    if excesses.is_empty() || excesses.iter().any(|it| !it.is_finite() || *it <= 0.0) {
        return None;
    }
    let mean = excesses.iter().sum::<f64>() / excesses.len() as f64;
    if !mean.is_finite() || mean <= 0.0 {
        return None;
    }
    let unit: Vec<f64> = excesses.iter().map(|it| it / mean).collect();
    let (least, most) = unit.iter().fold((f64::MAX, 0.0_f64), |(a, b), y| (a.min(*y), b.max(*y)));
    // Mean log-likelihood at a root is -(ln sigma + gamma + 1).
    let mut best = (-1.0, Tail { gamma: 0.0, sigma: 1.0 });
    let mut consider = |x: f64| {
        let gamma = log_mean(&unit, x);
        let sigma = gamma / x;
        let likelihood = -(libm::log(sigma) + gamma + 1.0);
        if gamma >= GAMMA_MIN - 1e-9 && sigma.is_finite() && sigma > 0.0 && likelihood > best.0 {
            best = (likelihood, Tail { gamma, sigma });
        }
    };
    let edge = 1.0 / most;
    consider(bisect(-edge, 0.0, |x| log_mean(&unit, x) < GAMMA_MIN));
    let share = |i: u32| libm::exp(libm::log(NEAREST) * (1.0 - f64::from(i) / f64::from(GRID)));
    // Towards zero from the left edge, dense at both ends.
    let mut left: Vec<f64> = (0..=GRID).map(|i| -edge * (1.0 - 0.5 * share(i))).collect();
    left.extend((0..GRID).rev().map(|i| -edge * 0.5 * share(i)));
    let top = (2.0 * (1.0 - least) / (least * least)).clamp(1.0, 1e15);
    let log_top = libm::log(top / NEAREST);
    let at = |i: u32| NEAREST * libm::exp(log_top * f64::from(i) / f64::from(GRID));
    let right: Vec<f64> = (0..=GRID).map(at).collect();
    for side in [left, right] {
        let values: Vec<f64> = side.iter().map(|x| score(&unit, *x)).collect();
        for (xs, ws) in side.windows(2).zip(values.windows(2)) {
            if let (&[a, b], &[wa, wb]) = (xs, ws)
                && wa.is_finite()
                && wb.is_finite()
                && (wa < 0.0) != (wb < 0.0)
            {
                consider(bisect(a, b, |x| (score(&unit, x) < 0.0) == (wa < 0.0)));
            }
        }
    }
    let Tail { gamma, sigma } = best.1;
    Some(Tail { gamma, sigma: sigma * mean })
}

fn log_mean(ys: &[f64], x: f64) -> f64 {
    ys.iter().map(|y| libm::log1p(x * y)).sum::<f64>() / ys.len() as f64
}

fn score(ys: &[f64], x: f64) -> f64 {
    let u = ys.iter().map(|y| 1.0 / (1.0 + x * y)).sum::<f64>() / ys.len() as f64;
    u * (1.0 + log_mean(ys, x)) - 1.0
}

/// Where `before` turns from true to false.
fn bisect(mut a: f64, mut b: f64, before: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..HALVINGS {
        let mid = 0.5 * (a + b);
        if mid <= a || mid >= b {
            break;
        }
        if before(mid) { a = mid } else { b = mid }
    }
    0.5 * (a + b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Tail, grimshaw};

    proptest! {
        #[test]
        fn a_quantile_is_exceeded_as_often_as_it_says(
            gamma in -0.5..1.5_f64, sigma in 0.01..100.0_f64, p in 1e-6..1.0_f64,
        ) {
            let tail = Tail { gamma, sigma };
            let there = tail.survival(tail.excess(p));
            prop_assert!((there / p - 1.0).abs() < 1e-6, "{there} for {p}");
        }

        #[test]
        fn no_neighbour_is_likelier_than_the_fit(
            ys in prop::collection::vec(0.001..50.0_f64, 20..120), scale in 0.001..1e6_f64,
        ) {
            let ys: Vec<f64> = ys.iter().map(|it| it * scale).collect();
            let fit = grimshaw(&ys).expect("excesses above zero");
            let best = fit.log_likelihood(&ys);
            for (a, b) in [(1e-3, 0.0), (-1e-3, 0.0), (0.0, 1e-3), (0.0, -1e-3)] {
                let near = Tail { gamma: fit.gamma + a, sigma: fit.sigma * (1.0 + b) };
                let other = near.log_likelihood(&ys);
                // Outside the support the likelihood is no number.
                let beaten = other.is_finite() && other > best + 1e-7;
                prop_assert!(!beaten || fit.gamma < -0.499, "{near:?} beats {fit:?}");
            }
        }
    }

    #[test]
    fn nothing_to_fit_is_no_tail() {
        assert_eq!(grimshaw(&[]), None);
        assert_eq!(grimshaw(&[1.0, 0.0]), None);
        assert_eq!(grimshaw(&[f64::INFINITY]), None);
    }
}
