//! The EVM on recorded data: mainnet blocks and exploits. Skips, with a notice, where the data is absent.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod attacks;
mod blocks;
mod shared;
// The rim's crates do not depend on each other, so the loaders are taken from their source.
#[allow(dead_code, unreachable_pub, unused_imports, reason = "only a part is used here")]
#[path = "../../../cofferdam-observe/src/recorded/mod.rs"]
mod recorded;
