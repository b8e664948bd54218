//! Money and probability as integers with their unit in the type.

use std::fmt;

use alloy_primitives::{U256, U512};
use serde::{Deserialize, Serialize};

/// An amount of US dollars in micro-dollars (10⁻⁶ USD). Signed: a negative amount is a loss or cost
/// where the field says so. All arithmetic saturates; ±1.7e32 USD cannot be reached by real money,
/// and a hostile token amount must not panic or wrap.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Usd(#[serde(with = "crate::wide")] pub i128);

/// A probability in parts per billion, 0 ..= 1_000_000_000. Integer so that the journal and the
/// decision replay bit by bit on every platform.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Probability(pub u32);

impl Usd {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// `dollars` whole dollars.
    pub const fn whole(dollars: i128) -> Self {
        Self(dollars.saturating_mul(1_000_000))
    }

    /// The value of `amount` base units of an asset with `decimals` at `price` per whole unit.
    /// Exact in 512 bits, then rounded toward zero and saturated to the range of `Usd`.
    pub fn of(amount: U256, decimals: u8, price: Usd) -> Self {
        let price_abs = price.0.unsigned_abs();
        let product = U512::from(amount).saturating_mul(U512::from(price_abs));
        let scale = U512::from(10u8).checked_pow(U512::from(decimals)).unwrap_or(U512::MAX);
        let value = product / scale;
        let magnitude = u128::try_from(value).unwrap_or(u128::MAX).min(i128::MAX as u128) as i128;
        Self(if price.0 < 0 { -magnitude } else { magnitude })
    }

    /// Saturating sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Saturating difference.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// `self` times a probability, rounded toward zero.
    #[must_use]
    pub fn weighted(self, by: Probability) -> Self {
        let billion = i128::from(Probability::CERTAIN.0);
        let (whole, rest) = (self.0 / billion, self.0 % billion);
        let by = i128::from(by.0);
        Self(whole.saturating_mul(by).saturating_add(rest.saturating_mul(by) / billion))
    }
}

impl Probability {
    /// Impossible.
    pub const NEVER: Self = Self(0);
    /// Certain.
    pub const CERTAIN: Self = Self(1_000_000_000);

    /// The complement, 1 − p.
    #[must_use]
    pub fn complement(self) -> Self {
        Self(Self::CERTAIN.0.saturating_sub(self.0))
    }
}

impl fmt::Display for Usd {
    /// Dollars with thousands separators, cents only below 1,000 dollars: `$1,234,567`, `$12.34`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        let (dollars, cents) = (micros / 1_000_000, micros / 10_000 % 100);
        if dollars < 1_000 {
            return write!(f, "{sign}${dollars}.{cents:02}");
        }
        let digits = dollars.to_string();
        let mut grouped = String::with_capacity(digits.len() * 4 / 3);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        write!(f, "{sign}${grouped}")
    }
}

impl fmt::Display for Probability {
    /// A percentage with as many digits as the size asks for: `99.97 %`, `0.0042 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000_000, self.0 % 10_000_000);
        if self.0 >= 1_000_000 || self.0 == 0 {
            write!(f, "{whole}.{:02} %", rest / 100_000)
        } else {
            write!(f, "{whole}.{rest:07} %")
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::{Probability, Usd};

    #[test]
    fn value_is_exact_and_saturates() {
        let price = Usd::whole(2_000);
        assert_eq!(
            Usd::of(U256::from(15u64) * U256::from(10u64).pow(U256::from(17)), 18, price),
            Usd::whole(3_000)
        );
        assert_eq!(Usd::of(U256::MAX, 0, price), Usd(i128::MAX));
        assert_eq!(Usd::of(U256::MAX, 255, price), Usd::ZERO);
    }

    #[test]
    fn money_and_probability_print_for_people() {
        assert_eq!(Usd(1_234_567_890_000).to_string(), "$1,234,567");
        assert_eq!(Usd(-12_340_000).to_string(), "-$12.34");
        assert_eq!(Probability(999_712_345).to_string(), "99.97 %");
        assert_eq!(Probability(42_000).to_string(), "0.0042000 %");
    }

    #[test]
    fn weighting_keeps_precision_for_large_sums() {
        assert_eq!(Usd::whole(1_000_000).weighted(Probability(500_000_000)), Usd::whole(500_000));
        assert_eq!(Usd(i128::MAX).weighted(Probability::CERTAIN), Usd(i128::MAX));
    }
}
