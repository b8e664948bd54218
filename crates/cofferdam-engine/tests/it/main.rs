//! Tests of the engine through its public door.
#![expect(clippy::expect_used, reason = "a test may panic")]

mod backing;
mod bid;
mod bridge;
mod chains;
mod common;
mod copycat;
mod engine;
mod fading;
mod large_plan;
mod nomad;
mod outbox;
mod quorum;
mod reorg;
