//! Playbooks on the built program: check, rehearse, and a worker outside that is driven through a
//! `kill -9` of ours.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};

const TOKEN: &str = "for-tests-only";
/// A playbook with one command for a worker.
const PONG: &str = r#"{
  "type": "playbook",
  "spec_version": "cacao-2.0",
  "id": "playbook--0971eaa5-68b2-4c51-a59e-97a7192fdd01",
  "name": "Pong",
  "created_by": "identity--0971eaa5-68b2-4c51-a59e-97a7192fdd02",
  "created": "2026-11-26T00:00:00.000Z",
  "modified": "2026-11-26T00:00:00.000Z",
  "playbook_variables": {
    "__said__": { "type": "string", "value": "nothing" },
    "__word__": { "type": "string", "value": "ping", "external": true }
  },
  "workflow_start": "start--0971eaa5-68b2-4c51-a59e-97a7192fdd03",
  "workflow": {
    "start--0971eaa5-68b2-4c51-a59e-97a7192fdd03": {
      "type": "start",
      "on_completion": "action--0971eaa5-68b2-4c51-a59e-97a7192fdd04"
    },
    "action--0971eaa5-68b2-4c51-a59e-97a7192fdd04": {
      "type": "action",
      "name": "Say it",
      "commands": [{ "type": "pong", "command": "say __word__:value" }],
      "agent": "organization--0971eaa5-68b2-4c51-a59e-97a7192fdd05",
      "timeout": 60000,
      "in_args": ["__word__"],
      "out_args": ["__said__"],
      "on_completion": "if-condition--0971eaa5-68b2-4c51-a59e-97a7192fdd06"
    },
    "if-condition--0971eaa5-68b2-4c51-a59e-97a7192fdd06": {
      "type": "if-condition",
      "name": "Was it said?",
      "condition": "__said__:value = 'pong: say ping'",
      "on_true": "end--0971eaa5-68b2-4c51-a59e-97a7192fdd07",
      "on_false": "action--0971eaa5-68b2-4c51-a59e-97a7192fdd08",
      "on_completion": "end--0971eaa5-68b2-4c51-a59e-97a7192fdd09"
    },
    "action--0971eaa5-68b2-4c51-a59e-97a7192fdd08": {
      "type": "action",
      "name": "It was not",
      "commands": [{ "type": "unheard-of" }],
      "agent": "organization--0971eaa5-68b2-4c51-a59e-97a7192fdd05",
      "on_completion": "end--0971eaa5-68b2-4c51-a59e-97a7192fdd10"
    },
    "end--0971eaa5-68b2-4c51-a59e-97a7192fdd07": { "type": "end" },
    "end--0971eaa5-68b2-4c51-a59e-97a7192fdd09": { "type": "end" },
    "end--0971eaa5-68b2-4c51-a59e-97a7192fdd10": { "type": "end" }
  },
  "agent_definitions": {
    "organization--0971eaa5-68b2-4c51-a59e-97a7192fdd05": { "type": "organization", "name": "Worker" }
  }
}
"#;

fn cofferdam(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cofferdam"))
        .args(args)
        .current_dir(folder)
        .output()
        .expect("a program that starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn starters() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../playbooks"))
}

#[test]
fn starters_are_checked_and_a_broken_one_says_where_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = ["d1-lending-market.json", "d10-freeze-race.json"];
    for it in names {
        std::fs::copy(starters().join(it), folder.path().join(it)).expect("a copy");
    }
    let good = cofferdam(&["playbook", "check", names[0], names[1]], folder.path());
    assert!(good.status.success(), "{}", text(&good.stdout));
    let source = std::fs::read_to_string(folder.path().join(names[1])).expect("a file");
    let broken = source
        .replacen("\"on_completion\"", "\"on_complete\"", 1)
        .replacen("__moving__:value = true", "__movin__:value = true", 1)
        .replacen("\"TLP:AMBER\"", "\"TLP:WHITE\"", 1);
    std::fs::write(folder.path().join("broken.json"), broken).expect("a file");
    let bad = cofferdam(&["playbook", "check", "broken.json"], folder.path());
    assert!(!bad.status.success());
    expect_test::expect_file!["snapshots/playbook-check.txt"].assert_eq(&text(&bad.stdout));
    let run = cofferdam(&["playbook", "run", "broken.json", "--dry-run"], folder.path());
    let stderr = text(&run.stderr);
    assert!(stderr.starts_with("error: ") && stderr.contains("hint: "), "{stderr}");
}

