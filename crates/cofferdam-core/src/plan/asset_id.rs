//! Which asset: a token contract, or the chain's native one.

use alloy_primitives::Address;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chain::parse_address;

/// A token contract on the entity's chain, or the native asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssetId {
    /// The chain's native asset.
    Native,
    /// An ERC-20 token.
    Token(Address),
}

impl std::fmt::Display for AssetId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Native => f.write_str("native"),
            Self::Token(address) => address.fmt(f),
        }
    }
}

impl Serialize for AssetId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AssetId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "native" => Ok(Self::Native),
            text => parse_address(text).map(Self::Token).map_err(serde::de::Error::custom),
        }
    }
}

impl JsonSchema for AssetId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AssetId".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^(native|0x[0-9a-fA-F]{40})$" })
    }
}
