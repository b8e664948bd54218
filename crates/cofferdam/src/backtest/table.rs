//! A back-test as a terminal shows it.

use std::fmt::Write;

use cofferdam_backtest::{Counterfactual, IncidentLine, Outcome, calibrate::ActionLine};
use cofferdam_core::{Severity, Usd};

use super::Scanned;
use crate::risk::format::{percent, table, usd};

/// Lines of each table.
const SHOWN: usize = 40;

pub(super) fn money(it: Usd) -> String {
    usd(it.0 as f64 / 1e6)
}

/// Nats of thousandths.
pub(super) fn nats(score: i64) -> String {
    format!("{:.1}", score as f64 / 1_000.0)
}

/// `2022-07-31 23:59` of milliseconds since the Unix epoch, or `-` where the data tells no time.
pub(super) fn moment(ms: u64) -> String {
    if ms == 0 {
        return "-".into();
    }
    let secs = ms / 1_000;
    let (hour, minute) = (secs / 3_600 % 24, secs / 60 % 60);
    format!("{} {hour:02}:{minute:02}", super::nomad::date(secs))
}

/// The whole of it.
pub(crate) fn outcome(it: &Outcome) -> String {
    let mut out = attacks(it);
    out.push('\n');
    out.push_str(&rules(it));
    if !it.walk_forward.is_empty() {
        out.push('\n');
        out.push_str(&walk(it));
    }
    for curve in &it.counterfactuals {
        if curve.points.len() > 2 {
            out.push('\n');
            out.push_str(&counterfactual(curve));
        }
    }
    if !it.worst.is_empty() {
        out.push('\n');
        out.push_str(&worst(it));
    }
    out.push('\n');
    out.push_str(&totals(it));
    out
}

fn attacks(it: &Outcome) -> String {
    let row = |it: &IncidentLine| {
        let seen = it.seen.as_ref().map_or("-".into(), |it| format!("block +{}", it.after_blocks));
        let answered = it.answered.as_ref();
        vec![
            format!("{}{}", it.incident, if it.labelled { "" } else { " (not labelled)" }),
            it.class.clone(),
            it.txs.to_string(),
            it.blocks.to_string(),
            nats(it.score),
            it.severity.map_or("none".into(), |it| it.to_string()),
            seen,
            answered.map_or("-".into(), |it| format!("{} +{}", it.by, it.after_blocks)),
            money(it.lost),
            money(it.lost_with),
        ]
    };
    let rows: Vec<Vec<String>> = it.incidents.iter().take(SHOWN).map(row).collect();
    let header = [
        "attack", "class", "txs", "blocks", "score", "worst", "seen", "answered", "lost", "with us",
    ];
    let mut out = table(&header, &rows);
    more(&mut out, it.incidents.len());
    out
}

fn more(out: &mut String, count: usize) {
    if count > SHOWN {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "… and {} more: see the JSON", count - SHOWN);
    }
}

fn rules(it: &Outcome) -> String {
    let row = |it: &cofferdam_backtest::RuleLine| {
        let benign = |of: Severity| it.benign.get(&of).copied().unwrap_or(0).to_string();
        vec![
            it.rule.clone(),
            it.attacks.to_string(),
            it.critical_attacks.to_string(),
            benign(Severity::Critical),
            benign(Severity::High),
            benign(Severity::Medium),
            benign(Severity::Low),
        ]
    };
    let rows: Vec<Vec<String>> = it.rules.iter().map(row).collect();
    let header = ["rule", "attacks", "critical", "benign: critical", "high", "medium", "low"];
    table(&header, &rows)
}

fn walk(it: &Outcome) -> String {
    let row = |it: &cofferdam_backtest::FoldLine| {
        vec![
            moment(it.from),
            format!("{} / {}", it.train.0, it.train.1),
            format!("{} / {}", it.test.0, it.test.1),
            it.threshold.map_or("-".into(), nats),
            format!("{} of {}", it.found, it.test.0),
            it.alarms.to_string(),
            money(it.missed),
        ]
    };
    let rows: Vec<Vec<String>> = it.walk_forward.iter().map(row).collect();
    let header = [
        "judged from",
        "chosen on (attacks / benign)",
        "judged on",
        "threshold",
        "found",
        "false alarms",
        "lost in missed",
    ];
    table(&header, &rows)
}

