//! CACAO 2.0 playbooks (OASIS, Committee Specification 01): read, checked, verified, and executed as a
//! durable state machine.
//!
//! **Architecture invariant:** this crate performs no I/O, reads no clock, draws no randomness and
//! spawns nothing. A run is a fold over its records; time, answers and workers are inputs.
//!
//! **Architecture invariant:** a run gives no command that the response plan does not allow, and no
//! command is skipped: it succeeds, it fails, or it is *unknown* until a person or a deadline says.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic"))]

pub mod allowance;
pub mod check;
pub mod desk;
mod fields;
pub mod fin;
pub mod issue;
pub mod jcs;
pub mod json;
pub mod model;
pub mod number;
pub mod pattern;
pub mod perform;
pub mod read;
pub mod run;
pub mod show;
pub mod sign;
mod time;
pub mod variable;

pub use allowance::Allowance;
pub use check::{NotNow, against_plan, runnable};
pub use issue::{Issue, Level, Profile, Rule};
pub use model::Playbook;
pub use perform::Perform;
pub use read::{Reading, read};
pub use run::{Answer, Context, Effect, Entry, Input, JobId, Limits, Run, RunId, RunRecord};
