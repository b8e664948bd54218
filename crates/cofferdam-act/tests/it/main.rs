//! Tests of the crate from outside, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

mod alertmanager;
mod anvil;
mod bundle;
mod chaos;
mod executor;
mod mock;
mod notify;
mod race;
mod readiness;
mod rpc;
mod safe;
mod support;
mod warm;
mod world;
