//! What a detector in a process of its own is asked and answers: one JSON object a line.

use cofferdam_core::{Observation, feed::MESSAGE_BYTES_MAX};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// Version of the protocol.
pub(super) const VERSION: u32 = 1;

/// A question: look at this.
#[derive(Debug, Serialize)]
pub(super) struct Question<'a> {
    /// Version of the protocol.
    pub(super) version: u32,
    /// Counts from 1 within one life of the process; answers repeat it.
    pub(super) seq: u64,
    /// A block, or a pending transaction simulated on the head, facts decoded.
    pub(super) observation: &'a Observation,
}

/// An answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    /// Of the question.
    pub(super) seq: u64,
    /// Something found.
    #[serde(default)]
    pub(super) finding: Option<Box<serde_json::value::RawValue>>,
    /// Nothing more to this question.
    #[serde(default)]
    pub(super) done: bool,
}

/// Reads one line of bounded length.
///
/// # Errors
/// Text for people, if there is none.
pub(super) async fn read(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Reply, String> {
    let mut line = Vec::new();
    let limit = MESSAGE_BYTES_MAX as u64;
    let count = from.take(limit).read_until(b'\n', &mut line).await;
    match count.map_err(|it| format!("its output cannot be read: {it}"))? {
        0 => Err("it ended".to_owned()),
        _ if line.last() != Some(&b'\n') => {
            Err(format!("it wrote a line of over {MESSAGE_BYTES_MAX} bytes, or ended within one"))
        }
        _ => {
            serde_json::from_slice(&line).map_err(|it| format!("it answered something else: {it}"))
        }
    }
}
