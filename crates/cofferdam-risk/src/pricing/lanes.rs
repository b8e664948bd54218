//! The arithmetic of the batch kernels, written so that a compiler can do it for several options at once: no branch, no
//! table, no conversion to an integer register, no call.
//!
//! **Invariant:** only additions, multiplications, divisions, comparisons and bit operations, each rounded once and
//! none contracted, so the same inputs give the same bits whether or not, and however widely, it is vectorised. The
//! coefficients come from `tests/golden/generators/lanes.py`.

use super::normal::INV_SQRT_2PI;

/// Options treated together.
pub(crate) const LANES: usize = 32;
/// One number of each of them.
pub(crate) type Lane = [f64; LANES];

/// The rational function of the Mills ratio ends here; beyond it the scalar kernel takes over.
const END: f64 = 12.0;
/// Below this total volatility the difference of two Mills ratios loses more than the accuracy promised.
const SD_MIN: f64 = 2e-3;
/// Above it the scalar kernel is asked too.
const SD_MAX: f64 = 8.0;
/// Forwards and strikes between this and its inverse cannot overflow a product of denominators.
const EXTREME: f64 = 1e-90;

/// Mills ratio on `[0, 12]`, relative error 6.6e-17: ascending coefficients of the numerator ...
const MILLS_TOP: [f64; 9] = [
    1.253_314_137_315_500_3,
    1.700_080_183_361_474_3,
    1.146_111_690_284_772_6,
    0.485_261_162_286_743_66,
    0.139_378_950_695_209_92,
    0.027_670_267_119_449_806,
    0.003_708_360_158_943_735,
    0.000_308_203_763_943_942_6,
    1.229_377_162_547_104_4e-5,
];
/// ... and of the denominator. All are positive, so nothing cancels.
const MILLS_BOTTOM: [f64; 10] = [
    1.0,
    2.154_352_291_233_902_6,
    2.133_389_254_339_306_3,
    1.278_166_112_221_512_9,
    0.512_317_503_310_438_5,
    0.143_062_566_122_221_5,
    0.027_978_478_398_315_763,
    0.003_720_653_676_283_898,
    0.000_308_203_769_355_039_1,
    1.229_377_157_119_843e-5,
];
/// `(exp(r) - 1 - r) / r^2` on half an octave, ascending; leaves 1.3e-17 of `exp(r)`.
const EXP: [f64; 10] = [
    0.500_000_000_000_000_1,
    0.166_666_666_666_666_69,
    0.041_666_666_666_623_48,
    0.008_333_333_333_330_011,
    0.001_388_888_891_753_829_6,
    0.000_198_412_698_633_032_23,
    2.480_152_079_257_269_4e-5,
    2.755_726_807_289_01e-6,
    2.762_032_742_826_824e-7,
    2.510_056_927_581_368_3e-8,
];

/// What price and Greeks of one option share.
#[derive(Clone, Copy)]
pub(super) struct Shared {
    pub(super) d1: f64,
    pub(super) d2: f64,
    /// One over the total volatility.
    pub(super) inv_sd: f64,
    /// Density at `d1`.
    pub(super) phi: f64,
    /// Mills ratios at `|d1|` and `|d2|`.
    pub(super) ratios: (f64, f64),
    /// One over the strike.
    pub(super) inv_strike: f64,
}

/// From `x = ln(F / K)`, the total volatility and the strike, with two divisions in all.
#[inline(always)]
pub(super) fn shared(x: f64, sd: f64, strike: f64) -> Shared {
    let inv_sd = 1.0 / sd;
    let d1 = x * inv_sd + 0.5 * sd;
    let d2 = d1 - sd;
    let (a, b) = (d1.abs(), d2.abs());
    let (qa, qb) = (horner(&MILLS_BOTTOM, a), horner(&MILLS_BOTTOM, b));
    let (pa, pb) = (horner(&MILLS_TOP, a), horner(&MILLS_TOP, b));
    let both = qa * qb;
    let inv = 1.0 / (both * strike);
    let inv_both = inv * strike;
    Shared {
        d1,
        d2,
        inv_sd,
        phi: INV_SQRT_2PI * exp(-0.5 * d1 * d1),
        ratios: (pa * qb * inv_both, pb * qa * inv_both),
        inv_strike: inv * both,
    }
}

/// Whether [`shared`] keeps its digits: the approximation reaches and two Mills ratios differ by enough.
#[inline(always)]
pub(super) fn fits(s: &Shared, sd: f64, forward: f64, strike: f64) -> bool {
    let inside = |v: f64| (EXTREME < v) & (v < 1.0 / EXTREME);
    // Single ampersands: a branch here would keep the loop from being vectorised.
    (SD_MIN..SD_MAX).contains(&sd)
        & (s.d1.abs() < END)
        & (s.d2.abs() < END)
        & inside(forward)
        & inside(strike)
}

