//! HTTP transport with a limit on the size of an answer, which alloy's own does not have.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use alloy::{
    rpc::json_rpc::{RequestPacket, ResponsePacket},
    transports::{TransportError, TransportErrorKind, TransportFut, TransportResult},
};
use tower_service::Service;

use super::fault::with_causes;

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
        if !response.status().is_success() {
            let status = response.status().as_u16();
            return Err(TransportErrorKind::http_error(status, String::new()));
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

fn unreachable(error: reqwest::Error) -> TransportError {
    TransportErrorKind::custom_str(&with_causes(&error.without_url()))
}
