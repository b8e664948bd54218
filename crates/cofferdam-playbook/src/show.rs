//! A playbook and a run in words.
//!
//! **Invariant:** nothing of a document is shown as it stands without control characters taken out.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt::Write,
};

use crate::{
    fields::clip,
    model::{Id, Marking, Playbook, Step, StepKind},
    perform::Perform,
    run::{Entry, Outcome, RunRecord, StepResult, Work},
};

/// The playbook, its steps in the order in which they are reached.
pub fn playbook(it: &Playbook) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}", clip(&it.name));
    let _ = writeln!(out, "{}, version {}", it.id, it.modified);
    if let Some(text) = &it.description {
        let _ = writeln!(out, "{}", wrap(text, ""));
    }
    for marking in it.markings.iter().filter_map(|id| it.marking_definitions.get(id)) {
        let text = match marking {
            Marking::MarkingTlp { level } => level.clone(),
            Marking::MarkingStatement { statement } => clip(statement),
            Marking::MarkingIep { name } => clip(name),
        };
        let _ = writeln!(out, "marked {text}");
    }
    if it.revoked {
        let _ = writeln!(out, "REVOKED: it is not run");
    }
    if !it.variables.is_empty() {
        let _ = writeln!(out, "\nvariables");
    }
    for (name, variable) in &it.variables {
        let value = variable.value.as_deref().map_or_else(|| "no value".into(), clip);
        let note = match (variable.constant, variable.external) {
            (true, _) => ", constant",
            (_, true) => ", set by the caller",
            _ => "",
        };
        let _ = writeln!(out, "  {name} = {value} ({}{note})", clip(&variable.kind));
    }
    let order = order(it);
    let number = |id: &Id| order.iter().position(|it| it == id).map_or(0, |it| it + 1);
    let _ = writeln!(out, "\nsteps");
    for id in &order {
        let Some(step) = it.workflow.get(id) else { continue };
        steps(&mut out, it, step, number(id), &number);
    }
    out
}

/// Steps as they are reached from the start and then from the exception path, breadth first.
fn order(playbook: &Playbook) -> Vec<Id> {
    let mut out: Vec<Id> = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in std::iter::once(&playbook.start).chain(&playbook.exception) {
        let mut todo = VecDeque::from([entry]);
        while let Some(id) = todo.pop_front() {
            let Some(step) = playbook.workflow.get(id).filter(|_| seen.insert(id)) else {
                continue;
            };
            out.push(id.clone());
            todo.extend(step.branches());
            todo.extend(step.next());
        }
    }
    out
}

fn steps(
    out: &mut String,
    playbook: &Playbook,
    step: &Step,
    number: usize,
    numbers: &dyn Fn(&Id) -> usize,
) {
    let mut line = format!("{number:>4}  {}", clip(step.title()));
    if step.name.is_some() {
        let _ = write!(line, " ({})", step.kind.word());
    }
    let mut ways = Vec::new();
    for (word, to) in [
        ("then", &step.on_completion),
        ("if it works", &step.on_success),
        ("if it fails", &step.on_failure),
    ] {
        if let Some(to) = to {
            ways.push(format!("{word} {}", numbers(to)));
        }
    }
    match &step.kind {
        StepKind::Parallel { branches } => {
            let all: Vec<String> = branches.iter().map(|it| numbers(it).to_string()).collect();
            ways.insert(0, format!("all of {}", all.join(", ")));
        }
        StepKind::If { condition, on_true, on_false } => {
            let other =
                on_false.as_ref().map_or_else(String::new, |it| format!(", else {}", numbers(it)));
            ways.insert(0, format!("if {condition}: {}{other}", numbers(on_true)));
        }
        StepKind::While { condition, on_true } => {
            ways.insert(0, format!("while {condition}: {}", numbers(on_true)));
        }
        StepKind::Switch { variable, cases } => {
            let cases: Vec<String> = cases
                .iter()
                .map(|(value, to)| format!("{} → {}", clip(value), numbers(to)))
                .collect();
            ways.insert(0, format!("by {variable}: {}", cases.join(", ")));
        }
        _ => {}
    }
    if playbook.exception.as_ref().is_some_and(|it| numbers(it) == number) {
        line.push_str("  ← exceptions");
    }
    let _ = writeln!(out, "{line}");
    if let Some(text) = what(playbook, step) {
        let _ = writeln!(out, "{}", wrap(&text, "        "));
    }
    if !ways.is_empty() {
        let _ = writeln!(out, "        → {}", ways.join("; "));
    }
}

fn what(playbook: &Playbook, step: &Step) -> Option<String> {
    let limit = step.timeout_ms.map_or_else(String::new, |it| format!(" (within {})", span(it)));
    if let Some(perform) = &step.perform {
        return Some(format!("{}{limit}", performed(perform)));
    }
    match &step.kind {
        StepKind::Action(action) => {
            let who = playbook.agents.get(&action.agent).map_or("?", |it| it.name.as_str());
            let all: Vec<String> = action
                .commands
                .iter()
                .map(|it| {
                    let text = it.command.as_deref().map_or_else(|| "(base64)".into(), clip_long);
                    if it.kind == "manual" { text } else { format!("{}: {text}", clip(&it.kind)) }
                })
                .collect();
            Some(format!("{}: {}{limit}", clip(who), all.join("; ")))
        }
        StepKind::PlaybookAction { playbook, .. } => Some(format!("run {playbook}{limit}")),
        _ => None,
    }
}

