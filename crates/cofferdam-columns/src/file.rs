//! One Parquet file: which data set it is of, and which blocks each of its row groups covers.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
            ParquetRecordBatchReaderBuilder, RowSelection,
        },
    },
    file::statistics::Statistics,
};

use crate::{ColumnError, cells::Cells};

/// Files of one folder that are read at most.
pub const FILES_MAX: usize = 100_000;
/// Rows of one row group that are read at most; cryo's default is the chunk, a thousand blocks.
const GROUP_ROWS_MAX: i64 = 50_000_000;
/// Rows decoded at once.
const BATCH: usize = 65_536;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dataset {
    /// Block headers.
    Blocks,
    /// Transactions.
    Transactions,
    /// Logs.
    Logs,
    /// Parity traces.
    Traces,
}

/// An open file.
#[derive(Debug)]
pub(crate) struct ColumnFile {
    pub(crate) path: PathBuf,
    pub(crate) dataset: Dataset,
    pub(crate) groups: Vec<Group>,
    /// Columns as they are.
    plain: ArrowReaderMetadata,
    /// Emitters and signatures as numbers into a dictionary.
    coded: ArrowReaderMetadata,
}

/// A row group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) index: usize,
    pub(crate) rows: usize,
    /// First and last block.
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl ColumnFile {
    /// Opens `path`; `None` if it is of none of the four data sets.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, ColumnError> {
        let bad = |it| ColumnError::parquet(path, it);
        let file = File::open(path).map_err(|it| ColumnError::io(path, it))?;
        // The writer's own Arrow types do not matter: every column is read as Parquet says.
        let options = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let plain = ArrowReaderMetadata::load(&file, options()).map_err(bad)?;
        let Some(dataset) = dataset(plain.schema()) else { return Ok(None) };
        let schema = Arc::new(coded(plain.schema()));
        let coded = ArrowReaderMetadata::try_new(
            Arc::clone(plain.metadata()),
            options().with_schema(schema),
        );
        let coded = coded.map_err(bad)?;
        let mut it = Self { path: path.to_owned(), dataset, groups: Vec::new(), plain, coded };
        it.groups = it.bounds()?;
        Ok(Some(it))
    }

    fn bounds(&self) -> Result<Vec<Group>, ColumnError> {
        let mut out = Vec::new();
        for (index, group) in self.plain.metadata().row_groups().iter().enumerate() {
            if group.num_rows() > GROUP_ROWS_MAX {
                let what = format!("row group {index} has {} rows", group.num_rows());
                return Err(ColumnError::layout(&self.path, what));
            }
            let rows = usize::try_from(group.num_rows()).unwrap_or_default();
            if rows == 0 {
                continue;
            }
            let column =
                group.columns().iter().find(|it| it.column_path().string() == "block_number");
            let told = column.and_then(|it| it.statistics()).and_then(span);
            let (first, last) = match told {
                Some(it) => it,
                None => self.span(index)?,
            };
            out.push(Group { index, rows, first, last });
        }
        Ok(out)
    }

    /// First and last block of a row group, from its column.
    fn span(&self, group: usize) -> Result<(u64, u64), ColumnError> {
        let mut span = (u64::MAX, 0);
        for batch in self.read(&[group], Some(&["block_number"]), false, None)? {
            let batch = batch.map_err(|it| ColumnError::parquet(&self.path, it))?;
            let cells = Cells::new(&self.path, &batch);
            let numbers = cells.need("block_number")?;
            for row in 0..cells.rows() {
                let number = numbers.sure(row)?;
                span = (span.0.min(number), span.1.max(number));
            }
        }
        Ok(span)
    }

    /// Batches of these row groups; of all columns, or of those of `columns` that are there.
    pub(crate) fn read(
        &self,
        groups: &[usize],
        columns: Option<&[&str]>,
        coded: bool,
        selection: Option<RowSelection>,
    ) -> Result<ParquetRecordBatchReader, ColumnError> {
        let file = File::open(&self.path).map_err(|it| ColumnError::io(&self.path, it))?;
        let meta = if coded { self.coded.clone() } else { self.plain.clone() };
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, meta)
            .with_row_groups(groups.to_vec())
            .with_batch_size(BATCH);
        if let Some(columns) = columns {
            let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
            builder = builder.with_projection(mask);
        }
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        builder.build().map_err(|it| ColumnError::parquet(&self.path, it))
    }

    /// The row groups that hold any of the blocks `from ..= to`.
    pub(crate) fn groups_of(&self, from: u64, to: u64) -> Vec<Group> {
        self.groups.iter().filter(|it| it.first <= to && it.last >= from).copied().collect()
    }

    /// Calls `visit` with every batch of the blocks `from ..= to`; a batch may hold other blocks too.
    pub(crate) fn visit(
        &self,
        from: u64,
        to: u64,
        visit: &mut dyn FnMut(&Cells<'_>) -> Result<(), ColumnError>,
    ) -> Result<(), ColumnError> {
        let groups: Vec<usize> = self.groups_of(from, to).iter().map(|it| it.index).collect();
        if groups.is_empty() {
            return Ok(());
        }
        for batch in self.read(&groups, None, false, None)? {
            let batch: RecordBatch = batch.map_err(|it| ColumnError::parquet(&self.path, it))?;
            visit(&Cells::new(&self.path, &batch))?;
        }
        Ok(())
    }
}

fn span(of: &Statistics) -> Option<(u64, u64)> {
    // Unsigned numbers keep their bits; a block number beyond half of the range does not exist.
    match of {
        Statistics::Int32(it) => {
            let (low, high) = (*it.min_opt()?, *it.max_opt()?);
            Some((u64::try_from(low).ok()?, u64::try_from(high).ok()?))
        }
        Statistics::Int64(it) => {
            let (low, high) = (*it.min_opt()?, *it.max_opt()?);
            Some((u64::try_from(low).ok()?, u64::try_from(high).ok()?))
        }
        _ => None,
    }
}

fn dataset(schema: &Schema) -> Option<Dataset> {
    let has = |names: &[&str]| names.iter().all(|it| schema.field_with_name(it).is_ok());
    if has(&["block_number", "trace_address", "action_type"]) {
        Some(Dataset::Traces)
    } else if has(&["block_number", "log_index", "topic0"]) {
        Some(Dataset::Logs)
    } else if has(&["block_number", "transaction_hash", "from_address", "nonce"]) {
        Some(Dataset::Transactions)
    } else if has(&["block_number", "timestamp", "block_hash"]) {
        Some(Dataset::Blocks)
    } else {
        None
    }
}

/// The schema with emitters and signatures left in their dictionary.
fn coded(schema: &Schema) -> Schema {
    let field = |it: &Arc<Field>| {
        let codes = matches!(it.name().as_str(), "address" | "topic0");
        if codes && *it.data_type() == DataType::Binary {
            let key = Box::new(DataType::Int32);
            let ty = DataType::Dictionary(key, Box::new(DataType::Binary));
            return Arc::new(it.as_ref().clone().with_data_type(ty));
        }
        Arc::clone(it)
    };
    Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>())
}
