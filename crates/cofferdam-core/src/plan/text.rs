//! Quantities in a plan: decimal strings with their unit, e.g. `"250000 usd"`, `"0.5 eth"`, `"15m"`.
//! TOML integers stop at 2^63 and carry no unit, hence strings.

use std::{fmt, str::FromStr};

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Usd;

/// Why a quantity was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct TextError {
    /// What was given, cut to 80 characters.
    pub text: String,
    /// What is expected, with an example.
    pub expected: &'static str,
}

/// US dollars, e.g. `"250000 usd"` or `"0.9997 usd"`; at most six decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsdText(pub Usd);

/// A native amount, e.g. `"0.5 eth"`, `"30 gwei"`, `"1 wei"`; kept in wei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WeiText(pub U256);

/// A duration, e.g. `"500ms"`, `"12s"`, `"15m"`, `"4h"`, `"7d"`; kept in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DurationText(pub u64);

/// A share, e.g. `"25 %"` or `"50 bps"`; kept in hundredths of a basis point (10⁻⁶).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BasisPoints(pub u64);

/// A token amount in whole tokens, e.g. `"1000.5"`; scaled by the token's decimals when used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenAmount {
    /// All digits, without the point.
    pub digits: U256,
    /// How many of them stand after the point.
    pub scale: u8,
}

const USD: &str = "an amount in dollars, such as \"250000 usd\"";
const WEI: &str = "a native amount, such as \"0.5 eth\" or \"30 gwei\"";
const DURATION: &str = "a duration, such as \"12s\", \"15m\" or \"7d\"";
const SHARE: &str = "a share, such as \"25 %\" or \"50 bps\"";
const TOKENS: &str = "a token amount, such as \"1000.5\"";

fn refuse(text: &str, expected: &'static str) -> TextError {
    TextError { text: text.chars().take(80).collect(), expected }
}

/// Splits `"<decimal> <unit>"`; the blank is optional.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

/// `number` × 10^`places` as an integer; `None` if it is no decimal or has more places.
fn scaled(number: &str, places: usize) -> Option<U256> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |it: &str| it.bytes().all(|byte| byte.is_ascii_digit());
    let shaped = !whole.is_empty() && digits(whole) && digits(fraction);
    if !shaped || fraction.len() > places || number.ends_with('.') || whole.len() > 60 {
        return None;
    }
    let text = format!("{whole}{fraction:0<places$}");
    U256::from_str_radix(&text, 10).ok()
}

impl FromStr for UsdText {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let (number, unit) = split(text);
        let micros =
            scaled(number, 6).filter(|_| unit == "usd").ok_or_else(|| refuse(text, USD))?;
        let micros = i128::try_from(micros).map_err(|_| refuse(text, USD))?;
        Ok(Self(Usd(micros)))
    }
}

impl FromStr for WeiText {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let (number, unit) = split(text);
        let places = match unit {
            "eth" => 18,
            "gwei" => 9,
            "wei" => 0,
            _ => return Err(refuse(text, WEI)),
        };
        scaled(number, places).map(Self).ok_or_else(|| refuse(text, WEI))
    }
}

impl FromStr for DurationText {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let (number, unit) = split(text);
        let ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(refuse(text, DURATION)),
        };
        let count: u64 = number.parse().map_err(|_| refuse(text, DURATION))?;
        count.checked_mul(ms).map(Self).ok_or_else(|| refuse(text, DURATION))
    }
}

impl FromStr for BasisPoints {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let (number, unit) = split(text);
        let places = match unit {
            "%" => 4,
            "bps" => 2,
            _ => return Err(refuse(text, SHARE)),
        };
        let parts = scaled(number, places).and_then(|it| u64::try_from(it).ok());
        parts.map(Self).ok_or_else(|| refuse(text, SHARE))
    }
}

impl FromStr for TokenAmount {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let places = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let scale = u8::try_from(places).map_err(|_| refuse(text, TOKENS))?;
        let digits = scaled(text, places).ok_or_else(|| refuse(text, TOKENS))?;
        Ok(Self { digits, scale })
    }
}

