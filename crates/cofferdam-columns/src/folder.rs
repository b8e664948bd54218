//! A folder of such files, cut into slices of blocks that are read one by one.
//!
//! **Invariant:** a slice holds every block from its first to its last that the folder has, each once.

use std::{collections::BTreeSet, path::Path};

use cofferdam_core::{ChainId, Observation};

use crate::{
    ColumnError, Hit, Pairs, Wanted,
    file::{ColumnFile, Dataset, FILES_MAX},
    filter, read,
};

/// Blocks of one slice, at most; a slice is held in memory.
const SLICE_BLOCKS_MAX: u64 = 4_096;
/// Logs of one slice, about.
const SLICE_LOGS: u64 = 1_000_000;

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    pub(crate) files: Vec<ColumnFile>,
}

/// Blocks `from ..= to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
}

impl Folder {
    /// Opens every `.parquet` file of `folder` that is of a known data set; `None` if there is none.
    ///
    /// # Errors
    /// If a file cannot be read, or there are logs without blocks: a log does not tell its time.
    pub fn open(folder: &Path) -> Result<Option<Self>, ColumnError> {
        let entries = std::fs::read_dir(folder).map_err(|it| ColumnError::io(folder, it))?;
        let mut paths = Vec::new();
        for it in entries {
            let path = it.map_err(|it| ColumnError::io(folder, it))?.path();
            if path.extension().is_some_and(|it| it == "parquet") {
                paths.push(path);
            }
        }
        if paths.len() > FILES_MAX {
            let what = format!("{} Parquet files, at most {FILES_MAX}", paths.len());
            return Err(ColumnError::layout(folder, what));
        }
        paths.sort();
        let mut files = Vec::new();
        for path in paths {
            files.extend(ColumnFile::open(&path)?);
        }
        let it = Self { files };
        if it.files.is_empty() {
            return Ok(None);
        }
        if it.of(Dataset::Blocks).next().is_none() {
            let what = format!(
                "{} has no block headers, and only they tell the time: add `cryo blocks` for the same range",
                folder.display()
            );
            return Err(ColumnError::Missing { what });
        }
        Ok(Some(it))
    }

    /// The files of one data set.
    pub(crate) fn of(&self, dataset: Dataset) -> impl Iterator<Item = &ColumnFile> {
        self.files.iter().filter(move |it| it.dataset == dataset)
    }

    /// Whether it has files of `dataset`.
    pub fn has(&self, dataset: Dataset) -> bool {
        self.of(dataset).next().is_some()
    }

    /// Rows of `dataset`.
    pub fn rows(&self, dataset: Dataset) -> u64 {
        self.of(dataset).flat_map(|it| &it.groups).map(|it| it.rows as u64).sum()
    }

    /// The slices, ascending. They begin where row groups of the logs begin, so that few are read twice.
    pub fn slices(&self) -> Vec<Slice> {
        let blocks = || self.of(Dataset::Blocks).flat_map(|it| &it.groups);
        let (Some(first), Some(last)) =
            (blocks().map(|it| it.first).min(), blocks().map(|it| it.last).max())
        else {
            return Vec::new();
        };
        let logs: u64 = self.rows(Dataset::Logs);
        let span = last.saturating_sub(first).saturating_add(1);
        let dense = span.saturating_mul(SLICE_LOGS) / logs.max(1);
        let size = dense.clamp(1, SLICE_BLOCKS_MAX);
        let groups = self.of(Dataset::Logs).flat_map(|it| &it.groups);
        let starts: BTreeSet<u64> = groups.map(|it| it.first).filter(|it| *it > first).collect();
        let mut out = Vec::new();
        let mut from = first;
        while from <= last {
            let until = from.saturating_add(size);
            // The last beginning of a row group that is not too far, else as far as may be.
            let snapped = starts.range(from.saturating_add(1)..=until).next_back().copied();
            let next = snapped.unwrap_or(until);
            out.push(Slice { from, to: next.saturating_sub(1).min(last) });
            from = next;
        }
        out
    }

    /// The blocks of a slice in order, each with the number of its transactions. With `wanted` only transactions
    /// that concern somebody are there, whole.
    ///
    /// # Errors
    /// If a file cannot be read or is not in cryo's layout.
    pub fn read(
        &self,
        slice: Slice,
        chain: ChainId,
        wanted: Option<&Wanted>,
    ) -> Result<Vec<(Observation, u32)>, ColumnError> {
        read::read(self, slice, chain, wanted)
    }

    /// The chain that the files say they are of, if they do.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn chain(&self) -> Result<Option<ChainId>, ColumnError> {
        let Some(file) = self.of(Dataset::Blocks).next() else { return Ok(None) };
        let mut batches = file.read(&[0], Some(&["chain_id"]), false, None)?;
        let Some(batch) = batches.next() else { return Ok(None) };
        let batch = batch.map_err(|it| ColumnError::parquet(&file.path, it))?;
        let cells = crate::cells::Cells::new(&file.path, &batch);
        let Some(column) = cells.have("chain_id").filter(|_| cells.rows() > 0) else {
            return Ok(None);
        };
        Ok(column.number(0)?.map(ChainId))
    }

    /// How many row groups of logs there are, over all files.
    pub fn log_groups(&self) -> usize {
        self.of(Dataset::Logs).map(|it| it.groups.len()).sum()
    }

    /// Every log of the `group`-th row group that a detector of `pairs` looks for, in the file's order.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn hits(&self, group: usize, pairs: &Pairs) -> Result<Vec<Hit>, ColumnError> {
        let groups =
            self.of(Dataset::Logs).flat_map(|file| file.groups.iter().map(move |it| (file, it)));
        match groups.into_iter().nth(group) {
            Some((file, group)) => filter::hits(file, group.index, pairs),
            None => Ok(Vec::new()),
        }
    }
}
