//! The timeline fills itself: from the engine's records and from runs of playbooks.
//!
//! **Invariant:** what the engine records about an incident is in its case's timeline without anybody
//! writing it there. Records that repeat each block (decisions to go on watching) are told once.

use alloy_primitives::B256;
use cofferdam_core::{
    AlertKind, IncidentId, OrderKey, Record, Severity, Timestamp,
    incident::{Incident, IncidentState},
    order::Outcome,
};
use cofferdam_playbook::{RunRecord, run::StepResult, show};

use crate::{Case, CaseId, CaseState, Cases, Csf, Milestone, Moment, Priority, Source};

impl Cases {
    pub(crate) fn fill_from_engine(&mut self, at: Timestamp, record: &Record) {
        match record {
            Record::Found { finding } => {
                self.loose.insert(finding.id, finding.clone());
            }
            Record::IncidentOpened { incident } => self.opened(at, incident),
            Record::Attached { incident, finding } => {
                let Some(found) = self.loose.remove(finding) else { return };
                self.of_finding.insert(*finding, *incident);
                let happened = found.block.time;
                let text = format!("finding ({}): {}", found.severity, found.summary);
                self.engine(incident, (happened, at), text, Csf::DeAe, |case| {
                    case.findings.insert(found.id);
                    case.priority = case.priority.min(priority(found.severity));
                    case.reach(Milestone::Found, happened);
                });
            }
            Record::Retracted { finding, because } => {
                let Some(incident) = self.of_finding.remove(finding) else {
                    self.loose.remove(finding);
                    return;
                };
                let text = format!("a finding was retracted: {because}");
                self.engine(&incident, (at, at), text, Csf::DeAe, |case| {
                    case.findings.remove(finding);
                });
            }
            Record::Decided { incident, ledger } => {
                let Some(chosen) = &ledger.chosen else { return };
                let text = format!("decides: {chosen}, posterior {}", ledger.posterior);
                self.engine(incident, (at, at), text, Csf::RsMa, |case| {
                    case.reach(Milestone::Decided, at);
                });
            }
            Record::IncidentMoved { incident, state, because } => {
                self.moved(at, incident, *state, because);
            }
            Record::Issued { alert, to } => {
                let Some(incident) = alert.incident else { return };
                let text = format!("{} told: {}", to.join(", "), alert.text);
                let raised = alert.kind == AlertKind::Raised && !to.is_empty();
                self.engine(&incident, (at, at), text, Csf::RsCo, |case| {
                    if raised {
                        case.reach(Milestone::Alerted, at);
                    }
                });
            }
            other => self.fill_from_order(at, other),
        }
    }

    fn fill_from_order(&mut self, at: Timestamp, record: &Record) {
        if let Record::Intended { order } = record {
            self.of_order.insert(order.key, (order.incident, order.action.clone()));
            let text = format!("order {} is decided", order.action);
            self.engine(&order.incident, (at, at), text, Csf::RsMi, |_| {});
            return;
        }
        let (key, text, milestone): (&OrderKey, String, Option<(Milestone, Timestamp)>) =
            match record {
                Record::Approved { key, by } => (key, format!("{by} approves"), None),
                Record::Vetoed { key, by, reason } => (key, format!("{by} vetoes: {reason}"), None),
                // An order that goes out has all the agreement it needs.
                Record::Dispatched { key, attempt, sent, .. } => (
                    key,
                    format!("goes out on {} lanes, attempt {attempt}", sent.len()),
                    Some((Milestone::Quorum, at)),
                ),
                Record::DispatchFailed { key, attempt, reason } => {
                    (key, format!("cannot go out, attempt {attempt}: {reason}"), None)
                }
                Record::Held { key, because } => (key, format!("is held: {because}"), None),
                Record::Reopened { key, because } => {
                    (key, format!("is open again: {because}"), None)
                }
                Record::Settled { key, outcome } => match outcome {
                    Outcome::Effective { block, .. } => (
                        key,
                        format!("is in effect since block {}", block.number),
                        Some((Milestone::Contained, block.time)),
                    ),
                    Outcome::Failed { reason } => (key, format!("failed: {reason}"), None),
                    Outcome::Expired => (key, "expired".to_owned(), None),
                    Outcome::Vetoed { by } => (key, format!("was vetoed by {by}"), None),
                },
                _ => return,
            };
        let Some((incident, action)) = self.of_order.get(key).cloned() else { return };
        let happened = milestone.filter(|it| it.0 == Milestone::Contained).map_or(at, |it| it.1);
        let text = format!("order {action} {text}");
        self.engine(&incident, (happened, at), text, Csf::RsMi, |case| {
            if let Some((milestone, when)) = milestone {
                case.reach(milestone, when);
                // The engine reads the effect from state; nobody takes its word for it.
                if milestone == Milestone::Contained {
                    case.reach(Milestone::Verified, at);
                }
            }
        });
    }

