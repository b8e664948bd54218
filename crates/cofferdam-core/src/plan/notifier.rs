//! Who is told, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Plan;
use crate::{Severity, Stage};

/// Where alerts go. Each receiver has its own queue: one that hangs delays no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Notifier {
    /// Short name, unique in the plan.
    pub id: String,
    /// What kind of receiver it is.
    pub kind: NotifierKind,
    /// Its URL, or `env:NAME` for one that holds a key.
    pub address: String,
    /// The key it wants (a routing key, a bot token, the key that signs a webhook), as `env:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The least severity it is told of. What closes an earlier alert is always told.
    #[serde(default = "default_severity")]
    pub severity: Severity,
    /// The least stage of what it is told of: `pending` as soon as it is seen, `provisional` once it
    /// is in a block, `final` when it can no longer be reorganised out.
    #[serde(default = "default_stage")]
    pub stage: Stage,
}

/// The receivers that are known.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum NotifierKind {
    /// Alertmanager: `POST /api/v2/alerts`, closed by an end time.
    Alertmanager,
    /// Discord webhook.
    Discord,
    /// PagerDuty Events API v2, closed by its dedup key.
    Pagerduty,
    /// Slack webhook.
    Slack,
    /// Telegram bot; the address ends with the chat.
    Telegram,
    /// Our own JSON by HTTP POST, with the alert's id as idempotency key.
    Webhook,
}

impl NotifierKind {
    /// As written in a plan.
    pub fn word(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::Discord => "discord",
            Self::Pagerduty => "pagerduty",
            Self::Slack => "slack",
            Self::Telegram => "telegram",
            Self::Webhook => "webhook",
        }
    }
}

impl Plan {
    /// The notifier named `id`.
    pub fn notifier(&self, id: &str) -> Option<&Notifier> {
        self.notifiers.iter().find(|it| it.id == id)
    }
}

fn default_severity() -> Severity {
    Severity::High
}
fn default_stage() -> Stage {
    Stage::Pending
}
