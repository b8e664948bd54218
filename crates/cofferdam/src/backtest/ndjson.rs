//! Facts as lines: one JSON object per transaction, in the order of the chain.
//!
//! Keys: `chain` (number, default 1), `number`, `time` (seconds), `block` (hash, optional), and of the transaction
//! `hash`, `from`, `to`, `nonce`, `value`, `input`, `gas_limit`, `gas_used`, `success` (default true), `created`,
//! `logs` (`address`, `topics`, `data`), `frames` (`depth`, `type`, `from`, `to`, `value`, `input`, `output`, `ok`),
//! `diff`, `facts` (beyond those that logs, frames and diff show) and `readings` (`read`, `before`, `after`).
//!
//! **Invariant:** lines are hostile: their length and number are bounded, and one that cannot be read is an error
//! with its number.

use std::{
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use cofferdam_backtest::Asked;
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Fact, Observation, Stage, Timestamp, Tx,
    evidence::Tracing,
    read::{Answer, Reading, Readings, StateRead},
    trace::link_frames,
    tx::{CallKind, Frame, StateDiff},
};
use serde::Deserialize;

use super::source::{Known, Loaded, Piece, Source};
use crate::replay::ReplayError;

/// Longest line, in bytes.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// Blocks of one piece.
const PIECE_BLOCKS: u64 = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default = "mainnet")]
    chain: u64,
    number: u64,
    time: u64,
    #[serde(default)]
    block: Option<B256>,
    hash: B256,
    from: Address,
    #[serde(default)]
    to: Option<Address>,
    #[serde(default)]
    nonce: u64,
    #[serde(default)]
    value: U256,
    #[serde(default)]
    input: Bytes,
    #[serde(default)]
    gas_limit: u64,
    #[serde(default)]
    gas_used: u64,
    #[serde(default = "yes")]
    success: bool,
    #[serde(default)]
    created: Option<Address>,
    #[serde(default)]
    logs: Vec<LogLine>,
    #[serde(default)]
    frames: Vec<FrameLine>,
    #[serde(default)]
    diff: Option<StateDiff>,
    #[serde(default)]
    facts: Vec<Fact>,
    #[serde(default)]
    readings: Vec<ReadingLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogLine {
    address: Address,
    topics: Vec<B256>,
    #[serde(default)]
    data: Bytes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameLine {
    depth: u16,
    r#type: CallKind,
    from: Address,
    to: Address,
    #[serde(default)]
    value: U256,
    #[serde(default)]
    input: Bytes,
    #[serde(default)]
    output: Bytes,
    #[serde(default = "yes")]
    ok: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadingLine {
    read: StateRead,
    before: Answer,
    after: Answer,
}

fn mainnet() -> u64 {
    1
}

fn yes() -> bool {
    true
}

/// A file of such lines.
pub(super) struct Lines {
    path: PathBuf,
    store: Store,
    pieces: Vec<Part>,
    /// Milliseconds from the first block to the last.
    pub(super) span: u64,
    /// How many blocks there are.
    pub(super) blocks: u64,
    /// The chain of its first line.
    pub(super) chain: ChainId,
}

/// Where the bytes are.
enum Store {
    /// In the file as they are.
    File,
    /// Unpacked.
    Memory(Vec<u8>),
}

/// A piece: bytes `from .. to`, beginning with line `line`.
#[derive(Clone, Copy)]
struct Part {
    from: u64,
    to: u64,
    line: u64,
}

/// What tells blocks apart.
#[derive(Deserialize)]
struct Head {
    #[serde(default = "mainnet")]
    chain: u64,
    number: u64,
    time: u64,
}

impl Lines {
    /// Looks through `path` once for where its blocks begin; unpacks it if its name ends in `.zst`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn open(path: &Path) -> Result<Self, ReplayError> {
        let failed = |it| ReplayError::new(path.display().to_string(), it);
        let store = match path.extension().is_some_and(|it| it == "zst") {
            true => Store::Memory(super::csv::text(path)?.into_bytes()),
            false => Store::File,
        };
        let mut it = Self {
            path: path.to_owned(),
            store,
            pieces: Vec::new(),
            span: 0,
            blocks: 0,
            chain: ChainId(1),
        };
        let mut times = (u64::MAX, 0_u64);
        let mut last = None;
        let (mut at, mut number) = (0_u64, 0_u64);
        let file;
        let mut reader: Box<dyn BufRead> = match &it.store {
            Store::Memory(bytes) => Box::new(bytes.as_slice()),
            Store::File => {
                file = std::fs::File::open(path).map_err(failed)?;
                Box::new(BufReader::with_capacity(1 << 20, file))
            }
        };
        let (mut pieces, mut blocks, mut chain) = (Vec::<Part>::new(), 0_u64, None);
        while let Some(line) = next(&mut reader).map_err(failed)? {
            number += 1;
            let length = line.len() as u64;
            if !line.trim_ascii().is_empty() {
                let head: Head =
                    serde_json::from_slice(&line).map_err(|error| it.wrong(number, error))?;
                times = (times.0.min(head.time), times.1.max(head.time));
                chain = chain.or(Some(head.chain));
                let key = (head.chain, head.number);
                if last != Some(key) {
                    if blocks.is_multiple_of(PIECE_BLOCKS) {
                        pieces.push(Part { from: at, to: at, line: number });
                    }
                    blocks += 1;
                    last = Some(key);
                }
            }
            at += length;
            if let Some(it) = pieces.last_mut() {
                it.to = at;
            }
        }
        drop(reader);
        it.span = times.1.saturating_sub(times.0.min(times.1)).saturating_mul(1_000);
        (it.pieces, it.blocks, it.chain) = (pieces, blocks, ChainId(chain.unwrap_or(1)));
        Ok(it)
    }

    fn wrong(&self, line: u64, error: impl std::fmt::Display) -> ReplayError {
        ReplayError::new(format!("{}, line {line}", self.path.display()), error.to_string())
    }

    fn bytes(&self, part: Part) -> Result<Vec<u8>, ReplayError> {
        let failed = |it| ReplayError::new(self.path.display().to_string(), it);
        match &self.store {
            Store::Memory(all) => {
                let range = usize::try_from(part.from).ok().zip(usize::try_from(part.to).ok());
                Ok(range.and_then(|(from, to)| all.get(from..to)).unwrap_or_default().to_vec())
            }
            Store::File => {
                let mut file = std::fs::File::open(&self.path).map_err(failed)?;
                file.seek(SeekFrom::Start(part.from)).map_err(failed)?;
                let mut out = Vec::new();
                file.take(part.to - part.from).read_to_end(&mut out).map_err(failed)?;
                Ok(out)
            }
        }
    }
}

/// The next line with its end, at most [`LINE_BYTES_MAX`] long.
fn next(reader: &mut dyn BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line)?;
    if line.len() as u64 > LINE_BYTES_MAX {
        return Err(std::io::Error::other(format!("a line is longer than {LINE_BYTES_MAX} bytes")));
    }
    Ok((!line.is_empty()).then_some(line))
}

