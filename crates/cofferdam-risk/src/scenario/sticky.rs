//! What a spot move does to volatilities: nothing at each strike (sticky strike), or the smile moves along (sticky
//! delta). Nobody knows which; the difference is shown as model risk.

use serde::{Deserialize, Serialize};

use super::leg::Leg;
use crate::error::{RiskError, finite, positive, same_length};
use crate::vol::SviSlice;

/// Profit of one spot move under both conventions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StickyPnl {
    /// Spot move.
    pub spot: f64,
    /// Profit in USD with volatility kept at each strike.
    pub sticky_strike: f64,
    /// Profit in USD with the smile moved along.
    pub sticky_delta: f64,
}

impl StickyPnl {
    /// Model risk of the move, USD.
    #[must_use]
    pub fn difference(&self) -> f64 {
        (self.sticky_delta - self.sticky_strike).abs()
    }
}

/// Evaluates a move of the net book; `smiles` gives the slice of each leg's expiry where one was fitted. The smile's own
/// shift is applied to the leg's volatility, so that a misfit today does not count as profit.
///
/// # Errors
/// Slices of different lengths, quantities that are not finite, or a move of -100 % or beyond.
pub fn sticky_pnl(
    legs: &[Leg],
    net: &[f64],
    smiles: &[Option<SviSlice>],
    spot: f64,
) -> Result<StickyPnl, RiskError> {
    same_length("quantities", net.len(), legs.len())?;
    same_length("smiles", smiles.len(), legs.len())?;
    let shock = positive("price after the move", 1.0 + spot)?;
    let (mut strike, mut delta) = (0.0, 0.0);
    for ((leg, q), smile) in legs.iter().zip(net).zip(smiles) {
        let q = finite("quantity", *q)?;
        let vol = leg.option().map_or(0.0, |o| o.vol);
        let base = leg.value(1.0, vol, 0.0)?;
        strike += q * (leg.value(shock, vol, 0.0)? - base);
        let moved = match (leg.option(), smile) {
            (Some(o), Some(s)) if o.strike > 0.0 && o.years > 0.0 => {
                let k = libm::log(o.strike / o.forward);
                let shift = s.vol(k - libm::log(shock), o.years) - s.vol(k, o.years);
                (vol + shift).max(0.0)
            }
            _ => vol,
        };
        delta += q * (leg.value(shock, moved, 0.0)? - base);
    }
    let out = StickyPnl { spot, sticky_strike: strike, sticky_delta: delta };
    finite("profit", out.sticky_strike + out.sticky_delta)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pricing::OptionKind;
    use crate::scenario::GridInstrument;

    #[test]
    fn a_skewed_smile_makes_the_two_conventions_differ_and_a_flat_one_does_not() {
        let leg = Leg::Option(GridInstrument {
            kind: OptionKind::Put,
            strike: 2_700.0,
            forward: 3_000.0,
            vol: 0.8,
            years: 0.1,
        });
        let skewed = SviSlice { a: 0.02, b: 0.1, rho: -0.6, m: 0.0, sigma: 0.2 };
        let flat = SviSlice { b: 0.0, ..skewed };
        let ask = |s| sticky_pnl(&[leg], &[-10.0], &[s], -0.1).unwrap();
        assert!(ask(Some(skewed)).difference() > 1.0);
        assert!(ask(Some(flat)).difference() < 1e-9 && ask(None).difference() == 0.0);
        // Falling spot under a negative skew: moved along, the strike sees a lower volatility.
        assert!(ask(Some(skewed)).sticky_delta > ask(Some(skewed)).sticky_strike);
        assert!(sticky_pnl(&[leg], &[], &[], -0.1).is_err());
        assert!(sticky_pnl(&[leg], &[1.0], &[None], -1.0).is_err());
    }
}
