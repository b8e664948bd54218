//! EVM execution: re-execution of blocks, simulation of pending transactions, the in-process local
//! chain, and the re-enactment of recorded attacks.
//!
//! **Architecture invariant:** no network, no clock, no async runtime. State comes through
//! [`cofferdam_core::ports::StateSource`]; a read that it cannot answer is reported, never silently
//! zero. revm is named in this crate alone.

mod code;
mod diff;
pub mod enact;
mod error;
pub mod execute;
mod heap;
pub mod local;
mod machine;
mod overlay;
mod raw;
mod receipts;
mod rehearse;
pub mod rules;
pub mod simulate;
mod stale;
mod surroundings;
mod tracer;

pub use enact::{Act, Enacted, Pace, Report, Script, tx_from_trace};
pub use error::SimError;
pub use execute::{ExecuteOptions, Executed, execute_block, reexecute_block, reexecute_tx};
pub use local::{LocalChain, LocalConfig, LocalError, LocalSource, Unsigned};
pub use overlay::After;
pub use raw::{RAW_TX_BYTES_MAX, RawError, decode_raw};
pub use revm::primitives::hardfork::SpecId;
pub use rules::{Activation, Rules};
pub use simulate::{
    Called, On, Pending, Run, answer_reads, next_block, read_around, simulate_after, simulate_call,
    simulate_pending, simulate_run,
};
pub use surroundings::Surroundings;
pub use tracer::{TRACE_BYTES_MAX, TRACE_DEPTH_MAX, TRACE_FRAMES_MAX};
