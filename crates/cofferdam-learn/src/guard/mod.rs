//! Bounds in the manner of Trace2Inv's 23 invariants, off chain: what a contract's history never left.
//!
//! **Invariant:** every invariant is a way to measure a transaction and a kind of bound on the measure.
//! Learning, judging on the hold-out and watching live go through the one function that measures.

mod invariant;
mod measure;
mod train;

use alloy_primitives::{Address, Bytes, U256};
use cofferdam_core::plan::AssetId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Proof, Sample,
    text::{Pair, Selector, decimal},
};

pub use invariant::{Category, Invariant, Unit};
pub use measure::Memory;
pub(crate) use measure::{Value, measure};
pub(crate) use train::Tallies;

/// What an invariant is measured at.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) contract: Option<Address>,
    pub(crate) selector: Option<Selector>,
    pub(crate) word: Option<u8>,
    pub(crate) asset: Option<AssetId>,
    pub(crate) data: Option<Bytes>,
}

/// One learned guard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Guard {
    /// Which of the 23.
    pub invariant: Invariant,
    /// The contract, or for a price the feed; left out: the whole entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub contract: Option<Address>,
    /// The function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// Which word of its arguments, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<u8>,
    /// The asset that moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<AssetId>,
    /// The call by which a price is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub data: Option<Bytes>,
    /// What has never been left.
    pub bound: Bound,
    /// What is known about it.
    pub proof: Proof,
}

/// A bound on a measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// It is always so.
    Always,
    /// Never more than this.
    AtMost(
        #[serde(with = "decimal")]
        #[schemars(with = "String")]
        U256,
    ),
    /// Never less than this.
    AtLeast(
        #[serde(with = "decimal")]
        #[schemars(with = "String")]
        U256,
    ),
    /// Never outside.
    Between(
        #[serde(with = "decimal")]
        #[schemars(with = "String")]
        U256,
        #[serde(with = "decimal")]
        #[schemars(with = "String")]
        U256,
    ),
    /// Always one of these accounts.
    OneOf(#[schemars(with = "Vec<String>")] Vec<Address>),
    /// No pair but these.
    Pairs(Vec<Pair>),
}

/// A guard that a transaction broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach<'a> {
    /// The guard.
    pub guard: &'a Guard,
    /// What was measured, for people.
    pub measured: String,
}

/// Guards of one entity, ready for look-up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    by_place: std::collections::BTreeMap<(Invariant, Place), Guard>,
}

impl Guard {
    pub(crate) fn place(&self) -> Place {
        Place {
            contract: self.contract,
            selector: self.selector,
            word: self.word,
            asset: self.asset,
            data: self.data.clone(),
        }
    }

    /// Where it holds, for people.
    pub fn whereabouts(&self) -> String {
        self.place().to_string()
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.contract {
            Some(it) => write!(f, "{it:#x}")?,
            None => f.write_str("the entity")?,
        }
        if let Some(it) = self.selector {
            write!(f, ":{it}")?;
        }
        if let Some(it) = self.word {
            write!(f, " word {it}")?;
        }
        if let Some(it) = self.asset {
            write!(f, " {it}")?;
        }
        if let Some(it) = &self.data {
            write!(f, " asked {it}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::AtMost(it) => write!(f, "at most {it}"),
            Self::AtLeast(it) => write!(f, "at least {it}"),
            Self::Between(low, high) => write!(f, "between {low} and {high}"),
            Self::OneOf(list) => match &list[..] {
                [one] => write!(f, "only {one:#x}"),
                list => write!(f, "one of {} accounts", list.len()),
            },
            Self::Pairs(list) if list.is_empty() => f.write_str("never"),
            Self::Pairs(list) => write!(f, "only {} known pairs", list.len()),
        }
    }
}

impl Bound {
    /// What of a value breaks the bound, for people; `None` if nothing does.
    pub(crate) fn broken_by(&self, value: &Value) -> Option<String> {
        match (self, value) {
            (Self::Always, Value::Yes(yes)) => (!yes).then(|| "it is not".into()),
            (Self::AtMost(most), Value::Number(it)) => (it > most).then(|| it.to_string()),
            (Self::AtLeast(least), Value::Number(it)) => (it < least).then(|| it.to_string()),
            (Self::Between(low, high), Value::Number(it)) => {
                (it < low || it > high).then(|| it.to_string())
            }
            (Self::OneOf(list), Value::Account(it)) => {
                (!list.contains(it)).then(|| format!("{it:#x}"))
            }
            (Self::Pairs(known), Value::Pairs(met)) => {
                met.iter().find(|it| !known.contains(it)).map(Pair::to_string)
            }
            // A bound of another kind than its invariant's says nothing; plans are checked for it.
            _ => None,
        }
    }
}

impl Guards {
    /// Guards ready for look-up.
    ///
    /// # Errors
    /// The first guard whose bound is of another kind than its invariant, or that stands twice, in words.
    pub fn new(guards: Vec<Guard>) -> Result<Self, String> {
        let mut by_place = std::collections::BTreeMap::new();
        for guard in guards {
            let (name, at) = (guard.invariant.name(), guard.whereabouts());
            if !guard.invariant.takes(&guard.bound) {
                return Err(format!("`{name}` at {at} has a bound of another kind"));
            }
            if by_place.insert((guard.invariant, guard.place()), guard).is_some() {
                return Err(format!("`{name}` at {at} stands twice"));
            }
        }
        Ok(Self { by_place })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_place.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_place.is_empty()
    }

    /// Whether a guard of this invariant is among them.
    pub fn has(&self, invariant: Invariant) -> bool {
        self.by_place.keys().any(|it| it.0 == invariant)
    }

    /// The guards that a transaction broke, in the order of the invariants.
    pub fn breaches(&self, sample: &Sample, memory: &mut Memory) -> Vec<Breach<'_>> {
        let mut out: Vec<Breach<'_>> = Vec::new();
        let remember =
            |invariant, place: &Place| self.by_place.contains_key(&(invariant, place.clone()));
        measure(sample, memory, &remember, &mut |invariant, place, value| {
            let guard = self.by_place.get(&(invariant, place));
            let Some(guard) = guard else { return };
            if let Some(measured) = guard.bound.broken_by(&value)
                && !out.iter().any(|it| std::ptr::eq(it.guard, guard))
            {
                out.push(Breach { guard, measured });
            }
        });
        out.sort_by_key(|it| it.guard.invariant);
        out
    }
}