fn counterfactual(it: &Counterfactual) -> String {
    let mut out = format!(
        "{}: lost by delay from first sight to containment, {} of {} losses priced\n",
        it.incident, it.priced.0, it.priced.1
    );
    let last = it.points.len() - 1;
    let wanted = [0, 1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 1_440];
    let shown =
        it.points.iter().enumerate().filter(|(at, it)| *at == last || wanted.contains(&it.minutes));
    let rows: Vec<Vec<String>> = shown
        .map(|(_, it)| vec![format!("{} min", it.minutes), money(it.lost), money(it.saved)])
        .collect();
    out.push_str(&table(&["delay", "lost", "saved"], &rows));
    out
}

fn worst(it: &Outcome) -> String {
    let loud = it.worst.iter().filter(|it| it.row.severity >= Some(Severity::Medium));
    let rows: Vec<Vec<String>> = loud
        .take(10)
        .map(|it| {
            let row = &it.row;
            let tx = row.tx.map_or("whole block".into(), |it| it.to_string());
            let short: String = row.summary.chars().take(70).collect();
            let severity = row.severity.map_or("none".into(), |it| it.to_string());
            vec![tx, row.strand.clone(), nats(row.score), severity, short]
        })
        .collect();
    if rows.is_empty() {
        return "no benign transaction reached medium severity\n".into();
    }
    table(&["worst benign transactions", "in", "score", "severity", "what"], &rows)
}

fn totals(it: &Outcome) -> String {
    let t = &it.totals;
    let mut out = format!(
        "{} blocks, {} transactions: {} benign, {} attacks, {} left out near attacks\n",
        t.blocks, t.txs, t.benign, t.attacks, t.left_out
    );
    // Writing to a String cannot fail.
    if t.attacks > 0 {
        let band = t.seen_band.map_or(String::new(), |(low, high)| {
            format!(" ({} to {})", percent(low), percent(high))
        });
        let _ = writeln!(
            out,
            "seen {} of {}{band}, answered {}; lost {}, with the plan's orders {}",
            t.attacks_seen,
            t.attacks,
            t.attacks_answered,
            money(t.lost),
            money(t.lost_with)
        );
    }
    let _ = writeln!(
        out,
        "false alarms (critical): {}, false automatic orders: {}",
        t.false_alarms, t.false_orders
    );
    if let Some(ap) = it.average_precision {
        let few = if t.too_few { ", too few attacks for a claim" } else { "" };
        let _ = writeln!(out, "average precision {ap:.3}{few}");
    }
    if t.blind > 0 || t.unanswered > 0 {
        let _ = writeln!(
            out,
            "blind: {} findings; {} state reads are not in the data: what they would have told is unknown",
            t.blind, t.unanswered
        );
    }
    out
}

/// A scan.
pub(crate) fn scanned(it: &Scanned) -> String {
    let rows: Vec<Vec<String>> = it
        .detections
        .rules
        .iter()
        .take(SHOWN)
        .map(|(rule, of)| {
            let count = |severity| of.get(&severity).copied().unwrap_or(0).to_string();
            vec![
                rule.clone(),
                count(Severity::Critical),
                count(Severity::High),
                count(Severity::Medium),
                count(Severity::Low),
                count(Severity::Info),
            ]
        })
        .collect();
    let mut out = table(&["rule", "critical", "high", "medium", "low", "info"], &rows);
    more(&mut out, it.detections.rules.len());
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{} rules ({} with memory) over {} blocks, {} logs: {} findings, {} blind, digest {}",
        it.rules,
        it.stateful,
        it.blocks,
        it.logs,
        it.detections.findings,
        it.detections.blind,
        it.detections.digest
    );
    out
}

/// Thresholds.
pub(crate) fn calibration(lines: &[ActionLine]) -> String {
    let ppb = |it: u32| percent(f64::from(it) / 1e9);
    let row = |it: &ActionLine| {
        let today = it.today.map_or("never weighed".into(), |p| {
            format!("{}{}", ppb(p), if it.written { "" } else { " (implied)" })
        });
        let best = it.curve.points.get(it.curve.best);
        vec![
            it.action.clone(),
            money(it.cost),
            today,
            it.today_total.map_or("-".into(), usd),
            ppb(it.best),
            best.map_or("-".into(), |it| {
                format!("{} ({} to {})", usd(it.total), usd(it.band.0), usd(it.band.1))
            }),
            format!("{} to {}", ppb(it.flat.0), ppb(it.flat.1)),
            match (it.proposed, it.today_flat) {
                (Some(p), _) => format!("set {}", ppb(p)),
                (None, Some(true)) => "stay: within the flat region".into(),
                (None, _) => format!("none: {} attacks are too few", it.curve.attacks),
            },
        ]
    };
    let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
    let header = [
        "action",
        "cost",
        "today",
        "a year",
        "least",
        "a year (5 % to 95 %)",
        "flat region",
        "proposal",
    ];
    table(&header, &rows)
}
