//! Whole books at once: price and Greeks of many options, grouped by expiry and laid out number by number, so that
//! what an expiry shares is taken once and several options are computed by one instruction. Agrees with
//! [`super::greeks`] to 1e-12; what the vector arithmetic cannot do to that accuracy it hands to the scalar kernel.

use serde::{Deserialize, Serialize};

use super::black::{BlackInput, OptionKind};
use super::block::{BatchGreeks, Block, HigherBlock};
use super::greeks::{PriceReport, price_report};
use super::lanes::{LANES, Lane, fits, shared, value};
use crate::error::{RiskError, finite, non_negative, positive};

/// Thirty microseconds: below it theta of a volatility that a float can hold is no number.
pub const YEARS_MIN: f64 = 1e-12;

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

/// One option of expiry number `expiry`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchOption {
    strike: f64,
    ln_strike: f64,
    vol: f64,
    /// `+1` for a call, `-1` for a put.
    sign: f64,
    expiry: u32,
}

/// Options of a book, ready to be priced at any forward.
#[derive(Debug, Clone)]
pub struct BatchBook {
    expiries: Vec<BatchExpiry>,
    groups: Vec<Group>,
    options: usize,
}

/// Up to a block of options of one expiry. Lanes beyond `count` repeat the first option.
#[derive(Debug, Clone)]
struct Group {
    expiry: usize,
    count: usize,
    strike: Lane,
    ln_strike: Lane,
    vol: Lane,
    sign: Lane,
    /// Where each option stood in the list given.
    place: [u32; LANES],
}

