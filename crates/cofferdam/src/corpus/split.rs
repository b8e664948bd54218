//! Which classes nothing may be tuned on.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{artifacts::artifacts, failed};
use crate::replay::ReplayError;

const SPLIT: &str = include_str!("../../../../drills/corpus/split.toml");

/// The split, by class.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Split {
    /// Classes that may be looked at when a detector is worked on.
    pub(super) seen: BTreeSet<String>,
    /// Classes that may not.
    pub(super) unseen: BTreeSet<String>,
}

/// The split of `drills/corpus/split.toml`.
pub(super) fn split() -> Result<Split, ReplayError> {
    let split: Split = toml::from_str(SPLIT).map_err(|it| failed("split.toml", it))?;
    for (class, it) in &artifacts()?.classes {
        let sides = u8::from(split.seen.contains(class)) + u8::from(split.unseen.contains(class));
        if sides != u8::from(!it.attack.is_empty()) {
            let what = format!("split.toml names `{class}` {sides} times");
            return Err(failed(what, "each class that attacks stands once, no other"));
        }
    }
    Ok(split)
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may panic")]
mod tests {
    #[test]
    fn every_class_stands_on_one_side_and_a_third_is_unseen() {
        let split = super::split().expect("the split is whole");
        let all = split.seen.len() + split.unseen.len();
        assert!(all >= 30, "{all} classes");
        assert!(split.unseen.len() * 3 >= all - 2, "{} of {all}", split.unseen.len());
    }
}
