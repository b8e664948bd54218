//! From findings to a decision in money, shown as a ledger.
//!
//! **Architecture invariant:** pure. No I/O, no clock, no randomness; the same case gives the same
//! ledger, bit by bit, on every machine. Floats exist only behind the integer doors of
//! `cofferdam-risk`.
//!
//! **Architecture invariant:** nothing here can invent an action. An option is an action of the
//! response plan; the decision picks one or none.
//!
//! **Architecture invariant:** nothing is remembered here. A decision is a function of its case, and a
//! case of the engine's state, which is a fold over the journal.

mod clusters;
mod drain;
mod evidence;
mod gate;
mod ladder;
mod losses;
mod options;
pub mod render;
mod tables;

pub use clusters::Ties;
pub use ladder::{Case, Choice, Decided, PastOrder, Waiting, Weighed, decide};
pub use tables::Tables;
