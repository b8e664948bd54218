//! Exact integers: a sign and 256 bits of magnitude.
//!
//! **Invariant:** an operation gives the mathematically exact result or a [`Fault`]; nothing wraps,
//! saturates or rounds except where its name says so (division truncates toward zero, as the EVM does).
//! Zero is never negative, so equality of the representation is equality of the number.

use std::{cmp::Ordering, fmt, str::FromStr};

use alloy_primitives::{Address, B256, U256, U512};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::error::Fault;

/// An integer in −(2²⁵⁶ − 1) ..= 2²⁵⁶ − 1: every `uint256`, every `int256` and their differences.
/// Addresses, hashes and truth values are carried as their number; the checker keeps them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Int {
    magnitude: U256,
    sign: Sign,
}

/// A whole word, so that an [`Int`] and a result of one are copied word by word: with a byte in it the
/// copies are misaligned and cost three times the arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u64)]
enum Sign {
    #[default]
    Plus,
    Minus,
}

impl Int {
    pub(crate) const ZERO: Self = Self { magnitude: U256::ZERO, sign: Sign::Plus };
    pub(crate) const ONE: Self = Self { magnitude: U256::ONE, sign: Sign::Plus };

    pub(crate) const fn unsigned(magnitude: U256) -> Self {
        Self { magnitude, sign: Sign::Plus }
    }

    pub(crate) fn signed(magnitude: U256, negative: bool) -> Self {
        let minus = negative && !magnitude.is_zero();
        Self { magnitude, sign: if minus { Sign::Minus } else { Sign::Plus } }
    }

    pub(crate) const fn truth(value: bool) -> Self {
        if value { Self::ONE } else { Self::ZERO }
    }

    /// The number whose 256-bit two's complement is `word`.
    pub(crate) fn from_twos_complement(word: U256) -> Self {
        if word.bit(255) { Self::signed(word.wrapping_neg(), true) } else { Self::unsigned(word) }
    }

    /// The 256-bit two's complement, if the number is an `int256`.
    pub(crate) fn twos_complement(self) -> Option<U256> {
        let limit = U256::ONE << 255;
        match self.is_negative() {
            true => (self.magnitude <= limit).then(|| self.magnitude.wrapping_neg()),
            false => (self.magnitude < limit).then_some(self.magnitude),
        }
    }

    pub(crate) const fn magnitude(self) -> U256 {
        self.magnitude
    }

    pub(crate) const fn is_negative(self) -> bool {
        matches!(self.sign, Sign::Minus)
    }

    pub(crate) fn is_true(self) -> bool {
        !self.magnitude.is_zero()
    }

    /// The low 160 bits as an address.
    pub(crate) fn address(self) -> Address {
        Address::from_word(B256::from(self.magnitude))
    }

    pub(crate) fn add(self, other: Self) -> Result<Self, Fault> {
        if self.sign == other.sign {
            let sum = self.magnitude.checked_add(other.magnitude).ok_or(Fault::Overflow)?;
            return Ok(Self::signed(sum, self.is_negative()));
        }
        let (gap, swapped) = match self.magnitude.cmp(&other.magnitude) {
            Ordering::Less => (other.magnitude - self.magnitude, true),
            _ => (self.magnitude - other.magnitude, false),
        };
        Ok(Self::signed(gap, if swapped { other.is_negative() } else { self.is_negative() }))
    }

    pub(crate) fn neg(self) -> Self {
        Self::signed(self.magnitude, !self.is_negative())
    }

    pub(crate) fn sub(self, other: Self) -> Result<Self, Fault> {
        self.add(other.neg())
    }

    pub(crate) fn mul(self, other: Self) -> Result<Self, Fault> {
        let product = self.magnitude.checked_mul(other.magnitude).ok_or(Fault::Overflow)?;
        Ok(Self::signed(product, self.sign != other.sign))
    }

    /// Truncates toward zero.
    pub(crate) fn div(self, other: Self) -> Result<Self, Fault> {
        let quotient = self.magnitude.checked_div(other.magnitude);
        let quotient = quotient.ok_or(Fault::DivisionByZero)?;
        Ok(Self::signed(quotient, self.sign != other.sign))
    }

    /// The remainder of [`Int::div`]: it has the sign of `self`.
    pub(crate) fn rem(self, other: Self) -> Result<Self, Fault> {
        let rest = self.magnitude.checked_rem(other.magnitude).ok_or(Fault::DivisionByZero)?;
        Ok(Self::signed(rest, self.is_negative()))
    }

    /// `self` × `times` ÷ `over`, exact in 512 bits, then truncated toward zero.
    pub(crate) fn mul_div(self, times: Self, over: Self) -> Result<Self, Fault> {
        if over.magnitude.is_zero() {
            return Err(Fault::DivisionByZero);
        }
        let negative = (self.sign != times.sign) != over.is_negative();
        if let Some(product) = self.magnitude.checked_mul(times.magnitude) {
            return Ok(Self::signed(product / over.magnitude, negative));
        }
        let product: U512 = self.magnitude.widening_mul(times.magnitude);
        let quotient = product / U512::from(over.magnitude);
        let quotient =
            U256::checked_from_limbs_slice(quotient.as_limbs()).ok_or(Fault::Overflow)?;
        Ok(Self::signed(quotient, negative))
    }

