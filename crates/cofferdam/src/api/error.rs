//! What a request is refused with.
//!
//! **Invariant:** every refusal is one of [`Fault`], as JSON with a hint; nothing of the request is repeated in a
//! header.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::runtime::NotSaid;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nobody is signed in, or the session or token is not known.
    NotSignedIn,
    /// They are known and may not do this.
    NotAllowed,
    /// The change does not come from our own page.
    Forged,
    /// There is no such thing.
    NotFound,
    /// There is such a thing, and this is nothing to do with it.
    Method,
    /// The body is not what is expected.
    Malformed,
    /// The body is no JSON by its type.
    NotJson,
    /// The body is too large.
    TooLarge,
    /// The body takes too long.
    TooSlow,
    /// It cannot be done as things stand.
    Refused,
    /// It was said before.
    Replayed,
    /// A signature or a signed statement does not count.
    NotCounted,
    /// Too many requests.
    TooMany,
    /// The journal did not take it.
    NotRecorded,
    /// The journal is still being read.
    NotReady,
}

impl Fault {
    /// All of them.
    pub(crate) const ALL: [Self; 15] = [
        Self::NotSignedIn,
        Self::NotAllowed,
        Self::Forged,
        Self::NotFound,
        Self::Method,
        Self::Malformed,
        Self::NotJson,
        Self::TooLarge,
        Self::TooSlow,
        Self::Refused,
        Self::Replayed,
        Self::NotCounted,
        Self::TooMany,
        Self::NotRecorded,
        Self::NotReady,
    ];

    /// Its name in answers.
    pub(crate) fn code(self) -> &'static str {
        self.parts().1
    }

    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotSignedIn => (
                StatusCode::UNAUTHORIZED,
                "not-signed-in",
                "sign in with a wallet, or send a token",
            ),
            Self::NotAllowed => {
                (StatusCode::FORBIDDEN, "not-allowed", "the plan's people and machines say who may")
            }
            Self::Forged => (
                StatusCode::FORBIDDEN,
                "forged",
                "send the origin of the console and the token of GET /api/session as x-cofferdam-csrf",
            ),
            Self::NotFound => {
                (StatusCode::NOT_FOUND, "not-found", "GET /openapi.json lists everything")
            }
            Self::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, "method", "GET /openapi.json lists everything")
            }
            Self::Malformed => {
                (StatusCode::BAD_REQUEST, "malformed", "GET /openapi.json says what is expected")
            }
            Self::NotJson => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-json",
                "send content-type: application/json",
            ),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "send at most 32 KiB"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow", "send the body within 5 s"),
            Self::Refused => (StatusCode::CONFLICT, "refused", "look at how it stands now"),
            Self::Replayed => {
                (StatusCode::CONFLICT, "replayed", "ask for a new question and sign that")
            }
            Self::NotCounted => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "not-counted",
                "sign again what the server gives out",
            ),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too-many", "wait a minute"),
            Self::NotRecorded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not-recorded",
                "look whether it was recorded before trying again",
            ),
            Self::NotReady => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not-ready",
                "the journal is being read: try again",
            ),
        }
    }
}

/// A refusal, with what exactly is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) fault: Fault,
    message: String,
}

impl ApiError {
    pub(crate) fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into() }
    }
}

impl From<NotSaid> for ApiError {
    fn from(it: NotSaid) -> Self {
        let fault = match it {
            NotSaid::Full => Fault::TooMany,
            NotSaid::Unknown => Fault::NotRecorded,
        };
        Self::new(fault, it.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code, hint) = self.fault.parts();
        let error = json!({ "code": code, "message": self.message, "hint": hint });
        let mut response = (status, Json(json!({ "error": error }))).into_response();
        let headers = response.headers_mut();
        match self.fault {
            Fault::TooMany => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
            }
            Fault::NotSignedIn => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}
