//! What the API is for: see, acknowledge, take over, approve; and that all of it is in the journal.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use cofferdam_core::{Record, Timestamp};
use cofferdam_respond::CaseEvent;
use cofferdam_signing::approval::{Question, Rules, Vote};
use serde_json::{Value, json};

use super::world::{READER, RESPONDER, World, alice, bob, carol, case, incident, order_key};

fn is_approved(it: &Record) -> bool {
    matches!(it, Record::Approved { .. })
}

/// Every vote of the journal: question, rules, vote.
fn votes(records: &[Record]) -> Vec<(Question, Rules, Vote)> {
    let signed = records.iter().filter_map(|it| match it {
        Record::Case { event, .. } => match serde_json::from_value(event.clone()).ok()? {
            CaseEvent::Voted { signed, .. } => Some(signed),
            _ => None,
        },
        _ => None,
    });
    let part = |it: &Value, name: &str| it[name].clone();
    signed
        .map(|it| {
            let question = serde_json::from_value(part(&it, "question")).expect("a question");
            let rules = serde_json::from_value(part(&it, "rules")).expect("rules");
            (question, rules, serde_json::from_value(part(&it, "vote")).expect("a vote"))
        })
        .collect()
}

#[test]
fn two_people_release_an_order_and_anybody_can_check_it_in_the_journal() {
    let mut world = World::start();
    let key = order_key(1);
    let path = format!("/api/orders/{key}/votes");
    let (one, two) = (world.sign_in(&alice()), world.sign_in(&bob()));
    let first = world.ballot((&one, &alice()), key, "approve", "the outflow is real");
    let reply = world.post(&one, &path, &first);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.body["count"]["state"], "open");
    assert_eq!(reply.body["count"]["missing"], json!(["signer"]));
    assert!(!world.journal().iter().any(is_approved), "one of two is nothing for the engine");

    // A death in between forgets nothing.
    world.restart();
    let two = {
        drop(two);
        world.sign_in(&bob())
    };
    let second = world.ballot((&two, &bob()), key, "approve", "");
    let reply = world.post(&two, &path, &second);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.body["count"]["state"], "approved");
    assert_eq!(reply.body["count"]["approving"], json!(["alice", "bob"]));

    let records = world.journal();
    let approved: Vec<&Record> = records.iter().filter(|it| is_approved(it)).collect();
    let by = |name: &str| Record::Approved { key, by: name.to_owned() };
    assert_eq!(approved, [&by("alice"), &by("bob")]);
    let votes = votes(&records);
    assert_eq!(votes.len(), 2);
    for (question, rules, vote) in &votes {
        let digest = rules.digest().expect("a digest");
        assert_eq!(question.verify(rules, digest, vote), Ok(()), "without us");
        let later = Vote { at: Timestamp(vote.at.0 + 1), ..vote.clone() };
        assert!(question.verify(rules, digest, &later).is_err());
    }
    // The engine takes it from there.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let tried = |it: &Record| {
        matches!(
            it,
            Record::Dispatched { .. } | Record::DispatchFailed { .. } | Record::Held { .. }
        )
    };
    while !world.journal().iter().any(tried) {
        assert!(std::time::Instant::now() < until, "{:?}", world.journal().last());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_veto_ends_an_order_for_good() {
    let world = World::start();
    let key = order_key(2);
    let path = format!("/api/orders/{key}/votes");
    let who = world.sign_in(&carol());
    let body = world.ballot((&who, &carol()), key, "veto", "planned migration");
    let reply = world.post(&who, &path, &body);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.body["count"]["state"], "vetoed");
    assert_eq!(reply.body["outcome"], json!({ "outcome": "vetoed", "by": "carol" }));
    let signer = world.sign_in(&alice());
    let about = json!({ "verdict": "approve", "reason": "" });
    let late = world.post(&signer, &format!("/api/orders/{key}/question"), &about);
    assert_eq!((late.status, late.code()), (409, "refused"));
}

