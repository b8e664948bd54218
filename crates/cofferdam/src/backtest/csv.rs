//! Plain tables: a header line, commas, no quotes.
//!
//! **Invariant:** bounded before it is unpacked; a row that lacks a column is an error that names the file.

use std::{collections::BTreeMap, io::Read, path::Path};

use crate::replay::ReplayError;

/// The largest table, in bytes unpacked.
const BYTES_MAX: u64 = 256 << 20;

/// A row by column.
pub(super) struct Row<'a> {
    path: &'a Path,
    cells: BTreeMap<String, String>,
}

/// Reads `path`, unpacked if its name ends in `.zst`.
///
/// # Errors
/// If it cannot be read, or is larger than any table we know.
pub(super) fn rows(path: &Path) -> Result<Vec<Row<'_>>, ReplayError> {
    let text = text(path)?;
    let mut lines = text.lines().filter(|it| !it.is_empty());
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let row = |line: &str| {
        let names = head.iter().map(|it| (*it).to_owned());
        Row { path, cells: names.zip(line.split(',').map(str::to_owned)).collect() }
    };
    Ok(lines.map(row).collect())
}

/// The text of `path`, unpacked if its name ends in `.zst`.
///
/// # Errors
/// If it cannot be read, or is too large.
pub(super) fn text(path: &Path) -> Result<String, ReplayError> {
    let what = path.display().to_string();
    let failed = |it: std::io::Error| ReplayError::new(what.clone(), it);
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut out = String::new();
    let mut limited: Box<dyn Read> = match path.extension().is_some_and(|it| it == "zst") {
        true => {
            let reader = ruzstd::decoding::StreamingDecoder::new(std::io::BufReader::new(file));
            Box::new(
                reader
                    .map_err(|it| ReplayError::new(what.clone(), it.to_string()))?
                    .take(BYTES_MAX + 1),
            )
        }
        false => Box::new(file.take(BYTES_MAX + 1)),
    };
    limited.read_to_string(&mut out).map_err(failed)?;
    if out.len() as u64 > BYTES_MAX {
        return Err(ReplayError::new(what, format!("it is larger than {BYTES_MAX} bytes")));
    }
    Ok(out)
}

impl Row<'_> {
    /// A cell.
    ///
    /// # Errors
    /// If there is no such column.
    pub(super) fn text(&self, column: &str) -> Result<&str, ReplayError> {
        let cell = self.cells.get(column).map(String::as_str);
        cell.ok_or_else(|| self.wrong(format!("a row has no column `{column}`")))
    }

    /// A cell as what it should be.
    ///
    /// # Errors
    /// If there is no such column, or it is something else.
    pub(super) fn parse<T: std::str::FromStr>(&self, column: &str) -> Result<T, ReplayError> {
        let text = self.text(column)?;
        text.parse().map_err(|_| self.wrong(format!("`{text}` in `{column}` cannot be read")))
    }

    fn wrong(&self, what: String) -> ReplayError {
        ReplayError::new(self.path.display().to_string(), what)
    }
}
