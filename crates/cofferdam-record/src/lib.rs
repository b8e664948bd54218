//! The hash-chained journal and the bus: the implementations of core's `Journal` and `Bus` ports, and
//! the suites that every implementation of them must pass.
//!
//! **Architecture invariant:** nothing here knows what a record means, except whether it is a
//! snapshot; nothing outside this crate knows how a record is stored. There is no statement that
//! changes or deletes an entry.

pub mod bus;
pub mod chain;
#[doc(hidden)]
pub mod conformance;
pub mod export;
mod file;
mod group;
pub mod limits;
mod local;
mod memory;
mod postgres;
mod rows;
mod sqlite;

pub use bus::LocalBus;
pub use file::FileJournal;
pub use local::LocalJournal;
pub use memory::MemoryJournal;
pub use postgres::PostgresJournal;
pub use sqlite::SqliteJournal;
