//! A proxy between the program and its node, whose behaviour is switched while it runs.
//!
//! **Invariant:** a fault holds for every request that arrives while it is switched on, on connections
//! old and new; [`Fault::None`] changes no byte.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use super::{
    http::{self, Message},
    spoil, ws,
};

/// Wait between two bytes of [`Fault::Trickle`].
const TRICKLE: Duration = Duration::from_secs(1);

/// What the proxy does to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// Answers 503.
    Unavailable,
    /// Takes the request and never answers.
    Hang,
    /// Closes the connection.
    Refuse,
    /// Answers 200 with a JSON-RPC error.
    RpcError,
    /// Announces the whole answer and sends half of it.
    Truncate,
    /// Answers 200 with a page of HTML.
    NotJson,
    /// One byte of the answer each second.
    Trickle,
    /// Knows no block of the last so many.
    Behind(u64),
    /// Turns what receipts say around.
    LyingReceipts,
    /// Leaves the logs out of receipts.
    NoLogs,
    /// Stays connected and drops what was subscribed to.
    Deaf,
}

/// What is faulty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switch {
    pub(super) fault: Fault,
    /// Only these methods; all if empty.
    pub(super) only: &'static [&'static str],
}

/// A running proxy. Ends when dropped.
#[derive(Debug)]
pub(super) struct Proxy {
    authority: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
pub(super) struct Shared {
    /// Host and port of the node.
    pub(super) node: String,
    /// What is faulty now.
    pub(super) switch: watch::Sender<Switch>,
    requests: AtomicU64,
    /// Requests and messages that suffered a fault.
    pub(super) spoiled: AtomicU64,
}

impl Proxy {
    /// A faultless proxy before the node at `node` (host and port).
    ///
    /// # Errors
    /// If there is no free port.
    pub(super) async fn start(node: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let authority = listener.local_addr()?.to_string();
        let switch = watch::Sender::new(Switch { fault: Fault::None, only: &[] });
        let shared = Shared {
            node: node.to_owned(),
            switch,
            requests: AtomicU64::new(0),
            spoiled: AtomicU64::new(0),
        };
        let shared = Arc::new(shared);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, shared.clone()));
        Ok(Self { authority, shared, _tasks: tasks })
    }

    /// From now on every request suffers `fault`.
    pub(super) fn switch(&self, fault: Fault) {
        self.switch_only(fault, &[]);
    }

    /// From now on requests for these methods suffer `fault`.
    pub(super) fn switch_only(&self, fault: Fault, only: &'static [&'static str]) {
        self.shared.switch.send_replace(Switch { fault, only });
    }

    /// HTTP requests so far.
    pub(super) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// HTTP requests, and messages of a subscription, that suffered a fault so far.
    pub(super) fn spoiled(&self) -> u64 {
        self.shared.spoiled.load(Ordering::Relaxed)
    }

    /// The HTTP endpoint.
    pub(super) fn http(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// The WebSocket endpoint.
    pub(super) fn ws(&self) -> String {
        format!("ws://{}", self.authority)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let shared = shared.clone();
        connections.spawn(async move {
            // A connection that breaks is the program's business, not the proxy's.
            let _ = serve(BufReader::new(stream), &shared).await;
        });
    }
}

async fn serve(mut stream: BufReader<TcpStream>, shared: &Shared) -> io::Result<()> {
    while let Some(request) = http::read(&mut stream).await? {
        if request.header("upgrade").is_some_and(|it| it.eq_ignore_ascii_case("websocket")) {
            return ws::relay(stream, &request.head, shared).await;
        }
        shared.requests.fetch_add(1, Ordering::Relaxed);
        let switch = *shared.switch.borrow();
        let fault = if concerns(switch, &request) { switch.fault } else { Fault::None };
        if fault != Fault::None {
            shared.spoiled.fetch_add(1, Ordering::Relaxed);
        }
        if !reply(&mut stream, request, shared, fault).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether the fault is one of the methods that are asked for.
fn concerns(switch: Switch, request: &Message) -> bool {
    let asked = serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
    let named = |it: &Value| it["method"].as_str().is_some_and(|it| switch.only.contains(&it));
    switch.only.is_empty()
        || named(&asked)
        || asked.as_array().is_some_and(|it| it.iter().any(named))
}

/// Answers, or not. Returns whether the connection stays open.
async fn reply(
    stream: &mut BufReader<TcpStream>,
    request: Message,
    shared: &Shared,
    fault: Fault,
) -> io::Result<bool> {
    const JSON: &str = "application/json";
    match fault {
        Fault::Refuse => return Ok(false),
        Fault::Hang => {
            http::given_up(stream).await;
            return Ok(false);
        }
        Fault::Unavailable => {
            let answer = http::answer("503 Service Unavailable", "text/plain", b"overloaded");
            stream.write_all(&answer).await?;
            return Ok(true);
        }
        Fault::NotJson => {
            let page = b"<html><body>upstream is being restarted</body></html>";
            stream.write_all(&http::answer("200 OK", "text/html", page)).await?;
            return Ok(true);
        }
        Fault::RpcError => {
            let error = json!({ "code": -32_000, "message": "header not found" });
            let body = spoil::each(
                &request.body,
                |asked| json!({ "jsonrpc": "2.0", "id": asked["id"], "error": error }),
            );
            stream.write_all(&http::answer("200 OK", JSON, &body)).await?;
            return Ok(true);
        }
        _ => {}
    }
    let body = match fault {
        Fault::Behind(blocks) => spoil::behind(&shared.node, &request.body, blocks).await?,
        _ => http::post(&shared.node, &request.body).await?,
    };
    let body = match fault {
        Fault::LyingReceipts => spoil::receipts(&request.body, &body, spoil::lie),
        Fault::NoLogs => spoil::receipts(&request.body, &body, spoil::drop_logs),
        _ => body,
    };
    let answer = http::answer("200 OK", JSON, &body);
    match fault {
        Fault::Truncate => {
            stream.write_all(&answer[..answer.len() - body.len() / 2 - 1]).await?;
            Ok(false)
        }
        Fault::Trickle => {
            for byte in answer.chunks(1) {
                stream.write_all(byte).await?;
                tokio::time::sleep(TRICKLE).await;
            }
            Ok(true)
        }
        _ => {
            stream.write_all(&answer).await?;
            Ok(true)
        }
    }
}
