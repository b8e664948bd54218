//! What a plan says about its governance.

use alloy_primitives::U256;
use cofferdam_core::{
    AccountId,
    plan::{BasisPoints, DurationText},
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of `governance`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    /// The contracts in which proposals are made or wait.
    pub(crate) governors: Vec<Governor>,
    /// Less time than this between proposal and execution is told.
    #[serde(default = "default_delay")]
    pub(crate) delay_min: DurationText,
    /// When a proposal that has no time yet is taken to be executed.
    #[serde(default = "default_delay")]
    pub(crate) executes_after: DurationText,
    /// Votes that decide, in base units of the vote token.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(crate) quorum: Option<U256>,
    /// Share of the quorum from which on one voter is told, if it came by its votes lately.
    #[serde(default = "default_share")]
    pub(crate) share: BasisPoints,
    /// How long votes count as lately come by.
    #[serde(default = "default_lately")]
    pub(crate) lately: DurationText,
}

/// One contract of governance.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Governor {
    /// Governor or timelock.
    pub(crate) account: AccountId,
    /// Who makes the calls in the end, e.g. the timelock; left out, the contract itself.
    #[serde(default)]
    pub(crate) executor: Option<AccountId>,
    /// The token that counts votes.
    #[serde(default)]
    pub(crate) votes: Option<AccountId>,
    /// Whether the executor runs the code of what is proposed as its own (DELEGATECALL), whatever the events say.
    #[serde(default)]
    pub(crate) delegatecall: bool,
}

fn default_delay() -> DurationText {
    DurationText(86_400_000)
}

fn default_share() -> BasisPoints {
    BasisPoints(500_000)
}

fn default_lately() -> DurationText {
    DurationText(3 * 86_400_000)
}
