//! The runtime: the one impure place between sources, engine, journal and executors.

mod bounded;
mod care;
mod contained;
mod dispatch;
mod door;
mod feed;
pub mod feeds;
pub mod health;
mod live;
mod network;
mod pending;
mod pipeline;
mod rehearse;
mod retrace;
mod shell;

pub use bounded::{Bounded, Caller, LIFE_OF_STRANGERS, Lease};
pub use care::{Pulse, beat};
pub use contained::{Contained, contained};
pub use dispatch::{Clock, Hand, Hands, chain_of};
pub use door::{Door, NotSaid, Said};
pub use live::{Live, Watch, now};
pub use network::LateNetwork;
pub use pending::{Ground, Looked, NotNow, PendingCounts, Tally, read_pending, simulate_pending};
pub use pipeline::{complete, parent_of};
pub use rehearse::rehearse;
pub use retrace::retrace;
pub use shell::{Carried, Dispatcher, Notifiers, Shell, ShellError};
