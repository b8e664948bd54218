//! How one loss becomes many: clearing of mutual obligations, propagation of distress, liquidation cascades, runs,
//! unbacked collateral, and which edge is worth cutting. Invariant: inputs are validated once, and every
//! propagation is monotone in the shock.

pub mod backing;
pub mod cascade;
pub mod clearing;
pub mod debtrank;
pub mod run;

pub use backing::{BackingAlarm, BackingRule, Loan, backing_alarm, bad_debt};
pub use cascade::{Cascade, CpmmPool, cascade};
pub use clearing::{Clearing, Recovery, clear};
pub use debtrank::{Edge, ImpactNetwork};
pub use run::{RunModel, RunPath};
