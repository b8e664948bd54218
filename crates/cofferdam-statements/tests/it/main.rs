//! Statements and the status page over journals.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod desk;
mod page;
mod statements;
