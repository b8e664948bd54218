//! The normal law: density, distribution, Mills ratio, quantile. Tails are computed as density times Mills
//! ratio, so they keep full relative precision down to the smallest float.

use super::mills_table::{PIECES, TABLE, TERMS};

/// `1 / sqrt(2 pi)`.
pub const INV_SQRT_2PI: f64 = 0.398_942_280_401_432_7;
/// `sqrt(pi / 2)`, the Mills ratio at zero.
const SQRT_HALF_PI: f64 = 1.253_314_137_315_500_3;

/// Standard normal density. The exponent is split so that the rounding of `x * x` does not reach the result.
#[must_use]
pub fn pdf(x: f64) -> f64 {
    INV_SQRT_2PI * gauss(x)
}

/// `exp(-x^2 / 2)` to a couple of units in the last place even far out.
fn gauss(x: f64) -> f64 {
    let x = x.abs();
    if x > 39.0 {
        return 0.0;
    }
    let head = libm::trunc(x * 16.0) / 16.0;
    // head^2 is exact; the rest of the square is small.
    libm::exp(-head * head * 0.5) * libm::exp(-(x - head) * (x + head) * 0.5)
}

/// Standard normal distribution function.
#[must_use]
pub fn cdf(x: f64) -> f64 {
    if x < -1.0 {
        pdf(x) * mills(-x)
    } else if x > 1.0 {
        1.0 - pdf(x) * mills(x)
    } else {
        0.5 * libm::erfc(-x * core::f64::consts::FRAC_1_SQRT_2)
    }
}

/// Mills ratio `R(x) = N(-x) / phi(x)`; infinite for very negative `x`.
#[must_use]
pub fn mills(x: f64) -> f64 {
    if x >= 1.0 {
        (1.0 - mills_slope(x)) / x
    } else {
        SQRT_HALF_PI * libm::erfc(x * core::f64::consts::FRAC_1_SQRT_2) * libm::exp(x * x * 0.5)
    }
}

/// `Q(x) = 1 - x R(x) = -R'(x)`, without the cancellation of its definition.
#[must_use]
pub fn mills_slope(x: f64) -> f64 {
    if x < 1.0 {
        return 1.0 - x * mills(x);
    }
    if x == f64::INFINITY {
        return 0.0;
    }
    let z = PIECES as f64 * (x / (x + 4.0));
    let piece = (z as usize).min(PIECES - 1);
    let u = 2.0 * (z - piece as f64) - 1.0;
    let row = &TABLE[piece];
    let mut sum = row[TERMS - 1];
    for c in row[..TERMS - 1].iter().rev() {
        sum = sum * u + c;
    }
    sum / (1.0 + x * x)
}

/// Standard normal quantile; ±infinity at 0 and 1, NaN outside. Bisection on the tail keeps it exact to
/// the last few units, at the price of speed: it is for reports and tests, not inner loops.
#[must_use]
pub fn quantile(p: f64) -> f64 {
    if p.is_nan() || !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p == 0.0 || p == 1.0 {
        return if p == 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    if p > 0.5 {
        return -quantile(1.0 - p);
    }
    let mut x = -libm::sqrt((-2.0 * libm::log(2.0 * p)).max(0.0));
    for _ in 0..60 {
        // Newton on the log of the tail, which is nearly quadratic and therefore well behaved.
        let (n, d) = (cdf(x), pdf(x));
        if n <= 0.0 || d <= 0.0 {
            break;
        }
        let step = libm::log(n / p) * n / d;
        x -= step;
        if step.abs() <= 1e-15 * x.abs() {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_hold_to_the_last_digits() {
        let rel = |a: f64, b: f64| ((a - b) / b).abs();
        assert!(rel(cdf(-10.0), 7.619_853_024_160_526e-24) < 3e-15);
        assert!(rel(cdf(-37.0), 5.725_571_222_524_576e-300) < 1e-13);
        assert!(rel(cdf(-1.959_963_984_540_054), 0.025) < 1e-14);
        assert!(rel(mills(5.0), 0.192_808_104_715_315_77) < 1e-15);
        assert!(rel(mills_slope(1e6), 1e-12) < 1e-11);
        assert!(rel(quantile(0.01), -2.326_347_874_040_841) < 1e-14);
        assert!(rel(quantile(1e-300), -37.047_096_299_361_2) < 1e-12);
        assert_eq!(quantile(0.5), 0.0);
    }

    #[test]
    fn the_pieces_meet() {
        for i in 1..4000 {
            let x = f64::from(i) * 0.01;
            let (a, b) = (mills(x - 1e-9), mills(x + 1e-9));
            assert!(a > b && (a - b) / a < 3e-9, "{x}");
        }
    }
}