/// Undiscounted value; `sign` is `+1` for a call, `-1` for a put. The out-of-the-money side is computed, the other
/// follows by parity.
#[inline(always)]
pub(super) fn value(s: &Shared, x: f64, forward: f64, strike: f64, sign: f64) -> f64 {
    let g = forward * s.phi;
    let (ra, rb) = s.ratios;
    let call = x <= 0.0;
    let (near, far) = (if call { ra } else { rb }, if call { rb } else { ra });
    let base = if call { forward } else { strike };
    let beyond = if call { s.d1 } else { -s.d2 };
    let tail = g * near;
    let first = if beyond <= 0.0 { tail } else { base - tail };
    let otm = first - g * far;
    let intrinsic = sign * (forward - strike);
    (if otm > 0.0 { otm } else { 0.0 }) + if intrinsic > 0.0 { intrinsic } else { 0.0 }
}

/// Values of many options; returns whether each is within reach (see [`fits`]).
#[allow(
    clippy::needless_range_loop,
    reason = "an index over arrays of one length is what compilers vectorise"
)]
pub(crate) fn values(
    x: &Lane,
    sd: &Lane,
    forward: &Lane,
    strike: &Lane,
    sign: &Lane,
    out: &mut Lane,
) -> [bool; LANES] {
    let mut fit = [0.0_f64; LANES];
    for i in 0..LANES {
        let s = shared(x[i], sd[i], strike[i]);
        out[i] = value(&s, x[i], forward[i], strike[i], sign[i]);
        fit[i] = if fits(&s, sd[i], forward[i], strike[i]) { 1.0 } else { 0.0 };
    }
    fit.map(|f| f > 0.0)
}

/// `exp(x)` for `-700 <= x <= 0`, to a few units in the last place.
#[inline(always)]
fn exp(x: f64) -> f64 {
    /// Adding it leaves the nearest integer in the low bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    /// `ln 2` to 33 bits, so that its product with a small integer is exact, and the rest of it.
    const HIGH: f64 = f64::from_bits(core::f64::consts::LN_2.to_bits() & !0xf_ffff);
    const LOW: f64 = core::f64::consts::LN_2 - HIGH + 2.319_046_813_846_299_6e-17;
    let shifted = x * core::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * HIGH - n * LOW;
    let scale = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1_023 << 52));
    scale + scale * (r + r * r * horner(&EXP, r))
}

/// Mills ratio on `[0, 12]`, to a few units in the last place.
#[inline(always)]
pub(super) fn mills(x: f64) -> f64 {
    horner(&MILLS_TOP, x) / horner(&MILLS_BOTTOM, x)
}

#[inline(always)]
fn horner<const N: usize>(c: &[f64; N], x: f64) -> f64 {
    let mut sum = c[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        sum = sum * x + c[i];
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pricing::normal;

    #[test]
    fn the_exponential_and_the_mills_ratio_keep_their_digits() {
        for i in 0..60_000 {
            let x = -f64::from(i) * 0.0012;
            let (got, want) = (exp(x), libm::exp(x));
            assert!((got / want - 1.0).abs() < 1e-15, "{x} {got} {want}");
            let x = f64::from(i) * 0.000_199;
            let want = match x < 1.0 {
                true => {
                    1.253_314_137_315_500_3
                        * libm::erfc(x * core::f64::consts::FRAC_1_SQRT_2)
                        * libm::exp(0.5 * x * x)
                }
                false => normal::mills(x),
            };
            let got = mills(x);
            assert!((got / want - 1.0).abs() < 3e-15, "{x} {got} {want}");
        }
    }

    #[test]
    fn what_lies_outside_is_said_to() {
        let fit = |x: f64, sd: f64, f: f64, k: f64| fits(&shared(x, sd, k), sd, f, k);
        assert!(fit(0.1, 0.2, 100.0, 90.0));
        for (x, sd, f, k) in [
            (0.1, 1e-3, 100.0, 90.0),
            (0.1, 9.0, 100.0, 90.0),
            (3.0, 0.2, 100.0, 90.0),
            (0.0, 0.2, 1e95, 1e95),
            (0.0, f64::NAN, 100.0, 100.0),
            (f64::NAN, 0.2, 100.0, 100.0),
            (0.0, 0.0, 100.0, 100.0),
        ] {
            assert!(!fit(x, sd, f, k), "{x} {sd}");
        }
    }
}
