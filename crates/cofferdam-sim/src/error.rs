//! Why a simulation could not be run at all. A simulation that ran on too little state is not an
//! error but [`cofferdam_core::evidence::Tracing::Incomplete`].

use cofferdam_core::ports::Cause;

/// Why nothing could be executed.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The state source did not answer. Trying again may help.
    #[error("state is unavailable")]
    Unavailable(#[source] Cause),
    /// The transaction cannot be executed on this state (nonce, funds, fees, gas limit).
    #[error("transaction is invalid: {reason}")]
    InvalidTx {
        /// Why, for people.
        reason: String,
    },
    /// The block or transaction cannot be what it claims to be, or asks for what we do not support.
    #[error("input is not executable: {what}")]
    Unsupported {
        /// What is wrong with it.
        what: String,
    },
}
