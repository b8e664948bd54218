//! Recorded exploits, their variations and ordinary blocks under the generic plan.

use std::path::PathBuf;

use cofferdam::replay::{BlockLine, Outcome, benign, exploits, odd, variations};
use cofferdam_core::Severity;

/// The folder of the recorded data, or `None` with a notice on standard error.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn data() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("COFFERDAM_SHARED").map_or(beside, PathBuf::from);
    let path = root.join("data");
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there", path.display());
    None
}

#[test]
fn an_exploit_that_is_found_is_found_however_it_is_varied() {
    let Some(data) = data() else { return };
    for seed in [7, 1_000] {
        let lines = variations(&data, seed).expect("the data can be replayed");
        let recorded: Vec<_> = lines.iter().filter(|it| it.variation == "as recorded").collect();
        assert!(recorded.len() >= 11, "eleven exploits re-enact completely: {}", recorded.len());
        let found = recorded.iter().filter(|it| it.outcome == Outcome::Found);
        let found: Vec<&str> = found.map(|it| it.case.as_str()).collect();
        let mut varied = 0;
        for it in lines.iter().filter(|it| found.contains(&it.case.as_str())) {
            assert_ne!(it.outcome, Outcome::Missed, "{} {}: {}", it.case, it.variation, it.remark);
            varied += usize::from(it.outcome == Outcome::Found);
        }
        assert!(varied >= 5 * found.len(), "{varied} variations of {} did harm", found.len());
    }
}

#[test]
fn recorded_exploits_are_critical_under_a_plan_that_knows_their_victims_alone() {
    let Some(data) = data() else { return };
    for seed in [7, 99] {
        let lines = exploits(&data, seed).expect("the data can be replayed");
        let critical = lines.iter().filter(|it| it.worst == Some(Severity::Critical));
        let (originals, traces): (Vec<_>, Vec<_>) = critical.partition(|it| it.how == "original");
        assert_eq!(originals.len(), 2);
        assert!(traces.len() >= 17, "{} traces are critical", traces.len());
    }
}

#[test]
fn ordinary_and_odd_blocks_raise_no_critical_finding_and_no_order() {
    let Some(data) = data() else { return };
    let blocks = benign(&data).expect("the data can be replayed");
    let odd = odd(&data).expect("the data can be replayed");
    assert_eq!((blocks.len(), odd.len()), (44, 12));
    let txs: usize = blocks.iter().map(|it| it.txs).sum();
    assert_eq!(txs, 12_115);
    for it in blocks.iter().chain(&odd) {
        assert_eq!(BlockLine::critical(it), 0, "block {}: {:?}", it.number, it.alarms);
        assert_eq!(it.orders.gated, 0, "block {}", it.number);
    }
}
