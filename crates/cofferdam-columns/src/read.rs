//! From columns to blocks with their transactions.
//!
//! **Invariant:** transactions in order of their index, logs in order of theirs; a transaction of which only logs are
//! known has succeeded, and its sender is unknown (zero).

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Log, U256};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Observation, Stage, Timestamp, Tx, read::Readings, tx::Envelope,
};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use crate::{
    ColumnError, Folder, Slice, Wanted,
    cells::{Cells, Column},
    file::{ColumnFile, Dataset, Group},
    filter, traces,
};

/// A transaction by block and place in it.
type Key = (u64, u32);

/// What the files hold of a slice.
#[derive(Default)]
struct Parts {
    txs: BTreeMap<Key, Tx>,
    logs: BTreeMap<Key, Vec<(u64, Log)>>,
    hashes: BTreeMap<Key, B256>,
    /// Transactions of each block, those left out too.
    counts: BTreeMap<u64, u32>,
    /// The transactions that concern somebody; `None`: all.
    kept: Option<BTreeSet<Key>>,
}

pub(crate) fn read(
    folder: &Folder,
    slice: Slice,
    chain: ChainId,
    wanted: Option<&Wanted>,
) -> Result<Vec<(Observation, u32)>, ColumnError> {
    // A call tree may touch what no log tells of.
    let wanted = wanted.filter(|_| !folder.has(Dataset::Traces));
    let mut parts = Parts { kept: wanted.map(|_| BTreeSet::new()), ..Parts::default() };
    if let Some(wanted) = wanted {
        for file in folder.of(Dataset::Transactions) {
            parts.senders(file, slice, wanted)?;
        }
    }
    for file in folder.of(Dataset::Logs) {
        for group in file.groups_of(slice.from, slice.to) {
            match wanted {
                Some(wanted) => parts.some_logs(file, group, slice, wanted)?,
                None => {
                    for batch in file.read(&[group.index], None, false, None)? {
                        let batch = batch.map_err(|it| ColumnError::parquet(&file.path, it))?;
                        parts.logs(&Cells::new(&file.path, &batch), slice)?;
                    }
                }
            }
        }
    }
    let whole = folder.has(Dataset::Transactions);
    if whole {
        // The logs counted what they tell of; here is every one.
        parts.counts.clear();
    }
    for file in folder.of(Dataset::Transactions) {
        file.visit(slice.from, slice.to, &mut |it| parts.txs(it, slice))?;
    }
    let mut frames = traces::Frames::default();
    for file in folder.of(Dataset::Traces) {
        file.visit(slice.from, slice.to, &mut |it| frames.take(it, slice))?;
    }
    let mut headers: BTreeMap<u64, (BlockRef, BlockEnv)> = BTreeMap::new();
    for file in folder.of(Dataset::Blocks) {
        file.visit(slice.from, slice.to, &mut |it| blocks(it, slice, chain, &mut headers))?;
    }
    parts.join(&mut frames, headers)
}

impl Parts {
    /// Transactions whose sender or callee is wanted.
    fn senders(
        &mut self,
        file: &ColumnFile,
        slice: Slice,
        wanted: &Wanted,
    ) -> Result<(), ColumnError> {
        let groups: Vec<usize> =
            file.groups_of(slice.from, slice.to).iter().map(|it| it.index).collect();
        let columns = ["block_number", "transaction_index", "from_address", "to_address"];
        for batch in file.read(&groups, Some(&columns), false, None)? {
            let batch = batch.map_err(|it| ColumnError::parquet(&file.path, it))?;
            let cells = Cells::new(&file.path, &batch);
            let (from, to) = (cells.need("from_address")?, cells.have("to_address"));
            let keys = Keys::of(&cells)?;
            for row in 0..cells.rows() {
                let to = to.map(|it| it.address(row)).transpose()?.flatten();
                let ours = |it: Option<Address>| it.is_some_and(|it| wanted.accounts.contains(&it));
                if ours(from.address(row)?) || ours(to) {
                    self.kept.get_or_insert_default().insert(keys.at(row)?);
                }
            }
        }
        Ok(())
    }

