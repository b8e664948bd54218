//! Who may say what, and when.

use std::collections::BTreeMap;

use cofferdam_core::Timestamp;
use cofferdam_respond::CaseState;
use cofferdam_statements::{
    Audience, Draft, FillError, Phase, Placeholder, Refusal, StatementEvent, Statements, Template,
    TextError, Tlp,
    document::{Format, document, preview},
    fill::fill,
};
use proptest::prelude::*;

use crate::desk::{Desk, T0, case, incident};

#[test]
fn nothing_is_approved_or_published_before_the_case_is_contained() {
    let mut desk = Desk::found(1);
    let mut draft = Draft {
        title: "We look into it".into(),
        body: "The vault is not yet paused, 0x0101010101010101010101010101010101010101 drains it."
            .into(),
        ..holding(&desk)
    };
    let id = desk.draft(1, "alice", draft.clone()).unwrap();
    let refused = desk.approve(1, id, "bob").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the case is detected, not contained: nothing is said before; it also tips an attacker off: \
         not yet paused, 0x0101010101010101010101010101010101010101"
    );
    desk.moved(1, CaseState::Triaged);
    assert!(matches!(desk.approve(1, id, "bob"), Err(Refusal::NotContained { .. })));
    desk.contained(1);
    assert!(matches!(desk.approve(1, id, "bob"), Err(Refusal::TipsOff(_))));
    // To those who hold the funds up, the address is what they need.
    draft.audience = Audience::Exchanges;
    draft.tlp = Tlp::Amber;
    desk.wait(1);
    let closed = desk.draft(1, "alice", draft).unwrap();
    desk.approve(1, closed, "bob").unwrap();
    desk.publish(1, closed, "bob").unwrap();
    // Once the cause is gone, the public may know as well.
    desk.moved(1, CaseState::Eradicated);
    desk.approve(1, id, "bob").unwrap();
    // The attacker strikes again: what was approved stays unsaid.
    desk.moved(1, CaseState::Triaged);
    assert!(matches!(desk.publish(1, id, "bob"), Err(Refusal::NotContained { .. })));
    assert!(desk.statements.get(&id).unwrap().public().is_none());
}

fn holding(desk: &Desk) -> Draft {
    let mut contained = Desk::found(1);
    contained.now = desk.now;
    contained.contained(1);
    contained.filled(1, Audience::Public, Phase::Holding)
}

#[test]
fn a_second_person_approves_what_stands() {
    let mut desk = Desk::found(1);
    desk.contained(1);
    let draft = desk.filled(1, Audience::Public, Phase::Contained);
    let id = desk.draft(1, "Alice", draft).unwrap();
    assert_eq!(desk.publish(1, id, "bob"), Err(Refusal::NotApproved));
    assert_eq!(desk.approve(1, id, " alice "), Err(Refusal::OwnApproval("alice".into())));
    assert!(matches!(desk.approve(1, id, " "), Err(Refusal::Text(TextError::Empty(_)))));
    desk.approve(1, id, "bob").unwrap();
    assert_eq!(desk.approve(1, id, "BOB"), Err(Refusal::Again("BOB".into())));
    desk.publish(1, id, "alice").unwrap();
    assert_eq!(desk.publish(1, id, "alice"), Err(Refusal::Published));
    assert_eq!(desk.approve(1, id, "carol"), Err(Refusal::Published));
    assert_eq!(desk.again(), desk.statements, "a restart has the same statements");
}

#[test]
fn records_that_no_command_would_write_publish_nothing() {
    let mut desk = Desk::found(1);
    desk.contained(1);
    let draft = desk.filled(1, Audience::Public, Phase::Contained);
    let id = desk.draft(1, "alice", draft).unwrap();
    let digest = desk.statements.get(&id).unwrap().digest;
    let other = alloy_primitives::B256::ZERO;
    for event in [
        StatementEvent::StatementPublished { statement: id, digest, by: "mallory".into() },
        StatementEvent::StatementApproved { statement: id, digest, by: "alice".into() },
        StatementEvent::StatementApproved { statement: id, digest: other, by: "bob".into() },
        StatementEvent::StatementPublished { statement: id, digest, by: "mallory".into() },
    ] {
        desk.record(event.record(case(1)).unwrap());
        assert_eq!(desk.statements.get(&id).unwrap().state(), "draft", "{event:?}");
    }
}

