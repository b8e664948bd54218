//! Recorded blocks into Parquet files in cryo's layout.

use std::path::{Path, PathBuf};

use cofferdam_columns::{Packing, Writer};
use cofferdam_core::Observation;

use super::{
    Failure,
    mainnet::{self, Mainnet},
    ndjson::Lines,
    source::Source,
};
use crate::replay::ReplayError;

/// Blocks of one file, as cryo's chunks.
const FILE_BLOCKS: usize = 1_000;

/// Writes the mainnet blocks and NDJSON files of `data` into `out` and returns the files. `progress` is told how many
/// blocks are done.
///
/// # Errors
/// If something cannot be read or written, or there is nothing to write.
pub(crate) fn export(
    data: &Path,
    out: &Path,
    packing: Packing,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<PathBuf>, Failure> {
    std::fs::create_dir_all(out).map_err(|source| Failure::Keep {
        what: format!("cannot create {}", out.display()),
        source,
    })?;
    let writer = Writer::new(out, "ethereum", packing);
    let (mut files, mut done) = (Vec::new(), 0);
    for source in sources(data)? {
        let mut blocks: Vec<Observation> = Vec::new();
        for piece in 0..source.pieces() {
            let loaded = source.load(piece)?;
            blocks.extend(loaded.blocks.into_iter().map(|it| it.block));
            done += 1;
            progress(done);
            if blocks.len() >= FILE_BLOCKS {
                files.extend(write(&writer, &std::mem::take(&mut blocks))?);
            }
        }
        files.extend(write(&writer, &blocks)?);
    }
    Ok(files)
}

fn write(writer: &Writer, blocks: &[Observation]) -> Result<Vec<PathBuf>, ReplayError> {
    writer.write(blocks).map_err(|it| ReplayError::new("Parquet files", it))
}

fn sources(data: &Path) -> Result<Vec<Box<dyn Source>>, Failure> {
    let mut out: Vec<Box<dyn Source>> = Vec::new();
    let places = [data.join("mainnet-blocks"), data.to_owned()];
    if let Some(folder) = places.into_iter().find(|it| it.join("block_hashes.json").is_file()) {
        let (blocks, rows) = mainnet::open(folder)?;
        out.push(Box::new(Mainnet::new(blocks, rows, false)));
    }
    for path in super::parity::files(data)? {
        let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
        if name.ends_with(".ndjson") || name.ends_with(".ndjson.zst") {
            out.push(Box::new(Lines::open(&path)?));
        }
    }
    Ok(out)
}
