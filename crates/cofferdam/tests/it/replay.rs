//! Recorded exploits, their variations and ordinary blocks under the generic plan.

use std::path::PathBuf;

use cofferdam::replay::{Outcome, variations};

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
