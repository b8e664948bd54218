//! A listener whose callers cannot use the program up.
//!
//! **Invariant:** so many connections at once and no more, each for so long and no longer, whatever is
//! sent or not sent on it, unless it was found out who sends and their [`Lease`] was prolonged. Descriptors
//! that watching and acting need are never in the hands of callers.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

/// Connections at the same time; a further caller waits until one is over.
const CONNECTIONS_MAX: usize = 64;
/// How long the connection of a stranger may last, silent or not. A scraper connects again.
pub const LIFE_OF_STRANGERS: Duration = Duration::from_secs(10);

/// Accepts a bounded number of connections, each with an end.
#[derive(Debug)]
pub struct Bounded {
    inner: TcpListener,
    free: Arc<Semaphore>,
    life: Duration,
}

/// A connection with an end.
#[derive(Debug)]
pub struct Ending {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    lease: Lease,
    _place: Option<OwnedSemaphorePermit>,
}

/// How long a connection lasts. Whoever found out who is at its other end may prolong it.
#[derive(Clone, Debug)]
pub struct Lease {
    since: Instant,
    until_ms: Arc<AtomicU64>,
}

/// Who is at the other end of a connection, as far as the network tells.
#[derive(Clone, Debug)]
pub struct Caller {
    /// From where.
    pub address: IpAddr,
    /// How long they stay.
    pub lease: Lease,
}

impl Lease {
    fn new(life: Duration) -> Self {
        Self { since: Instant::now(), until_ms: Arc::new(AtomicU64::new(ms(life))) }
    }

    /// Lets the connection last `life` from now, if it would not last longer anyway.
    pub fn prolong(&self, life: Duration) {
        let until = ms(self.since.elapsed().saturating_add(life));
        self.until_ms.fetch_max(until, Ordering::Relaxed);
    }

    fn end(&self) -> Instant {
        self.since + Duration::from_millis(self.until_ms.load(Ordering::Relaxed))
    }
}

fn ms(life: Duration) -> u64 {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX)
}

impl Connected<IncomingStream<'_, Bounded>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self { address: stream.remote_addr().ip(), lease: stream.io().lease.clone() }
    }
}

impl Bounded {
    /// `inner`, bounded; a connection lasts `life` unless its [`Lease`] is prolonged.
    pub fn new(inner: TcpListener, life: Duration) -> Self {
        Self { inner, free: Arc::new(Semaphore::new(CONNECTIONS_MAX)), life }
    }
}

impl Listener for Bounded {
    type Io = Ending;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Ending, SocketAddr) {
        // Never closed, so that there always is a place in the end.
        let place = self.free.clone().acquire_owned().await.ok();
        let (stream, from) = Listener::accept(&mut self.inner).await;
        let (end, lease) = (Box::pin(sleep(self.life)), Lease::new(self.life));
        (Ending { stream, end, lease, _place: place }, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

impl Ending {
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        while self.end.as_mut().poll(cx).is_ready() {
            let end = self.lease.end();
            if end <= Instant::now() {
                return true;
            }
            self.end.as_mut().reset(end);
        }
        false
    }
}

fn over<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
}

impl AsyncRead for Ending {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over(cx) {
            return over();
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Ending {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_over(cx) {
            return over();
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::{sync::Arc, time::Duration};

    use axum::{Router, extract::ConnectInfo, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        sync::Semaphore,
        time::sleep,
    };

    use super::{Bounded, Caller};

    /// Callers that say nothing hold every place; the next one is served once their time is up.
    #[tokio::test]
    async fn silent_callers_are_cut_off_and_the_next_one_is_served() {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = inner.local_addr().unwrap();
        let (free, life) = (Arc::new(Semaphore::new(2)), Duration::from_millis(300));
        let listener = Bounded { inner, free: free.clone(), life };
        let routes = Router::new().route("/", get(async || "here"));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let mut silent = Vec::new();
        for _ in 0..8 {
            let mut stream = TcpStream::connect(to).await.unwrap();
            // Half a request, and then nothing.
            stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\n").await.unwrap();
            silent.push(stream);
        }
        let mut caller = TcpStream::connect(to).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        caller.write_all(request).await.unwrap();
        let mut answer = String::new();
        caller.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
        let mut rest = Vec::new();
        silent[0].read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"), "the silent one was cut off");
    }

    /// Whoever is known may stay; a stranger on the same listener may not.
    #[tokio::test]
    async fn a_connection_lasts_as_long_as_its_lease() {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = inner.local_addr().unwrap();
        // Long enough for a busy machine to reach the handler, which then outlasts it.
        let life = Duration::from_secs(3);
        let listener = Bounded::new(inner, life);
        let known = async move |ConnectInfo(it): ConnectInfo<Caller>| {
            it.lease.prolong(life * 20);
            sleep(life * 2).await;
            "known"
        };
        // Never answers: only the end of its time ends it.
        let stranger = async || std::future::pending::<&str>().await;
        let routes = Router::new().route("/known", get(known)).route("/stranger", get(stranger));
        let routes = routes.into_make_service_with_connect_info::<Caller>();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let ask = async |path: &str| {
            let mut stream = TcpStream::connect(to).await.unwrap();
            let text = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer).await;
            answer
        };
        assert!(ask("/known").await.ends_with("known"));
        assert_eq!(ask("/stranger").await, "");
    }
}
