//! A response from the first finding to the hand-over, merge, split, and clocks.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};
use cofferdam_core::{
    Alert, AlertKind, BlockRef, ChainId, Class, Finding, FindingId, IncidentId, Record, Severity,
    Stage, Timestamp, Usd,
    incident::{Incident, IncidentState},
};
use cofferdam_respond::{
    CaseId, CaseState, Cases, ClockState, Command, Csf, Milestone, Priority, Refusal, Role, Source,
    clocks, hand_over, timeline,
};
use proptest::prelude::*;

const T0: u64 = 1_795_651_200_000;

fn incident(byte: u8) -> IncidentId {
    IncidentId(B256::repeat_byte(byte))
}

/// Journal records of an incident that is found, told, and contained by the engine.
fn found(byte: u8, at: u64) -> Vec<(Timestamp, Record)> {
    let chain: ChainId = "eip155:1".parse().unwrap();
    let block = BlockRef {
        chain,
        number: 7,
        hash: B256::ZERO,
        parent: B256::ZERO,
        time: Timestamp(T0 + at - 12_000),
    };
    let finding = Finding {
        id: FindingId(B256::repeat_byte(byte)),
        detector: "outflow".into(),
        rule: "vault-outflow".into(),
        entity: "vault".into(),
        severity: Severity::Critical,
        class: Class::Damage,
        stage: Stage::Provisional,
        block,
        tx: None,
        subject: Address::ZERO,
        actors: Vec::new(),
        llr_millinats: 9_000,
        group: "outflow".into(),
        loss: Usd::ZERO,
        summary: "40 % of the vault left in one transaction".into(),
        evidence: Vec::new(),
    };
    let id = finding.id;
    let incident = Incident {
        id: incident(byte),
        entity: "vault".into(),
        chain,
        state: IncidentState::Detected,
        opened_at: Timestamp(T0 + at),
        held: None,
        findings: BTreeSet::new(),
        actors: BTreeSet::new(),
        orders: Vec::new(),
        ledger: None,
    };
    let alert = Alert {
        id: Alert::id_of("vault", AlertKind::Raised, Timestamp(T0 + at), 0, "attack on vault"),
        at: Timestamp(T0 + at),
        severity: Severity::Critical,
        incident: Some(incident.id),
        dedup: "vault".into(),
        kind: AlertKind::Raised,
        text: "attack on vault".into(),
    };
    let of = incident.id;
    vec![
        (Timestamp(T0 + at), Record::Found { finding }),
        (Timestamp(T0 + at), Record::IncidentOpened { incident }),
        (Timestamp(T0 + at), Record::Attached { incident: of, finding: id }),
        (Timestamp(T0 + at + 1_000), Record::Issued { alert, to: vec!["pager".into()] }),
    ]
}

struct Desk {
    cases: Cases,
    journal: Vec<(Timestamp, Record)>,
    now: Timestamp,
}

impl Desk {
    fn new() -> Self {
        Self { cases: Cases::default(), journal: Vec::new(), now: Timestamp(T0) }
    }

    fn record(&mut self, records: Vec<(Timestamp, Record)>) {
        for (at, record) in records {
            self.cases.apply(at, &record);
            self.journal.push((at, record));
        }
    }

    fn say(&mut self, minute: u64, id: CaseId, by: &str, command: Command) -> Result<(), Refusal> {
        self.now = Timestamp(T0 + minute * 60_000);
        let events = self.cases.command(self.now, id, by, command)?;
        let now = self.now;
        self.record(events.iter().map(|it| (now, it.record(id).unwrap())).collect());
        Ok(())
    }

    /// The cases as a restart would have them.
    fn again(&self) -> Cases {
        let mut cases = Cases::default();
        self.journal.iter().for_each(|(at, it)| cases.apply(*at, it));
        cases
    }
}

fn because(text: &str) -> String {
    text.to_owned()
}

