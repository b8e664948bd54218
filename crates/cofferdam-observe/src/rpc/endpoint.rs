//! One place where a chain's node is reached: its connection, its health, and requests to it.
//!
//! **Invariant:** the URL is never shown; `Debug` and `Display` give scheme and host only.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use alloy::{
    providers::{IpcConnect, WsConnect},
    pubsub::{PubSubFrontend, RawSubscription},
    rpc::client::RpcClient,
    transports::{
        BoxTransport, IntoBoxTransport, TransportErrorKind, TransportResult, ws::WebSocketConfig,
    },
};
use alloy_primitives::{B256, U64};
use cofferdam_core::{ChainId, ports::SourceError};
use serde_json::{Value, value::RawValue};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{
    fault::{FaultKind, NODE_TEXT_CHARS_MAX, RpcFault},
    health::{Head, Health},
    http::{ANSWER_BYTES_MAX, CappedHttp},
    status::EndpointStatus,
};

/// Notifications buffered per subscription before the oldest are lost (and that is reported).
const SUBSCRIPTION_BUFFER: usize = 8_192;
/// Parts of a URL shorter than this are not searched for in texts: they would match by chance.
const NEEDLE_CHARS_MIN: usize = 4;

/// A node of one chain, reached by WebSocket, IPC or HTTP. Connects when first used and again
/// after a failure.
pub struct Endpoint {
    chain: ChainId,
    place: Place,
    label: Arc<str>,
    needles: Vec<String>,
    link: Mutex<Option<Arc<Link>>>,
    health: StdMutex<Health>,
}

#[derive(Clone)]
enum Place {
    Http(reqwest::Url),
    Ws(String),
    Ipc(PathBuf),
    /// In this process.
    Here(BoxTransport),
}

struct Link {
    client: RpcClient,
}

impl Endpoint {
    /// An endpoint of `chain` at a `ws://`, `wss://`, `http://`, `https://` or `ipc:/path` URL.
    ///
    /// # Errors
    /// [`SourceError::Misconfigured`] if the URL is none of these. The URL is not repeated in it.
    pub fn parse(chain: ChainId, url: &str) -> Result<Self, SourceError> {
        crate::install_tls_provider();
        if let Some(path) = url.strip_prefix("ipc:") {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            if path.as_os_str().is_empty() {
                return Err(misconfigured("an `ipc:` endpoint has no path".to_owned()));
            }
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let needles = vec![path.to_string_lossy().into_owned()];
            return Ok(Self::at(chain, Place::Ipc(path), format!("ipc:{file}"), needles));
        }
        let parsed = reqwest::Url::parse(url)
            .map_err(|error| misconfigured(format!("an endpoint is not a URL ({error})")))?;
        let host = parsed.host_str().filter(|it| !it.is_empty());
        let host = host.ok_or_else(|| misconfigured("an endpoint has no host".to_owned()))?;
        let port = parsed.port().map(|it| format!(":{it}")).unwrap_or_default();
        let label = format!("{}://{host}{port}", parsed.scheme());
        let needles = needles(url, &parsed);
        let place = match parsed.scheme() {
            "http" | "https" => Place::Http(parsed),
            "ws" | "wss" => Place::Ws(url.to_owned()),
            other => return Err(misconfigured(format!("unknown endpoint scheme `{other}`"))),
        };
        Ok(Self::at(chain, place, label, needles))
    }

    /// An endpoint of `chain` in this process: a simulated node, for example. It can push
    /// notifications if `transport` is a [`PubSubFrontend`]. `label` stands for its scheme and host.
    pub fn over(chain: ChainId, label: &str, transport: impl IntoBoxTransport) -> Self {
        let place = Place::Here(transport.into_box_transport());
        Self::at(chain, place, label.to_owned(), Vec::new())
    }

    fn at(chain: ChainId, place: Place, label: String, needles: Vec<String>) -> Self {
        Self {
            chain,
            place,
            label: label.into(),
            needles,
            link: Mutex::new(None),
            health: StdMutex::new(Health::default()),
        }
    }

