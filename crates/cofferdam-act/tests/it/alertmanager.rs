//! The real Alertmanager, if it is installed: what it makes of our alerts and of our silence.

use std::{
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cofferdam_act::{
    notify::{Heartbeat, Wiring, open},
    testkit::{Reaction, Server},
};
use cofferdam_core::{
    Alert, AlertKind, Severity, Timestamp,
    plan::{self, Channel, DurationText},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// Longest wait for anything here.
const PATIENCE: Duration = Duration::from_secs(30);
const NAMES: [&str; 2] = ["prometheus-alertmanager", "alertmanager"];

/// A running Alertmanager that tells `hook`; it ends when dropped.
struct Running {
    url: String,
    _child: Child,
    _dir: tempfile::TempDir,
}

async fn alertmanager(hook: &str) -> Option<Running> {
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "route: {{receiver: wh, group_wait: 10ms, group_interval: 100ms, repeat_interval: 1h, \
         group_by: [alertname, thread]}}\n\
         receivers: [{{name: wh, webhook_configs: [{{url: '{hook}', send_resolved: true}}]}}]\n"
    );
    let path = dir.path().join("am.yml");
    std::fs::write(&path, config).unwrap();
    let given = std::env::var("ALERTMANAGER").ok();
    let names = given.iter().map(String::as_str).chain(NAMES);
    let start = |name: &str| {
        Command::new(name)
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.path={}", dir.path().display()))
            .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .ok()
    };
    let Some(mut child) = names.into_iter().find_map(start) else {
        eprintln!("skipped: neither $ALERTMANAGER nor {NAMES:?} is there");
        return None;
    };
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().expect("it says where it listens");
        let address = line.split_once("address=127.0.0.1:").map(|(_, rest)| rest.to_owned());
        if let Some(port) = address.filter(|_| line.contains("Listening on")) {
            break format!("http://127.0.0.1:{}", port.trim_matches('"'));
        }
    };
    // Nobody may block on a full pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Some(Running { url: address, _child: child, _dir: dir })
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_millis()).unwrap())
}

/// Waits until the hook heard of alert `name` with `severity` in `status`.
async fn heard(hook: &Server, name: &str, severity: &str, status: &str) {
    let wanted = |it: &Value| {
        it["labels"]["alertname"] == name
            && it["labels"]["severity"] == severity
            && it["status"] == status
    };
    let waiting = async {
        loop {
            let told = hook.heard();
            let told = told.iter().filter_map(|it| serde_json::from_slice::<Value>(&it.body).ok());
            let mut alerts =
                told.flat_map(|it| it["alerts"].as_array().cloned().unwrap_or_default());
            if alerts.any(|it| wanted(&it)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let done = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(done.is_ok(), "{name} {severity} {status}: {:?}", hook.heard().len());
}

fn alert(kind: AlertKind, severity: Severity) -> Alert {
    let (at, dedup, text) = (now(), "incident/1", "the vault is being drained");
    let id = Alert::id_of(dedup, kind, at, 0, text);
    Alert { id, at, severity, incident: None, dedup: dedup.into(), kind, text: text.into() }
}

fn receiver(url: &str, heartbeat_ms: u64) -> plan::Notifier {
    let heartbeat = DurationText(heartbeat_ms);
    let channel = Channel::Alertmanager { url: url.to_owned(), token_env: None, heartbeat };
    plan::Notifier {
        id: "am".into(),
        channel,
        severity: Severity::Info,
        stage: cofferdam_core::Stage::Pending,
    }
}

fn wiring() -> Wiring<'static> {
    Wiring { env: &|_| None, clock: Arc::new(now), deadline: Duration::from_secs(10) }
}

#[tokio::test]
async fn alertmanager_fires_rises_and_resolves_as_we_say() {
    let hook = Server::start(|_| Reaction::json(200, "{}")).await.unwrap();
    let Some(running) = alertmanager(&hook.url()).await else { return };
    let notifier = open(&receiver(&running.url, 1_000), &wiring()).unwrap();
    notifier.deliver(&alert(AlertKind::Raised, Severity::Medium)).await.unwrap();
    heard(&hook, "Cofferdam", "medium", "firing").await;
    notifier.deliver(&alert(AlertKind::Raised, Severity::Critical)).await.unwrap();
    heard(&hook, "Cofferdam", "critical", "firing").await;
    heard(&hook, "Cofferdam", "medium", "resolved").await;
    // The one that closes may have any severity.
    notifier.deliver(&alert(AlertKind::Retracted, Severity::Info)).await.unwrap();
    heard(&hook, "Cofferdam", "critical", "resolved").await;
}

#[tokio::test]
async fn our_silence_ends_the_heartbeat() {
    let hook = Server::start(|_| Reaction::json(200, "{}")).await.unwrap();
    let Some(running) = alertmanager(&hook.url()).await else { return };
    let heart = Heartbeat::open(&receiver(&running.url, 700), "node-1", &wiring());
    let heart = heart.unwrap().unwrap();
    heart.beat().await.unwrap();
    heard(&hook, "CofferdamHeartbeat", "none", "firing").await;
    heard(&hook, "CofferdamHeartbeat", "none", "resolved").await;
}
