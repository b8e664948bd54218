//! Shapes of code and of call trees, compared without addresses, amounts and constants.
//!
//! A shape is the set of its short sequences (opcodes without their operands; kinds and selectors of calls),
//! sketched by the least value of each of 64 hashes (MinHash, Broder 1997): the share of equal values
//! estimates the share of common sequences, with a standard error of at most 1/16.

use std::collections::BTreeSet;

use alloy_primitives::{B256, hex};
use cofferdam_core::{
    ChainId, Fact, Tx,
    tx::{CallKind, Frame},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Hashes of a sketch.
const HASHES: usize = 64;
/// Opcodes in a sequence, and sequences below which code is too short to be told apart: proxies, stubs.
const CODE_GRAM: usize = 4;
const CODE_GRAMS_MIN: usize = 64;
/// Calls in a sequence, and sequences below which a call tree is one among many.
const CALL_GRAM: usize = 3;
const CALL_GRAMS_MIN: usize = 8;
/// Codes of one transaction that are sketched.
const CODES_MAX: usize = 4;

/// The shape of an attack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Its chain.
    pub chain: ChainId,
    /// The transaction.
    pub tx: B256,
    /// Its call tree, if that is long enough to be told apart.
    pub calls: Option<Sketch>,
    /// The code of what it created, as far as that is long enough.
    pub codes: Vec<Sketch>,
}

/// A set of sequences, sketched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch([u32; HASHES]);

impl Shape {
    /// The shape of `tx` on `chain`; `None` if there is nothing to recognise it by.
    pub(crate) fn of(chain: ChainId, tx: &Tx) -> Option<Self> {
        if !tx.tracing.is_evidence() {
            return None;
        }
        let codes = created(tx).filter_map(|it| Sketch::of_code(&it.output)).take(CODES_MAX);
        let shape =
            Self { chain, tx: tx.hash, calls: Sketch::of_calls(tx), codes: codes.collect() };
        (shape.calls.is_some() || !shape.codes.is_empty()).then_some(shape)
    }
}

/// The creations of `tx` that lasted.
pub(crate) fn created(tx: &Tx) -> impl Iterator<Item = &Frame> {
    let made = |frame: &Frame| {
        let told =
            |it: &Fact| matches!(it, Fact::Created { contract, .. } if *contract == frame.to);
        frame.kind == CallKind::Create && tx.facts.iter().any(told)
    };
    tx.calls().filter(move |it| made(it))
}

impl Sketch {
    /// Of runtime code.
    pub(crate) fn of_code(code: &[u8]) -> Option<Self> {
        let (mut opcodes, mut at) = (Vec::new(), 0);
        while let Some(opcode) = code.get(at) {
            opcodes.push(u64::from(*opcode));
            let operand =
                if (0x60..=0x7f).contains(opcode) { usize::from(opcode - 0x5f) } else { 0 };
            at += 1 + operand;
        }
        Self::of(&opcodes, CODE_GRAM, CODE_GRAMS_MIN)
    }

    /// Of a call tree.
    pub(crate) fn of_calls(tx: &Tx) -> Option<Self> {
        let word = |it: &Frame| {
            let selector = it.selector().map_or(0, u32::from_be_bytes);
            (u64::from(selector) << 8) | it.kind as u64
        };
        let mut words: Vec<u64> = tx.calls().map(word).collect();
        // How often a step is repeated depends on amounts.
        words.dedup();
        Self::of(&words, CALL_GRAM, CALL_GRAMS_MIN)
    }

    fn of(words: &[u64], gram: usize, least: usize) -> Option<Self> {
        let mix = |seed: u64, it: &u64| splitmix(seed ^ *it);
        let grams: BTreeSet<u64> = words.windows(gram).map(|it| it.iter().fold(0, mix)).collect();
        if grams.len() < least {
            return None;
        }
        let mut minima = [u32::MAX; HASHES];
        for gram in grams {
            for (salt, least) in (1_u64..).zip(&mut minima) {
                let hash = splitmix(gram ^ splitmix(salt));
                *least = (*least).min((hash >> 32) as u32);
            }
        }
        Some(Self(minima))
    }

    /// How much two have in common, in percent.
    pub(crate) fn likeness(&self, other: &Self) -> u64 {
        let same = self.0.iter().zip(&other.0).filter(|(a, b)| a == b).count();
        same as u64 * 100 / HASHES as u64
    }
}

/// A bijective mixer (Steele, Lea and Flood 2014).
fn splitmix(it: u64) -> u64 {
    let it = it.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    it ^ (it >> 31)
}

impl Serialize for Sketch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|it| it.to_be_bytes()).collect();
        serializer.serialize_str(&hex::encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Sketch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = hex::decode(String::deserialize(deserializer)?).map_err(de::Error::custom)?;
        if bytes.len() != HASHES * 4 {
            return Err(de::Error::custom("a sketch has 64 values"));
        }
        let mut minima = [0; HASHES];
        for (value, bytes) in minima.iter_mut().zip(bytes.chunks_exact(4)) {
            *value = bytes.try_into().map(u32::from_be_bytes).map_err(de::Error::custom)?;
        }
        Ok(Self(minima))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Sketch;

    /// Code with constants taken from `constants`.
    fn code(opcodes: &[u8], constants: u8) -> Vec<u8> {
        opcodes
            .iter()
            .flat_map(|it| if it % 7 == 0 { vec![0x60, constants] } else { vec![*it % 0x5f] })
            .collect()
    }

    proptest! {
        #[test]
        fn other_constants_are_the_same_shape_and_a_sketch_goes_through_text(
            opcodes in prop::collection::vec(any::<u8>(), 300..600), a: u8, b: u8,
        ) {
            let (a, b) = (Sketch::of_code(&code(&opcodes, a)), Sketch::of_code(&code(&opcodes, b)));
            prop_assert_eq!(&a, &b);
            let a = a.expect("long enough");
            prop_assert_eq!(a.likeness(&a), 100);
            let text = serde_json::to_string(&a).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<Sketch>(&text).expect("a sketch"), a);
        }

        #[test]
        fn unrelated_code_is_unlike_and_a_few_changes_leave_it_alike(
            a in prop::collection::vec(any::<u8>(), 600), b in prop::collection::vec(any::<u8>(), 600),
            at in 0_usize..600,
        ) {
            let of = |it: &[u8]| Sketch::of_code(&code(it, 1)).expect("long enough");
            prop_assert!(of(&a).likeness(&of(&b)) < 50);
            let mut c = a.clone();
            c[at] = c[at].wrapping_add(1);
            prop_assert!(of(&a).likeness(&of(&c)) >= 85);
        }
    }

    #[test]
    fn what_is_short_has_no_shape() {
        assert_eq!(Sketch::of_code(&[0x60; 45]), None);
        assert_eq!(Sketch::of_code(&[]), None);
    }
}
