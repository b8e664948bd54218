//! The JSON-RPC source against a scripted node and, where present, against anvil.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and print a notice when they skip"
)]

mod anvil;
mod branches;
mod endless;
mod failover;
mod faults;
mod hostile;
mod load;
mod pending;
mod state;
mod support;
mod traces;
mod walk;
mod witness;
