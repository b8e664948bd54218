//! The post-mortem says what the journal knows, and no more.

use cofferdam_recovery::{
    Account, Gate, PostMortemError,
    post_mortem::{Options, PostMortem, Sources},
};
use cofferdam_respond::{CaseEvent, CaseState, Role};
use cofferdam_statements::{StatementEvent, Statements, Tlp};

use crate::gates::Desk;

fn story() -> Desk {
    let mut desk = Desk::new();
    let id = *desk.cases.all().keys().next().unwrap();
    let commander =
        CaseEvent::Assigned { role: Role::Commander, person: "alice".into(), by: "alice".into() };
    desk.record(commander.record(id).unwrap());
    desk.wait(5);
    let decided = CaseEvent::Decided {
        what: "pause the vault | now".into(),
        because: "<b>it drains</b>, says Bob".into(),
        by: "bob".into(),
    };
    desk.record(decided.record(id).unwrap());
    desk.moved(CaseState::Contained);
    desk.prove(Gate::CauseReproduced, None).unwrap();
    desk.wait(5);
    for (number, title) in [(1, "rotate the keys of *bob*"), (2, "write to issuers")] {
        let added = CaseEvent::TaskAdded {
            number,
            title: title.into(),
            owner: (number == 1).then(|| "bob".to_owned()),
            due: None,
            csf: None,
            by: "alice".into(),
        };
        desk.record(added.record(id).unwrap());
    }
    desk.record(CaseEvent::TaskDone { number: 2, by: "bob".into() }.record(id).unwrap());
    desk
}

fn document(desk: &Desk, tlp: Tlp, names: bool) -> Result<PostMortem, PostMortemError> {
    let mut account = Account::default();
    let mut statements = Statements::default();
    for (at, record) in &desk.journal {
        account.apply(*at, record);
        statements.apply(*at, record);
    }
    let from = Sources { statements: &statements, gates: &desk.gates, account: &account };
    let case = desk.cases.all().values().next().unwrap();
    PostMortem::of(case, from, Options { tlp, names, now: desk.now })
}

#[test]
fn people_stand_by_their_role_and_gaps_are_named() {
    let desk = story();
    let it = document(&desk, Tlp::Amber, false).unwrap();
    let text = it.markdown();
    expect_test::expect_file!["snapshots/post-mortem.md"].assert_eq(&text);
    let html = it.html();
    for out in [&text, &html] {
        for name in ["alice", "bob", "zoe"] {
            assert!(!out.to_lowercase().contains(name), "{name}");
        }
        assert_eq!(out.matches("TLP:AMBER").count(), 2);
    }
    assert!(!html.contains("<b>it drains") && html.contains("&lt;b&gt;it drains"));
    assert!(!html.contains("http://") && !html.contains("<script"));
    let named = document(&desk, Tlp::Amber, true).unwrap().markdown();
    assert!(named.contains("alice") && named.contains("bob"));
}

#[test]
fn the_public_one_waits_for_the_end_and_names_nobody() {
    let mut desk = story();
    assert_eq!(document(&desk, Tlp::Clear, false), Err(PostMortemError::TooEarly("contained")));
    desk.moved(CaseState::Closed);
    assert_eq!(document(&desk, Tlp::Clear, true), Err(PostMortemError::Names(Tlp::Clear)));
    let id = *desk.cases.all().keys().next().unwrap();
    let (until, by) = ("the issuer froze it".to_owned(), "dana".to_owned());
    let set = StatementEvent::EmbargoSet { until: until.clone(), by: by.clone() };
    desk.record(set.record(id).unwrap());
    assert_eq!(document(&desk, Tlp::Clear, false), Err(PostMortemError::Embargo(until.clone())));
    let because = "it is".to_owned();
    let lifted = StatementEvent::EmbargoLifted { until, because, by };
    desk.record(lifted.record(id).unwrap());
    let text = document(&desk, Tlp::Clear, false).unwrap().markdown();
    assert!(text.starts_with("**TLP:CLEAR**\n") && text.ends_with("**TLP:CLEAR**\n"));
}