    /// The same place with a connection and health of its own, for use on another runtime.
    pub(crate) fn fresh(&self) -> Self {
        Self::at(self.chain, self.place.clone(), self.label.to_string(), self.needles.clone())
    }

    /// Scheme and host.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether the node can push notifications.
    pub(crate) fn subscribes(&self) -> bool {
        match &self.place {
            Place::Http(_) => false,
            Place::Ws(_) | Place::Ipc(_) => true,
            Place::Here(transport) => transport.as_any().is::<PubSubFrontend>(),
        }
    }

    /// What tells it from another node: the host, or the place on this machine.
    pub(crate) fn node(&self) -> &str {
        let host = self.label.split_once("://").map_or(&*self.label, |it| it.1);
        let is_port = |it: &str| it.bytes().all(|byte| byte.is_ascii_digit());
        match host.rsplit_once(':') {
            // Every node of this machine has the same host.
            Some((name, _)) if ["127.0.0.1", "localhost", "[::1]"].contains(&name) => host,
            Some((name, port)) if is_port(port) => name,
            _ => host,
        }
    }

    /// Health as of now; `best` is the highest block any endpoint of the chain told of.
    pub(crate) fn status(&self, best: Option<u64>) -> EndpointStatus {
        self.with_health(|it| it.status(&self.label, best, Instant::now()))
    }

