//! Blocks and state from JSON-RPC nodes.
//!
//! **Invariant:** announcements (subscriptions, polls) only wake the walk; what is delivered is
//! decided by number and parent hash alone. A block that cannot be had, or that does not match
//! its own commitments, holds the walk and is reported as *blind*; none is skipped. At most three
//! requests are made per block; more only where an endpoint failed, was slow, or did not tell by
//! itself whether it agrees.

mod ahead;
mod at;
mod check;
mod convert;
mod cursor;
mod diff;
mod endpoint;
mod fault;
mod fetch;
mod heads;
mod health;
mod http;
mod options;
mod pending;
mod pool;
mod prefetch;
mod progress;
mod race;
mod reader;
mod retry_after;
mod ring;
mod source;
mod state;
mod status;
mod step;
mod sub_blocks;
mod throttle;
mod trace;
mod walk;
mod wire;
mod witness;

#[cfg(test)]
mod mangled;

pub use check::Checks;
pub use convert::decode_block;
pub use endpoint::Endpoint;
pub use fault::{FaultKind, RpcFault};
pub use health::TraceSupport;
pub use options::{RpcOptions, Start, TracePolicy};
pub use pool::{ENDPOINTS_MAX, EndpointPool};
pub use prefetch::Prefetch;
pub use reader::RpcReader;
pub use source::{Monitor, RpcSource};
pub use state::{RpcState, RpcStates};
pub use status::{Backfill, ChainStatus, EndpointStatus, Feed, prometheus};
