//! JSON-RPC over a Unix socket with nothing around it, so that a peer is not charged for our client.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::Failure;

/// How long a node may take to make its socket and to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that asks one thing at a time.
pub(crate) struct Ipc {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Ipc {
    /// Connects, as soon as the node has made its socket.
    pub(crate) fn connect(path: &Path) -> Result<Self, Failure> {
        let started = Instant::now();
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if started.elapsed() > PATIENCE => return Err(error.into()),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// The bytes of the answer to a request that is encoded already.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<&[u8], Failure> {
        self.stream.write_all(request)?;
        self.buffer.clear();
        let mut piece = [0; 64 << 10];
        let mut scan = Scan::default();
        loop {
            let count = self.stream.read(&mut piece)?;
            if count == 0 {
                return Err("the node closed its socket".into());
            }
            let piece = piece.get(..count).unwrap_or_default();
            self.buffer.extend_from_slice(piece);
            if scan.ends(piece) {
                return Ok(&self.buffer);
            }
        }
    }

    /// The result of a request.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Result<Value, Failure> {
        let answer: Value = serde_json::from_slice(self.exchange(&request(method, params)?)?)?;
        match answer.get("result") {
            Some(result) => Ok(result.clone()),
            None => Err(format!("{method}: {}", answer["error"]).into()),
        }
    }
}

/// A request as bytes.
pub(crate) fn request(method: &str, params: &Value) -> Result<Vec<u8>, Failure> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    Ok(serde_json::to_vec(&request)?)
}

/// Finds the end of a JSON object in a stream by its brackets.
#[derive(Default)]
struct Scan {
    depth: usize,
    text: bool,
    escaped: bool,
}

impl Scan {
    fn ends(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.text => self.escaped = true,
                b'"' => self.text = !self.text,
                b'{' | b'[' if !self.text => self.depth += 1,
                b'}' | b']' if !self.text => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return true;
                    }
                }
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::Scan;

    #[test]
    fn an_answer_ends_with_its_last_bracket_wherever_it_is_cut() {
        let text = br#"{"a":"}\"]","b":[{}]}"#;
        for cut in 0..text.len() {
            let mut scan = Scan::default();
            assert!(!scan.ends(&text[..cut]), "{cut}");
            assert!(scan.ends(&text[cut..]), "{cut}");
        }
    }
}
