//! Stable identities, derived by hashing what they identify. None is random: the same input
//! gives the same id on every machine, which is what makes dispatch idempotent and replay exact.

use std::{fmt, str::FromStr};

use alloy_primitives::{B256, Keccak256};
use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $tag:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub B256);

        impl $name {
            /// Hashes `parts`, each preceded by its length so that no two lists collide.
            pub fn derive(parts: &[&[u8]]) -> Self {
                let mut hasher = Keccak256::new();
                hasher.update($tag.as_bytes());
                for part in parts {
                    hasher.update((part.len() as u64).to_be_bytes());
                    hasher.update(part);
                }
                Self(hasher.finalize())
            }

            /// The first eight hex digits, as shown to people.
            pub fn short(&self) -> String {
                alloy_primitives::hex::encode(&self.0[..4])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = alloy_primitives::hex::FromHexError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// One alert. Delivering it again is delivering the same alert.
    AlertId, "cofferdam/alert"
);
id!(
    /// One finding: the rule, where it was seen and what about.
    FindingId, "cofferdam/finding"
);
id!(
    /// One incident: the protected entity and the finding that opened it.
    IncidentId, "cofferdam/incident"
);
id!(
    /// One order. Two intents with one key are one order; dispatching it twice has the effect of once.
    OrderKey, "cofferdam/order"
);

#[cfg(test)]
mod tests {
    use super::FindingId;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(FindingId::derive(&[b"ab", b"c"]), FindingId::derive(&[b"a", b"bc"]));
        assert_eq!(FindingId::derive(&[b"ab"]), FindingId::derive(&[b"ab"]));
    }
}
