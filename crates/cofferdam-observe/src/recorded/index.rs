//! The index files of recorded data.

use std::{path::Path, str::FromStr};

use alloy_primitives::Address;
use cofferdam_core::ChainId;

use super::{RecordedError, file};

/// One block of the mainnet set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRow {
    /// Height.
    pub number: u64,
    /// Name of the fork rules.
    pub rules: String,
    /// How many transactions.
    pub transactions: u64,
    /// How many logs.
    pub logs: u64,
    /// Gas used.
    pub gas_used: u64,
    /// Whether its receipts root can be checked (from Byzantium on).
    pub root_comparable: bool,
}

/// One exploit with a fork cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkRow {
    /// Name.
    pub case: String,
    /// Category.
    pub category: String,
    /// The chain.
    pub chain: ChainId,
    /// The block whose end the state is of.
    pub fork_block: u64,
    /// Reported loss in US dollars; `None` if not reported.
    pub loss_usd: Option<u64>,
    /// The contracts that were exploited.
    pub victims: Vec<Address>,
    /// The cache, relative to the index.
    pub cache_file: String,
    /// The header, relative to the index; `None` if there is none.
    pub header_file: Option<String>,
    /// The trace, relative to the index; `None` if there is none.
    pub trace_file: Option<String>,
}

/// One attack trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRow {
    /// Name.
    pub case: String,
    /// The chain.
    pub chain: ChainId,
    /// The block whose end the state is of.
    pub fork_block: u64,
    /// Whether frames, outputs and logs can all be replayed.
    pub replays: bool,
}

/// Reads the index of the mainnet blocks.
///
/// # Errors
/// [`RecordedError`] if the file is unreadable, too large or malformed.
pub fn load_block_index(path: &Path) -> Result<Vec<BlockRow>, RecordedError> {
    rows(path)?
        .iter()
        .map(|it| {
            Ok(BlockRow {
                number: it.number("number")?,
                rules: it.text("rules")?.to_owned(),
                transactions: it.number("transactions")?,
                logs: it.number("logs")?,
                gas_used: it.number("gas_used")?,
                root_comparable: it.text("receipts_root_check")? == "equal",
            })
        })
        .collect()
}

/// Reads the index of the fork caches.
///
/// # Errors
/// [`RecordedError`] if the file is unreadable, too large or malformed.
pub fn load_fork_index(path: &Path) -> Result<Vec<ForkRow>, RecordedError> {
    let maybe = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    rows(path)?
        .iter()
        .map(|it| {
            let victims = it.text("vulnerable_contracts")?.split(';').filter(|it| !it.is_empty());
            Ok(ForkRow {
                case: it.text("case")?.to_owned(),
                category: it.text("category")?.to_owned(),
                chain: ChainId(it.number("chain_id")?),
                fork_block: it.number("fork_block")?,
                loss_usd: it.text("loss_usd")?.parse().ok(),
                victims: victims.filter_map(|it| Address::from_str(it).ok()).collect(),
                cache_file: it.text("cache_file")?.to_owned(),
                header_file: maybe(it.text("header_file")?),
                trace_file: maybe(it.text("trace_file")?),
            })
        })
        .collect()
}

/// Reads the index of the attack traces.
///
/// # Errors
/// [`RecordedError`] if the file is unreadable, too large or malformed.
pub fn load_trace_index(path: &Path) -> Result<Vec<TraceRow>, RecordedError> {
    rows(path)?
        .iter()
        .map(|it| {
            Ok(TraceRow {
                case: it.text("case")?.to_owned(),
                chain: ChainId(it.number("chain_id")?),
                fork_block: it.number("fork_block")?,
                replays: it.text("replay_result")? == "complete",
            })
        })
        .collect()
}

/// A row of a CSV file with a header line; no field of ours is quoted.
struct Row<'a> {
    path: &'a Path,
    header: Vec<String>,
    fields: Vec<String>,
}

impl Row<'_> {
    fn text(&self, column: &str) -> Result<&str, RecordedError> {
        let at = self.header.iter().position(|it| it == column);
        let field = at.and_then(|at| self.fields.get(at));
        field.map(String::as_str).ok_or_else(|| {
            RecordedError::malformed(self.path, format!("a row has no column `{column}`"))
        })
    }

    fn number(&self, column: &str) -> Result<u64, RecordedError> {
        let text = self.text(column)?;
        text.parse().map_err(|_| {
            RecordedError::malformed(self.path, format!("`{text}` in `{column}` is no number"))
        })
    }
}

fn rows(path: &Path) -> Result<Vec<Row<'_>>, RecordedError> {
    let text = file::text(path)?;
    let mut lines = text.lines().filter(|it| !it.is_empty());
    let split = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let header = lines.next().map(split).unwrap_or_default();
    let row = |line| Row { path, header: header.clone(), fields: split(line) };
    Ok(lines.map(row).collect())
}
