//! Labelled scores: which detector said what in which window, and whether there was an attack.
//!
//! **Invariant:** a window has one label and one time; what is said of it twice and differently is an error with
//! its line, never the last word.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Windows that are read at most.
pub const WINDOWS_MAX: u64 = 5_000_000;
/// Bytes of a line that are read at most.
const LINE_BYTES_MAX: usize = 4_096;

/// One line of a file of scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScoreRow {
    /// Name of the window: one entity in one block, or one incident.
    pub window: String,
    /// Its time, in seconds since the Unix epoch.
    pub time: u64,
    /// Whether there was an attack in it.
    pub attack: bool,
    /// Registered name of the detector; left out, the line only says that the window was watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detector: Option<String>,
    /// What its findings are correlated with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The weight that it states for its finding, in thousandths of a nat.
    #[serde(default)]
    pub score: i32,
    /// How many windows like it there are, in all of which nothing was said.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub windows: u64,
}

fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_one(it: &u64) -> bool {
    *it == 1
}

/// What was said in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) name: String,
    pub(crate) time: u64,
    pub(crate) attack: bool,
    /// By detector: the strongest score, and its group.
    pub(crate) scores: BTreeMap<String, (i32, String)>,
    /// How many windows it stands for.
    pub(crate) count: u64,
}

/// Why scores cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// A line is no row.
    #[error("line {line}: {why}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// More windows than are read.
    #[error("there are more than {max} windows", max = WINDOWS_MAX)]
    TooMany,
}

/// The windows of a file of scores: one JSON object a line, empty lines left out. Oldest first.
pub(crate) fn windows(text: &str) -> Result<Vec<Window>, RowError> {
    let mut windows: BTreeMap<String, Window> = BTreeMap::new();
    let mut total = 0u64;
    for (at, text) in text.lines().enumerate().filter(|it| !it.1.trim().is_empty()) {
        let wrong = |why: String| RowError::Line { line: at + 1, why };
        if text.len() > LINE_BYTES_MAX {
            return Err(wrong(format!("{} bytes, at most {LINE_BYTES_MAX} are read", text.len())));
        }
        let row: ScoreRow = serde_json::from_str(text).map_err(|it| wrong(it.to_string()))?;
        if row.windows == 0 || (row.windows > 1 && (row.detector.is_some() || row.attack)) {
            let why = "`windows` counts clean windows in which nothing was said";
            return Err(wrong(why.into()));
        }
        let known = windows.get(&row.window).map(|it| (it.time, it.attack));
        if known.is_some_and(|it| it != (row.time, row.attack)) {
            return Err(wrong(format!("window `{}` had another time or label", row.window)));
        }
        let it = windows.entry(row.window.clone()).or_insert_with(|| Window {
            name: row.window.clone(),
            time: row.time,
            attack: row.attack,
            scores: BTreeMap::new(),
            count: 0,
        });
        let before = it.count;
        it.count = match row.windows {
            1 => it.count.max(1),
            more => it.count.saturating_add(more),
        };
        total = total.saturating_add(it.count - before);
        if total > WINDOWS_MAX {
            return Err(RowError::TooMany);
        }
        if let Some(detector) = row.detector.filter(|_| row.score > 0) {
            let best = it.scores.entry(detector).or_default();
            if row.score > best.0 {
                *best = (row.score, row.group);
            }
        }
    }
    let mut windows: Vec<Window> = windows.into_values().collect();
    if let Some(it) = windows.iter().find(|it| it.count > 1 && !it.scores.is_empty()) {
        let why = format!("window `{}` stands for many and something was said in it", it.name);
        return Err(RowError::Line { line: 0, why });
    }
    windows.sort_by(|a, b| (a.time, &a.name).cmp(&(b.time, &b.name)));
    Ok(windows)
}
