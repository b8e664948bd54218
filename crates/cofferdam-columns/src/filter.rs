//! Which logs concern anybody: a look at emitters and signatures as they stand in the file's dictionary, before
//! anything else is decoded.
//!
//! **Invariant:** never drops a log that concerns a rule; what it lets through may concern none.

use std::collections::BTreeMap;

use alloy_primitives::{
    Address, B256,
    map::{AddressSet, B256Set, HashMap},
};
use arrow_array::{Array, BinaryArray, DictionaryArray, Int32Array, RecordBatch, types::Int32Type};

use crate::{ColumnError, cells::Cells, file::ColumnFile};

/// What rules are interested in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Accounts: as emitter, or named by an indexed parameter.
    pub accounts: AddressSet,
    /// Emitter and signature together.
    pub logs: Vec<(Address, B256)>,
    /// Signatures, whoever emits them.
    pub signatures: B256Set,
}

/// Detectors by emitter and signature: the plain question which log concerns whom.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    of: HashMap<(Address, B256), Vec<u32>>,
}

/// One answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The detector.
    pub detector: u32,
    /// The block.
    pub block: u64,
    /// The log in it.
    pub log: u64,
}

impl Pairs {
    /// Detector 0, 1, 2 … by what it looks for.
    pub fn new(detectors: impl IntoIterator<Item = (Address, B256)>) -> Self {
        let mut of: HashMap<(Address, B256), Vec<u32>> = HashMap::default();
        for (at, key) in (0_u32..).zip(detectors) {
            of.entry(key).or_default().push(at);
        }
        Self { of }
    }
}

/// Numbers for the values of a dictionary, remade only when the dictionary changes.
struct Codes<'a, T> {
    known: &'a dyn Fn(&[u8]) -> T,
    values: Option<BinaryArray>,
    codes: Vec<T>,
}

impl<'a, T: Copy + Default> Codes<'a, T> {
    fn new(known: &'a dyn Fn(&[u8]) -> T) -> Self {
        Self { known, values: None, codes: Vec::new() }
    }

    /// Makes the numbers those of the dictionary of `column`.
    fn learn(&mut self, column: &DictionaryArray<Int32Type>) {
        let Some(values) = column.values().as_any().downcast_ref::<BinaryArray>() else {
            self.codes.clear();
            return;
        };
        let same = self.values.as_ref().is_some_and(|it| {
            it.len() == values.len() && it.value_data().as_ptr() == values.value_data().as_ptr()
        });
        if !same {
            self.codes = values.iter().map(|it| it.map_or_else(T::default, self.known)).collect();
            self.values = Some(values.clone());
        }
    }

    /// The number of one row; the default for null.
    #[inline]
    fn code(&self, keys: &Int32Array, row: usize) -> T {
        let key = keys.values().get(row).and_then(|it| usize::try_from(*it).ok());
        let code = key.and_then(|it| self.codes.get(it).copied());
        code.filter(|_| keys.is_valid(row)).unwrap_or_default()
    }
}

/// Emitters and signatures of detectors, numbered from 1.
struct Numbered {
    emitters: HashMap<Address, u32>,
    signatures: HashMap<B256, u32>,
    of: HashMap<(u32, u32), Vec<u32>>,
}

impl Numbered {
    fn new<'a>(pairs: impl Iterator<Item = (&'a (Address, B256), Vec<u32>)>) -> Self {
        let mut it = Self {
            emitters: HashMap::default(),
            signatures: HashMap::default(),
            of: HashMap::default(),
        };
        for ((emitter, signature), list) in pairs {
            let next = it.emitters.len() as u32 + 1;
            let emitter = *it.emitters.entry(*emitter).or_insert(next);
            let next = it.signatures.len() as u32 + 1;
            let signature = *it.signatures.entry(*signature).or_insert(next);
            it.of.entry((emitter, signature)).or_default().extend(list);
        }
        it
    }

    fn emitter(&self, bytes: &[u8]) -> u32 {
        let known = Address::try_from(bytes).ok();
        known.and_then(|it| self.emitters.get(&it)).copied().unwrap_or_default()
    }

    fn signature(&self, bytes: &[u8]) -> u32 {
        let known = B256::try_from(bytes).ok();
        known.and_then(|it| self.signatures.get(&it)).copied().unwrap_or_default()
    }
}

/// Calls `hit` with row and detectors of every log of row group `group` that any of `pairs` wants.
fn matches(
    file: &ColumnFile,
    group: usize,
    numbered: &Numbered,
    hit: &mut dyn FnMut(usize, &[u32]),
) -> Result<(), ColumnError> {
    let (emitter, signature) =
        (|it: &[u8]| numbered.emitter(it), |it: &[u8]| numbered.signature(it));
    let (mut emitters, mut signatures) = (Codes::new(&emitter), Codes::new(&signature));
    let mut start = 0;
    // Rows with a known emitter, and which.
    let mut near: Vec<(usize, u32)> = Vec::new();
    for batch in file.read(&[group], Some(&["address", "topic0"]), true, None)? {
        let batch = batch.map_err(|it| ColumnError::parquet(&file.path, it))?;
        near.clear();
        let address = dictionary(&batch, "address", file)?;
        let topic = dictionary(&batch, "topic0", file)?;
        emitters.learn(address);
        for row in 0..address.len() {
            let code = emitters.code(address.keys(), row);
            if code != 0 {
                near.push((row, code));
            }
        }
        // Signatures are asked for those rows alone.
        signatures.learn(topic);
        for (row, emitter) in near.iter().copied() {
            let signature = signatures.code(topic.keys(), row);
            if let Some(list) = numbered.of.get(&(emitter, signature)) {
                hit(start + row, list);
            }
        }
        start += batch.num_rows();
    }
    Ok(())
}

