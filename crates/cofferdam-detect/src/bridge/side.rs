//! One end of a route: which logs are messages, and what their parameters say.
//!
//! **Invariant:** a log that does not have the declared shape is told of, never read as zeros.

use alloy_primitives::{Address, B256, Log, U256, keccak256};
use cofferdam_core::Tx;

use super::{
    Moved,
    settings::{SideSettings, word},
};
use crate::expr::Signature;

/// The most parts of a key.
const KEY_PARTS_MAX: usize = 8;

/// One end of a route.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) account: Address,
    event: Signature,
    with: Option<(Address, Signature)>,
    key: Vec<Part>,
    asset: Option<Asset>,
    amount: Option<Param>,
    recipient: Option<Param>,
    only: Vec<(Param, U256)>,
}

/// A message as one end tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) key: B256,
    pub(crate) what: Moved,
    /// Position of its log in the transaction.
    pub(crate) log: u32,
}

/// A parameter: of the companion or not, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Param {
    companion: bool,
    index: usize,
}

/// A part of a key.
#[derive(Clone, Copy, Debug)]
struct Part {
    param: Param,
    shift: usize,
    mask: U256,
}

#[derive(Clone, Copy, Debug)]
enum Asset {
    Param(Param),
    Fixed(U256),
}

impl Side {
    /// Reads a side; the error says what is wrong, for people.
    pub(super) fn build(it: &SideSettings) -> Result<Self, String> {
        let signature =
            |text: &str| Signature::parse(text).map_err(|_| format!("`{text}` is no event"));
        let event = signature(&it.event)?;
        let with = match &it.with {
            Some(it) => Some((it.account.address, signature(&it.event)?)),
            None => None,
        };
        let param = |name: &str| {
            let own = event.param(name).map(|index| Param { companion: false, index });
            let other = || {
                let index = with.as_ref()?.1.param(name)?;
                Some(Param { companion: true, index })
            };
            own.or_else(other).ok_or_else(|| format!("no event has a parameter `{name}`"))
        };
        if it.key.is_empty() || it.key.len() > KEY_PARTS_MAX {
            return Err(format!("a key has 1 to {KEY_PARTS_MAX} parts"));
        }
        let key = it.key.iter().map(|text| part(text, &param)).collect::<Result<_, _>>()?;
        let asset = match &it.asset {
            None => None,
            Some(text) => Some(match word(text) {
                Some(fixed) => Asset::Fixed(fixed),
                None => Asset::Param(param(text)?),
            }),
        };
        let named = |it: &Option<String>| it.as_deref().map(&param).transpose();
        let (amount, recipient) = (named(&it.amount)?, named(&it.recipient)?);
        let only = it.only.iter().map(|(name, value)| Ok((param(name)?, *value)));
        let only = only.collect::<Result<_, String>>()?;
        Ok(Self { account: it.account.address, event, with, key, asset, amount, recipient, only })
    }

    /// The messages of a transaction, and how many logs do not have the declared shape.
    pub(crate) fn messages(&self, tx: &Tx) -> (Vec<Message>, usize) {
        let own = logs(tx, self.account, &self.event);
        if own.is_empty() {
            return (Vec::new(), 0);
        }
        let others = self.with.as_ref().map(|(account, event)| logs(tx, *account, event));
        if others.as_ref().is_some_and(|it| it.len() != own.len()) {
            return (Vec::new(), own.len());
        }
        let (mut messages, mut faults) = (Vec::new(), 0);
        for (index, (at, log)) in own.iter().enumerate() {
            let other = others.as_ref().and_then(|it| it.get(index)).map(|it| it.1);
            match self.message(*at, log, other) {
                Some(it) => messages.extend(it),
                None => faults += 1,
            }
        }
        (messages, faults)
    }

    /// `None` if a parameter cannot be read, `Some(None)` if the message goes elsewhere.
    fn message(&self, at: u32, log: &Log, other: Option<&Log>) -> Option<Option<Message>> {
        let read = |it: Param| match it.companion {
            false => value(&self.event, log, it.index),
            true => value(&self.with.as_ref()?.1, other?, it.index),
        };
        for (param, wanted) in &self.only {
            if read(*param)? != *wanted {
                return Some(None);
            }
        }
        let mut bytes = Vec::with_capacity(self.key.len() * 32);
        for part in &self.key {
            let value = (read(part.param)? >> part.shift) & part.mask;
            bytes.extend_from_slice(&value.to_be_bytes::<32>());
        }
        let asset = match self.asset {
            None => None,
            Some(Asset::Fixed(word)) => Some(word),
            Some(Asset::Param(it)) => Some(read(it)?),
        };
        let optional = |it: Option<Param>| match it {
            None => Some(None),
            Some(it) => read(it).map(Some),
        };
        let (amount, recipient) = (optional(self.amount)?, optional(self.recipient)?);
        let what = Moved { asset, amount, recipient };
        Some(Some(Message { key: keccak256(&bytes), what, log: at }))
    }
}

/// The logs of `event` by `account` with their positions. A log of another shape counts: it is told of.
fn logs<'t>(tx: &'t Tx, account: Address, event: &Signature) -> Vec<(u32, &'t Log)> {
    let topic = event.topic();
    let hit =
        |it: &(u32, &Log)| it.1.address == account && it.1.data.topics().first() == Some(&topic);
    (0u32..).zip(&tx.logs).filter(|it| tx.succeeded && hit(it)).collect()
}

/// A parameter as a word.
fn value(event: &Signature, log: &Log, index: usize) -> Option<U256> {
    let param = event.params.get(index)?;
    let word = match param.indexed {
        true => U256::from_be_bytes(log.data.topics().get(param.place)?.0),
        false => {
            let start = param.place.checked_mul(32)?;
            U256::from_be_slice(log.data.data.get(start..start.checked_add(32)?)?)
        }
    };
    // Only what is a value of its type: an address with high bits is none.
    param.ty.decode(word).map(|_| word)
}

/// `name`, `name >> 32` or `name & 0xff`.
fn part(text: &str, param: &impl Fn(&str) -> Result<Param, String>) -> Result<Part, String> {
    let number = |it: &str| it.trim().parse::<U256>().map_err(|_| format!("`{it}` is no number"));
    if let Some((name, shift)) = text.split_once(">>") {
        let shift = number(shift)?.try_into().ok().filter(|it: &usize| *it < 256);
        let shift = shift.ok_or_else(|| format!("`{text}` shifts everything away"))?;
        return Ok(Part { param: param(name.trim())?, shift, mask: U256::MAX });
    }
    if let Some((name, mask)) = text.split_once('&') {
        return Ok(Part { param: param(name.trim())?, shift: 0, mask: number(mask)? });
    }
    Ok(Part { param: param(text.trim())?, shift: 0, mask: U256::MAX })
}
