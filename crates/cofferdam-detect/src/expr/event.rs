//! What triggers a rule, and the fields of one event of it.
//!
//! **Invariant:** everything read here may have been made by an attacker; a log or call that does not
//! have the declared shape is a fault, never a row of zeros.

use alloy_primitives::{Address, Log, U256};
use cofferdam_core::{
    Fact, Observation, Tx,
    tx::{CallKind, Frame},
};

use super::{
    abi::Signature,
    error::Fault,
    facts::Kind,
    int::Int,
    template::{Format, show},
    typed::Ty,
};

/// What makes a rule look.
#[derive(Debug)]
pub(crate) enum Trigger {
    /// A fact of this kind.
    Fact(&'static Kind),
    /// A log with this signature.
    Log(Signature),
    /// A call of this function.
    Call(Signature),
    /// A transaction that touches a contract.
    Transaction,
    /// A block in which a contract was touched.
    Touched,
    /// Every block.
    Block,
}

/// Something an expression can name whose value comes with the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// Field of the fact or parameter of the log or call, by position.
    Own(u8),
    CallFrom,
    CallTo,
    CallValue,
    CallDepth,
    TxFrom,
    TxTo,
    TxCreates,
    TxValue,
    TxNonce,
    TxIndex,
    TxHash,
    TxSelector,
    TxGasUsed,
    TxSucceeded,
    BlockNumber,
    BlockTime,
    BlockBaseFee,
    BlockPending,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'a> {
    pub(crate) observation: &'a Observation,
    /// `None` for a block.
    pub(crate) tx: Option<&'a Tx>,
    pub(crate) what: What<'a>,
}

/// The particular of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What<'a> {
    Nothing,
    Fact(&'a Kind, &'a Fact),
    Log(&'a Signature, &'a Log),
    Call(&'a Signature, Called<'a>),
}

/// A call, from the call tree or, without one, the transaction's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called<'a> {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) value: U256,
    pub(crate) depth: u16,
    pub(crate) input: &'a [u8],
}

/// Where the fields of an evaluation come from.
pub(crate) trait Source {
    /// The value of `field`.
    ///
    /// # Errors
    /// [`Fault::Shape`] if the event does not have it.
    fn field(&self, field: Field) -> Result<Int, Fault>;
}

const CALL: &[(&str, Field, Ty)] = &[
    ("call.from", Field::CallFrom, Ty::Address),
    ("call.to", Field::CallTo, Ty::Address),
    ("call.value", Field::CallValue, Ty::Int),
    ("call.depth", Field::CallDepth, Ty::Int),
];

const TX: &[(&str, Field, Ty)] = &[
    ("tx.from", Field::TxFrom, Ty::Address),
    ("tx.to", Field::TxTo, Ty::Address),
    ("tx.creates", Field::TxCreates, Ty::Bool),
    ("tx.value", Field::TxValue, Ty::Int),
    ("tx.nonce", Field::TxNonce, Ty::Int),
    ("tx.index", Field::TxIndex, Ty::Int),
    ("tx.hash", Field::TxHash, Ty::Bytes32),
    ("tx.selector", Field::TxSelector, Ty::Bytes4),
    ("tx.gas_used", Field::TxGasUsed, Ty::Int),
    ("tx.succeeded", Field::TxSucceeded, Ty::Bool),
];

const BLOCK: &[(&str, Field, Ty)] = &[
    ("block.number", Field::BlockNumber, Ty::Int),
    ("block.time", Field::BlockTime, Ty::Int),
    ("block.base_fee", Field::BlockBaseFee, Ty::Int),
    ("block.pending", Field::BlockPending, Ty::Bool),
];

impl Trigger {
    /// The field called `name`. Parameters without a usable value have none.
    pub(crate) fn field(&self, name: &str) -> Option<(Field, Ty)> {
        self.own(name).or_else(|| {
            let mut shared = self.shared();
            shared.find(|it| it.0 == name).map(|it| (it.1, it.2))
        })
    }

    fn own(&self, name: &str) -> Option<(Field, Ty)> {
        let (index, ty) = match self {
            Self::Fact(kind) => {
                let index = kind.fields.iter().position(|it| it.0 == name)?;
                (index, kind.fields.get(index)?.1)
            }
            Self::Log(signature) | Self::Call(signature) => {
                let index = signature.param(name)?;
                (index, signature.params.get(index)?.ty.ty()?)
            }
            Self::Transaction | Self::Touched | Self::Block => return None,
        };
        u8::try_from(index).ok().map(|index| (Field::Own(index), ty))
    }

