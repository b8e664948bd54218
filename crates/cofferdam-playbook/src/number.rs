//! Exact decimal numbers of up to 256 bits, for conditions.
//!
//! **Invariant:** no float. A comparison that would need more than 256 bits is a fault, never an
//! answer.

use std::cmp::Ordering;

use alloy_primitives::U256;

/// Most digits after the point.
const FRACTION_MAX: u32 = 30;

/// A decimal number: digits, and how many of them stand after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    negative: bool,
    digits: U256,
    fraction: u32,
}

impl Number {
    /// Reads `-12.5`. `None` for what is no plain decimal number of 256 bits.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, body) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
        let plain = |it: &str| it.bytes().all(|it| it.is_ascii_digit());
        let dangling = body.contains('.') && fraction.is_empty();
        if whole.is_empty() || dangling || !plain(whole) || !plain(fraction) || body.len() > 120 {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let places = u32::try_from(fraction.len()).ok().filter(|it| *it <= FRACTION_MAX)?;
        let digits = U256::from_str_radix(&format!("{whole}{fraction}"), 10).ok()?;
        Some(Self { negative: negative && !digits.is_zero(), digits, fraction: places })
    }

    /// Whether it has no digits after the point.
    pub fn is_whole(&self) -> bool {
        self.fraction == 0
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether it is a whole number of 256 bits with sign.
    pub fn fits_int256(&self) -> bool {
        let half = U256::from(1) << 255;
        self.is_whole() && if self.negative { self.digits <= half } else { self.digits < half }
    }

    /// Which is larger; `None` if that would need more than 256 bits.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self.negative, other.negative) {
            (true, false) => return Some(Ordering::Less),
            (false, true) => return Some(Ordering::Greater),
            _ => {}
        }
        let scale = |it: &Self, places: u32| {
            let factor = U256::from(10).checked_pow(U256::from(places - it.fraction))?;
            it.digits.checked_mul(factor)
        };
        let places = self.fraction.max(other.fraction);
        let order = scale(self, places)?.cmp(&scale(other, places)?);
        Some(if self.negative { order.reverse() } else { order })
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering::{Equal, Greater, Less};

    use proptest::prelude::*;

    use super::Number;

    fn compare(a: &str, b: &str) -> Option<std::cmp::Ordering> {
        Number::parse(a)?.compare(&Number::parse(b)?)
    }

    #[test]
    fn numbers_compare_exactly() {
        assert_eq!(compare("1.50", "1.5"), Some(Equal));
        assert_eq!(compare("-0", "0"), Some(Equal));
        assert_eq!(compare("-2", "-1.999"), Some(Less));
        assert_eq!(compare("0.1", "-5"), Some(Greater));
        let max = alloy_primitives::U256::MAX.to_string();
        assert_eq!(compare(&max, "9007199254740993"), Some(Greater));
        assert_eq!(compare(&max, "0.5"), None, "more than 256 bits is no answer");
        for bad in ["", "-", "1.", ".5", "+1", "1e5", "0x10", " 1"] {
            assert_eq!(Number::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn it_orders_as_integers_do(a: i64, b: i64) {
            prop_assert_eq!(compare(&a.to_string(), &b.to_string()), Some(a.cmp(&b)));
        }
    }
}
