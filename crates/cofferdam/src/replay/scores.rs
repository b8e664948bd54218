//! What the replays say about each detector: scores with labels, to fit an evidence card to.
//!
//! **Invariant:** one window is one protected entity in one block; an exploit is one window with an attack,
//! whatever was found in it, and a contract that nothing was found about is a clean window all the same.

use std::collections::BTreeSet;

use cofferdam_learn::evidence::ScoreRow;

use super::{BlockLine, CaseLine, Seen};

/// The rows of `cofferdam learn llr`, one JSON object a line. Blocks must be ordinary ones: their windows count as
/// clean.
pub fn scores(cases: &[CaseLine], blocks: &[BlockLine]) -> String {
    let mut rows = Vec::new();
    for it in cases {
        let silent = silent(it.case.clone(), it.time, true);
        rows.extend(it.findings.iter().filter(|it| speaks(it)).map(|said| row(&silent, said)));
        rows.push(silent);
    }
    for it in blocks {
        let spoken = it.seen.iter().filter(|it| speaks(it));
        rows.extend(spoken.clone().map(|said| {
            row(&silent(format!("{}/{}", it.number, said.entity), it.time, false), said)
        }));
        let entities: BTreeSet<&str> = spoken.map(|it| it.entity.as_str()).collect();
        let windows = (it.protected.saturating_sub(entities.len())) as u64;
        if windows > 0 {
            rows.push(ScoreRow { windows, ..silent(it.number.to_string(), it.time, false) });
        }
    }
    // Every row is plain values.
    let lines = rows.iter().filter_map(|it| serde_json::to_string(it).ok());
    lines.map(|it| it + "\n").collect()
}

/// What could not be looked at is no score, and what weighs nothing says nothing.
fn speaks(it: &Seen) -> bool {
    it.llr_millinats > 0 && it.group != "blind"
}

fn silent(window: String, time: u64, attack: bool) -> ScoreRow {
    ScoreRow { window, time, attack, detector: None, group: String::new(), score: 0, windows: 1 }
}

fn row(window: &ScoreRow, said: &Seen) -> ScoreRow {
    ScoreRow {
        detector: Some(said.detector.clone()),
        group: said.group.clone(),
        score: said.llr_millinats,
        ..window.clone()
    }
}

#[cfg(test)]
mod tests {
    use cofferdam_core::Severity;

    use super::*;
    use crate::replay::Orders;

    fn said(entity: &str, llr_millinats: i32) -> Seen {
        Seen {
            detector: "outflow".into(),
            entity: entity.into(),
            severity: Severity::High,
            llr_millinats,
            group: "value".into(),
            summary: String::new(),
        }
    }

    #[test]
    fn contracts_that_nothing_was_said_about_are_clean_windows() {
        let case = CaseLine {
            case: "theft".into(),
            how: "original",
            time: 7,
            worst: None,
            findings: vec![said("victim", 19_000)],
            remark: String::new(),
            orders: Orders::default(),
        };
        let block = BlockLine {
            number: 12,
            time: 9,
            protected: 50,
            seen: vec![said("one", 4_000), said("one", 1_500), said("two", 0)],
            ..BlockLine::default()
        };
        let rows = scores(&[case], &[block]);
        expect_test::expect![[r#"
            {"window":"theft","time":7,"attack":true,"detector":"outflow","group":"value","score":19000}
            {"window":"theft","time":7,"attack":true,"score":0}
            {"window":"12/one","time":9,"attack":false,"detector":"outflow","group":"value","score":4000}
            {"window":"12/one","time":9,"attack":false,"detector":"outflow","group":"value","score":1500}
            {"window":"12","time":9,"attack":false,"score":0,"windows":49}
        "#]]
        .assert_eq(&rows);
    }
}
