//! EVM execution: re-execution of blocks, simulation of pending transactions, the in-process local
//! chain, and the re-enactment of recorded attacks.
//!
//! **Architecture invariant:** no network, no clock, no async runtime. State comes through
//! [`cofferdam_core::ports::StateSource`]; a read that it cannot answer is reported, never silently
//! zero. revm is named in this crate alone.

mod code;
mod diff;
mod error;
pub mod execute;
mod machine;
mod overlay;
mod receipts;
pub mod rules;
mod tracer;

pub use error::SimError;
pub use execute::{ExecuteOptions, Executed, execute_block, reexecute_block, reexecute_tx};
pub use revm::primitives::hardfork::SpecId;
pub use rules::{Activation, Rules};
pub use tracer::{TRACE_BYTES_MAX, TRACE_DEPTH_MAX, TRACE_FRAMES_MAX};
