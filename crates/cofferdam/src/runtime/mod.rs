//! The runtime: the one impure place between sources, engine, journal and executors.

mod pipeline;
mod shell;

pub use pipeline::{complete, parent_of};
pub use shell::{Alert, Carried, Dispatcher, Shell, ShellError};