#[test]
fn a_plan_without_the_action_is_told_before_the_night() {
    let folder = tempfile::tempdir().expect("a folder");
    let new = cofferdam(&["plan", "new", "plan"], folder.path());
    assert!(new.status.success(), "{}", text(&new.stderr));
    let file = starters().join("d4-pool-rounding.json").display().to_string();
    let check = cofferdam(&["playbook", "check", &file, "--plan", "plan"], folder.path());
    assert!(!check.status.success());
    assert!(text(&check.stdout).contains("the plan has no action `pause-pools`"));
    let set = "__containment__=pause-vault";
    let args = ["playbook", "run", &file, "--dry-run", "--plan", "plan", "--set", set];
    let run = cofferdam(&args, folder.path());
    assert!(run.status.success(), "{}{}", text(&run.stdout), text(&run.stderr));
}

#[test]
fn a_playbook_is_shown_and_rehearsed_in_plain_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = "d7-bridge-forged-mint.json";
    std::fs::copy(starters().join(name), folder.path().join(name)).expect("a copy");
    let show = cofferdam(&["playbook", "show", name], folder.path());
    expect_test::expect_file!["snapshots/playbook-show.txt"].assert_eq(&text(&show.stdout));
    let run = cofferdam(
        &["playbook", "run", name, "--dry-run", "--fail", "Contain", "--fail", "Take command"],
        folder.path(),
    );
    expect_test::expect_file!["snapshots/playbook-rehearsal.txt"].assert_eq(&text(&run.stdout));
}

/// The program serving a run, and where.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: String,
    /// Gone with it.
    _folder: Option<tempfile::TempDir>,
}

/// A run that waits for a worker.
pub(crate) fn serving() -> Served {
    let folder = pong_folder();
    let mut served = Served::start(folder.path());
    served._folder = Some(folder);
    served
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    fn start(folder: &Path) -> Self {
        Self::start_with(folder, &["--worker", "pong"])
    }

    fn start_with(folder: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cofferdam"))
            .args(["playbook", "run", "pong.json", "--listen", "127.0.0.1:0"])
            .args(["--journal", "run"])
            .args(more)
            .env("COFFERDAM_FIN_TOKEN", TOKEN)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a program that starts");
        let stderr = child.stderr.take().expect("its stderr");
        let mut lines = BufReader::new(stderr).lines();
        let line = lines.next().expect("a line").expect("text");
        let address = line.rsplit("http://").next().expect("an address").to_owned();
        // What follows must find a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, _folder: None }
    }

    /// Status and body of a request.
    fn ask(&self, method: &str, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        let body = body.to_string();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
        let body = answer.split_once("\r\n\r\n").map_or("", |it| it.1);
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn finish(mut self) -> (bool, String) {
        let status = self.child.wait().expect("an end");
        let mut out = String::new();
        if let Some(it) = self.child.stdout.as_mut() {
            it.read_to_string(&mut out).expect("its result");
        }
        (status.success(), out)
    }

    fn kill(mut self) {
        self.child.kill().expect("a death");
        self.child.wait().expect("an end");
    }
}

fn pong_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("pong.json"), PONG).expect("a file");
    folder
}

#[test]
fn a_worker_keeps_its_job_through_our_death() {
    let folder = pong_folder();
    let served = Served::start(folder.path());
    let me = json!({ "registration_token": TOKEN, "capabilities": [{ "type": "pong" }] });
    let mut stranger = me.clone();
    stranger["registration_token"] = json!("guess");
    assert_eq!(served.ask("POST", "/fin/register", "", &stranger).0, 401);
    let (status, registered) = served.ask("POST", "/fin/register", "", &me);
    assert_eq!(status, 201);
    let token = registered["fin_token"].as_str().expect("a token").to_owned();
    assert_eq!(served.ask("POST", "/fin/poll", "guess", &json!({})).0, 401);
    let (status, polled) = served.ask("POST", "/fin/poll", &token, &json!({}));
    assert_eq!(status, 200, "{polled}");
    let job = &polled["job"];
    assert_eq!(job["commands"][0]["command"], "say ping");
    assert_eq!(job["step"]["timeout"], 60, "the client reads seconds");
    let path = format!("/fin/jobs/{}", job["job_id"].as_str().expect("an id"));
    served.kill();

    let served = Served::start(folder.path());
    let (status, pinged) = served.ask("PATCH", &format!("{path}/status"), &token, &json!({}));
    assert_eq!((status, &pinged["action"]), (200, &json!("continue")));
    assert_eq!(served.ask("PUT", "/fin/jobs/none", &token, &json!({ "state": "success" })).0, 404);
    let result = json!({
        "state": "success",
        "variables": { "__said__": { "type": "string", "value": "pong: say ping" } },
    });
    assert_eq!(served.ask("PUT", &path, &token, &result).0, 204);
    let (good, out) = served.finish();
    assert!(good, "{out}");
    assert_eq!(out, "ended: it worked\n");
    let verify = cofferdam(&["journal", "verify", "--journal", "run"], folder.path());
    assert!(text(&verify.stdout).starts_with("journal verifies: "), "{}", text(&verify.stdout));
}