    /// The greatest integer whose square is not above `self` (Newton's method from above).
    pub(crate) fn sqrt(self) -> Result<Self, Fault> {
        if self.is_negative() {
            return Err(Fault::NegativeRoot);
        }
        let value = self.magnitude;
        if value.is_zero() {
            return Ok(Self::ZERO);
        }
        // 2^⌈bits/2⌉ is at least the root, and from above the sequence falls until it is reached.
        let mut root = U256::ONE << value.bit_len().div_ceil(2).min(255);
        loop {
            let next = (root.saturating_add(value / root)) >> 1;
            if next >= root {
                return Ok(Self::unsigned(root));
            }
            root = next;
        }
    }

    pub(crate) fn abs_diff(self, other: Self) -> Result<Self, Fault> {
        self.sub(other).map(|it| Self::unsigned(it.magnitude))
    }

    /// The decimal text of `self` / 10^`places`, without trailing zeros.
    pub(crate) fn decimal(self, places: u8) -> String {
        let places = usize::from(places);
        let digits = format!("{:0>width$}", self.magnitude, width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len().saturating_sub(places));
        let fraction = fraction.trim_end_matches('0');
        let sign = if self.is_negative() { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{sign}{whole}{point}{fraction}")
    }
}

impl From<u64> for Int {
    fn from(value: u64) -> Self {
        Self::unsigned(U256::from(value))
    }
}

impl From<Address> for Int {
    fn from(value: Address) -> Self {
        Self::unsigned(U256::from_be_bytes(value.into_word().0))
    }
}

impl From<B256> for Int {
    fn from(value: B256) -> Self {
        Self::unsigned(U256::from_be_bytes(value.0))
    }
}

impl Ord for Int {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_negative(), other.is_negative()) {
            (false, false) => self.magnitude.cmp(&other.magnitude),
            (true, true) => other.magnitude.cmp(&self.magnitude),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }
}

impl PartialOrd for Int {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Int {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_negative() { "-" } else { "" }, self.magnitude)
    }
}

impl FromStr for Int {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "an integer of at most 256 bits in decimal";
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |it| (true, it));
        let plain =
            (1..=78).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit());
        let magnitude = U256::from_str_radix(digits, 10).ok().filter(|_| plain).ok_or(FORM)?;
        Ok(Self::signed(magnitude, negative))
    }
}

impl Serialize for Int {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;
    use num_bigint::{BigInt, Sign};
    use proptest::prelude::*;

    use super::{Fault, Int};

    fn big(it: Int) -> BigInt {
        let sign = if it.is_negative() { Sign::Minus } else { Sign::Plus };
        BigInt::from_bytes_be(sign, &it.magnitude().to_be_bytes::<32>())
    }

    fn bounded(it: &BigInt) -> Option<String> {
        (it.bits() <= 256).then(|| it.to_string())
    }

    fn text(it: Result<Int, Fault>) -> Option<String> {
        it.ok().map(|it| it.to_string())
    }

    /// Any number of bits equally often, so that carries and limits are met.
    fn any_int() -> impl Strategy<Value = Int> {
        (any::<[u64; 4]>(), 0..=256_usize, any::<bool>(), any::<bool>()).prop_map(
            |(limbs, bits, negative, full)| {
                let word = if full { U256::MAX } else { U256::from_limbs(limbs) };
                let word = if bits == 0 { U256::ZERO } else { word >> (256 - bits) };
                Int::signed(word, negative)
            },
        )
    }

    proptest! {
        #[test]
        fn arithmetic_equals_big_integers_or_faults_outside_the_range(
            a in any_int(), b in any_int(), c in any_int(),
        ) {
            let (x, y, z) = (big(a), big(b), big(c));
            prop_assert_eq!(text(a.add(b)), bounded(&(&x + &y)));
            prop_assert_eq!(text(a.sub(b)), bounded(&(&x - &y)));
            prop_assert_eq!(text(a.mul(b)), bounded(&(&x * &y)));
            prop_assert_eq!(a.cmp(&b), x.cmp(&y));
            let nonzero = b != Int::ZERO;
            prop_assert_eq!(text(a.div(b)), nonzero.then(|| (&x / &y).to_string()));
            prop_assert_eq!(text(a.rem(b)), nonzero.then(|| (&x % &y).to_string()));
            let share = (c != Int::ZERO).then(|| &x * &y / &z).and_then(|it| bounded(&it));
            prop_assert_eq!(text(a.mul_div(b, c)), share);
            let root = (!a.is_negative()).then(|| x.sqrt().to_string());
            prop_assert_eq!(text(a.sqrt()), root);
        }

        #[test]
        fn text_and_twos_complement_round_trip(a in any_int()) {
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            if let Some(word) = a.twos_complement() {
                prop_assert_eq!(Int::from_twos_complement(word), a);
            }
        }
    }

    #[test]
    fn limits_fault_instead_of_wrapping() {
        let top = Int::unsigned(U256::MAX);
        assert_eq!(top.add(Int::ONE), Err(Fault::Overflow));
        assert_eq!(top.neg().sub(Int::ONE), Err(Fault::Overflow));
        assert_eq!(Int::ONE.div(Int::ZERO), Err(Fault::DivisionByZero));
        assert_eq!(Int::ONE.neg().sqrt(), Err(Fault::NegativeRoot));
        assert_eq!(top.sqrt().map(|it| it.magnitude()), Ok(U256::MAX >> 128));
        assert_eq!(top.mul_div(top, top), Ok(top));
    }

    #[test]
    fn decimals_are_placed_without_rounding() {
        assert_eq!(Int::from(1_500).decimal(3), "1.5");
        assert_eq!(Int::from(15).neg().decimal(3), "-0.015");
        assert_eq!(Int::ZERO.decimal(18), "0");
    }
}
