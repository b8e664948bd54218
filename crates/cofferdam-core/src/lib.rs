//! The vocabulary of incident response: the types every stage speaks, the ports the rim implements,
//! and the response plan.
//!
//! **Architecture invariant:** this crate performs no I/O, reads no clock, draws no randomness and
//! spawns nothing. Time and entropy are arguments. That is what lets live operation, back-test,
//! drill and replay be one engine behind different sources.

pub mod alert;
pub mod amount;
pub mod block;
pub mod chain;
pub mod decode;
pub mod evidence;
pub mod fact;
pub mod feed;
pub mod finding;
pub mod id;
pub mod incident;
pub mod order;
pub mod plan;
pub mod ports;
pub mod read;
pub mod record;
pub mod secret;
pub mod snapshot;
pub mod time;
pub mod trace;
pub mod tx;
mod wide;

pub use alert::{Alert, AlertKind};
pub use amount::{Probability, Usd};
pub use block::{BlockEnv, BlockRef, Observation, Stage};
pub use chain::{AccountId, ChainId};
pub use fact::Fact;
pub use finding::{Class, Evidence, Finding, Severity};
pub use id::{AlertId, FindingId, IncidentId, OrderKey};
pub use record::Record;
pub use time::Timestamp;
pub use tx::Tx;