impl Source for Lines {
    fn pieces(&self) -> usize {
        self.pieces.len()
    }

    fn load(&self, at: usize) -> Result<Piece, ReplayError> {
        let Some(part) = self.pieces.get(at).copied() else { return Ok(Piece::default()) };
        let bytes = self.bytes(part)?;
        let mut out: Vec<(Observation, Asked)> = Vec::new();
        for (number, text) in (part.line..).zip(bytes.split(|it| *it == b'\n')) {
            if text.trim_ascii().is_empty() {
                continue;
            }
            let line: Line = serde_json::from_slice(text).map_err(|it| self.wrong(number, it))?;
            let (chain, height) = (ChainId(line.chain), line.number);
            let same = |it: &(Observation, Asked)| {
                it.0.block.chain == chain && it.0.block.number == height
            };
            if !out.last().is_some_and(same) {
                out.push((line.block(), Asked::new()));
            }
            if let Some((block, known)) = out.last_mut() {
                let index = u32::try_from(block.txs.len()).unwrap_or(u32::MAX);
                let mut line = line;
                let answers = std::mem::take(&mut line.readings).into_iter();
                known.extend(
                    answers.map(|it| (it.read, Reading { before: it.before, after: it.after })),
                );
                block.txs.push(line.tx(index).map_err(|it| self.wrong(number, it))?);
            }
        }
        let loaded = |(block, known): (Observation, Asked)| {
            let txs = u32::try_from(block.txs.len()).unwrap_or(u32::MAX);
            Loaded { block, txs, known: Known::Recorded(Arc::new(known)) }
        };
        Ok(out.into_iter().map(loaded).collect::<Vec<_>>().into())
    }
}

impl Line {
    fn block(&self) -> Observation {
        let named = format!("{} {} {}", self.chain, self.number, self.time);
        let block = BlockRef {
            chain: ChainId(self.chain),
            number: self.number,
            hash: self.block.unwrap_or_else(|| keccak256(named)),
            parent: B256::ZERO,
            time: Timestamp::from_secs(self.time),
        };
        Observation {
            block,
            env: BlockEnv::default(),
            stage: Stage::Provisional,
            witnesses: 1,
            txs: Vec::new(),
            readings: Readings::default(),
        }
    }

    /// The transaction, its facts decoded and those of the line behind them.
    fn tx(self, index: u32) -> Result<Tx, String> {
        let mut frames: Vec<Frame> = self.frames.into_iter().map(FrameLine::frame).collect();
        link_frames(&mut frames).map_err(|at| format!("frame {at} has no parent"))?;
        let traced = !frames.is_empty() || self.diff.is_some();
        let log = |it: LogLine| {
            let LogLine { address, topics, data } = it;
            Log::new(address, topics, data).ok_or("a log has more than four topics")
        };
        let mut tx = Tx {
            hash: self.hash,
            index,
            from: self.from,
            to: self.to,
            nonce: self.nonce,
            value: self.value,
            input: self.input,
            gas_limit: self.gas_limit,
            gas_used: self.gas_used,
            succeeded: self.success,
            created: self.created,
            logs: self.logs.into_iter().map(log).collect::<Result<_, _>>()?,
            frames,
            diff: self.diff.unwrap_or_default(),
            tracing: if traced { Tracing::Node } else { Tracing::None },
            ..Tx::default()
        };
        tx.facts = cofferdam_core::decode::facts(&tx);
        for it in self.facts {
            if !tx.facts.contains(&it) {
                tx.facts.push(it);
            }
        }
        Ok(tx)
    }
}

impl FrameLine {
    fn frame(self) -> Frame {
        Frame {
            parent: None,
            depth: self.depth,
            kind: self.r#type,
            from: self.from,
            to: self.to,
            value: self.value,
            input: self.input,
            output: self.output,
            succeeded: self.ok,
            undone: false,
        }
    }
}
