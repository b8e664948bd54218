//! Recovery: how users get service and money back, and how what happened is told.
//!
//! **Architecture invariant:** this crate performs no I/O, reads no clock, draws no randomness. Gates are a
//! fold over the journal ([`Gates::apply`]).
//!
//! **Architecture invariant:** nothing here unpauses anything. A gate is open until somebody named proved
//! it with evidence, and [`Gates::reopen`] gives the list of open gates instead of an event while there is one.

pub mod checklist;
pub mod claims;
pub mod gate;
pub mod merkle;
pub mod plan;
pub mod post_mortem;

pub use checklist::{Gates, RecoveryEvent, Refusal, State, Status};
pub use claims::{Claim, ClaimError, Claims};
pub use gate::{Figures, Gate};
pub use merkle::{MerkleError, Snapshot};
pub use plan::{Plan, PlanError, Settings, Stage};
pub use post_mortem::{Account, PostMortemError};
