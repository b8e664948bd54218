//! Incomplete beta and gamma functions, and the laws built on them: Student t, noncentral chi-square with one
//! degree of freedom, Clopper-Pearson limits. All from `libm` primitives.

use crate::pricing::normal::{cdf, quantile};

const MAX_TERMS: usize = 400;
const TINY: f64 = 1e-300;

/// Regularised incomplete beta `I_x(a, b)` by Lentz's continued fraction; NaN outside the domain.
#[must_use]
pub fn beta_inc(a: f64, b: f64, x: f64) -> f64 {
    if !(a > 0.0 && b > 0.0 && (0.0..=1.0).contains(&x)) {
        return f64::NAN;
    }
    if x == 0.0 || x == 1.0 {
        return x;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_inc(b, a, 1.0 - x);
    }
    let front = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b)
        + a * libm::log(x)
        + b * libm::log1p(-x);
    let guard = |v: f64| if v.abs() < TINY { TINY } else { v };
    let (mut c, mut d) = (1.0, 1.0 / guard(1.0 - (a + b) * x / (a + 1.0)));
    let mut h = d;
    for m in 1..MAX_TERMS {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / guard(1.0 + even * d);
        c = guard(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / guard(1.0 + odd * d);
        c = guard(1.0 + odd / c);
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    libm::exp(front) * h / a
}

/// Distribution function of Student's t with `nu` degrees of freedom.
#[must_use]
pub fn student_cdf(t: f64, nu: f64) -> f64 {
    let tail = 0.5 * beta_inc(0.5 * nu, 0.5, nu / (nu + t * t));
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// Quantile of Student's t, by bisection.
#[must_use]
pub fn student_quantile(p: f64, nu: f64) -> f64 {
    if p > 0.5 {
        return -student_quantile(1.0 - p, nu);
    }
    let mut low = -1.0;
    while student_cdf(low, nu) > p && low > -1e15 {
        low *= 2.0;
    }
    bisect(low, 0.0, |t| student_cdf(t, nu) < p)
}

/// Quantile of `(Z + delta)^2`, Z standard normal: a noncentral chi-square with one degree of freedom.
#[must_use]
pub fn shifted_square_quantile(p: f64, delta: f64) -> f64 {
    let delta = delta.abs();
    if delta == 0.0 {
        let z = quantile(0.5 + 0.5 * p);
        return z * z;
    }
    let high = delta + 12.0 + quantile(p.max(0.5)).abs();
    let root = bisect(0.0, high, |r| cdf(r - delta) - cdf(-r - delta) < p);
    root * root
}

/// One-sided 95 % Clopper-Pearson limits of a proportion: `(lower, upper)`.
#[must_use]
pub fn clopper_pearson(successes: u64, trials: u64) -> (f64, f64) {
    const ALPHA: f64 = 0.05;
    let (k, n) = (successes.min(trials) as f64, trials as f64);
    if trials == 0 {
        return (0.0, 1.0);
    }
    let low =
        if k == 0.0 { 0.0 } else { bisect(0.0, 1.0, |x| beta_inc(k, n - k + 1.0, x) < ALPHA) };
    let high =
        if k == n { 1.0 } else { bisect(0.0, 1.0, |x| beta_inc(k + 1.0, n - k, x) < 1.0 - ALPHA) };
    (low, high)
}

/// The point where `below` turns from true to false.
pub(crate) fn bisect(mut low: f64, mut high: f64, below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..200 {
        let mid = 0.5 * (low + high);
        if mid <= low || mid >= high {
            break;
        }
        if below(mid) { low = mid } else { high = mid }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn textbook_quantiles_hold() {
        assert!((student_quantile(0.975, 5.0) - 2.570_581_835_636_314).abs() < 1e-10);
        assert!((student_quantile(0.001, 3.0) + 10.214_531_852_407_39).abs() < 1e-7);
        assert!((shifted_square_quantile(0.95, 0.0) - 3.841_458_820_694_124).abs() < 1e-10);
        assert!((beta_inc(2.0, 3.0, 0.4) - 0.5248).abs() < 1e-12);
    }

    #[test]
    fn no_event_in_n_trials_gives_the_rule_of_three() {
        let (low, high) = clopper_pearson(0, 10_000);
        assert_eq!(low, 0.0);
        assert!((high * 10_000.0 - 2.9957).abs() < 1e-3);
        assert_eq!(clopper_pearson(10, 10).1, 1.0);
    }
}
