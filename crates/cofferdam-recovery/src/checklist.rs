//! The gates of a case: proved, taken back, and asked before reopening.
//!
//! **Invariant:** applying never fails, and it repeats what a command checked: figures that do not pass a
//! gate leave it open, whoever wrote the record. A second act of the attacker opens every gate again.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use cofferdam_core::{Record, Timestamp};
use cofferdam_respond::{Case, CaseEvent, CaseId, CaseState, Cases};
use cofferdam_statements::{TextError, line, same_person};
use serde::{Deserialize, Serialize};

use crate::gate::{Falls, Figures, Gate, check};

/// Something that a person did about reopening, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum RecoveryEvent {
    /// A gate was proved.
    GateProved {
        /// Which.
        gate: Gate,
        /// Hash of the evidence.
        evidence: B256,
        /// What the evidence is, for people.
        what: String,
        /// The figures in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        figures: Option<Figures>,
        /// Who.
        by: String,
    },
    /// A gate does not apply.
    GateDismissed {
        /// Which.
        gate: Gate,
        /// Why.
        because: String,
        /// Who says so.
        by: String,
        /// Who agrees: another person.
        agreed: String,
    },
    /// A proof does not hold any more.
    GateReopened {
        /// Which.
        gate: Gate,
        /// Why.
        because: String,
        /// Who.
        by: String,
    },
    /// Reopening may begin: every gate was passed.
    ReopeningAllowed {
        /// Who asked.
        by: String,
    },
}

impl RecoveryEvent {
    /// The journal's record of it.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn record(&self, case: CaseId) -> Result<Record, serde_json::Error> {
        Ok(Record::Case { case: case.0, event: serde_json::to_value(self)? })
    }
}

/// How a gate was passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "passed", rename_all = "kebab-case")]
pub enum Passed {
    /// By proof.
    Proved {
        /// Hash of the evidence.
        evidence: B256,
        /// What it is.
        what: String,
        /// The figures in it.
        figures: Option<Figures>,
    },
    /// It does not apply.
    Dismissed {
        /// Why.
        because: String,
        /// Who agreed.
        agreed: String,
    },
}

/// What is known of a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deed {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// How.
    pub passed: Passed,
}

/// Where a gate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Nobody has proved it.
    Open,
    /// It was proved too long ago.
    Stale,
    /// It was proved.
    Passed,
    /// It does not apply.
    NotApplicable,
}

