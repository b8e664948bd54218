//! The cofferdam program as a library: CLI, configuration, wiring, the runtime loop, drills.
//!
//! **Architecture invariant:** only this crate reads the environment, the wall clock and
//! configuration files.

pub mod api;
pub mod backtest;
mod board;
pub mod cli;
pub mod corpus;
pub mod drill;
mod people;
pub mod replay;
mod risk;
pub mod runtime;
pub mod safe;
