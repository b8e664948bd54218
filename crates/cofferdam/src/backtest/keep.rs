//! What a back-test keeps in its folder, so that it goes on where it was interrupted: rows, and the state at the last
//! seam.
//!
//! **Invariant:** the state names how many bytes of rows belong to it; what was written after them is cut off. The
//! state is replaced by renaming, so that a killed process leaves the old one or the new one.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use alloy_primitives::{B256, hex};
use cofferdam_backtest::{Row, Seam};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Failure;

/// Files of a data folder that are looked at for its fingerprint.
const FILES_MAX: usize = 200_000;

/// The folder of a back-test.
pub(crate) struct Keep {
    folder: PathBuf,
    rows: File,
    bytes: u64,
    last: Instant,
    /// Between two states that are written down.
    every: Duration,
    key: String,
}

/// Where it goes on.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct At {
    key: String,
    rows_bytes: u64,
    /// The next piece.
    pub(crate) piece: usize,
    /// The state before it; `None` at the beginning of a strand.
    pub(crate) seam: Option<Seam>,
}

fn failed(what: &str) -> impl Fn(std::io::Error) -> Failure + '_ {
    move |source| Failure::Keep { what: format!("cannot {what}"), source }
}

impl Keep {
    /// Opens `folder` for the back-test that `key` names, and tells where to go on. With `fresh` what is there is begun
    /// anew. The state is written down `every` so often at most.
    ///
    /// # Errors
    /// If the folder cannot be used, or holds another back-test.
    pub(crate) fn open(
        folder: &Path,
        key: &str,
        fresh: bool,
        every: Duration,
    ) -> Result<(Self, At), Failure> {
        std::fs::create_dir_all(folder).map_err(failed("create the folder of the results"))?;
        let state = folder.join("state.json");
        if fresh && state.exists() {
            std::fs::remove_file(&state).map_err(failed("begin anew"))?;
        }
        let at = match std::fs::read(&state) {
            Err(_) => At { key: key.to_owned(), ..At::default() },
            // A state that is no state is one of another release.
            Ok(bytes) => match serde_json::from_slice::<At>(&bytes) {
                Ok(at) if at.key == key => at,
                _ => return Err(Failure::Other { folder: folder.to_owned() }),
            },
        };
        let path = folder.join("rows.ndjson");
        let mut options = OpenOptions::new();
        let rows = options.create(true).read(true).write(true).truncate(false).open(path);
        let mut rows = rows.map_err(failed("open the rows"))?;
        let length = rows.metadata().map_err(failed("open the rows"))?.len();
        if length < at.rows_bytes {
            return Err(Failure::Other { folder: folder.to_owned() });
        }
        rows.set_len(at.rows_bytes).map_err(failed("cut the rows"))?;
        rows.seek(std::io::SeekFrom::End(0)).map_err(failed("open the rows"))?;
        let (bytes, key) = (at.rows_bytes, key.to_owned());
        let (folder, last) = (folder.to_owned(), Instant::now());
        Ok((Self { folder, rows, bytes, last, every, key }, at))
    }

    /// Appends rows.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn append(&mut self, rows: &[Row]) -> Result<(), Failure> {
        let mut text = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut text, row)
                .map_err(|it| failed("write a row")(std::io::Error::other(it)))?;
            text.push(b'\n');
        }
        self.rows.write_all(&text).map_err(failed("write the rows"))?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// Writes down that `piece` is next, with the state before it, unless that was done a moment ago.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn seam(
        &mut self,
        piece: usize,
        seam: Option<&Seam>,
        last: bool,
    ) -> Result<(), Failure> {
        if !last && self.last.elapsed() < self.every {
            return Ok(());
        }
        self.rows.sync_data().map_err(failed("write the rows"))?;
        let at = At { key: self.key.clone(), rows_bytes: self.bytes, piece, seam: seam.cloned() };
        let bytes = serde_json::to_vec(&at)
            .map_err(|it| failed("write the state")(std::io::Error::other(it)))?;
        self.replace("state.json", &bytes)?;
        self.last = Instant::now();
        Ok(())
    }

    /// Writes a result by its name, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let (path, new) = (self.folder.join(name), self.folder.join(format!("{name}.new")));
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(bytes)?;
            file.sync_data()?;
            std::fs::rename(&new, &path)
        };
        write().map_err(failed(&format!("write {name}")))
    }

    /// All rows so far.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) fn rows(&self) -> Result<Vec<Row>, Failure> {
        rows(&self.folder)
    }
}

/// The rows in a folder of results.
///
/// # Errors
/// If there are none, or they cannot be read.
pub(crate) fn rows(folder: &Path) -> Result<Vec<Row>, Failure> {
    let file = File::open(folder.join("rows.ndjson")).map_err(failed("open the rows"))?;
    let mut out = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(failed("read the rows"))?;
        let row = serde_json::from_str(&line)
            .map_err(|it| failed("read a row")(std::io::Error::other(it)))?;
        out.push(row);
    }
    Ok(out)
}

/// What a back-test rests on: names and sizes of the files of `data`, and `more`.
///
/// # Errors
/// If the folder cannot be looked at.
pub(crate) fn fingerprint(data: &Path, more: &[&[u8]]) -> Result<String, Failure> {
    let mut files = Vec::new();
    list(data, data, &mut files).map_err(failed("look at the data"))?;
    files.sort();
    let mut hash = Sha256::new();
    for (name, size) in &files {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(size.to_be_bytes());
    }
    // Labels are small and decide everything.
    let labels = data.join("labels.json");
    if labels.is_file() {
        let mut text = Vec::new();
        let read = File::open(labels).and_then(|mut it| it.read_to_end(&mut text));
        read.map_err(failed("look at the labels"))?;
        hash.update(&text);
    }
    for it in more {
        hash.update((it.len() as u64).to_be_bytes());
        hash.update(it);
    }
    Ok(hex::encode(B256::from_slice(&hash.finalize())))
}

fn list(root: &Path, folder: &Path, out: &mut Vec<(String, u64)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            list(root, &path, out)?;
        } else if kind.is_file() {
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            out.push((name, entry.metadata()?.len()));
        }
        if out.len() > FILES_MAX {
            return Err(std::io::Error::other(format!("more than {FILES_MAX} files")));
        }
    }
    Ok(())
}
