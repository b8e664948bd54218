//! The scripted node in this process: nothing but tasks and timers, so that a test may pause the
//! clock and every run is the same.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use alloy::{
    pubsub::{ConnectionHandle, ConnectionInterface, PubSubConnect, PubSubFrontend},
    rpc::json_rpc::{PubSubItem, RequestPacket, Response, ResponsePacket},
    transports::{TransportError, TransportErrorKind, TransportFut, TransportResult},
};
use cofferdam_observe::rpc::Endpoint;
use serde_json::{Value, json};
use tower_service::Service;

use super::{
    CHAIN,
    node::{Node, Reply},
};

impl Node {
    /// An endpoint that is asked only.
    pub(crate) fn asked(&self, label: &str) -> Endpoint {
        Endpoint::over(CHAIN, label, Here(self.clone()))
    }

    /// An endpoint that also pushes.
    pub(crate) async fn pushing(&self, label: &str) -> Endpoint {
        let frontend: PubSubFrontend = Here(self.clone()).into_service().await.unwrap();
        Endpoint::over(CHAIN, label, frontend)
    }
}

#[derive(Clone)]
struct Here(Node);

impl Service<RequestPacket> for Here {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let node = self.0.clone();
        Box::pin(async move {
            let request = packet.serialize().map_err(TransportError::ser_err)?;
            let request: Value = serde_json::from_str(request.get()).unwrap();
            let parse = |body: &[u8]| {
                serde_json::from_slice(body).map_err(|error| TransportError::deser_err(error, ""))
            };
            match node.reply(&request).await {
                Reply::Body(body) => parse(&body),
                Reply::Status(status, pause) => {
                    let pause = pause.map(|it| (it * 1_000).to_string()).unwrap_or_default();
                    Err(TransportErrorKind::http_error(status, pause))
                }
                Reply::Cut(body) => parse(&body[..body.len() / 2]),
                Reply::Trickle(body) => {
                    tokio::time::sleep(Duration::from_secs(body.len() as u64)).await;
                    parse(&body)
                }
                Reply::Close => Err(TransportErrorKind::custom_str("connection refused")),
            }
        })
    }
}

impl PubSubConnect for Here {
    fn is_local(&self) -> bool {
        true
    }

    async fn connect(&self) -> TransportResult<ConnectionHandle> {
        let (handle, interface) = ConnectionHandle::new();
        tokio::spawn(serve(self.0.clone(), interface));
        Ok(handle)
    }
}

/// The id under which a subscription is known to the node.
fn id_of(name: &str) -> String {
    format!("0x{:x}", name.len())
}

async fn serve(node: Node, mut interface: ConnectionInterface) {
    let mut pushes = node.shared.pushes.subscribe();
    let (answers_in, mut answers) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
    loop {
        let item = tokio::select! {
            request = interface.recv_from_frontend() => {
                let Some(request) = request else { return };
                let request: Value = serde_json::from_str(request.get()).unwrap();
                let (node, answers) = (node.clone(), answers_in.clone());
                tokio::spawn(async move {
                    let answer = if request["method"] == "eth_subscribe" {
                        let id = id_of(request["params"][0].as_str().unwrap());
                        let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": id});
                        let quiet = matches!(node.fault(), Some(super::node::Fault::HangAll));
                        (!quiet).then(|| serde_json::to_vec(&answer).unwrap())
                    } else {
                        match node.reply(&request).await {
                            Reply::Body(body) => Some(body),
                            // A frame comes whole or not at all.
                            _ => None,
                        }
                    };
                    if let Some(answer) = answer {
                        let _ = answers.send(answer);
                    }
                });
                continue;
            }
            Some(answer) = answers.recv() => {
                let Ok(answer) = serde_json::from_slice::<Response>(&answer) else { continue };
                PubSubItem::Response(answer)
            }
            Ok((name, news)) = pushes.recv() => {
                let push = json!({
                    "jsonrpc": "2.0", "method": "eth_subscription",
                    "params": { "subscription": id_of(name), "result": news },
                });
                serde_json::from_str(&push.to_string()).unwrap()
            }
        };
        if interface.send_to_frontend(item).is_err() {
            return;
        }
    }
}