    /// The logs of transactions that concern somebody.
    fn some_logs(
        &mut self,
        file: &ColumnFile,
        group: Group,
        slice: Slice,
        wanted: &Wanted,
    ) -> Result<(), ColumnError> {
        let hits = filter::rows(file, group.index, wanted)?;
        let columns = ["block_number", "transaction_index"];
        let mut keys = Vec::with_capacity(group.rows);
        for batch in file.read(&[group.index], Some(&columns), false, None)? {
            let batch = batch.map_err(|it| ColumnError::parquet(&file.path, it))?;
            let cells = Cells::new(&file.path, &batch);
            let of = Keys::of(&cells)?;
            for row in 0..cells.rows() {
                keys.push(of.at(row)?);
            }
        }
        let kept = self.kept.get_or_insert_default();
        kept.extend(hits.iter().filter_map(|it| keys.get(*it)).filter(|it| slice.holds(it.0)));
        let mut selectors: Vec<RowSelector> = Vec::new();
        let mut last = None;
        for key in &keys {
            if slice.holds(key.0) && last != Some(*key) {
                *self.counts.entry(key.0).or_default() += 1;
            }
            last = Some(*key);
            let selector = match kept.contains(key) {
                true => RowSelector::select(1),
                false => RowSelector::skip(1),
            };
            match selectors.last_mut() {
                Some(it) if it.skip == selector.skip => it.row_count += 1,
                _ => selectors.push(selector),
            }
        }
        if selectors.iter().all(|it| it.skip) {
            return Ok(());
        }
        let selection = RowSelection::from(selectors);
        for batch in file.read(&[group.index], None, false, Some(selection))? {
            let batch = batch.map_err(|it| ColumnError::parquet(&file.path, it))?;
            self.take_logs(&Cells::new(&file.path, &batch), slice)?;
        }
        Ok(())
    }

    /// All logs of a batch.
    fn logs(&mut self, cells: &Cells<'_>, slice: Slice) -> Result<(), ColumnError> {
        let keys = Keys::of(cells)?;
        for row in 0..cells.rows() {
            let key = keys.at(row)?;
            if slice.holds(key.0) && !self.logs.contains_key(&key) {
                *self.counts.entry(key.0).or_default() += 1;
                self.logs.insert(key, Vec::new());
            }
        }
        self.take_logs(cells, slice)
    }

    fn take_logs(&mut self, cells: &Cells<'_>, slice: Slice) -> Result<(), ColumnError> {
        let keys = Keys::of(cells)?;
        let (index, address) = (cells.need("log_index")?, cells.need("address")?);
        let (data, hash) = (cells.need("data")?, cells.have("transaction_hash"));
        let topics: Vec<Column<'_>> = ["topic0", "topic1", "topic2", "topic3"]
            .into_iter()
            .filter_map(|it| cells.have(it))
            .collect();
        for row in 0..cells.rows() {
            let key = keys.at(row)?;
            if !slice.holds(key.0) {
                continue;
            }
            let mut list = Vec::with_capacity(4);
            for it in &topics {
                // The first that is missing ends the list.
                let Some(topic) = it.hash(row)? else { break };
                list.push(topic);
            }
            let emitter = address.address(row)?.unwrap_or_default();
            let log = Log::new_unchecked(emitter, list, data.bytes(row)?.unwrap_or_default());
            self.logs.entry(key).or_default().push((index.sure(row)?, log));
            if let Some(hash) = hash.map(|it| it.hash(row)).transpose()?.flatten() {
                self.hashes.insert(key, hash);
            }
        }
        Ok(())
    }

    fn txs(&mut self, cells: &Cells<'_>, slice: Slice) -> Result<(), ColumnError> {
        let keys = Keys::of(cells)?;
        let columns = TxColumns::of(cells)?;
        for row in 0..cells.rows() {
            let key = keys.at(row)?;
            if !slice.holds(key.0) {
                continue;
            }
            *self.counts.entry(key.0).or_default() += 1;
            if self.kept.as_ref().is_none_or(|it| it.contains(&key)) {
                self.txs.insert(key, columns.tx(row, key.1)?);
            }
        }
        Ok(())
    }

    fn join(
        mut self,
        frames: &mut traces::Frames,
        headers: BTreeMap<u64, (BlockRef, BlockEnv)>,
    ) -> Result<Vec<(Observation, u32)>, ColumnError> {
        for (key, mut logs) in std::mem::take(&mut self.logs) {
            logs.sort_by_key(|it| it.0);
            let hash = self.hashes.get(&key).copied().unwrap_or_default();
            let alone = || Tx { hash, index: key.1, succeeded: true, ..Tx::default() };
            let tx = self.txs.entry(key).or_insert_with(alone);
            tx.logs = logs.into_iter().map(|it| it.1).collect();
        }
        let mut by_block: BTreeMap<u64, Vec<Tx>> = BTreeMap::new();
        for (key, mut tx) in self.txs {
            frames.give(key, &mut tx)?;
            by_block.entry(key.0).or_default().push(tx);
        }
        let block = |(number, (block, env)): (u64, (BlockRef, BlockEnv))| {
            let txs = by_block.remove(&number).unwrap_or_default();
            let count = self.counts.get(&number).copied().unwrap_or_default();
            let stage = Stage::Provisional;
            let readings = Readings::default();
            (Observation { block, env, stage, witnesses: 1, txs, readings }, count)
        };
        Ok(headers.into_iter().map(block).collect())
    }
}

/// Block and place of each row.
pub(crate) struct Keys<'a> {
    blocks: Column<'a>,
    places: Column<'a>,
}

impl<'a> Keys<'a> {
    pub(crate) fn of(cells: &Cells<'a>) -> Result<Self, ColumnError> {
        let (blocks, places) = (cells.need("block_number")?, cells.need("transaction_index")?);
        Ok(Self { blocks, places })
    }

