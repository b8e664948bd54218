//! Whole books at once: price and five Greeks with one exponential, one division and no logarithm per option, because
//! logarithms of strikes and forwards are taken once. Agrees with [`super::greeks`] to 1e-12; what this cannot do to
//! that accuracy it hands to the scalar kernel.

use serde::{Deserialize, Serialize};

use super::black::{BlackInput, OptionKind};
use super::greeks::price_report;
use super::normal::{INV_SQRT_2PI, mills, mills_slope};
use crate::error::{RiskError, finite, non_negative, positive};

/// Nodes of the Mills table per unit.
const PER_UNIT: f64 = 16.0;
/// The table ends here; beyond it the scalar kernel takes over.
const END: f64 = 12.0;
/// Coefficients per node.
const TERMS: usize = 9;
/// Entries of the table of powers of two.
const POWERS: usize = 64;
/// Below this total volatility the difference of two Mills ratios loses more than the accuracy promised.
const SD_MIN: f64 = 2e-3;
/// Above it, and above this distance from the money, the scalar kernel is asked too.
const SD_MAX: f64 = 8.0;

/// What options of one expiry share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchExpiry {
    forward: f64,
    years: f64,
    ln_forward: f64,
    inv_forward: f64,
    root: f64,
    half_inv_root: f64,
}

/// One option, its logarithm taken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchOption {
    strike: f64,
    ln_strike: f64,
    vol: f64,
    /// `+1` for a call, `-1` for a put.
    sign: f64,
    expiry: u32,
}

/// Price and Greeks of one option; undiscounted, raw derivatives as in [`super::Greeks`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct BatchGreeks {
    /// USD.
    pub value: f64,
    /// dV/dF.
    pub delta: f64,
    /// d²V/dF².
    pub gamma: f64,
    /// dV/dσ.
    pub vega: f64,
    /// dV/dt per year.
    pub theta: f64,
    /// dV/dK.
    pub dual_delta: f64,
}

/// The tables.
#[derive(Debug, Clone)]
pub struct BatchKernel {
    mills: Vec<[f64; TERMS]>,
    powers: [f64; POWERS],
}

impl BatchExpiry {
    /// Checks and prepares an expiry.
    ///
    /// # Errors
    /// A forward or time that is not positive.
    pub fn new(forward: f64, years: f64) -> Result<Self, RiskError> {
        let (f, t) = (positive("forward", forward)?, positive("years", years)?);
        let root = libm::sqrt(t);
        Ok(Self {
            forward: f,
            years: t,
            ln_forward: libm::log(f),
            inv_forward: 1.0 / f,
            root,
            half_inv_root: 0.5 / root,
        })
    }

    /// The same expiry at another forward: all that a price tick changes.
    ///
    /// # Errors
    /// A forward that is not positive.
    pub fn moved(&self, forward: f64) -> Result<Self, RiskError> {
        Self::new(forward, self.years)
    }
}

impl BatchOption {
    /// Checks and prepares an option of expiry number `expiry`.
    ///
    /// # Errors
    /// A strike that is not positive, or a volatility that is negative.
    pub fn new(kind: OptionKind, strike: f64, vol: f64, expiry: u32) -> Result<Self, RiskError> {
        Ok(Self {
            strike: positive("strike", strike)?,
            ln_strike: libm::log(strike),
            vol: non_negative("vol", vol)?,
            sign: kind.sign(),
            expiry,
        })
    }
}

