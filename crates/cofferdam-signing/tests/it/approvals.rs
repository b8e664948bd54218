//! Approvals with real keys: quorum by role, two persons, vetoes, times, and the export.

use alloy_primitives::{Address, B256, Bytes, Signature, keccak256};
use cofferdam_core::{ChainId, Timestamp};
use cofferdam_signing::approval::{
    Export, ExportError, Person, Question, Role, Rules, SignedAnswer, State, Verdict, Vote, tally,
    variables_hash,
};
use k256::ecdsa::SigningKey;
use proptest::prelude::*;

const OPENED: u64 = 1_000_000;
const WINDOW: u64 = 60_000;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn address(seed: u8) -> Address {
    Address::from_public_key(key(seed).verifying_key())
}

fn person(name: &str, keys: &[u8], roles: &[&str], veto: bool) -> Person {
    Person {
        name: name.into(),
        keys: keys.iter().map(|it| address(*it)).collect(),
        roles: roles.iter().map(|it| (*it).to_owned()).collect(),
        veto,
    }
}

fn rules() -> Rules {
    let role = |name: &str, quorum| Role { name: name.into(), quorum };
    Rules {
        people: vec![
            person("alice", &[1, 11], &["security"], false),
            person("bob", &[2], &["security", "risk"], false),
            person("carol", &[3], &["risk"], false),
            person("dave", &[4], &[], true),
        ],
        roles: vec![role("security", 1), role("risk", 1)],
        persons_min: 2,
        proposer_excluded: false,
        denials_max: 2,
        veto_window_ms: WINDOW,
        alone: false,
    }
}

fn question() -> Question {
    Question {
        id: keccak256("question 1"),
        chain: ChainId(1),
        text: "pause the vault".into(),
        subject: keccak256("safeTxHash"),
        proposer: Some("alice".into()),
        opened: Timestamp(OPENED),
        closes: Timestamp(OPENED + 600_000),
    }
}

fn vote_on(question: &Question, rules: &Rules, seed: u8, verdict: Verdict, after: u64) -> Vote {
    let reason = if verdict == Verdict::Approve { "" } else { "false alarm" };
    let mut vote = Vote {
        verdict,
        reason: reason.into(),
        at: Timestamp(OPENED + after),
        expires: Timestamp(OPENED + after + 300_000),
        voter: address(seed),
        signature: Bytes::new(),
    };
    let hash = question.hash(rules.digest().unwrap(), &vote);
    let (signature, parity) = key(seed).sign_prehash_recoverable(hash.as_slice()).unwrap();
    let signature = Signature::from_signature_and_parity(signature, parity.is_y_odd());
    vote.signature = signature.as_bytes().into();
    vote
}

fn vote(seed: u8, verdict: Verdict, after: u64) -> Vote {
    vote_on(&question(), &rules(), seed, verdict, after)
}

fn state(votes: &[Vote], after: u64) -> State {
    tally(&question(), &rules(), votes, Timestamp(OPENED + after)).state
}

#[test]
fn a_quorum_of_each_role_waits_for_vetoes_and_is_then_approved() {
    let votes = [vote(1, Verdict::Approve, 10), vote(3, Verdict::Approve, 20)];
    assert_eq!(state(&votes[..1], 30), State::Open { missing: vec!["risk".into()] });
    let until = Timestamp(OPENED + 20 + WINDOW);
    assert_eq!(state(&votes, 30), State::Waiting { until });
    assert_eq!(state(&votes, 20 + WINDOW), State::Approved { since: until });
    assert_eq!(state(&votes, 10_000_000), State::Approved { since: until }, "for good");
}

#[test]
fn two_keys_of_one_person_are_one_voice() {
    let votes = [vote(1, Verdict::Approve, 10), vote(11, Verdict::Approve, 20)];
    assert_eq!(state(&votes, 30), State::Open { missing: vec!["risk".into()] });
    // Bob has both roles and still fills one place.
    let bob = [vote(2, Verdict::Approve, 10)];
    assert!(matches!(state(&bob, 30), State::Open { missing } if missing.len() == 1));
    // Whoever can fill one place only gets it.
    let both = [vote(2, Verdict::Approve, 10), vote(1, Verdict::Approve, 20)];
    assert!(matches!(state(&both, 30), State::Waiting { .. }));
}

