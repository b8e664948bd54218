//! Processes that fail in every way, and a webhook that is served.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{path::Path, sync::Arc, time::Duration};

use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256, b256};
use axum::http::StatusCode;
use cofferdam_act::notify::signature;
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Observation, Stage, Timestamp, Tx, plan::Plan, read::Readings,
    secret::Secret,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{Feeds, Meter, Told, routes};
use crate::runtime::{health::Board, now};

const VAULT: Address = Address::repeat_byte(0xaa);
const APPROVAL: B256 = b256!("8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925");
const SECRET: &str = "a secret of more than 24 bytes";
const PATIENCE: Duration = Duration::from_secs(30);

fn plan(feed: &str) -> Arc<Plan> {
    let text = format!(
        r#"
version = 1
name = "Example"
[[chains]]
id = "eip155:1"
[[entities]]
id = "vault"
accounts = ["eip155:1:{VAULT}"]
[[rules]]
id = "told"
detector = "external"
[[feeds]]
id = "beside"
rule = "told"
{feed}
"#
    );
    Arc::new(cofferdam_core::plan::read(&text, "plan.toml").unwrap().0)
}

/// A process that runs this Python.
fn python(script: &str, more: &str) -> Arc<Plan> {
    let command = json!(["python3", "-c", script]).to_string();
    plan(&format!("from = {{ via = \"process\", command = {command}{more} }}"))
}

fn start(plan: &Arc<Plan>) -> (Feeds, JoinSet<()>) {
    let mut tasks = JoinSet::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/detectors");
    let secret = |_: &str| Some(Secret::new(SECRET));
    (Feeds::start(plan, &folder, &mut tasks, secret).unwrap(), tasks)
}

/// A block in which the vault approves somebody for everything.
fn block(number: u64) -> Observation {
    let spender = Address::repeat_byte(0xee);
    let topics = vec![APPROVAL, B256::from(VAULT.into_word()), B256::from(spender.into_word())];
    let data = Bytes::from(U256::MAX.to_be_bytes::<32>().to_vec());
    let log =
        Log { address: Address::repeat_byte(0x70), data: LogData::new_unchecked(topics, data) };
    let tx = Tx { hash: B256::repeat_byte(4), logs: vec![log], ..Tx::default() };
    let hash = B256::from(U256::from(number));
    let parent = B256::from(U256::from(number - 1));
    let block = BlockRef { chain: ChainId(1), number, hash, parent, time: Timestamp(0) };
    Observation {
        block,
        env: BlockEnv::default(),
        stage: Stage::Provisional,
        witnesses: 1,
        txs: vec![tx],
        readings: Readings::default(),
    }
}

async fn next(feeds: &Feeds) -> Told {
    tokio::time::timeout(PATIENCE, feeds.next()).await.unwrap()
}

async fn amiss(feeds: &Feeds) -> String {
    match next(feeds).await {
        Told::State { because, .. } => because.join("; "),
        Told::Report { report, .. } => panic!("a finding: {report:?}"),
    }
}

#[test]
fn a_minute_takes_so_many_and_the_next_as_many_again() {
    let meter = Meter::default();
    let taken = (0..10).filter(|_| meter.takes(Timestamp(59_999), 3)).count();
    assert_eq!(taken, 3);
    assert!(meter.takes(Timestamp(60_000), 3));
}

#[tokio::test]
async fn the_python_example_finds_what_it_is_for() {
    let plan = plan(
        r#"from = { via = "process", command = ["python3", "unlimited_approval.py"], answer-within = "20s" }"#,
    );
    let (feeds, _tasks) = start(&plan);
    feeds.show(&block(9));
    let Told::Report { report, .. } = next(&feeds).await else { panic!("a finding") };
    assert_eq!((report.subject, report.tx), (VAULT, Some(B256::repeat_byte(4))));
    assert!(report.summary.starts_with("unlimited approval of 0x7070"), "{}", report.summary);
}

#[tokio::test]
async fn a_detector_that_fails_is_told_started_again_and_told_to_work_again() {
    // It dies over block 1, twice, and works from then on.
    let script = r#"
import json, sys
for line in sys.stdin:
    it = json.loads(line)
    if it["observation"]["block"]["number"] == 1: sys.exit(3)
    print(json.dumps({"seq": it["seq"], "done": True}), flush=True)
"#;
    let (feeds, _tasks) = start(&python(script, ", answer-within = \"20s\""));
    feeds.show(&block(1));
    let because = amiss(&feeds).await;
    assert!(because.starts_with("block 1 was not looked at: it ended"), "{because}");
    feeds.show(&block(2));
    assert_eq!(amiss(&feeds).await, "");
}

