//! A scripted JSON-RPC node, honest or faulty: over HTTP, or in this process and hence on a paused
//! clock.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy_primitives::B256;
use serde_json::{Value, json};
use tokio::sync::{Notify, broadcast};

use super::chain::Chain;

/// What the node does wrong.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Answers this method with this HTTP status.
    Status(&'static str, u16),
    /// Asks for a pause of so many seconds, whatever is asked.
    Throttle(u64),
    /// Sends half of the answer to this method and closes the connection.
    Truncate(&'static str),
    /// Answers this method with a page of text.
    NotJson(&'static str),
    /// Never answers this method.
    Hang(&'static str),
    /// Never answers anything.
    HangAll,
    /// Answers everything byte by byte, one a second.
    Trickle,
    /// Closes every connection without an answer.
    Close,
    /// Answers this method with a JSON-RPC error.
    Refuse(&'static str, i64, &'static str),
    /// Changes the answer to this method.
    Lie(&'static str, fn(&mut Value)),
    /// Does not know of the newest blocks.
    Lag(u64),
    /// Stays at this block for ever.
    Stale(u64),
    /// Has lost the block at this height, but not those above it.
    Gap(u64),
    /// Keeps its subscriptions open but tells nothing by them.
    Mute,
}

/// A node on a port of its own. Clones share it.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) url: String,
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    chain: Mutex<Arc<Mutex<Chain>>>,
    fault: Mutex<Option<Fault>>,
    extra: Mutex<HashMap<String, Value>>,
    calls: Mutex<Vec<String>>,
    requests: AtomicUsize,
    called: Notify,
    /// Time to every answer.
    pub(crate) delay: Mutex<Duration>,
    /// What is pushed: the name of a subscription and its news.
    pub(crate) pushes: broadcast::Sender<(&'static str, Value)>,
}

/// How an answer leaves the node.
pub(crate) enum Reply {
    Body(Vec<u8>),
    Status(u16, Option<u64>),
    /// Half of it, then the end of the connection.
    Cut(Vec<u8>),
    /// One byte a second.
    Trickle(Vec<u8>),
    Close,
}

impl Node {
    /// A node in this process, with a chain of its own.
    pub(crate) fn new() -> Self {
        Self::of(Arc::new(Mutex::new(Chain::new())))
    }

    /// A node in this process that shares its chain with others.
    pub(crate) fn of(chain: Arc<Mutex<Chain>>) -> Self {
        let shared = Arc::new(Shared {
            chain: Mutex::new(chain),
            fault: Mutex::new(None),
            extra: Mutex::default(),
            calls: Mutex::default(),
            requests: AtomicUsize::new(0),
            called: Notify::new(),
            delay: Mutex::default(),
            pushes: broadcast::Sender::new(1_024),
        });
        Self { url: String::new(), shared }
    }

    /// A node over HTTP, with a chain of its own.
    pub(crate) async fn start() -> Self {
        Self::serving(Arc::new(Mutex::new(Chain::new()))).await
    }

    /// A node over HTTP that shares its chain with others.
    pub(crate) async fn serving(chain: Arc<Mutex<Chain>>) -> Self {
        super::http::listen(Self::of(chain)).await
    }

    pub(crate) fn shared_chain(&self) -> Arc<Mutex<Chain>> {
        Arc::clone(&self.shared.chain.lock().unwrap())
    }

    /// From now on the node follows `chain`.
    pub(crate) fn follow(&self, chain: Arc<Mutex<Chain>>) {
        *self.shared.chain.lock().unwrap() = chain;
    }

    pub(crate) fn chain<T>(&self, f: impl FnOnce(&mut Chain) -> T) -> T {
        f(&mut self.shared_chain().lock().unwrap())
    }

    pub(crate) fn set_fault(&self, fault: impl Into<Option<Fault>>) {
        *self.shared.fault.lock().unwrap() = fault.into();
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        self.shared.fault.lock().unwrap().clone()
    }

    /// Answers `method` with `answer`.
    pub(crate) fn answer(&self, method: &str, answer: Value) {
        self.shared.extra.lock().unwrap().insert(method.to_owned(), answer);
    }

    /// Pushes the newest block to the subscribers of `newHeads`.
    pub(crate) fn push_head(&self) {
        let lag = match self.fault() {
            Some(Fault::Lag(it)) => it,
            _ => 0,
        };
        let head = self.chain(|it| it.by_number(&json!("latest"), it.height() - lag, false));
        self.push("newHeads", head);
    }

    /// Pushes `news` to the subscribers of `name`.
    pub(crate) fn push(&self, name: &'static str, news: Value) {
        if !matches!(self.fault(), Some(Fault::Mute | Fault::HangAll | Fault::Stale(_))) {
            let _ = self.shared.pushes.send((name, news));
        }
    }

    /// How often `method` was called; `full block` stands for `eth_getBlockByNumber` with
    /// transactions, which is then not counted under its own name.
    pub(crate) fn calls(&self, method: &str) -> usize {
        self.shared.calls.lock().unwrap().iter().filter(|it| *it == method).count()
    }

    /// How many requests came so far; a batch of calls is one.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Every call so far, in order.
    pub(crate) fn all_calls(&self) -> Vec<String> {
        self.shared.calls.lock().unwrap().clone()
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

    pub(crate) async fn reply(&self, request: &Value) -> Reply {
        let fault = self.fault();
        let delay = *self.shared.delay.lock().unwrap();
        let calls = request.as_array().cloned().unwrap_or_else(|| vec![request.clone()]);
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        for call in &calls {
            self.note(call);
        }
        tokio::time::sleep(delay).await;
        match &fault {
            Some(Fault::HangAll) => std::future::pending().await,
            Some(Fault::Close) => return Reply::Close,
            Some(Fault::Throttle(seconds)) => return Reply::Status(429, Some(*seconds)),
            _ => {}
        }
        let named = |it: &str| calls.iter().any(|call| call["method"] == it);
        match &fault {
            Some(Fault::Hang(it)) if named(it) => std::future::pending().await,
            Some(Fault::Status(it, code)) if named(it) => return Reply::Status(*code, None),
            Some(Fault::NotJson(it)) if named(it) => {
                return Reply::Body(b"<html>be right back</html>".to_vec());
            }
            _ => {}
        }
        let answers: Vec<_> = calls.iter().map(|it| self.answer_to(it, fault.as_ref())).collect();
        let body = match (request.is_array(), answers.first()) {
            (false, Some(answer)) => answer.clone(),
            _ => Value::Array(answers),
        };
        let body = serde_json::to_vec(&body).unwrap();
        match &fault {
            Some(Fault::Truncate(it)) if named(it) => Reply::Cut(body),
            Some(Fault::Trickle) => Reply::Trickle(body),
            _ => Reply::Body(body),
        }
    }

    fn note(&self, call: &Value) {
        let method = call["method"].as_str().unwrap_or_default();
        let full = method == "eth_getBlockByNumber" && call["params"][1] == json!(true);
        let name = if full { "full block" } else { method };
        self.shared.calls.lock().unwrap().push(name.to_owned());
        self.shared.called.notify_waiters();
    }

    fn answer_to(&self, call: &Value, fault: Option<&Fault>) -> Value {
        let method = call["method"].as_str().unwrap_or_default();
        let mut answer = json!({ "jsonrpc": "2.0", "id": call["id"] });
        let mut result = self.result(method, &call["params"], fault);
        match fault {
            Some(Fault::Lie(it, lie)) if *it == method => lie(&mut result),
            Some(Fault::Refuse(it, code, message)) if *it == method => {
                answer["error"] = json!({ "code": code, "message": message });
                return answer;
            }
            _ => {}
        }
        if result.get("code").is_some_and(Value::is_i64) {
            answer["error"] = result;
        } else {
            answer["result"] = result;
        }
        answer
    }

    fn result(&self, method: &str, params: &Value, fault: Option<&Fault>) -> Value {
        if let Some(answer) = self.shared.extra.lock().unwrap().get(method) {
            return answer.clone();
        }
        let chain = self.shared_chain();
        let chain = chain.lock().unwrap();
        let height = match fault {
            Some(Fault::Lag(it)) => chain.height().saturating_sub(*it),
            Some(Fault::Stale(it)) => *it,
            _ => chain.height(),
        };
        let full = params[1] == json!(true);
        let hash = |it: &Value| serde_json::from_value::<B256>(it.clone()).unwrap_or_default();
        let known = |hash: B256| chain.number_of(hash).is_some_and(|it| it <= height);
        match method {
            "eth_chainId" => json!("0x7a69"),
            "eth_getBlockByNumber" if params[0] == json!("pending") => {
                let pending = self.shared.extra.lock().unwrap().get("pending").cloned();
                pending.unwrap_or_else(|| chain.by_number(&json!("latest"), height, full))
            }
            "eth_getBlockByNumber" if matches!(fault, Some(Fault::Gap(it)) if params[0] == json!(format!("{it:#x}"))) => {
                Value::Null
            }
            "eth_getBlockByNumber" => chain.by_number(&params[0], height, full),
            "eth_getBlockByHash" if known(hash(&params[0])) => {
                chain.by_hash(hash(&params[0]), full)
            }
            "eth_getBlockReceipts" => chain.receipts(hash(&params[0]["blockHash"])),
            "eth_getBlockByHash" => Value::Null,
            "eth_getTransactionByHash" => {
                let extra = self.shared.extra.lock().unwrap();
                extra.get(&params[0].to_string()).cloned().unwrap_or_default()
            }
            _ => json!({ "code": -32601, "message": "the method does not exist" }),
        }
    }
}
