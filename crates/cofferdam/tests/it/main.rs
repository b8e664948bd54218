//! What crosses the process: the built program, chains, journals.
#![expect(clippy::expect_used, reason = "a test may panic")]

mod cli;
mod corpus;
mod drills;
mod faults;
mod governance;
mod learn;
mod replay;
mod risk;
