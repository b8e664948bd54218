//! The logs of two mainnet blocks (17173049 and 17173050), read from the shared data.

use std::{io::Read, path::PathBuf};

use alloy_primitives::{Address, B256, Bytes, Log};

use crate::Failure;

#[derive(serde::Deserialize)]
struct Line {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

/// Where the logs are.
pub(super) fn path() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let tail =
        "shared/data/amm-lending-prices/ethereum-etl/blocks_17173049_17173050/logs.ndjson.zst";
    let mut folders = here.ancestors().skip(2);
    let found = folders.find_map(|it| Some(it.join(tail)).filter(|it| it.exists()));
    found.unwrap_or_else(|| here.join("../..").join(tail))
}

/// Reads them; `None` if they are absent.
pub(super) fn load() -> Result<Option<Vec<Log>>, Failure> {
    let path = path();
    if !path.exists() {
        return Ok(None);
    }
    let file = std::fs::File::open(path)?;
    let mut text = String::new();
    ruzstd::decoding::StreamingDecoder::new(file)?.read_to_string(&mut text)?;
    let mut out = Vec::new();
    for line in text.lines() {
        let Line { address, topics, data } = serde_json::from_str(line)?;
        out.push(Log::new_unchecked(address, topics, data));
    }
    Ok(Some(out))
}
