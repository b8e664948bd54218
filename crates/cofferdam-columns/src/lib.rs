//! Blocks in columns: Parquet in the layout that `cryo` writes for blocks, transactions, logs and traces.
//!
//! **Invariant:** files are hostile input: what is missing, of another type or out of order is a [`ColumnError`] that
//! names file and column; nothing is taken for zero that is not there.
//!
//! **Invariant:** what [`Writer`] writes, [`Folder`] reads back as it was, as far as the layout can hold it: state
//! changes, access lists and answers to reads have no column.

#![cfg_attr(test, allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may panic"))]

mod cells;
mod error;
mod file;
mod filter;
mod folder;
mod read;
mod traces;
mod write;

pub use error::ColumnError;
pub use file::{Dataset, FILES_MAX};
pub use filter::{Hit, Pairs, Wanted};
pub use folder::{Folder, Slice};
pub use write::{Packing, Writer};
