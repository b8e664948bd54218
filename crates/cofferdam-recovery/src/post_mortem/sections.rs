//! What stands in the document.
//!
//! **Invariant:** every text of a person or from outside goes through [`Names::hide`] and is plain; escaping
//! is the writers' business.

use cofferdam_core::incident::Ledger;
use cofferdam_respond::{Case, ClockState, Milestone, Moment, Source, TaskState, clocks};
use cofferdam_statements::{Statement, Tlp, minute};

use super::{Block, Options, ROWS_MAX, Section, Sources, names::Names};
use crate::{
    Gate,
    checklist::{Passed, Status},
};

pub(super) fn all(case: &Case, from: Sources<'_>, names: &Names, how: Options) -> Vec<Section> {
    let section = |title, blocks| Section { title, blocks };
    vec![
        section("Summary", summary(case, names)),
        section("Cause", cause(case, from, names, how)),
        section("How long each step took", times(case, how)),
        section("Timeline", timeline(case, names)),
        section("Decisions of the program", ledgers(case, from)),
        section("Decisions of people", decisions(case, from, names)),
        section("Costs", costs(case, from)),
        section("What was said", said(case, from, how)),
        section("Reopening", gates(case, from, names, how)),
        section("Open actions", tasks(case, names)),
    ]
}