impl TokenAmount {
    /// The amount in base units of a token with `decimals`; `None` if it has more places than the
    /// token or does not fit.
    pub fn base_units(&self, decimals: u8) -> Option<U256> {
        let missing = decimals.checked_sub(self.scale)?;
        self.digits.checked_mul(U256::from(10u8).checked_pow(U256::from(missing))?)
    }
}

impl BasisPoints {
    /// `self` of `amount`, rounded up, saturating.
    pub fn of(self, amount: U256) -> U256 {
        let million = alloy_primitives::U512::from(1_000_000u64);
        let product = alloy_primitives::U512::from(amount) * alloy_primitives::U512::from(self.0);
        let share = product.div_ceil(million);
        U256::saturating_from(share)
    }
}

/// The decimal text of `value` / 10^`places` without trailing zeros.
fn decimal(value: U256, places: usize) -> String {
    let digits = format!("{value:0>width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

impl fmt::Display for UsdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} usd", decimal(U256::from(self.0.0.unsigned_abs()), 6))
    }
}

impl fmt::Display for WeiText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} eth", decimal(self.0, 18))
    }
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        for (ms, unit) in units {
            if self.0 > 0 && self.0.is_multiple_of(ms) {
                return write!(f, "{}{unit}", self.0 / ms);
            }
        }
        write!(f, "{}ms", self.0)
    }
}

impl fmt::Display for BasisPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", decimal(U256::from(self.0), 4))
    }
}

impl fmt::Display for TokenAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.digits, usize::from(self.scale)))
    }
}

macro_rules! as_text {
    ($($name:ident: $pattern:literal, $example:literal;)*) => {$(
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
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "examples": [$example] })
            }
        }
    )*};
}
as_text! {
    UsdText: r"^[0-9]+(\.[0-9]{1,6})? ?usd$", "250000 usd";
    WeiText: r"^[0-9]+(\.[0-9]{1,18})? ?(eth|gwei|wei)$", "0.5 eth";
    DurationText: r"^[0-9]+ ?(ms|s|m|h|d)$", "15m";
    BasisPoints: r"^[0-9]+(\.[0-9]{1,4})? ?(%|bps)$", "25 %";
    TokenAmount: r"^[0-9]+(\.[0-9]+)?$", "1000.5";
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::{BasisPoints, DurationText, TokenAmount, UsdText, WeiText};
    use crate::Usd;

    #[test]
    fn quantities_read_and_print() {
        assert_eq!("250000 usd".parse::<UsdText>().map(|it| it.0), Ok(Usd::whole(250_000)));
        assert_eq!(
            "0.9997 usd".parse::<UsdText>().map(|it| it.to_string()).as_deref(),
            Ok("0.9997 usd")
        );
        assert_eq!("30 gwei".parse::<WeiText>().map(|it| it.0), Ok(U256::from(30_000_000_000u64)));
        assert_eq!("15m".parse::<DurationText>().map(|it| it.0), Ok(900_000));
        assert_eq!("25 %".parse::<BasisPoints>(), "2500 bps".parse());
        assert_eq!(
            "0.5".parse::<TokenAmount>().ok().and_then(|it| it.base_units(6)),
            Some(U256::from(500_000))
        );
    }

    #[test]
    fn a_share_rounds_up_and_never_overflows() {
        assert_eq!(BasisPoints(250_000).of(U256::from(5)), U256::from(2));
        assert_eq!(BasisPoints(1_000_000).of(U256::MAX), U256::MAX);
        assert_eq!(BasisPoints(u64::MAX).of(U256::MAX), U256::MAX);
    }

    #[test]
    fn quantities_without_unit_or_with_too_many_places_are_refused() {
        for text in ["250000", "1e6 usd", "-1 usd", ".5 usd", "1. usd", "0.0000001 usd", "", "usd"]
        {
            assert!(text.parse::<UsdText>().is_err(), "{text}");
        }
        assert!("1 parsec".parse::<WeiText>().is_err());
        assert!("99999999999999999999d".parse::<DurationText>().is_err());
        assert!("0.5".parse::<TokenAmount>().is_ok_and(|it| it.base_units(0).is_none()));
    }
}
