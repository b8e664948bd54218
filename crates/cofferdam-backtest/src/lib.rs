//! Back-tests: one pass of the engine over history, what it came to, and thresholds chosen from that.
//!
//! **Architecture invariant:** no file, thread, clock or random number here; a seed is an argument. What a
//! back-test folds over is the engine of live operation: no detector or decision knows that it is replayed.
//!
//! **Invariant:** equal input and seed give equal bytes, whatever the number of threads and however often the
//! run was interrupted: every range of blocks ends in a seam through which an uninterrupted run passes too.

#![cfg_attr(test, allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may panic"))]

pub mod calibrate;
mod counterfactual;
mod diff;
mod error;
mod incidents;
mod labels;
mod link;
mod metrics;
mod outcome;
mod pass;
mod ranges;
mod rows;
mod scan;
mod walk;

pub use counterfactual::{Counterfactual, DelayPoint};
pub use diff::{DiffError, set_in_action, unified};
pub use error::BacktestError;
pub use incidents::{IncidentLine, Reached, Step};
pub use labels::{Label, Labels};
pub use metrics::{CostPoint, Histogram, PrPoint, RuleLine};
pub use outcome::{Options, Outcome, StrandLine, Totals, WorstLine, judge};
pub use pass::{Asked, Pass, Seam};
pub use ranges::{Range, ranges};
pub use rows::{BlockRow, DecidedRow, OrderedRow, Row, RuleScore, TxRow};
pub use scan::{Detections, Scan};
pub use walk::FoldLine;
