//! PagerDuty Events v2. The thread's key is the `dedup_key`, so that what closes a thread resolves its
//! page.
//!
//! 202 is taken, 400 is malformed and permanent, 429 and 5xx are to be tried again.

use cofferdam_core::{
    Alert, AlertKind, Severity,
    alert::DEDUP_BYTES_MAX,
    plan::Channel,
    ports::{DeliveryError, Notifier, Receipt},
};
use serde_json::{Value, json};

use super::{
    Answered, Format, HttpNotifier, Kind, Message, NotifyError, Opening, Token, Wiring, by_status,
    text,
};
use crate::http::Reply;

/// Longest `payload.summary`, in characters.
const SUMMARY_CHARS_MAX: usize = 1_024;

pub(super) const KIND: Kind = Kind {
    name: "pagerduty",
    open: |it| {
        let Channel::Pagerduty { routing_key_env, url } = it.channel else { return None };
        let made = opened(it, url, routing_key_env);
        Some(made.map(|it| Box::new(it.0) as Box<dyn Notifier>))
    },
};

/// A PagerDuty service that can also be told that a person has taken a page.
pub struct Pagerduty(HttpNotifier<Events>);

struct Events {
    routing_key: Token,
}

impl Pagerduty {
    /// As [`super::open`], for a PagerDuty channel; `None` for any other.
    ///
    /// # Errors
    /// [`NotifyError`].
    pub fn open(
        it: &cofferdam_core::plan::Notifier,
        wiring: &Wiring<'_>,
    ) -> Option<Result<Self, NotifyError>> {
        let Channel::Pagerduty { routing_key_env, url } = &it.channel else { return None };
        let opening = Opening { id: &it.id, channel: &it.channel, wiring };
        Some(opened(&opening, url, routing_key_env))
    }

    /// Stops the paging of a thread: somebody took it here.
    ///
    /// # Errors
    /// [`DeliveryError`].
    pub async fn acknowledge(&self, dedup: &str) -> Result<Receipt, DeliveryError> {
        let body = json!({
            "routing_key": self.0.format.routing_key.expose(),
            "event_action": "acknowledge",
            "dedup_key": key(dedup),
        });
        self.0.carry(Message::json(&body)).await
    }
}

impl std::fmt::Debug for Pagerduty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pagerduty({})", self.0.id)
    }
}

fn opened(it: &Opening<'_>, url: &str, key: &str) -> Result<Pagerduty, NotifyError> {
    let routing_key = it.token(key)?;
    let http = it.http(url)?.hiding(routing_key.expose());
    let (id, deadline) = (it.id.to_owned(), it.wiring.deadline);
    Ok(Pagerduty(HttpNotifier { id, http, format: Events { routing_key }, deadline }))
}

impl Format for Events {
    fn message(&self, alert: &Alert) -> Message {
        let action = if alert.closes() { "resolve" } else { "trigger" };
        // An update wakes nobody: it is appended to the open page, or opens a silent one.
        let severity = match (alert.kind, alert.severity) {
            (AlertKind::Update, _) | (_, Severity::Info | Severity::Low) => "info",
            (_, Severity::Medium) => "warning",
            (_, Severity::High) => "error",
            (_, Severity::Critical) => "critical",
        };
        let incident = alert.incident.map(|it| it.to_string());
        Message::json(&json!({
            "routing_key": self.routing_key.expose(),
            "event_action": action,
            "dedup_key": key(&alert.dedup),
            "client": "Cofferdam",
            "payload": {
                "summary": text::headline(alert, SUMMARY_CHARS_MAX),
                "source": "cofferdam",
                "severity": severity,
                "timestamp": alert.at.to_string(),
                "group": incident,
                "class": alert.kind.word(),
                "custom_details": { "alert": alert.id, "thread": alert.dedup, "text": text::cut(&alert.text, 4_096) },
            },
        }))
    }

    fn judge(&self, reply: &Reply) -> Result<Receipt, Answered> {
        by_status(reply)?;
        let told = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
        Ok(Receipt { reference: told["dedup_key"].as_str().map(str::to_owned) })
    }
}

fn key(dedup: &str) -> String {
    let end = dedup.floor_char_boundary(DEDUP_BYTES_MAX);
    dedup[..end].to_owned()
}
