//! The one TLS provider of the process: *ring*. Never aws-lc, which costs a C build.

/// Installs *ring* as the process-wide rustls provider. Calling it again, or after somebody else
/// installed a provider, does nothing.
pub fn install_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster; either provider serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