    pub(crate) fn at(&self, row: usize) -> Result<Key, ColumnError> {
        let place = u32::try_from(self.places.sure(row)?).unwrap_or(u32::MAX);
        Ok((self.blocks.sure(row)?, place))
    }
}

impl Slice {
    pub(crate) fn holds(self, block: u64) -> bool {
        block >= self.from && block <= self.to
    }
}

struct TxColumns<'a> {
    hash: Column<'a>,
    nonce: Column<'a>,
    from: Column<'a>,
    to: Column<'a>,
    input: Column<'a>,
    gas_limit: Column<'a>,
    values: [Option<Column<'a>>; 2],
    gas_used: Option<Column<'a>>,
    gas_price: Option<Column<'a>>,
    kind: Option<Column<'a>>,
    tip: Option<Column<'a>>,
    cap: Option<Column<'a>>,
    success: Option<Column<'a>>,
}

impl<'a> TxColumns<'a> {
    fn of(cells: &Cells<'a>) -> Result<Self, ColumnError> {
        Ok(Self {
            hash: cells.need("transaction_hash")?,
            nonce: cells.need("nonce")?,
            from: cells.need("from_address")?,
            to: cells.need("to_address")?,
            input: cells.need("input")?,
            gas_limit: cells.need("gas_limit")?,
            values: [cells.have("value_binary"), cells.have("value_string")],
            gas_used: cells.have("gas_used"),
            gas_price: cells.have("gas_price"),
            kind: cells.have("transaction_type"),
            tip: cells.have("max_priority_fee_per_gas"),
            cap: cells.have("max_fee_per_gas"),
            success: cells.have("success"),
        })
    }

    fn tx(&self, row: usize, index: u32) -> Result<Tx, ColumnError> {
        let number = |it: Option<Column<'_>>| -> Result<Option<u64>, ColumnError> {
            it.map(|it| it.number(row)).transpose().map(Option::flatten)
        };
        let value = match self.values {
            [Some(it), _] => it.word(row)?.unwrap_or_default(),
            [None, Some(it)] => it.decimal(row)?,
            [None, None] => U256::ZERO,
        };
        let price = number(self.gas_price)?.unwrap_or_default();
        let kind = number(self.kind)?.unwrap_or_default();
        Ok(Tx {
            hash: self.hash.hash(row)?.unwrap_or_default(),
            index,
            from: self.from.address(row)?.unwrap_or_default(),
            to: self.to.address(row)?,
            nonce: self.nonce.sure(row)?,
            value,
            input: self.input.bytes(row)?.unwrap_or_default(),
            gas_limit: self.gas_limit.sure(row)?,
            envelope: Envelope {
                kind: u8::try_from(kind).unwrap_or_default(),
                ..Envelope::default()
            },
            gas_used: number(self.gas_used)?.unwrap_or_default(),
            max_fee_per_gas: number(self.cap)?.unwrap_or(price).into(),
            max_priority_fee_per_gas: number(self.tip)?.unwrap_or(price).into(),
            succeeded: match self.success {
                Some(it) => it.flag(row)?.unwrap_or(true),
                None => true,
            },
            ..Tx::default()
        })
    }
}

fn blocks(
    cells: &Cells<'_>,
    slice: Slice,
    chain: ChainId,
    out: &mut BTreeMap<u64, (BlockRef, BlockEnv)>,
) -> Result<(), ColumnError> {
    let (number, time) = (cells.need("block_number")?, cells.need("timestamp")?);
    let (hash, parent) = (cells.need("block_hash")?, cells.have("parent_hash"));
    let (author, base) = (cells.have("author"), cells.have("base_fee_per_gas"));
    let (used, limit) = (cells.have("gas_used"), cells.have("gas_limit"));
    let count = |it: Option<Column<'_>>, row| -> Result<Option<u64>, ColumnError> {
        it.map(|it: Column<'_>| it.number(row)).transpose().map(Option::flatten)
    };
    for row in 0..cells.rows() {
        let number = number.sure(row)?;
        if !slice.holds(number) {
            continue;
        }
        let before = out.range(..number).next_back().filter(|it| *it.0 + 1 == number);
        let known = before.map(|it| it.1.0.hash);
        let parent = parent.map(|it| it.hash(row)).transpose()?.flatten();
        let block = BlockRef {
            chain,
            number,
            hash: hash.hash(row)?.unwrap_or_default(),
            parent: parent.or(known).unwrap_or_default(),
            time: Timestamp::from_secs(time.sure(row)?),
        };
        let author = author.map(|it| it.address(row)).transpose()?.flatten();
        let env = BlockEnv {
            beneficiary: author.unwrap_or_default(),
            base_fee: count(base, row)?.unwrap_or_default(),
            gas_used: count(used, row)?,
            gas_limit: count(limit, row)?.unwrap_or_default(),
            ..BlockEnv::default()
        };
        out.insert(number, (block, env));
    }
    Ok(())
}
