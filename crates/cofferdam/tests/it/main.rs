//! What crosses the process: the built program, chains, journals.
#![expect(clippy::expect_used, reason = "a test may panic")]

mod api;
mod backtest;
mod cli;
mod corpus;
mod drills;
mod faults;
mod governance;
mod learn;
mod npm;
mod playbooks;
mod recovery;
mod replay;
mod risk;
mod safe;
mod statements;
