//! From measurements to bounds.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, U256, U512};

use super::{Bound, Invariant, Memory, Place, Value, invariant::Kind, measure};
use crate::{Options, Sample, text::Pair};

/// Places that are learned about; attackers can make up any number of selectors.
const PLACES_MAX: usize = 50_000;
/// Numbers kept for the drift check, the first ones.
const NUMBERS_MAX: usize = 10_000;
/// Accounts of a manager guard.
const MANAGERS_MAX: usize = 16;
/// Pairs of a pair guard.
const PAIRS_MAX: usize = 256;
/// Bits of the largest word that may be an amount; addresses and hashes have more.
const AMOUNT_BITS: usize = 128;

/// What was measured at one place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    always: bool,
    least: U256,
    most: U256,
    accounts: BTreeSet<Address>,
    pairs: BTreeSet<Pair>,
    pub(crate) numbers: Vec<f64>,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tallies(pub(crate) BTreeMap<(Invariant, Place), Tally>);

impl Tallies {
    /// Adds a transaction.
    pub(crate) fn add(&mut self, sample: &Sample, memory: &mut Memory) {
        measure(sample, memory, &|_, _| true, &mut |invariant, place, value| {
            let key = (invariant, place);
            if self.0.len() >= PLACES_MAX && !self.0.contains_key(&key) {
                return;
            }
            self.0.entry(key).or_default().add(value);
        });
    }
}

impl Tally {
    fn add(&mut self, value: Value) {
        let first = self.count == 0;
        self.count += 1;
        match value {
            Value::Yes(yes) => self.always = yes && (first || self.always),
            Value::Number(it) => {
                self.least = if first { it } else { self.least.min(it) };
                self.most = self.most.max(it);
                if self.numbers.len() < NUMBERS_MAX {
                    self.numbers.push(f64::from(it));
                }
            }
            Value::Account(it) if self.accounts.len() <= MANAGERS_MAX => {
                _ = self.accounts.insert(it)
            }
            Value::Account(_) => {}
            Value::Pairs(met) => {
                self.pairs.extend(met.into_iter().take(PAIRS_MAX + 1));
                while self.pairs.len() > PAIRS_MAX + 1 {
                    self.pairs.pop_last();
                }
            }
        }
    }

    /// The bound that the measurements never left.
    ///
    /// # Errors
    /// Why there is none worth having, in words.
    pub(crate) fn bound(&self, invariant: Invariant, options: &Options) -> Result<Bound, String> {
        let few = |want: u64| format!("seen {} times, {want} are needed", self.count);
        if self.count < options.support_min {
            return Err(few(options.support_min));
        }
        let say = |it: &str| Err(it.to_owned());
        let flow = matches!(invariant, Invariant::DataFlowUpper | Invariant::DataFlowLower);
        if flow && self.most.bit_len() > AMOUNT_BITS {
            return say("the word is no amount");
        }
        let margin = options.margin_ppm;
        match invariant.kind() {
            Kind::Always if !self.always => say("it was not always so"),
            Kind::Always => Ok(Bound::Always),
            Kind::Most if self.most == U256::MAX => say("no number is too large here"),
            Kind::Most => Ok(Bound::AtMost(scaled(self.most, 1_000_000 + margin))),
            Kind::Least if self.least.is_zero() => say("nothing is too small here"),
            Kind::Least => {
                // Blocks are counted, not measured: no margin.
                let exact = invariant == Invariant::LastUpdate;
                let share = 1_000_000_u64.saturating_sub(if exact { 0 } else { margin });
                match scaled(self.least, share) {
                    it if it.is_zero() => say("nothing is too small here"),
                    it => Ok(Bound::AtLeast(it)),
                }
            }
            // The artifact's best setting, 20 %, whatever the margin of the others.
            Kind::Around => {
                Ok(Bound::Between(scaled(self.least, 800_000), scaled(self.most, 1_200_000)))
            }
            Kind::Owner if self.accounts.len() != 1 => say("more than one account"),
            Kind::Managers if self.accounts.len() < 2 => say("one account: an owner"),
            Kind::Managers if self.accounts.len() > MANAGERS_MAX => say("anybody may"),
            Kind::Managers if self.count < 5 * self.accounts.len() as u64 => {
                Err(few(5 * self.accounts.len() as u64))
            }
            Kind::Owner | Kind::Managers => {
                Ok(Bound::OneOf(self.accounts.iter().copied().collect()))
            }
            Kind::Pairs if self.pairs.len() > PAIRS_MAX => say("too many pairs"),
            Kind::Pairs => Ok(Bound::Pairs(self.pairs.iter().copied().collect())),
        }
    }
}

fn scaled(value: U256, ppm: u64) -> U256 {
    let product = U512::from(value) * U512::from(ppm) / U512::from(1_000_000u32);
    U256::saturating_from(product)
}