#[test]
fn an_embargo_holds_everything_until_it_is_lifted() {
    let mut desk = Desk::found(1);
    desk.contained(1);
    let draft = desk.filled(1, Audience::Public, Phase::Contained);
    let id = desk.draft(1, "alice", draft).unwrap();
    let event = desk.statements.set_embargo(&desk.cases, case(1), "dana", "the issuer froze it");
    desk.done(1, event).unwrap();
    let refused = desk.approve(1, id, "bob").unwrap_err();
    assert_eq!(refused.to_string(), "there is an embargo until the issuer froze it, set by dana");
    let lift = |desk: &Desk, until: &str, why: &str| {
        desk.statements.lift_embargo(&desk.cases, case(1), "dana", until, why)
    };
    assert_eq!(lift(&desk, "x", "y"), Err(Refusal::NoEmbargo("x".into())));
    assert!(matches!(lift(&desk, "the issuer froze it", ""), Err(Refusal::Text(_))));
    let event = lift(&desk, "the issuer froze it", "frozen in tx 0x12");
    desk.done(1, event).unwrap();
    desk.approve(1, id, "bob").unwrap();
}

#[test]
fn a_claim_wants_evidence() {
    let mut desk = Desk::found(1);
    desk.contained(1);
    let mut draft = desk.filled(1, Audience::Public, Phase::Contained);
    draft.body = "All user funds  are\nSAFE.".into();
    let id = desk.draft(1, "alice", draft.clone()).unwrap();
    assert_eq!(desk.approve(1, id, "bob"), Err(Refusal::Unproved("funds are safe")));
    draft.evidence = vec!["0xabc: Σ claims ≤ assets at block 9".into()];
    desk.wait(1);
    let id = desk.draft(1, "alice", draft).unwrap();
    desk.approve(1, id, "bob").unwrap();
}

#[test]
fn marks_bind_every_way_out() {
    let mut desk = Desk::found(1);
    desk.contained(1);
    let mut draft = desk.filled(1, Audience::Traders, Phase::Contained);
    draft.tlp = Tlp::Green;
    let refused = desk.draft(1, "alice", draft.clone()).unwrap_err();
    assert_eq!(refused.to_string(), "TLP:GREEN is above TLP:CLEAR, the most for traders");
    draft.audience = Audience::Integrators;
    draft.tlp = Tlp::Red;
    assert!(matches!(desk.draft(1, "alice", draft.clone()), Err(Refusal::Mark { .. })));
    draft.tlp = Tlp::Amber;
    draft.body = "Stop, <b>now</b> & *here*.".into();
    let id = desk.draft(1, "alice", draft).unwrap();
    assert!(document(desk.statements.get(&id).unwrap(), Format::Html).is_err(), "a draft");
    assert!(preview(desk.statements.get(&id).unwrap()).contains("DRAFT"));
    desk.approve(1, id, "bob").unwrap();
    desk.publish(1, id, "bob").unwrap();
    let it = desk.statements.get(&id).unwrap();
    assert!(it.public().is_none(), "what is above TLP:CLEAR is not public");
    let formats = [Format::Text, Format::Markdown, Format::Html, Format::Xml];
    let texts: Vec<String> = formats.iter().map(|f| document(it, *f).unwrap()).collect();
    for text in &texts {
        assert!(text.contains("TLP:AMBER"), "{text}");
    }
    assert!(texts[0].starts_with("TLP:AMBER\n") && texts[0].ends_with("TLP:AMBER\n"));
    expect_test::expect_file!["snapshots/handed-over.txt"].assert_eq(&texts.join("----\n"));
}

#[test]
fn what_was_published_is_corrected_beside_it() {
    let mut desk = Desk::found(1);
    desk.contained(1);
    let draft = desk.filled(1, Audience::Public, Phase::Contained);
    let early = desk.draft(1, "alice", draft.clone()).unwrap();
    let correction =
        Draft { body: "Two pools are concerned.".into(), corrects: Some(early), ..draft };
    assert_eq!(desk.draft(1, "bob", correction.clone()), Err(Refusal::NotPublished));
    desk.approve(1, early, "bob").unwrap();
    desk.publish(1, early, "bob").unwrap();
    let before = desk.statements.get(&early).unwrap().draft.clone();
    let elsewhere = Draft { audience: Audience::Traders, ..correction.clone() };
    assert_eq!(desk.draft(1, "bob", elsewhere), Err(Refusal::OtherReaders));
    desk.wait(5);
    let late = desk.say(1, correction);
    let it = desk.statements.get(&early).unwrap();
    assert_eq!((it.state(), &it.corrections[..]), ("corrected", &[late][..]));
    assert_eq!(it.draft, before);
}

