//! Prometheus Alertmanager, API v2: alerts, and the heartbeat by whose absence our death is noticed.
//!
//! Alertmanager knows an alert by its labels, and resolves it by itself unless `endsAt` says how long it
//! fires. The severity is a label, because routes need it; so what closes a thread ends it at every
//! severity, and what raises it ends it at the lower ones.

use cofferdam_core::{
    Alert, AlertKind, Severity, Timestamp,
    plan::{self, Channel},
    ports::{DeliveryError, Notifier, Receipt},
};
use serde_json::{Value, json};

use super::{
    Clock, Format, HttpNotifier, Kind, Message, NotifyError, Opening, Token, Wiring, hide, text,
};

/// How long an alert fires if nothing closes it, in milliseconds: a day.
const FIRES_MS: u64 = 86_400_000;
/// The heartbeat fires for so many intervals after the last beat.
const BEATS: u64 = 3;
/// Longest label or annotation, in characters.
const TEXT_CHARS_MAX: usize = 4_096;

pub(super) const KIND: Kind = Kind {
    name: "alertmanager",
    open: |it| {
        let Channel::Alertmanager { url, token_env, .. } = it.channel else { return None };
        let made = opened(it, url, token_env.as_ref(), it.wiring.clock.clone());
        Some(made.map(|it| Box::new(it) as Box<dyn Notifier>))
    },
};

/// Posts an alert that always fires. Route it to a watchdog: when we die it ends, after three
/// intervals without a beat, and the watchdog pages.
pub struct Heartbeat {
    notifier: HttpNotifier<Alerts>,
    interval_ms: u64,
    instance: String,
}

struct Alerts {
    token: Option<Token>,
    clock: Clock,
}

impl Heartbeat {
    /// The heartbeat of `instance` (a name that tells our processes apart) to an Alertmanager of the
    /// plan; `None` for any other receiver.
    ///
    /// # Errors
    /// [`NotifyError`].
    pub fn open(
        it: &plan::Notifier,
        instance: &str,
        wiring: &Wiring<'_>,
    ) -> Option<Result<Self, NotifyError>> {
        let Channel::Alertmanager { url, token_env, heartbeat } = &it.channel else { return None };
        let opening = Opening { id: &it.id, channel: &it.channel, wiring };
        let notifier = opened(&opening, url, token_env.as_ref(), wiring.clock.clone());
        let (interval_ms, instance) = (heartbeat.0, text::cut(instance, 255));
        Some(notifier.map(|notifier| Self { notifier, interval_ms, instance }))
    }

    /// How often [`Self::beat`] is to be called, in milliseconds.
    pub fn interval_ms(&self) -> u64 {
        self.interval_ms
    }

    /// Posts the heartbeat. To be called only while the process does its work: a beat that goes on while
    /// the loop it speaks for hangs is worse than none.
    ///
    /// # Errors
    /// [`DeliveryError`].
    pub async fn beat(&self) -> Result<Receipt, DeliveryError> {
        let now = (self.notifier.format.clock)();
        let labels = json!({
            "alertname": "CofferdamHeartbeat", "severity": "none", "instance": self.instance,
        });
        let annotations = json!({ "summary": "cofferdam is alive; this alert must never end" });
        let until = now.plus_ms(self.interval_ms.saturating_mul(BEATS));
        let alerts = json!([entry(labels, annotations, now, until)]);
        self.notifier.carry(self.notifier.format.post(&alerts)).await
    }
}

impl std::fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Heartbeat({} every {} ms)", self.notifier.id, self.interval_ms)
    }
}

fn opened(
    it: &Opening<'_>,
    url: &str,
    token: Option<&String>,
    clock: Clock,
) -> Result<HttpNotifier<Alerts>, NotifyError> {
    let token = it.bearer(token)?;
    let http = hide(it.http(url)?.at("/api/v2/alerts"), token.as_ref());
    let (id, deadline) = (it.id.to_owned(), it.wiring.deadline);
    Ok(HttpNotifier { id, http, format: Alerts { token, clock }, deadline })
}

impl Alerts {
    fn post(&self, alerts: &Value) -> Message {
        let mut message = Message::json(alerts);
        message.headers.extend(self.token.as_ref().map(Token::bearer));
        message
    }
}

impl Format for Alerts {
    fn message(&self, alert: &Alert) -> Message {
        let all =
            [Severity::Info, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
        let ends = |it: &Severity| match alert.kind {
            AlertKind::Raised => *it < alert.severity,
            AlertKind::Update => false,
            AlertKind::Resolved | AlertKind::Retracted => true,
        };
        let fires = (!alert.closes()).then_some((alert.severity, alert.at.plus_ms(FIRES_MS)));
        let ended = all.into_iter().filter(ends).map(|it| (it, alert.at));
        let entries = fires.into_iter().chain(ended).map(|(severity, until)| {
            let mut labels = json!({
                "alertname": "Cofferdam",
                "severity": text::severity(severity),
                "thread": text::cut(&alert.dedup, TEXT_CHARS_MAX),
            });
            if let (Some(incident), Some(labels)) = (alert.incident, labels.as_object_mut()) {
                labels.insert("incident".into(), json!(incident));
            }
            let annotations = json!({
                "summary": text::cut(&alert.text, TEXT_CHARS_MAX),
                "kind": alert.kind.word(),
                "alert": alert.id,
            });
            entry(labels, annotations, alert.at, until)
        });
        self.post(&Value::Array(entries.collect()))
    }
}

fn entry(labels: Value, annotations: Value, starts: Timestamp, ends: Timestamp) -> Value {
    json!({
        "labels": labels, "annotations": annotations,
        "startsAt": starts.to_string(), "endsAt": ends.to_string(),
    })
}
