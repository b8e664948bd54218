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
            "  {:<20} {:>14} {:>12} {:>14} {:>14}  verdict",
            "action", "avoided", "cost", "threshold", "net"
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
            "  {:<20} {:>14} {:>12} {:>14} {:>14}  {verdict}",
            it.action,
            it.avoided.to_string(),
            it.cost.to_string(),
            it.threshold.to_string(),
            it.net.to_string()
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
