//! From findings to a decision in money, shown as a ledger.
//!
//! **Architecture invariant:** pure. No I/O, no clock, no randomness; the same case gives the same
//! ledger, bit by bit, on every machine. Floats exist only behind the integer door of
//! `cofferdam-risk`.
//!
//! **Architecture invariant:** nothing here can invent an action. An option is an action of the
//! response plan; the decision picks one or none.

mod drain;
mod evidence;
mod gate;
mod ladder;
pub mod render;

pub use ladder::{Case, Choice, PastOrder, Weighed, decide};
