//! A listener whose callers cannot use the program up.
//!
//! **Invariant:** so many connections at once and no more, each for so long and no longer, whatever is
//! sent or not sent on it. Descriptors that watching and acting need are never in the hands of callers.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};

/// Connections at the same time; a further caller waits until one is over.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may last, silent or not. A scraper connects again.
const LIFE_MAX: Duration = Duration::from_secs(10);

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
    _place: Option<OwnedSemaphorePermit>,
}

impl Bounded {
    /// `inner`, bounded.
    pub fn new(inner: TcpListener) -> Self {
        Self { inner, free: Arc::new(Semaphore::new(CONNECTIONS_MAX)), life: LIFE_MAX }
    }
}

impl Listener for Bounded {
    type Io = Ending;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Ending, SocketAddr) {
        // Never closed, so that there always is a place in the end.
        let place = self.free.clone().acquire_owned().await.ok();
        let (stream, from) = Listener::accept(&mut self.inner).await;
        (Ending { stream, end: Box::pin(sleep(self.life)), _place: place }, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

impl Ending {
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.end.as_mut().poll(cx).is_ready()
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

    use axum::{Router, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        sync::Semaphore,
    };

    use super::Bounded;

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
}
