//! Blocks into files in cryo's layout: its names, its default columns, its types.
//!
//! **Invariant:** one file per data set and call of [`Writer::write`], each in order of block, transaction, log.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy_primitives::{Address, U256};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, RecordBatch, StringArray, UInt32Array,
    UInt64Array,
};
use cofferdam_core::{
    Observation, Tx,
    tx::{CallKind, Frame},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use crate::{ColumnError, traces::addresses};

/// How pages are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packing {
    /// LZ4, cryo's default.
    #[default]
    Lz4,
    /// Zstandard at its usual level.
    Zstd,
    /// Snappy.
    Snappy,
    /// Not at all.
    None,
}

/// Writes into a folder.
#[derive(Clone, Debug)]
pub struct Writer {
    folder: PathBuf,
    network: String,
    packing: Packing,
    /// Rows of a row group, at most.
    group: usize,
}

type Named = (&'static str, ArrayRef);

impl Writer {
    /// A writer into `folder`, which exists, for files of `network`, e.g. `ethereum`.
    pub fn new(folder: &Path, network: &str, packing: Packing) -> Self {
        Self { folder: folder.to_owned(), network: network.to_owned(), packing, group: 1 << 20 }
    }

    /// With row groups of at most `rows` rows.
    #[must_use]
    pub fn group(self, rows: usize) -> Self {
        Self { group: rows.max(1), ..self }
    }

    /// Writes `blocks`, in order, into four files (fewer where there is nothing to write) and returns their paths.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, blocks: &[Observation]) -> Result<Vec<PathBuf>, ColumnError> {
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
            return Ok(Vec::new());
        };
        let (first, last) = (first.block.number, last.block.number);
        let tables = [
            ("blocks", headers(blocks)),
            ("transactions", transactions(blocks)),
            ("logs", logs(blocks)),
            ("traces", calls(blocks)),
        ];
        let mut out = Vec::new();
        for (name, columns) in tables {
            if columns.first().is_none_or(|it| it.1.is_empty()) {
                continue;
            }
            let file = format!("{}__{name}__{first:0>8}_to_{last:0>8}.parquet", self.network);
            let path = self.folder.join(file);
            self.table(&path, columns)?;
            out.push(path);
        }
        Ok(out)
    }

    fn table(&self, path: &Path, columns: Vec<Named>) -> Result<(), ColumnError> {
        let bad = |it| ColumnError::parquet(path, it);
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, array)| (name, array, true)),
        );
        let batch = batch.map_err(|it| ColumnError::parquet(path, it))?;
        let compression = match self.packing {
            Packing::Lz4 => Compression::LZ4_RAW,
            Packing::Zstd => Compression::ZSTD(ZstdLevel::default()),
            Packing::Snappy => Compression::SNAPPY,
            Packing::None => Compression::UNCOMPRESSED,
        };
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_max_row_group_row_count(Some(self.group))
            .build();
        let file = File::create(path).map_err(|it| ColumnError::io(path, it))?;
        let mut writer =
            ArrowWriter::try_new(file, batch.schema(), Some(properties)).map_err(bad)?;
        writer.write(&batch).map_err(bad)?;
        writer.close().map_err(bad)?;
        Ok(())
    }
}

fn bytes<T: AsRef<[u8]>>(it: impl Iterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(it.collect::<BinaryArray>())
}

fn u32s(it: impl Iterator<Item = Option<u64>>) -> ArrayRef {
    let small = |it: Option<u64>| it.and_then(|it| u32::try_from(it).ok());
    Arc::new(it.map(small).collect::<UInt32Array>())
}

fn u64s(it: impl Iterator<Item = Option<u64>>) -> ArrayRef {
    Arc::new(it.collect::<UInt64Array>())
}

fn texts(it: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(it.collect::<StringArray>())
}

