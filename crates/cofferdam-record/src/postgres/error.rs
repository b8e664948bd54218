//! What a failure of PostgreSQL means to the caller.

use std::sync::Arc;

use cofferdam_core::ports::JournalError;

use crate::chain::corrupt;

/// A failure that several waiting appends share.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Unavailable(Arc<sqlx::Error>),
    Damaged(String),
    Fenced,
}

/// A failure, and the entry that would have come next.
#[derive(Clone, Debug)]
pub(super) struct Told(pub(super) Failure, pub(super) u64);

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
                Self::Damaged(format!("a stored value has another shape: {error}"))
            }
            _ => Self::Unavailable(Arc::new(error)),
        }
    }
}

impl From<Told> for JournalError {
    fn from(Told(failure, seq): Told) -> Self {
        match failure {
            Failure::Unavailable(error) => Self::Unavailable(Box::new(error)),
            Failure::Damaged(what) => corrupt(seq, what),
            Failure::Fenced => Self::Fenced,
        }
    }
}

/// Maps a failure at or near entry `seq`.
pub(super) fn failed(seq: u64) -> impl Fn(sqlx::Error) -> JournalError {
    move |error| Told(error.into(), seq).into()
}
