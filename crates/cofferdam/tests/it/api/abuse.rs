//! What must not work: each refused with a typed reason.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use super::world::{
    READER, RESPONDER, Reply, World, alice, bob, carol, case, cookie, dave, incident, order_key,
    wallet,
};

fn refused(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status, reply.code()), (status, code), "{reply:?}");
}

fn acknowledge() -> String {
    format!("/api/cases/{}/acknowledge", case())
}

#[test]
fn a_change_from_another_page_is_refused() {
    let world = World::start();
    let who = world.sign_in(&alice());
    let empty = json!({});
    let send = |headers: &[(&str, &str)]| {
        let cookie = ("cookie", who.cookie.as_str());
        let all: Vec<_> = std::iter::once(cookie).chain(headers.iter().copied()).collect();
        world.ask("POST", &acknowledge(), &all, Some(&empty))
    };
    let csrf = ("x-cofferdam-csrf", who.csrf.as_str());
    refused(&send(&[]), 403, "forged");
    refused(&send(&[("x-cofferdam-csrf", "0".repeat(64).as_str())]), 403, "forged");
    refused(&send(&[csrf, ("origin", "https://evil.example")]), 403, "forged");
    refused(&send(&[csrf, ("origin", "null")]), 403, "forged");
    refused(&send(&[csrf, ("sec-fetch-site", "cross-site")]), 403, "forged");
    refused(&send(&[csrf, ("content-type", "text/plain")]), 415, "not-json");
    let session = json!({ "address": alice().address() });
    let foreign = [("origin", "https://evil.example")];
    let message = world.ask("POST", "/api/session/message", &foreign, Some(&session));
    refused(&message, 403, "forged");
    // Another's token of a change is as good as none.
    let other = world.sign_in(&bob());
    refused(&send(&[("x-cofferdam-csrf", other.csrf.as_str())]), 403, "forged");
    assert_eq!(send(&[csrf, ("origin", &world.origin)]).status, 200);
}

#[test]
fn nobody_does_what_is_anothers() {
    let world = World::start();
    let [one, two] = [&alice(), &bob()].map(|it| world.sign_in(it));
    let (veto, looks) = (world.sign_in(&carol()), world.sign_in(&dave()));
    for path in ["/api/overview", "/api/events", "/api/session", "/api/orders", "/api/findings"] {
        refused(&world.ask("GET", path, &[], None), 401, "not-signed-in");
    }
    refused(&world.ask("POST", &acknowledge(), &[], Some(&json!({}))), 401, "not-signed-in");
    refused(&world.post(&looks, &acknowledge(), &json!({})), 403, "not-allowed");
    let token = |it: &str| format!("Bearer {it}");
    let by = |it: &str, path: &str, body: &Value| {
        world.ask("POST", path, &[("authorization", &token(it))], Some(body))
    };
    refused(&by(READER, &acknowledge(), &json!({})), 403, "not-allowed");
    let roles = format!("/api/cases/{}/roles", case());
    refused(&by(RESPONDER, &roles, &json!({ "role": "commander" })), 403, "not-allowed");
    refused(&world.post(&one, &roles, &json!({ "role": "comms" })), 403, "not-allowed");
    let key = order_key(1);
    let (asks, votes) = (format!("/api/orders/{key}/question"), format!("/api/orders/{key}/votes"));
    let approve = json!({ "verdict": "approve", "reason": "" });
    refused(&by(RESPONDER, &asks, &approve), 403, "not-allowed");
    refused(&world.post(&looks, &asks, &approve), 403, "not-allowed");
    refused(&world.post(&veto, &asks, &approve), 403, "not-allowed");
    let no = json!({ "verdict": "veto", "reason": "no" });
    refused(&world.post(&one, &asks, &no), 403, "not-allowed");
    // Whoever gets hold of another's signature can do nothing with it.
    let bobs = world.ballot((&two, &bob()), key, "approve", "");
    refused(&world.post(&one, &votes, &bobs), 403, "not-allowed");
    // Whoever puts their own name to it neither.
    let mut mine = bobs.clone();
    mine["voter"] = json!(alice().address());
    refused(&world.post(&one, &votes, &mine), 422, "not-counted");
    let strange = world.sign_in_body(&wallet(9));
    refused(&world.ask("POST", "/api/session", &[], Some(&strange)), 403, "not-allowed");
}

#[test]
fn what_was_said_once_is_not_said_again() {
    let world = World::start();
    let who = world.sign_in(&alice());
    let votes = |it: u8| format!("/api/orders/{}/votes", order_key(it));
    let ballot = |verdict: &str| world.ballot((&who, &alice()), order_key(1), verdict, "because");
    let (early, body) = (ballot("approve"), ballot("approve"));
    assert_eq!(world.post(&who, &votes(1), &body).status, 200);
    refused(&world.post(&who, &votes(1), &body), 409, "replayed");
    refused(&world.post(&who, &votes(1), &early), 409, "replayed");
    // For another order, or with another word, it is not what was signed.
    refused(&world.post(&who, &votes(2), &body), 422, "not-counted");
    let later = ballot("approve");
    for (field, value) in [
        ("verdict", json!("deny")),
        ("reason", json!("another reason")),
        ("expires", json!(later["expires"].as_u64().map(|it| it + 1))),
        ("signature", json!(format!("0x{}", "1b".repeat(65)))),
    ] {
        let mut changed = later.clone();
        changed[field] = value;
        refused(&world.post(&who, &votes(1), &changed), 422, "not-counted");
    }
    let mut old = later.clone();
    old["at"] = json!(later["at"].as_u64().map(|it| it + 3_600_000));
    refused(&world.post(&who, &votes(1), &old), 422, "not-counted");
    let message = world.sign_in_body(&bob());
    assert_eq!(world.ask("POST", "/api/session", &[], Some(&message)).status, 200);
    refused(&world.ask("POST", "/api/session", &[], Some(&message)), 409, "replayed");
    let mut another = world.sign_in_body(&bob());
    let text =
        another["message"].as_str().map(|it| it.replace(&world.origin, "http://evil.example"));
    another["message"] = json!(text);
    refused(&world.ask("POST", "/api/session", &[], Some(&another)), 422, "not-counted");
}