fn headers(blocks: &[Observation]) -> Vec<Named> {
    let all = || blocks.iter();
    vec![
        ("block_hash", bytes(all().map(|it| Some(it.block.hash)))),
        ("parent_hash", bytes(all().map(|it| Some(it.block.parent)))),
        ("author", bytes(all().map(|it| Some(it.env.beneficiary)))),
        ("block_number", u32s(all().map(|it| Some(it.block.number)))),
        ("gas_used", u64s(all().map(|it| Some(it.env.gas_used.unwrap_or_default())))),
        ("gas_limit", u64s(all().map(|it| Some(it.env.gas_limit)))),
        ("extra_data", bytes(all().map(|_| Some([0_u8; 0])))),
        ("timestamp", u32s(all().map(|it| Some(it.block.time.0 / 1_000)))),
        ("base_fee_per_gas", u64s(all().map(|it| Some(it.env.base_fee)))),
        ("chain_id", u64s(all().map(|it| Some(it.block.chain.0)))),
    ]
}

fn transactions(blocks: &[Observation]) -> Vec<Named> {
    let all = || blocks.iter().flat_map(|block| block.txs.iter().map(move |tx| (block, tx)));
    let fee = |it: u128| Some(u64::try_from(it).unwrap_or(u64::MAX));
    let dynamic = |tx: &Tx| tx.envelope.kind >= 2;
    let zeros = |tx: &Tx| tx.input.iter().filter(|it| **it == 0).count() as u64;
    let length = |tx: &Tx| tx.input.len() as u64;
    vec![
        ("block_number", u32s(all().map(|it| Some(it.0.block.number)))),
        ("transaction_index", u64s(all().map(|it| Some(it.1.index.into())))),
        ("transaction_hash", bytes(all().map(|it| Some(it.1.hash)))),
        ("nonce", u64s(all().map(|it| Some(it.1.nonce)))),
        ("from_address", bytes(all().map(|it| Some(it.1.from)))),
        ("to_address", bytes(all().map(|it| it.1.to))),
        ("value_binary", bytes(all().map(|it| Some(it.1.value.to_be_bytes::<32>())))),
        ("value_string", texts(all().map(|it| Some(it.1.value.to_string())))),
        ("value_f64", Arc::new(all().map(|it| Some(float(it.1.value))).collect::<Float64Array>())),
        ("input", bytes(all().map(|it| Some(it.1.input.clone())))),
        ("gas_limit", u64s(all().map(|it| Some(it.1.gas_limit)))),
        ("gas_used", u64s(all().map(|it| Some(it.1.gas_used)))),
        ("gas_price", u64s(all().map(|it| fee(it.1.max_fee_per_gas)))),
        ("transaction_type", u32s(all().map(|it| Some(it.1.envelope.kind.into())))),
        (
            "max_priority_fee_per_gas",
            u64s(all().map(|it| fee(it.1.max_priority_fee_per_gas).filter(|_| dynamic(it.1)))),
        ),
        (
            "max_fee_per_gas",
            u64s(all().map(|it| fee(it.1.max_fee_per_gas).filter(|_| dynamic(it.1)))),
        ),
        ("success", Arc::new(all().map(|it| Some(it.1.succeeded)).collect::<BooleanArray>())),
        ("n_input_bytes", u32s(all().map(|it| Some(length(it.1))))),
        ("n_input_zero_bytes", u32s(all().map(|it| Some(zeros(it.1))))),
        ("n_input_nonzero_bytes", u32s(all().map(|it| Some(length(it.1) - zeros(it.1))))),
        ("chain_id", u64s(all().map(|it| Some(it.0.block.chain.0)))),
    ]
}

fn float(value: U256) -> f64 {
    // A convenience column of cryo's; nothing of ours reads it.
    value
        .as_limbs()
        .iter()
        .rev()
        .fold(0.0, |sum, limb| sum * 18_446_744_073_709_551_616.0 + *limb as f64)
}

