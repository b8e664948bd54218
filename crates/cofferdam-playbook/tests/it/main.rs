//! Playbooks against the material of the standard, and runs that are killed everywhere.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod desk;
mod kill;
mod pack;
mod runs;
mod signature;
mod starters;
mod world;
