//! Recorded data: blocks with prestate, fork caches, attack traces and transaction cases, in the
//! formats that the data folder's README documents.
//!
//! **Invariant:** files are hostile input: sizes are capped before anything is unpacked or parsed, and
//! whatever is malformed is a [`RecordedError`] that names the file. Attackers of recorded attacks get
//! fresh addresses at load, so that nothing downstream can know them by heart.

mod block;
mod case;
mod error;
pub(crate) mod file;
mod fork;
mod index;
mod mainnet;
mod number;
mod parity;
mod rename;
mod trace;

pub use block::load_header;
pub use case::{Expected, RecordedCase, load_tx_case};
pub use error::RecordedError;
pub use file::{FILE_BYTES_MAX, UNPACKED_BYTES_MAX};
pub use fork::{RecordedFork, load_fork_cache};
pub use index::{BlockRow, ForkRow, TraceRow, load_block_index, load_fork_index, load_trace_index};
pub use mainnet::{MainnetBlocks, RecordedBlock, load_mainnet_block};
pub use parity::load_parity_block;
pub use rename::Rename;
pub use trace::load_trace;

#[cfg(test)]
pub(crate) mod tests;