    pub(crate) fn with_health<T>(&self, f: impl FnOnce(&mut Health) -> T) -> T {
        f(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes the newest block the node told of; `true` if it is another one than before.
    pub(crate) fn saw_head(&self, head: Head) -> bool {
        self.with_health(|it| it.saw_head(head, Instant::now()))
    }

    /// Notes a block the node has, which may be older than the newest it told of.
    pub(crate) fn has_block(&self, head: Head) {
        self.with_health(|it| it.at_least(head, Instant::now()));
    }

    pub(crate) fn head(&self) -> Option<Head> {
        self.with_health(|it| it.head())
    }

    pub(crate) fn note_success(&self) {
        self.with_health(Health::success);
    }

    pub(crate) fn note_fault(&self, fault: &RpcFault) {
        if matches!(fault.kind, FaultKind::Contradicted { .. }) {
            tracing::warn!(endpoint = %self.label, %fault, "endpoint lies or lost something");
        } else {
            tracing::debug!(endpoint = %self.label, %fault, "request failed");
        }
        self.with_health(|it| it.failure(fault, Instant::now()));
    }

    /// One request.
    pub(crate) async fn request(
        &self,
        method: &'static str,
        params: Value,
        limit: Duration,
    ) -> Result<Box<RawValue>, RpcFault> {
        self.within(method, limit, async |client| {
            client.request::<_, Box<RawValue>>(method, params).await
        })
        .await
    }

    /// Several requests in one HTTP batch, or pipelined over WS and IPC. The inner results are in
    /// the order of `calls`.
    pub(crate) async fn batch(
        &self,
        calls: Vec<(&'static str, Value)>,
        limit: Duration,
    ) -> Result<Vec<Result<Box<RawValue>, RpcFault>>, RpcFault> {
        let Some(first) = calls.first().map(|it| it.0) else { return Ok(Vec::new()) };
        let answers = self
            .within(first, limit, async |client| {
                let mut batch = client.new_batch();
                let mut waiters = Vec::with_capacity(calls.len());
                for (method, params) in &calls {
                    let waiter = batch.add_call::<_, Box<RawValue>>(*method, params)?;
                    waiters.push((*method, waiter));
                }
                batch.send().await?;
                let mut answers = Vec::with_capacity(waiters.len());
                for (method, waiter) in waiters {
                    answers.push((method, waiter.await));
                }
                Ok(answers)
            })
            .await?;
        Ok(answers
            .into_iter()
            .map(|(method, answer)| {
                answer.map_err(|error| {
                    self.fault(method, FaultKind::from_transport(error, |it| self.clean(it)))
                })
            })
            .collect())
    }

    /// Opens a subscription.
    pub(crate) async fn subscribe(
        &self,
        params: Value,
        limit: Duration,
    ) -> Result<RawSubscription, RpcFault> {
        self.within("eth_subscribe", limit, async |client| {
            let id = client.request::<_, B256>("eth_subscribe", params).await?;
            let frontend = client.pubsub_frontend();
            let frontend = frontend.ok_or(TransportErrorKind::PubsubUnavailable)?;
            frontend.get_subscription(id).await
        })
        .await
    }

    /// A fault of this endpoint.
    pub(crate) fn fault(&self, method: &'static str, kind: FaultKind) -> RpcFault {
        RpcFault { endpoint: Arc::clone(&self.label), method, kind }
    }

    pub(crate) fn contradicted(&self, method: &'static str, reason: impl AsRef<str>) -> RpcFault {
        self.fault(method, FaultKind::Contradicted { reason: self.clean(reason.as_ref()) })
    }

    pub(crate) fn malformed(&self, method: &'static str, reason: impl AsRef<str>) -> RpcFault {
        self.fault(method, FaultKind::Malformed { reason: self.clean(reason.as_ref()) })
    }

    async fn within<T>(
        &self,
        method: &'static str,
        limit: Duration,
        ask: impl AsyncFnOnce(&RpcClient) -> TransportResult<T>,
    ) -> Result<T, RpcFault> {
        let began = Instant::now();
        if let Some(pause) = self.with_health(|it| it.pause(began)) {
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX).max(1);
            return Err(self.fault(method, FaultKind::Throttled { pause_ms }));
        }
        let work = async {
            let link = self.link().await?;
            let answer = ask(&link.client).await;
            answer.map_err(|error| FaultKind::from_transport(error, |it| self.clean(it)))
        };
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let result = timeout(limit, work).await.unwrap_or(Err(FaultKind::TimedOut { limit_ms }));
        if let Err(kind) = &result
            && kind.is_connection()
        {
            // A hung or broken connection does not heal; the next request opens a new one.
            self.unlink().await;
        }
        // An error of the node is an answer too, and as quick as it can be.
        let answered = !result.as_ref().is_err_and(FaultKind::is_connection);
        self.with_health(|it| it.asked(answered.then(|| began.elapsed())));
        result.map_err(|kind| self.fault(method, kind))
    }

    /// The next request opens a new connection.
    pub(crate) async fn unlink(&self) {
        *self.link.lock().await = None;
    }

    async fn link(&self) -> Result<Arc<Link>, FaultKind> {
        let mut slot = self.link.lock().await;
        if let Some(link) = &*slot {
            return Ok(Arc::clone(link));
        }
        let clean = |error| FaultKind::from_transport(error, |it| self.clean(it));
        let client = self.connect().await.map_err(clean)?;
        let actual = client.request_noparams::<U64>("eth_chainId").await.map_err(clean)?;
        let actual = ChainId(actual.to::<u64>());
        if actual != self.chain {
            return Err(FaultKind::WrongChain { expected: self.chain, actual });
        }
        let link = Arc::new(Link { client });
        *slot = Some(Arc::clone(&link));
        Ok(link)
    }

    async fn connect(&self) -> TransportResult<RpcClient> {
        let client = match &self.place {
            Place::Http(url) => {
                let local = alloy::transports::utils::guess_local_url(url.as_str());
                let http = CappedHttp::new(url.clone(), local);
                let http = http.map_err(|it| TransportErrorKind::custom(it.without_url()))?;
                return Ok(RpcClient::new(http, local));
            }
            Place::Ws(url) => {
                let config = WebSocketConfig::default()
                    .max_message_size(Some(ANSWER_BYTES_MAX))
                    .max_frame_size(Some(ANSWER_BYTES_MAX));
                // We reconnect ourselves, with back-off and fail-over.
                let connect = WsConnect::new(url.clone()).with_config(config).with_max_retries(0);
                RpcClient::connect_pubsub(connect).await?
            }
            Place::Ipc(path) => RpcClient::connect_pubsub(IpcConnect::new(path.clone())).await?,
            Place::Here(transport) => RpcClient::new(transport.clone(), true),
        };
        if let Some(frontend) = client.pubsub_frontend() {
            frontend.set_channel_size(SUBSCRIPTION_BUFFER);
        }
        Ok(client)
    }

    /// `text` without any part of the URL but scheme and host, cut to a sane length.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for needle in &self.needles {
            if text.contains(needle.as_str()) {
                text = text.replace(needle.as_str(), "…");
            }
        }
        text.chars()
            .map(|it| if it.is_control() { ' ' } else { it })
            .take(NODE_TEXT_CHARS_MAX)
            .collect()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({} {})", self.chain, self.label)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

/// What must not appear in any text, longest first.
fn needles(text: &str, url: &reqwest::Url) -> Vec<String> {
    let mut parts = vec![text.to_owned(), url.to_string(), url.username().to_owned()];
    parts.extend(url.password().map(str::to_owned));
    parts.push(url.path().to_owned());
    parts.extend(url.path().split('/').map(str::to_owned));
    parts.extend(url.query().map(str::to_owned));
    parts.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    parts.extend(url.fragment().map(str::to_owned));
    parts.retain(|it| it.chars().count() >= NEEDLE_CHARS_MIN);
    parts.sort_by_key(|it| std::cmp::Reverse(it.len()));
    parts.dedup();
    parts
}

fn misconfigured(what: String) -> SourceError {
    let hint = "give a ws://, wss://, http:// or https:// URL, or ipc:/path/to/socket";
    SourceError::Misconfigured { what, hint: hint.to_owned() }
}

#[cfg(test)]
mod tests {
    use cofferdam_core::{ChainId, ports::SourceError};

    use super::Endpoint;

    const SECRET: &str = "https://user:hunter22@node.example/v3/0123456789abcdef?apikey=topsecret";

    #[test]
    fn an_endpoint_shows_scheme_and_host_only() -> Result<(), SourceError> {
        let endpoint = Endpoint::parse(ChainId(1), SECRET)?;
        assert_eq!(endpoint.to_string(), "https://node.example");
        assert_eq!(format!("{endpoint:?}"), "Endpoint(eip155:1 https://node.example)");
        let local = Endpoint::parse(ChainId(1), "ws://127.0.0.1:8545/key")?;
        assert_eq!(local.to_string(), "ws://127.0.0.1:8545");
        let ipc = Endpoint::parse(ChainId(1), "ipc:/run/geth/geth.ipc")?;
        assert_eq!(ipc.to_string(), "ipc:geth.ipc");
        Ok(())
    }

    #[test]
    fn nodes_are_told_apart_by_host_and_on_this_machine_by_port() -> Result<(), SourceError> {
        let node = |url| Endpoint::parse(ChainId(1), url).map(|it| it.node().to_owned());
        assert_eq!(node("wss://a.example:8546/x")?, node("https://a.example/y")?);
        assert_ne!(node("wss://a.example")?, node("wss://b.example")?);
        assert_eq!(node("ws://127.0.0.1:8545")?, node("http://127.0.0.1:8545")?);
        assert_ne!(node("ws://127.0.0.1:8545")?, node("http://127.0.0.1:9545")?);
        assert_ne!(node("ipc:/run/a.ipc")?, node("ipc:/run/b.ipc")?);
        Ok(())
    }

    #[test]
    fn a_text_of_the_node_is_cleaned_of_the_key() -> Result<(), SourceError> {
        let endpoint = Endpoint::parse(ChainId(1), SECRET)?;
        let text = endpoint.clean(&format!("no route to {SECRET} for 0123456789abcdef/topsecret"));
        for secret in ["hunter22", "0123456789abcdef", "topsecret", "/v3/"] {
            assert!(!text.contains(secret), "{text}");
        }
        Ok(())
    }

    #[test]
    fn a_wrong_url_is_refused_without_repeating_it() {
        for url in ["", "node.example", "ftp://node.example/secret", "ipc:", "http:///secret?x"] {
            let error = Endpoint::parse(ChainId(1), url);
            let text = error.err().map(|it| it.to_string()).unwrap_or_default();
            assert!(url == "http:///secret?x" || text.contains("misconfigured"), "{url}: {text}");
            assert!(!text.contains("?x"), "{text}");
        }
    }
}