impl Default for BatchKernel {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchKernel {
    /// Builds the tables: Taylor series of the Mills ratio at each node, and powers of two.
    #[must_use]
    pub fn new() -> Self {
        let series = |node: usize| {
            let x = (node as f64 + 0.5) / PER_UNIT;
            // R' = x R - 1 = -Q, then R^(n+1) = x R^(n) + n R^(n-1).
            let mut d = [mills(x), -mills_slope(x), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
            for n in 1..TERMS - 1 {
                d[n + 1] = x * d[n] + n as f64 * d[n - 1];
            }
            let mut factorial = 1.0;
            for (n, c) in d.iter_mut().enumerate() {
                factorial *= if n == 0 { 1.0 } else { n as f64 };
                *c /= factorial;
            }
            d
        };
        let mut powers = [0.0; POWERS];
        for (j, p) in powers.iter_mut().enumerate() {
            *p = libm::exp2(j as f64 / POWERS as f64);
        }
        Self { mills: (0..(END * PER_UNIT) as usize).map(series).collect(), powers }
    }

    /// Mills ratio for `0 <= x < END`.
    #[inline]
    fn ratio(&self, x: f64) -> f64 {
        let at = x * PER_UNIT;
        let node = at as usize;
        let c = &self.mills[node];
        let u = (at - (node as f64 + 0.5)) / PER_UNIT;
        // Two chains at once.
        let u2 = u * u;
        let even = c[0] + u2 * (c[2] + u2 * (c[4] + u2 * (c[6] + u2 * c[8])));
        let odd = c[1] + u2 * (c[3] + u2 * (c[5] + u2 * c[7]));
        even + u * odd
    }

    /// `exp(x)` for `-100 <= x <= 0`, to a few units in the last place.
    #[inline]
    fn exp(&self, x: f64) -> f64 {
        const STEP: f64 = core::f64::consts::LN_2 / POWERS as f64;
        /// `STEP` to 33 bits, so that its product with a small integer is exact.
        const HIGH: f64 = f64::from_bits(STEP.to_bits() & !0xf_ffff);
        const LOW: f64 = STEP - HIGH;
        let n = (x * (1.0 / STEP) - 0.5) as i64;
        let r = x - n as f64 * HIGH - n as f64 * (LOW + TAIL);
        let p = r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0)))));
        let t = self.powers[(n & (POWERS as i64 - 1)) as usize];
        let scale = f64::from_bits(((n >> 6) + 1_023) as u64 * (1 << 52));
        (t + t * p) * scale
    }

    /// Prices `options` into `out`, expiries by number.
    ///
    /// # Errors
    /// Slices of different lengths, an expiry that is not there, or a price that overflows.
    pub fn price(
        &self,
        expiries: &[BatchExpiry],
        options: &[BatchOption],
        out: &mut [BatchGreeks],
    ) -> Result<(), RiskError> {
        crate::error::same_length("batch results", out.len(), options.len())?;
        for (o, g) in options.iter().zip(out) {
            let e = expiries.get(o.expiry as usize).ok_or(RiskError::OutOfDomain {
                name: "expiry",
                value: f64::from(o.expiry),
                domain: "an expiry of the batch",
            })?;
            let sd = o.vol * e.root;
            let x = e.ln_forward - o.ln_strike;
            let inv = 1.0 / sd;
            let d1 = x * inv + 0.5 * sd;
            let d2 = d1 - sd;
            let fits = fits(sd, d1, d2);
            *g = if fits { self.one(e, o, (x, inv, d1, d2)) } else { scalar(e, o)? };
        }
        Ok(())
    }

    /// Undiscounted value of one option from `x = ln(F / K)` and its total volatility; `None` where the scalar kernel
    /// must be asked.
    #[inline]
    pub(crate) fn value(&self, f: f64, k: f64, x: f64, sd: f64, sign: f64) -> Option<f64> {
        let d1 = x / sd + 0.5 * sd;
        let d2 = d1 - sd;
        if !fits(sd, d1, d2) {
            return None;
        }
        let g = f * INV_SQRT_2PI * self.exp(-0.5 * d1 * d1);
        let otm = otm(f, k, x, g, (d1, self.ratio(d1.abs())), (d2, self.ratio(d2.abs())));
        Some(otm + (sign * (f - k)).max(0.0))
    }

    #[inline]
    fn one(
        &self,
        e: &BatchExpiry,
        o: &BatchOption,
        (x, inv, d1, d2): (f64, f64, f64, f64),
    ) -> BatchGreeks {
        let (f, k) = (e.forward, o.strike);
        let phi = INV_SQRT_2PI * self.exp(-0.5 * d1 * d1);
        // F phi(d1) = K phi(d2): both tails share it.
        let g = f * phi;
        let (ra, rb) = (self.ratio(d1.abs()), self.ratio(d2.abs()));
        let otm = otm(f, k, x, g, (d1, ra), (d2, rb));
        let tail = |t: f64, tail: f64| if t <= 0.0 { tail } else { 1.0 - tail };
        BatchGreeks {
            value: otm + (o.sign * (f - k)).max(0.0),
            delta: o.sign * tail(o.sign * d1, phi * ra),
            gamma: phi * inv * e.inv_forward,
            vega: g * e.root,
            theta: -g * o.vol * e.half_inv_root,
            dual_delta: -o.sign * tail(o.sign * d2, g * rb / k),
        }
    }
}

/// Whether the tables reach and two Mills ratios differ by enough.
#[inline]
fn fits(sd: f64, d1: f64, d2: f64) -> bool {
    (SD_MIN..SD_MAX).contains(&sd) && d1.abs() < END && d2.abs() < END
}

