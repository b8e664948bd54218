//! `cofferdam incident list | show | case`: what the journal says happened, and why it was decided so.

use std::{collections::BTreeMap, fmt::Write, path::PathBuf, process::ExitCode};

use clap::Subcommand;
use cofferdam_core::{
    Finding, FindingId, IncidentId, OrderKey, Record, Timestamp,
    incident::{Incident, IncidentState, Ledger},
    order::{Order, Outcome},
};
use cofferdam_respond::Cases;
use serde::Serialize;

use super::{CliError, Output, default_journal, journal};

/// What to show.
#[derive(Debug, Subcommand)]
pub enum IncidentCommand {
    /// Every incident, one a line.
    List {
        /// The journal.
        #[arg(long, default_value_os_t = default_journal())]
        journal: PathBuf,
    },
    /// One incident: findings, orders, timeline and the decision ledger.
    Show {
        /// The first digits of its id; left out, the latest.
        id: Option<String>,
        /// The journal.
        #[arg(long, default_value_os_t = default_journal())]
        journal: PathBuf,
    },
    /// The response to one incident: who commands, clocks, what is to be done, what happened.
    Case {
        /// The first digits of the incident's or the case's id; left out, the latest.
        id: Option<String>,
        /// Print everything that happened, by when it happened.
        #[arg(long)]
        timeline: bool,
        /// The journal.
        #[arg(long, default_value_os_t = default_journal())]
        journal: PathBuf,
    },
}

/// An incident as the journal tells it.
#[derive(Debug, Serialize)]
pub struct Story {
    incident: Incident,
    findings: Vec<Finding>,
    orders: Vec<(Order, Option<Outcome>)>,
    timeline: Vec<(Timestamp, String)>,
    /// The last decision that ordered something.
    ordered: Option<Ledger>,
}

#[derive(Debug, Default)]
struct Stories {
    ordered: BTreeMap<IncidentId, Ledger>,
    incidents: Vec<Incident>,
    findings: BTreeMap<FindingId, Finding>,
    of_finding: BTreeMap<FindingId, IncidentId>,
    orders: BTreeMap<OrderKey, (Order, Option<Outcome>)>,
    timeline: Vec<(IncidentId, Timestamp, String)>,
}

