//! What can go wrong with one request to one endpoint.
//!
//! **Invariant:** no text here holds a path, a query or credentials of an endpoint's URL; that is
//! where providers put keys.

use std::{fmt::Write as _, sync::Arc};

use alloy::transports::{RpcError, TransportError, TransportErrorKind};
use cofferdam_core::ChainId;

/// Longest text of a node that is passed on, in characters.
pub(crate) const NODE_TEXT_CHARS_MAX: usize = 300;

/// Pause if a node asks for one without saying how long, in milliseconds.
pub(crate) const PAUSE_MS: u64 = 1_000;

/// A failed request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{method} at {endpoint}: {kind}")]
pub struct RpcFault {
    /// The endpoint, as scheme and host.
    pub endpoint: Arc<str>,
    /// The JSON-RPC method.
    pub method: &'static str,
    /// What went wrong.
    pub kind: FaultKind,
}

/// What went wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// No answer in time.
    #[error("no answer within {limit_ms} ms")]
    TimedOut {
        /// The limit in milliseconds.
        limit_ms: u64,
    },
    /// No connection, a broken one, or an HTTP status that is not success.
    #[error("unreachable: {reason}")]
    Unreachable {
        /// Why.
        reason: String,
    },
    /// The node answered with a JSON-RPC error.
    #[error("refused with code {code}: {message}")]
    Refused {
        /// JSON-RPC error code.
        code: i64,
        /// The node's words, cut.
        message: String,
    },
    /// The node asks for a pause (HTTP status 429, or a JSON-RPC error that says so). Nothing is
    /// sent to it until then.
    #[error("asks for a pause of {pause_ms} ms")]
    Throttled {
        /// How long, in milliseconds.
        pause_ms: u64,
    },
    /// The answer is not of the form it should have.
    #[error("{reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// The answer contradicts what it is bound to by a hash: a lie, or a loss. The endpoint is
    /// demoted.
    #[error("{reason}")]
    Contradicted {
        /// What contradicts what.
        reason: String,
    },
    /// A subscription that stays connected told nothing although the chain moved on.
    #[error("subscription told nothing up to block {head}")]
    Stalled {
        /// The newest block it should have told of.
        head: u64,
    },
    /// The node knows of the block but does not serve this part of it yet.
    #[error("{what} not served yet")]
    NotYet {
        /// Which part.
        what: &'static str,
    },
    /// The endpoint serves another chain.
    #[error("serves {actual} instead of {expected}")]
    WrongChain {
        /// The chain that was configured.
        expected: ChainId,
        /// The chain it serves.
        actual: ChainId,
    },
}

