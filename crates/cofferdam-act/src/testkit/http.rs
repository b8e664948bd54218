//! A scripted HTTP/1.1 server on a free port of the loopback.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Largest request taken, in bytes.
const REQUEST_BYTES_MAX: usize = 16 << 20;

/// A request as it was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// `POST`, …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// What the server does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// A whole answer.
    Answer {
        /// HTTP status.
        status: u16,
        /// More headers.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// These bytes as they are, then the connection ends.
    Raw(Vec<u8>),
    /// Nothing, for ever.
    Hang,
    /// The reaction, so many milliseconds later.
    After(u64, Box<Reaction>),
    /// The connection ends without an answer.
    Close,
}

impl Reaction {
    /// A JSON answer.
    pub fn json(status: u16, body: impl fmt::Display) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self::Answer { status, headers, body: body.to_string().into_bytes() }
    }
}

/// The server; it ends when dropped.
pub struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    accepting: JoinHandle<()>,
}

type React = dyn Fn(&Heard) -> Reaction + Send + Sync;

impl Server {
    /// Serves what `react` says, every request as it comes. Needs a tokio runtime.
    ///
    /// # Errors
    /// The machine has no free port.
    pub async fn start(
        react: impl Fn(&Heard) -> Reaction + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (log, react): (_, Arc<React>) = (Arc::clone(&heard), Arc::new(react));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&react), Arc::clone(&log)));
            }
        });
        Ok(Self { address, heard, accepting })
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, in order.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.address)
    }
}

async fn serve(mut stream: TcpStream, react: Arc<React>, log: Arc<Mutex<Vec<Heard>>>) {
    // Without this the kernel holds small answers back for 40 ms.
    let _ = stream.set_nodelay(true);
    let mut seen = Vec::new();
    loop {
        let request = loop {
            if let Some((request, length)) = parse(&seen) {
                seen.drain(..length);
                break request;
            }
            let mut chunk = [0; 16_384];
            match stream.read(&mut chunk).await {
                Ok(count @ 1..) if seen.len() < REQUEST_BYTES_MAX => {
                    seen.extend_from_slice(&chunk[..count]);
                }
                _ => return,
            }
        };
        let mut reaction = react(&request);
        log.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        while let Reaction::After(ms, then) = reaction {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            reaction = *then;
        }
        let bytes = match reaction {
            Reaction::Answer { status, headers, body } => answer(status, &headers, &body),
            Reaction::Raw(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Reaction::Hang => std::future::pending().await,
            Reaction::Close | Reaction::After(..) => return,
        };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// The first whole request in `seen`, and how long it is.
fn parse(seen: &[u8]) -> Option<(Heard, usize)> {
    let head_end = seen.windows(4).position(|it| it == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&seen[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|it| it.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|it| it.parse().ok()).unwrap_or(0usize);
    let start = head_end + 4;
    let body = seen.get(start..start.checked_add(length)?)?.to_vec();
    Some((Heard { method, path, headers, body }, start + length))
}

fn answer(status: u16, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Told\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