/// The client that others write workers with. Its path stands in `SOARCA_FIN`.
#[test]
#[expect(clippy::print_stdout, reason = "a skipped test must say so")]
fn the_foreign_client_is_driven_to_the_end() {
    let Ok(client) = std::env::var("SOARCA_FIN") else {
        println!("skipped: SOARCA_FIN names no soarca-fin (PyPI, Python 3.12)");
        return;
    };
    let folder = pong_folder();
    let served = Served::start(folder.path());
    let app = format!(
        "from soarca_fin import Fin\n\
         from soarca_fin.registration import FileRegistrationStore\n\
         fin = Fin('http://{}', registration_store=FileRegistrationStore('registration.json'))\n\
         @fin.command('pong', description='says it')\n\
         async def pong(ctx):\n    return {{'__said__': 'pong: ' + ctx.command.command}}\n",
        served.address
    );
    std::fs::write(folder.path().join("fin.py"), app).expect("a file");
    let register = Command::new(&client)
        .args(["register", "--token", TOKEN])
        .current_dir(folder.path())
        .output()
        .expect("a client that starts");
    assert!(register.status.success(), "{}", text(&register.stderr));
    let mut worker = Command::new(&client)
        .arg("run")
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a client that starts");
    let (good, out) = served.finish();
    worker.kill().expect("its end");
    worker.wait().expect("its end");
    assert!(good, "{out}");
}

/// A playbook that asks two signers one question, and then has a person do something.
fn asking() -> Value {
    let id = |it: &str, kind: &str| format!("{kind}--0971eaa5-68b2-4c51-a59e-97a7192fdd{it}");
    let extension = "extension-definition--7b5e1c9a-3f0d-5a84-9c61-2d4e8f0b6a13";
    let mut it: Value = serde_json::from_str(PONG).expect("JSON");
    let perform =
        json!({ "do": "approval", "question": "Reopen?", "quorum": 2, "roles": ["signer"] });
    it.as_object_mut().expect("an object").remove("playbook_variables");
    it["workflow"] = json!({
        id("03", "start"): { "type": "start", "on_completion": id("04", "action") },
        id("04", "action"): {
            "type": "action", "name": "Ask",
            "commands": [{ "type": "manual", "command": "Reopen?" }],
            "agent": id("05", "organization"), "timeout": 600_000,
            "step_extensions": { extension: perform }, "on_completion": id("08", "action"),
        },
        id("08", "action"): {
            "type": "action", "name": "Do",
            "commands": [{ "type": "manual", "command": "Reopen it." }],
            "agent": id("05", "organization"), "timeout": 600_000, "on_completion": id("07", "end"),
        },
        id("07", "end"): { "type": "end" },
    });
    it["extension_definitions"] = json!({ extension: {
        "type": "extension-definition", "name": "cofferdam-perform", "version": "1.0.0",
        "created_by": "identity--36fcb90e-63b0-54e6-80ea-544b9de09ef6",
        "schema": "https://github.com/cofferdam/cofferdam/blob/main/docs/guides/playbooks.md",
    }});
    it
}

const PERSONAL: &str = "a-token-of-alice-and-of-nobody-else";

/// A plan that names two signers and one who looks.
fn named(folder: &Path) {
    let new = cofferdam(&["plan", "new", "plan"], folder);
    assert!(new.status.success(), "{}", text(&new.stderr));
    let file = folder.join("plan/plan.toml");
    let mut plan = std::fs::read_to_string(&file).expect("a plan");
    let hash = alloy_primitives::hex::encode(<sha2::Sha256 as sha2::Digest>::digest(PERSONAL));
    for (name, byte, more) in [
        ("alice", 1, format!("roles = [\"signer\"]\ntoken-sha256 = \"0x{hash}\"")),
        ("bob", 2, "roles = [\"signer\"]".to_owned()),
        ("dave", 4, String::new()),
    ] {
        let account = crate::api::wallet(byte).address();
        plan += &format!(
            "\n[[people]]\nid = \"{name}\"\naccounts = [\"eip155:1:{account}\"]\n{more}\n"
        );
    }
    std::fs::write(file, plan).expect("a file");
}

