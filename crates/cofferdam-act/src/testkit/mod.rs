//! For tests: a node and builder with real fee rules, and a scripted HTTP server.
//!
//! anvil orders transactions by fee cap, accepts a replacement that pays one wei more and knows no
//! bundles, so it cannot tell whether a transaction would have been included. [`MockNode`] can: it keeps a
//! pool by geth's rules, builds blocks by effective tip, takes bundles and private transactions, and
//! misbehaves on demand.
//!
//! **What is left out:** execution. What a transaction does, and whether it reverts, is told by a hook
//! ([`MockNode::execute_with`]), which a local chain can implement; without one every transaction
//! succeeds and uses 10/13 of its gas limit. Order of inclusion, nonces, balances and fees are exact.

mod build;
mod chain;
mod http;
mod node;
mod pool;

pub use build::{Block, Included};
pub use chain::{Account, Chain, Execute, Mode, Ran};
pub use http::{Heard, Reaction, Server};
pub use node::{Manner, MockNode};
pub use pool::{Pool, PoolTx, Refusal};
