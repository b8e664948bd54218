//! HTTP transport with a limit on the size of an answer, which alloy's own does not have.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use alloy::{
    rpc::json_rpc::{RequestPacket, ResponsePacket},
    transports::{TransportError, TransportErrorKind, TransportFut, TransportResult},
};
use reqwest::{
    StatusCode,
    header::{DATE, HeaderMap, RETRY_AFTER},
};
use tower_service::Service;

use super::{
    fault::{PAUSE_MS, with_causes},
    retry_after,
};

/// Largest answer that is read, in bytes. A block trace of a full block is some tens of megabytes.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How long an unused connection is kept open.
const IDLE: Duration = Duration::from_secs(60);

/// JSON-RPC over HTTP POST.
#[derive(Clone)]
pub(crate) struct CappedHttp {
    client: reqwest::Client,
    url: reqwest::Url,
}

impl CappedHttp {
    /// A transport to `url`. No redirect is followed: it could carry a key elsewhere.
    pub(crate) fn new(url: reqwest::Url, local: bool) -> Result<Self, reqwest::Error> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .pool_idle_timeout(IDLE);
        if local {
            builder = builder.no_proxy();
        }
        Ok(Self { client: builder.build()?, url })
    }

    async fn send(self, packet: RequestPacket) -> TransportResult<ResponsePacket> {
        let body = packet.serialize().map_err(TransportError::ser_err)?;
        let mut response = self
            .client
            .post(self.url)
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .body(body.get().to_owned())
            .send()
            .await
            .map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            // The body is theirs and never shown; its place carries the pause they ask for.
            let pause = pause(status, response.headers());
            let text = pause.map(|it| it.to_string()).unwrap_or_default();
            return Err(TransportErrorKind::http_error(status.as_u16(), text));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if bytes.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                let text = format!("answer is larger than {ANSWER_BYTES_MAX} bytes");
                return Err(TransportErrorKind::custom_str(&text));
            }
            bytes.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&bytes).map_err(|error| TransportError::deser_err(error, ""))
    }
}

impl Service<RequestPacket> for CappedHttp {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        Box::pin(self.clone().send(packet))
    }
}

/// The pause in milliseconds that a refusal asks for, if it does.
fn pause(status: StatusCode, headers: &HeaderMap) -> Option<u64> {
    let text = |name| headers.get(name).and_then(|it| it.to_str().ok());
    let asked = text(RETRY_AFTER).and_then(|it| retry_after::millis(it, text(DATE)));
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(asked.unwrap_or(PAUSE_MS)),
        StatusCode::SERVICE_UNAVAILABLE => asked,
        _ => None,
    }
}

fn unreachable(error: reqwest::Error) -> TransportError {
    TransportErrorKind::custom_str(&with_causes(&error.without_url()))
}
