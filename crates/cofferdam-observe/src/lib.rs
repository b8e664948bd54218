//! Block sources: JSON-RPC nodes and recorded data.

#[cfg(test)]
mod mangle;
// Not a part of `recorded`, whose files the tests of another crate take as they are.
#[cfg(test)]
#[path = "recorded/mangled.rs"]
mod mangled_recordings;
pub mod recorded;
pub mod rpc;
mod tls;

pub use tls::install_tls_provider;
