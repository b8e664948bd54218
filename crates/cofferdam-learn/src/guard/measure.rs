//! What the 23 invariants measure of one transaction.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256, U512};
use serde::{Deserialize, Serialize};

use super::{Invariant, Place};
use crate::{
    Door, Entry, Sample,
    sample::Total,
    text::{Pair, decimal},
};

/// Doors and prices that are remembered from block to block while learning.
const REMEMBERED_MAX: usize = 4_096;
/// Doors per account and block that are compared with one another.
const VISITS_MAX: usize = 32;

/// One measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Yes(bool),
    Number(U256),
    Account(Address),
    Pairs(Vec<Pair>),
}

/// What measuring remembers. Of the present block: who went through which doors. Across blocks: when a
/// door was last used and what a price was, only where a guard asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    last: BTreeMap<Door, u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    prices: BTreeMap<String, Number>,
    #[serde(skip)]
    by_sender: BTreeMap<Address, Vec<Door>>,
    #[serde(skip)]
    by_origin: BTreeMap<Address, Vec<Door>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Number(#[serde(with = "decimal")] U256);

impl Memory {
    /// Forgets who went through which doors: another block begins.
    pub fn begin_block(&mut self) {
        self.by_sender.clear();
        self.by_origin.clear();
    }
}

type Tell<'a> = &'a mut dyn FnMut(Invariant, Place, Value);
type Remember<'a> = &'a dyn Fn(Invariant, &Place) -> bool;

/// Measures a transaction. `remember` says for which places state across blocks is wanted.
pub(crate) fn measure(
    sample: &Sample,
    memory: &mut Memory,
    remember: Remember<'_>,
    tell: Tell<'_>,
) {
    for entry in &sample.entries {
        access(sample, entry, tell);
        visits(sample, entry, memory, tell);
        arguments(entry, tell);
        last_update(sample, entry, memory, remember, tell);
    }
    let mut doors: Vec<Door> = sample.entries.iter().map(|it| it.door).collect();
    doors.sort_unstable();
    doors.dedup();
    for door in doors {
        let number = |it: u64| Value::Number(U256::from(it));
        tell(Invariant::GasStart, at(door), number(sample.gas_limit));
        tell(Invariant::GasUsed, at(door), number(sample.gas_used));
    }
    if !sample.entries.is_empty() {
        tell(Invariant::NonReentrant, Place::default(), Value::Pairs(sample.nested.clone()));
    }
    for (contract, most) in &sample.written {
        tell(Invariant::MappingBound, of(*contract), Value::Number(*most));
    }
    for (contract, total, value) in &sample.totals {
        let invariant = match total {
            Total::Supply => Invariant::TotalSupply,
            Total::Borrow => Invariant::TotalBorrow,
        };
        tell(invariant, of(*contract), Value::Number(*value));
    }
    prices(sample, memory, remember, tell);
    money(sample, tell);
}

fn at(door: Door) -> Place {
    Place { contract: Some(door.contract), selector: Some(door.selector), ..Place::default() }
}

fn of(contract: Address) -> Place {
    Place { contract: Some(contract), ..Place::default() }
}

fn access(sample: &Sample, entry: &Entry, tell: Tell<'_>) {
    let place = at(entry.door);
    tell(Invariant::OnlyEoa, place.clone(), Value::Yes(entry.sender == sample.origin));
    for invariant in [Invariant::SenderOwner, Invariant::SenderManager] {
        tell(invariant, place.clone(), Value::Account(entry.sender));
    }
    for invariant in [Invariant::OriginOwner, Invariant::OriginManager] {
        tell(invariant, place.clone(), Value::Account(sample.origin));
    }
}

/// The pairs that this entry makes with earlier ones of the block by the same account.
fn visits(sample: &Sample, entry: &Entry, memory: &mut Memory, tell: Tell<'_>) {
    let by = [
        (Invariant::SameSenderBlock, entry.sender, &mut memory.by_sender),
        (Invariant::SameOriginBlock, sample.origin, &mut memory.by_origin),
    ];
    for (invariant, account, book) in by {
        let before = book.entry(account).or_default();
        let pair = |first: &Door| Pair { first: *first, second: entry.door };
        tell(invariant, Place::default(), Value::Pairs(before.iter().map(pair).collect()));
        if before.len() < VISITS_MAX && !before.contains(&entry.door) {
            before.push(entry.door);
        }
    }
}

fn arguments(entry: &Entry, tell: Tell<'_>) {
    tell(Invariant::CallValue, at(entry.door), Value::Number(entry.value));
    for (word, value) in (0u8..).zip(&entry.words) {
        let place = Place { word: Some(word), ..at(entry.door) };
        tell(Invariant::DataFlowUpper, place.clone(), Value::Number(*value));
        tell(Invariant::DataFlowLower, place, Value::Number(*value));
    }
}

fn last_update(
    sample: &Sample,
    entry: &Entry,
    memory: &mut Memory,
    remember: Remember<'_>,
    tell: Tell<'_>,
) {
    let place = at(entry.door);
    if !remember(Invariant::LastUpdate, &place) {
        return;
    }
    let room = memory.last.len() < REMEMBERED_MAX;
    match memory.last.get_mut(&entry.door) {
        Some(last) => {
            let blocks = sample.block.saturating_sub(*last);
            *last = sample.block.max(*last);
            tell(Invariant::LastUpdate, place, Value::Number(U256::from(blocks)));
        }
        None if room => _ = memory.last.insert(entry.door, sample.block),
        None => {}
    }
}

fn prices(sample: &Sample, memory: &mut Memory, remember: Remember<'_>, tell: Tell<'_>) {
    for price in &sample.prices {
        let data = Some(price.data.clone());
        let place = Place { contract: Some(price.feed), data, ..Place::default() };
        tell(Invariant::OracleRange, place.clone(), Value::Number(price.value));
        if !remember(Invariant::OracleDeviation, &place) {
            continue;
        }
        let key = place.to_string();
        let room = memory.prices.len() < REMEMBERED_MAX;
        match memory.prices.get_mut(&key) {
            Some(last) => {
                let away = ppm(last.0.abs_diff(price.value), last.0);
                *last = Number(price.value);
                tell(Invariant::OracleDeviation, place, Value::Number(away));
            }
            None if room => _ = memory.prices.insert(key, Number(price.value)),
            None => {}
        }
    }
}

fn money(sample: &Sample, tell: Tell<'_>) {
    for flow in &sample.flows {
        let place = Place { asset: Some(flow.asset), ..of(flow.contract) };
        let sides = [
            (Invariant::TokenIn, Invariant::TokenInRatio, flow.received),
            (Invariant::TokenOut, Invariant::TokenOutRatio, flow.sent),
        ];
        for (cap, ratio, amount) in sides {
            if amount.is_zero() {
                continue;
            }
            tell(cap, place.clone(), Value::Number(amount));
            if let Some(held) = flow.held {
                tell(ratio, place.clone(), Value::Number(ppm(amount, held)));
            }
        }
    }
}

/// `part` of `whole` in parts per million, saturating; of nothing it is everything there is.
fn ppm(part: U256, whole: U256) -> U256 {
    let scaled = U512::from(part) * U512::from(1_000_000u32);
    let none = if part.is_zero() { U512::ZERO } else { U512::MAX };
    U256::saturating_from(scaled.checked_div(U512::from(whole)).unwrap_or(none))
}
