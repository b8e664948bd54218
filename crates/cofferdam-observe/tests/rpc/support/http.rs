//! The scripted node over HTTP.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::node::{Node, Reply};

/// Serves `node` on a free port of this machine.
pub(crate) async fn listen(node: Node) -> Node {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let node = Node { url, ..node };
    let server = node.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move { serve(server, stream).await });
        }
    });
    node
}

async fn serve(node: Node, stream: TcpStream) -> Option<()> {
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
        let head = |status: u16, more: &str, length: usize| {
            format!(
                "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\n{more}Content-Length: {length}\r\n\r\n",
            )
        };
        match node.reply(&request).await {
            Reply::Body(body) => {
                write.write_all(head(200, "", body.len()).as_bytes()).await.ok()?;
                write.write_all(&body).await.ok()?;
            }
            Reply::Status(status, pause) => {
                let more = pause.map(|it| format!("Retry-After: {it}\r\n")).unwrap_or_default();
                write.write_all(head(status, &more, 0).as_bytes()).await.ok()?;
            }
            Reply::Cut(body) => {
                write.write_all(head(200, "", body.len()).as_bytes()).await.ok()?;
                write.write_all(&body[..body.len() / 2]).await.ok()?;
                return None;
            }
            Reply::Trickle(body) => {
                write.write_all(head(200, "", body.len()).as_bytes()).await.ok()?;
                for byte in body {
                    write.write_all(&[byte]).await.ok()?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Reply::Close => return None,
        }
    }
}
