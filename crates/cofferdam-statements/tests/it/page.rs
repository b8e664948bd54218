//! The status page: shapes, feeds, and what must not be on it.

use cofferdam_respond::CaseState;
use cofferdam_statements::{
    Audience, ComponentState, Draft, Impact, Page, PageError, Phase, Refusal, Tlp, page::Settings,
};
use serde_json::Value;

use crate::desk::{Desk, case};

fn page(desk: &Desk) -> Vec<(&'static str, String)> {
    let settings = Settings::new("Example Protocol", "https://status.example.org/").unwrap();
    Page::of(settings, &desk.statements, &desk.cases).files().unwrap()
}

fn file(files: &[(&'static str, String)], path: &str) -> String {
    files.iter().find(|it| it.0 == path).unwrap().1.clone()
}

/// A response as the public saw it: contained, corrected, resolved; and one that goes on.
fn story() -> Desk {
    let mut desk = Desk::found(1);
    desk.contained(1);
    desk.wait(10);
    let (_, event) = desk
        .statements
        .set_component(&desk.cases, Some(case(1)), "dana", "Vaults", ComponentState::MajorOutage)
        .unwrap();
    desk.done(1, Ok(event)).unwrap();
    let (board, event) = desk
        .statements
        .set_component(&desk.cases, None, "dana", "App <front end>", ComponentState::Operational)
        .unwrap();
    desk.record(event.record(board).unwrap());
    let draft = desk.filled(1, Audience::Public, Phase::Contained);
    let first = desk.say(1, draft.clone());
    desk.wait(20);
    let body = "Affected: the ETH vault & the <USDC> vault.\n\nThe rest of it stands.".into();
    desk.say(1, Draft { body, corrects: Some(first), ..draft });
    desk.wait(300);
    desk.moved(1, CaseState::Eradicated);
    let resolved =
        Draft { impact: Impact::None, ..desk.filled(1, Audience::Public, Phase::Resolved) };
    desk.say(1, resolved);
    desk.incident(2);
    desk.contained(2);
    desk.wait(1);
    let lps = desk.filled(2, Audience::LiquidityProviders, Phase::Contained);
    desk.say(2, lps);
    let secret = Draft {
        audience: Audience::Exchanges,
        tlp: Tlp::Amber,
        title: "Hold SECRET-1".into(),
        body: "SECRET-2 from 0x0202020202020202020202020202020202020202".into(),
        ..desk.filled(2, Audience::Exchanges, Phase::Contained)
    };
    desk.say(2, secret);
    let unsaid =
        Draft { title: "SECRET-3".into(), ..desk.filled(2, Audience::Public, Phase::Contained) };
    desk.draft(2, "alice", unsaid).unwrap();
    desk
}

#[test]
fn the_page_is_what_was_said_in_public_and_nothing_else() {
    let desk = story();
    let files = page(&desk);
    for (path, text) in &files {
        assert!(!text.contains("SECRET"), "{path}");
        assert!(!text.to_lowercase().contains("0x0202"), "{path}");
        assert!(!text.contains("alice") && !text.contains("bob"), "{path} names people");
    }
    let text: String = files.iter().map(|it| format!("== {}\n{}", it.0, it.1)).collect();
    expect_test::expect_file!["snapshots/page.txt"].assert_eq(&text);
    assert_eq!(page(&desk), files, "written again it is the same");
}

#[test]
fn the_files_have_the_shape_of_atlassian() {
    let files = page(&story());
    let read = |path: &str| -> Value { serde_json::from_str(&file(&files, path)).unwrap() };
    let summary = read("api/v2/summary.json");
    assert_eq!(summary["page"]["id"].as_str().unwrap().len(), 12);
    assert_eq!(summary["status"]["indicator"], "critical");
    assert_eq!(summary["incidents"].as_array().unwrap().len(), 1, "only what is not resolved");
    let all = read("api/v2/incidents.json");
    let [open, past] = &all["incidents"].as_array().unwrap()[..] else { panic!("{all}") };
    assert_eq!((&open["status"], &past["status"]), (&"identified".into(), &"resolved".into()));
    assert_eq!(past["incident_updates"].as_array().unwrap().len(), 3);
    assert!(past["resolved_at"].is_string() && open["resolved_at"].is_null());
    assert_eq!(past["incident_updates"][0]["incident_id"], past["id"]);
    let corrected = past["incident_updates"][1]["body"].as_str().unwrap();
    assert!(corrected.starts_with("Correction of what was said at 2026-11-26 00:10 UTC.\n\n"));
    assert_eq!(read("api/v2/components.json")["components"][1]["status"], "major_outage");
    assert_eq!(read("api/v2/status.json")["status"], summary["status"]);
}

#[test]
fn feeds_and_page_are_well_formed_whatever_is_said() {
    let mut desk = Desk::found(1);
    desk.contained(1);
    let hostile = Draft {
        title: "</title><script>alert(1)</script> ]]> & \"'".into(),
        body: "<img src=x onerror=alert(1)>\n\n]]> &amp; &#0; <!-- \\ `*_[x](y)".into(),
        ..desk.filled(1, Audience::Public, Phase::Contained)
    };
    desk.say(1, hostile);
    let files = page(&desk);
    for path in ["history.rss", "history.atom"] {
        well_formed(&file(&files, path)).unwrap_or_else(|it| panic!("{path}: {it}"));
    }
    let html = file(&files, "index.html");
    assert!(!html.contains("<script") && !html.contains("<img"));
    assert!(html.contains("&lt;script&gt;"));
    let hosts = html.matches("http://").count() + html.matches("src=").count();
    assert_eq!(hosts, html.matches("&lt;img src=").count(), "nothing from another host");
    well_formed("<a><b></a>").unwrap_err();
    well_formed("<a>&nbsp;</a>").unwrap_err();
}

/// Whether a text is XML: elements nest, attributes are quoted, references are known.
fn well_formed(text: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest =
        text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap_or(text);
    while let Some((before, after)) = rest.split_once('<') {
        references(before)?;
        if open.is_empty() && !before.trim().is_empty() {
            return Err(format!("text outside: {before}"));
        }
        let (tag, further) = after.split_once('>').ok_or("an open tag")?;
        rest = further;
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> closes another"));
            }
            continue;
        }
        let name = tag.trim_end_matches('/').split(' ').next().unwrap_or_default();
        if name.is_empty() || !name.chars().all(|it| it.is_ascii_alphanumeric() || it == ':') {
            return Err(format!("<{tag}> is no tag"));
        }
        if tag.matches('"').count() % 2 != 0
            || tag.matches('=').count() * 2 > tag.matches('"').count()
        {
            return Err(format!("<{tag}> has bare attributes"));
        }
        references(tag)?;
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    if open.is_empty() && rest.trim().is_empty() {
        Ok(())
    } else {
        Err(format!("{open:?} stay open"))
    }
}

fn references(text: &str) -> Result<(), String> {
    for part in text.split('&').skip(1) {
        let name = part.split_once(';').ok_or(format!("bare & before {part}"))?.0;
        if !["amp", "lt", "gt", "quot", "#39"].contains(&name) {
            return Err(format!("&{name};"));
        }
    }
    if text.chars().any(|it| it.is_control() && it != '\n') {
        Err("control".into())
    } else {
        Ok(())
    }
}

#[test]
fn a_component_fails_because_of_a_case_that_is_contained() {
    let mut desk = Desk::found(1);
    let set = |desk: &Desk, of, state| {
        desk.statements.set_component(&desk.cases, of, "dana", "Vaults", state).map(|it| it.0)
    };
    let outage = ComponentState::PartialOutage;
    assert_eq!(set(&desk, None, outage), Err(Refusal::NoReason));
    assert!(matches!(set(&desk, Some(case(1)), outage), Err(Refusal::NotContained { .. })));
    desk.contained(1);
    assert_eq!(set(&desk, Some(case(1)), outage), Ok(case(1)));
    let bad = desk.statements.set_component(
        &desk.cases,
        None,
        "dana",
        "a\nb",
        ComponentState::Operational,
    );
    assert!(matches!(bad, Err(Refusal::Text(_))));
}

#[test]
fn a_page_without_an_address_is_none() {
    for url in ["http://a", "https://a b", "https://a\"", "", "javascript:alert(1)"] {
        assert!(matches!(Settings::new("x", url), Err(PageError::Url)), "{url}");
    }
    assert!(matches!(Settings::new("a\nb", "https://a"), Err(PageError::Name(_))));
    let empty = Desk::found(1);
    let files = page(&empty);
    let status: Value = serde_json::from_str(&file(&files, "api/v2/status.json")).unwrap();
    assert_eq!(status["status"]["description"], "All Systems Operational");
}
