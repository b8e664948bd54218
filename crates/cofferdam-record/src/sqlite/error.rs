//! What a failure of SQLite means to the caller.

use std::sync::Arc;

use cofferdam_core::ports::JournalError;

use crate::chain::corrupt;

/// SQLite's primary result codes for a damaged file (<https://www.sqlite.org/rescode.html>).
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_NOTADB: i32 = 26;

/// A failure that several waiting appends share.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Unavailable(Arc<sqlx::Error>),
    Damaged(String),
    Fenced,
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match damage(&error) {
            Some(what) => Self::Damaged(what),
            None => Self::Unavailable(Arc::new(error)),
        }
    }
}

impl Failure {
    /// What the caller is told, whose entry would have been `seq`.
    pub(super) fn told(self, seq: u64) -> JournalError {
        match self {
            Self::Unavailable(error) => JournalError::Unavailable(Box::new(error)),
            Self::Damaged(what) => corrupt(seq, what),
            Self::Fenced => JournalError::Fenced,
        }
    }
}

/// A failure, and the entry that would have come next.
#[derive(Clone, Debug)]
pub(super) struct Told(pub(super) Failure, pub(super) u64);

impl From<Told> for JournalError {
    fn from(Told(failure, seq): Told) -> Self {
        failure.told(seq)
    }
}

/// Maps a failure at or near entry `seq`.
pub(super) fn failed(seq: u64) -> impl Fn(sqlx::Error) -> JournalError {
    move |error| Failure::from(error).told(seq)
}

/// What is broken, if `error` means that the file is not what was written.
fn damage(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Database(it) => {
            let code: i32 = it.code()?.parse().ok()?;
            matches!(code & 0xff, SQLITE_CORRUPT | SQLITE_NOTADB)
                .then(|| format!("the file is damaged: {it}"))
        }
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
            Some(format!("a stored value has another shape: {error}"))
        }
        _ => None,
    }
}
