//! Chains and accounts in CAIP-2 and CAIP-10 notation.

use std::{fmt, str::FromStr};

use alloy_primitives::Address;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// EIP-155 chain identifier, written as CAIP-2: `eip155:1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(pub u64);

/// An account on a chain, written as CAIP-10: `eip155:1:0xab16a96D…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId {
    /// The chain the account lives on.
    pub chain: ChainId,
    /// Its 20-byte address.
    pub address: Address,
}

/// Text that is not a CAIP-2 chain or CAIP-10 account of the `eip155` namespace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaipError {
    /// The text has another shape.
    #[error("`{text}` is not of the form `{form}`")]
    Shape {
        /// What was given, cut to 80 characters.
        text: String,
        /// The expected form.
        form: &'static str,
    },
    /// The address has mixed case but a wrong EIP-55 checksum.
    #[error("address `{text}` has a wrong EIP-55 checksum; did you mean `{expected}`?")]
    Checksum {
        /// What was given.
        text: String,
        /// The same address with the right checksum.
        expected: String,
    },
}

const CHAIN_FORM: &str = "eip155:<chain id>";
const ACCOUNT_FORM: &str = "eip155:<chain id>:0x<40 hex digits>";

fn shape(text: &str, form: &'static str) -> CaipError {
    CaipError::Shape { text: text.chars().take(80).collect(), form }
}

/// Parses a `0x` address; mixed case must carry a valid EIP-55 checksum.
///
/// # Errors
/// [`CaipError::Shape`] if it is no address, [`CaipError::Checksum`] if the checksum is wrong.
pub fn parse_address(text: &str) -> Result<Address, CaipError> {
    let digits = text.strip_prefix("0x").ok_or_else(|| shape(text, "0x<40 hex digits>"))?;
    let address = Address::from_str(text).map_err(|_| shape(text, "0x<40 hex digits>"))?;
    let mixed = digits.bytes().any(|it| it.is_ascii_uppercase())
        && digits.bytes().any(|it| it.is_ascii_lowercase());
    let expected = address.to_checksum(None);
    if mixed && expected != text {
        return Err(CaipError::Checksum { text: text.to_owned(), expected });
    }
    Ok(address)
}

impl FromStr for ChainId {
    type Err = CaipError;
    fn from_str(text: &str) -> Result<Self, CaipError> {
        let id = text.strip_prefix("eip155:").ok_or_else(|| shape(text, CHAIN_FORM))?;
        let plain = !id.is_empty() && id.bytes().all(|it| it.is_ascii_digit());
        if !plain || (id.len() > 1 && id.starts_with('0')) {
            return Err(shape(text, CHAIN_FORM));
        }
        id.parse().map(ChainId).map_err(|_| shape(text, CHAIN_FORM))
    }
}

impl FromStr for AccountId {
    type Err = CaipError;
    fn from_str(text: &str) -> Result<Self, CaipError> {
        let (chain, address) = text.rsplit_once(':').ok_or_else(|| shape(text, ACCOUNT_FORM))?;
        let chain = chain.parse().map_err(|_| shape(text, ACCOUNT_FORM))?;
        Ok(Self { chain, address: parse_address(address)? })
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "eip155:{}", self.0)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.chain, self.address)
    }
}

macro_rules! as_text {
    ($name:ident, $form:expr, $example:expr) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $form, "examples": [$example] })
            }
        }
    };
}
as_text!(ChainId, "^eip155:(0|[1-9][0-9]*)$", "eip155:1");
as_text!(
    AccountId,
    "^eip155:(0|[1-9][0-9]*):0x[0-9a-fA-F]{40}$",
    "eip155:1:0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
);

#[cfg(test)]
mod tests {
    use super::{AccountId, ChainId};

    #[test]
    fn caip_identifiers_round_trip() {
        let text = "eip155:1:0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2";
        assert_eq!(text.parse::<AccountId>().map(|it| it.to_string()).as_deref(), Ok(text));
        assert_eq!("eip155:31337".parse(), Ok(ChainId(31337)));
    }

    #[test]
    fn wrong_identifiers_are_refused() {
        for text in [
            "",
            "1",
            "eip155:",
            "eip155:+1",
            "eip155:01",
            "cosmos:1",
            "eip155:99999999999999999999",
        ] {
            assert!(text.parse::<ChainId>().is_err(), "{text}");
        }
        let typo = "eip155:1:0xc02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2";
        let error = typo.parse::<AccountId>().map_err(|it| it.to_string());
        assert!(error.is_err_and(|it| it.contains("did you mean `0xC02a")));
    }
}
