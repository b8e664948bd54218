//! Nothing reopens over an open gate.

use alloy_primitives::{B256, U256};
use cofferdam_core::{Record, Timestamp};
use cofferdam_recovery::{
    Figures, Gate, Gates, Plan, PlanError, RecoveryEvent, Refusal, Settings, Stage, Status,
    gate::Falls,
};
use cofferdam_respond::{CaseEvent, CaseId, CaseState, Cases, Priority};

const T0: u64 = 1_795_651_200_000;
const ID: CaseId = CaseId(B256::repeat_byte(7));

pub(crate) struct Desk {
    pub(crate) cases: Cases,
    pub(crate) gates: Gates,
    pub(crate) journal: Vec<(Timestamp, Record)>,
    pub(crate) now: Timestamp,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let (cases, gates) = (Cases::default(), Gates::default());
        let mut desk = Self { cases, gates, journal: Vec::new(), now: Timestamp(T0) };
        let opened = CaseEvent::Opened {
            title: "vault on eip155:1".into(),
            priority: Priority::P1,
            by: "alice".into(),
        };
        desk.record(opened.record(ID).unwrap());
        desk
    }

    pub(crate) fn record(&mut self, record: Record) {
        self.cases.apply(self.now, &record);
        self.gates.apply(self.now, &record);
        self.journal.push((self.now, record));
    }

    pub(crate) fn moved(&mut self, to: CaseState) {
        let because = "so it is".into();
        let event = CaseEvent::Moved { to, by: "alice".into(), because };
        self.record(event.record(ID).unwrap());
    }

    fn done(&mut self, event: Result<RecoveryEvent, Refusal>) -> Result<(), Refusal> {
        let event = event?;
        self.record(event.record(ID).unwrap());
        Ok(())
    }

    pub(crate) fn prove(&mut self, gate: Gate, figures: Option<Figures>) -> Result<(), Refusal> {
        let evidence = (B256::repeat_byte(9), "report 12", figures);
        let event = self.gates.prove(&self.cases, ID, "zoe", gate, evidence);
        self.done(event)
    }

    fn open(&self) -> Vec<Gate> {
        self.gates.open(&ID, self.now).iter().map(|it| it.gate).collect()
    }

    /// Proves whatever is open.
    pub(crate) fn prove_all(&mut self) {
        for gate in self.open() {
            self.prove(gate, figures(gate)).unwrap();
        }
    }

    pub(crate) fn wait(&mut self, minutes: u64) {
        self.now = self.now.plus_ms(minutes * 60_000);
    }
}

/// Figures that pass `gate`.
fn figures(gate: Gate) -> Option<Figures> {
    let hash = B256::repeat_byte(3);
    match gate {
        Gate::CauseGone => Some(Figures::Replay { codehash: hash, variants: 2 }),
        Gate::CodeMatches => Some(Figures::Code { runtime: hash, audited: hash }),
        Gate::Accounting => Some(Figures::Balance { claims: U256::from(9), assets: U256::from(9) }),
        Gate::LimitsLowered => Some(Figures::Limit { bps: 2_500, hours: 72 }),
        _ => None,
    }
}

#[test]
fn reopening_is_refused_with_the_list_of_open_gates() {
    let mut desk = Desk::new();
    let reopen = |desk: &Desk| desk.gates.reopen(&desk.cases, desk.now, ID, "alice");
    assert_eq!(reopen(&desk), Err(Refusal::NotContained(CaseState::Detected)));
    assert_eq!(
        desk.prove(Gate::OraclesFresh, None),
        Err(Refusal::NotContained(CaseState::Detected))
    );
    desk.moved(CaseState::Contained);
    let refused = reopen(&desk).unwrap_err().to_string();
    assert_eq!(
        refused,
        "12 gates are open: cause-reproduced, cause-gone, code-matches, storage-layout, accounting, \
         breaker-reconciled, oracles-fresh, liquidation-grace, limits-lowered, authorities-armed, \
         stages-ordered, integrators-told"
    );
    desk.prove_all();
    let event = reopen(&desk);
    desk.done(event).unwrap();
    assert_eq!(desk.gates.allowed(&ID), Some(desk.now));
    // Prices grow old, authorities run out, and a proof may turn out to be wrong.
    desk.wait(61);
    assert_eq!(desk.open(), [Gate::OraclesFresh, Gate::AuthoritiesArmed]);
    let stale = reopen(&desk).unwrap_err().to_string();
    assert_eq!(stale, "2 gates are open: oracles-fresh (stale), authorities-armed (stale)");
    desk.prove_all();
    let event = desk.gates.withdraw(ID, "zoe", Gate::CauseGone, "a third variant works");
    desk.done(event).unwrap();
    assert_eq!(desk.open(), [Gate::CauseGone]);
    assert_eq!(desk.gates.allowed(&ID), None);
    // A second act: what was proved before says nothing about it.
    desk.moved(CaseState::Triaged);
    assert_eq!(desk.open().len(), Gate::ALL.len());
    let mut again = Gates::default();
    desk.journal.iter().for_each(|(at, it)| again.apply(*at, it));
    assert_eq!(again, desk.gates, "a restart has the same gates");
}

