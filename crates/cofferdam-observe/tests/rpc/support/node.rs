//! A scripted JSON-RPC node over HTTP, honest or faulty.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use alloy_primitives::B256;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::chain::Chain;

/// What the node does wrong.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Answers this method with this HTTP status.
    Status(&'static str, u16),
    /// Sends half of the answer to this method and closes the connection.
    Truncate(&'static str),
    /// Never answers this method.
    Hang(&'static str),
    /// Never answers anything.
    HangAll,
    /// Answers this method with a JSON-RPC error.
    Refuse(&'static str, i64, &'static str),
    /// Changes the answer to this method.
    Lie(&'static str, fn(&mut Value)),
    /// Does not know of the newest blocks.
    Lag(u64),
}

/// A node on a port of its own. Clones share it.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    chain: Arc<Mutex<Chain>>,
    fault: Mutex<Option<Fault>>,
    extra: Mutex<HashMap<String, Value>>,
    calls: Mutex<Vec<String>>,
    called: Notify,
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::serving(Arc::new(Mutex::new(Chain::new()))).await
    }

    /// A node that shares its chain with others.
    pub(crate) async fn serving(chain: Arc<Mutex<Chain>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            chain,
            fault: Mutex::new(None),
            extra: Mutex::default(),
            calls: Mutex::default(),
            called: Notify::new(),
        });
        let node = Self { url, shared };
        let server = node.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        node
    }

    pub(crate) fn shared_chain(&self) -> Arc<Mutex<Chain>> {
        Arc::clone(&self.shared.chain)
    }

    pub(crate) fn chain<T>(&self, f: impl FnOnce(&mut Chain) -> T) -> T {
        f(&mut self.shared.chain.lock().unwrap())
    }

    pub(crate) fn set_fault(&self, fault: impl Into<Option<Fault>>) {
        *self.shared.fault.lock().unwrap() = fault.into();
    }

    /// Answers `method` with `answer`.
    pub(crate) fn answer(&self, method: &str, answer: Value) {
        self.shared.extra.lock().unwrap().insert(method.to_owned(), answer);
    }

    /// How often `method` was called; `full block` stands for `eth_getBlockByNumber` with
    /// transactions, which is then not counted under its own name.
    pub(crate) fn calls(&self, method: &str) -> usize {
        self.shared.calls.lock().unwrap().iter().filter(|it| *it == method).count()
    }

    /// Waits until `method` was called `count` times.
    pub(crate) async fn called(&self, method: &str, count: usize) {
        loop {
            let called = self.shared.called.notified();
            if self.calls(method) >= count {
                return;
            }
            called.await;
        }
    }

    async fn serve(&self, stream: TcpStream) -> Option<()> {
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                if read.read_line(&mut line).await.ok()? == 0 {
                    return None;
                }
                let line = line.trim().to_ascii_lowercase();
                if let Some(text) = line.strip_prefix("content-length:") {
                    length = text.trim().parse().ok()?;
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            read.read_exact(&mut body).await.ok()?;
            let request: Value = serde_json::from_slice(&body).ok()?;
            let (status, body, cut) = self.reply(&request).await;
            let head = format!(
                "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            write.write_all(head.as_bytes()).await.ok()?;
            let sent = if cut { &body[..body.len() / 2] } else { &body[..] };
            write.write_all(sent).await.ok()?;
            if cut {
                return None;
            }
        }
    }

    /// HTTP status, body, and whether to send half of it.
    async fn reply(&self, request: &Value) -> (u16, Vec<u8>, bool) {
        let fault = self.shared.fault.lock().unwrap().clone();
        if matches!(fault, Some(Fault::HangAll)) {
            std::future::pending::<()>().await;
        }
        let calls = request.as_array().cloned().unwrap_or_else(|| vec![request.clone()]);
        let (mut status, mut cut, mut answers) = (200, false, Vec::new());
        for call in &calls {
            let method = call["method"].as_str().unwrap_or_default();
            let full = method == "eth_getBlockByNumber" && call["params"][1] == json!(true);
            let name = if full { "full block" } else { method };
            self.shared.calls.lock().unwrap().push(name.to_owned());
            self.shared.called.notify_waiters();
            let mut answer = json!({ "jsonrpc": "2.0", "id": call["id"] });
            let mut result = self.result(method, &call["params"], fault.as_ref());
            match &fault {
                Some(Fault::Status(it, code)) if *it == method => status = *code,
                Some(Fault::Truncate(it)) if *it == method => cut = true,
                Some(Fault::Hang(it)) if *it == method => std::future::pending().await,
                Some(Fault::Lie(it, lie)) if *it == method => lie(&mut result),
                _ => {}
            }
            match &fault {
                Some(Fault::Refuse(it, code, message)) if *it == method => {
                    answer["error"] = json!({ "code": code, "message": message });
                }
                _ if result.get("code").is_some_and(Value::is_i64) => answer["error"] = result,
                _ => answer["result"] = result,
            }
            answers.push(answer);
        }
        let body = if request.is_array() { Value::Array(answers) } else { answers.remove(0) };
        (status, serde_json::to_vec(&body).unwrap(), cut)
    }

    fn result(&self, method: &str, params: &Value, fault: Option<&Fault>) -> Value {
        if let Some(answer) = self.shared.extra.lock().unwrap().get(method) {
            return answer.clone();
        }
        let lag = if let Some(Fault::Lag(it)) = fault { *it } else { 0 };
        let full = params[1] == json!(true);
        let hash = |it: &Value| serde_json::from_value::<B256>(it.clone()).unwrap_or_default();
        let chain = self.shared.chain.lock().unwrap();
        let known = |hash: B256| {
            chain.number_of(hash).is_some_and(|it| it <= chain.height().saturating_sub(lag))
        };
        match method {
            "eth_chainId" => json!("0x7a69"),
            "eth_getBlockByNumber" => chain.by_number(&params[0], lag, full),
            "eth_getBlockByHash" if known(hash(&params[0])) => {
                chain.by_hash(hash(&params[0]), full)
            }
            "eth_getBlockReceipts" => chain.receipts(hash(&params[0]["blockHash"])),
            "eth_getBlockByHash" => Value::Null,
            _ => json!({ "code": -32601, "message": "the method does not exist" }),
        }
    }
}
