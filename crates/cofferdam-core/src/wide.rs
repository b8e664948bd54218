//! 128-bit integers in JSON: a number while it fits 64 bits, a decimal string beyond.
//!
//! serde's tagged enums buffer their content and cannot buffer 128-bit integers, and a JSON number
//! beyond 64 bits is read as a float. Both would make a journal record that cannot be read back.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserializer, Serializer, de};

/// Writes `value` as a number if it fits 64 bits, as a string otherwise.
pub(crate) fn serialize<T, S>(value: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    T: Copy + fmt::Display + TryInto<i64>,
    S: Serializer,
{
    match (*value).try_into() {
        Ok(small) => serializer.serialize_i64(small),
        Err(_) => serializer.collect_str(value),
    }
}

/// Reads what [`serialize`] writes.
pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr + TryFrom<i64> + TryFrom<u64>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(Wide(PhantomData))
}

struct Wide<T>(PhantomData<T>);

impl<T: FromStr + TryFrom<i64> + TryFrom<u64>> de::Visitor<'_> for Wide<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer or its decimal text")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use crate::Usd;

    #[test]
    fn money_of_any_size_round_trips_also_inside_a_tagged_enum() {
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "kind")]
        enum Tagged {
            Money { it: Usd },
        }
        for value in [0, -1, i128::from(i64::MAX), 1 << 63, 1 << 64, i128::MAX, i128::MIN] {
            let text = serde_json::to_string(&Tagged::Money { it: Usd(value) }).unwrap();
            let back: Tagged = serde_json::from_str(&text).unwrap();
            assert_eq!(back, Tagged::Money { it: Usd(value) }, "{text}");
        }
        assert_eq!(serde_json::to_string(&Usd(-7)).unwrap(), "-7");
        assert!(serde_json::from_str::<Usd>("1.5").is_err());
        assert!(serde_json::from_str::<Usd>("\"1e3\"").is_err());
    }
}