#[test]
fn who_takes_a_refusal_back_says_so_and_is_counted_again() {
    let world = World::start();
    let key = order_key(1);
    let path = format!("/api/orders/{key}/votes");
    let who = world.sign_in(&alice());
    for (verdict, approving, refusing) in [("approve", 1, 0), ("deny", 0, 1), ("approve", 1, 0)] {
        let body = world.ballot((&who, &alice()), key, verdict, "second thoughts");
        let reply = world.post(&who, &path, &body);
        assert_eq!(reply.status, 200, "{reply:?}");
        let count = &reply.body["count"];
        let len = |it: &Value| it.as_array().map_or(9, Vec::len);
        assert_eq!((len(&count["approving"]), len(&count["refusing"])), (approving, refusing));
    }
}

#[test]
fn a_case_is_acknowledged_taken_over_and_worked_on() {
    let world = World::start();
    let who = world.sign_in(&alice());
    let path = |it: &str| format!("/api/cases/{}{it}", case());
    let did = |it: &str, body: Value| {
        let reply = world.post(&who, &path(it), &body);
        assert_eq!(reply.status, 200, "{it}: {reply:?}");
        reply.body
    };
    assert_eq!(did("/acknowledge", json!({}))["line"]["acknowledged"], true);
    let commands = did("/roles", json!({ "role": "commander" }));
    assert_eq!(commands["roles"]["commander"], json!(["alice"]));
    let tasks = did("/tasks", json!({ "title": "call the exchange", "owner": "bob" }));
    assert_eq!(tasks["tasks"][0]["owner"], "bob");
    let tasks = did("/tasks/1", json!({ "to": "finish" }));
    assert_eq!(tasks["tasks"][0]["state"], json!({ "done": { "by": "alice" } }));
    let bot = [("authorization", format!("Bearer {RESPONDER}"))];
    let bot: Vec<_> = bot.iter().map(|it| (it.0, it.1.as_str())).collect();
    let note = json!({ "text": "ticket 17 was opened" });
    let noted = world.ask("POST", &path("/notes"), &bot, Some(&note));
    assert_eq!(noted.status, 200, "{noted:?}");
    assert_eq!(noted.body["timeline"]["items"][0]["source"]["by"], "ticket-bot");
    let room = world.get(&format!("/api/incidents/{}", incident()), READER);
    assert_eq!(room.body["case"]["line"]["commander"], "alice");
    assert_eq!(room.body["findings"]["total"], 1);
    let overview = world.get("/api/overview", READER).body;
    assert_eq!(overview["readiness"][0]["ready"], false);
    assert_eq!(overview["waiting"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_change_is_heard_of_at_once() {
    let world = World::start();
    let who = world.sign_in(&alice());
    let mut stream = TcpStream::connect(&world.address).expect("a connection");
    let text =
        format!("GET /api/events HTTP/1.1\r\nhost: localhost\r\ncookie: {}\r\n\r\n", who.cookie);
    stream.write_all(text.as_bytes()).expect("a request");
    let mut lines = BufReader::new(stream).lines().map(|it| it.expect("a line"));
    assert!(lines.next().is_some_and(|it| it.contains("200")));
    // The stream listens from its first sign of life on.
    assert!(lines.any(|it| it.contains("still here")));
    let path = format!("/api/cases/{}/acknowledge", case());
    assert_eq!(world.post(&who, &path, &json!({})).status, 200);
    assert!(lines.any(|it| it.contains("event: change")));
    assert!(lines.any(|it| it.contains(&incident().to_string())));
}

#[test]
fn every_screen_is_answered_as_the_document_says() {
    let world = World::start();
    let document = world.ask("GET", "/openapi.json", &[], None).body;
    let paths = document["paths"].as_object().expect("paths");
    let listing = ["/api/events", "/api/session"];
    for (path, operations) in paths {
        if operations.get("get").is_none() || listing.contains(&path.as_str()) {
            continue;
        }
        let path = path
            .replace("{incident}", &incident().to_string())
            .replace("{case}", &case().to_string())
            .replace("{order}", &order_key(1).to_string());
        if path.contains("{finding}") {
            continue;
        }
        let reply = world.get(&path, READER);
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        assert!(reply.head.contains("cache-control: no-store"));
    }
}
