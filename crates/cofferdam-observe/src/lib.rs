//! Block sources: JSON-RPC nodes and recorded data.

pub mod recorded;
pub mod rpc;
mod tls;

pub use tls::install_tls_provider;
