//! As much HTTP/1.1 as a proxy that misbehaves and a receiver of alerts need: whole messages with a
//! stated length, on a plain socket, so that every byte of an answer can be spoiled on purpose.

use std::io;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

/// Longest head of a message, in bytes.
const HEAD_BYTES_MAX: usize = 65_536;
/// Largest body, in bytes.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A request or an answer.
#[derive(Debug)]
pub(super) struct Message {
    /// First line and headers, with the empty line at the end.
    pub(super) head: String,
    /// The body.
    pub(super) body: Vec<u8>,
}

impl Message {
    /// A header by its name in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1);
        let mut pairs = lines.filter_map(|it| it.split_once(':'));
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|it| it.1.trim())
    }

    /// The path that a request asks for.
    pub(super) fn path(&self) -> &str {
        self.head.split_whitespace().nth(1).unwrap_or_default()
    }
}

/// Reads one message; `None` at the end of the connection.
pub(super) async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Message>> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if stream.read_line(&mut head).await? == 0 {
            return Ok(None);
        }
        if head.len() > HEAD_BYTES_MAX {
            return Err(io::Error::other("head of a message is too long"));
        }
        if head[before..].trim().is_empty() {
            break;
        }
    }
    let mut message = Message { head, body: Vec::new() };
    let length = message.header("content-length").map_or(Ok(0), str::parse::<usize>);
    let length = length.map_err(io::Error::other)?;
    if length > BODY_BYTES_MAX {
        return Err(io::Error::other("body of a message is too large"));
    }
    message.body.resize(length, 0);
    stream.read_exact(&mut message.body).await?;
    Ok(Some(message))
}

/// The bytes of an answer.
pub(super) fn answer(status: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Posts JSON to `authority` and returns the body of the answer.
pub(super) async fn post(authority: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = BufReader::new(TcpStream::connect(authority).await?);
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let answer = read(&mut stream).await?;
    answer.map(|it| it.body).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Waits until the other side gives the connection up.
pub(super) async fn given_up(stream: &mut BufReader<TcpStream>) {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await.is_ok_and(|it| it > 0) {}
}
