//! The fault suite: the program itself, in a process of its own, while one thing around it breaks.
//!
//! **Invariant:** a row passes only on what came out of the program: what its receivers took, what its
//! health page said, what its journal holds. A row that cannot be run says why and has not passed.

mod http;
mod proxy;
mod report;
mod scene;
mod sink;
mod spoil;
mod ws;

mod chain;
mod feeds;
mod kills;
mod machine;
mod node;
mod people;
mod reorg;

use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;
use serde::Serialize;

use super::StageError;

pub use report::table;
pub use scene::FaultOptions;

/// Longest time for one row.
const ROW_LIMIT: Duration = Duration::from_secs(300);
/// Longest time for each kill of the row that kills.
const KILL_LIMIT: Duration = Duration::from_secs(60);

/// One fault and what must come of it.
pub struct Row {
    /// Short name.
    pub name: &'static str,
    /// What breaks.
    pub fault: &'static str,
    /// What must happen.
    pub expected: &'static str,
    /// Whether it belongs to the quick subset.
    pub quick: bool,
    run: Run,
}

/// Plays a row; a stage is no thing for several threads.
type Run = for<'a> fn(&'a FaultOptions, &'a str) -> LocalBoxFuture<'a, Result<Seen, StageError>>;

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a row showed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Judged {
    /// The row.
    pub name: &'static str,
    /// What broke.
    pub fault: &'static str,
    /// What had to happen.
    pub expected: &'static str,
    /// What happened.
    pub seen: String,
    /// Whether that is what had to happen.
    pub pass: bool,
    /// Milliseconds that the row took.
    pub took_ms: u64,
}

/// What was seen, piece by piece.
#[derive(Debug, Default)]
struct Seen {
    said: Vec<String>,
    failed: bool,
}

impl Seen {
    /// Something that must hold; `what` says it as if it did.
    fn check(&mut self, holds: bool, what: impl Into<String>) {
        self.failed |= !holds;
        let what = what.into();
        self.said.push(if holds { what } else { format!("NOT: {what}") });
    }

    /// An event that must have come, with how long it took.
    fn came(&mut self, what: &str, after: Option<Duration>, limit: Duration) {
        match after {
            Some(it) => self.check(it <= limit, format!("{what} in {it:.2?}")),
            None => self.check(false, format!("{what} within a minute")),
        }
    }

    /// A figure without a bar.
    fn note(&mut self, what: impl Into<String>) {
        self.said.push(what.into());
    }
}

/// Every row, in the order of the table.
pub fn rows() -> Vec<&'static Row> {
    let all = [
        node::ROWS,
        reorg::ROWS,
        people::ROWS,
        feeds::ROWS,
        chain::ROWS,
        machine::ROWS,
        kills::ROWS,
    ];
    all.into_iter().flatten().collect()
}

/// Runs one row. A row that fails by its own making has not passed, and says why.
pub async fn run(row: &Row, options: &FaultOptions) -> Judged {
    let begun = Instant::now();
    let limit =
        if row.name == kills::NAME { ROW_LIMIT + KILL_LIMIT * options.kills } else { ROW_LIMIT };
    let (seen, pass) = match tokio::time::timeout(limit, (row.run)(options, row.name)).await {
        Ok(Ok(seen)) => (seen.said.join("; "), !seen.failed),
        Ok(Err(error)) => (format!("not run: {}", crate::runtime::chain_of(&error)), false),
        Err(_) => (format!("no result within {} s", limit.as_secs()), false),
    };
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let Row { name, fault, expected, .. } = *row;
    Judged { name, fault, expected, seen, pass, took_ms }
}
