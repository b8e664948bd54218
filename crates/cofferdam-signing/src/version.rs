//! Releases of the Safe contracts, as far as they differ in what is signed.
//!
//! **Invariant:** there is no default release. A text that names none of these is an error, because another release may
//! hash the same transaction to something else.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A release of the Safe contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SafeVersion {
    /// 1.0.0: the domain holds no chain id.
    V1_0_0,
    /// 1.1.1.
    V1_1_1,
    /// 1.2.0.
    V1_2_0,
    /// 1.3.0: the chain id is in the domain.
    V1_3_0,
    /// 1.4.1.
    V1_4_1,
    /// 1.5.0: contract signatures are asked for with `isValidSignature(bytes32,bytes)`; modules can be guarded.
    V1_5_0,
}

/// A text that names no known release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no Safe release that this program can hash for")]
pub struct UnknownVersion(pub String);

impl SafeVersion {
    /// Every release, oldest first.
    pub const ALL: [Self; 6] =
        [Self::V1_0_0, Self::V1_1_1, Self::V1_2_0, Self::V1_3_0, Self::V1_4_1, Self::V1_5_0];

    /// As the contract's `VERSION()` says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_1 => "1.1.1",
            Self::V1_2_0 => "1.2.0",
            Self::V1_3_0 => "1.3.0",
            Self::V1_4_1 => "1.4.1",
            Self::V1_5_0 => "1.5.0",
        }
    }

    /// Whether the EIP-712 domain holds the chain id (since 1.3.0). Without it a signature counts on every chain.
    pub fn binds_chain(self) -> bool {
        self >= Self::V1_3_0
    }
}

impl FromStr for SafeVersion {
    type Err = UnknownVersion;

    /// Reads `1.4.1`, also with the suffix `+L2` that names the variant with events.
    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        let plain = text.strip_suffix("+L2").unwrap_or(text);
        let found = Self::ALL.into_iter().find(|it| it.as_str() == plain);
        found.ok_or_else(|| UnknownVersion(text.chars().take(40).collect()))
    }
}

impl fmt::Display for SafeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for SafeVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SafeVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::SafeVersion;

    #[test]
    fn releases_are_read_with_and_without_the_l2_suffix_and_nothing_else_is() {
        for version in SafeVersion::ALL {
            assert_eq!(version.as_str().parse(), Ok(version));
            assert_eq!(format!("{version}+L2").parse(), Ok(version));
        }
        for text in ["", "1.3", "1.4.0", "v1.4.1", "1.4.1 ", "1.4.1+l2", "1.6.0"] {
            assert!(text.parse::<SafeVersion>().is_err(), "{text}");
        }
    }
}