pub(crate) async fn run(command: IncidentCommand, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        IncidentCommand::List { journal } => {
            let stories = read(&journal).await?;
            let text: String = stories.incidents.iter().map(list_line).collect();
            let text = if text.is_empty() { "no incidents\n".to_owned() } else { text };
            output.result(&stories.incidents, &text);
        }
        IncidentCommand::Show { id, journal } => {
            let stories = read(&journal).await?;
            let story = stories.story(id.as_deref())?;
            output.result(&story, &story.render());
        }
        IncidentCommand::Case { id, timeline, journal } => {
            return case(id.as_deref(), timeline, &journal, output).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn case(
    id: Option<&str>,
    timeline: bool,
    path: &PathBuf,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let journal = journal::open(path).await?;
    let mut cases = Cases::default();
    journal::for_each(&journal, |entry| cases.apply(entry.at, &entry.record)).await?;
    let id = id.map(|it| it.trim_start_matches("0x").to_lowercase());
    let starts = |hash: String| {
        id.as_ref().is_none_or(|it| hash.trim_start_matches("0x").starts_with(it.as_str()))
    };
    let case = cases
        .all()
        .values()
        .filter(|case| {
            starts(case.id.to_string()) || case.incidents.iter().any(|it| starts(it.to_string()))
        })
        .max_by_key(|it| it.opened)
        .ok_or_else(|| {
            CliError::new("no such case").hint("`cofferdam incident list` shows incidents")
        })?;
    let now = crate::runtime::now();
    let text = if timeline {
        cofferdam_respond::timeline(case)
    } else {
        cofferdam_respond::hand_over(case, now)
    };
    let value = serde_json::json!({ "case": case, "clocks": cofferdam_respond::clocks(case, now) });
    output.result(&value, &text);
    Ok(ExitCode::SUCCESS)
}

async fn read(path: &PathBuf) -> Result<Stories, CliError> {
    let journal = journal::open(path).await?;
    let mut stories = Stories::default();
    journal::for_each(&journal, |entry| stories.take_in(entry.at, &entry.record)).await?;
    Ok(stories)
}

impl Stories {
    fn take_in(&mut self, at: Timestamp, record: &Record) {
        match record {
            Record::Found { finding } => {
                self.findings.insert(finding.id, finding.clone());
            }
            Record::IncidentOpened { incident } => {
                self.timeline.push((incident.id, at, "opened".into()));
                self.incidents.push(incident.clone());
            }
            Record::Attached { incident, finding } => {
                self.of_finding.insert(*finding, *incident);
                let summary = self.findings.get(finding).map_or("?", |it| it.summary.as_str());
                self.timeline.push((*incident, at, format!("finding: {summary}")));
            }
            Record::Retracted { finding, because } => {
                if let Some(incident) = self.of_finding.remove(finding) {
                    self.timeline.push((incident, at, format!("finding retracted: {because}")));
                }
            }
            Record::Decided { incident, ledger } => {
                let chosen = ledger.chosen.as_deref().unwrap_or("watch and notify");
                self.timeline.push((
                    *incident,
                    at,
                    format!("decided at {}: {chosen}", ledger.posterior),
                ));
                if ledger.chosen.is_some() {
                    self.ordered.insert(*incident, ledger.clone());
                }
                self.with(incident, |it| it.ledger = Some(ledger.clone()));
            }
            Record::IncidentMoved { incident, state, because } => {
                self.timeline.push((*incident, at, format!("{}: {because}", state_name(*state))));
                self.with(incident, |it| it.state = *state);
            }
            Record::Intended { order } => {
                self.timeline.push((
                    order.incident,
                    at,
                    format!("order {} intended", order.action),
                ));
                self.orders.insert(order.key, (order.clone(), None));
            }
            other => self.take_in_order(at, other),
        }
    }

    fn take_in_order(&mut self, at: Timestamp, record: &Record) {
        let (key, text) = match record {
            Record::Approved { key, by } => (key, format!("approved by {by}")),
            Record::Vetoed { key, by, reason } => (key, format!("vetoed by {by}: {reason}")),
            Record::Dispatched { key, attempt, sent, .. } => {
                (key, format!("dispatched, attempt {attempt}, {} lanes", sent.len()))
            }
            Record::DispatchFailed { key, attempt, reason } => {
                (key, format!("dispatch failed, attempt {attempt}: {reason}"))
            }
            Record::Settled { key, outcome } => {
                if let Some(it) = self.orders.get_mut(key) {
                    it.1 = Some(outcome.clone());
                }
                (key, outcome_text(outcome))
            }
            _ => return,
        };
        if let Some((order, _)) = self.orders.get(key) {
            self.timeline.push((order.incident, at, format!("order {}: {text}", order.action)));
        }
    }

    fn with(&mut self, id: &IncidentId, change: impl FnOnce(&mut Incident)) {
        if let Some(it) = self.incidents.iter_mut().find(|it| it.id == *id) {
            change(it);
        }
    }

    fn story(&self, id: Option<&str>) -> Result<Story, CliError> {
        let id = id.map(|it| it.trim_start_matches("0x").to_lowercase());
        let matches = |it: &&Incident| match &id {
            Some(id) => it.id.to_string().trim_start_matches("0x").starts_with(id.as_str()),
            None => true,
        };
        let incident = self.incidents.iter().rev().find(matches).ok_or_else(|| {
            CliError::new("no such incident").hint("`cofferdam incident list` shows them")
        })?;
        let mine = |it: &&FindingId| self.of_finding.get(*it) == Some(&incident.id);
        Ok(Story {
            ordered: self.ordered.get(&incident.id).cloned(),
            findings: self
                .findings
                .keys()
                .filter(mine)
                .filter_map(|it| self.findings.get(it).cloned())
                .collect(),
            orders: self
                .orders
                .values()
                .filter(|it| it.0.incident == incident.id)
                .cloned()
                .collect(),
            timeline: self
                .timeline
                .iter()
                .filter(|it| it.0 == incident.id)
                .map(|it| (it.1, it.2.clone()))
                .collect(),
            incident: incident.clone(),
        })
    }
}

impl Story {
    fn render(&self) -> String {
        let mut out = String::new();
        let it = &self.incident;
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "incident {}  {}  {}  {}",
            it.id.short(),
            it.entity,
            it.chain,
            state_name(it.state)
        );
        let _ = writeln!(out, "\nfindings");
        for it in &self.findings {
            let _ = writeln!(
                out,
                "  {:<9}{} ({}, rule {})",
                it.severity.to_string(),
                it.summary,
                it.detector,
                it.rule
            );
            for line in &it.evidence {
                let _ = writeln!(out, "             {}: {}", line.label, line.value);
            }
        }
        let _ = writeln!(out, "\norders");
        for (order, outcome) in &self.orders {
            let outcome = outcome.as_ref().map_or("under way".to_owned(), outcome_text);
            let _ = writeln!(out, "  {}  {}  {outcome}", order.key.short(), order.action);
        }
        let _ = writeln!(out, "\ntimeline");
        for (at, text) in &self.timeline {
            let _ = writeln!(out, "  {at}  {text}");
        }
        let latest = self.incident.ledger.as_ref();
        if let Some(ledger) = self.ordered.as_ref().filter(|it| latest != Some(*it)) {
            let _ = writeln!(out, "\n{}", cofferdam_decide::render::ledger(ledger));
        }
        if let Some(ledger) = latest {
            let _ = writeln!(out, "\n{}", cofferdam_decide::render::ledger(ledger));
        }
        out
    }
}

fn list_line(it: &Incident) -> String {
    format!(
        "{}  {}  {:<12} {:<16} {}\n",
        it.id.short(),
        it.opened_at,
        state_name(it.state),
        it.entity,
        it.chain
    )
}

fn state_name(state: IncidentState) -> &'static str {
    match state {
        IncidentState::Detected => "detected",
        IncidentState::Responding => "responding",
        IncidentState::Contained => "contained",
        IncidentState::Closed => "closed",
        IncidentState::FalseAlarm => "false alarm",
    }
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Effective { block, gas_used, .. } => {
            format!("effective since block {}, {gas_used} gas", block.number)
        }
        Outcome::Failed { reason } => format!("failed: {reason}"),
        Outcome::Expired => "expired".into(),
        Outcome::Vetoed { by } => format!("vetoed by {by}"),
    }
}
