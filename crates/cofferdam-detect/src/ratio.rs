//! Exact ratios and roots of 256-bit integers. No floats: a threshold must mean the same everywhere.

use alloy_primitives::{U256, U512};
use cofferdam_core::Usd;

/// One, in the unit of shares: parts per million (hundredths of a basis point), as in
/// [`cofferdam_core::plan::BasisPoints`].
pub(crate) const ONE: u64 = 1_000_000;

/// `a × b / c` in 512 bits, rounded down; `None` if `c` is zero or the result does not fit.
pub(crate) fn mul_div(a: U256, b: U256, c: U256) -> Option<U256> {
    let product = U512::from(a) * U512::from(b);
    let quotient = product.checked_div(U512::from(c))?;
    (quotient.bit_len() <= 256).then(|| U256::saturating_from(quotient))
}

/// `part / whole` in parts per million, rounded down, saturating; `None` if `whole` is zero.
pub(crate) fn ppm(part: U256, whole: U256) -> Option<u64> {
    let scaled = U512::from(part) * U512::from(ONE);
    scaled.checked_div(U512::from(whole)).map(|it| u64::try_from(it).unwrap_or(u64::MAX))
}

/// `part / whole` in parts per million; `None` if `whole` is not positive, zero if `part` is not.
pub(crate) fn usd_ppm(part: Usd, whole: Usd) -> Option<u64> {
    let part = u128::try_from(part.0).unwrap_or(0);
    let whole = u128::try_from(whole.0).ok()?;
    ppm(U256::from(part), U256::from(whole))
}

/// How far `after` is below `before`, in parts per million of `before`; zero if it is not.
pub(crate) fn fall(before: U256, after: U256) -> u64 {
    ppm(before.saturating_sub(after), before).unwrap_or(0)
}

/// How far `after` is above `before`, in parts per million of `before`; zero if it is not.
pub(crate) fn rise(before: U256, after: U256) -> u64 {
    ppm(after.saturating_sub(before), before).unwrap_or(0)
}

/// The integer square root, rounded down (Newton's method from above).
pub(crate) fn isqrt(value: U512) -> U512 {
    if value < U512::from(2u8) {
        return value;
    }
    let mut root = U512::from(1u8) << value.bit_len().div_ceil(2);
    loop {
        let next = (root + value / root) >> 1;
        if next >= root {
            return root;
        }
        root = next;
    }
}

/// Parts per million as a percentage with two places, for people: `12.34 %`.
pub(crate) fn percent(ppm: u64) -> String {
    format!("{}.{:02} %", ppm / 10_000, ppm / 100 % 100)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{U256, U512};
    use proptest::prelude::*;

    use super::{fall, isqrt, mul_div, percent, ppm, rise};

    #[test]
    fn ratios_do_not_overflow_and_name_their_unit() {
        assert_eq!(ppm(U256::MAX, U256::MAX), Some(1_000_000));
        assert_eq!(ppm(U256::MAX, U256::from(1)), Some(u64::MAX));
        assert_eq!(ppm(U256::from(1), U256::ZERO), None);
        assert_eq!(mul_div(U256::MAX, U256::MAX, U256::MAX), Some(U256::MAX));
        assert_eq!((fall(U256::from(100), U256::from(75)), rise(U256::from(4), U256::from(5))), {
            (250_000, 250_000)
        });
        assert_eq!(percent(123_456), "12.34 %");
    }

    proptest! {
        #[test]
        fn the_root_squares_to_at_most_the_value(limbs in any::<[u64; 8]>()) {
            let value = U512::from_limbs(limbs);
            let root = isqrt(value);
            prop_assert!(root * root <= value);
            let next = root + U512::from(1u8);
            prop_assert!(next.checked_mul(next).is_none_or(|it| it > value));
        }
    }
}
