//! A WebSocket through the proxy: passed on byte by byte toward the node, frame by frame from it, so
//! that what was subscribed to can be dropped while requests are still answered (RFC 6455, 5.2).

use std::{io, sync::atomic::Ordering};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::{
    http,
    proxy::{Fault, Shared},
};

/// Largest frame, in bytes.
const FRAME_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How a message about a subscription is known, and within how many bytes from its start.
const TOLD: &[u8] = b"eth_subscription";
const TOLD_WITHIN: usize = 128;

/// Relays until either side ends, or the fault says so.
pub(super) async fn relay(
    client: BufReader<TcpStream>,
    handshake: &str,
    shared: &Shared,
) -> io::Result<()> {
    let mut node = BufReader::new(TcpStream::connect(&shared.node).await?);
    node.write_all(handshake.as_bytes()).await?;
    let Some(agreed) = http::read(&mut node).await? else { return Ok(()) };
    let (mut from_client, mut to_client) = tokio::io::split(client);
    to_client.write_all(agreed.head.as_bytes()).await?;
    let (mut from_node, mut to_node) = tokio::io::split(node);
    let mut switch = shared.switch.subscribe();
    let now = shared.switch.subscribe();
    let up = tokio::io::copy(&mut from_client, &mut to_node);
    let down = async {
        loop {
            let frame = frame(&mut from_node).await?;
            let told = frame.windows(TOLD.len()).take(TOLD_WITHIN).any(|it| it == TOLD);
            let fault = now.borrow().fault;
            match fault {
                Fault::Deaf if told => _ = shared.spoiled.fetch_add(1, Ordering::Relaxed),
                Fault::Hang => {
                    shared.spoiled.fetch_add(1, Ordering::Relaxed);
                    std::future::pending::<()>().await;
                }
                _ => to_client.write_all(&frame).await?,
            }
        }
    };
    tokio::select! {
        done = up => done.map(drop),
        done = down => done,
        _ = switch.wait_for(|it| it.fault == Fault::Refuse) => {
            shared.spoiled.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }
}

/// One frame from the node, whole. A server's frames are not masked.
async fn frame(node: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 2];
    node.read_exact(&mut frame).await?;
    let length = match frame[1] & 0x7f {
        126 => {
            let length = node.read_u16().await?;
            frame.extend(length.to_be_bytes());
            length.into()
        }
        127 => {
            let length = node.read_u64().await?;
            frame.extend(length.to_be_bytes());
            length
        }
        short => short.into(),
    };
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::other("frame is too large"));
    }
    let body = frame.len();
    frame.resize(body + usize::try_from(length).map_err(io::Error::other)?, 0);
    node.read_exact(&mut frame[body..]).await?;
    Ok(frame)
}
