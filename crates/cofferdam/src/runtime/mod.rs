//! The runtime: the one impure place between sources, engine, journal and executors.

mod dispatch;
pub mod health;
mod live;
mod pending;
mod pipeline;
mod shell;

pub use dispatch::{Hand, Hands, chain_of};
pub use live::{Live, Watch, now};
pub use pending::simulate_pending;
pub use pipeline::{complete, parent_of, retrace};
pub use shell::{Carried, Dispatcher, Shell, ShellError};