/// A gate and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    /// Which.
    pub gate: Gate,
    /// Where it stands.
    pub status: Status,
    /// What was done last.
    pub deed: Option<Deed>,
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such case.
    #[error("there is no such case")]
    NoCase,
    /// It is part of another case.
    #[error("it was merged into {0:?}")]
    Merged(CaseId),
    /// The case is not contained.
    #[error("the case is {}: it has to be contained first", .0.word())]
    NotContained(CaseState),
    /// Figures do not pass the gate.
    #[error(transparent)]
    Falls(#[from] Falls),
    /// Evidence is missing.
    #[error("the evidence is missing: the hash is zero")]
    NoEvidence,
    /// This gate always applies.
    #[error("`{}` always applies", .0.word())]
    Applies(Gate),
    /// One person is not two.
    #[error("two people have to say that a gate does not apply")]
    OnePerson,
    /// It is not passed.
    #[error("`{}` is open as it is", .0.word())]
    IsOpen(Gate),
    /// Gates are open.
    #[error("{} gates are open: {}", .0.len(), names(.0))]
    Open(Vec<State>),
    /// A text cannot be said.
    #[error(transparent)]
    Text(#[from] TextError),
}

fn names(open: &[State]) -> String {
    let name = |it: &State| match it.status {
        Status::Stale => format!("{} (stale)", it.gate.word()),
        _ => it.gate.word().to_owned(),
    };
    open.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// The gates of every case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gates {
    cases: BTreeMap<CaseId, BTreeMap<Gate, Deed>>,
    allowed: BTreeMap<CaseId, Timestamp>,
}

impl Gates {
    /// Takes in the next record of the journal, recorded at `at`.
    pub fn apply(&mut self, at: Timestamp, record: &Record) {
        let Record::Case { case, event } = record else { return };
        let id = CaseId(*case);
        if let Ok(CaseEvent::Moved { to: CaseState::Triaged, .. }) =
            serde_json::from_value(event.clone())
        {
            self.cases.remove(&id);
            self.allowed.remove(&id);
        }
        // What is not about gates, or what a later release wrote, stays in the journal.
        let Ok(event) = serde_json::from_value::<RecoveryEvent>(event.clone()) else { return };
        let gates = self.cases.entry(id).or_default();
        match event {
            RecoveryEvent::GateProved { gate, evidence, what, figures, by } => {
                if check(gate, figures.as_ref()).is_ok() && !evidence.is_zero() {
                    let passed = Passed::Proved { evidence, what, figures };
                    gates.insert(gate, Deed { at, by, passed });
                }
            }
            RecoveryEvent::GateDismissed { gate, because, by, agreed } => {
                if gate.may_not_apply() && !same_person(&by, &agreed) {
                    let passed = Passed::Dismissed { because, agreed };
                    gates.insert(gate, Deed { at, by, passed });
                }
            }
            RecoveryEvent::GateReopened { gate, .. } => {
                gates.remove(&gate);
                self.allowed.remove(&id);
            }
            RecoveryEvent::ReopeningAllowed { .. } => {
                if self.open(&id, at).is_empty() {
                    self.allowed.insert(id, at);
                }
            }
        }
    }

    /// Every gate of `case` at `now`, in order.
    pub fn states(&self, case: &CaseId, now: Timestamp) -> Vec<State> {
        let known = self.cases.get(case);
        let state = |gate: Gate| {
            let deed = known.and_then(|it| it.get(&gate)).cloned();
            let stale =
                |it: &Deed| gate.holds_ms().is_some_and(|limit| now.since_ms(it.at) > limit);
            let status = match &deed {
                None => Status::Open,
                Some(it) if matches!(it.passed, Passed::Dismissed { .. }) => Status::NotApplicable,
                Some(it) if stale(it) => Status::Stale,
                Some(_) => Status::Passed,
            };
            State { gate, status, deed }
        };
        Gate::ALL.into_iter().map(state).collect()
    }

    /// The gates that are not passed at `now`.
    pub fn open(&self, case: &CaseId, now: Timestamp) -> Vec<State> {
        let open = |it: &State| matches!(it.status, Status::Open | Status::Stale);
        self.states(case, now).into_iter().filter(open).collect()
    }

    /// When reopening was allowed, if it was and nothing has opened a gate by hand since.
    pub fn allowed(&self, case: &CaseId) -> Option<Timestamp> {
        self.allowed.get(case).copied()
    }

    /// Proves a gate.
    ///
    /// # Errors
    /// The case is not contained, evidence is missing, or the figures do not pass.
    pub fn prove(
        &self,
        cases: &Cases,
        case: CaseId,
        by: &str,
        gate: Gate,
        (evidence, what, figures): (B256, &str, Option<Figures>),
    ) -> Result<RecoveryEvent, Refusal> {
        contained(cases, case)?;
        if evidence.is_zero() {
            return Err(Refusal::NoEvidence);
        }
        check(gate, figures.as_ref())?;
        let (what, by) = (line("what the evidence is", what)?, line("the name", by)?);
        Ok(RecoveryEvent::GateProved { gate, evidence, what, figures, by })
    }

    /// Says that a gate does not apply.
    ///
    /// # Errors
    /// It always applies, or one person says so twice.
    pub fn dismiss(
        &self,
        cases: &Cases,
        case: CaseId,
        (by, agreed): (&str, &str),
        gate: Gate,
        because: &str,
    ) -> Result<RecoveryEvent, Refusal> {
        contained(cases, case)?;
        if !gate.may_not_apply() {
            return Err(Refusal::Applies(gate));
        }
        let (by, agreed) = (line("the name", by)?, line("the name of who agrees", agreed)?);
        if same_person(&by, &agreed) {
            return Err(Refusal::OnePerson);
        }
        Ok(RecoveryEvent::GateDismissed { gate, because: line("the reason", because)?, by, agreed })
    }

    /// Takes a proof back.
    ///
    /// # Errors
    /// The gate is open as it is, or a text is missing.
    pub fn withdraw(
        &self,
        case: CaseId,
        by: &str,
        gate: Gate,
        because: &str,
    ) -> Result<RecoveryEvent, Refusal> {
        if !self.cases.get(&case).is_some_and(|it| it.contains_key(&gate)) {
            return Err(Refusal::IsOpen(gate));
        }
        let because = line("the reason", because)?;
        Ok(RecoveryEvent::GateReopened { gate, because, by: line("the name", by)? })
    }

    /// Allows reopening, at `now`.
    ///
    /// # Errors
    /// The gates that are open, or that the case is not contained.
    pub fn reopen(
        &self,
        cases: &Cases,
        now: Timestamp,
        case: CaseId,
        by: &str,
    ) -> Result<RecoveryEvent, Refusal> {
        contained(cases, case)?;
        let open = self.open(&case, now);
        if !open.is_empty() {
            return Err(Refusal::Open(open));
        }
        Ok(RecoveryEvent::ReopeningAllowed { by: line("the name", by)? })
    }
}

fn contained(cases: &Cases, id: CaseId) -> Result<&Case, Refusal> {
    let case = cases.get(&id).ok_or(Refusal::NoCase)?;
    if let Some(into) = case.merged_into {
        return Err(Refusal::Merged(into));
    }
    match case.state {
        CaseState::Detected | CaseState::Triaged => Err(Refusal::NotContained(case.state)),
        _ => Ok(case),
    }
}
