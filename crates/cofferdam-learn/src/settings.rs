//! The settings of a `learned-guard` rule: what `cofferdam learn` writes and the detector reads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{MetricGuard, guard::Guard, path::PathGuard};

/// Settings of `learned-guard`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Whether a person has promoted the guards after a run in shadow. Until then their findings weigh
    /// nothing and the rule may be no more than `alert`.
    pub promoted: bool,
    /// The run in shadow that the promotion rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowRun>,
    /// Time of the first block it was learned from, in seconds since the Unix epoch.
    pub learned_from: u64,
    /// Time of the last block it was learned from or tried on, in seconds since the Unix epoch.
    pub learned_until: u64,
    /// From when on nothing here is looked at, in seconds since the Unix epoch.
    pub expires: u64,
    /// Call paths that were taken before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<PathGuard>,
    /// Bounds that were never left.
    pub guards: Vec<Guard>,
    /// Streaming models of what happens per block.
    pub metrics: Vec<MetricGuard>,
}

/// A recorded run in shadow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ShadowRun {
    /// From when, in seconds since the Unix epoch.
    pub from: u64,
    /// Until when, in seconds since the Unix epoch.
    pub until: u64,
    /// Findings it made in that time, all looked at by a person.
    pub findings: u64,
}
