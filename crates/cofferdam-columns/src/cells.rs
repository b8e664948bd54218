//! Cells of a batch by column name and row, whatever of the usual types the column has.
//!
//! **Invariant:** a value that does not fit is an error, a null is `None`.

use std::path::Path;

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use arrow_array::{
    Array, BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Int32Array,
    Int64Array, LargeBinaryArray, LargeStringArray, RecordBatch, StringArray, UInt32Array,
    UInt64Array, types::Int32Type,
};

use crate::ColumnError;

/// A batch of one file.
pub(crate) struct Cells<'a> {
    path: &'a Path,
    batch: &'a RecordBatch,
}

/// A column found by name.
#[derive(Clone, Copy)]
pub(crate) struct Column<'a> {
    path: &'a Path,
    name: &'static str,
    array: &'a dyn Array,
}

impl<'a> Cells<'a> {
    pub(crate) fn new(path: &'a Path, batch: &'a RecordBatch) -> Self {
        Self { path, batch }
    }

    pub(crate) fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// A column that must be there.
    pub(crate) fn need(&self, name: &'static str) -> Result<Column<'a>, ColumnError> {
        let missing = || ColumnError::layout(self.path, format!("there is no column `{name}`"));
        self.have(name).ok_or_else(missing)
    }

    /// A column that may be there.
    pub(crate) fn have(&self, name: &'static str) -> Option<Column<'a>> {
        let array = self.batch.column_by_name(name)?;
        Some(Column { path: self.path, name, array: array.as_ref() })
    }
}

impl<'a> Column<'a> {
    fn wrong(&self, row: usize, what: &str) -> ColumnError {
        ColumnError::layout(self.path, format!("column `{}`, row {row}: {what}", self.name))
    }

    fn odd(&self) -> ColumnError {
        let what = format!("column `{}` has type {}", self.name, self.array.data_type());
        ColumnError::layout(self.path, what)
    }

    /// Raw bytes, or the bytes of a hex text (`cryo --hex`).
    pub(crate) fn bytes(&self, row: usize) -> Result<Option<Bytes>, ColumnError> {
        if self.array.is_null(row) {
            return Ok(None);
        }
        let any = self.array.as_any();
        if let Some(it) = any.downcast_ref::<BinaryArray>() {
            return Ok(Some(Bytes::copy_from_slice(it.value(row))));
        }
        if let Some(it) = any.downcast_ref::<LargeBinaryArray>() {
            return Ok(Some(Bytes::copy_from_slice(it.value(row))));
        }
        if let Some(it) = any.downcast_ref::<FixedSizeBinaryArray>() {
            return Ok(Some(Bytes::copy_from_slice(it.value(row))));
        }
        if let Some(it) = any.downcast_ref::<DictionaryArray<Int32Type>>() {
            let key =
                usize::try_from(it.keys().value(row)).map_err(|_| self.wrong(row, "no key"))?;
            let values = Column { array: it.values().as_ref(), ..*self };
            return values.bytes(key);
        }
        let text = self.text(row)?.unwrap_or_default();
        let bytes = hex::decode(&text).map_err(|_| self.wrong(row, "no bytes and no hex"))?;
        Ok(Some(bytes.into()))
    }

    pub(crate) fn text(&self, row: usize) -> Result<Option<String>, ColumnError> {
        if self.array.is_null(row) {
            return Ok(None);
        }
        let any = self.array.as_any();
        if let Some(it) = any.downcast_ref::<StringArray>() {
            return Ok(Some(it.value(row).to_owned()));
        }
        let it = any.downcast_ref::<LargeStringArray>().ok_or_else(|| self.odd())?;
        Ok(Some(it.value(row).to_owned()))
    }

    pub(crate) fn address(&self, row: usize) -> Result<Option<Address>, ColumnError> {
        let bytes = self.bytes(row)?;
        let address = |it: Bytes| Address::try_from(it.as_ref());
        bytes.map(address).transpose().map_err(|_| self.wrong(row, "no address of 20 bytes"))
    }

    pub(crate) fn hash(&self, row: usize) -> Result<Option<B256>, ColumnError> {
        let bytes = self.bytes(row)?;
        let hash = |it: Bytes| B256::try_from(it.as_ref());
        bytes.map(hash).transpose().map_err(|_| self.wrong(row, "no hash of 32 bytes"))
    }

    pub(crate) fn number(&self, row: usize) -> Result<Option<u64>, ColumnError> {
        if self.array.is_null(row) {
            return Ok(None);
        }
        let any = self.array.as_any();
        if let Some(it) = any.downcast_ref::<UInt32Array>() {
            return Ok(Some(it.value(row).into()));
        }
        if let Some(it) = any.downcast_ref::<UInt64Array>() {
            return Ok(Some(it.value(row)));
        }
        let signed = match any.downcast_ref::<Int64Array>() {
            Some(it) => it.value(row),
            None => any.downcast_ref::<Int32Array>().ok_or_else(|| self.odd())?.value(row).into(),
        };
        u64::try_from(signed).map(Some).map_err(|_| self.wrong(row, "a negative number"))
    }

    /// A number that must be there.
    pub(crate) fn sure(&self, row: usize) -> Result<u64, ColumnError> {
        self.number(row)?.ok_or_else(|| self.wrong(row, "no value"))
    }

    pub(crate) fn flag(&self, row: usize) -> Result<Option<bool>, ColumnError> {
        if self.array.is_null(row) {
            return Ok(None);
        }
        let it = self.array.as_any().downcast_ref::<BooleanArray>().ok_or_else(|| self.odd())?;
        Ok(Some(it.value(row)))
    }

    /// A decimal text.
    pub(crate) fn decimal(&self, row: usize) -> Result<U256, ColumnError> {
        let text = self.text(row)?.unwrap_or_default();
        text.parse().map_err(|_| self.wrong(row, "no decimal number"))
    }

    /// A big-endian number of at most 32 bytes.
    pub(crate) fn word(&self, row: usize) -> Result<Option<U256>, ColumnError> {
        let bytes = self.bytes(row)?;
        let word = |it: Bytes| U256::try_from_be_slice(&it);
        bytes.map(|it| word(it).ok_or_else(|| self.wrong(row, "no word of 32 bytes"))).transpose()
    }
}