    fn shared(&self) -> impl Iterator<Item = &'static (&'static str, Field, Ty)> + use<> {
        let in_tx = !matches!(self, Self::Touched | Self::Block);
        let call: &[_] = if matches!(self, Self::Call(_)) { CALL } else { &[] };
        let tx: &[_] = if in_tx { TX } else { &[] };
        BLOCK.iter().chain(tx).chain(call)
    }

    /// The names of the fields of this trigger alone, in order.
    pub(crate) fn own_names(&self) -> Vec<String> {
        match self {
            Self::Fact(kind) => kind.fields.iter().map(|it| it.0.to_owned()).collect(),
            Self::Log(signature) | Self::Call(signature) => {
                let named = signature.params.iter().enumerate().map(|(index, it)| {
                    if it.name.is_empty() { format!("arg{index}") } else { it.name.clone() }
                });
                named.collect()
            }
            Self::Transaction | Self::Touched | Self::Block => Vec::new(),
        }
    }

    /// The names of every field.
    pub(crate) fn names(&self) -> Vec<String> {
        let shared = self.shared().map(|it| it.0.to_owned());
        self.own_names().into_iter().chain(shared).collect()
    }

    /// The fields of this trigger alone with their values in `event`, for people.
    pub(crate) fn shown(&self, event: &Event<'_>) -> Vec<(String, String)> {
        let mut out = Vec::new();
        for name in self.own_names() {
            let Some((field, ty)) = self.own(&name) else { continue };
            let value = match event.field(field) {
                Ok(value) => show(value, ty, Format::Plain),
                Err(fault) => format!("unknown ({fault})"),
            };
            out.push((name, value));
        }
        out
    }

    /// Whether it comes with every block, whatever that touches.
    pub(crate) fn is_every_block(&self) -> bool {
        matches!(self, Self::Block)
    }

    /// Whether events of it can be missed without call tree and state diff.
    pub(crate) fn needs_tracing(&self) -> bool {
        match self {
            Self::Fact(kind) => kind.needs_tracing(),
            Self::Call(_) => true,
            _ => false,
        }
    }
}

impl<'a> Called<'a> {
    /// The call of `frame`, if it runs the callee's code on the callee's own state and lasts.
    pub(crate) fn of_frame(frame: &'a Frame) -> Option<Self> {
        let plain = matches!(frame.kind, CallKind::Call | CallKind::StaticCall);
        let Frame { from, to, value, depth, .. } = *frame;
        (plain && !frame.undone).then_some(Self { from, to, value, depth, input: &frame.input })
    }

    /// The call that the transaction itself is.
    pub(crate) fn of_tx(tx: &'a Tx) -> Option<Self> {
        let to = tx.to.filter(|_| tx.succeeded)?;
        Some(Self { from: tx.from, to, value: tx.value, depth: 0, input: &tx.input })
    }
}

impl Source for Event<'_> {
    fn field(&self, field: Field) -> Result<Int, Fault> {
        let block = &self.observation.block;
        Ok(match field {
            Field::Own(index) => return self.what.own(index),
            Field::BlockNumber => Int::from(block.number),
            Field::BlockTime => Int::from(block.time.0 / 1_000),
            Field::BlockBaseFee => Int::from(self.observation.env.base_fee),
            Field::BlockPending => {
                Int::truth(self.observation.stage == cofferdam_core::Stage::Pending)
            }
            Field::CallFrom | Field::CallTo | Field::CallValue | Field::CallDepth => {
                let What::Call(_, call) = self.what else { return Err(Fault::Shape) };
                match field {
                    Field::CallFrom => Int::from(call.from),
                    Field::CallTo => Int::from(call.to),
                    Field::CallValue => Int::unsigned(call.value),
                    _ => Int::from(u64::from(call.depth)),
                }
            }
            _ => of_tx(self.tx.ok_or(Fault::Shape)?, field),
        })
    }
}

fn of_tx(tx: &Tx, field: Field) -> Int {
    match field {
        Field::TxFrom => Int::from(tx.from),
        Field::TxTo => tx.to.map_or(Int::ZERO, Int::from),
        Field::TxCreates => Int::truth(tx.to.is_none()),
        Field::TxValue => Int::unsigned(tx.value),
        Field::TxNonce => Int::from(tx.nonce),
        Field::TxIndex => Int::from(u64::from(tx.index)),
        Field::TxHash => Int::from(tx.hash),
        Field::TxGasUsed => Int::from(tx.gas_used),
        Field::TxSucceeded => Int::truth(tx.succeeded),
        _ => tx.selector().map_or(Int::ZERO, |it| Int::from(u64::from(u32::from_be_bytes(it)))),
    }
}

impl What<'_> {
    /// Whether the log or calldata has the declared shape.
    pub(crate) fn is_shaped(&self) -> bool {
        match self {
            Self::Nothing | Self::Fact(..) => true,
            Self::Log(signature, log) => {
                log.data.topics().len() == signature.topics()
                    && log.data.data.len() >= signature.words() * 32
            }
            Self::Call(signature, call) => call.input.len() >= 4 + signature.words() * 32,
        }
    }

    fn own(&self, index: u8) -> Result<Int, Fault> {
        let value = match self {
            Self::Nothing => None,
            Self::Fact(kind, fact) => (kind.value)(fact, index),
            Self::Log(signature, log) => signature.params.get(usize::from(index)).and_then(|it| {
                let word = match it.indexed {
                    true => U256::from_be_bytes(log.data.topics().get(it.place)?.0),
                    false => word(&log.data.data, it.place)?,
                };
                it.ty.decode(word)
            }),
            Self::Call(signature, call) => signature
                .params
                .get(usize::from(index))
                .and_then(|it| it.ty.decode(word(call.input.get(4..)?, it.place)?)),
        };
        value.ok_or(Fault::Shape)
    }
}

fn word(data: &[u8], index: usize) -> Option<U256> {
    let start = index.checked_mul(32)?;
    data.get(start..start.checked_add(32)?).map(U256::from_be_slice)
}
