//! Who sends, through whom, at what price, and whom to tell: the parts of a plan that reach outside.
//!
//! **Invariant:** no field holds a secret. Keys and URLs that give access are named by the environment
//! variable that holds them.

use alloy_primitives::{U256, U512};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, DurationText, Plan};
use crate::{AccountId, ChainId, Severity, Stage, Usd, plan::AssetId};

/// An account that sends containment transactions and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Relayer {
    /// Short name, unique in the plan.
    pub id: String,
    /// Its account.
    pub account: AccountId,
    /// Where its key is.
    pub key: KeySource,
}

/// Where a key comes from. Never the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "from",
    deny_unknown_fields,
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum KeySource {
    /// A keystore file (Web3 Secret Storage v3); the password comes from the environment.
    Keystore {
        /// Path, relative to the plan.
        path: String,
        /// Name of the environment variable with the password.
        password_env: String,
    },
    /// The environment.
    Env {
        /// Name of the variable with the private key in hex.
        name: String,
    },
}

/// A block builder or private relay of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Builder {
    /// Short name, unique on its chain.
    pub id: String,
    /// Where it is reached: `https://`, `http://`, or `env:NAME` for a URL that holds a key.
    pub endpoint: String,
    /// Which method it serves.
    #[serde(default)]
    pub method: BuilderMethod,
    /// The key whose signature identifies us to it (`X-Flashbots-Signature`). It holds no funds.
    #[serde(default)]
    pub identity: Option<KeySource>,
}

/// How a builder takes a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BuilderMethod {
    /// `eth_sendBundle`: one bundle for each of the next blocks.
    #[default]
    Bundle,
    /// `eth_sendPrivateTransaction`: once, with the last block it may be in.
    PrivateTransaction,
}

/// A receiver of messages to people. Each has its own queue: one that hangs delays no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Notifier {
    /// Short name, unique in the plan.
    pub id: String,
    /// What it is and where.
    pub channel: Channel,
    /// The least severity it is told of. What closes an earlier alert is always told.
    #[serde(default = "default_severity")]
    pub severity: Severity,
    /// The least stage of what it is told of: `pending` as soon as it is seen, `provisional` once it
    /// is in a block, `final` when it can no longer be reorganised out.
    #[serde(default = "default_stage")]
    pub stage: Stage,
}

/// The kinds of receivers. A URL is written as `https://…`, `http://…` or `env:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "to",
    deny_unknown_fields,
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Channel {
    /// Prometheus Alertmanager, API v2.
    Alertmanager {
        /// Its root, e.g. `http://alertmanager.internal:9093`.
        url: String,
        /// Name of the environment variable with a bearer token, if it wants one.
        #[serde(default)]
        token_env: Option<String>,
        /// How often the heartbeat is posted, by whose absence our own death is noticed.
        #[serde(default = "default_heartbeat")]
        heartbeat: DurationText,
    },
    /// CloudEvents 1.0 over HTTP, structured JSON.
    CloudEvents {
        /// The receiver.
        url: String,
        /// Name of the environment variable with a bearer token, if it wants one.
        #[serde(default)]
        token_env: Option<String>,
    },
    /// A Discord webhook.
    Discord {
        /// The webhook's URL, which is a secret: `env:NAME`.
        url: String,
    },
    /// A Matrix room.
    Matrix {
        /// The homeserver.
        url: String,
        /// Room id, e.g. `!abc:example.org`.
        room: String,
        /// Name of the environment variable with the access token.
        token_env: String,
    },
    /// PagerDuty Events v2.
    Pagerduty {
        /// Name of the environment variable with the routing key.
        routing_key_env: String,
        /// The events endpoint.
        #[serde(default = "default_pagerduty")]
        url: String,
    },
    /// A Slack incoming webhook.
    Slack {
        /// The webhook's URL, which is a secret: `env:NAME`.
        url: String,
    },
    /// A syslog server, RFC 5424 over UDP.
    Syslog {
        /// Host and port, e.g. `logs.internal:514`.
        address: String,
    },
    /// A Telegram chat.
    Telegram {
        /// Name of the environment variable with the bot's token.
        token_env: String,
        /// Chat id.
        chat: String,
        /// The Bot API.
        #[serde(default = "default_telegram")]
        url: String,
    },
    /// A receiver of our own format, signed with HMAC-SHA256.
    Webhook {
        /// The receiver.
        url: String,
        /// Name of the environment variable with the shared secret.
        secret_env: String,
    },
}

impl Channel {
    /// As written in a plan.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Alertmanager { .. } => "alertmanager",
            Self::CloudEvents { .. } => "cloud-events",
            Self::Discord { .. } => "discord",
            Self::Matrix { .. } => "matrix",
            Self::Pagerduty { .. } => "pagerduty",
            Self::Slack { .. } => "slack",
            Self::Syslog { .. } => "syslog",
            Self::Telegram { .. } => "telegram",
            Self::Webhook { .. } => "webhook",
        }
    }
}

impl Plan {
    /// The notifier named `id`.
    pub fn notifier(&self, id: &str) -> Option<&Notifier> {
        self.notifiers.iter().find(|it| it.id == id)
    }

    /// The price of a whole native coin of `chain`, as the entities' assets state it.
    pub fn native_price(&self, chain: ChainId) -> Option<Usd> {
        let here = self.entities.iter().filter(|it| it.addresses(chain).next().is_some());
        let mut assets = here.flat_map(|it| &it.assets);
        assets.find(|it| it.token == AssetId::Native).map(|it| it.price.0)
    }

    /// The most that fees of one order for `action` may cost, in wei, with `at_risk` at stake: its
    /// `fee-budget`, or its `fee-share` of the value at risk if that is more and has a price.
    pub fn fee_cap(&self, action: &Action, at_risk: Usd) -> U256 {
        let budget = action.fee_budget.0;
        let price = self.native_price(action.call.chain()).map_or(0, |it| it.0.max(0));
        if price == 0 || at_risk.0 <= 0 {
            return budget;
        }
        // Micro-dollars on both sides; 10^18 wei to the coin. BasisPoints are millionths.
        let share =
            U512::from(action.fee_share.0.min(1_000_000)) * U512::from(at_risk.0.unsigned_abs());
        let wei = share * U512::from(10u64.pow(12)) / U512::from(price.unsigned_abs());
        budget.max(U256::saturating_from(wei))
    }
}

fn default_severity() -> Severity {
    Severity::High
}
fn default_stage() -> Stage {
    Stage::Pending
}
fn default_heartbeat() -> DurationText {
    DurationText(30_000)
}
fn default_pagerduty() -> String {
    "https://events.pagerduty.com/v2/enqueue".into()
}
fn default_telegram() -> String {
    "https://api.telegram.org".into()
}