/// The out-of-the-money side of the pair, written without a branch that data decides.
#[inline]
fn otm(f: f64, k: f64, x: f64, g: f64, (d1, ra): (f64, f64), (d2, rb): (f64, f64)) -> f64 {
    let call = x <= 0.0;
    let (near, far) = if call { (ra, rb) } else { (rb, ra) };
    let (base, beyond) = if call { (f, d1) } else { (k, -d2) };
    let first = if beyond <= 0.0 { g * near } else { base - g * near };
    (first - g * far).max(0.0)
}

/// What `f64::consts::LN_2` rounds off, per step.
const TAIL: f64 = 2.319_046_813_846_299_6e-17 / POWERS as f64;

fn scalar(e: &BatchExpiry, o: &BatchOption) -> Result<BatchGreeks, RiskError> {
    let input = BlackInput {
        forward: e.forward,
        strike: o.strike,
        years: e.years,
        vol: o.vol,
        rate: 0.0,
        kind: if o.sign > 0.0 { OptionKind::Call } else { OptionKind::Put },
    };
    let r = price_report(&input)?;
    finite("price", r.price.value)?;
    Ok(BatchGreeks {
        value: r.price.value,
        delta: r.usd.delta,
        gamma: r.usd.gamma,
        vega: r.usd.vega,
        theta: r.usd.theta,
        dual_delta: r.usd.dual_delta,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_exponential_and_the_mills_ratio_keep_their_digits() {
        let kernel = BatchKernel::new();
        for i in 0..60_000 {
            let x = -f64::from(i) * 0.0012;
            let (got, want) = (kernel.exp(x), libm::exp(x));
            assert!((got / want - 1.0).abs() < 1e-15, "{x} {got} {want}");
            let x = f64::from(i) * 0.000_199;
            let (got, want) = (kernel.ratio(x), mills(x));
            assert!((got / want - 1.0).abs() < 2e-15, "{x} {got} {want}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn the_batch_agrees_with_the_scalar_kernel(
            f in 100.0..1e5_f64, m in -1.5..1.5_f64, years in 1e-3..3.0_f64, vol in 0.02..3.0_f64, call in prop::bool::ANY,
        ) {
            let kind = if call { OptionKind::Call } else { OptionKind::Put };
            let expiry = BatchExpiry::new(f, years).unwrap();
            let option = BatchOption::new(kind, f * libm::exp(m), vol, 0).unwrap();
            let mut out = [BatchGreeks::default()];
            BatchKernel::new().price(&[expiry], &[option], &mut out).unwrap();
            let (got, want) = (out[0], scalar(&expiry, &option).unwrap());
            // A float's own digits: the logarithm of the strike is rounded before it is divided by the deviation.
            let sd = vol * libm::sqrt(years);
            let slack = 1e-12 + 4e-15 * (m.abs() / sd + 1.0) * (libm::log(f).abs() / sd);
            let close = |a: f64, b: f64, floor: f64| (a - b).abs() <= slack * b.abs() + floor;
            prop_assert!(close(got.value, want.value, 1e-15 * f), "{got:?} {want:?}");
            prop_assert!(close(got.delta, want.delta, 1e-15), "{got:?} {want:?}");
            prop_assert!(close(got.dual_delta, want.dual_delta, 1e-15), "{got:?} {want:?}");
            prop_assert!(close(got.gamma, want.gamma, 1e-15 / f));
            prop_assert!(close(got.vega, want.vega, 1e-15 * f) && close(got.theta, want.theta, 1e-15 * f));
        }
    }

    #[test]
    fn bad_batches_are_refused_and_extremes_handed_on() {
        assert!(BatchExpiry::new(0.0, 1.0).is_err() && BatchExpiry::new(1.0, 0.0).is_err());
        assert!(BatchOption::new(OptionKind::Call, f64::NAN, 1.0, 0).is_err());
        let kernel = BatchKernel::new();
        let e = [BatchExpiry::new(100.0, 1.0).unwrap()];
        let far = BatchOption::new(OptionKind::Call, 1e9, 0.0, 0).unwrap();
        let lost = BatchOption { expiry: 7, ..far };
        let mut out = [BatchGreeks::default()];
        kernel.price(&e, &[far], &mut out).unwrap();
        assert_eq!(out[0].value, 0.0);
        assert!(kernel.price(&e, &[lost], &mut out).is_err());
        assert!(kernel.price(&e, &[far, far], &mut out).is_err());
    }
}
