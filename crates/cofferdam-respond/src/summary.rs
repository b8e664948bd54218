//! A case in words: for who takes it over, and as a timeline.
//!
//! **Invariant:** times are UTC. A moment that was recorded later than it happened says so.

use std::fmt::Write;

use cofferdam_core::Timestamp;

use crate::{Case, ClockState, Moment, Source, TaskState, clocks};

/// Moments that a hand-over repeats.
const RECENT: usize = 10;
/// A moment recorded this much later than it happened says so. Milliseconds.
const LATE_MS: u64 = 60_000;

/// What the next commander has to know, on one page.
pub fn hand_over(case: &Case, now: Timestamp) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "case {}  {:?}  {}  {}",
        case.id.short(),
        case.priority,
        case.state.word(),
        plain(&case.title)
    );
    let _ = writeln!(
        out,
        "open for {}, {}, {}",
        span(now.since_ms(case.opened)),
        count(case.incidents.len(), "incident"),
        count(case.findings.len(), "finding")
    );
    let _ = writeln!(out, "\nwho");
    for (role, people) in case.roles.iter().filter(|it| !it.1.is_empty()) {
        let names: Vec<String> = people.iter().map(|it| plain(it)).collect();
        let _ = writeln!(out, "  {:<10} {}", role.word(), names.join(", "));
    }
    if case.commander().is_none() {
        let _ = writeln!(out, "  NOBODY COMMANDS");
    }
    let _ = writeln!(out, "\nclocks");
    for it in clocks(case, now) {
        let target = it.target_ms.map_or_else(String::new, |it| format!(" of {}", span(it)));
        let state = match it.state {
            ClockState::Waiting => "not begun".to_owned(),
            ClockState::Running => format!("runs, {}{target}", span(it.elapsed_ms)),
            ClockState::Overdue => format!("OVERDUE, {}{target}", span(it.elapsed_ms)),
            ClockState::Met => format!("{}{target}", span(it.elapsed_ms)),
            ClockState::Missed => format!("{}{target}, missed", span(it.elapsed_ms)),
        };
        let _ = writeln!(out, "  {:<22} {state}", format!("{} → {}", it.from.word(), it.to.word()));
    }
    let _ = writeln!(out, "\nto be done");
    for it in case.open_tasks() {
        let owner = it.owner.as_deref().map_or_else(|| "NOBODY".to_owned(), plain);
        let due = match it.due {
            Some(due) if due < now => format!(", OVERDUE since {due}"),
            Some(due) => format!(", due {due}"),
            None => String::new(),
        };
        let _ = writeln!(out, "  {:>3}  {} ({owner}{due})", it.number, plain(&it.title));
    }
    let done = case.tasks.values().filter(|it| matches!(it.state, TaskState::Done { .. })).count();
    let _ = writeln!(out, "  {done} done");
    let _ = writeln!(out, "\nlatest");
    let from = case.moments.len().saturating_sub(RECENT);
    for it in &case.moments[from..] {
        let _ = writeln!(out, "  {}", line(it));
    }
    out
}

/// Everything that happened, by when it happened.
pub fn timeline(case: &Case) -> String {
    let mut moments: Vec<&Moment> = case.moments.iter().collect();
    moments.sort_by_key(|it| (it.at, it.seq));
    moments.iter().map(|it| line(it) + "\n").collect()
}

fn line(it: &Moment) -> String {
    let by = match &it.source {
        Source::Engine { .. } => "engine".to_owned(),
        Source::Playbook { run } => format!("playbook {run}"),
        Source::Person { by } => plain(by),
    };
    let late = it.recorded.since_ms(it.at);
    let late =
        if late >= LATE_MS { format!(" [recorded {} later]", span(late)) } else { String::new() };
    let tag = it.csf.map_or("", |it| it.code());
    format!("{}  {tag:<5}  {by}: {}{late}", it.at, plain(&it.text))
}

/// A foreign text on one line.
fn plain(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).take(400).collect()
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, 0) => format!("{m} min"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, 0, _) => format!("{h} h"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}
