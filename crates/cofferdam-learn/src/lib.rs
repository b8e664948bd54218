//! Guards learned from a protocol's own history: bounds in the manner of the 23 invariants of Trace2Inv
//! (`onchain.md` §2.3), whitelisted call paths in the manner of CrossGuard, and streaming models of
//! per-block metrics.
//!
//! **Architecture invariant:** no I/O, no clock, no entropy: `now` and seeds are arguments, and equal
//! history gives an equal fragment, byte for byte.
//!
//! **Invariant:** nothing here acts. What is learned is a text for review, in shadow, with the support it
//! has, what it cost on a later hold-out, and the day it stops to count. A transaction whose call tree is
//! no evidence teaches nothing and breaks nothing; it is counted as unseen.

#![cfg_attr(test, allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may panic"))]

pub mod evidence;
mod fragment;
pub mod guard;
mod history;
mod metric;
pub mod path;
mod proof;
mod sample;
pub mod settings;
pub mod stream;
mod text;

pub use fragment::{Fragment, report};
pub use history::{BLOCKS_MIN, History, LearnError, Learned, Options, Rejected, learn};
pub use metric::{Measured, Metric, MetricGuard, STATE_BYTES_MAX, measured};
pub use proof::{Drift, Proof};
pub use sample::{Door, Entry, Flow, Sample, Subject, samples};
pub use settings::Settings;