#[test]
fn a_response_is_told_by_its_records() {
    let mut desk = Desk::new();
    desk.record(found(1, 12_000));
    let id = CaseId::of(&incident(1));
    let assign = |role, person: &str| Command::Assign { role, person: person.into() };
    desk.say(3, id, "alice", Command::Acknowledge).unwrap();
    desk.say(3, id, "alice", assign(Role::Commander, "alice")).unwrap();
    desk.say(4, id, "alice", assign(Role::Scribe, "bob")).unwrap();
    let triaged = Command::Move { to: CaseState::Triaged, because: because("seen on two nodes") };
    desk.say(5, id, "alice", triaged).unwrap();
    let decide = Command::Decide { what: "pause the vault".into(), because: because("it drains") };
    desk.say(9, id, "alice", decide).unwrap();
    let task = Command::AddTask {
        title: "freeze requests to issuers".into(),
        owner: None,
        due: Some(Timestamp(T0 + 20 * 60_000)),
        csf: Some(Csf::RsCo),
    };
    desk.say(10, id, "alice", task).unwrap();
    let seen = Command::Note {
        at: Timestamp(T0 - 30 * 60_000),
        text: "a user asked in chat why withdrawals are slow".into(),
        csf: Some(Csf::DeAe),
    };
    desk.say(12, id, "bob", seen).unwrap();
    let moved = Record::IncidentMoved {
        incident: incident(1),
        state: IncidentState::Contained,
        because: "pause-vault is in effect".into(),
    };
    desk.record(vec![(Timestamp(T0 + 21 * 60_000), moved)]);
    let case = desk.cases.get(&id).unwrap();
    assert_eq!((case.state, case.priority), (CaseState::Contained, Priority::P1));
    assert_eq!(case.commander(), Some("alice"));
    let now = Timestamp(T0 + 30 * 60_000);
    expect_test::expect_file!["snapshots/hand-over.txt"].assert_eq(&hand_over(case, now));
    expect_test::expect_file!["snapshots/timeline.txt"].assert_eq(&timeline(case));
    let hand = Command::HandOver { role: Role::Commander, to: "carol".into() };
    assert!(matches!(desk.say(31, id, "bob", hand.clone()), Err(Refusal::NotTheirs { .. })));
    desk.say(31, id, "alice", hand).unwrap();
    assert_eq!(desk.cases.get(&id).unwrap().commander(), Some("carol"));
    assert_eq!(desk.again(), desk.cases, "a restart has the same cases");
}

#[test]
fn a_case_is_not_closed_over_open_tasks_and_only_goes_where_it_may() {
    let mut desk = Desk::new();
    desk.record(found(1, 12_000));
    let id = CaseId::of(&incident(1));
    let to = |to| Command::Move { to, because: because("so it is") };
    let refused = desk.say(1, id, "alice", to(CaseState::Recovering));
    assert_eq!(
        refused,
        Err(Refusal::NoWay { from: CaseState::Detected, to: CaseState::Recovering })
    );
    let task =
        Command::AddTask { title: "write it down".into(), owner: None, due: None, csf: None };
    desk.say(1, id, "alice", task).unwrap();
    desk.say(2, id, "alice", to(CaseState::Triaged)).unwrap();
    assert_eq!(desk.say(3, id, "alice", to(CaseState::Closed)), Err(Refusal::TasksOpen(1)));
    desk.say(3, id, "bob", Command::TakeTask(1)).unwrap();
    desk.say(4, id, "bob", Command::FinishTask(1)).unwrap();
    assert_eq!(desk.say(5, id, "bob", Command::FinishTask(1)), Err(Refusal::NoTask(1)));
    desk.say(5, id, "alice", to(CaseState::Closed)).unwrap();
    // A second act of the attacker opens it again.
    desk.say(90, id, "alice", to(CaseState::Triaged)).unwrap();
    assert!(matches!(desk.say(91, id, " ", Command::Acknowledge), Err(Refusal::Text(_))));
    let tomorrow = Command::Note { at: Timestamp(u64::MAX), text: "later".into(), csf: None };
    assert!(matches!(desk.say(91, id, "bob", tomorrow), Err(Refusal::Future(_))));
}

