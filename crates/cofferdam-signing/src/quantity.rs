//! Quantities in files: decimal strings out; decimal strings, `0x` strings and small JSON numbers in.
//!
//! **Invariant:** no number passes through a float.

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, Serializer, de};

#[derive(Deserialize)]
#[serde(untagged)]
enum Raw {
    Number(u64),
    Text(String),
}

/// Reads a quantity.
///
/// # Errors
/// If it is negative, fractional, larger than 256 bits or no number.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U256, D::Error> {
    match Raw::deserialize(deserializer)? {
        Raw::Number(it) => Ok(U256::from(it)),
        Raw::Text(it) => parse(&it).ok_or_else(|| {
            de::Error::custom(format!(
                "`{}` is no quantity",
                it.chars().take(80).collect::<String>()
            ))
        }),
    }
}

/// Writes a quantity as a decimal string.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(value: &U256, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A decimal or `0x` quantity; `None` if it is none.
pub fn parse(text: &str) -> Option<U256> {
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |it| (it, 16));
    let plain = !digits.is_empty()
        && digits.len() <= 78
        && digits.bytes().all(|it| char::from(it).is_digit(radix));
    let radix = u64::from(radix);
    plain.then(|| U256::from_str_radix(digits, radix).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::parse;

    #[test]
    fn quantities_are_decimal_or_hex_and_fit() {
        assert_eq!(parse("0"), Some(U256::ZERO));
        assert_eq!(parse("0x10"), Some(U256::from(16)));
        assert_eq!(parse(&U256::MAX.to_string()), Some(U256::MAX));
        let too_large = format!("{}0", U256::MAX);
        for text in ["", "0x", "-1", "1.5", "1e3", "+1", "0xg", "1_000", &too_large] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
