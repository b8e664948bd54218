//! Variables: typed texts, as the standard has them.
//!
//! **Invariant:** a variable that has a value has one that its type allows. A type of the open
//! vocabulary that we do not know allows any text.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::number::Number;

/// Longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 64 << 10;

/// One variable of a playbook or step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its value as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether nobody may change it.
    #[serde(default)]
    pub constant: bool,
    /// Whether the caller may set it at the start.
    #[serde(default)]
    pub external: bool,
}

/// Types that hold a number.
const NUMERIC: &[&str] = &["integer", "long", "float", "uint256", "int256"];

/// Types of the vocabulary (§10.18.4), and `uint256` and `int256` of ours.
pub const KINDS: &[&str] = &[
    "bool",
    "dictionary",
    "float",
    "hash",
    "hexstring",
    "int256",
    "integer",
    "ipv4-addr",
    "ipv6-addr",
    "long",
    "mac-addr",
    "md5-hash",
    "sha256-hash",
    "string",
    "uint256",
    "uri",
    "uuid",
];

/// Whether `kind` holds a number.
pub fn is_numeric(kind: &str) -> bool {
    NUMERIC.contains(&kind)
}

/// Whether `name` is a variable's name: `__name__`.
pub fn is_name(name: &str) -> bool {
    let Some(inner) = name.strip_prefix("__").and_then(|it| it.strip_suffix("__")) else {
        return false;
    };
    let mut bytes = inner.bytes();
    inner.len() <= 200
        && bytes.next().is_some_and(|it| it.is_ascii_alphabetic() || it == b'_')
        && bytes.all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-'))
}

/// Why `value` is not one of type `kind`; `None` if it is.
pub fn unfit(kind: &str, value: &str) -> Option<String> {
    if value.len() > VALUE_BYTES_MAX {
        return Some(format!("a value has at most {VALUE_BYTES_MAX} bytes"));
    }
    let hex = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_hexdigit());
    let fits = match kind {
        "bool" => matches!(value, "true" | "false"),
        "integer" | "long" => value.parse::<i64>().is_ok(),
        "uint256" => Number::parse(value).is_some_and(|it| it.is_whole() && !it.is_negative()),
        "int256" => Number::parse(value).is_some_and(|it| it.fits_int256()),
        "float" => Number::parse(value).is_some(),
        "hexstring" => hex(value.strip_prefix("0x").unwrap_or(value)),
        "hash" => hex(value),
        "md5-hash" => hex(value) && value.len() == 32,
        "sha256-hash" => hex(value) && value.len() == 64,
        "ipv4-addr" => address::<Ipv4Addr>(value, 32),
        "ipv6-addr" => address::<Ipv6Addr>(value, 128),
        "mac-addr" => {
            let parts: Vec<&str> = value.split(':').collect();
            parts.len() == 6 && parts.iter().all(|it| it.len() == 2 && hex(it))
        }
        "uuid" => is_uuid(value),
        "uri" => value.split_once(':').is_some_and(|(scheme, rest)| {
            !rest.is_empty()
                && scheme.starts_with(|it: char| it.is_ascii_alphabetic())
                && scheme.bytes().all(|it| it.is_ascii_alphanumeric() || b"+-.".contains(&it))
        }),
        "dictionary" => value.trim_start().starts_with('{') && crate::json::parse(value).is_ok(),
        _ => true,
    };
    // The value itself is not repeated: it may be long, and it may be hostile.
    (!fits).then(|| format!("the value is not of type `{kind}`"))
}

/// An address, or a network in CIDR notation.
fn address<T: std::str::FromStr>(value: &str, bits_max: u8) -> bool {
    let (address, bits) = value.split_once('/').unwrap_or((value, "0"));
    address.parse::<T>().is_ok() && bits.parse::<u8>().is_ok_and(|it| it <= bits_max)
}

/// Whether `text` is a UUID of RFC 4122 with version and variant, as the standard's pattern says.
pub fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(index, it)| match index {
            8 | 13 | 18 | 23 => *it == b'-',
            14 => (b'1'..=b'5').contains(it),
            19 => matches!(it, b'8' | b'9' | b'a' | b'b' | b'A' | b'B'),
            _ => it.is_ascii_hexdigit(),
        })
}

/// Names of variables that `text` refers to as `__name__:value`.
pub fn references(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(":value") {
        if let Some(name) = trailing_name(&rest[..at]) {
            out.push(name);
        }
        rest = &rest[at + ":value".len()..];
    }
    out
}

/// The variable name that `text` ends with.
fn trailing_name(text: &str) -> Option<&str> {
    let start = text
        .rfind(|it: char| !(it.is_ascii_alphanumeric() || it == '_' || it == '-'))
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    // A letter or dash may stand directly before the name.
    let candidate = &text[start..];
    let at = candidate.find("__")?;
    Some(&candidate[at..]).filter(|it| is_name(it))
}

/// `text` with every `__name__:value` replaced by what `lookup` says.
///
/// # Errors
///
/// The name of a variable without a value.
pub fn substitute<'a>(
    text: &str,
    lookup: impl Fn(&str) -> Option<&'a str>,
) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(":value") {
        let before = &rest[..at];
        match trailing_name(before) {
            Some(name) => {
                let value = lookup(name).ok_or_else(|| name.to_owned())?;
                out.push_str(&before[..before.len() - name.len()]);
                out.push_str(value);
            }
            None => out.push_str(&rest[..at + ":value".len()]),
        }
        rest = &rest[at + ":value".len()..];
        if out.len() > VALUE_BYTES_MAX {
            break;
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{is_name, references, substitute, unfit};

    #[test]
    fn values_fit_their_types() {
        for (kind, good, bad) in [
            ("bool", "true", "True"),
            ("integer", "-42", "4.2"),
            ("long", "9223372036854775807", "9223372036854775808"),
            (
                "uint256",
                "115792089237316195423570985008687907853269984665640564039457584007913129639935",
                "-1",
            ),
            (
                "int256",
                "-57896044618658097711785492504343953926634992332820282019728792003956564819968",
                "1.5",
            ),
            ("float", "-1.25", "1,25"),
            ("hexstring", "0xdeadbeef", "0x"),
            ("md5-hash", "d41d8cd98f00b204e9800998ecf8427e", "d41d8cd9"),
            ("ipv4-addr", "10.0.0.0/8", "10.0.0.0/33"),
            ("ipv6-addr", "2001:db8::1", "2001::db8::1"),
            ("mac-addr", "00:1b:63:84:45:e6", "00:1b:63:84:45"),
            (
                "uuid",
                "0971eaa5-68b2-5c51-a59e-97a7192fdd01",
                "0971eaa5-68b2-7c51-a59e-97a7192fdd01",
            ),
            ("uri", "https://example.org", "://"),
            ("dictionary", "{\"a\": 1}", "[1]"),
        ] {
            assert_eq!(unfit(kind, good), None, "{kind} {good}");
            assert!(unfit(kind, bad).is_some(), "{kind} {bad}");
        }
        assert_eq!(unfit("evm-address", "whatever"), None);
    }

    #[test]
    fn references_are_replaced() {
        let text = "pause __action__:value for __x-1__:value; :value and a__b__:value stay put";
        assert_eq!(references(text), ["__action__", "__x-1__", "__b__"]);
        let lookup = |name: &str| (name != "__b__").then_some("Ä:value");
        assert_eq!(substitute(text, lookup), Err("__b__".into()));
        assert_eq!(substitute("é__a__:value!", lookup), Ok("éÄ:value!".into()));
        assert!(is_name("__a__") && !is_name("__1__") && !is_name("____") && !is_name("a"));
    }
}
