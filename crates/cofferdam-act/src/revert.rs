//! Revert data in words: which custom error, and what it means for a containment call.

use std::{fmt, sync::LazyLock};

use alloy::primitives::{U256, keccak256};
use serde::Serialize;

/// Longest revert text kept, in characters.
const TEXT_MAX: usize = 300;

/// Why a call reverted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Revert {
    /// A custom error of a contract that orders go through.
    Known {
        /// Its signature.
        error: &'static str,
        /// What it means here.
        meaning: &'static str,
    },
    /// `Error(string)`.
    Text {
        /// The string, cut to 300 characters.
        text: String,
    },
    /// `Panic(uint256)`.
    Panic {
        /// The code; 0x11 is arithmetic overflow, 0x32 an index out of bounds.
        code: u64,
    },
    /// A custom error that is not known here.
    Unknown {
        /// Its selector as 8 hex digits.
        selector: String,
    },
    /// No data: out of gas, a bare `revert()`, or no such function.
    Empty,
}

/// Custom errors by signature, with their meaning for the sender of a containment call.
const KNOWN: &[(&str, &str)] = &[
    // EmergencyGuardian
    ("AlreadyPaused()", "somebody else's pause is in force, or ours is and the tier cannot extend"),
    ("BadAuth()", "authorisation expired, early, replayed, of another epoch, or without quorum"),
    ("NoCharges()", "the action has no charge left, or is not registered"),
    ("Cooldown()", "tier 0 must wait for the cooldown after the last pause"),
    ("LowGas()", "the gas limit does not leave the target the gas it is registered with"),
    ("CallFailed()", "the target refused the pause: does the guardian hold the role?"),
    ("NotPaused()", "the target took the call but does not say that it is paused"),
    ("NotGovernance()", "only governance may do this"),
    ("BadAction()", "the action is not registered soundly"),
    ("NotExpired()", "the pause is not over"),
    ("NoUnpause()", "the target must be opened by governance first"),
    // SafeEmergencyModule
    ("NoRule()", "the Safe has not listed this call, or its rule expired or ran out of charges"),
    (
        "ExecFailed()",
        "the Safe's call failed: is the module enabled and does the Safe hold the role?",
    ),
    ("BadRule()", "the rule is not sound"),
    // Targets
    ("EnforcedPause()", "it is paused already"),
    ("ExpectedPause()", "it is not paused"),
    ("NotPauser()", "the sender does not hold the pauser role"),
    ("NotPauseGuardian(address)", "the sender is not the target's pause guardian"),
    ("NotPauseGovernance(address)", "the sender is not the target's pause governance"),
    ("PauseTooLong(uint256,uint256)", "the pause is longer than the target allows"),
    ("OwnableUnauthorizedAccount(address)", "the sender is not the owner"),
    ("AccessControlUnauthorizedAccount(address,bytes32)", "the sender does not hold the role"),
    ("AccessManagedUnauthorized(address)", "the access manager does not let the sender"),
    ("ReentrancyGuardReentrantCall()", "the call came from within itself"),
    ("CallerNotPoolOrEmergencyAdmin()", "the sender is neither pool nor emergency admin"),
    ("CallerNotPoolAdmin()", "the sender is not pool admin"),
    ("Unauthorized()", "the sender may not do this"),
    ("Unauthorized(address,address,string)", "the access control manager does not let the sender"),
];

static BY_SELECTOR: LazyLock<Vec<([u8; 4], Revert)>> = LazyLock::new(|| {
    let entry = |&(error, meaning): &(&'static str, &'static str)| {
        let hash = keccak256(error).0;
        ([hash[0], hash[1], hash[2], hash[3]], Revert::Known { error, meaning })
    };
    KNOWN.iter().map(entry).collect()
});

impl Revert {
    /// Reads revert data. Any bytes are read to something.
    pub fn of(data: &[u8]) -> Self {
        let Some((selector, rest)) = data.split_first_chunk::<4>() else { return Self::Empty };
        match *selector {
            [0x08, 0xc3, 0x79, 0xa0] => Self::Text { text: text(rest).unwrap_or_default() },
            [0x4e, 0x48, 0x7b, 0x71] => {
                Self::Panic { code: word(rest, 0).map_or(0, |it| it.saturating_to()) }
            }
            selector => {
                let known = BY_SELECTOR.iter().find(|(it, _)| *it == selector);
                let unknown =
                    || Self::Unknown { selector: alloy::primitives::hex::encode(selector) };
                known.map_or_else(unknown, |(_, it)| it.clone())
            }
        }
    }

    /// The name of the custom error, without its arguments.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::Known { error, .. } => error.split('(').next(),
            _ => None,
        }
    }

    /// Whether another authorisation for the same call may fare better.
    pub fn blames_authorisation(&self) -> bool {
        self.name() == Some("BadAuth")
    }

    /// Whether it says that the pause is in force already.
    pub fn says_paused(&self) -> bool {
        matches!(self.name(), Some("AlreadyPaused" | "EnforcedPause"))
            || matches!(self, Self::Text { text } if text == "Pausable: paused")
    }
}

impl fmt::Display for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known { error, meaning } => write!(f, "{error}: {meaning}"),
            Self::Text { text } => write!(f, "\"{text}\""),
            Self::Panic { code } => write!(f, "Panic(0x{code:02x})"),
            Self::Unknown { selector } => write!(f, "custom error 0x{selector}"),
            Self::Empty => f.write_str("no revert data (out of gas, or no such function)"),
        }
    }
}

fn word(data: &[u8], at: usize) -> Option<U256> {
    data.get(at..at.checked_add(32)?).map(U256::from_be_slice)
}

fn text(data: &[u8]) -> Option<String> {
    let start = usize::try_from(word(data, 0)?).ok()?;
    let length = usize::try_from(word(data, start)?).ok()?;
    let from = start.checked_add(32)?;
    let bytes = data.get(from..from.checked_add(length)?.min(data.len()))?;
    let printable = |it: char| if it.is_control() { ' ' } else { it };
    Some(String::from_utf8_lossy(bytes).chars().take(TEXT_MAX).map(printable).collect())
}

#[cfg(test)]
mod tests {
    use alloy::primitives::hex;
    use proptest::prelude::*;

    use super::Revert;

    #[test]
    fn known_errors_have_words() {
        let paused = Revert::of(&hex!("d93c0665"));
        assert_eq!(paused.name(), Some("EnforcedPause"));
        assert!(paused.says_paused());
        assert!(Revert::of(&alloy::primitives::keccak256("BadAuth()")[..4]).blames_authorisation());
        assert_eq!(Revert::of(&[]), Revert::Empty);
        assert_eq!(Revert::of(&hex!("deadbeef00")).to_string(), "custom error 0xdeadbeef");
    }

    #[test]
    fn old_style_reverts_and_panics_are_read() {
        let data = hex!(
            "08c379a0"
            "0000000000000000000000000000000000000000000000000000000000000020"
            "0000000000000000000000000000000000000000000000000000000000000010"
            "5061757361626c653a2070617573656400000000000000000000000000000000"
        );
        assert!(Revert::of(&data).says_paused());
        let data = hex!(
            "4e487b71" "0000000000000000000000000000000000000000000000000000000000000011"
        );
        assert_eq!(Revert::of(&data), Revert::Panic { code: 0x11 });
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(data in prop::collection::vec(any::<u8>(), 0..200), kind in 0..3) {
            let head: &[u8] = match kind {
                0 => &hex!("08c379a0"),
                1 => &hex!("4e487b71"),
                _ => &[],
            };
            let _ = Revert::of(&[head, &data].concat()).to_string();
        }
    }
}
