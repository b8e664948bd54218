//! What a node's refusal means. The texts differ by client; the meaning decides what is done next.
//!
//! **Invariant:** no part of the endpoint's URL gets out, even if the node or the HTTP library says it.

use alloy::{
    primitives::Bytes,
    transports::{RpcError, TransportError, TransportErrorKind},
};
use cofferdam_core::ports::BroadcastError;
use serde_json::Value;

/// Longest reason kept, in characters.
const REASON_MAX: usize = 300;
/// Parts of a URL shorter than this are taken for words, not keys.
const SECRET_MIN: usize = 8;
/// Longest revert data read, in bytes.
const REVERT_MAX: usize = 65_536;

/// Texts by meaning, in lower case: geth, reth, Erigon, Nethermind, Besu, anvil.
const KNOWN: &[&str] = &["already known", "alreadyknown", "already imported", "known transaction"];
const NONCE: &[&str] = &["nonce too low", "nonce is too low", "oldnonce", "invalid nonce; got"];
const PRICE: &[&str] = &[
    "replacement transaction underpriced",
    "transaction underpriced",
    "feetoolow",
    "fee too low",
    "gas price is too low",
    "gas price too low",
    "max fee per gas less than block base fee",
    "replacementnotallowed",
];
const FUNDS: &[&str] = &["insufficient funds", "insufficientfunds", "upfront cost exceeds"];
const BUSY: &[&str] = &["rate limit", "too many requests", "limit exceeded", "request timed out"];

/// Removes the telling parts of one URL from texts.
pub(crate) struct Redactor(Vec<String>);

impl Redactor {
    pub(crate) fn of(url: &str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let parts = rest.split(['/', '?', '&', '=', '@', ':', '#']);
        // The host itself is no secret, but in many services the key is part of it.
        let telling = parts.filter(|it| it.len() >= SECRET_MIN).map(str::to_owned);
        let mut parts: Vec<_> = [url.to_owned()].into_iter().chain(telling).collect();
        parts.sort_by_key(|it| std::cmp::Reverse(it.len()));
        Self(parts.into_iter().filter(|it| !it.is_empty()).collect())
    }

    /// One more word to remove, however short.
    pub(crate) fn add(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.0.insert(0, secret.to_owned());
        }
    }

    pub(crate) fn clean(&self, text: &str) -> String {
        let text = self.0.iter().fold(text.to_owned(), |text, part| text.replace(part, "…"));
        let printable = |it: char| if it.is_control() { ' ' } else { it };
        text.chars().take(REASON_MAX).map(printable).collect()
    }
}

/// The port's error for a transport error.
pub(super) fn classify(error: &TransportError, redactor: &Redactor) -> BroadcastError {
    let RpcError::ErrorResp(payload) = error else { return unavailable(kind(error)) };
    meaning(payload.code, &payload.message, redactor)
}

/// The port's error for a JSON-RPC error.
pub(crate) fn meaning(code: i64, message: &str, redactor: &Redactor) -> BroadcastError {
    let text = message.to_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|it| text.contains(it));
    // -32005: limit exceeded (EIP-1474).
    if says(BUSY) || code == -32005 {
        return unavailable(redactor.clean(message));
    }
    // "replacement transaction underpriced" and "already known" exclude each other in every client.
    match () {
        () if says(KNOWN) => BroadcastError::AlreadyKnown,
        () if says(NONCE) => BroadcastError::NonceTooLow,
        () if says(PRICE) => BroadcastError::Underpriced,
        () if says(FUNDS) => BroadcastError::InsufficientFunds,
        () => BroadcastError::Refused { reason: redactor.clean(message) },
    }
}

/// The revert data of a refused call; `None` if it was refused for another reason.
pub(super) fn revert(error: &TransportError) -> Option<Bytes> {
    let RpcError::ErrorResp(payload) = error else { return None };
    let data = payload.data.as_ref().and_then(|it| serde_json::from_str::<Value>(it.get()).ok());
    let data = data.as_ref().and_then(revert_data);
    let text = payload.message.to_lowercase();
    // 3 is geth's code for a revert.
    let reverted = payload.code == 3
        || text.contains("revert")
        || text.contains("out of gas")
        || text.contains("gas required exceeds allowance")
        || text.contains("invalid opcode");
    match data {
        Some(data) => Some(data),
        None if reverted => Some(Bytes::new()),
        None => None,
    }
}

