//! How numbers and doors are written in a fragment: decimal amounts, hex selectors, `contract:selector`.

use std::{fmt, str::FromStr};

use alloy_primitives::{Address, hex};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Door;

/// 256-bit integers as decimal text: a TOML integer has 64 bits.
pub(crate) mod decimal {
    use alloy_primitives::U256;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(value: &U256, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<U256, D::Error> {
        let text = String::deserialize(from)?;
        let plain = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        let value = plain.then(|| U256::from_str_radix(&text, 10).ok()).flatten();
        value.ok_or_else(|| de::Error::custom("write a decimal number in quotes"))
    }
}

/// A function selector, or none for a call with fewer than four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(pub Option<[u8; 4]>);

/// Text that is no selector or door.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not of the form `{1}`")]
pub struct TextError(String, &'static str);

impl TextError {
    pub(crate) fn new(text: &str, form: &'static str) -> Self {
        Self(text.chars().take(80).collect(), form)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(it) => f.write_str(&hex::encode_prefixed(it)),
            None => f.write_str("none"),
        }
    }
}

impl FromStr for Selector {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        if text == "none" {
            return Ok(Self(None));
        }
        let bytes = text.strip_prefix("0x").and_then(|it| hex::decode(it).ok());
        let bytes = bytes.and_then(|it| it.try_into().ok());
        bytes
            .map(|it| Self(Some(it)))
            .ok_or_else(|| TextError::new(text, "0x<8 hex digits> or none"))
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}:{}", self.contract, self.selector)
    }
}

impl FromStr for Door {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let wrong = || TextError::new(text, "0x<address>:0x<selector>");
        let (contract, selector) = text.split_once(':').ok_or_else(wrong)?;
        let contract = Address::from_str(contract).map_err(|_| wrong())?;
        Ok(Self { contract, selector: selector.parse()? })
    }
}

/// Two doors, one after or within the other: `a > b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The first or outer one.
    pub first: Door,
    /// The second or inner one.
    pub second: Door,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.first, self.second)
    }
}

impl FromStr for Pair {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let parts = text.split_once(" > ");
        let (first, second) = parts.ok_or_else(|| TextError::new(text, "<door> > <door>"))?;
        Ok(Self { first: first.parse()?, second: second.parse()? })
    }
}

macro_rules! as_text {
    ($name:ident, $form:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $form })
            }
        }
    };
}
as_text!(Selector, "^(none|0x[0-9a-f]{8})$");
as_text!(Door, "^0x[0-9a-f]{40}:(none|0x[0-9a-f]{8})$");
as_text!(Pair, "^0x[0-9a-f]{40}:(none|0x[0-9a-f]{8}) > 0x[0-9a-f]{40}:(none|0x[0-9a-f]{8})$");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Pair;
    use crate::Door;

    proptest! {
        #[test]
        fn doors_and_pairs_survive_a_trip_through_text(
            a in any::<[u8; 20]>(), b in any::<[u8; 20]>(), selector in any::<Option<[u8; 4]>>(),
        ) {
            let door = |it: [u8; 20], selector| Door::new(it.into(), selector);
            let pair = Pair { first: door(a, selector), second: door(b, None) };
            prop_assert_eq!(pair.to_string().parse::<Pair>(), Ok(pair));
        }

        #[test]
        fn other_text_is_refused_without_panic(text in ".{0,120}") {
            prop_assert!(text.parse::<Pair>().is_err());
        }
    }
}