#[test]
fn clocks_run_from_one_milestone_to_the_next() {
    let mut desk = Desk::new();
    desk.record(found(1, 12_000));
    let id = CaseId::of(&incident(1));
    let state = |desk: &Desk, minute: u64, to: Milestone| {
        let case = desk.cases.get(&id).unwrap();
        let clocks = clocks(case, Timestamp(T0 + minute * 60_000));
        let it = clocks.into_iter().find(|it| it.to == to).unwrap();
        (it.state, it.elapsed_ms)
    };
    assert_eq!(state(&desk, 1, Milestone::Alerted), (ClockState::Met, 13_000));
    assert_eq!(state(&desk, 4, Milestone::Acknowledged).0, ClockState::Running);
    assert_eq!(state(&desk, 6, Milestone::Acknowledged).0, ClockState::Overdue);
    assert_eq!(state(&desk, 6, Milestone::Decided), (ClockState::Waiting, 0));
    desk.say(7, id, "alice", Command::Acknowledge).unwrap();
    assert_eq!(state(&desk, 60, Milestone::Acknowledged).0, ClockState::Missed);
    desk.say(8, id, "alice", Command::Acknowledge).unwrap();
    let first = desk.cases.get(&id).unwrap().milestones[&Milestone::Acknowledged];
    assert_eq!(first, Timestamp(T0 + 7 * 60_000), "the first acknowledgement counts");
}

#[test]
fn cases_merge_and_split_without_losing_a_moment() {
    let mut desk = Desk::new();
    desk.record(found(1, 12_000));
    desk.record(found(2, 24_000));
    let (one, two) = (CaseId::of(&incident(1)), CaseId::of(&incident(2)));
    let before: usize = desk.cases.all().values().map(|it| it.moments.len()).sum();
    let merge = |into| Command::Merge { into, because: because("one attacker") };
    assert!(matches!(desk.say(1, one, "alice", merge(one)), Err(Refusal::Shape(_))));
    desk.say(1, two, "alice", merge(one)).unwrap();
    assert_eq!(desk.say(2, two, "alice", Command::Acknowledge), Err(Refusal::Merged(one)));
    assert_eq!(desk.cases.of(&incident(2)).unwrap().id, one);
    let moments = &desk.cases.get(&one).unwrap().moments;
    assert_eq!(moments.len(), before + 1, "and the merge itself");
    assert!(moments.is_sorted_by_key(|it| it.seq));
    // What the engine records of the second incident is in the first case now.
    desk.record(vec![(
        Timestamp(T0 + 200_000),
        Record::Retracted { finding: FindingId(B256::repeat_byte(2)), because: "reorg".into() },
    )]);
    assert!(desk.cases.get(&one).unwrap().moments.last().unwrap().text.contains("reorg"));
    let split = |incidents: &[u8]| Command::Split {
        title: "the other one".into(),
        incidents: incidents.iter().map(|it| incident(*it)).collect(),
        because: because("two attackers after all"),
    };
    assert!(matches!(desk.say(4, one, "alice", split(&[1, 2])), Err(Refusal::Shape(_))));
    assert!(matches!(desk.say(4, one, "alice", split(&[3])), Err(Refusal::Shape(_))));
    desk.say(4, one, "alice", split(&[2])).unwrap();
    let new = desk.cases.of(&incident(2)).unwrap();
    assert_eq!(new.id, CaseId::split(&one, 1));
    let theirs = |it: &Source| *it == Source::Engine { incident: incident(2) };
    assert!(new.moments.iter().any(|it| theirs(&it.source)));
    assert!(!desk.cases.get(&one).unwrap().moments.iter().any(|it| theirs(&it.source)));
    assert_eq!(desk.again(), desk.cases);
}

proptest! {
    /// Whatever is recorded, the fold never panics and a prefix is a fold of its own.
    #[test]
    fn any_order_of_records_folds(order in proptest::collection::vec((0_usize..8, 0_u64..1_000_000), 0..30)) {
        let all: Vec<_> = found(1, 12_000).into_iter().chain(found(2, 24_000)).collect();
        let mut cases = Cases::default();
        for (which, at) in order {
            cases.apply(Timestamp(T0 + at), &all[which].1);
            let junk = serde_json::json!({ "event": "moved", "to": "nowhere" });
            cases.apply(Timestamp(T0), &Record::Case { case: B256::ZERO, event: junk });
        }
        for case in cases.all().values() {
            prop_assert!(!hand_over(case, Timestamp(T0)).is_empty());
        }
    }

    #[test]
    fn every_state_but_the_last_leads_on(from in 0_usize..7) {
        let from = CaseState::ALL[from];
        prop_assert!(CaseState::ALL.iter().any(|it| from.may_become(*it)));
        prop_assert!(!from.may_become(from));
    }
}