    fn opened(&mut self, at: Timestamp, incident: &Incident) {
        let id = CaseId::of(&incident.id);
        let title = format!("{} on {}", incident.entity, incident.chain);
        let case = Case::new(id, title, Priority::P5, at);
        self.cases.entry(id).or_insert(case).incidents.insert(incident.id);
        self.of_incident.insert(incident.id, id);
        let text = format!("incident {} is opened", incident.id.short());
        self.engine(&incident.id, (incident.opened_at, at), text, Csf::DeAe, |_| {});
    }

    fn moved(&mut self, at: Timestamp, incident: &IncidentId, to: IncidentState, because: &str) {
        let text = format!("{}: {because}", word(to));
        self.engine(incident, (at, at), text, Csf::RsMa, |case| {
            if to == IncidentState::Contained {
                case.reach(Milestone::Contained, at);
            }
            let next = match to {
                IncidentState::Contained => CaseState::Contained,
                // A case that a person has judged is not taken back by the engine.
                IncidentState::FalseAlarm if case.state == CaseState::Detected => {
                    CaseState::FalseAlarm
                }
                _ => return,
            };
            let early = matches!(case.state, CaseState::Detected | CaseState::Triaged);
            if early && case.state.may_become(next) {
                case.state = next;
            }
        });
    }

    fn engine(
        &mut self,
        incident: &IncidentId,
        (happened, recorded): (Timestamp, Timestamp),
        text: String,
        csf: Csf,
        change: impl FnOnce(&mut Case),
    ) {
        let seq = self.seq;
        let id = self.of_incident.get(incident).copied();
        let Some(case) = id.and_then(|it| self.cases.get_mut(&it)) else { return };
        let source = Source::Engine { incident: *incident };
        change(case);
        case.tell(Moment { at: happened, recorded, seq, text, source, csf: Some(csf) });
    }

    pub(crate) fn fill_from_run(&mut self, at: Timestamp, run: B256, event: &serde_json::Value) {
        let Some(id) = self.of_run.get(&run).copied() else { return };
        let Ok(record) = serde_json::from_value::<RunRecord>(event.clone()) else { return };
        let name = |job: &cofferdam_playbook::JobId| {
            self.jobs.get(&job.to_string()).cloned().unwrap_or_else(|| job.short())
        };
        let text = match &record {
            RunRecord::Started { by, .. } => format!("playbook begun by {by}"),
            RunRecord::Offered { job, work, attempt, .. } => {
                let text = show::work(work);
                self.jobs.insert(job.to_string(), text.clone());
                if *attempt > 1 { format!("again: {text}") } else { text }
            }
            RunRecord::Agreed { job, by, .. } => format!("{by} agrees: {}", name(job)),
            RunRecord::Answered { job, by, result: StepResult::Worked, .. } => {
                format!("done by {by}: {}", name(job))
            }
            RunRecord::Answered { job, by, result: StepResult::Failed(why), .. } => {
                format!("failed, says {by} ({why}): {}", name(job))
            }
            RunRecord::Unknown { job, because } => format!("UNKNOWN ({because}): {}", name(job)),
            RunRecord::Late { job, by, .. } => format!("answered too late by {by}: {}", name(job)),
            RunRecord::Raised { because, .. } => format!("playbook exception: {because}"),
            RunRecord::Held { by } => format!("playbook held by {by}"),
            RunRecord::Resumed { by } => format!("playbook resumed by {by}"),
            RunRecord::Ended { outcome } => format!("playbook {}", show::outcome_text(outcome)),
            _ => return,
        };
        let source = Source::Playbook { run: alloy_primitives::hex::encode(&run[..4]) };
        let seq = self.seq;
        if let Some(case) = self.cases.get_mut(&id) {
            case.tell(Moment { at, recorded: at, seq, text, source, csf: Some(Csf::RsMa) });
        }
    }
}

/// The priority that a finding of this severity gives a case at least.
fn priority(severity: Severity) -> Priority {
    match severity {
        Severity::Critical => Priority::P1,
        Severity::High => Priority::P2,
        Severity::Medium => Priority::P3,
        Severity::Low => Priority::P4,
        Severity::Info => Priority::P5,
    }
}

fn word(state: IncidentState) -> &'static str {
    match state {
        IncidentState::Detected => "detected",
        IncidentState::Responding => "responding",
        IncidentState::Contained => "contained",
        IncidentState::Closed => "closed",
        IncidentState::FalseAlarm => "false alarm",
    }
}
