//! Feeds: findings that other programs make, and how far they are believed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationText;
use crate::{ChainId, Class, Severity};

/// A source of findings outside of this program: a service that calls a webhook, or a detector in a
/// process of its own. Whatever it says is bounded by this table and by the rule it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Feed {
    /// Short name, unique in the plan; a webhook is served at `/feeds/<id>`.
    pub id: String,
    /// The rule its findings belong to, whose detector must be `external`. Its mode says how far they
    /// may go, its entities what they may be about.
    pub rule: String,
    /// Where they come from.
    pub from: FeedSource,
    /// Where the parts of a finding stand in what is sent. Left out, the feed speaks our own format.
    #[serde(default)]
    pub map: Option<FeedMap>,
    /// What its findings are taken for. As `suspicion` they never pass the harm gate, whatever they say.
    #[serde(default = "default_class")]
    pub class: Class,
    /// The most one of its findings may weigh, in thousandths of a nat; also its weight where the feed
    /// tells none.
    #[serde(default = "default_weight")]
    pub weight_millinats: i32,
    /// The most severe its findings may be.
    #[serde(default = "default_severity")]
    pub severity_max: Severity,
    /// Findings taken in a minute; more are refused and counted.
    #[serde(default = "default_rate")]
    pub per_minute_max: u32,
}

/// Where findings come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "via",
    deny_unknown_fields,
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum FeedSource {
    /// A service calls us.
    Webhook {
        /// Environment variable with the secret shared with it.
        secret_env: String,
        /// How a message is authenticated.
        #[serde(default)]
        signed: Signed,
    },
    /// A detector in a process of its own: one observation in as a line of JSON, findings out.
    Process {
        /// The program and its arguments, started in the plan's folder.
        command: Vec<String>,
        /// How long it may take for one observation; then it is killed and started again.
        #[serde(default = "default_answer_within")]
        answer_within: DurationText,
        /// Address space it may take, in MiB.
        #[serde(default = "default_memory")]
        memory_mib: u32,
    },
}

/// How the messages of a webhook are authenticated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "how",
    deny_unknown_fields,
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Signed {
    /// Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    #[default]
    Standard,
    /// HMAC-SHA256 over the body, in hex, in this header, after an optional `sha256=`.
    HmacSha256 {
        /// The header, e.g. `x-hub-signature-256`.
        header: String,
    },
    /// The secret itself in this header. It proves who sends, not what: use it where nothing better is
    /// offered, and behind TLS.
    Token {
        /// The header, e.g. `authorization`.
        header: String,
    },
}

/// Where the parts of a finding stand, as JSON pointers (RFC 6901).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct FeedMap {
    /// The list of findings in a message; all other pointers begin at one of them. Left out, the
    /// message is one finding.
    pub each: Option<String>,
    /// Only findings for which all of these hold.
    pub only: Vec<Only>,
    /// The chain: a number, its decimal text, or CAIP-2.
    pub chain: Option<String>,
    /// The chain, if the feed knows only one and does not say which.
    pub chain_is: Option<ChainId>,
    /// The hash of the block.
    pub block: Option<String>,
    /// The hash of the transaction.
    pub tx: Option<String>,
    /// Where contracts stand that it may be about: an address, or a list or table of them. The first
    /// that is protected counts.
    pub subjects: Vec<String>,
    /// Where those who did it stand.
    pub actors: Vec<String>,
    /// The severity, as `severities` translates it.
    pub severity: Option<String>,
    /// The feed's words for severities, compared without regard to case.
    pub severities: BTreeMap<String, Severity>,
    /// One sentence.
    pub summary: Option<String>,
    /// The loss in US dollars, a number or its text.
    pub loss_usd: Option<String>,
    /// What is worth keeping as evidence: label and pointer.
    pub evidence: BTreeMap<String, String>,
}

/// A condition on a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Only {
    /// Pointer to a text or number.
    pub at: String,
    /// It is one of these.
    pub is: Vec<String>,
}

fn default_class() -> Class {
    Class::Suspicion
}
fn default_weight() -> i32 {
    4_000
}
fn default_severity() -> Severity {
    Severity::High
}
fn default_rate() -> u32 {
    60
}
fn default_answer_within() -> DurationText {
    DurationText(2_000)
}
fn default_memory() -> u32 {
    512
}
