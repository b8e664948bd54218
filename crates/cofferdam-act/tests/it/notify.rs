//! One conformance suite over every notifier, and what each kind promises beyond it.

use std::{sync::Arc, time::Duration};

use cofferdam_act::{
    notify::{Heartbeat, KINDS, NotifyError, Pagerduty, Wiring, open, signature},
    testkit::{Heard, Reaction, Server},
};
use cofferdam_core::{
    Alert, AlertKind, IncidentId, Severity, Timestamp,
    plan::{self, Channel, DurationText},
    ports::{DeliveryError, Notifier, Receipt},
    secret::Secret,
};
use serde_json::{Value, json};

use crate::support::NOW;

const SECRET: &str = "123456:ABC-this-is-the-secret-of-the-receiver";
/// Largest body of a message about a text without end, in bytes.
const BODY_BYTES_MAX: usize = 200_000;

/// A receiver of every kind over HTTP, at `url`.
fn channels(url: &str) -> Vec<(&'static str, Channel)> {
    let url = url.to_owned();
    let env = || "SECRET".to_owned();
    let heartbeat = DurationText(30_000);
    let token_env = Some(env());
    vec![
        ("alertmanager", Channel::Alertmanager { url: url.clone(), token_env, heartbeat }),
        ("cloud-events", Channel::CloudEvents { url: url.clone(), token_env: Some(env()) }),
        ("discord", Channel::Discord { url: format!("{url}/api/webhooks/1/{SECRET}") }),
        ("matrix", Channel::Matrix { url: url.clone(), room: "!a:b".into(), token_env: env() }),
        ("pagerduty", Channel::Pagerduty { routing_key_env: env(), url: url.clone() }),
        ("slack", Channel::Slack { url: format!("{url}/services/{SECRET}") }),
        ("telegram", Channel::Telegram { token_env: env(), chat: "-1".into(), url: url.clone() }),
        ("webhook", Channel::Webhook { url, secret_env: env() }),
    ]
}

fn env(name: &str) -> Option<String> {
    (name == "SECRET").then(|| SECRET.to_owned())
}

fn wiring() -> Wiring<'static> {
    Wiring { env: &env, clock: Arc::new(|| NOW), deadline: Duration::from_secs(10) }
}

fn plan(channel: Channel) -> plan::Notifier {
    plan::Notifier {
        id: "it".into(),
        channel,
        severity: Severity::Info,
        stage: cofferdam_core::Stage::Pending,
    }
}

fn opened(channel: Channel, wiring: &Wiring<'_>) -> Box<dyn Notifier> {
    open(&plan(channel), wiring).unwrap()
}

fn alert(kind: AlertKind, severity: Severity, text: &str) -> Alert {
    let (at, dedup) = (Timestamp(NOW.0 - 5_000), "incident/0x1c");
    let incident = Some(IncidentId(alloy::primitives::B256::repeat_byte(0x1c)));
    let id = Alert::id_of(dedup, kind, at, 0, text);
    Alert { id, at, severity, incident, dedup: dedup.into(), kind, text: text.into() }
}

fn page() -> Alert {
    alert(AlertKind::Raised, Severity::Critical, "the vault is being drained")
}

/// What each service says when it takes a message.
fn yes(name: &str) -> Reaction {
    match name {
        "discord" => Reaction::json(200, json!({ "id": "77" })),
        "matrix" => Reaction::json(200, json!({ "event_id": "$e" })),
        "pagerduty" => {
            let key = "incident/0x1c";
            let told =
                json!({ "status": "success", "message": "Event processed", "dedup_key": key });
            Reaction::json(202, told)
        }
        "telegram" => Reaction::json(200, json!({ "ok": true, "result": { "message_id": 5 } })),
        _ => Reaction::json(200, "ok"),
    }
}

async fn deliver(
    name: &'static str,
    reaction: Reaction,
    alert: &Alert,
) -> (Result<Receipt, DeliveryError>, Vec<Heard>) {
    let server = Server::start(move |_| reaction.clone()).await.unwrap();
    let (_, channel) = channels(&server.url()).into_iter().find(|it| it.0 == name).unwrap();
    let told = opened(channel, &wiring()).deliver(alert).await;
    (told, server.heard())
}

fn body(heard: &Heard) -> Value {
    serde_json::from_slice(&heard.body).unwrap()
}

