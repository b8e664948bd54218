//! Cases: what people do about incidents.
//!
//! The engine's incident is a belief and an order; a case is the response around it: who commands, what
//! is to be done, what happened when, and how long each step took against its target.
//!
//! **Architecture invariant:** this crate performs no I/O, reads no clock, draws no randomness. All state
//! is a fold over the journal ([`Cases::apply`]): the engine's records and runs of playbooks fill the
//! timeline, and what people say is a record too ([`CaseEvent`]).
//!
//! **Architecture invariant:** when something happened and when it was recorded are two times, both UTC.

mod case;
mod cases;
mod clock;
mod command;
mod csf;
mod event;
mod fill;
mod summary;

pub use case::{Case, CaseState, MOMENTS_MAX, Moment, Priority, Role, Source, Task, TaskState};
pub use cases::Cases;
pub use clock::{Clock, ClockState, Milestone, clocks, target_ms};
pub use command::{Command, Refusal};
pub use csf::Csf;
pub use event::{CaseEvent, CaseId};
pub use summary::{hand_over, timeline};
