//! Probabilities, prices and expected loss: the only place where floats live.
//!
//! Pure: no I/O, no clock, no randomness of its own, no unsafe. Every transcendental function comes from
//! `libm`, so equal inputs give equal bits on every platform. Callers keep money in integer micro-USD and
//! probabilities in integer parts per billion; they cross into floats only through [`door`].

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test should panic"))]

pub mod book;
pub mod calibration;
pub mod contagion;
pub mod cost;
pub mod decision;
pub mod detection;
pub mod door;
pub mod drain;
pub mod error;
pub mod fusion;
pub mod likelihood;
pub mod limiters;
pub mod numeric;
pub mod predict;
pub mod pricing;
pub mod progress;
pub mod scenario;
pub mod severity;
pub mod solvency;
pub mod stages;
pub mod stopping;
pub mod threshold;
pub mod vol;
pub mod waiting;

pub use decision::{Verdict, net_benefit, one_shot, threshold_one_shot};
pub use door::{
    PPB_ONE, acts, expected_loss_micro_usd, net_benefit_micro_usd, posterior_ppb, threshold_ppb,
};
pub use error::RiskError;
pub use fusion::{Evidence, EvidenceGroup, fuse, logit, rho_shrink, sigmoid, try_fuse};
pub use stopping::{StoppingProblem, StoppingTable};
