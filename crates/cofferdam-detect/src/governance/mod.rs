//! Governance: its events, its payloads, and what is remembered of it.

mod events;
mod payload;
mod seen;
mod settings;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use events::{Event, Events};
pub(crate) use payload::{Payload, judges, worst};
pub(crate) use seen::{Proposal, Seen};
pub(crate) use settings::{Governor, Settings};
