//! A receiver of alerts: takes them as a webhook would, keeps what it acknowledged, and can hang or
//! fail.
//!
//! **Invariant:** an alert counts as taken only if the acknowledgement was written.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Deserialize;
use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use super::http::{self, Message};

/// How a receiver behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Manner {
    /// Takes everything.
    #[default]
    Accept,
    /// Reads and never answers.
    Hang,
    /// Answers 503.
    Fail,
    /// Takes so many, then hangs.
    AcceptThenHang(usize),
}

/// An alert that was taken.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// The receiver's name: the last part of the path.
    pub(super) by: String,
    /// The idempotency key.
    pub(super) key: String,
    /// `raised`, `update`, `resolved` or `retracted`.
    pub(super) kind: String,
    /// The thread.
    pub(super) dedup: String,
    /// The sentence.
    pub(super) text: String,
    /// When.
    pub(super) at: Instant,
}

#[derive(Deserialize)]
struct Body {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    kind: String,
    dedup: String,
    text: String,
}

#[derive(Debug)]
struct Shared {
    manners: Mutex<BTreeMap<String, Manner>>,
    taken: watch::Sender<Vec<Taken>>,
}

/// A running receiver; any number of names. Ends when dropped.
#[derive(Debug)]
pub(super) struct Sink {
    authority: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl Sink {
    /// A receiver on a free port.
    ///
    /// # Errors
    /// If there is none.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let authority = listener.local_addr()?.to_string();
        let shared =
            Arc::new(Shared { manners: Mutex::default(), taken: watch::Sender::new(Vec::new()) });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, shared.clone()));
        Ok(Self { authority, shared, _tasks: tasks })
    }

    /// Where the receiver `name` is reached.
    pub(super) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.authority)
    }

    /// From now on the receiver `name` behaves like this.
    pub(super) fn behave(&self, name: &str, manner: Manner) {
        let mut manners = self.shared.manners.lock().unwrap_or_else(PoisonError::into_inner);
        manners.insert(name.to_owned(), manner);
    }

    /// Everything taken so far, in order.
    pub(super) fn taken(&self) -> Vec<Taken> {
        self.shared.taken.borrow().clone()
    }

    /// Waits until what was taken is as `wanted` says; `false` if it is not within `limit`.
    pub(super) async fn until(
        &self,
        limit: Duration,
        mut wanted: impl FnMut(&[Taken]) -> bool,
    ) -> bool {
        let mut taken = self.shared.taken.subscribe();
        let seen = tokio::time::timeout(limit, taken.wait_for(|it| wanted(it))).await;
        matches!(seen, Ok(Ok(_)))
    }

    /// Messages that a receiver which de-duplicates by key would still have shown more than once: same
    /// receiver, thread, kind and text under different keys, with nothing that closed the thread in
    /// between.
    pub(super) fn shown_twice(&self) -> usize {
        let mut threads = BTreeMap::<_, BTreeMap<_, String>>::new();
        let mut twice = 0;
        for it in self.taken() {
            let closes = matches!(it.kind.as_str(), "resolved" | "retracted");
            let said = threads.entry((it.by, it.dedup)).or_default();
            let first = said.entry((it.kind, it.text)).or_insert_with(|| it.key.clone());
            twice += usize::from(*first != it.key);
            if closes {
                said.retain(|(kind, _), _| matches!(kind.as_str(), "resolved" | "retracted"));
            }
        }
        twice
    }

    /// Messages taken again under a key that was taken before.
    pub(super) fn repeats(&self) -> usize {
        let taken = self.taken();
        let keys: BTreeSet<_> = taken.iter().map(|it| (&it.by, &it.key)).collect();
        taken.len() - keys.len()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let shared = shared.clone();
        connections.spawn(async move {
            // A connection that breaks is the program's business, not the receiver's.
            let _ = serve(BufReader::new(stream), &shared).await;
        });
    }
}

async fn serve(mut stream: BufReader<TcpStream>, shared: &Shared) -> io::Result<()> {
    while let Some(message) = http::read(&mut stream).await? {
        let by = message.path().trim_start_matches('/').to_owned();
        match shared.now(&by) {
            Manner::Accept | Manner::AcceptThenHang(_) => {}
            Manner::Hang => {
                http::given_up(&mut stream).await;
                return Ok(());
            }
            Manner::Fail => {
                let answer = http::answer("503 Service Unavailable", "text/plain", b"later");
                stream.write_all(&answer).await?;
                continue;
            }
        }
        let Some(taken) = read(by, &message) else {
            stream.write_all(&http::answer("400 Bad Request", "text/plain", b"what?")).await?;
            continue;
        };
        stream.write_all(&http::answer("200 OK", "text/plain", b"taken")).await?;
        stream.flush().await?;
        shared.taken.send_modify(|it| it.push(taken));
    }
    Ok(())
}

impl Shared {
    /// How the receiver behaves toward one more; counts it if it takes a limited number.
    fn now(&self, by: &str) -> Manner {
        let mut manners = self.manners.lock().unwrap_or_else(PoisonError::into_inner);
        let manner = manners.entry(by.to_owned()).or_default();
        match manner {
            Manner::AcceptThenHang(0) => Manner::Hang,
            Manner::AcceptThenHang(left) => {
                *left -= 1;
                Manner::Accept
            }
            other => *other,
        }
    }
}

fn read(by: String, message: &Message) -> Option<Taken> {
    let key = message.header("idempotency-key")?.to_owned();
    let Data { kind, dedup, text } = serde_json::from_slice::<Body>(&message.body).ok()?.data;
    Some(Taken { by, key, kind, dedup, text, at: Instant::now() })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{Sink, Taken};

    fn taken(key: &str, kind: &str) -> Taken {
        let (by, dedup, text) = ("main".to_owned(), "blind/1".to_owned(), kind.to_owned());
        let (key, kind) = (key.to_owned(), kind.to_owned());
        Taken { by, key, kind, dedup, text, at: Instant::now() }
    }

    #[tokio::test]
    async fn a_message_under_another_key_is_shown_twice_unless_its_thread_was_closed()
    -> std::io::Result<()> {
        let sink = Sink::start().await?;
        let take = |it| sink.shared.taken.send_modify(|all| all.push(it));
        take(taken("a", "raised"));
        take(taken("a", "raised"));
        assert_eq!((sink.shown_twice(), sink.repeats()), (0, 1));
        take(taken("b", "resolved"));
        take(taken("c", "raised"));
        assert_eq!((sink.shown_twice(), sink.repeats()), (0, 1));
        take(taken("d", "raised"));
        assert_eq!((sink.shown_twice(), sink.repeats()), (1, 1));
        Ok(())
    }
}
