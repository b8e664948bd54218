//! Block sources: JSON-RPC nodes and recorded data.
