//! From integers of a ledger to floats of a model. Invariant: two entries of one asset never use different
//! decimals, and no amount is silently rounded to zero or infinity.

use std::collections::BTreeMap;

use crate::error::RiskError;

/// Most decimals a token may have here.
pub const DECIMALS_MAX: u8 = 36;

/// `raw / 10^decimals`.
///
/// # Errors
/// More than [`DECIMALS_MAX`] decimals.
pub fn scaled(raw: u128, decimals: u8) -> Result<f64, RiskError> {
    if decimals > DECIMALS_MAX {
        return Err(RiskError::OutOfDomain {
            name: "decimals",
            value: f64::from(decimals),
            domain: "0..=36",
        });
    }
    // Both exact below 2^53, correctly rounded above; 10^36 is a float to half an ulp.
    Ok(raw as f64 / libm::pow(10.0, f64::from(decimals)))
}

/// The decimals each asset was first seen with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decimals(BTreeMap<String, u8>);

impl Decimals {
    /// Scales an amount and remembers the decimals of its asset.
    ///
    /// # Errors
    /// [`RiskError::MixedDecimals`] when the asset came with others before; as [`scaled`].
    pub fn scale(&mut self, asset: &str, raw: u128, decimals: u8) -> Result<f64, RiskError> {
        let first = *self.0.entry(asset.to_owned()).or_insert(decimals);
        if first != decimals {
            return Err(RiskError::MixedDecimals {
                asset: asset.to_owned(),
                first,
                then: decimals,
            });
        }
        scaled(raw, decimals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_asset_has_one_number_of_decimals() {
        let mut d = Decimals::default();
        assert_eq!(d.scale("USDC", 2_500_000, 6).unwrap(), 2.5);
        assert_eq!(d.scale("WETH", 3_000_000_000_000_000_000, 18).unwrap(), 3.0);
        let mixed = d.scale("USDC", 1, 18);
        assert!(matches!(mixed, Err(RiskError::MixedDecimals { first: 6, then: 18, .. })));
        assert!(d.scale("odd", 1, 37).is_err());
        assert_eq!(scaled(u128::MAX, 0).unwrap(), u128::MAX as f64);
    }
}