#[test]
fn every_kind_is_in_the_suite() {
    let mut names: Vec<_> = channels("http://x").into_iter().map(|it| it.0).collect();
    names.push("syslog");
    names.sort_unstable();
    assert_eq!(names, KINDS.iter().map(|it| it.name).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_alert_is_delivered_once_and_again_as_the_same_message() {
    for (name, _) in channels("http://x") {
        let (told, heard) = deliver(name, yes(name), &page()).await;
        let receipt = told.unwrap_or_else(|it| panic!("{name}: {it}"));
        let reference = match name {
            "discord" => Some("77"),
            "matrix" => Some("$e"),
            "pagerduty" => Some("incident/0x1c"),
            "telegram" => Some("5"),
            _ => None,
        };
        assert_eq!(receipt.reference.as_deref(), reference, "{name}");
        assert_eq!(heard.len(), 1, "{name}");
        let said = String::from_utf8(heard[0].body.clone()).unwrap();
        assert!(said.contains("the vault is being drained"), "{name}: {said}");
        assert!(said.contains("critical"), "{name}: {said}");
        let (_, again) = deliver(name, yes(name), &page()).await;
        assert_eq!(heard[0].body, again[0].body, "{name}");
        assert_eq!(heard[0].path, again[0].path, "{name}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_later_and_what_will_not_is_never() {
    for (name, _) in channels("http://x") {
        for status in [408, 429, 500, 502, 503] {
            let headers = vec![("retry-after".to_owned(), "7".to_owned())];
            let said = Reaction::Answer { status, headers, body: b"<html>".to_vec() };
            let (told, _) = deliver(name, said, &page()).await;
            let Err(DeliveryError::Later { after_ms, .. }) = told else {
                panic!("{name} {told:?}")
            };
            assert_eq!(after_ms, Some(7_000), "{name}");
        }
        for status in [400, 401, 404, 410, 302] {
            let (told, _) = deliver(name, Reaction::json(status, "{}"), &page()).await;
            assert!(matches!(told, Err(DeliveryError::Never { .. })), "{name} {status} {told:?}");
        }
        for reaction in [Reaction::Close, Reaction::Raw(b"garbage\r\n\r\n".to_vec())] {
            let (told, _) = deliver(name, reaction, &page()).await;
            assert!(matches!(told, Err(DeliveryError::Later { .. })), "{name} {told:?}");
        }
    }
}

#[tokio::test]
async fn a_receiver_that_hangs_or_is_not_there_is_tried_later() {
    let server = Server::start(|_| Reaction::Hang).await.unwrap();
    let gone = Server::start(|_| Reaction::Hang).await.unwrap().url();
    let wiring = Wiring { deadline: Duration::from_millis(100), ..wiring() };
    for url in [server.url(), gone] {
        for (name, channel) in channels(&url) {
            let told = opened(channel, &wiring).deliver(&page()).await;
            assert!(matches!(told, Err(DeliveryError::Later { .. })), "{name} {told:?}");
        }
    }
}

#[tokio::test]
async fn no_secret_gets_out_even_if_the_receiver_repeats_it() {
    for (name, _) in channels("http://x") {
        let echo = |heard: &Heard| {
            let said = format!("{heard:?} {}", String::from_utf8_lossy(&heard.body));
            Reaction::json(400, said)
        };
        let server = Server::start(echo).await.unwrap();
        let (_, channel) = channels(&server.url()).into_iter().find(|it| it.0 == name).unwrap();
        let error = opened(channel, &wiring()).deliver(&page()).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("secret-of-the-receiver"), "{name}: {shown}");
        let heard = server.heard();
        let header = heard[0].headers.values().any(|it| it.contains(SECRET));
        // Nothing but the receiver itself gets it, and a signing secret not even that.
        assert!(name != "webhook" || !header && !heard[0].path.contains(SECRET));
        assert!(!format!("{:?}", wiring()).contains(SECRET));
    }
}

#[tokio::test]
async fn hostile_text_is_bounded_and_formats_nothing() {
    let text = format!("<!channel> @everyone **x** [a](http://b) \u{0}\n{}", "ä".repeat(300_000));
    let alert = alert(AlertKind::Raised, Severity::High, &text);
    for (name, _) in channels("http://x") {
        let (told, heard) = deliver(name, yes(name), &alert).await;
        assert!(told.is_ok(), "{name}");
        assert!(heard[0].body.len() <= BODY_BYTES_MAX, "{name}: {}", heard[0].body.len());
        let sent = body(&heard[0]);
        match name {
            "slack" => {
                let text = sent["text"].as_str().unwrap();
                assert!(text.contains("&lt;!channel&gt;") && !text.contains("<!"), "{text}");
            }
            "discord" => {
                assert_eq!(sent["allowed_mentions"]["parse"], json!([]));
                let text = sent["content"].as_str().unwrap();
                assert!(text.contains("\\*\\*x") && text.chars().count() <= 2_000, "{text}");
            }
            "telegram" => {
                assert!(sent.get("parse_mode").is_none());
                assert!(sent["text"].as_str().unwrap().chars().count() <= 4_096);
            }
            "pagerduty" => {
                assert!(sent["payload"]["summary"].as_str().unwrap().chars().count() <= 1_024);
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn pagerduty_is_triggered_acknowledged_and_resolved_under_one_key() {
    let said = |it: &Heard| body(it);
    let (_, raised) = deliver("pagerduty", yes("pagerduty"), &page()).await;
    let sent = said(&raised[0]);
    assert_eq!(sent["event_action"], "trigger");
    assert_eq!(sent["dedup_key"], "incident/0x1c");
    assert_eq!(sent["routing_key"], SECRET);
    assert_eq!(sent["payload"]["severity"], "critical");
    assert_eq!(sent["payload"]["summary"], "critical: the vault is being drained");
    let update = alert(AlertKind::Update, Severity::Critical, "2 M moved");
    let (_, updated) = deliver("pagerduty", yes("pagerduty"), &update).await;
    assert_eq!(said(&updated[0])["event_action"], "trigger");
    assert_eq!(said(&updated[0])["payload"]["severity"], "info");
    for kind in [AlertKind::Resolved, AlertKind::Retracted] {
        let (_, closed) =
            deliver("pagerduty", yes("pagerduty"), &alert(kind, Severity::Info, "over")).await;
        assert_eq!(said(&closed[0])["event_action"], "resolve");
        assert_eq!(said(&closed[0])["dedup_key"], "incident/0x1c");
    }
    let server = Server::start(|_| yes("pagerduty")).await.unwrap();
    let channel = Channel::Pagerduty { routing_key_env: "SECRET".into(), url: server.url() };
    let pager = Pagerduty::open(&plan(channel), &wiring()).unwrap().unwrap();
    pager.acknowledge("incident/0x1c").await.unwrap();
    assert_eq!(said(&server.heard()[0])["event_action"], "acknowledge");
}

#[tokio::test]
async fn alertmanager_ends_a_thread_at_every_severity_and_a_rise_ends_the_lower_ones() {
    let ends = |heard: &Heard| {
        let alerts = body(heard);
        let one = |it: &Value| {
            let over = it["endsAt"] == it["startsAt"];
            (it["labels"]["severity"].as_str().unwrap().to_owned(), over)
        };
        assert!(alerts.as_array().unwrap().iter().all(|it| {
            it["labels"]["alertname"] == "Cofferdam" && it["labels"]["thread"] == "incident/0x1c"
        }));
        alerts.as_array().unwrap().iter().map(one).collect::<Vec<_>>()
    };
    let say = |kind, severity| async move {
        let (_, heard) = deliver("alertmanager", yes("x"), &alert(kind, severity, "x")).await;
        assert_eq!(heard[0].path, "/api/v2/alerts");
        assert_eq!(heard[0].headers["authorization"], format!("Bearer {SECRET}"));
        ends(&heard[0])
    };
    let named = |all: &[(&str, bool)]| {
        all.iter().map(|(name, over)| ((*name).to_owned(), *over)).collect::<Vec<_>>()
    };
    let raised = say(AlertKind::Raised, Severity::Medium).await;
    assert_eq!(raised, named(&[("medium", false), ("info", true), ("low", true)]));
    let updated = say(AlertKind::Update, Severity::Low).await;
    assert_eq!(updated, named(&[("low", false)]));
    let closed = say(AlertKind::Resolved, Severity::Info).await;
    assert!(closed.len() == 5 && closed.iter().all(|(_, over)| *over));
}

#[tokio::test]
async fn the_heartbeat_fires_for_three_intervals_and_ends_by_our_silence() {
    let server = Server::start(|_| yes("x")).await.unwrap();
    let channel = Channel::Alertmanager {
        url: format!("{}/am/", server.url()),
        token_env: None,
        heartbeat: DurationText(20_000),
    };
    let heart = Heartbeat::open(&plan(channel), "node-1", &wiring()).unwrap().unwrap();
    assert_eq!(heart.interval_ms(), 20_000);
    heart.beat().await.unwrap();
    let heard = server.heard();
    assert_eq!(heard[0].path, "/am/api/v2/alerts");
    let alerts = body(&heard[0]);
    assert_eq!(alerts[0]["labels"]["alertname"], "CofferdamHeartbeat");
    assert_eq!(alerts[0]["labels"]["instance"], "node-1");
    assert_eq!(alerts[0]["startsAt"], NOW.to_string());
    assert_eq!(alerts[0]["endsAt"], NOW.plus_ms(60_000).to_string());
    let slack = plan(Channel::Slack { url: server.url() });
    assert!(Heartbeat::open(&slack, "node-1", &wiring()).is_none());
}

#[tokio::test]
async fn a_webhook_is_signed_over_id_time_and_body() {
    let (_, heard) = deliver("webhook", yes("x"), &page()).await;
    let headers = &heard[0].headers;
    let (id, secs) = (page().id.to_string(), NOW.0 / 1_000);
    assert_eq!((&headers["webhook-id"], &headers["idempotency-key"]), (&id, &id));
    assert_eq!(headers["webhook-timestamp"], secs.to_string());
    let made = signature(&Secret::new(SECRET), &id, secs, &heard[0].body);
    assert_eq!(headers["webhook-signature"], made);
    assert_ne!(made, signature(&Secret::new(SECRET), &id, secs + 1, &heard[0].body));
    let sent = body(&heard[0]);
    assert_eq!(sent["type"], "alert.raised");
    assert_eq!(serde_json::from_value::<Alert>(sent["data"].clone()).unwrap(), page());
    // A short secret is no secret.
    let short = |_: &str| Some("hunter2".to_owned());
    let wiring = Wiring { env: &short, ..wiring() };
    let channel = Channel::Webhook { url: "http://x".into(), secret_env: "SECRET".into() };
    let refused = open(&plan(channel), &wiring);
    assert!(matches!(refused, Err(NotifyError::Malformed { .. })));
}

#[tokio::test]
async fn receivers_words_for_wait_are_understood() {
    let cases = [
        ("discord", json!({ "retry_after": 1.25, "global": false }), 1_250),
        ("telegram", json!({ "ok": false, "parameters": { "retry_after": 9 } }), 9_000),
        ("matrix", json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 1_500 }), 1_500),
    ];
    for (name, said, want) in cases {
        let (told, _) = deliver(name, Reaction::json(429, said), &page()).await;
        let Err(DeliveryError::Later { after_ms, .. }) = told else { panic!("{name}: {told:?}") };
        assert_eq!(after_ms, Some(want), "{name}");
    }
    // 200 alone is not Telegram's yes.
    let (told, _) = deliver("telegram", Reaction::json(200, "<html>"), &page()).await;
    assert!(matches!(told, Err(DeliveryError::Later { .. })), "{told:?}");
}

#[tokio::test]
async fn matrix_and_telegram_are_asked_at_their_own_paths() {
    let (_, heard) = deliver("matrix", yes("matrix"), &page()).await;
    let want = format!("/_matrix/client/v3/rooms/%21a%3Ab/send/m.room.message/{}", page().id);
    assert_eq!((heard[0].method.as_str(), &heard[0].path), ("PUT", &want));
    let (_, heard) = deliver("telegram", yes("telegram"), &page()).await;
    assert_eq!(heard[0].path, format!("/bot{SECRET}/sendMessage"));
    let (_, heard) = deliver("discord", yes("discord"), &page()).await;
    assert!(heard[0].path.ends_with("?wait=true"), "{}", heard[0].path);
}

#[tokio::test]
async fn a_cloud_event_has_what_the_schema_requires() {
    let (_, heard) = deliver("cloud-events", yes("x"), &page()).await;
    let sent = body(&heard[0]);
    assert_eq!(heard[0].headers["content-type"], "application/cloudevents+json; charset=utf-8");
    assert_eq!(sent["type"], "org.cofferdam.alert.raised");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/standards/cloudevents");
    let path = std::path::Path::new(path).join("cloudevents/formats/cloudevents.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        return eprintln!("skipped: {} is not there", path.display());
    };
    let schema: Value = serde_json::from_str(&text).unwrap();
    for name in schema["required"].as_array().unwrap() {
        let name = name.as_str().unwrap();
        assert!(sent[name].as_str().is_some_and(|it| !it.is_empty()), "{name}");
    }
    let known = schema["properties"].as_object().unwrap();
    assert!(sent.as_object().unwrap().keys().all(|it| known.contains_key(it)));
}

#[tokio::test]
async fn syslog_gets_one_datagram() {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let notifier = opened(Channel::Syslog { address }, &wiring());
    notifier.deliver(&page()).await.unwrap();
    let mut buffer = [0; 4_096];
    let count = socket.recv(&mut buffer).await.unwrap();
    let line = String::from_utf8_lossy(&buffer[..count]);
    assert!(line.starts_with("<34>1 ") && line.ends_with("critical: the vault is being drained"));
    let nowhere = opened(Channel::Syslog { address: "no.such.host.invalid:514".into() }, &wiring());
    assert!(matches!(nowhere.deliver(&page()).await, Err(DeliveryError::Later { .. })));
}

#[test]
fn what_is_missing_is_named() {
    let none = |_: &str| None;
    let wiring = Wiring { env: &none, ..wiring() };
    for (name, channel) in channels("env:URL") {
        let error = open(&plan(channel), &wiring).err().unwrap();
        assert!(format!("{error:?}").contains("EnvMissing"), "{name}: {error:?}");
    }
    let channel = Channel::Slack { url: "ftp://x/0123456789abcdef".into() };
    let error = open(&plan(channel), &wiring).err().unwrap();
    assert!(!format!("{error:?} {error}").contains("0123456789abcdef"));
}