fn dictionary<'a>(
    batch: &'a RecordBatch,
    name: &str,
    file: &ColumnFile,
) -> Result<&'a DictionaryArray<Int32Type>, ColumnError> {
    let column = batch.column_by_name(name);
    let column = column.and_then(|it| it.as_any().downcast_ref());
    column.ok_or_else(|| ColumnError::layout(&file.path, format!("`{name}` is not of bytes")))
}

/// Every log of row group `group` that a detector looks for.
pub(crate) fn hits(
    file: &ColumnFile,
    group: usize,
    pairs: &Pairs,
) -> Result<Vec<Hit>, ColumnError> {
    let numbered = Numbered::new(pairs.of.iter().map(|(key, list)| (key, list.clone())));
    let mut rows: Vec<(usize, Vec<u32>)> = Vec::new();
    matches(file, group, &numbered, &mut |row, list| rows.push((row, list.to_vec())))?;
    let mut out = Vec::with_capacity(rows.len());
    let mut next = rows.iter().peekable();
    let mut start = 0;
    for batch in file.read(&[group], Some(&["block_number", "log_index"]), false, None)? {
        let batch = batch.map_err(|it| ColumnError::parquet(&file.path, it))?;
        let cells = Cells::new(&file.path, &batch);
        let (blocks, logs) = (cells.need("block_number")?, cells.need("log_index")?);
        while let Some((row, list)) = next.next_if(|it| it.0 < start + batch.num_rows()) {
            let (block, log) = (blocks.sure(row - start)?, logs.sure(row - start)?);
            out.extend(list.iter().map(|it| Hit { detector: *it, block, log }));
        }
        start += batch.num_rows();
    }
    Ok(out)
}

/// The rows of row group `group`, ascending, that concern anybody.
pub(crate) fn rows(
    file: &ColumnFile,
    group: usize,
    wanted: &Wanted,
) -> Result<Vec<usize>, ColumnError> {
    let mut out = Vec::new();
    let keys: BTreeMap<(Address, B256), ()> = wanted.logs.iter().map(|it| (*it, ())).collect();
    let numbered = Numbered::new(keys.keys().map(|it| (it, vec![0])));
    if !keys.is_empty() {
        matches(file, group, &numbered, &mut |row, _| out.push(row))?;
    }
    if !wanted.signatures.is_empty() {
        signed(file, group, wanted, &mut out)?;
    }
    if !wanted.accounts.is_empty() {
        named(file, group, wanted, &mut out)?;
    }
    out.sort_unstable();
    out.dedup();
    Ok(out)
}

fn signed(
    file: &ColumnFile,
    group: usize,
    wanted: &Wanted,
    out: &mut Vec<usize>,
) -> Result<(), ColumnError> {
    let known = |it: &[u8]| B256::try_from(it).is_ok_and(|it| wanted.signatures.contains(&it));
    let mut codes = Codes::new(&known);
    let mut start = 0;
    for batch in file.read(&[group], Some(&["topic0"]), true, None)? {
        let batch = batch.map_err(|it| ColumnError::parquet(&file.path, it))?;
        let topic = dictionary(&batch, "topic0", file)?;
        codes.learn(topic);
        out.extend(
            (0..topic.len()).filter(|it| codes.code(topic.keys(), *it)).map(|it| start + it),
        );
        start += batch.num_rows();
    }
    Ok(())
}

/// Rows whose emitter or indexed parameter is one of the accounts.
fn named(
    file: &ColumnFile,
    group: usize,
    wanted: &Wanted,
    out: &mut Vec<usize>,
) -> Result<(), ColumnError> {
    let columns = ["address", "topic1", "topic2", "topic3"];
    let mut start = 0;
    for batch in file.read(&[group], Some(&columns), false, None)? {
        let batch = batch.map_err(|it| ColumnError::parquet(&file.path, it))?;
        for name in columns {
            let column = batch.column_by_name(name);
            let Some(column) = column.and_then(|it| it.as_any().downcast_ref::<BinaryArray>())
            else {
                continue;
            };
            for row in 0..column.len() {
                let tail = column.value(row).last_chunk::<20>();
                let ours = tail.is_some_and(|it| wanted.accounts.contains(&Address::from(*it)));
                if ours && column.is_valid(row) {
                    out.push(start + row);
                }
            }
        }
        start += batch.num_rows();
    }
    Ok(())
}
