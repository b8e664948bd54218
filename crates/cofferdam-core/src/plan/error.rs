//! Errors of a plan, each with its place in the file and what to do.

use std::{fmt, ops::Range};

/// Errors that are kept of one file; more are counted only.
pub const ERRORS_SHOWN_MAX: usize = 100;

/// One thing wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// Where, in bytes of the file.
    pub span: Range<usize>,
    /// Line of the start, from 1.
    pub line: usize,
    /// Column of the start in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do, if that can be told.
    pub hint: Option<String>,
    /// Whether the line holds a secret and must not be shown or logged.
    pub sensitive: bool,
}

/// Everything wrong with a plan, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanErrors {
    /// The file, as named by the caller.
    pub file: String,
    /// The first [`ERRORS_SHOWN_MAX`].
    pub errors: Vec<PlanError>,
    /// How many more there are.
    pub more: usize,
}

impl PlanErrors {
    /// Sorts `errors` by place and keeps the first [`ERRORS_SHOWN_MAX`].
    pub fn new(file: &str, mut errors: Vec<PlanError>) -> Self {
        errors.sort_by(|a, b| (a.span.start, &a.message).cmp(&(b.span.start, &b.message)));
        errors.dedup();
        let more = errors.len().saturating_sub(ERRORS_SHOWN_MAX);
        errors.truncate(ERRORS_SHOWN_MAX);
        Self { file: file.to_owned(), errors, more }
    }
}

impl fmt::Display for PlanErrors {
    /// `file:line:column: message`, then the hint on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{}:{error}", self.file)?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n    hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PlanErrors {}

impl std::error::Error for PlanError {}
