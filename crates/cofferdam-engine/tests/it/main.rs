//! Tests of the engine through its public door.
#![expect(clippy::expect_used, reason = "a test may panic")]

mod bid;
mod common;
mod engine;
mod fading;
mod outbox;
mod quorum;
mod reorg;