pub(crate) fn unavailable(why: impl Into<String>) -> BroadcastError {
    BroadcastError::Unavailable(why.into().into())
}

/// What went wrong below the answer, without the library's text, which holds the URL.
pub(super) fn kind(error: &TransportError) -> String {
    match error {
        RpcError::Transport(TransportErrorKind::HttpError(it)) => {
            format!("HTTP status {}", it.status)
        }
        RpcError::Transport(TransportErrorKind::HttpErrorWithRetryAfter { error, .. }) => {
            format!("HTTP status {}", error.status)
        }
        RpcError::Transport(TransportErrorKind::BackendGone) => "connection lost".into(),
        RpcError::Transport(_) => "connection failed".into(),
        RpcError::DeserError { .. } => "answer is not JSON-RPC".into(),
        RpcError::NullResp => "answer is null".into(),
        _ => "request failed".into(),
    }
}

/// Hex in `data`, or in `data.data` as some nodes nest it.
fn revert_data(data: &Value) -> Option<Bytes> {
    let text = data.as_str().or_else(|| data.get("data").and_then(Value::as_str))?;
    let text = text.strip_prefix("Reverted ").unwrap_or(text);
    let hex = text.starts_with("0x") && text.len() <= 2 + 2 * REVERT_MAX;
    hex.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use alloy::transports::{RpcError, TransportError};
    use cofferdam_core::ports::BroadcastError;

    use super::{Redactor, classify, revert};

    fn refused(code: i64, message: &str, data: Option<&str>) -> TransportError {
        let mut payload = serde_json::json!({ "code": code, "message": message });
        if let Some(data) = data {
            payload["data"] = data.into();
        }
        RpcError::ErrorResp(serde_json::from_str(&payload.to_string()).unwrap())
    }

    fn says(code: i64, message: &str) -> BroadcastError {
        let redactor = Redactor::of("https://eth.example.org/v3/0123456789abcdef");
        classify(&refused(code, message, None), &redactor)
    }

    #[test]
    fn every_clients_words_have_one_meaning() {
        use BroadcastError as E;
        for text in ["already known", "AlreadyKnown", "transaction already imported"] {
            assert!(matches!(says(-32000, text), E::AlreadyKnown), "{text}");
        }
        for text in ["nonce too low: next nonce 5, tx nonce 4", "Nonce too low", "OldNonce"] {
            assert!(matches!(says(-32000, text), E::NonceTooLow), "{text}");
        }
        for text in ["replacement transaction underpriced", "FeeTooLow, fee too low"] {
            assert!(matches!(says(-32000, text), E::Underpriced), "{text}");
        }
        for text in ["Insufficient funds for gas * price + value", "Upfront cost exceeds account"] {
            assert!(matches!(says(-32003, text), E::InsufficientFunds), "{text}");
        }
        assert!(matches!(says(-32005, "daily cap"), E::Unavailable(_)));
        assert!(matches!(says(-32000, "exceeds block gas limit"), E::Refused { .. }));
    }

    #[test]
    fn a_key_in_the_url_is_never_repeated() {
        let error = says(-32000, "project 0123456789abcdef is disabled");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("0123456789abcdef"), "{shown}");
        let redactor = Redactor::of("wss://user:hunter2hunter2@node.example/ws?key=abcdefghijkl");
        assert_eq!(redactor.clean("hunter2hunter2 abcdefghijkl"), "… …");
    }

    #[test]
    fn revert_data_is_read_from_a_refused_call() {
        let data = revert(&refused(3, "execution reverted", Some("0xd93c0665"))).unwrap();
        assert_eq!(data[..], [0xd9, 0x3c, 0x06, 0x65]);
        assert_eq!(revert(&refused(-32000, "execution reverted", None)).unwrap().len(), 0);
        assert_eq!(revert(&refused(-32601, "method not found", None)), None);
    }
}
