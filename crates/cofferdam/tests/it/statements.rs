//! Statements and the status page on the built program, over the journal of a drill.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::npm;

const JOURNAL: &str = ".cofferdam/drills/d9-stolen-upgrade-key-split.sqlite";
const FILLED: &[&str] = &[
    "--set",
    "protocol=Example Protocol",
    "--set",
    "scope=the vault; nothing else",
    "--set",
    "action=nothing; wait for the next update",
    "--set",
    "next-update=2026-11-27 10:00 UTC",
    "--set",
    "contact=security@example.org",
    "--set",
    "page=https://status.example.org",
];

pub(crate) fn cofferdam(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cofferdam"))
        .args(args)
        .current_dir(folder)
        .output()
        .expect("a program that starts")
}

fn text(bytes: &[u8]) -> String {
    npm::text(bytes)
}

/// A folder with the journal of a drill in which a vault was attacked and paused, and its incident's id.
pub(crate) fn contained() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let drill = ["drill", "run", "d9-stolen-upgrade-key", "--variant", "split"];
    let run = cofferdam(&drill, folder.path());
    assert!(run.status.success(), "{}", text(&run.stderr));
    let list = cofferdam(&["incident", "list", "--json", "--journal", JOURNAL], folder.path());
    let all: Value = serde_json::from_slice(&list.stdout).expect("JSON");
    let id = all[0]["id"].as_str().expect("an id").to_owned();
    (folder, id)
}

/// What the program prints, which has to be JSON.
pub(crate) fn json(args: &[&str], folder: &Path) -> Value {
    let run = cofferdam(&[args, &["--json", "--journal", JOURNAL]].concat(), folder);
    assert!(run.status.success(), "{args:?}: {}{}", text(&run.stdout), text(&run.stderr));
    serde_json::from_slice(&run.stdout).expect("JSON")
}

/// What the program says on its refusal.
pub(crate) fn refused(args: &[&str], folder: &Path) -> String {
    let run = cofferdam(&[args, &["--journal", JOURNAL]].concat(), folder);
    assert!(!run.status.success(), "{args:?}: {}", text(&run.stdout));
    let stderr = text(&run.stderr);
    assert!(stderr.contains("error: ") && stderr.contains("hint: "), "{args:?}: {stderr}");
    stderr
}

/// The id of a statement that was drafted.
fn draft(folder: &Path, case: &str, audience: &str, more: &[&str]) -> String {
    let args = [
        "statement",
        "draft",
        "--case",
        case,
        "--audience",
        audience,
        "--phase",
        "contained",
        "--by",
        "alice",
    ];
    let it = json(&[&args[..], FILLED, more].concat(), folder);
    it["id"].as_str().expect("an id").to_owned()
}

fn write_page(folder: &Path) -> PathBuf {
    let args = [
        "status-page",
        "write",
        "--out",
        "site",
        "--name",
        "Example Protocol",
        "--url",
        "https://status.example.org",
    ];
    let it = json(&args, folder);
    assert_eq!(it["files"].as_array().map(Vec::len), Some(7));
    folder.join("site")
}

/// Drafted by alice, approved by bob, published by bob.
fn say(folder: &Path, case: &str, audience: &str, more: &[&str]) -> String {
    let id = draft(folder, case, audience, more);
    json(&["statement", "approve", &id, "--by", "bob"], folder);
    json(&["statement", "publish", &id, "--by", "bob"], folder);
    id
}

#[test]
fn a_statement_waits_for_a_second_person_and_for_the_embargo() {
    let (held, case) = contained();
    let folder = held.path();
    let id = draft(folder, &case, "public", &[]);
    let own = refused(&["statement", "approve", &id, "--by", "Alice"], folder);
    assert!(own.contains("another person has to approve"), "{own}");
    let unread = refused(&["statement", "publish", &id, "--by", "bob"], folder);
    assert!(unread.contains("approved first"), "{unread}");
    json(&["statement", "approve", &id, "--by", "bob"], folder);
    let until = "the issuer froze it";
    let embargo = ["statement", "embargo", "--case", &case, "--until", until, "--by", "dana"];
    json(&embargo, folder);
    let held_back = refused(&["statement", "publish", &id, "--by", "carol"], folder);
    assert!(held_back.contains("embargo until the issuer froze it"), "{held_back}");
    json(&[&embargo[..], &["--lift", "--because", "done"]].concat(), folder);
    json(&["statement", "publish", &id, "--by", "carol"], folder);
    let verify = cofferdam(&["journal", "verify", "--journal", ".cofferdam/desk"], folder);
    assert!(text(&verify.stdout).starts_with("journal verifies: "), "{}", text(&verify.stderr));
}