#[test]
fn a_template_is_filled_or_refused() {
    let mut desk = Desk::found(1);
    let template = Template::builtin(Audience::Public, Phase::Contained).unwrap();
    let given = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let try_fill = |desk: &Desk, pairs: &[(&str, &str)]| {
        fill(&template, desk.cases.get(&case(1)).unwrap(), &desk.statements, &given(pairs))
    };
    let open = try_fill(&desk, &[("protocol", "X")]).unwrap_err();
    let FillError::Unfilled(open) = open else { panic!("{open}") };
    assert!(open.contains(&Placeholder::Contained), "it is not contained: {open:?}");
    desk.contained(1);
    let open = try_fill(&desk, &[("protocol", "X")]).unwrap_err();
    assert_eq!(
        open.to_string(),
        "nothing is given for `scope`, `action`, `next-update`, `page`, `contact`"
    );
    let refused = |pairs: &[(&str, &str)]| try_fill(&desk, pairs).unwrap_err();
    assert_eq!(refused(&[("scop", "x")]), FillError::Unknown("scop".into()));
    assert_eq!(refused(&[("detected", "x")]), FillError::OfCase(Placeholder::Detected));
    assert_eq!(refused(&[("page", "http://x")]), FillError::Link(Placeholder::Page));
    for value in ["a\nSubject: b", "a\r\nb", "{{loss}}", "\u{202e}a", "", " "] {
        let it = refused(&[("scope", value)]);
        assert!(matches!(it, FillError::Text(_)), "{value:?}: {it}");
    }
    let text = desk.filled(1, Audience::LiquidityProviders, Phase::Contained);
    expect_test::expect_file!["snapshots/filled.txt"]
        .assert_eq(&format!("{}\n\n{}\n", text.title, text.body));
}

#[test]
fn a_merged_case_takes_its_embargo_along() {
    let mut desk = Desk::found(1);
    desk.incident(2);
    desk.contained(1);
    desk.contained(2);
    let event = desk.statements.set_embargo(&desk.cases, case(2), "dana", "the issuer froze it");
    desk.done(2, event).unwrap();
    let merged = cofferdam_respond::CaseEvent::Merged {
        into: case(1),
        by: "alice".into(),
        because: "one attacker".into(),
    };
    desk.record(merged.record(case(2)).unwrap());
    let draft = desk.filled(1, Audience::Public, Phase::Contained);
    let id = desk.draft(1, "alice", draft).unwrap();
    assert!(matches!(desk.approve(1, id, "bob"), Err(Refusal::Embargo { .. })));
}

proptest! {
    /// Whatever is recorded, the fold never panics, and nothing becomes public without an approval by
    /// another name than the author's.
    #[test]
    fn nothing_is_public_without_a_second_person(steps in proptest::collection::vec((0_usize..4, 0_usize..3), 0..40)) {
        let mut desk = Desk::found(1);
        desk.contained(1);
        let names = ["alice", "bob", "Alice "];
        let draft = desk.filled(1, Audience::Public, Phase::Contained);
        let id = desk.draft(1, "alice", draft).unwrap();
        let digest = desk.statements.get(&id).unwrap().digest;
        for (what, who) in steps {
            let by = names[who].to_owned();
            let event = match what {
                0 => StatementEvent::StatementApproved { statement: id, digest, by },
                1 => StatementEvent::StatementPublished { statement: id, digest, by },
                2 => StatementEvent::EmbargoSet { until: by.clone(), by },
                _ => StatementEvent::StatementApproved { statement: id, digest: incident(1).0, by },
            };
            desk.record(event.record(case(1)).unwrap());
            let it = desk.statements.get(&id).unwrap();
            if it.public().is_some() {
                prop_assert!(it.approved.iter().any(|it| it.by == "bob"));
            }
        }
        let junk = serde_json::json!({ "event": "statement-approved" });
        desk.record(cofferdam_core::Record::Case { case: case(1).0, event: junk });
        prop_assert_eq!(desk.again(), desk.statements);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,200}") {
        let _ = Template::read(&text);
        let mut statements = Statements::default();
        let event = serde_json::json!({ "event": text });
        let record = cofferdam_core::Record::Case { case: case(1).0, event };
        statements.apply(Timestamp(T0), &record);
    }
}
