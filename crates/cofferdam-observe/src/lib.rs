//! Block sources: JSON-RPC nodes and recorded data.

#[cfg(test)]
mod mangle;
pub mod recorded;
pub mod rpc;
mod tls;

pub use tls::install_tls_provider;