#[test]
fn the_one_who_asks_does_not_count_where_the_rules_say_so() {
    let mut rules = rules();
    rules.proposer_excluded = true;
    let (q, now) = (question(), Timestamp(OPENED + 30));
    let votes: Vec<Vote> = [1, 3].map(|it| vote_on(&q, &rules, it, Verdict::Approve, 10)).into();
    let counted = tally(&q, &rules, &votes, now);
    assert_eq!(counted.state, State::Open { missing: vec!["security".into()] });
}

#[test]
fn a_veto_within_the_window_stops_and_after_it_does_not() {
    let approvals = [vote(1, Verdict::Approve, 10), vote(3, Verdict::Approve, 20)];
    let with = |after| [&approvals[..], &[vote(4, Verdict::Veto, after)]].concat();
    assert_eq!(state(&with(50), 100_000), State::Vetoed);
    assert_eq!(state(&with(5), 100_000), State::Vetoed);
    assert!(matches!(state(&with(WINDOW + 21), 100_000), State::Approved { .. }));
    // A veto of somebody who may not is a refusal.
    let bob = [&approvals[..], &[vote(2, Verdict::Veto, 30)]].concat();
    assert!(matches!(state(&bob, 40), State::Waiting { .. }));
}

#[test]
fn refusals_close_it_and_a_change_of_mind_reopens_the_count() {
    let no = [vote(1, Verdict::Deny, 10), vote(2, Verdict::Deny, 20)];
    assert_eq!(state(&no, 30), State::Denied);
    let changed =
        [vote(1, Verdict::Approve, 10), vote(3, Verdict::Approve, 20), vote(1, Verdict::Deny, 30)];
    assert_eq!(state(&changed, 100_000), State::Open { missing: vec!["security".into()] });
}

#[test]
fn votes_end_and_questions_close() {
    let votes = [vote(1, Verdict::Approve, 10), vote(3, Verdict::Approve, 400_000)];
    assert_eq!(state(&votes, 400_010), State::Open { missing: vec!["security".into()] });
    assert_eq!(state(&votes, 600_000), State::Expired);
    // A window that does not end before the question does approves nothing.
    let late = [vote(1, Verdict::Approve, 560_000), vote(3, Verdict::Approve, 560_000)];
    assert!(matches!(state(&late, 570_000), State::Waiting { .. }));
    assert_eq!(state(&late, 700_000), State::Expired);
}

#[test]
fn votes_about_something_else_do_not_count() {
    let good = vote(1, Verdict::Approve, 10);
    let other = Question { subject: B256::ZERO, ..question() };
    let mut softer = rules();
    softer.veto_window_ms = 0;
    let early = Vote { at: Timestamp(OPENED - 1), ..good.clone() };
    let silent = Vote { verdict: Verdict::Deny, ..good.clone() };
    let stranger = vote(9, Verdict::Approve, 10);
    let votes = [
        vote_on(&other, &rules(), 1, Verdict::Approve, 10),
        vote_on(&question(), &softer, 1, Verdict::Approve, 10),
        early,
        silent,
        stranger,
    ];
    let counted = tally(&question(), &rules(), &votes, Timestamp(OPENED + 100));
    assert_eq!(counted.refused.len(), votes.len(), "{:?}", counted.refused);
    assert!(counted.approving.is_empty());
}

#[test]
fn rules_that_leave_it_to_one_person_are_none() {
    let mut alone = rules();
    alone.persons_min = 1;
    assert!(alone.check().is_err());
    let mut shared = rules();
    shared.people[1].keys.push(address(1));
    assert!(shared.check().is_err());
    let mut impossible = rules();
    impossible.roles[0].quorum = 3;
    assert!(impossible.check().is_err());
    let votes = [vote_on(&question(), &alone, 1, Verdict::Approve, 10)];
    let counted = tally(&question(), &alone, &votes, Timestamp(OPENED + 100_000));
    assert!(matches!(counted.state, State::Open { .. }));
}