/// A table, or what is missing if it has no rows.
fn table(header: &[&'static str], mut rows: Vec<Vec<String>>, missing: &str) -> Vec<Block> {
    if rows.is_empty() {
        return vec![Block::Missing(missing.to_owned())];
    }
    let left = rows.len().saturating_sub(ROWS_MAX);
    rows.truncate(ROWS_MAX);
    let mut out = vec![Block::Table(header.to_vec(), rows)];
    if left > 0 {
        out.push(Block::Text(format!("{left} more rows are in the journal.")));
    }
    out
}

fn summary(case: &Case, names: &Names) -> Vec<Block> {
    let at = |it: Milestone| case.milestones.get(&it).map(|it| minute(*it));
    let rows = [
        ("case", case.id.short()),
        ("about", names.hide(&case.title)),
        ("priority", format!("{:?}", case.priority)),
        ("state", case.state.word().to_owned()),
        ("found", at(Milestone::Found).unwrap_or_else(|| "not recorded".into())),
        ("contained", at(Milestone::Contained).unwrap_or_else(|| "not recorded".into())),
        (
            "read back from the chain",
            at(Milestone::Verified).unwrap_or_else(|| "not recorded".into()),
        ),
        ("incidents", case.incidents.len().to_string()),
        ("findings", case.findings.len().to_string()),
    ];
    let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    table(&["what", "value"], rows, "")
}

fn cause(case: &Case, from: Sources<'_>, names: &Names, how: Options) -> Vec<Block> {
    let proved = |gate: Gate| {
        let states = from.gates.states(&case.id, how.now);
        let deed = states.into_iter().find(|it| it.gate == gate)?.deed?;
        match deed.passed {
            Passed::Proved { what, evidence, .. } => {
                Some(Block::Text(format!("{} (evidence {evidence})", names.hide(&what))))
            }
            Passed::Dismissed { .. } => None,
        }
    };
    let open = |gate: Gate, what: &str| {
        Block::Missing(format!("{what}: the gate `{}` is not proved", gate.word()))
    };
    vec![
        proved(Gate::CauseReproduced)
            .unwrap_or_else(|| open(Gate::CauseReproduced, "what the cause was")),
        proved(Gate::CauseGone).unwrap_or_else(|| open(Gate::CauseGone, "that the cause is gone")),
    ]
}

fn times(case: &Case, how: Options) -> Vec<Block> {
    let row = |it: &cofferdam_respond::Clock| {
        let state = match it.state {
            ClockState::Waiting => "not begun",
            ClockState::Running => "runs",
            ClockState::Overdue => "runs, too late",
            ClockState::Met => "in time",
            ClockState::Missed => "too late",
        };
        let seconds = |ms: u64| format!("{}.{} s", ms / 1_000, ms % 1_000 / 100);
        vec![
            format!("{} to {}", it.from.word(), it.to.word()),
            if it.state == ClockState::Waiting { String::new() } else { seconds(it.elapsed_ms) },
            it.target_ms.map_or_else(String::new, seconds),
            state.to_owned(),
        ]
    };
    let rows = clocks(case, how.now).iter().map(row).collect();
    table(&["step", "took", "target", "verdict"], rows, "no clock")
}

fn timeline(case: &Case, names: &Names) -> Vec<Block> {
    let mut moments: Vec<&Moment> = case.moments.iter().collect();
    moments.sort_by_key(|it| (it.at, it.seq));
    let row = |it: &&Moment| {
        let by = match &it.source {
            Source::Engine { .. } => "engine".to_owned(),
            Source::Playbook { run } => format!("playbook {run}"),
            Source::Person { by } => names.hide(by),
        };
        vec![
            it.at.to_string(),
            it.csf.map_or("", |it| it.code()).to_owned(),
            by,
            names.hide(&it.text),
        ]
    };
    let rows = moments.iter().map(row).collect();
    table(&["when (UTC)", "CSF 2.0", "source", "what"], rows, "nothing is recorded")
}

fn ledgers(case: &Case, from: Sources<'_>) -> Vec<Block> {
    let mut out = Vec::new();
    for incident in &case.incidents {
        for it in from.account.ledgers(incident) {
            out.extend(ledger(it));
        }
        let left = from.account.left_out(incident);
        if left > 0 {
            out.push(Block::Text(format!("{left} more decisions are in the journal.")));
        }
    }
    if out.is_empty() {
        out.push(Block::Missing("the program decided nothing".into()));
    }
    out
}

fn ledger(it: &Ledger) -> Vec<Block> {
    let chosen = it.chosen.as_deref().unwrap_or("watch and notify");
    let head = format!(
        "{}: {chosen}. Probability of an attack {} before the evidence, {} after it.",
        it.at, it.prior, it.posterior
    );
    let terms =
        it.terms.iter().map(|it| vec![it.name.clone(), it.value.to_string(), it.source.clone()]);
    let options = it.options.iter().map(|it| {
        vec![
            it.action.clone(),
            it.avoided.to_string(),
            it.cost.to_string(),
            it.threshold.to_string(),
            it.net.to_string(),
            verdict(&it.verdict),
        ]
    });
    let header = ["action", "avoids", "costs", "threshold", "net", "verdict"];
    let mut out = vec![Block::Text(head)];
    out.extend(table(&["figure", "value", "from"], terms.collect(), "no figures"));
    out.extend(table(&header, options.collect(), "no action was weighed"));
    out
}

fn verdict(it: &cofferdam_core::incident::Verdict) -> String {
    use cofferdam_core::incident::Verdict;
    match it {
        Verdict::Act => "act".to_owned(),
        Verdict::Propose => "propose".to_owned(),
        Verdict::BelowThreshold => "below the threshold".to_owned(),
        Verdict::Dominated => "another is better".to_owned(),
        Verdict::Withheld(why) => format!("withheld: {why}"),
    }
}

fn decisions(case: &Case, from: Sources<'_>, names: &Names) -> Vec<Block> {
    let rows = from.account.decisions(&case.id).iter().map(|it| {
        vec![it.at.to_string(), names.hide(&it.by), names.hide(&it.what), names.hide(&it.because)]
    });
    let header = ["when (UTC)", "who", "what", "because"];
    table(&header, rows.collect(), "no decision of a person is recorded")
}

fn costs(case: &Case, from: Sources<'_>) -> Vec<Block> {
    let orders = from.account.orders().filter(|it| case.incidents.contains(&it.incident));
    let rows = orders.map(|it| {
        let mut options = from.account.ledgers(&it.incident).iter().flat_map(|it| &it.options);
        // What acting was taken to cost when it was last decided.
        let weighed = options.rfind(|line| line.action == it.action);
        vec![
            it.action.clone(),
            it.outcome.to_owned(),
            it.attempts.to_string(),
            it.gas.map_or_else(String::new, |it| it.to_string()),
            it.fee_bound().map_or_else(String::new, |it| it.to_string()),
            weighed.map_or_else(String::new, |it| it.cost.to_string()),
        ]
    });
    let header = [
        "order",
        "outcome",
        "attempts",
        "gas used",
        "fees at most (wei)",
        "cost of acting, as weighed",
    ];
    table(&header, rows.collect(), "no order was given")
}

fn said(case: &Case, from: Sources<'_>, how: Options) -> Vec<Block> {
    let shown = |it: &&Statement| {
        it.case == case.id
            && it.published.is_some()
            && if how.tlp == Tlp::Clear { it.public().is_some() } else { it.draft.tlp <= how.tlp }
    };
    let rows = from.statements.all().filter(shown).map(|it| {
        vec![
            it.published.as_ref().map_or_else(String::new, |it| minute(it.at)),
            it.draft.tlp.label().to_owned(),
            it.draft.audience.word().to_owned(),
            it.draft.title.clone(),
            it.state().to_owned(),
        ]
    });
    let header = ["when", "mark", "to whom", "title", "state"];
    table(&header, rows.collect(), "nothing was published")
}

fn gates(case: &Case, from: Sources<'_>, names: &Names, how: Options) -> Vec<Block> {
    let rows = from.gates.states(&case.id, how.now).into_iter().map(|it| {
        let status = match it.status {
            Status::Open => "open",
            Status::Stale => "stale",
            Status::Passed => "passed",
            Status::NotApplicable => "does not apply",
        };
        let (by, how) = match it.deed {
            None => (it.gate.who().to_owned(), it.gate.proof().to_owned()),
            Some(deed) => {
                let how = match deed.passed {
                    Passed::Proved { what, evidence, .. } => format!("{what} ({evidence})"),
                    Passed::Dismissed { because, agreed } => format!("{because}; {agreed} agrees"),
                };
                (names.hide(&deed.by), names.hide(&how))
            }
        };
        vec![it.gate.word().to_owned(), status.to_owned(), by, how]
    });
    let mut out = table(&["gate", "status", "who", "proof"], rows.collect(), "");
    out.push(match from.gates.allowed(&case.id) {
        Some(at) => Block::Text(format!("Reopening was allowed at {at}.")),
        None => Block::Missing("reopening was not allowed yet".into()),
    });
    out
}

fn tasks(case: &Case, names: &Names) -> Vec<Block> {
    let open = case.tasks.values().filter(|it| it.state == TaskState::Open);
    let rows = open.map(|it| {
        vec![
            it.number.to_string(),
            names.hide(&it.title),
            it.owner.as_deref().map_or_else(|| "nobody".to_owned(), |it| names.hide(it)),
            it.due.map_or_else(|| "no date".to_owned(), minute),
        ]
    });
    table(&["task", "what", "owner", "due"], rows.collect(), "no action is open")
}
