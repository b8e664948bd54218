//! What a benchmark prints, and the table a person reads.

use serde_json::Value;

/// Reads a report: an object with `rows` and what is known about the machine.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(bytes)
}

/// Figure, peer, ratio, bar and verdict of every row, then the machine.
pub(super) fn table(report: &Value) -> String {
    let mut lines = vec![row(["figure", "ours", "peer", "theirs", "ratio", "bar", "pass"])];
    for it in rows(report) {
        let unit = text(&it["unit"]);
        let bar = it["bar"].as_f64().map_or("–".into(), |bar| match it["at_most"].as_bool() {
            Some(true) => format!("≤ {}", short(bar)),
            _ => format!("≥ {}", short(bar)),
        });
        let pass = it["pass"].as_bool().map_or("", |it| if it { "yes" } else { "NO" });
        lines.push(row([
            text(&it["figure"]),
            &figure(&it["ours"], unit),
            text(&it["peer"]),
            &figure(&it["theirs"], unit),
            &it["ratio"].as_f64().map_or("–".into(), short),
            &bar,
            pass,
        ]));
    }
    let notes = report["notes"].as_array().into_iter().flatten();
    lines.extend(notes.map(|it| format!("note: {}", text(it))));
    let machine = &report["machine"];
    lines.push(format!(
        "machine: {} CPUs, {}; load average {} before, {} after",
        machine["cpus"],
        text(&machine["cpu"]),
        text(&machine["load_before"]),
        text(&machine["load_after"])
    ));
    lines.join("\n")
}

/// One line per bar that was missed.
pub(super) fn missed(report: &Value) -> Vec<String> {
    let missed = rows(report).filter(|it| it["pass"].as_bool() == Some(false));
    missed.map(|it| format!("missed: {}", text(&it["figure"]))).collect()
}

fn rows(report: &Value) -> impl Iterator<Item = &Value> {
    report["rows"].as_array().into_iter().flatten()
}

fn row(cells: [&str; 7]) -> String {
    let [figure, ours, peer, theirs, ratio, bar, pass] = cells;
    format!("{figure:<50} {ours:>18} {peer:<24} {theirs:>18} {ratio:>9} {bar:>9} {pass}")
}

fn figure(value: &Value, unit: &str) -> String {
    value.as_f64().map_or("–".into(), |it| format!("{} {unit}", short(it)))
}

/// Three significant digits, or all digits before the point.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        it if it >= 100.0 => 0,
        it if it >= 10.0 => 1,
        it if it >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::{missed, parse, table};

    const REPORT: &str = r#"{
        "rows": [
            {"figure": "append", "unit": "records/s", "ours": 950.0, "peer": "raw", "theirs": 1000.0,
             "ratio": 0.95, "bar": 0.9, "at_most": false, "pass": true},
            {"figure": "growth", "unit": "ns", "ours": 9.25, "peer": "100 rules", "theirs": 3.0,
             "ratio": 3.083, "bar": 2.0, "at_most": true, "pass": false}
        ],
        "notes": ["forta-agent is not installed"],
        "machine": {"cpus": 2, "cpu": "test", "load_before": "0.1", "load_after": "1.2"}
    }"#;

    #[test]
    fn the_table_shows_ratio_bar_and_verdict_and_a_missed_bar_fails() {
        let report = parse(REPORT.as_bytes()).unwrap_or_default();
        let table = table(&report);
        for part in ["0.950", "≥ 0.900", "yes", "≤ 2.00", "NO", "note: forta", "2 CPUs"] {
            assert!(table.contains(part), "{part} is not in\n{table}");
        }
        assert_eq!(missed(&report), ["missed: growth"]);
    }
}
