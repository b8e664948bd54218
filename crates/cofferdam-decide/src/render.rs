//! The ledger as text: what `cofferdam incident show` prints and the journal's reader checks.

use std::fmt::Write;

use cofferdam_core::incident::{Ledger, Verdict};

/// Renders `ledger` as aligned lines, without colour.
pub fn ledger(ledger: &Ledger) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "decision at {}", ledger.at);
    let width = ledger.terms.iter().map(|it| it.name.len()).max().unwrap_or(0);
    for it in &ledger.terms {
        let value = match &it.interval {
            Some((low, high)) => format!("{} [{low} … {high}]", it.value),
            None => it.value.to_string(),
        };
        let _ = writeln!(out, "  {:width$}  {value:<32} {}", it.name, it.source);
    }
    if !ledger.options.is_empty() {
        let _ = writeln!(
            out,
            "  {:<16} {:>12} {:>12} {:>24} {:>14} {:>12} {:>12}  verdict",
            "action", "next block", "saves", "cost", "threshold", "waiting", "net"
        );
    }
    for it in &ledger.options {
        let verdict = match &it.verdict {
            Verdict::Act => "act".to_owned(),
            Verdict::Propose => "propose to a person".to_owned(),
            Verdict::BelowThreshold => "below threshold".to_owned(),
            Verdict::Dominated => "another is better".to_owned(),
            Verdict::Withheld(why) => format!("withheld: {why}"),
        };
        let _ = writeln!(
            out,
            "  {:<16} {:>12} {:>12} {:>24} {:>14} {:>12} {:>12}  {verdict}",
            it.action,
            it.avoided.to_string(),
            it.room.saves.to_string(),
            format!("{} … {}", it.room.costs.0, it.room.costs.1),
            it.threshold.to_string(),
            it.room.waiting.to_string(),
            it.net.to_string()
        );
    }
    if !ledger.options.is_empty() {
        out.push_str(
            "  waiting: what one more block costs over acting now; negative: waiting is better\n",
        );
    }
    match &ledger.chosen {
        Some(action) => _ = writeln!(out, "  → {action}"),
        None => _ = writeln!(out, "  → watch and notify"),
    }
    for it in &ledger.flips {
        let _ = writeln!(out, "    {it}");
    }
    out
}