/// One of our commands in words.
pub fn performed(perform: &Perform) -> String {
    match perform {
        Perform::Order { action } => format!("order {}", clip(action)),
        Perform::Verify { action } => {
            format!("read on chain whether {} is in effect", clip(action))
        }
        Perform::Notify { to, message } if to.is_empty() => {
            format!("tell all: {}", clip_long(message))
        }
        Perform::Notify { to, message } => {
            format!("tell {}: {}", clip(&to.join(", ")), clip_long(message))
        }
        Perform::Approval { question, quorum, roles } => {
            let roles = if roles.is_empty() { "anybody".into() } else { clip(&roles.join(" or ")) };
            format!("ask {quorum} of {roles}: {}", clip_long(question))
        }
        Perform::Statement { template, audience, approvals } => {
            let (template, audience) = (clip(template), clip(audience));
            format!("statement `{template}` for {audience}, approved by {approvals}")
        }
    }
}

/// What is to be done, in words.
pub fn work(work: &Work) -> String {
    match work {
        Work::Perform { perform } => performed(perform),
        Work::Manual { text } => clip_long(text),
        Work::Command { command, .. } => {
            let text = command.command.as_deref().map_or_else(|| "(base64)".into(), clip_long);
            format!("{}: {text}", clip(&command.kind))
        }
        Work::Playbook { playbook, .. } => format!("run {playbook}"),
    }
}

/// What happened in a run, a line for what a person wants to know; times from the run's beginning.
pub fn timeline(playbook: &Playbook, entries: &[Entry]) -> String {
    let begin = entries.first().map(|it| it.at).unwrap_or_default();
    let title = |id: &Id| playbook.workflow.get(id).map_or_else(|| clip(id), |it| clip(it.title()));
    let mut out = String::new();
    let mut of_job = std::collections::BTreeMap::new();
    let mut of_strand = std::collections::BTreeMap::new();
    for entry in entries {
        let text = match &entry.record {
            RunRecord::Started { by, .. } => format!("begun by {by}"),
            RunRecord::Entered { strand, step, .. } => {
                of_strand.insert(*strand, title(step));
                continue;
            }
            RunRecord::Offered { job, strand, attempt, work: it, .. } => {
                let name = of_strand.get(strand).cloned().unwrap_or_default();
                let again =
                    if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
                let text = format!("{name}{again}: {}", work(it));
                of_job.insert(*job, name);
                text
            }
            RunRecord::Taken { job, worker, .. } => {
                format!("{}: taken by {worker}", named(&of_job, job))
            }
            RunRecord::Unknown { job, because } => {
                format!("{}: UNKNOWN, {because}", named(&of_job, job))
            }
            RunRecord::Agreed { job, by, .. } => format!("{}: {by} agrees", named(&of_job, job)),
            RunRecord::Answered { job, by, result: StepResult::Worked, .. } => {
                format!("{}: done by {by}", named(&of_job, job))
            }
            RunRecord::Answered { job, by, result: StepResult::Failed(why), .. } => {
                format!("{}: {by} says it failed: {why}", named(&of_job, job))
            }
            RunRecord::Late { job, by, .. } => {
                format!("{}: {by} answers too late", named(&of_job, job))
            }
            RunRecord::Done { step, result: StepResult::Failed(why), .. } => {
                format!("{}: FAILED, {why}", title(step))
            }
            RunRecord::Raised { because, .. } => format!("EXCEPTION: {because}"),
            RunRecord::Held { by } => format!("held by {by}"),
            RunRecord::Resumed { by } => format!("resumed by {by}"),
            RunRecord::Ended { outcome } => outcome_text(outcome),
            RunRecord::Branched { .. }
            | RunRecord::Kept { .. }
            | RunRecord::Done { .. }
            | RunRecord::Closed { .. } => continue,
        };
        let _ = writeln!(out, "{:>10}  {text}", format!("+{}", span(entry.at.since_ms(begin))));
    }
    out
}

fn named(
    of_job: &std::collections::BTreeMap<crate::run::JobId, String>,
    job: &crate::run::JobId,
) -> String {
    of_job.get(job).cloned().unwrap_or_else(|| job.short())
}

/// How a run ended, in words.
pub fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Worked => "ended: it worked".into(),
        Outcome::Failed { because } => format!("ended: FAILED, {because}"),
        Outcome::Stopped { by, because } => format!("ended: stopped by {by}, {because}"),
    }
}

/// A time span in its largest whole unit.
fn span(ms: u64) -> String {
    match ms {
        0 => "0 s".into(),
        it if it.is_multiple_of(86_400_000) => format!("{} d", it / 86_400_000),
        it if it.is_multiple_of(3_600_000) => format!("{} h", it / 3_600_000),
        it if it.is_multiple_of(60_000) => format!("{} min", it / 60_000),
        it if it.is_multiple_of(1_000) => format!("{} s", it / 1_000),
        it => format!("{it} ms"),
    }
}

/// Long texts are cut where a person would stop reading.
fn clip_long(text: &str) -> String {
    let plain: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    match plain.char_indices().nth(300) {
        Some((at, _)) => format!("{}…", &plain[..at]),
        None => plain,
    }
}

/// Lines of at most 100 characters, each after `indent`.
fn wrap(text: &str, indent: &str) -> String {
    let mut lines = vec![String::new()];
    for word in clip_long(text).split_whitespace() {
        let last = lines.last().map_or(0, |it| it.chars().count());
        if last > 0 && last + word.chars().count() + indent.len() >= 100 {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.iter().map(|it| format!("{indent}{it}")).collect::<Vec<_>>().join("\n")
}