#[tokio::test]
async fn what_does_not_keep_to_the_protocol_is_said_and_nothing_of_it_is_believed() {
    let reply =
        |text: &str| format!("import sys\nfor line in sys.stdin: print({text:?}, flush=True)");
    let cases = [
        ("import time\ntime.sleep(600)".to_owned(), "no answer within 300ms"),
        (reply("hello"), "it answered something else"),
        (reply(r#"{"seq":7,"done":true}"#), "it answered question 7"),
        (reply(r#"{"seq":1,"finding":{"class":"damage"}}"#), "message is not readable"),
        (
            "import sys\nsys.stdin.readline()\nsys.stdout.write('x'*2000000)".to_owned(),
            "over 1048576 bytes",
        ),
        ("x = bytearray(1 << 30)".to_owned(), "it "),
    ];
    for (script, says) in cases {
        let limit = if says.contains("300ms") { "300ms" } else { "20s" };
        let more = format!(", answer-within = \"{limit}\", memory-mib = 200");
        let (feeds, _tasks) = start(&python(&script, &more));
        feeds.show(&block(1));
        let because = amiss(&feeds).await;
        assert!(because.contains(says), "{script}: {because}");
    }
}

#[tokio::test]
async fn a_detector_sees_no_variable_of_ours() {
    let script = r#"
import json, os, sys
for line in sys.stdin:
    seq = json.loads(line)["seq"]
    names = " ".join(sorted(os.environ))
    found = {"chain": "eip155:1", "subject": "0x" + "aa" * 20, "summary": names}
    print(json.dumps({"seq": seq, "finding": found}))
    print(json.dumps({"seq": seq, "done": True}), flush=True)
"#;
    let (feeds, _tasks) = start(&python(script, ", answer-within = \"20s\""));
    feeds.show(&block(1));
    let Told::Report { report, .. } = next(&feeds).await else { panic!("a finding") };
    let ours: Vec<&str> = report.summary.split(' ').filter(|it| it.contains("CARGO")).collect();
    assert!(ours.is_empty() && report.summary.contains("PATH"), "{}", report.summary);
}

/// Sends a message to a served webhook; the status of the answer.
async fn send(to: &str, path: &str, headers: &str, body: &[u8]) -> StatusCode {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // A body that is too large may be refused before it was sent.
    let _ = stream.write_all(body).await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_webhook_takes_what_is_sealed_and_watched_and_not_too_much() {
    let plan = plan("from = { via = \"webhook\", secret-env = \"S\" }\nper-minute-max = 2");
    let (feeds, _tasks) = start(&plan);
    let board = Board::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let served = routes(feeds.inlets(), board.clone());
    tokio::spawn(async move { axum::serve(listener, served).await });
    let body = |subject: Address| {
        json!({ "chain": "eip155:1", "subject": subject, "summary": "it burns" })
            .to_string()
            .into_bytes()
    };
    let sealed = |body: &[u8]| {
        let secs = now().0 / 1_000;
        let told = signature(&Secret::new(SECRET), "a", secs, body);
        format!("webhook-id: a\r\nwebhook-timestamp: {secs}\r\nwebhook-signature: {told}\r\n")
    };
    let (good, other) = (body(VAULT), body(Address::ZERO));
    let post =
        async |path: &str, headers: String, body: &[u8]| send(&to, path, &headers, body).await;
    let path = "/feeds/beside";
    assert_eq!(post(path, String::new(), &good).await, StatusCode::UNAUTHORIZED);
    assert_eq!(post(path, sealed(b"else"), &good).await, StatusCode::UNAUTHORIZED);
    assert_eq!(post("/feeds/none", sealed(&good), &good).await, StatusCode::UNAUTHORIZED);
    assert_eq!(post(path, sealed(b"{"), b"{").await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(post(path, sealed(&other), &other).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(post(path, sealed(&good), &good).await, StatusCode::SERVICE_UNAVAILABLE, "no head");
    board.update(|it| _ = it.heads.insert("eip155:1".into(), 9));
    assert_eq!(post(path, sealed(&good), &good).await, StatusCode::ACCEPTED);
    assert_eq!(post(path, sealed(&good), &good).await, StatusCode::ACCEPTED);
    assert_eq!(post(path, sealed(&good), &good).await, StatusCode::TOO_MANY_REQUESTS);
    let huge = vec![b' '; 2 << 20];
    assert_eq!(post(path, sealed(&huge), &huge).await, StatusCode::PAYLOAD_TOO_LARGE);
    let Told::Report { report, .. } = next(&feeds).await else { panic!("a finding") };
    assert_eq!(report.summary, "it burns");
}