impl BatchExpiry {
    /// Checks and prepares an expiry.
    ///
    /// # Errors
    /// A forward that is not positive, or a time below [`YEARS_MIN`], which has expired for all purposes.
    pub fn new(forward: f64, years: f64) -> Result<Self, RiskError> {
        let left = if years < YEARS_MIN { 0.0 } else { years };
        let (f, t) = (positive("forward", forward)?, positive("years", left)?);
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

impl BatchBook {
    /// Groups options by expiry.
    ///
    /// # Errors
    /// An option of an expiry that is not there, or more than `u32` counts.
    pub fn new(expiries: Vec<BatchExpiry>, options: &[BatchOption]) -> Result<Self, RiskError> {
        let mut open: Vec<Option<Group>> = vec![None; expiries.len()];
        let mut groups = Vec::with_capacity(options.len() / LANES + expiries.len());
        for (place, o) in options.iter().enumerate() {
            let place =
                u32::try_from(place).map_err(|_| RiskError::Overflow { name: "options" })?;
            let at = o.expiry as usize;
            let slot = open.get_mut(at).ok_or(RiskError::OutOfDomain {
                name: "expiry",
                value: f64::from(o.expiry),
                domain: "an expiry of the batch",
            })?;
            let group = slot.get_or_insert_with(|| Group::started(at, o));
            group.push(o, place);
            if group.count == LANES {
                groups.extend(slot.take());
            }
        }
        groups.extend(open.into_iter().flatten());
        Ok(Self { expiries, groups, options: options.len() })
    }

    /// Moves the forward of one expiry.
    ///
    /// # Errors
    /// A forward that is not positive, or an expiry that is not there.
    pub fn move_forward(&mut self, expiry: usize, forward: f64) -> Result<(), RiskError> {
        let slot = self.expiries.get_mut(expiry).ok_or(RiskError::OutOfDomain {
            name: "expiry",
            value: expiry as f64,
            domain: "an expiry of the batch",
        })?;
        *slot = slot.moved(forward)?;
        Ok(())
    }

    /// Prices everything block by block, without storing it: `with` is given where each option of the block stood in
    /// the list, and the block. Only as many lanes as places count.
    ///
    /// # Errors
    /// A price or Greek that overflows.
    pub fn each_block(&self, mut with: impl FnMut(&[u32], &Block)) -> Result<(), RiskError> {
        let mut out = Block::ZERO;
        for g in &self.groups {
            let e = &self.expiries[g.expiry];
            let fit = first_order(e, g, &mut out);
            for lane in lanes_left(&fit, g.count) {
                out.set(lane, &g.scalar(e, lane)?);
            }
            with(&g.place[..g.count], &out);
        }
        Ok(())
    }

    /// The same with Greeks of all orders.
    ///
    /// # Errors
    /// A price or Greek that overflows.
    pub fn each_full_block(
        &self,
        mut with: impl FnMut(&[u32], &Block, &HigherBlock),
    ) -> Result<(), RiskError> {
        let (mut out, mut more) = (Block::ZERO, HigherBlock::ZERO);
        for g in &self.groups {
            let e = &self.expiries[g.expiry];
            let fit = first_order(e, g, &mut out);
            higher_order(e, g, &out, &mut more);
            for lane in lanes_left(&fit, g.count) {
                let report = g.scalar(e, lane)?;
                out.set(lane, &report);
                more.set(lane, &report);
            }
            with(&g.place[..g.count], &out, &more);
        }
        Ok(())
    }

    /// Values alone, block by block as in [`BatchBook::each_block`].
    ///
    /// # Errors
    /// A price that overflows.
    pub fn each_value(&self, mut with: impl FnMut(&[u32], &[f64])) -> Result<(), RiskError> {
        let (mut x, mut sd, mut out) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for g in &self.groups {
            let e = &self.expiries[g.expiry];
            for ((x, sd), (ln_strike, vol)) in
                x.iter_mut().zip(&mut sd).zip(g.ln_strike.iter().zip(&g.vol))
            {
                *x = e.ln_forward - ln_strike;
                *sd = vol * e.root;
            }
            let fit =
                super::lanes::values(&x, &sd, &[e.forward; LANES], &g.strike, &g.sign, &mut out);
            for lane in lanes_left(&fit, g.count) {
                out[lane] = g.scalar(e, lane)?.price.value;
            }
            with(&g.place[..g.count], &out[..g.count]);
        }
        Ok(())
    }

    /// Prices everything into `out`, in the order the options were given.
    ///
    /// # Errors
    /// A slice of another length, or a price that overflows.
    pub fn price(&self, out: &mut [BatchGreeks]) -> Result<(), RiskError> {
        crate::error::same_length("batch results", out.len(), self.options)?;
        self.each_block(|places, block| {
            for (lane, place) in places.iter().enumerate() {
                if let Some(g) = block.get(lane) {
                    out[*place as usize] = g;
                }
            }
        })
    }
}

impl Group {
    fn started(expiry: usize, o: &BatchOption) -> Self {
        Self {
            expiry,
            count: 0,
            strike: [o.strike; LANES],
            ln_strike: [o.ln_strike; LANES],
            vol: [o.vol; LANES],
            sign: [o.sign; LANES],
            place: [0; LANES],
        }
    }

    fn push(&mut self, o: &BatchOption, place: u32) {
        let lane = self.count;
        self.strike[lane] = o.strike;
        self.ln_strike[lane] = o.ln_strike;
        self.vol[lane] = o.vol;
        self.sign[lane] = o.sign;
        self.place[lane] = place;
        self.count += 1;
    }

    fn scalar(&self, e: &BatchExpiry, lane: usize) -> Result<PriceReport, RiskError> {
        let kind = if self.sign[lane] > 0.0 { OptionKind::Call } else { OptionKind::Put };
        let (strike, vol) = (self.strike[lane], self.vol[lane]);
        let input = BlackInput { forward: e.forward, strike, years: e.years, vol, rate: 0.0, kind };
        let r = price_report(&input)?;
        finite("price", r.price.value)?;
        Ok(r)
    }
}

/// The lanes in use that the vector arithmetic could not do.
fn lanes_left(fit: &[bool; LANES], count: usize) -> impl Iterator<Item = usize> {
    fit[..count].iter().enumerate().filter(|(_, fits)| !**fits).map(|(lane, _)| lane)
}

/// Price and Greeks of first order, and gamma; says which lanes can be trusted.
#[allow(clippy::needless_range_loop, reason = "as in `lanes::values`")]
#[inline(never)]
fn first_order(e: &BatchExpiry, g: &Group, out: &mut Block) -> [bool; LANES] {
    let BatchExpiry { forward, ln_forward, inv_forward, root, half_inv_root, .. } = *e;
    let mut fit = [0.0_f64; LANES];
    for i in 0..LANES {
        let (strike, vol, sign) = (g.strike[i], g.vol[i], g.sign[i]);
        let (x, sd) = (ln_forward - g.ln_strike[i], vol * root);
        let s = shared(x, sd, strike);
        // F phi(d1) = K phi(d2): both tails share it.
        let f_phi = forward * s.phi;
        let (ta, tb) = (s.phi * s.ratios.0, f_phi * s.ratios.1 * s.inv_strike);
        let n1 = if sign * s.d1 <= 0.0 { ta } else { 1.0 - ta };
        let n2 = if sign * s.d2 <= 0.0 { tb } else { 1.0 - tb };
        out.value[i] = value(&s, x, forward, strike, sign);
        out.delta[i] = sign * n1;
        out.gamma[i] = s.phi * s.inv_sd * inv_forward;
        out.vega[i] = f_phi * root;
        out.theta[i] = -f_phi * vol * half_inv_root;
        out.dual_delta[i] = -sign * n2;
        fit[i] = if fits(&s, sd, forward, strike) { 1.0 } else { 0.0 };
    }
    fit.map(|f| f > 0.0)
}

/// The rest, from gamma and vega.
#[allow(clippy::needless_range_loop, reason = "as in `lanes::values`")]
#[inline(never)]
fn higher_order(e: &BatchExpiry, g: &Group, first: &Block, out: &mut HigherBlock) {
    let BatchExpiry { ln_forward, inv_forward, root, half_inv_root, .. } = *e;
    let inv_root = 2.0 * half_inv_root;
    let half_inv_years = half_inv_root * inv_root;
    for i in 0..LANES {
        let (x, vol) = (ln_forward - g.ln_strike[i], g.vol[i]);
        let sd = vol * root;
        let inv_sd = 1.0 / sd;
        let inv_vol = inv_sd * root;
        let d1 = x * inv_sd + 0.5 * sd;
        let d2 = d1 - sd;
        let (gamma, vega) = (first.gamma[i], first.vega[i]);
        let phi_d2 = vega * inv_forward * inv_root * d2;
        out.vanna[i] = -phi_d2 * inv_vol;
        out.volga[i] = vega * d1 * d2 * inv_vol;
        out.charm[i] = phi_d2 * half_inv_years;
        out.speed[i] = -gamma * inv_forward * (x * inv_sd * inv_sd + 1.5);
        out.zomma[i] = gamma * (d1 * d2 - 1.0) * inv_vol;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn the_batch_agrees_with_the_scalar_kernel(
            f in 100.0..1e5_f64, m in -1.5..1.5_f64, years in 1e-3..3.0_f64, vol in 0.02..3.0_f64, call in prop::bool::ANY,
        ) {
            let kind = if call { OptionKind::Call } else { OptionKind::Put };
            let option = BatchOption::new(kind, f * libm::exp(m), vol, 0).unwrap();
            let book = BatchBook::new(vec![BatchExpiry::new(f, years).unwrap()], &[option]).unwrap();
            let want = book.groups[0].scalar(&book.expiries[0], 0).unwrap();
            // A float's own digits: the logarithm of the strike is rounded before it is divided by the deviation.
            let sd = vol * libm::sqrt(years);
            let slack = 1e-12 + 4e-15 * (m.abs() / sd + 1.0) * (libm::log(f).abs() / sd);
            let close = |a: f64, b: f64, floor: f64| (a - b).abs() <= slack * b.abs() + floor;
            let mut checked = 0;
            book.each_full_block(|places, b, h| {
                assert_eq!(places, [0]);
                let (got, u) = (b.get(0).unwrap(), want.usd);
                let first = close(got.value, want.price.value, 1e-15 * f)
                    && close(got.delta, u.delta, 1e-15) && close(got.dual_delta, u.dual_delta, 1e-15)
                    && close(got.gamma, u.gamma, 1e-15 / f) && close(got.vega, u.vega, 1e-15 * f)
                    && close(got.theta, u.theta, 1e-15 * f);
                assert!(first, "{got:?} {want:?}");
                // Where a factor crosses zero only its own rounding is left.
                let size = 1e-13 * (1.0 + m.abs() / sd + sd) * (1.0 + m.abs() / sd + sd);
                for ((got, want), unit) in h.columns().map(|c| c[0]).into_iter()
                    .zip([u.vanna, u.volga, u.charm, u.speed, u.zomma])
                    .zip([1.0 / vol, f * libm::sqrt(years) / vol, 1.0 / years, u.gamma / f / sd, u.gamma / vol]) {
                    assert!(close(got, want, size * unit), "{got} {want} {unit}");
                }
                checked += 1;
            }).unwrap();
            prop_assert_eq!(checked, 1);
            book.each_value(|_, v| assert!(close(v[0], want.price.value, 1e-15 * f))).unwrap();
        }
    }

    #[test]
    fn results_come_back_in_the_order_given_and_follow_the_forward() {
        let expiries = vec![
            BatchExpiry::new(100.0, 0.1).unwrap(),
            BatchExpiry::new(110.0, 0.5).unwrap(),
            BatchExpiry::new(120.0, 1.0).unwrap(),
        ];
        let options: Vec<BatchOption> = (0..200_u32)
            .map(|i| {
                let kind = if i % 3 == 0 { OptionKind::Put } else { OptionKind::Call };
                let vol = if i % 50 == 7 { 0.0 } else { 0.4 + 0.002 * f64::from(i) };
                BatchOption::new(kind, 60.0 + 0.5 * f64::from(i), vol, i % 2 * 2).unwrap()
            })
            .collect();
        let mut book = BatchBook::new(expiries.clone(), &options).unwrap();
        book.move_forward(2, 130.0).unwrap();
        let mut out = vec![BatchGreeks::default(); options.len()];
        book.price(&mut out).unwrap();
        for (o, got) in options.iter().zip(&out) {
            let (forward, years) = if o.expiry == 0 { (100.0, 0.1) } else { (130.0, 1.0) };
            let kind = if o.sign > 0.0 { OptionKind::Call } else { OptionKind::Put };
            let input =
                BlackInput { forward, strike: o.strike, years, vol: o.vol, rate: 0.0, kind };
            let want = price_report(&input).unwrap();
            assert!((got.value - want.price.value).abs() <= 1e-12 * forward, "{o:?} {got:?}");
            assert!((got.dual_delta - want.usd.dual_delta).abs() <= 1e-12, "{o:?} {got:?}");
        }
        let mut seen = 0;
        book.each_value(|places, values| {
            for (p, v) in places.iter().zip(values) {
                assert_eq!(*v, out[*p as usize].value);
                seen += 1;
            }
        })
        .unwrap();
        assert_eq!(seen, 200);
    }

    #[test]
    fn bad_batches_are_refused_and_extremes_handed_on() {
        assert!(BatchExpiry::new(0.0, 1.0).is_err() && BatchExpiry::new(1.0, 0.0).is_err());
        assert!(BatchOption::new(OptionKind::Call, f64::NAN, 1.0, 0).is_err());
        let e = vec![BatchExpiry::new(100.0, 1.0).unwrap()];
        let far = BatchOption::new(OptionKind::Call, 1e9, 0.0, 0).unwrap();
        let lost = BatchOption { expiry: 7, ..far };
        let mut out = [BatchGreeks::default()];
        let mut book = BatchBook::new(e.clone(), &[far]).unwrap();
        book.price(&mut out).unwrap();
        assert_eq!(out[0].value, 0.0);
        assert!(book.price(&mut []).is_err());
        assert!(book.move_forward(1, 5.0).is_err() && book.move_forward(0, -5.0).is_err());
        assert!(BatchBook::new(e, &[lost]).is_err());
        assert_eq!(Block::ZERO.get(Block::WIDTH), None);
    }
}