#[test]
fn a_gate_of_figures_is_passed_by_figures_only() {
    let mut desk = Desk::new();
    desk.moved(CaseState::Contained);
    let falls = |it| Err(Refusal::Falls(it));
    let (one, two) = (B256::repeat_byte(1), B256::repeat_byte(2));
    assert_eq!(desk.prove(Gate::Accounting, None), falls(Falls::Missing(Gate::Accounting)));
    let short = Figures::Balance { claims: U256::from(10), assets: U256::from(9) };
    let missing = U256::from(1);
    assert_eq!(
        desk.prove(Gate::Accounting, Some(short.clone())),
        falls(Falls::Uncovered { missing })
    );
    assert_eq!(
        desk.prove(Gate::OraclesFresh, Some(short.clone())),
        falls(Falls::Other(Gate::OraclesFresh))
    );
    let code = Figures::Code { runtime: one, audited: two };
    assert_eq!(
        desk.prove(Gate::CodeMatches, Some(code)),
        falls(Falls::Code { runtime: one, audited: two })
    );
    let replay = Figures::Replay { codehash: one, variants: 1 };
    assert_eq!(desk.prove(Gate::CauseGone, Some(replay)), falls(Falls::Variants(1)));
    for (bps, hours) in [(2_501, 72), (2_500, 71), (0, 72)] {
        let limit = Figures::Limit { bps, hours };
        assert_eq!(
            desk.prove(Gate::LimitsLowered, Some(limit)),
            falls(Falls::Limit { bps, hours })
        );
    }
    // A record that no command would write passes nothing either.
    let forged = RecoveryEvent::GateProved {
        gate: Gate::Accounting,
        evidence: one,
        what: "trust me".into(),
        figures: Some(short),
        by: "mallory".into(),
    };
    desk.record(forged.record(ID).unwrap());
    desk.record(RecoveryEvent::ReopeningAllowed { by: "mallory".into() }.record(ID).unwrap());
    assert!(desk.open().contains(&Gate::Accounting));
    assert_eq!(desk.gates.allowed(&ID), None);
}

#[test]
fn a_case_that_was_merged_is_not_reopened_by_its_old_name() {
    let mut desk = Desk::new();
    let other = CaseId(B256::repeat_byte(8));
    let (title, by) = ("the other".to_owned(), "alice".to_owned());
    let opened = CaseEvent::Opened { title, priority: Priority::P1, by: by.clone() };
    desk.record(opened.record(other).unwrap());
    desk.moved(CaseState::Contained);
    let because = "one attacker".to_owned();
    let merged = CaseEvent::Merged { into: other, by, because };
    desk.record(merged.record(ID).unwrap());
    let refused = desk.gates.reopen(&desk.cases, desk.now, ID, "alice");
    assert_eq!(refused, Err(Refusal::Merged(other)));
    assert_eq!(desk.prove(Gate::OraclesFresh, None), Err(Refusal::Merged(other)));
}

#[test]
fn a_gate_that_does_not_apply_takes_two_people() {
    let mut desk = Desk::new();
    desk.moved(CaseState::Contained);
    let dismiss = |desk: &Desk, gate, by: &str, agreed: &str| {
        desk.gates.dismiss(&desk.cases, ID, (by, agreed), gate, "there is no breaker")
    };
    let breaker = Gate::BreakerReconciled;
    assert_eq!(dismiss(&desk, Gate::CauseGone, "a", "b"), Err(Refusal::Applies(Gate::CauseGone)));
    assert_eq!(dismiss(&desk, breaker, "ann", " Ann"), Err(Refusal::OnePerson));
    let event = dismiss(&desk, breaker, "ann", "bob");
    desk.done(event).unwrap();
    let states = desk.gates.states(&ID, desk.now);
    let it = states.iter().find(|it| it.gate == breaker).unwrap();
    assert_eq!(it.status, Status::NotApplicable);
    assert_eq!(
        desk.gates.withdraw(ID, "ann", Gate::CauseGone, "x"),
        Err(Refusal::IsOpen(Gate::CauseGone))
    );
}

#[test]
fn exits_open_first_and_no_limit_is_raised_early() {
    let now = Timestamp(T0);
    let mut settings = Settings {
        start: now.plus_ms(3_600_000),
        step_hours: 24,
        first_bps: 2_500,
        capacity: [(Stage::Withdrawals, U256::from(1_000_001))].into(),
    };
    let plan = Plan::of(&settings, now).unwrap();
    let lines: Vec<String> = plan
        .steps
        .iter()
        .map(|it| format!("{} {} {} {:?}", it.at, it.stage.word(), it.bps, it.limit))
        .collect();
    expect_test::expect_file!["snapshots/plan.txt"].assert_eq(&(lines.join("\n") + "\n"));
    let first = |stage: Stage| plan.steps.iter().find(|it| it.stage == stage).unwrap().at;
    assert!(Stage::ALL.windows(2).all(|it| first(it[0]) < first(it[1])));
    settings.first_bps = 2_501;
    assert_eq!(Plan::of(&settings, now), Err(PlanError::First(2_501)));
    settings.first_bps = 100;
    settings.capacity.insert(Stage::Borrows, U256::from(99));
    assert!(matches!(
        Plan::of(&settings, now),
        Err(PlanError::Limit { stage: Stage::Borrows, .. })
    ));
    settings.capacity.insert(Stage::Borrows, U256::MAX);
    assert!(matches!(
        Plan::of(&settings, now),
        Err(PlanError::Limit { stage: Stage::Borrows, .. })
    ));
    settings.capacity.clear();
    settings.step_hours = 0;
    assert_eq!(Plan::of(&settings, now), Err(PlanError::Step(0)));
    settings.step_hours = 1;
    assert!(matches!(Plan::of(&settings, now.plus_ms(7_200_000)), Err(PlanError::Past(_))));
}