#[test]
fn an_export_is_checked_without_us() {
    let votes = vec![vote(1, Verdict::Approve, 10), vote(3, Verdict::Approve, 20)];
    let at = Timestamp(OPENED + 100_000);
    let state = tally(&question(), &rules(), &votes, at).state;
    let export = Export { question: question(), rules: rules(), votes, at, state };
    let agreed = rules().digest().unwrap();
    let text = serde_json::to_string(&export).unwrap();
    let read: Export = serde_json::from_str(&text).unwrap();
    assert!(read.verify(agreed).is_ok());
    assert_eq!(read.verify(B256::ZERO), Err(ExportError::Rules));
    let mut forged = read.clone();
    forged.votes.pop();
    assert!(matches!(forged.verify(agreed), Err(ExportError::Count { .. })));
    let mut forged = read;
    forged.question.subject = B256::ZERO;
    assert!(matches!(forged.verify(agreed), Err(ExportError::Count { .. })));
}

proptest! {
    #[test]
    fn the_order_of_arrival_does_not_matter(
        said in proptest::collection::vec((0usize..5, 0u8..3, 0u64..500_000), 0..6),
        now in 0u64..700_000,
        turn in 0usize..6,
    ) {
        let votes: Vec<Vote> = said.iter().map(|(who, verdict, at)| {
            let verdict = [Verdict::Approve, Verdict::Deny, Verdict::Veto][usize::from(*verdict)];
            vote([1, 11, 2, 3, 4][*who], verdict, *at)
        }).collect();
        let mut turned = votes.clone();
        if !turned.is_empty() {
            let by = turn % turned.len();
            turned.rotate_left(by);
        }
        prop_assert_eq!(state(&votes, now), state(&turned, now));
    }
}

/// What a plan lets one person release needs one, and never none.
#[test]
fn one_person_alone_is_enough_only_where_the_rules_say_so() {
    let mut alone = Rules { persons_min: 1, roles: Vec::new(), ..rules() };
    assert!(alone.check().is_err());
    alone.alone = true;
    assert_eq!(alone.check(), Ok(()));
    alone.persons_min = 0;
    assert!(alone.check().is_err());
    let written = serde_json::to_string(&rules()).unwrap();
    assert!(!written.contains("alone"), "what was agreed on before keeps its digest");
}

#[test]
fn a_signed_answer_is_about_one_job_and_one_time() {
    let mut answer = SignedAnswer {
        chain: ChainId(1),
        run: keccak256("run"),
        job: keccak256("job"),
        role: "signer".into(),
        failed: String::new(),
        evidence: B256::ZERO,
        variables: variables_hash(&std::collections::BTreeMap::new()).unwrap(),
        at: Timestamp(OPENED),
        expires: Timestamp(OPENED + 300_000),
        signer: address(1),
        signature: Bytes::new(),
    };
    let (signature, parity) = key(1).sign_prehash_recoverable(answer.hash().as_slice()).unwrap();
    let signature = Signature::from_signature_and_parity(signature, parity.is_y_odd());
    answer.signature = signature.as_bytes().into();
    let now = Timestamp(OPENED + 1_000);
    assert_eq!(answer.verify(now), Ok(()));
    assert!(answer.verify(Timestamp(OPENED + 300_000)).is_err(), "too late");
    assert!(answer.verify(Timestamp(OPENED - 61_000)).is_err(), "too early");
    let changes: [fn(&mut SignedAnswer); 7] = [
        |it| it.chain = ChainId(10),
        |it| it.run = keccak256("another"),
        |it| it.job = keccak256("another"),
        |it| it.failed = "no".into(),
        |it| it.role = "counsel".into(),
        |it| it.variables = B256::ZERO,
        |it| it.signer = address(2),
    ];
    for change in changes {
        let mut it = answer.clone();
        change(&mut it);
        assert!(it.verify(now).is_err());
    }
}
