//! Tests of the engine through its public door.
#![expect(clippy::expect_used, reason = "a test may panic")]

mod bid;
mod bridge;
mod common;
mod copycat;
mod engine;
mod large_plan;
mod nomad;
mod outbox;
mod quorum;
mod reorg;