#[test]
fn the_page_has_what_is_public_with_its_corrections() {
    let (held, case) = contained();
    let folder = held.path();
    let id = say(folder, &case, "public", &[]);
    let outage = ["--state", "major_outage", "--case", &case, "--by", "dana"];
    json(&[&["status-page", "component", "Vault"][..], &outage].concat(), folder);
    let closed = say(folder, &case, "exchanges", &["--tlp", "amber"]);
    std::fs::write(folder.join("right.txt"), "Two vaults are concerned.\n").expect("a file");
    let right = ["statement", "correct", &id, "--text", "right.txt", "--by", "alice"];
    let right = json(&right, folder);
    let right = right["id"].as_str().expect("an id");
    json(&["statement", "approve", right, "--by", "bob"], folder);
    json(&["statement", "publish", right, "--by", "bob"], folder);
    let site = write_page(folder);
    let page = std::fs::read_to_string(site.join("index.html")).expect("a file");
    assert!(page.contains("Two vaults are concerned.") && page.contains("the vault; nothing else"));
    assert!(!page.contains("If you take deposits"), "TLP:AMBER is not on the page");
    let list = text(&cofferdam(&["statement", "list", "--journal", JOURNAL], folder).stdout);
    for it in ["corrected", "published", "TLP:AMBER", "exchanges", "(corrects "] {
        assert!(list.contains(it), "{it}: {list}");
    }
    let show = ["statement", "show", &closed, "--format", "markdown", "--journal", JOURNAL];
    assert!(text(&cofferdam(&show, folder).stdout).starts_with("**TLP:AMBER**\n"));
    parsed_by_python(&site);
}

/// Feeds and page have to be what a strict parser of another hand reads.
fn parsed_by_python(site: &Path) {
    let script = "import sys, xml.dom.minidom as m\nfor f in sys.argv[1:]: m.parse(f)\n";
    let run = Command::new("python3")
        .args(["-c", script])
        .arg(site.join("history.rss"))
        .arg(site.join("history.atom"))
        .output();
    match run {
        Ok(it) => assert!(it.status.success(), "{}", text(&it.stderr)),
        Err(error) => npm::skipped(&format!("python3 is not here: {error}")),
    }
}

#[test]
fn what_would_inject_is_refused() {
    let (held, case) = contained();
    let folder = held.path();
    let base = [
        "statement",
        "draft",
        "--case",
        &case,
        "--audience",
        "public",
        "--phase",
        "contained",
        "--by",
        "alice",
    ];
    let with = |more: &[&str]| refused(&[&base[..], more].concat(), folder);
    assert!(with(&[]).contains("nothing is given for `protocol`"));
    assert!(with(&["--set", "protocol=a\r\nLocation: x"]).contains("cannot be seen"));
    assert!(with(&["--set", "scope={{loss}}"]).contains("no template"));
    assert!(with(&["--set", "contained=never"]).contains("filled from the case"));
    assert!(with(&[FILLED, &["--tlp", "red"]].concat()).contains("TLP:RED is above TLP:CLEAR"));
    std::fs::write(folder.join("t.txt"), "A {{nothing}}\n\nb\n").expect("a file");
    assert!(with(&["--template", "t.txt"]).contains("there is no placeholder `nothing`"));
    let page = ["status-page", "write", "--out", "x", "--name", "a\nb", "--url", "https://a"];
    assert!(refused(&page, folder).contains("cannot be seen"));
    assert!(!folder.join("x").exists());
}

/// Serves files until the thread is dropped with the test.
fn serve(site: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut head = [0; 4_096];
            let read = stream.read(&mut head).unwrap_or(0);
            let head = text(&head[..read]);
            let path = head.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
            let body = std::fs::read(site.join(&path));
            let status = if body.is_ok() { "200 OK" } else { "404 Not Found" };
            let body = body.unwrap_or_default();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    address
}

/// Release 3.4.6 of the client, the latest, was published without its code.
#[test]
fn a_foreign_client_reads_the_status_page() {
    let Some(packages) = npm::installed(&["statuspage.io@3.2.10"]) else { return };
    let (held, case) = contained();
    let folder = held.path();
    say(folder, &case, "public", &[]);
    json(
        &[
            "status-page",
            "component",
            "Vault",
            "--state",
            "partial_outage",
            "--case",
            &case,
            "--by",
            "dana",
        ],
        folder,
    );
    let site = write_page(folder);
    let summary = std::fs::read_to_string(site.join("api/v2/summary.json")).expect("a file");
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    let page = summary["page"]["id"].as_str().expect("an id");
    let script = r#"
import statuspage from 'statuspage.io';
const {Statuspage} = statuspage;
const [page, address] = process.argv.slice(2);
const client = new Statuspage(page);
client.setApiUrl(`http://${address}`);
const summary = await client.api.getSummary();
const status = await client.api.getStatus();
const components = await client.api.getComponents();
const incidents = await client.api.incidents.getAll();
console.log(JSON.stringify({summary, status, components, incidents}));
"#;
    let run = npm::node(packages.path(), script, &[page, &serve(site)]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let seen: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!(seen["summary"], summary);
    assert_eq!(seen["status"]["status"]["indicator"], "major");
    assert_eq!(seen["components"]["components"][0]["name"], "Vault");
    assert_eq!(seen["incidents"]["incidents"][0]["incident_updates"][0]["status"], "identified");
}
