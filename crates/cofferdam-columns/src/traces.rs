//! Parity traces as rows: one per call, ordered by trace address.
//!
//! **Invariant:** a transaction's rows form a tree, or the file is refused; block rewards belong to no transaction.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes, U256};
use cofferdam_core::{
    Tx,
    evidence::Tracing,
    trace::link_frames,
    tx::{CallKind, Frame},
};

use crate::{
    ColumnError, Slice,
    cells::{Cells, Column},
};

/// A frame with its trace address.
type Placed = (Vec<u32>, Frame);

/// The frames of a slice, by transaction.
#[derive(Default)]
pub(crate) struct Frames {
    of: BTreeMap<(u64, u32), Vec<Placed>>,
}

struct Columns<'a> {
    kind: Column<'a>,
    call: Column<'a>,
    from: Column<'a>,
    to: Column<'a>,
    value: Column<'a>,
    input: Column<'a>,
    init: Column<'a>,
    output: Column<'a>,
    code: Column<'a>,
    created: Column<'a>,
    address: Column<'a>,
    error: Column<'a>,
}

impl Frames {
    pub(crate) fn take(&mut self, cells: &Cells<'_>, slice: Slice) -> Result<(), ColumnError> {
        let (blocks, places) = (cells.need("block_number")?, cells.need("transaction_index")?);
        let columns = Columns::of(cells)?;
        for row in 0..cells.rows() {
            let block = blocks.sure(row)?;
            // Block rewards have none.
            let Some(place) = places.number(row)?.filter(|_| slice.holds(block)) else { continue };
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            if let Some(frame) = columns.frame(row)? {
                self.of.entry((block, place)).or_default().push(frame);
            }
        }
        Ok(())
    }

    /// Hands a transaction its frames.
    pub(crate) fn give(&mut self, key: (u64, u32), tx: &mut Tx) -> Result<(), ColumnError> {
        let Some(mut frames) = self.of.remove(&key) else { return Ok(()) };
        frames.sort_by(|a, b| a.0.cmp(&b.0));
        let mut frames: Vec<Frame> = frames.into_iter().map(|it| it.1).collect();
        link_frames(&mut frames).map_err(|at| ColumnError::Missing {
            what: format!(
                "traces of transaction {} in block {}: row {at} has no parent",
                key.1, key.0
            ),
        })?;
        let root = frames.first();
        tx.created = root.filter(|it| it.kind == CallKind::Create && it.succeeded).map(|it| it.to);
        tx.frames = frames;
        tx.tracing = Tracing::Node;
        Ok(())
    }
}

impl<'a> Columns<'a> {
    fn of(cells: &Cells<'a>) -> Result<Self, ColumnError> {
        Ok(Self {
            kind: cells.need("action_type")?,
            call: cells.need("action_call_type")?,
            from: cells.need("action_from")?,
            to: cells.need("action_to")?,
            value: cells.need("action_value")?,
            input: cells.need("action_input")?,
            init: cells.need("action_init")?,
            output: cells.need("result_output")?,
            code: cells.need("result_code")?,
            created: cells.need("result_address")?,
            address: cells.need("trace_address")?,
            error: cells.need("error")?,
        })
    }

    fn frame(&self, row: usize) -> Result<Option<Placed>, ColumnError> {
        let kind = self.kind.text(row)?.unwrap_or_default();
        let call = self.call.text(row)?.unwrap_or_default();
        let address = |it: &Column<'_>| -> Result<Address, ColumnError> {
            Ok(it.address(row)?.unwrap_or_default())
        };
        let bytes = |it: &Column<'_>| -> Result<Bytes, ColumnError> {
            Ok(it.bytes(row)?.unwrap_or_default())
        };
        let (kind, to, input, output) = match (kind.as_str(), call.as_str()) {
            ("create", _) => {
                (CallKind::Create, address(&self.created)?, bytes(&self.init)?, bytes(&self.code)?)
            }
            ("suicide", _) => {
                (CallKind::SelfDestruct, address(&self.to)?, Bytes::new(), Bytes::new())
            }
            ("call", call) => {
                let kind = match call {
                    "static_call" => CallKind::StaticCall,
                    "delegate_call" => CallKind::DelegateCall,
                    "call_code" => CallKind::CallCode,
                    _ => CallKind::Call,
                };
                (kind, address(&self.to)?, bytes(&self.input)?, bytes(&self.output)?)
            }
            // A reward.
            _ => return Ok(None),
        };
        // Parity repeats the value of the caller's frame, which does not move.
        let value = match kind {
            CallKind::DelegateCall => U256::ZERO,
            _ => self.value.decimal(row)?,
        };
        let place = path(&self.address.text(row)?.unwrap_or_default());
        let frame = Frame {
            parent: None,
            depth: u16::try_from(place.len()).unwrap_or(u16::MAX),
            kind,
            from: address(&self.from)?,
            to,
            value,
            input,
            output,
            succeeded: self.error.text(row)?.is_none_or(|it| it.is_empty()),
            undone: false,
        };
        Ok(Some((place, frame)))
    }
}

/// `0_1_3`; empty for the root.
fn path(text: &str) -> Vec<u32> {
    text.split('_').filter(|it| !it.is_empty()).map(|it| it.parse().unwrap_or(u32::MAX)).collect()
}

/// The trace address of every frame of a tree in call order, as cryo writes it, and how many frames each opened.
pub(crate) fn addresses(frames: &[Frame]) -> Vec<(String, u32)> {
    let mut opened = vec![0_u32; frames.len()];
    let mut out: Vec<String> = Vec::with_capacity(frames.len());
    for frame in frames {
        let above = frame.parent.and_then(|it| usize::try_from(it).ok());
        let text = match above.and_then(|it| Some((out.get(it)?, opened.get_mut(it)?))) {
            Some((above, opened)) => {
                let own = *opened;
                *opened += 1;
                if above.is_empty() { own.to_string() } else { format!("{above}_{own}") }
            }
            None => String::new(),
        };
        out.push(text);
    }
    out.into_iter().zip(opened).collect()
}
