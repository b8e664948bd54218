//! Who may respond: people by the accounts that they sign with, machines by the hashes of their tokens.
//!
//! **Invariant:** nothing here lets anybody in by itself: an address is no key, and a hash is no token.

use alloy_primitives::{Address, B256};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationText;
use crate::{AccountId, ChainId};

/// The role whose holders release orders where an action names no other.
pub const SIGNER: &str = "signer";

/// A person who responds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Person {
    /// Short name, unique in the plan; the journal calls them so.
    pub id: String,
    /// Accounts that they sign in and approve with, by a key of their own. Two accounts of one person are one voice.
    #[serde(default)]
    pub accounts: Vec<AccountId>,
    /// What they are there for: `commander`, `scribe`, `comms`, `signer`, `counsel`, or a name of your own. Without any,
    /// they may look and nothing else.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Whether they may veto any order.
    #[serde(default)]
    pub veto: bool,
    /// SHA-256 of a token of at least 32 characters, for where no wallet is at hand. It never approves an order.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "hash"))]
    pub token_sha256: Option<B256>,
}

/// A program that uses the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Machine {
    /// Short name, unique in the plan and other than every person's.
    pub id: String,
    /// SHA-256 of its token, which has at least 32 characters.
    #[schemars(with = "String", extend("format" = "hash"))]
    pub token_sha256: B256,
    /// What it may do.
    #[serde(default)]
    pub may: MachineMay,
}

/// What a program may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MachineMay {
    /// Look.
    #[default]
    Read,
    /// Look, acknowledge and keep tasks. No program approves.
    Respond,
}

/// Where people reach the running program with a browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Console {
    /// What the browser shows: scheme, host and port, e.g. `https://cofferdam.example`. Plain `http` is for this machine
    /// alone.
    pub origin: String,
    /// The chain that wallets are on when they sign in and approve.
    pub chain: ChainId,
    /// How long a session lasts without use.
    #[serde(default = "default_idle")]
    pub idle: DurationText,
    /// How long a session lasts at most.
    #[serde(default = "default_lasts")]
    pub lasts: DurationText,
}

/// How many people of one role must approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Quorum {
    /// The role.
    pub role: String,
    /// How many.
    pub count: u16,
}

impl Person {
    /// Whether `address` is one of their accounts, on whatever chain.
    pub fn signs_with(&self, address: Address) -> bool {
        self.accounts.iter().any(|it| it.address == address)
    }

    /// Whether they have the role.
    pub fn has(&self, role: &str) -> bool {
        self.roles.iter().any(|it| it == role)
    }
}

impl Console {
    /// Host and port, as a signed message names them.
    pub fn domain(&self) -> &str {
        self.origin.split_once("://").map_or(self.origin.as_str(), |it| it.1)
    }

    /// Whether browsers reach it through TLS.
    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https://")
    }
}

fn default_idle() -> DurationText {
    DurationText(1_800_000)
}
fn default_lasts() -> DurationText {
    DurationText(43_200_000)
}
