//! Quantities as recordings write them: JSON numbers or hex strings.

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, de};

/// For `#[serde(deserialize_with)]`: a quantity that fits into `T`.
pub(super) fn quantity<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<U256>,
    D: Deserializer<'de>,
{
    let value = U256::deserialize(deserializer)?;
    T::try_from(value).map_err(|_| de::Error::custom(format!("quantity {value} is too large")))
}

/// As [`quantity`], or `None` for null; with `#[serde(default)]` also if absent.
pub(super) fn maybe<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: TryFrom<U256>,
    D: Deserializer<'de>,
{
    let Some(value) = Option::<U256>::deserialize(deserializer)? else { return Ok(None) };
    let small = T::try_from(value);
    small.map(Some).map_err(|_| de::Error::custom(format!("quantity {value} is too large")))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    struct It {
        #[serde(deserialize_with = "super::quantity")]
        a: u64,
        #[serde(default, deserialize_with = "super::maybe")]
        b: Option<u128>,
    }

    #[test]
    fn numbers_and_hex_are_the_same_and_too_large_is_an_error() {
        let parse = |text| serde_json::from_str::<It>(text);
        assert_eq!(parse(r#"{"a":255}"#).ok(), Some(It { a: 255, b: None }));
        assert_eq!(parse(r#"{"a":"0xff","b":null}"#).ok(), Some(It { a: 255, b: None }));
        assert_eq!(parse(r#"{"a":"0x0","b":"0x01"}"#).ok(), Some(It { a: 0, b: Some(1) }));
        assert!(parse(r#"{"a":"0x10000000000000000"}"#).is_err());
        assert!(parse(r#"{"a":-1}"#).is_err());
    }
}
