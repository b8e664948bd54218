//! The normal law: density, distribution, Mills ratio, quantile. Tails are computed as density times Mills
//! ratio, so they keep full relative precision down to the smallest float.

use super::lanes;
use super::mills_table::{PIECES, TABLE, TERMS};

/// `1 / sqrt(2 pi)`.
pub const INV_SQRT_2PI: f64 = 0.398_942_280_401_432_7;

/// AS 241 within 0.425 of the median: numerator and denominator, ascending.
const MIDDLE: [[f64; 8]; 2] = [
    [
        3.387_132_872_796_366_5,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_854,
    ],
];
/// Further out, down to a probability of `exp(-25)`.
const TAIL: [[f64; 8]; 2] = [
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        0.000_774_545_014_278_341_4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        0.000_547_593_808_499_534_5,
        1.050_750_071_644_416_9e-9,
    ],
];
/// Beyond it.
const FAR_TAIL: [[f64; 8]; 2] = [
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        0.026_532_189_526_576_124,
        0.001_242_660_947_388_078_4,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        0.014_875_361_290_850_615,
        0.000_786_869_131_145_613_3,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_7e-15,
    ],
];

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
    let far = |x: f64| (1.0 - mills_slope(x)) / x;
    if x >= 1.0 {
        far(x)
    } else if x >= 0.0 {
        lanes::mills(x)
    } else {
        // R(x) + R(-x) = 1 / phi(x), and the part taken away is the smaller one.
        let both = libm::exp(x * x * 0.5) / INV_SQRT_2PI;
        both - if x > -1.0 { lanes::mills(-x) } else { far(-x) }
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

/// Standard normal quantile; ±infinity at 0 and 1, NaN outside. Relative error below 6e-16 (AS 241, PPND16: Wichura,
/// Applied Statistics 37, 1988).
#[must_use]
pub fn quantile(p: f64) -> f64 {
    if p.is_nan() || !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p == 0.0 || p == 1.0 {
        return if p == 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let u = p - 0.5;
    if u.abs() <= 0.425 {
        return u * ratio(&MIDDLE, 0.180_625 - u * u);
    }
    let r = libm::sqrt(-libm::log(p.min(1.0 - p)));
    let size = if r <= 5.0 { ratio(&TAIL, r - 1.6) } else { ratio(&FAR_TAIL, r - 5.0) };
    if u < 0.0 { -size } else { size }
}

/// A numerator over a denominator, ascending coefficients of both.
fn ratio([top, bottom]: &[[f64; 8]; 2], x: f64) -> f64 {
    let sum = |c: &[f64; 8]| c.iter().rev().fold(0.0, |sum, c| sum * x + c);
    sum(top) / sum(bottom)
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
        for i in 1..2_000 {
            let p = libm::exp(-0.35 * f64::from(i));
            assert!(rel(cdf(quantile(p)), p) < 2e-12, "{p}");
            let p = f64::from(i) / 2_000.0;
            assert!(
                rel(cdf(quantile(p)), p) < 2e-14 && (quantile(1.0 - p) + quantile(p)).abs() < 1e-12,
                "{p}"
            );
        }
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
