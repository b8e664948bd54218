//! Playbooks against the material of the standard, and runs that are killed everywhere.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test may panic; counts and what is skipped are printed"
)]

mod desk;
mod kill;
mod pack;
mod runs;
mod signature;
mod starters;
mod world;