/// An answer of the wallet `byte` to `job`.
fn signed(run: &Value, job: &str, byte: u8, role: Option<&str>) -> Value {
    use alloy::signers::SignerSync;
    use cofferdam_signing::approval::{SignedAnswer, variables_hash};
    let wallet = crate::api::wallet(byte);
    let at = crate::api::now();
    let mut answer = SignedAnswer {
        chain: cofferdam_core::ChainId(1),
        run: run.as_str().and_then(|it| it.parse().ok()).expect("a run"),
        job: job.parse().expect("a job"),
        role: role.unwrap_or_default().to_owned(),
        failed: String::new(),
        evidence: alloy_primitives::B256::ZERO,
        variables: variables_hash(&std::collections::BTreeMap::new()).expect("a hash"),
        at,
        expires: at.plus_ms(300_000),
        signer: wallet.address(),
        signature: alloy_primitives::Bytes::new(),
    };
    let signature = wallet.sign_hash_sync(&answer.hash()).expect("a signature");
    answer.signature = signature.as_bytes().into();
    let seal = json!({
        "at": answer.at, "expires": answer.expires,
        "signer": answer.signer, "signature": answer.signature,
    });
    json!({ "role": role, "signed": seal })
}

#[test]
fn a_question_is_answered_by_wallets_that_the_plan_names_and_by_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("pong.json"), asking().to_string()).expect("a file");
    named(folder.path());
    let served = Served::start_with(folder.path(), &["--plan", "plan"]);
    assert_eq!(served.ask("GET", "/jobs", TOKEN, &json!({})).0, 401, "workers are no people");
    let (status, open) = served.ask("GET", "/jobs", PERSONAL, &json!({}));
    assert_eq!(status, 200);
    let (run, job) = (&open["run"], open["jobs"][0]["job"].as_str().expect("a job").to_owned());
    let path = format!("/jobs/{job}");
    let say = |token: &str, body: &Value| served.ask("POST", &path, token, body).0;
    let role = json!({ "role": "signer" });
    assert_eq!(say(TOKEN, &role), 401, "the token of workers answers nothing");
    assert_eq!(say(PERSONAL, &role), 403, "a question wants a signature");
    assert_eq!(
        say(PERSONAL, &json!({ "by": "bob", "role": "signer" })),
        422,
        "nobody names themselves"
    );
    assert_eq!(say("", &signed(run, &job, 9, Some("signer"))), 403, "a stranger");
    assert_eq!(say("", &signed(run, &job, 4, Some("signer"))), 403, "who only looks");
    assert_eq!(say("", &signed(run, &job, 1, Some("counsel"))), 403, "a role that is not theirs");
    let mut forged = signed(run, &job, 1, Some("signer"));
    forged["failed"] = json!("no");
    assert_eq!(say("", &forged), 403, "not what was signed");
    let other = signed(&json!(format!("0x{}", "7".repeat(64))), &job, 1, Some("signer"));
    assert_eq!(say("", &other), 403, "for another run");
    let first = signed(run, &job, 1, Some("signer"));
    assert_eq!(say("", &first), 204);
    assert_eq!(say("", &first), 409, "once");
    assert_eq!(say("", &signed(run, &job, 1, Some("signer"))), 409, "one person is one voice");
    let second = signed(run, &job, 2, Some("signer"));
    served.kill();

    // After our death the first answer is known, and is still taken once.
    let served = Served::start_with(folder.path(), &["--plan", "plan"]);
    assert_eq!(served.ask("POST", &path, "", &first).0, 409);
    assert_eq!(served.ask("POST", &path, "", &second).0, 204);
    let (_, open) = served.ask("GET", "/jobs", PERSONAL, &json!({}));
    let job = open["jobs"][0]["job"].as_str().expect("what is to be done").to_owned();
    let done = served.ask("POST", &format!("/jobs/{job}"), PERSONAL, &json!({}));
    assert_eq!(done.0, 204, "what is no question is answered with a token");
    let (good, out) = served.finish();
    assert!(good, "{out}");
    let export = cofferdam(&["journal", "export", "--journal", "run"], folder.path());
    let export = text(&export.stdout);
    assert_eq!(export.matches("\"signed\"").count(), 2, "{export}");
    assert!(export.contains("\"channel\":\"wallet\"") && export.contains("\"by\":\"alice\""));
}