fn logs(blocks: &[Observation]) -> Vec<Named> {
    let mut rows = Vec::new();
    for block in blocks {
        let logs = block.txs.iter().flat_map(|tx| tx.logs.iter().map(move |log| (tx, log)));
        rows.extend((0_u64..).zip(logs).map(|(index, (tx, log))| (block, tx, index, log)));
    }
    let all = || rows.iter();
    let topic = |at: usize| bytes(all().map(move |it| it.3.topics().get(at).copied()));
    vec![
        ("block_number", u32s(all().map(|it| Some(it.0.block.number)))),
        ("transaction_index", u32s(all().map(|it| Some(it.1.index.into())))),
        ("log_index", u32s(all().map(|it| Some(it.2)))),
        ("transaction_hash", bytes(all().map(|it| Some(it.1.hash)))),
        ("address", bytes(all().map(|it| Some(it.3.address)))),
        ("topic0", topic(0)),
        ("topic1", topic(1)),
        ("topic2", topic(2)),
        ("topic3", topic(3)),
        ("data", bytes(all().map(|it| Some(it.3.data.data.clone())))),
        ("n_data_bytes", u32s(all().map(|it| Some(it.3.data.data.len() as u64)))),
        ("chain_id", u64s(all().map(|it| Some(it.0.block.chain.0)))),
    ]
}

/// One row of the traces.
struct Call<'a> {
    block: &'a Observation,
    tx: &'a Tx,
    frame: &'a Frame,
    address: String,
    opened: u32,
}

impl Call<'_> {
    fn kind(&self) -> (&'static str, Option<&'static str>) {
        match self.frame.kind {
            CallKind::Call => ("call", Some("call")),
            CallKind::StaticCall => ("call", Some("static_call")),
            CallKind::DelegateCall => ("call", Some("delegate_call")),
            CallKind::CallCode => ("call", Some("call_code")),
            CallKind::Create => ("create", None),
            CallKind::SelfDestruct => ("suicide", None),
        }
    }

    fn is(&self, kind: &str) -> bool {
        self.kind().0 == kind
    }

    fn to(&self) -> Option<Address> {
        (!self.is("create")).then_some(self.frame.to)
    }
}

fn calls(blocks: &[Observation]) -> Vec<Named> {
    let mut rows = Vec::new();
    for block in blocks {
        // What is incomplete or not as its receipt says is no record of what happened.
        for tx in block.txs.iter().filter(|it| it.tracing.is_evidence()) {
            let places = addresses(&tx.frames);
            rows.extend(tx.frames.iter().zip(places).map(|(frame, (address, opened))| Call {
                block,
                tx,
                frame,
                address,
                opened,
            }));
        }
    }
    let all = || rows.iter();
    let when = |kind: &'static str, of: fn(&Frame) -> &alloy_primitives::Bytes| {
        bytes(all().map(move |it| it.is(kind).then(|| of(it.frame).clone())))
    };
    vec![
        ("action_from", bytes(all().map(|it| Some(it.frame.from)))),
        ("action_to", bytes(all().map(Call::to))),
        ("action_value", texts(all().map(|it| Some(it.frame.value.to_string())))),
        ("action_gas", u32s(all().map(|_| None))),
        ("action_input", when("call", |it| &it.input)),
        ("action_call_type", texts(all().map(|it| it.kind().1.map(str::to_owned)))),
        ("action_init", when("create", |it| &it.input)),
        ("action_reward_type", texts(all().map(|_| None))),
        ("action_type", texts(all().map(|it| Some(it.kind().0.to_owned())))),
        ("result_gas_used", u32s(all().map(|_| None))),
        ("result_output", when("call", |it| &it.output)),
        ("result_code", when("create", |it| &it.output)),
        ("result_address", bytes(all().map(|it| it.is("create").then_some(it.frame.to)))),
        ("trace_address", texts(all().map(|it| Some(it.address.clone())))),
        ("subtraces", u32s(all().map(|it| Some(it.opened.into())))),
        ("transaction_index", u32s(all().map(|it| Some(it.tx.index.into())))),
        ("transaction_hash", bytes(all().map(|it| Some(it.tx.hash)))),
        ("block_number", u32s(all().map(|it| Some(it.block.block.number)))),
        ("block_hash", bytes(all().map(|it| Some(it.block.block.hash)))),
        ("error", texts(all().map(|it| (!it.frame.succeeded).then(|| "Reverted".to_owned())))),
        ("chain_id", u64s(all().map(|it| Some(it.block.block.chain.0)))),
    ]
}