impl FaultKind {
    /// Whether the connection itself is suspect and should be opened anew.
    pub(crate) fn is_connection(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Unreachable { .. } | Self::Stalled { .. })
    }

    /// Whether the node says that it does not know the method or the tracer, which asking again
    /// will not change.
    pub(crate) fn is_unsupported(&self) -> bool {
        const METHOD_NOT_FOUND: i64 = -32601;
        let Self::Refused { code, message } = self else { return false };
        let message = message.to_ascii_lowercase();
        let says = |it: &str| message.contains(it);
        let unknown = ["not found", "does not exist", "not available"].into_iter().any(says);
        *code == METHOD_NOT_FOUND
            || says("not supported")
            || says("unsupported")
            || (unknown && (says("method") || says("tracer")))
    }

    /// Whether a view call ran and reverted, in the words of the common nodes.
    pub(crate) fn is_revert(&self) -> bool {
        const EXECUTION_REVERTED: i64 = 3;
        let Self::Refused { code, message } = self else { return false };
        let message = message.to_ascii_lowercase();
        *code == EXECUTION_REVERTED
            || ["revert", "invalid opcode", "invalidfeopcode", "opcodenotfound", "invalid jump"]
                .iter()
                .any(|it| message.contains(it))
    }

    /// Translates alloy's error. `clean` removes what must not be shown.
    pub(crate) fn from_transport(error: TransportError, clean: impl Fn(&str) -> String) -> Self {
        match error {
            RpcError::ErrorResp(payload) if is_rate_limit(payload.code, &payload.message) => {
                Self::Throttled { pause_ms: PAUSE_MS }
            }
            RpcError::ErrorResp(payload) => {
                Self::Refused { code: payload.code, message: clean(&payload.message) }
            }
            RpcError::NullResp => Self::Malformed { reason: "empty answer".to_owned() },
            RpcError::DeserError { err, .. } => {
                Self::Malformed { reason: clean(&format!("malformed answer: {err}")) }
            }
            RpcError::Transport(TransportErrorKind::HttpError(http)) => {
                // Our own transport puts the pause into the body, see `http`.
                match http.body.parse::<u64>() {
                    Ok(pause_ms) => Self::Throttled { pause_ms },
                    Err(_) => Self::Unreachable { reason: format!("HTTP status {}", http.status) },
                }
            }
            RpcError::Transport(TransportErrorKind::MissingBatchResponse(_)) => {
                Self::Malformed { reason: "an answer of the batch is missing".to_owned() }
            }
            other => {
                let reason = clean(&with_causes(&other));
                // A WebSocket handshake that is refused for its rate comes as text only.
                if reason.contains("429 Too Many Requests") {
                    return Self::Throttled { pause_ms: PAUSE_MS };
                }
                Self::Unreachable { reason }
            }
        }
    }
}

/// Whether a JSON-RPC error asks us to slow down, in the words of the common providers.
fn is_rate_limit(code: i64, message: &str) -> bool {
    /// EIP-1474 "limit exceeded", which some nodes also use for answers that are too large.
    const LIMIT_EXCEEDED: i64 = -32_005;
    const TOO_MANY_REQUESTS: i64 = 429;
    let message = message.to_ascii_lowercase();
    let says = |it: &str| message.contains(it);
    code == TOO_MANY_REQUESTS
        || says("rate limit")
        || says("too many requests")
        || says("compute units per second")
        || (code == LIMIT_EXCEEDED && says("request"))
}

/// `error` and its causes on one line, each said once.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(it) = cause {
        let more = it.to_string();
        if !text.contains(&more) {
            let _ = write!(text, ": {more}");
        }
        cause = it.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{FaultKind, is_rate_limit};

    fn refused(code: i64, message: &str) -> FaultKind {
        FaultKind::Refused { code, message: message.to_owned() }
    }

    #[test]
    fn reverts_are_told_from_missing_state() {
        assert!(refused(3, "execution reverted: paused").is_revert());
        assert!(refused(-32000, "execution reverted").is_revert());
        assert!(refused(-32003, "EVM error: InvalidFEOpcode").is_revert());
        assert!(!refused(-32000, "missing trie node").is_revert());
        assert!(!refused(-32000, "header not found").is_revert());
        assert!(!refused(-32000, "out of gas").is_revert());
    }

    #[test]
    fn requests_for_a_pause_are_told_from_limits_of_a_question() {
        assert!(is_rate_limit(429, "whatever"));
        assert!(is_rate_limit(-32005, "daily request count exceeded, request rate limited"));
        assert!(is_rate_limit(-32000, "Your app has exceeded its compute units per second"));
        assert!(!is_rate_limit(-32005, "query returned more than 10000 results"));
        assert!(!is_rate_limit(-32000, "block range is too large"));
    }

    #[test]
    fn unknown_methods_are_told_from_unknown_blocks() {
        assert!(refused(-32601, "whatever").is_unsupported());
        assert!(
            refused(-32000, "the method debug_traceBlockByHash does not exist").is_unsupported()
        );
        assert!(!refused(-32000, "block not found").is_unsupported());
        assert!(refused(-32000, "tracer not found").is_unsupported());
        assert!(!refused(-32000, "execution timeout").is_unsupported());
        assert!(!refused(-32000, "historical state is not available").is_unsupported());
    }
}