#[test]
fn a_session_begins_at_sign_in_and_ends_at_sign_out() {
    let world = World::start();
    // A cookie that somebody planted is not taken over.
    let planted = format!("cofferdam={}", "a".repeat(64));
    let body = world.sign_in_body(&alice());
    let first = world.ask("POST", "/api/session", &[("cookie", &planted)], Some(&body));
    assert_eq!(first.status, 200);
    let flags = ["httponly", "samesite=strict", "path=/", "max-age="];
    assert!(flags.iter().all(|it| first.head.contains(it)), "{}", first.head);
    let show = |it: &str| world.ask("GET", "/api/session", &[("cookie", it)], None);
    let one = cookie(&first);
    assert_ne!(one, planted);
    refused(&show(&planted), 401, "not-signed-in");
    assert_eq!(show(&one).body["name"], "alice");
    // Two of one name: one of them is somebody else's work.
    refused(&show(&format!("{planted}; {one}")), 401, "not-signed-in");
    // Signing in again ends what was before.
    let body = world.sign_in_body(&alice());
    let second = world.ask("POST", "/api/session", &[("cookie", &one)], Some(&body));
    let two = cookie(&second);
    refused(&show(&one), 401, "not-signed-in");
    let csrf = second.body["csrf"].as_str().expect("a token");
    let headers = [("cookie", two.as_str()), ("x-cofferdam-csrf", csrf)];
    assert_eq!(world.ask("DELETE", "/api/session", &headers, None).status, 200);
    refused(&show(&two), 401, "not-signed-in");
}

#[test]
fn bodies_paths_and_headers_that_mean_harm_are_refused() {
    let world = World::start();
    let who = world.sign_in(&alice());
    let large = json!({ "text": "x".repeat(100_000) });
    let notes = format!("/api/cases/{}/notes", case());
    refused(&world.post(&who, &notes, &large), 413, "too-large");
    // As large, and not said so beforehand.
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, "x".repeat(60_000));
    let head = format!(
        "POST {notes} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {RESPONDER}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"
    );
    refused(&world.raw(head.as_bytes()), 413, "too-large");
    for path in [
        "/js/../../../../etc/passwd",
        "/js/..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/console.css/../../etc/passwd",
        "/api/incidents/..%2f..%2fetc%2fpasswd",
        "/api/incidents/%ff%fe",
        "/api/incidents/0x%0d%0aset-cookie:%20a=b",
        "/api/nothing",
    ] {
        let reply = world.get(path, READER);
        refused(&reply, 404, "not-found");
        assert!(!reply.head.contains("set-cookie"), "{reply:?}");
    }
    let asks = format!("/api/orders/{}/question", order_key(1));
    let split = json!({ "verdict": "deny", "reason": "a\r\nset-cookie: b=c" });
    refused(&world.post(&who, &asks, &split), 400, "malformed");
    for body in [json!([]), json!({ "by": "bob" }), json!({ "title": 1 }), json!({ "title": "" })] {
        let reply = world.post(&who, &format!("/api/cases/{}/tasks", case()), &body);
        refused(&reply, 400, "malformed");
    }
    refused(&world.ask("PUT", "/api/overview", &[], None), 405, "method");
    let limits = ["limit=-1", "limit=501", "limit=x", "skip=99999999999999999999"];
    for query in limits {
        refused(&world.get(&format!("/api/findings?{query}"), READER), 400, "malformed");
    }
    let page = world.ask("GET", "/", &[], None);
    assert!(page.head.contains("default-src 'none'") && page.head.contains("nosniff"));
    let room = world.get(&format!("/api/incidents/{}", incident()), READER);
    assert!(
        room.head.contains("content-type: application/json"),
        "markup in it is never read as such"
    );
}

#[test]
fn guessing_is_slow() {
    let world = World::start();
    let guess = |it: usize| world.get("/api/overview", &format!("{it:0>40}"));
    refused(&guess(0), 401, "not-signed-in");
    let message = json!({ "address": alice().address() });
    // More than one minute takes, and whatever two of them take.
    let codes: Vec<u16> = (0..70)
        .map(|_| world.ask("POST", "/api/session/message", &[], Some(&message)).status)
        .collect();
    assert!(codes.contains(&429), "{codes:?}");
}

/// So many callers who send half of something that no place is left, on the listener of the running program and on
/// that of a playbook's run alike: the next one is served when their time is up.
#[test]
fn slow_clients_do_not_keep_others_out() {
    let world = World::start();
    let playbook = crate::playbooks::serving();
    for (address, path) in [(&world.address, "/api/session"), (&playbook.address, "/fin/register")]
    {
        let body = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
        );
        let slow: Vec<TcpStream> = (0..70)
            .map(|it| {
                let mut stream = TcpStream::connect(address).expect("a connection");
                let half = if it % 2 == 0 { "GET / HTTP/1.1\r\nhost: x\r\n" } else { &body };
                stream.write_all(half.as_bytes()).expect("a half");
                stream
            })
            .collect();
        let mut next = TcpStream::connect(address).expect("a connection");
        next.write_all(b"GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .expect("it");
        let mut answer = String::new();
        // Four times as long as a stranger may stay: without an end of their time it would never be served.
        next.set_read_timeout(Some(Duration::from_secs(40))).expect("a limit");
        next.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        drop(slow);
    }
}
